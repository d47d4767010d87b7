"""Copies a database while it is being written: the copy is as the original was at one instant, and is checked."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from exporter.errors import DatabaseError, UsageError
from exporter.history.care.check import findings
from exporter.history.care.figures import size
from exporter.history.care.files import logs_beside, make_one_file, new_file_beside, put_in_place
from exporter.history.care.findings import Result
from exporter.history.care.progress import UNSEEN
from exporter.history.connection import explained, resolve, schema_version
from exporter.history.reading import read_at_one_instant
from exporter.history.transfer.progress import Progress

_PAGES: Final = 1_024
"""Copied between two words about the progress."""


def backup_target(database: Path, target: Path) -> Path:
    """Where a backup of `database` that is to be called `target` goes, behind every symbolic link.

    Raises UsageError if that is the database itself, DatabaseError if something is there that no backup takes the place
    of: what is no file, or a database that another program has open.
    """
    found = resolve(target)
    if found == database or (found.exists() and found.samefile(database)):
        raise UsageError(f"FILE: {target} is the database itself; name another file for the backup")
    logs = logs_beside(found)
    if logs:
        raise DatabaseError(
            f"cannot write the backup {target}: beside it lies {logs[0].name}, so a database of this name is open, or "
            "was not closed well; name another file"
        )
    return found


def back_up(database: Path, target: Path, progress: Progress = UNSEEN) -> int:
    """Copy the database at `database` (see `reading.readable_file`) to `target` (see `backup_target`): its bytes.

    The copy is one file that only its owner can read. It appears whole and checked, or not at all, and takes the place
    of one that was there. What is derived is not checked: it can be made anew. Raises DatabaseError.
    """
    with new_file_beside(target) as part:
        try:
            read_at_one_instant(database, lambda connection: _copy(connection, database, part, progress))
            make_one_file(part)
        except sqlite3.Error as error:
            raise _sentence(error, database, target) from error
        _refuse_damaged(part, database, progress)
        try:
            put_in_place(part, target)
        except OSError as error:
            raise DatabaseError(f"cannot write the backup {target}: {error.strerror}; name another file") from error
    return size(target)


def _copy(source: sqlite3.Connection, database: Path, part: Path, progress: Progress) -> None:
    """The transaction of `source` keeps the copy to one instant, and from beginning anew whenever a poll is written."""
    if schema_version(source, database) == 0:
        raise DatabaseError(f"{database} is an empty file, no history database: give another with --db")
    (pages,) = source.execute("PRAGMA page_count").fetchone()
    progress.begin("Copying", pages)
    told = 0

    def tell(_: int, remaining: int, total: int) -> None:
        nonlocal told
        progress.advance(total - remaining - told)
        told = total - remaining

    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        source.backup(copy, pages=_PAGES, progress=tell)


def _refuse_damaged(part: Path, database: Path, progress: Progress) -> None:
    found = read_at_one_instant(part, lambda copy: list(findings(copy, database, progress=progress, derived=False)))
    failed = [finding for finding in found if finding.result is Result.FAILED]
    if failed:
        raise DatabaseError(
            f"no backup was made, for the history database {database} is damaged ({failed[0].check}: "
            f"{failed[0].detail}); history check tells more, and history export saves what can be read"
        )


def _sentence(error: sqlite3.Error, database: Path, target: Path) -> DatabaseError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code & 0xFF == sqlite3.SQLITE_FULL or code in (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC):
        return DatabaseError(f"cannot write the backup {target} ({error}): make room on its disk or name another file")
    return explained(error, database)
