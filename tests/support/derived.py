"""History databases whose checkpoints are close together: recorded, or with facts of several sources put into them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from exporter.history import connection as file
from exporter.history.ids import status_ids, status_key
from exporter.history.opening import open_for_writing
from exporter.history.schema import AGENT_BITS
from exporter.history.writer import HistoryWriter
from exporter.model import EndReason, Poll, PollFacts
from tests.support.histories import PACE, poll_facts, poll_lists
from tests.support.history_files import RUN

DERIVED = ("checkpoint", "carried", "total")


def new_database(path: Path) -> Path:
    """An empty history database, without a run."""
    lock, connection = open_for_writing(path, now_ms=0, program="test", mode=0o600)
    connection.close()
    lock.release()
    return path


def record(path: Path, polls: Sequence[Poll], every: int, *, run_open: bool = False) -> None:
    """Write the polls as the recorder would, with a checkpoint after so many transitions."""
    writer = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: every)
    for facts in poll_facts(polls):
        writer.append(facts)
    if run_open:
        writer.abandon()
    else:
        writer.close(polls[-1].received if polls else 0, EndReason.SHUTDOWN)


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that may write; what it does is committed statement by statement."""
    with closing(file.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def derived(connection: sqlite3.Connection) -> dict[str, list[tuple[int, ...]]]:
    """Everything that is derived."""
    return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in DERIVED}


# --- other sources ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Imported:
    """What an import brings: the facts of polls, of agents of whom nothing else covers the same time."""

    polls: tuple[Poll, ...]
    exact: bool
    """Each change is told with its time."""


@st.composite
def imports(draw: st.DrawFn, recorded: Sequence[Poll]) -> list[Imported]:
    """Up to two imports, some of whose agents were recorded before or after, never covered at the same time."""
    taken = [*recorded]
    found = []
    for number in range(draw(st.integers(0, 2))):
        offset = draw(st.sampled_from((0, 0, 90, 260, 500)))
        polls = [Poll(poll.sent + offset, poll.received + offset, dict(poll.readings)) for poll in draw(poll_lists())]
        meets = any(
            mine.received >= other.received - 1 and mine.received <= other.received + PACE.gap_limit_ms + 1
            for mine in polls
            for other in taken
        )
        spread = any(
            other.received >= mine.received - 1 and other.received <= mine.received + PACE.gap_limit_ms + 1
            for mine in polls
            for other in taken
        )
        if meets or spread:  # then of other agents
            polls = [
                Poll(p.sent, p.received, {f"{agent_id}{number}": word for agent_id, word in p.readings.items()})
                for p in polls
            ]
        else:
            taken += polls
        found.append(Imported(tuple(polls), draw(st.booleans())))
    return found


def import_polls(connection: sqlite3.Connection, imported: Imported) -> None:
    """Put the facts into the lowest lanes where their spells neither overlap nor touch others."""
    if not imported.polls:
        return
    (source,) = connection.execute("SELECT max(id) + 1 FROM source").fetchone()
    connection.execute(
        "INSERT INTO source (id, kind, file, imported) VALUES (?, ?, 'file', 0)",
        (source, "log" if imported.exact else "polls"),
    )
    connection.execute(
        "INSERT OR IGNORE INTO run (id, started, version, host, boot_id, pid, ended, end_reason)"
        " VALUES (1000, 0, '', '', '', 0, 0, 'shutdown')"
    )
    spells: dict[str, list[list[int]]] = {}
    facts_of_all = poll_facts(imported.polls)
    for facts in facts_of_all:
        _import_stretch(connection, source, facts, exact=imported.exact)
        for agent_id in facts.left:
            assert facts.left_before is not None
            spells[agent_id][-1][1:] = [facts.left_before.last, facts.left_before.last_sent]
        for agent_id in facts.joined:
            spells.setdefault(agent_id, []).append([facts.poll.received, -1, -1])
    latest = facts_of_all[-1].stretch
    tracks = {}
    for agent_id, of_agent in spells.items():
        if of_agent[-1][1] < 0:
            of_agent[-1][1:] = [latest.last, latest.last_sent]
        tracks[agent_id] = track = _track(connection, agent_id, of_agent)
        connection.executemany(
            "INSERT INTO tracking (agent, tracked_from, tracked_until, until_sent, source) VALUES (?, ?, ?, ?, ?)",
            [(track, start, end, end if imported.exact else sent, source) for start, end, sent in of_agent],
        )
    ids = status_ids(connection)
    for facts in facts_of_all:
        connection.executemany(
            "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (?, ?, ?, ?)",
            [
                (
                    t.seen << AGENT_BITS | tracks[t.agent_id],
                    ids[status_key(t.to_status)],
                    ids[status_key(t.from_status)] if t.from_status is not None else None,
                    None if t.not_before is None else 1 if imported.exact else t.seen - t.not_before,
                )
                for t in facts.transitions
            ],
        )


def _import_stretch(connection: sqlite3.Connection, source: int, facts: PollFacts, *, exact: bool) -> None:
    s = facts.stretch
    connection.execute(
        "INSERT OR REPLACE INTO coverage (id, source, run, first_sent, started, last_sent, last, polls, interval_ms,"
        " gap_limit_ms, end_reason) VALUES ((SELECT id FROM coverage WHERE source = ?1 AND started = ?3), ?1, 1000,"
        " ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'not in the file')",
        (
            source, s.started if exact else s.first_sent, s.started, s.last if exact else s.last_sent, s.last,
            0 if exact else s.polls, s.interval_ms, s.gap_limit_ms,
        ),
    )  # fmt: skip


def _track(connection: sqlite3.Connection, agent_id: str, spells: Sequence[Sequence[int]]) -> int:
    lane = 0
    while True:
        taken = connection.execute(
            "SELECT tracked_from, coalesce(tracked_until, 1 << 60) FROM tracking JOIN agent ON agent.id = agent"
            " WHERE agent_id = ? AND lane = ?",
            (agent_id, lane),
        ).fetchall()
        if not any(start <= end_ and start_ <= end for start, end, _ in spells for start_, end_ in taken):
            break
        lane += 1
    connection.execute("INSERT OR IGNORE INTO agent (agent_id, lane) VALUES (?, ?)", (agent_id, lane))
    (track,) = connection.execute("SELECT id FROM agent WHERE agent_id = ? AND lane = ?", (agent_id, lane)).fetchone()
    return int(track)
