"""What the tests of export and import share: files to be imported, and how they are brought in and compared."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from exporter.history.algebra import covered_time, intervals
from exporter.history.answers import answer
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.transfer.export import export_lines
from exporter.history.transfer.importing import Imported, ImportOptions, import_file
from exporter.history.transfer.incoming import FileKind
from exporter.history.transfer.progress import SilentProgress
from exporter.history.transfer.stage_log import EVERYTHING, Covers
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import EndReason, Kind, Poll, Quality, Status, TrackerState
from tests.support.care import RUN, START, UTC, query

DATA: Final = Path(__file__).parents[1] / "data" / "history_import"
NOW: Final = START + 86_400_000
"""When files are imported: a day after the polls of `care.MORNING` begin."""

Line = Mapping[str, Any]


def at(seconds: float) -> int:
    """The instant so many seconds after `START`."""
    return START + round(seconds * 1000)


def bring(
    target: Path,
    file: Path,
    *,
    kind: FileKind | None = None,
    zone: ZoneInfo = UTC,
    covers: Covers = EVERYTHING,
    interval_ms: int | None = None,
    now: int = NOW,
    when: Callable[[str], None] = lambda _: None,
    connection_type: type[sqlite3.Connection] = sqlite3.Connection,
) -> Imported:
    """Import the file at the instant `now`; `when` is called with the name of each step as it begins."""
    return import_file(
        target,
        file,
        ImportOptions(zone, kind, covers, interval_ms),
        RunInfo("0.2.0", "testhost", "", 4712, now),
        _Steps(when),
        connection_type=connection_type,
    )


class _Steps(SilentProgress):
    def __init__(self, when: Callable[[str], None]) -> None:
        self._when = when

    def begin(self, what: str, total: int) -> None:
        self._when(what)


def exported(path: Path) -> list[Line]:
    """The rows of an export, without header and footer."""
    lines = list(export_lines(path, program="0.2.0", now=NOW, progress=SilentProgress()))
    return [json.loads(line) for line in lines[1:-1]]


def write_export(path: Path, to: Path) -> Path:
    to.write_text("".join(export_lines(path, program="0.2.0", now=NOW, progress=SilentProgress())), encoding="utf-8")
    return to


def write_log(to: Path, *rows: tuple[float, str, str]) -> Path:
    """A log of (second after `START`, agent, status)."""
    body = "".join(f"{agent},{at(seconds)},{status}\n" for seconds, agent, status in rows)
    to.write_text("agent_id,time,status\n" + body, encoding="utf-8")
    return to


def write_polls(to: Path, polls: Iterable[Poll]) -> Path:
    """The polls as a file of complete polls."""
    to.write_text("".join(json.dumps(poll_line(poll)) + "\n" for poll in polls), encoding="utf-8")
    return to


def poll_line(poll: Poll, **changes: object) -> dict[str, object]:
    readings = {agent_id: _said(status) for agent_id, status in poll.readings.items()}
    return {"sent": poll.sent, "received": poll.received, "complete": True, "readings": readings, **changes}


def _said(status: Status) -> object:
    match status.kind:
        case Kind.ERROR:
            return {"error": "no such agent"}
        case Kind.ABSENT:
            return {"absent": True}
    return status.word


Stay = tuple[str, str, float, float, str]
"""Agent, status, seconds after `START` from and to, quality."""


def stays(path: Path, since: float, until: float) -> list[Stay]:
    """Who was in which status, from the second `since` to the second `until`, agent by agent in order of time."""
    window = Window(at(since), at(until))
    with HistoryReader.open(path) as reader:
        facts = reader.facts(window)
    covered = covered_time(facts, NOW)
    return [
        (agent.agent_id, i.status.word, (i.start - START) / 1000, (i.end - START) / 1000, i.quality.value)
        for agent in sorted(facts.agents, key=lambda agent: agent.agent_id)
        for i, _ in intervals(agent, covered, window)
    ]


def by_millisecond(path: Path, since: int, until: int) -> dict[tuple[str, int], Status]:
    """The status that is known of each agent in each millisecond; unknown and untracked ones are left out."""
    window = Window(since, until)
    with HistoryReader.open(path) as reader:
        facts = reader.facts(window)
    covered = covered_time(facts, NOW)
    return {
        (agent.agent_id, instant): interval.status
        for agent in facts.agents
        for interval, _ in intervals(agent, covered, window)
        if interval.quality is not Quality.UNKNOWN
        for instant in range(interval.start, interval.end)
    }


def told(path: Path, window: Window, *names: str) -> dict[str, tuple[Any, Any]]:
    """Header and rows of those reports."""
    found = {}
    with HistoryReader.open(path) as reader:
        for name in names:
            report = answer(reader, name, Question(window, UTC, NOW))
            found[name] = (dict(report.meta), [dict(row) for row in report.rows])
    return found


def names_at(path: Path, agent_id: str, *instants: float) -> Sequence[tuple[str, str]]:
    """Name and team of the agent at those seconds after `START`."""
    with HistoryReader.open(path) as reader:
        (agent,) = [a for a in reader.facts(Window(START, NOW)).agents if a.agent_id == agent_id]
    return [agent.description_at(at(seconds))[1:] for seconds in instants]


def lanes(path: Path) -> list[tuple[str, int, float, float | None]]:
    """Every spell: agent, lane, seconds from and to."""
    rows = query(
        path,
        "SELECT agent_id, lane, tracked_from, tracked_until FROM tracking JOIN agent ON agent.id = agent"
        " ORDER BY agent_id, tracked_from",
    )
    return [(a, lane, (s - at(0)) / 1000, None if e is None else (e - at(0)) / 1000) for a, lane, s, e in rows]


def resumed(path: Path) -> tuple[TrackerState, EndReason | None]:
    """What a recorder would go on from."""
    writer = HistoryWriter.open(path, RUN)
    writer.close(NOW, EndReason.SHUTDOWN)
    return writer.resumed, writer.resumed_end
