"""New database files: made beside the place where they will stand, and put there whole or not at all."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from exporter.errors import DatabaseError

LOGS: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database. Left beside another one that takes its place, they would damage that."""


def logs_beside(path: Path) -> list[Path]:
    """Those of the files in `LOGS` that exist beside the database at `path`."""
    return [found for suffix in LOGS if os.path.lexists(found := path.with_name(path.name + suffix))]


@contextmanager
def new_file_beside(path: Path) -> Iterator[Path]:
    """An empty file in the folder of `path` that nobody but its owner can read; removed with its logs if it is still
    there at the end of the block.

    Raises DatabaseError if none can be made there.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise DatabaseError(
            f"cannot write into the directory {path.parent}: {error.strerror}; make room there or "
            "change its permissions"
        ) from error
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
    finally:
        for left in (*logs_beside(part), part):
            left.unlink(missing_ok=True)


def put_in_place(part: Path, path: Path) -> None:
    """Let the closed database `part`, once it is safe on the disk, take the place of `path`. Raises OSError."""
    _sync(part)
    part.replace(path)
    with suppress(OSError):  # after a power cut the one or the other is there
        _sync(path.parent)


def make_one_file(path: Path) -> None:
    """Let the database at `path` need no log beside it, so that it can be copied as it is. Raises sqlite3.Error."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
