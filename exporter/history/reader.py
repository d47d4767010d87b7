"""Reads the history database for reports: read-only, without the writer's lock, while `serve` goes on writing.

Only SQLite itself opens the file. (A plain open and close of it would drop the locks of a writer in this process.)
"""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from exporter.errors import DatabaseError
from exporter.history.connection import BUSY_TIMEOUT_S, damaged, explained, resolve, schema_version
from exporter.history.facts import (
    FOREVER,
    AgentFacts,
    Change,
    Description,
    HistoryFacts,
    Period,
    RecordedStretch,
)
from exporter.history.ids import statuses
from exporter.history.schema import AGENT_BITS, AGENT_MASK, SCHEMA_VERSION, STATE_AT
from exporter.history.window import Window
from exporter.model import EndReason, Kind, Status, Stretch

_LATEST: Final = (1 << 63 - AGENT_BITS) - 2
"""The latest instant that a transition can have."""

_AGENTS: Final = "SELECT id, agent_id FROM agent"
_VERSIONS: Final = "SELECT agent, valid_from, name, team FROM agent_version ORDER BY agent, valid_from"
_TRACKING: Final = """
SELECT agent, tracked_from, coalesce(tracked_until, :forever) FROM tracking
WHERE tracked_from < :until AND (tracked_until IS NULL OR tracked_until > :since)
ORDER BY agent, tracked_from
"""
_STRETCHES: Final = """
SELECT first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms, end_reason FROM coverage
WHERE started <= :until AND started >= coalesce((SELECT max(started) FROM coverage WHERE started <= :since), :since)
ORDER BY started
"""
_LATEST_RUN: Final = "SELECT end_reason FROM run ORDER BY id DESC LIMIT 1"
_TRANSITIONS: Final = """
SELECT moment, to_status, from_status, uncertainty FROM transition
WHERE moment >= :first AND moment < :behind ORDER BY moment
"""


class HistoryReader:
    """A read-only view of a history database; use it on the thread that opened it."""

    def __init__(self, path: Path) -> None:
        """Use `HistoryReader.open` instead."""
        self._path = path
        self._at_rest = _fingerprint_at_rest(path)
        self._connection = _connect(path, immutable=self._at_rest is not None)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["HistoryReader"]:
        """The reader of the database at `path`, until the block ends.

        Raises DatabaseError, naming the file and what to do, if there is none, it cannot be read, is no history
        database, or was made by another version of this program.
        """
        reader = cls(_readable_file(path))
        try:
            yield reader
        finally:
            reader._connection.close()

    def facts(self, window: Window) -> HistoryFacts:
        """All that reports on `window` need, as of one instant: a poll is in it whole or not at all.

        Reads what lies in the window and what is carried into it, not what came before. Raises DatabaseError.
        """
        if self._at_rest is not None:
            with suppress(DatabaseError):
                facts = self._read(window)
                if _fingerprint_at_rest(self._path) == self._at_rest:
                    return facts
            self._at_rest = None
            self._connection.close()
            self._connection = _connect(self._path, immutable=False)
        return self._read(window)

    def _read(self, window: Window) -> HistoryFacts:
        with _explained(self._path), _transaction(self._connection):
            return _Reading(self._connection, window).facts()


class _Reading:
    """One reading of one window inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, window: Window) -> None:
        self._connection = connection
        self._window = window
        self._range = {"since": window.since, "until": window.until, "forever": FOREVER}
        self._statuses = statuses(connection)

    def facts(self) -> HistoryFacts:
        run = self._connection.execute(_LATEST_RUN).fetchone()
        run_ended = EndReason(run[0]) if run is not None and run[0] is not None else None
        stretches = self._stretches(run_ended)
        return HistoryFacts(
            window=self._window,
            agents=self._agents(stretches),
            stretches=stretches,
            run_open=run is not None and run_ended is None,
            water_mark=None,
            words=frozenset(s.word for s in self._statuses.values() if s.kind is Kind.REPORTED),
        )

    def _stretches(self, run_ended: EndReason | None) -> tuple[RecordedStretch, ...]:
        """Those of the window and the latest before it; one that still goes on ended with its run if that is over."""
        return tuple(
            RecordedStretch(Stretch(*row[:-1]), EndReason(row[-1]) if row[-1] is not None else run_ended)
            for row in self._connection.execute(_STRETCHES, self._range)
        )

    def _agents(self, stretches: tuple[RecordedStretch, ...]) -> tuple[AgentFacts, ...]:
        descriptions: defaultdict[int, list[Description]] = defaultdict(list)
        for agent, valid_from, name, team in self._connection.execute(_VERSIONS):
            descriptions[agent].append(Description(valid_from, name, team))
        tracked: defaultdict[int, list[Period]] = defaultdict(list)
        for agent, start, end in self._connection.execute(_TRACKING, self._range):
            tracked[agent].append(Period(start, end))
        changes = self._changes(tracked, stretches)
        return tuple(
            AgentFacts(
                agent_id, tuple(descriptions.get(key, ())), tuple(tracked.get(key, ())), tuple(changes.get(key, ()))
            )
            for key, agent_id in self._connection.execute(_AGENTS)
        )

    def _changes(
        self, tracked: dict[int, list[Period]], stretches: tuple[RecordedStretch, ...]
    ) -> dict[int, list[Change]]:
        """The transition carried into the window's start, those in it, and those seen late that may belong to it."""
        since, until = min(self._window.since, _LATEST), min(self._window.until, _LATEST)
        words, changes = self._statuses, defaultdict[int, list[Change]](list)
        for agent, moment, to_status, from_status, uncertainty in self._connection.execute(STATE_AT, {"at": since}):
            seen = moment >> AGENT_BITS
            if seen == since or any(start <= since < end for start, end in tracked.get(agent, ())):
                changes[agent].append(_change(words, seen, to_status, from_status, uncertainty))
        behind = min(until + _look_ahead(stretches, until), _LATEST)
        keys = {"first": (since + 1) << AGENT_BITS, "behind": behind << AGENT_BITS}
        for moment, to_status, from_status, uncertainty in self._connection.execute(_TRANSITIONS, keys):
            seen = moment >> AGENT_BITS
            if seen < until or (uncertainty is not None and seen - uncertainty < until):
                changes[moment & AGENT_MASK].append(_change(words, seen, to_status, from_status, uncertainty))
        return changes


def _change(
    words: dict[int, Status], seen: int, to_status: int, from_status: int | None, uncertainty: int | None
) -> Change:
    return Change(
        seen,
        seen - uncertainty if uncertainty is not None else None,
        words[from_status] if from_status is not None else None,
        words[to_status],
    )


def _look_ahead(stretches: tuple[RecordedStretch, ...], until: int) -> int:
    """How long after `until` a change that may have happened before it can have been seen, in the same stretch.

    The poll that saw the old status was sent before `until`, so it was received less than a gap limit later, and the
    one that saw the new status at most another gap limit after it. The 1 is for the end that does not belong to it.
    """
    return max((2 * s.stretch.gap_limit_ms + 1 for s in stretches if s.stretch.last >= until), default=0)


def _readable_file(path: Path) -> Path:
    """The file behind all symbolic links: SQLite puts its log beside that one."""
    found = resolve(path)
    if not found.exists():
        raise DatabaseError(
            f"there is no history database at {path}: give its file with --db, or record one with serve or demo"
        )
    if not os.access(found, os.R_OK):
        raise DatabaseError(
            f"reading the history database {path} is not allowed to this user: run as the user of serve, or have it "
            "write the file with --db.mode 0640 for a group"
        )
    return found


def _fingerprint_at_rest(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file is written, if nobody has it open for writing; else None.

    A writer keeps its log beside the file while it runs. With none, the file is read as one that does not change:
    otherwise SQLite would have to put a log there itself, even to read, and leave it, which fails in a folder that
    cannot be written. Whether that held is known afterwards, by a look at this again.
    """
    if any(os.path.lexists(f"{path}{suffix}") for suffix in ("-wal", "-journal")):
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _connect(path: Path, *, immutable: bool) -> sqlite3.Connection:
    """A connection that can only read, to a file that is a history database of the version that this program reads."""
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro" + ("&immutable=1" if immutable else "")
    with _explained(path):
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        try:
            _check_version(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = schema_version(connection, path)
    if version == 0:
        raise DatabaseError(f"{path} is an empty file, no history database: give another with --db")
    if version < SCHEMA_VERSION:
        raise DatabaseError(
            f"the history database {path} was made by an older version of zohovoice-exporter (its schema is {version}, "
            f"this program reads {SCHEMA_VERSION}): start serve on it once, which brings it up to date"
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what SQLite says into a sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise _sentence(error, path) from error
    except (KeyError, ValueError) as error:  # a status or an end reason that is in no table or enumeration
        raise damaged(path, f"it holds a value that it cannot hold: {error}") from error


def _sentence(error: sqlite3.Error, path: Path) -> DatabaseError:
    if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    ):
        return DatabaseError(
            f"cannot read the history database {path} ({error}): there is a log beside it that this user can neither "
            "read nor begin anew; run as the user of serve, or copy the file together with its -wal"
        )
    return explained(error, path)
