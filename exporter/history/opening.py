"""Opening a history database to change it: the one way in, for the recorder and for the care of the file."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database

from exporter.errors import DatabaseError
from exporter.history import connection as file
from exporter.history.lock import WriterLock
from exporter.history.migrations import migrate


def open_for_writing(
    path: Path,
    *,
    now_ms: int,
    program: str,
    mode: int | None,
    connection_type: type[sqlite3.Connection] = sqlite3.Connection,
) -> tuple[WriterLock, sqlite3.Connection]:
    """Take the lock of the database at the resolved `path`, open it and bring it to the newest schema.

    `mode`: the permissions that the file has from then on, which is made if it is missing; None: one that exists keeps
    its own, and none is made. Raises DatabaseError or sqlite3.Error (see `connection.explaining`), and leaves the file
    as it is, if another process writes it, it is missing, not ours, newer, damaged, or not to be written here.
    """
    with contextlib.ExitStack() as on_failure:
        lock = WriterLock.acquire(path)
        on_failure.callback(lock.release)
        if mode is not None:
            file.create_if_missing(path, mode)
        connection = file.connect(path, connection_type)
        on_failure.callback(connection.close)
        version = file.schema_version(connection, path)
        if mode is not None:
            file.set_mode(path, mode)
        elif version == 0:
            raise DatabaseError(f"{path} is an empty file, no history database: give another with --db")
        file.prepare_for_writing(connection, path)
        migrate(
            Database(connection, recursive_triggers=False, execute_plugins=False),
            version,
            now_ms=now_ms,
            program=program,
        )
        if version == 0:
            # A new database would live in its log alone: one that is damaged there would look as if it had never been.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        on_failure.pop_all()
    return lock, connection


@contextlib.contextmanager
def opened_for_care(
    path: Path, *, now_ms: int, program: str, connection_type: type[sqlite3.Connection] = sqlite3.Connection
) -> Iterator[sqlite3.Connection]:
    """A connection that may change the existing database at the resolved `path`, which nobody records into meanwhile.

    What is deleted through it is overwritten with zeros. Raises DatabaseError: see `open_for_writing`.
    """
    if not path.exists():
        raise DatabaseError(f"there is no history database at {path}: give its file with --db")
    with file.explaining(path), contextlib.ExitStack() as stack:
        lock, connection = open_for_writing(
            path, now_ms=now_ms, program=program, mode=None, connection_type=connection_type
        )
        stack.callback(lock.release)
        stack.callback(connection.close)
        connection.execute("PRAGMA secure_delete = ON")
        yield connection
