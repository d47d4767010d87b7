"""Takes what was recorded before an instant, the water-mark, out of a database. What is left reports as it did before.

Kept from before the water-mark is what tells how things stood at it: for each track that is tracked then, the
transition into its status, with its true time; the names and teams of then; for each source, the stretch of coverage
that holds the water-mark, which then begins there, or else the one before it, cut to its last poll. That one says why
the gap that follows began, and to the recorder, which goes on from its latest stretch, when it last polled. The latest
run is kept because it may still be open.

Everything but the transitions goes in one transaction, together with the derived data (which rest on all of them) and
the row in `purge` that makes reports begin at the water-mark. From then on they are right, and all that an interruption
leaves behind is waste that nobody reads: transitions before the water-mark, which go in batches, and agents of whom
nothing is left. The next purge, for whatever instant, takes it away.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

from exporter.history.care.derived import NOTHING_DERIVED, rebuild
from exporter.history.care.progress import UNSEEN
from exporter.history.checkpoints import are_missing
from exporter.history.connection import transaction
from exporter.history.schema import AGENT_BITS, STATE_AT
from exporter.history.transfer.progress import Progress

BATCH: Final = 20_000
"""Transitions read for each transaction: some 500 kB, a moment's work."""

_OLDEST: Final = (
    "SELECT min(coalesce(begun, started)) FROM coverage",
    "SELECT min(tracked_from) FROM tracking",
    "SELECT seen FROM transition ORDER BY moment LIMIT 1",
    "SELECT min(valid_from) FROM agent_version",
    "SELECT min(at) FROM incident",
)

_KEEP_THE_STRETCH: Final = """
DELETE FROM coverage WHERE started < (
    SELECT max(started) FROM coverage AS later WHERE later.source = coverage.source AND later.started < :before
)
"""
_CUT_THE_STRETCH: Final = """
UPDATE coverage SET begun = coalesce(begun, started), started = min(last, :before)
WHERE started < :before AND started < last
"""
_SPELLS: Final = "DELETE FROM tracking WHERE tracked_until < :before"
_DESCRIPTIONS: Final = """
DELETE FROM agent_version WHERE valid_from < (
    SELECT max(valid_from) FROM agent_version AS later
    WHERE later.agent = agent_version.agent AND later.valid_from <= :before
)
"""
_INCIDENTS: Final = "DELETE FROM incident WHERE at < :before"
_RUNS: Final = """
DELETE FROM run
WHERE started < :before AND ended <= :before AND id < (SELECT max(id) FROM run)
AND id NOT IN (SELECT run FROM coverage) AND id NOT IN (SELECT run FROM incident)
"""
_FORGOTTEN: Final = """
SELECT agent_id FROM agent LEFT JOIN tracking ON tracking.agent = agent.id
LEFT JOIN agent_version ON agent_version.agent = agent.id AND valid_from > :before
GROUP BY agent_id HAVING count(tracked_from) = 0 AND count(valid_from) = 0
"""
"""Agents of whom nothing is left in any lane. A lane that is empty stays while the agent has another."""
_BATCH_END: Final = """
SELECT moment FROM transition WHERE moment >= ? AND moment < ? ORDER BY moment LIMIT 1 OFFSET ?
"""
_BATCH: Final = """
DELETE FROM transition WHERE moment >= ? AND moment < ? AND moment NOT IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows of each kind a purge has taken away."""

    transitions: int = 0
    stretches: int = 0
    spells: int = 0
    descriptions: int = 0
    agents: int = 0
    incidents: int = 0
    runs: int = 0
    water_mark: int | None = None
    """The one that now holds, ms; None: the database begins after the instant, or is empty, and nothing was done."""

    @property
    def anything(self) -> bool:
        """Whether any row went."""
        return any(getattr(self, name) for name in _COUNTED)

    def plus(self, other: "Removed") -> "Removed":
        """Both together; the water-mark is the later one."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTED}
        return Removed(**counts, water_mark=self.water_mark if other.water_mark is None else other.water_mark)


_COUNTED: Final = tuple(field.name for field in fields(Removed) if field.name != "water_mark")


def purge_before(
    connection: sqlite3.Connection,
    before: int,
    *,
    now_ms: int,
    program: str,
    progress: Progress = UNSEEN,
    batch: int = BATCH,
) -> Removed:
    """Remove what was recorded before the instant `before` (ms), which must not lie in the future.

    An instant that is not after the water-mark changes nothing, but what an interrupted purge left undone is finished.
    It may be interrupted anywhere and started again. Raises sqlite3.Error.
    """
    removed = Removed()
    for step in purge_steps(connection, before, now_ms=now_ms, program=program, progress=progress, batch=batch):
        removed = removed.plus(step)
    return removed


def purge_steps(
    connection: sqlite3.Connection,
    before: int,
    *,
    now_ms: int,
    program: str,
    progress: Progress = UNSEEN,
    batch: int = BATCH,
) -> Iterator[Removed]:
    """The same step by step: what each has removed. Each is a transaction of its own.

    Between two steps polls may be recorded. No step but the last, which makes what is derived anew, takes long.
    """
    (mark,) = connection.execute("SELECT max(before) FROM purge").fetchone()
    first = oldest(connection)
    if mark is None and (first is None or before <= first):
        return
    if mark is not None and before <= mark:
        yield Removed(water_mark=mark)
        if not is_unfinished(connection):
            return
        before = mark
    kept = carried_into(connection, before)
    if before != mark:
        yield _move_the_water_mark(connection, before, now_ms, program)
    for transitions in _remove_transitions(connection, before, kept, progress, batch):
        yield Removed(transitions=transitions)
    yield Removed(agents=_remove_agents(connection, before))
    rebuild(connection, progress)


def oldest(connection: sqlite3.Connection) -> int | None:
    """When the oldest fact is of, ms; None if there is none."""
    found = [connection.execute(sql).fetchone() for sql in _OLDEST]
    return min((row[0] for row in found if row and row[0] is not None), default=None)


def is_unfinished(connection: sqlite3.Connection) -> bool:
    """Whether a purge was interrupted and left waste behind."""
    (mark,) = connection.execute("SELECT max(before) FROM purge").fetchone()
    if mark is None:
        return False
    (old,) = connection.execute("SELECT count(*) FROM transition WHERE moment < ?", (mark << AGENT_BITS,)).fetchone()
    if old > sum(moment < mark << AGENT_BITS for moment in carried_into(connection, mark)):
        return True
    if connection.execute(_FORGOTTEN, {"before": mark}).fetchone() is not None:
        return True
    return are_missing(connection)


def carried_into(connection: sqlite3.Connection, at: int) -> list[int]:
    """The moments of the transitions into the statuses at `at` of the tracks that have a spell until then or longer."""
    tracked = {
        track
        for (track,) in connection.execute(
            "SELECT agent FROM tracking WHERE tracked_from <= ? AND (tracked_until IS NULL OR tracked_until >= ?)",
            (at, at),
        )
    }
    return sorted(row[1] for row in connection.execute(STATE_AT, {"at": at}) if row[0] in tracked)


def _move_the_water_mark(connection: sqlite3.Connection, before: int, now_ms: int, program: str) -> Removed:
    """All that must happen at once."""
    at = {"before": before}
    with transaction(connection):
        for sql in NOTHING_DERIVED:
            connection.execute(sql)
        stretches = connection.execute(_KEEP_THE_STRETCH, at).rowcount
        connection.execute(_CUT_THE_STRETCH, at)
        removed = Removed(
            water_mark=before,
            stretches=stretches,
            spells=connection.execute(_SPELLS, at).rowcount,
            descriptions=connection.execute(_DESCRIPTIONS, at).rowcount,
            incidents=connection.execute(_INCIDENTS, at).rowcount,
            runs=connection.execute(_RUNS, at).rowcount,
        )
        connection.execute(
            "INSERT INTO purge (done, kind, before, program) VALUES (?, 'before', ?, ?)", (now_ms, before, program)
        )
    return removed


def _remove_transitions(
    connection: sqlite3.Connection, before: int, kept: list[int], progress: Progress, batch: int
) -> Iterator[int]:
    """All before the instant but those of the moments `kept`, oldest first; how many went with each batch."""
    behind, kept_text = before << AGENT_BITS, json.dumps(kept)
    (whole,) = connection.execute("SELECT count(*) FROM transition WHERE moment < ?", (behind,)).fetchone()
    start = 0
    progress.begin("Removing transitions", whole)
    while start < behind:
        last = connection.execute(_BATCH_END, (start, behind, batch)).fetchone()
        end = last[0] if last is not None else behind
        with transaction(connection):
            gone = connection.execute(_BATCH, (start, end, kept_text)).rowcount
        progress.advance(gone)
        start = end
        yield gone


def _remove_agents(connection: sqlite3.Connection, before: int) -> int:
    with transaction(connection):
        forgotten = connection.execute(_FORGOTTEN, {"before": before}).fetchall()
        connection.executemany(
            "DELETE FROM agent_version WHERE agent IN (SELECT id FROM agent WHERE agent_id = ?)", forgotten
        )
        connection.executemany("DELETE FROM agent WHERE agent_id = ?", forgotten)
    return len(forgotten)


def empty_the_log(connection: sqlite3.Connection) -> bool:
    """Move everything from the log into the file and cut the log to nothing; False if a reader holds it back.

    Only then is what was removed no longer to be found in the log.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
