"""The database file itself: who may read it, whether it is one of ours, and what its errors mean to a person."""

import contextlib
import os
import shlex
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exporter.errors import DatabaseError
from exporter.history.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES
from exporter.model import storable

IMPOSSIBLE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading a damaged file can fail with where SQLite notices nothing: it holds values that nobody ever wrote."""

UNUSABLE: Final = (sqlite3.Error, OSError, DatabaseError, *IMPOSSIBLE)
"""What using a database can fail with through no fault of the program."""

BUSY_TIMEOUT_S: Final = 5.0
"""How long a statement waits for a lock that another program holds on the file."""

_WAL_KEPT_BYTES: Final = 16 * 1024 * 1024

_CHOOSE: Final = "choose another file with --db"

_MEANINGS: Final = {
    sqlite3.SQLITE_NOTADB: f"{{path}} is not an SQLite database and is left as it is; {_CHOOSE}",
    sqlite3.SQLITE_CORRUPT: (
        "the history database {path} is damaged ({error}) and is left as it is:"
        " run zohovoice-exporter history check --db {quoted} to see what is damaged and"
        " zohovoice-exporter history export --db {quoted} to save what can be read, then restore a backup,"
        " or move the file away to begin a new history"
    ),
    sqlite3.SQLITE_READONLY: (
        f"cannot write the history database {{path}} ({{error}}); change its permissions or {_CHOOSE}"
    ),
    sqlite3.SQLITE_CANTOPEN: (
        f"cannot open the history database {{path}} ({{error}}); change its permissions or {_CHOOSE}"
    ),
    sqlite3.SQLITE_FULL: "cannot write the history database {path}: the disk is full; make room on it",
    sqlite3.SQLITE_BUSY: "the history database {path} is locked by another program; find out which and let it finish",
    sqlite3.SQLITE_IOERR: (
        "cannot read or write the history database {path} ({error}); check the disk, and the quota if there is one"
    ),
}


def resolve(path: Path) -> Path:
    """The absolute path of the database behind every symbolic link, so that all names of a file share one lock.

    Raises DatabaseError if its directory is missing or if something that is no file is there.
    """
    try:
        found = path.resolve()
        kind = found.stat().st_mode if found.exists() else stat.S_IFREG
        directory = found.parent.is_dir()
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        raise DatabaseError(f"cannot open the history database {path} ({error}); {_CHOOSE}") from error
    if not directory:
        raise DatabaseError(
            f"cannot open the history database {found}: the directory {found.parent} does not exist;"
            f" create it or {_CHOOSE}"
        )
    if not stat.S_ISREG(kind):
        raise DatabaseError(f"cannot open the history database {found}: it is not a file; {_CHOOSE}")
    return found


def create_if_missing(path: Path, mode: int) -> None:
    """See that the file exists; a new one can be read by nobody but its owner from its first byte on, then has `mode`.

    Call it before the file is opened: closing a second descriptor of an open database would drop SQLite's locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise DatabaseError(
            f"cannot create the history database {path} ({error.strerror});"
            f" change the permissions of its directory or {_CHOOSE}"
        ) from error
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def set_mode(path: Path, mode: int) -> None:
    """Give a database that is known to be ours the permissions `mode`, and the files that SQLite keeps beside it too.

    SQLite copies the permissions when it creates those; a crash may have left some from before.
    """
    try:
        for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
            if file.exists() and stat.S_IMODE(file.stat().st_mode) != mode:
                file.chmod(mode)
    except OSError as error:
        raise DatabaseError(
            f"cannot give the history database {path} the permissions {mode:04o} ({error.strerror});"
            f" run as its owner or {_CHOOSE}"
        ) from error


def connect(path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """A connection that writes the existing file `path`; transactions begin and end only where they are written out."""
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, factory=factory
    )


def prepare_for_writing(connection: sqlite3.Connection, path: Path) -> None:
    """Set what lasts as long as the connection, and the journal mode; only for a database that is known to be ours.

    Synchronous FULL: a poll that was reported as written survives a power cut; at one commit a poll it costs nothing.
    """
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise DatabaseError(
            f"cannot write the history database {path}: its file system or permissions do not allow a write-ahead log;"
            f" {_CHOOSE}"
        )


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of a database of ours that this program can use; 0 for one that holds nothing at all.

    Cheap at any size: it reads the header and the names of the tables. Raises DatabaseError for another application's
    database and for one made by a newer version; sqlite3.Error if the file is no database or damaged.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    except UnicodeDecodeError as error:
        raise damaged(path, "a name in it cannot be read") from error
    if (application_id, version) == (0, 0) and not tables:
        return 0
    if application_id != APPLICATION_ID:
        raise DatabaseError(f"{path} is the database of another application and is left as it is; {_CHOOSE}")
    if version < 1:
        raise damaged(path, f"its schema version is {version}")
    if version > SCHEMA_VERSION:
        raise DatabaseError(
            f"the history database {path} was made by a newer version of zohovoice-exporter (its schema is {version},"
            f" this program knows {SCHEMA_VERSION}); upgrade this program or {_CHOOSE}"
        )
    if version == SCHEMA_VERSION and not tables >= TABLES:
        raise damaged(path, f"it lacks the table {min(TABLES - tables)}")
    return int(version)


def damaged(path: Path, what: str) -> DatabaseError:
    """The error for a database that cannot be what this program has written."""
    return _error(_MEANINGS[sqlite3.SQLITE_CORRUPT], path, what)


def impossible(error: Exception, path: Path) -> DatabaseError:
    """The error for a file whose values are such that reading them failed with `error`, one of IMPOSSIBLE."""
    return damaged(path, f"it holds what it cannot hold: {type(error).__name__}: {storable(str(error))}")


def explained(error: sqlite3.Error, path: Path) -> DatabaseError:
    """What `error` means for the database at `path`, and what to do about it."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if str(error).startswith("Could not decode"):  # Python's own, which has no code
        return damaged(path, storable(str(error)))
    meaning = _MEANINGS.get(code, f"cannot use the history database {{path}} ({{error}}); {_CHOOSE}")
    return _error(meaning, path, str(error))


def _error(meaning: str, path: Path, error: str) -> DatabaseError:
    return DatabaseError(meaning.format(path=path, quoted=shlex.quote(str(path)), error=error))


@contextlib.contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences that say what to do: DatabaseError.

    A broken constraint and a misused connection are raised as they are: mistakes in the program, not in the file.
    """
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.Error as error:
        raise explained(error, path) from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that writes: all of it is done when the block ends, or nothing if it raises."""
    roll_back(connection)  # what an earlier failure may have left open
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            roll_back(connection)
        raise


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo the transaction that is open, if one is."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
