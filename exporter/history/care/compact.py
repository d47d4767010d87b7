"""Builds a database anew without the space that is no longer used, and lets the new file take the place of the old."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from exporter.errors import DatabaseError
from exporter.history.care.check import findings
from exporter.history.care.figures import size
from exporter.history.care.files import logs_beside, new_file_beside, put_in_place
from exporter.history.care.findings import Result
from exporter.history.care.progress import UNSEEN
from exporter.history.connection import explained, roll_back
from exporter.history.reading import read_at_one_instant
from exporter.history.schema import TABLES
from exporter.history.transfer.progress import Progress

_MARGIN: Final = 1024 * 1024
"""Bytes that must be left on the disk."""
_STEPS: Final = 200_000
"""Of SQLite's virtual machine, between two words about the progress."""
_PATIENCE_MS: Final = 1_000
"""How long others may take to let go of the file."""


class Compacted(NamedTuple):
    """Bytes of the file and its log."""

    before: int
    after: int


def compact(
    connection: sqlite3.Connection,
    path: Path,
    *,
    progress: Progress = UNSEEN,
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> Compacted:
    """Compact the database at `path`, which `connection` may write (see `opening.opened_for_care`) and must be closed
    after it. Nobody else may have the file open, not even to read: their view of it would be of a file that is gone.

    The new file is checked before it takes the place of the old, and keeps owner and permissions. Whatever happens, the
    one or the other is there, whole. Raises DatabaseError or sqlite3.Error.
    """
    before, old = size(path) + size(path.with_name(path.name + "-wal")), path.stat()
    _refuse_without_room(connection, path, free_bytes(path.parent))
    _take_for_itself(connection, path)
    try:
        with new_file_beside(path) as part:
            _build(connection, path, part, progress)
            _refuse_unless_equal(connection, path, part, progress)
            _adopt(path, part)
            put_in_place(part, path)
    except BaseException as error:
        if os.path.samestat(old, path.stat()):  # else the connection has open what is no longer there
            _let_go(connection)
        if not isinstance(error, OSError):
            raise
        raise DatabaseError(
            f"cannot put the compacted database in the place of {path} ({error.strerror}); nothing was changed"
        ) from error
    return Compacted(before, size(path))


def _refuse_without_room(connection: sqlite3.Connection, path: Path, free: int) -> None:
    used, unused, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    needed = (used - unused) * page + _MARGIN
    if free < needed:
        raise DatabaseError(
            f"cannot compact the history database {path}: the new file beside it needs {needed} bytes and the disk has "
            f"{free} left; make room on it; nothing was changed"
        )


def _take_for_itself(connection: sqlite3.Connection, path: Path) -> None:
    """Put the log into the file, remove it, and lock out everybody else for as long as the connection is open.

    A log left beside the new file would damage it. SQLite gives it up only if nobody else has the file open.
    """
    try:
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        _let_go(connection)
        if _code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        raise _in_use(path) from error
    if logs_beside(path):
        _let_go(connection)
        raise _in_use(path)


def _in_use(path: Path) -> DatabaseError:
    return DatabaseError(
        f"cannot compact the history database {path}: another program has it open; close it there and try again; "
        "nothing was changed"
    )


def _let_go(connection: sqlite3.Connection) -> None:
    """Leave the file as it was found."""
    with suppress(sqlite3.Error):
        roll_back(connection)
        connection.execute("PRAGMA locking_mode = NORMAL")
        connection.execute("PRAGMA journal_mode = WAL")


def _build(connection: sqlite3.Connection, path: Path, part: Path, progress: Progress) -> None:
    told = 0

    def tell() -> None:
        nonlocal told
        written = size(part)
        progress.advance(written - told)
        told = written

    progress.begin("Compacting", size(path))
    connection.set_progress_handler(tell, _STEPS)
    try:
        connection.execute("VACUUM INTO ?", (str(part),))
        with closing(sqlite3.connect(part, isolation_level=None)) as new:
            new.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        if _code(error) == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from error  # Ctrl-C came while `tell` ran, and SQLite took it for its own
        if _code(error) == sqlite3.SQLITE_FULL:
            raise DatabaseError(
                f"cannot compact the history database {path}: the disk is full; make room on it; nothing was changed"
            ) from error
        raise explained(error, path) from error
    finally:
        connection.set_progress_handler(None, 0)


def _refuse_unless_equal(connection: sqlite3.Connection, path: Path, part: Path, progress: Progress) -> None:
    """The new file must pass all checks and hold as many rows as the old one."""

    def work(new: sqlite3.Connection) -> str:
        for finding in findings(new, part, progress=progress, derived=False):
            if finding.result is Result.FAILED:
                return f"{finding.check}: {finding.detail}"
        for table in sorted(TABLES):
            count = f"SELECT count(*) FROM {table}"  # noqa: S608 - our own names
            if new.execute(count).fetchone() != connection.execute(count).fetchone():
                return f"rows of {table} are missing"
        return ""

    fault = read_at_one_instant(part, work)
    if fault:
        raise DatabaseError(
            f"the history database {path} is damaged ({fault}), so it was not compacted and nothing was changed; "
            "history check tells more"
        )


def _adopt(path: Path, part: Path) -> None:
    """Give the new file the owner and the permissions of the old one. Raises OSError."""
    old, new = path.stat(), part.stat()
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.chown(part, old.st_uid, old.st_gid)
    part.chmod(old.st_mode & 0o777)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
