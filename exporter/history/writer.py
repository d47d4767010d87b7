"""The one writer of a history database: appends what each poll adds, whole or not at all."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Final

from exporter.errors import DatabaseError
from exporter.history import connection as file
from exporter.history.care.purge import BATCH, Removed, oldest, purge_steps
from exporter.history.checkpoints import are_missing, checkpoint_after, rebuild_derived, write_checkpoint
from exporter.history.ids import agent_ids
from exporter.history.lock import WriterLock
from exporter.history.opening import open_for_writing
from exporter.history.resume import Knowledge, LatestStretch, read_knowledge
from exporter.history.runs import (
    RunInfo,
    begin_run,
    begin_stretch,
    continue_stretch,
    end_crashed_run,
    end_run,
)
from exporter.history.schema import AGENT_BITS, AGENT_MASK
from exporter.history.transfer.progress import Progress
from exporter.model import EndReason, Kind, PollFacts, TrackerState

__all__ = ["FactsRefusedError", "HistoryStatistics", "HistoryWriter", "RunInfo", "checkpoint_after"]

_BUSY_TIMEOUT_MS: Final = 1_000
"""How long an open writer waits for other programs' locks: a service has to stop within five seconds, and whoever gives
it facts tries again anyway."""

_Row = tuple[int, int, int | None, int | None]
"""moment, to_status, from_status, uncertainty."""

_MOMENT: Final = itemgetter(0)


class FactsRefusedError(sqlite3.IntegrityError):
    """The facts contradict what is recorded: a mistake in the program, not in the file, so trying again is no use.

    A constraint of the schema that is broken is the same kind of mistake and is raised as it is.
    """


@dataclass(frozen=True, slots=True)
class HistoryStatistics:
    """The size of the history; instants in ms, None while it holds no transition."""

    transitions: int
    oldest: int | None
    newest: int | None
    main_bytes: int
    wal_bytes: int


class HistoryWriter:
    """An open history database that nobody else writes. Every call belongs on the thread that opened it.

    A call that raises has changed nothing in the file. DatabaseError: the file cannot be written now, the call can be
    repeated. FactsRefusedError or another sqlite3.IntegrityError: what it was given is wrong.
    """

    def __init__(
        self,
        path: Path,
        lock: WriterLock,
        connection: sqlite3.Connection,
        run: RunInfo,
        checkpoint_after: Callable[[int], int],
    ) -> None:
        """Use `open`."""
        self._path: Final = path
        self._lock: Final = lock
        self._connection: Final = connection
        self._checkpoint_after: Final = checkpoint_after
        self._program: Final = run.version
        self._file: Final = path.stat()
        self._closed = False
        self._purging = False
        """A purge is going on: it will make all checkpoints anew, and needs none before."""
        with self._transaction():
            end_crashed_run(connection)
            self._run: Final = begin_run(connection, run)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            resumed, known = read_knowledge(connection, path)
        self._known: Knowledge | None = known
        """What is kept in memory about the file; None after a failure, when only the file knows."""
        self.resumed: Final = resumed
        """Who was tracked and in which status when the file was opened, and the latest stretch."""
        self._tally = known.tally
        self.resumed_end: Final = known.latest.ended if known.latest else None
        """Why that stretch ended: the run before was stopped, or it crashed; None in a history without any."""

    @staticmethod
    def open(
        path: Path,
        run: RunInfo,
        *,
        mode: int = 0o600,
        connection_type: type[sqlite3.Connection] = sqlite3.Connection,
        checkpoint_after: Callable[[int], int] = checkpoint_after,
    ) -> "HistoryWriter":
        """Open, migrate or create the database at `path` and begin a run; a run that never ended has crashed.

        `mode`: the permissions the file has from then on. Raises DatabaseError, and leaves the file as it is, if it is
        being written by another process, not ours, made by a newer version, damaged, or not to be written here.
        """
        path = file.resolve(path)
        with contextlib.ExitStack() as on_failure, file.explaining(path):
            lock, connection = open_for_writing(
                path, now_ms=run.started, program=run.version, mode=mode, connection_type=connection_type
            )
            on_failure.callback(lock.release)
            on_failure.callback(connection.close)
            if are_missing(connection, checkpoint_after):  # made by version 1, or left so by an interrupted purge
                rebuild_derived(connection, after=checkpoint_after)
            writer = HistoryWriter(path, lock, connection, run, checkpoint_after)
            on_failure.pop_all()
        return writer

    def append(self, facts: PollFacts) -> int:
        """Write all that a poll adds, in one transaction; returns the number of its transitions.

        Once it has returned the facts are on disk. The poll must be later than all before it, and continue the latest
        stretch with its very next poll or begin a new one.
        """
        known = self._known
        if known is None:
            with self._transaction():
                _, known = read_knowledge(self._connection, self._path)
            # A commit may report a failure and yet be done.
            if known.latest is not None and known.latest.stretch == facts.stretch:
                self._known, self._tally = known, known.tally
                return len(facts.transitions)
        _refuse_unless_next(facts, known)
        self._known = None
        with self._transaction():
            latest = self._write_stretch(facts, known.latest)
            left = self._write_agents(facts, known)
            rows = _rows(facts, known)
            self._connection.executemany(
                "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (?, ?, ?, ?)", rows
            )
            moved = {row[0] & AGENT_MASK: row[0] for row in rows}
            _refuse_unless_tracked(facts, known, moved)
            known.moments.update(moved)
            for agent in left:
                del known.moments[agent]
            since = known.tally.since_checkpoint + len(rows)
            checkpoint = bool(rows) and not self._purging and since >= self._checkpoint_after(len(known.moments))
            known.latest = latest
            known.tally = known.tally.plus(len(rows), facts.poll.received, checkpoint=checkpoint)
            if checkpoint:
                write_checkpoint(self._connection, facts.poll.received)
        self._known, self._tally = known, known.tally
        return len(rows)

    def reread(self) -> TrackerState:
        """What the file knows now, for when it refuses facts: a commit may have reported a failure and yet be done."""
        self._known = None
        with self._transaction():
            state, known = read_knowledge(self._connection, self._path)
        self._known, self._tally = known, known.tally
        return state

    def purge(self, before: int, now: int, progress: Progress, *, batch: int = BATCH) -> Iterator[Removed]:
        """Remove what was recorded before the instant `before` (ms); `now` is the time. See `care.purge`.

        It goes on by a step each time that it is asked, and between two steps facts may be appended. What `progress`
        raises ends it. Until it has ended no checkpoint is written.
        """
        self._purging = True
        try:
            with file.explaining(self._path):
                self._connection.execute("PRAGMA secure_delete = ON")
                for removed in purge_steps(
                    self._connection, before, now_ms=now, program=self._program, progress=progress, batch=batch
                ):
                    if removed.agents and self._known is not None:
                        self._known.agents = agent_ids(self._connection)
                    yield removed
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.reread()
        finally:
            self._purging = False

    def purged_until(self) -> int | None:
        """Before which instant (ms) nothing is recorded: the water-mark, or else the oldest fact; None without any."""
        with file.explaining(self._path):
            (mark,) = self._connection.execute("SELECT max(before) FROM purge").fetchone()
            return oldest(self._connection) if mark is None else int(mark)

    def incident(self, at: int, kind: str, detail: str) -> None:
        """Note something that explains the history, at the instant `at` (ms): a clock step, refused polls."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO incident (at, kind, detail, run) VALUES (?, ?, ?, ?)", (at, kind, detail, self._run)
            )

    def statistics(self) -> HistoryStatistics:
        """The size of the history; costs two calls of stat, whatever that size."""
        return HistoryStatistics(
            transitions=self._tally.transitions,
            oldest=self._tally.oldest,
            newest=self._tally.newest,
            main_bytes=_size(self._path),
            wal_bytes=_size(self._path.with_name(self._path.name + "-wal")),
        )

    def close(self, at: int, reason: EndReason, stretch_reason: EndReason | None = None) -> None:
        """End the run at `at` (ms) because of `reason`, and the stretch at its last poll, and let go of the file.

        `stretch_reason` says why the stretch ended if that was for another reason, such as polls that failed before.

        Does nothing the second time. If it raises, the file is let go of all the same, and the next start will take
        the run for crashed: nothing but the reason is lost.
        """
        if self._closed:
            return
        try:
            with self._transaction():
                end_run(self._connection, self._run, at, reason, stretch_reason or reason)
            # What readers still hold back is moved into the main file by the next start.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file without ending the run, as a crash would."""
        self._closed = True
        try:
            self._connection.close()
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        if not _is_still(self._file, self._path):
            # SQLite would go on with the file that is open, and at the end nothing of it would be left.
            raise DatabaseError(
                f"the history database {self._path} was removed or replaced while it was being written, and what is "
                "written now would be lost; put it back, or restart"
            )
        with file.explaining(self._path), file.transaction(self._connection):
            yield

    def _write_stretch(self, facts: PollFacts, latest: LatestStretch | None) -> LatestStretch:
        if latest is None or facts.begins_stretch:
            return LatestStretch(begin_stretch(self._connection, self._run, latest, facts), facts.stretch, None)
        continue_stretch(self._connection, latest, facts)
        return LatestStretch(latest.id, facts.stretch, None)

    def _write_agents(self, facts: PollFacts, known: Knowledge) -> list[int]:
        """Who came, who left and who is described anew; returns the ids of those who left."""
        received, agents, execute_many = facts.poll.received, known.agents, self._connection.executemany
        left = [agents[agent_id] for agent_id in facts.left]
        if not known.moments.keys() >= set(left) or (left and facts.left_before is None):
            raise FactsRefusedError("an agent has left that was not tracked, or it is not said when")
        if left and facts.left_before is not None:
            last = facts.left_before
            execute_many(
                "UPDATE tracking SET tracked_until = ?, until_sent = ? WHERE agent = ? AND tracked_until IS NULL",
                [(last.last, last.last_sent, agent) for agent in left],
            )
        if facts.joined:
            execute_many(
                "INSERT INTO tracking (agent, tracked_from) VALUES (?, ?)",
                [(agents[agent_id], received) for agent_id in facts.joined],
            )
        if facts.described:
            execute_many(
                "INSERT INTO agent_version (agent, valid_from, name, team) VALUES (?, ?, ?, ?)",
                [(agents[agent.agent_id], received, agent.name, agent.team) for agent in facts.described],
            )
        return left


def _refuse_unless_next(facts: PollFacts, known: Knowledge) -> None:
    stretch, latest = facts.stretch, known.latest.stretch if known.latest else None
    if latest and facts.poll.received <= latest.last:
        raise FactsRefusedError(
            f"a poll received at {facts.poll.received} is not later than the recorded one at {latest.last}"
        )
    if stretch.last != facts.poll.received:
        raise FactsRefusedError("the stretch does not end with its poll")
    if facts.begins_stretch:
        if stretch.polls != 1 or (latest is None) != (facts.previous_ended is None):
            raise FactsRefusedError("a new stretch has one poll, and ends the one before it, if any, for a reason")
    elif latest is None or (stretch.started, stretch.polls) != (latest.started, latest.polls + 1):
        # Also if facts were lost in between: their transitions would be missing from time said to be known.
        raise FactsRefusedError("the poll is not the next one of the latest stretch")


def _refuse_unless_tracked(facts: PollFacts, known: Knowledge, moved: dict[int, int]) -> None:
    """Each spell of tracking begins with a transition: that is what finding an agent's status relies on."""
    tracked, joined = known.moments.keys(), {known.agents[agent_id] for agent_id in facts.joined}
    if (joined or not moved.keys() <= tracked) and moved.keys() - tracked != joined:
        raise FactsRefusedError("an agent has joined without a first observation, or changed without being tracked")


def _rows(facts: PollFacts, known: Knowledge) -> list[_Row]:
    """The rows of `transition`, in the order of their key."""
    agents, statuses, reported = known.agents, known.statuses, Kind.REPORTED
    rows: list[_Row] = []
    add = rows.append
    # `status_key` is spelled out: a call for each status would be a tenth of the cost of writing.
    for change in facts.transitions:
        seen, after, before = change.seen, change.to_status, change.from_status
        add(
            (
                seen << AGENT_BITS | agents[change.agent_id],
                statuses[after.word if after.kind is reported else (int(after.kind), after.word)],
                None
                if before is None
                else statuses[before.word if before.kind is reported else (int(before.kind), before.word)],
                None if change.not_before is None else seen - change.not_before,
            )
        )
    rows.sort(key=_MOMENT)
    if rows and not rows[0][0] >> AGENT_BITS == rows[-1][0] >> AGENT_BITS == facts.poll.received:
        raise FactsRefusedError("a transition was not seen by the poll that brings it")
    return rows


def _is_still(opened: os.stat_result, path: Path) -> bool:
    """Whether that file is the one at `path`, as far as may be known."""
    try:
        return os.path.samestat(opened, path.stat())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
