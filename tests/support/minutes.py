"""Histories for examples that are worked out by hand, with a poll on every full minute, and reports as people say."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from exporter.history.facts import HistoryFacts
from exporter.history.question import Question
from exporter.history.window import Window, iso_text
from exporter.model import AgentId, Poll, Status
from exporter.report.model import Cell, ColumnKind, Report
from exporter.tracker import Pace
from tests.support.histories import history

UTC = ZoneInfo("UTC")
PACE = Pace(interval_ms=60_000, gap_limit_ms=150_000)
_MINUTE = 60_000


def at(clock: str) -> int:
    """The instant of `08:00` or `08:00:30` on 2026-07-01, a Wednesday, or of `02T08:00` on that day of the month."""
    day, _, time = clock.rpartition("T")
    return round(datetime.fromisoformat(f"2026-07-{day or '01'}T{time}+00:00").timestamp() * 1000)


def polled(
    statuses: Mapping[AgentId, Sequence[tuple[str, Status | None]]],
    since: str,
    until: str,
    *,
    silent: Sequence[tuple[str, str]] = (),
) -> list[Poll]:
    """Polls received on each full minute from `since` to `until`, both included, each sent one second before.

    `statuses` says what each agent is in from when on; None: not asked for. Polls between, not at, the two times of a
    silence did not come.
    """
    silences = [(at(start), at(end)) for start, end in silent]
    polls = []
    for received in range(at(since), at(until) + 1, _MINUTE):
        if any(start < received < end for start, end in silences):
            continue
        said = {agent_id: _at(of_agent, received) for agent_id, of_agent in statuses.items()}
        readings = {agent_id: status for agent_id, status in said.items() if status is not None}
        polls.append(Poll(received - 1_000, received, readings))
    return polls


def _at(statuses: Sequence[tuple[str, Status | None]], received: int) -> Status | None:
    found = None
    for since, status in statuses:
        if at(since) <= received:
            found = status
    return found


def facts_of(polls: Sequence[Poll], *, run_open: bool = False) -> HistoryFacts:
    """The facts that the recorder makes of them: a stretch survives 150 s of silence."""
    return history(polls, PACE, run_open=run_open)


def question(since: str, until: str, *, zone: ZoneInfo = UTC, now: str = "31T00:00") -> Question:
    """The plain question about a window, long after it."""
    return Question(Window(at(since), at(until)), zone, at(now))


def shown(report: Report, *, without: Sequence[str] = ()) -> list[dict[str, object]]:
    """The rows with local clock times (and the day, if it is not the first), seconds, and only the flags that hold."""
    zone = ZoneInfo(report.timezone)
    return [
        {
            column.name: _cell(row[column.name], column.kind, zone)
            for column in report.columns
            if row[column.name] is not False and column.name not in without
        }
        for row in report.rows
    ]


def _cell(value: Cell, kind: ColumnKind, zone: ZoneInfo) -> object:
    if kind is ColumnKind.INSTANT and isinstance(value, int):
        day, _, time = iso_text(value, zone)[8:19].partition("T")
        return time if day == "01" else f"{day}T{time}"
    if kind is ColumnKind.DURATION and isinstance(value, int):
        return value / 1000
    return value
