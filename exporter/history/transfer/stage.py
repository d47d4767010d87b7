"""A staged database: the facts of a file on their way into the history, in a folder that nobody else reads.

It has the schema of a history. Source 0 is the file's own: the log, the polls, or the recorder of the database that
was exported. It can be thrown away at any moment, so nothing in it waits for the disk.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from exporter.errors import DatabaseError
from exporter.history.migrations import migrate
from exporter.history.runs import RunInfo

FILE: Final = "staged.db"


@contextlib.contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """A new folder beside the database at the resolved path `target`, for its owner alone; removed at the end.

    Call it under the writer's lock: what a killed import has left behind is removed first. Raises DatabaseError.
    """
    folder = target.with_name(f".{target.name}.import")
    try:
        if folder.exists() or folder.is_symlink():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise DatabaseError(
            f"cannot make the folder {folder}, where the file is read into before it is imported ({error.strerror});"
            " change the permissions of the folder that it is to be in"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def staged_database(path: Path, run: RunInfo) -> Iterator[sqlite3.Connection]:
    """A new, empty history at `path` in one transaction, which is committed at the end if all went well."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(Database(connection, execute_plugins=False), 0, now_ms=run.started, program=run.version)
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
