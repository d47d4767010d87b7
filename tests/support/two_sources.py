"""History databases with two sources, as tools find them: what an import leaves there is put in with plain SQL."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from exporter.history.algebra import covered_time, intervals
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.reports.timeline import timeline
from exporter.history.schema import AGENT_BITS, EXACT
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import BUSY, ON_CALL, Agent, EndReason, Poll, PollFacts, reported
from exporter.report.model import Cell
from exporter.tracker import NOTHING_TRACKED, Pace, advance
from tests.support.histories import PACE, poll_facts, poll_lists

DAY_MS = 86_400_000
LANE = 1
RUN = RunInfo("0.1.0", "host", "boot", 1, 0)
WORDS = {BUSY: reported("In Training"), ON_CALL: reported("error")}
"""Words that nobody has heard of, and one that looks like another kind."""


# --- writing ----------------------------------------------------------------------------------------------------------


def write(
    path: Path, polls: Sequence[Poll], pace: Pace = PACE, *, names: Mapping[int, str] | None = None, ended: bool = True
) -> None:
    """Record the polls, with a checkpoint every three transitions.

    `names`: what everyone's name begins with, and the team, from the poll received at that instant on.
    """
    writer, state, name = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: 3), NOTHING_TRACKED, ""
    for poll in polls:
        name = (names or {}).get(poll.received, name)
        agents = {key: Agent(key, f"{name} {key}".strip(), name) for key in poll.readings}
        state, facts = advance(state, poll, agents, pace)
        writer.append(facts)
    if ended:
        writer.close(polls[-1].received if polls else 0, EndReason.SHUTDOWN)
    else:
        writer.abandon()


def add_source(connection: sqlite3.Connection, polls: Sequence[Poll], *, exact: bool, pace: Pace = PACE) -> None:
    """Put in what `polls` tell, on tracks of their own: as polls of another recorder, or as if a log had told it.

    The polls must lie where nobody else was looking. Call it once for a database that has a run.
    """
    (source,) = connection.execute(
        "INSERT INTO source (kind, file, imported) VALUES (?, 'other', 0) RETURNING id", ("log" if exact else "polls",)
    ).fetchone()
    tracks: dict[str, int] = {}
    for facts in poll_facts(polls, pace):
        _add_stretch(connection, source, facts, exact=exact)
        for agent_id in facts.joined:
            _add_track(connection, tracks, agent_id)
        _add_spells(connection, source, facts, tracks)
        _add_transitions(connection, facts, tracks, exact=exact)
    if polls:
        connection.execute(
            "UPDATE tracking SET tracked_until = ?, until_sent = ? WHERE source = ? AND tracked_until IS NULL",
            (polls[-1].received, polls[-1].sent, source),
        )
    connection.commit()


def _add_stretch(connection: sqlite3.Connection, source: int, facts: PollFacts, *, exact: bool) -> None:
    one = facts.stretch
    if not facts.begins_stretch:
        connection.execute("DELETE FROM coverage WHERE source = ? AND started = ?", (source, one.started))
    numbers = (0, 0, 0) if exact else (one.polls, one.interval_ms, one.gap_limit_ms)
    connection.execute(
        "INSERT INTO coverage (source, run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms,"
        " end_reason) VALUES (?, (SELECT min(id) FROM run), ?, ?, ?, ?, ?, ?, ?, 'not in the file')",
        (source, one.first_sent, one.started, one.last_sent, one.last, *numbers),
    )


def _add_track(connection: sqlite3.Connection, tracks: dict[str, int], agent_id: str) -> None:
    if agent_id not in tracks:
        (tracks[agent_id],) = connection.execute(
            "INSERT INTO agent (agent_id, lane) VALUES (?, ?) RETURNING id", (agent_id, LANE)
        ).fetchone()


def _add_spells(connection: sqlite3.Connection, source: int, facts: PollFacts, tracks: dict[str, int]) -> None:
    for agent_id in facts.left:
        assert facts.left_before is not None
        connection.execute(
            "UPDATE tracking SET tracked_until = ?, until_sent = ? WHERE agent = ? AND tracked_until IS NULL",
            (facts.left_before.last, facts.left_before.last_sent, tracks[agent_id]),
        )
    for agent_id in facts.joined:
        connection.execute(
            "INSERT INTO tracking (agent, tracked_from, source) VALUES (?, ?, ?)",
            (tracks[agent_id], facts.poll.received, source),
        )


def _add_transitions(connection: sqlite3.Connection, facts: PollFacts, tracks: dict[str, int], *, exact: bool) -> None:
    for change in facts.transitions:
        before, after = change.from_status, change.to_status
        ids = []
        for status in (after, before):
            if status is not None:
                connection.execute(
                    "INSERT OR IGNORE INTO status (kind, word) VALUES (?, ?)", (status.kind, status.word)
                )
                ids += connection.execute(
                    "SELECT id FROM status WHERE kind = ? AND word = ?", (status.kind, status.word)
                ).fetchone()
            else:
                ids.append(None)
        uncertainty = None if change.not_before is None else EXACT if exact else change.seen - change.not_before
        connection.execute(
            "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (?, ?, ?, ?)",
            (change.seen << AGENT_BITS | tracks[change.agent_id], *ids, uncertainty),
        )


# --- random ones ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Polls of the recorder, and those of a second source at times when the recorder was silent."""

    polls: Sequence[Poll]
    others: Sequence[Poll] = ()
    exact: bool = False

    @property
    def end(self) -> int:
        """When the last poll of either was received."""
        return max((poll.received for poll in (*self.polls, *self.others)), default=0)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Two sources that were never looking at once, but perhaps one right after the other; early, or about midnight."""
    recorder, others = draw(poll_lists()), draw(poll_lists())
    start = draw(st.sampled_from((0, DAY_MS - 200)))
    if not recorder or not others:
        return Case([_in_other_words(poll) for poll in _moved(recorder, start)])
    index = draw(st.integers(0, len(recorder)))
    before, after = recorder[:index], recorder[index:]
    silent_since = before[-1].received if before else 0
    placed = _moved(others, max(silent_since - others[0].received + draw(st.integers(0, 30)), -others[0].sent))
    silent_until = max(silent_since + PACE.gap_limit_ms + 1, placed[-1].received + draw(st.integers(0, 30)))
    shifted = _moved(after, silent_until - after[0].received) if after else []
    shifted = [replace(poll, sent=max(silent_since, poll.sent)) for poll in shifted]
    return Case(
        [_in_other_words(poll) for poll in _moved([*before, *shifted], start)],
        [_of_agents_1_and_3(_in_other_words(poll)) for poll in _moved(placed, start)],
        draw(st.booleans()),
    )


def _moved(polls: Sequence[Poll], by: int) -> list[Poll]:
    return [replace(poll, sent=poll.sent + by, received=poll.received + by) for poll in polls]


def _in_other_words(poll: Poll) -> Poll:
    return replace(poll, readings={key: WORDS.get(one, one) for key, one in poll.readings.items()})


def _of_agents_1_and_3(poll: Poll) -> Poll:
    return replace(poll, readings={{"2": "3"}.get(key, key): one for key, one in poll.readings.items()})


@contextmanager
def recorded(case: Case, *, ended: bool = True) -> Iterator[Path]:
    """A database of the case; everyone is renamed at every third poll."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        write(path, case.polls, names={poll.received: f"N{i // 3}" for i, poll in enumerate(case.polls)}, ended=ended)
        if case.others:
            with closing(sqlite3.connect(path)) as connection:
                add_source(connection, case.others, exact=case.exact)
        yield path


# --- looking ----------------------------------------------------------------------------------------------------------


@contextmanager
def looking_at(path: Path, now: int) -> Iterator[sqlite3.Connection]:
    """The database as a tool opens it, while its clock says `now`."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.create_function("julianday", 1, lambda text: _julian_day(text, now))
        connection.row_factory = sqlite3.Row
        yield connection


def _julian_day(text: object, now: int) -> float | None:
    if text == "now":
        return now / DAY_MS + 2440587.5
    with closing(sqlite3.connect(":memory:")) as connection:
        found: float | None = connection.execute("SELECT julianday(?)", (text,)).fetchone()[0]
    return found


def rows(path: Path, sql: str, now: int, **parameters: str) -> list[dict[str, object]]:
    """What a query says while the clock says `now`."""
    with looking_at(path, now) as connection:
        return [dict(row) for row in connection.execute(sql, parameters)]


def plain(path: Path, sql: str, now: int, **parameters: str) -> list[tuple[object, ...]]:
    """The same without the names of the columns."""
    return [tuple(row.values()) for row in rows(path, sql, now, **parameters)]


def timeline_report(path: Path, now: int) -> list[dict[str, Cell]]:
    """The rows of the report `timeline` up to `now`, agent by agent, with the `kind` of each status.

    One that goes on as the one before ended is part of it. Only rows of two sources do: one of them ended with a status
    that it saw no longer than an instant, and the report keeps apart what was before and what the other source saw.
    """
    with HistoryReader.open(path) as reader:
        facts = reader.facts(Window(0, now))
    covered = covered_time(facts, now)
    kinds: dict[tuple[Cell, Cell], str] = {
        (agent.agent_id, i.start): i.status.kind.name.lower()
        for agent in facts.agents
        for i, _ in intervals(agent, covered, facts.window)
    }
    rows = timeline(facts, Question(facts.window, ZoneInfo("UTC"), now)).rows
    result: list[dict[str, Cell]] = []
    for row in sorted(rows, key=lambda row: (str(row["agent_id"]), str(row["start"]).zfill(20))):
        one = {**row, "kind": kinds[row["agent_id"], row["start"]]}
        before = result[-1] if result else {}
        goes_on = before.get("end") == one["start"]
        if goes_on and all(before[key] == one[key] for key in ("agent_id", "status", "kind", "quality")):
            before["end"] = one["end"]
        else:
            result.append(one)
    return result
