"""Opening a history database to read it, beside a writer or in a folder where nothing can be written.

Only SQLite itself opens the file. (A plain open and close of it would drop the locks of a writer in this process.)
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from exporter.errors import DatabaseError
from exporter.history.connection import BUSY_TIMEOUT_S, IMPOSSIBLE, explained, impossible, resolve, schema_version
from exporter.history.schema import SCHEMA_VERSION

T = TypeVar("T")


def readable_file(path: Path) -> Path:
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


def fingerprint_at_rest(path: Path) -> tuple[int, int, int] | None:
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


def held_still(path: Path, at_rest: tuple[int, int, int] | None) -> None:
    """Raises DatabaseError if a file was at rest, with this `fingerprint_at_rest`, and is so no longer."""
    if at_rest is not None and fingerprint_at_rest(path) != at_rest:
        raise DatabaseError(f"somebody began to write the history database {path} while it was read: do the same again")


def connect_read_only(path: Path, *, immutable: bool) -> sqlite3.Connection:
    """A connection that can only read, to a file that is a history database of the version that this program reads."""
    with explaining_reading(path):
        connection = _connect(path, immutable=immutable)
        try:
            _check_version(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def read_at_one_instant(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` makes of the file at `path` (see `readable_file`), whatever it holds, read in one transaction.

    `work` is called once more if the file turns out to have been written meanwhile though nobody seemed to write it.
    Raises what `work` raises, and sqlite3.Error if there is no transaction to be had.
    """
    at_rest = fingerprint_at_rest(path)
    if at_rest is not None:
        try:
            result = _read(path, work, immutable=True)
        except (DatabaseError, sqlite3.Error):
            if fingerprint_at_rest(path) == at_rest:
                raise
        else:
            if fingerprint_at_rest(path) == at_rest:
                return result
    return _read(path, work, immutable=False)


def _read(path: Path, work: Callable[[sqlite3.Connection], T], *, immutable: bool) -> T:
    with closing(_connect(path, immutable=immutable)) as connection, read_transaction(connection):
        return work(connection)


def _connect(path: Path, *, immutable: bool) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro" + ("&immutable=1" if immutable else "")
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)


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
def read_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that only reads: everything in it is of one instant. Inside another one it is part of that."""
    outer = connection.in_transaction
    if outer:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def explaining_reading(path: Path) -> Iterator[None]:
    """Turns what SQLite says into a sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise _sentence(error, path) from error
    except IMPOSSIBLE as error:  # such as a status or an end reason that is in no table or enumeration
        raise impossible(error, path) from error


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
