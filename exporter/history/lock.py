"""The right to write a history database: one process at a time, for as long as it lives."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from exporter.errors import DatabaseError

_TRIES: Final = 10
_PID_BYTES: Final = 20


class WriterLock:
    """An exclusive `flock` on `<database>.lock`, which the kernel drops when the process dies, however it dies.

    It is a file of its own because opening and closing the database file in the writing process would drop the locks
    that SQLite holds on it. It exists while the lock is held (and after a crash, which does no harm).
    Everything that changes a database takes it; what only reads never does.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @staticmethod
    def acquire(database: Path) -> "WriterLock":
        """Take the lock of the database at the resolved path `database`, or raise DatabaseError at once."""
        path = database.with_name(database.name + ".lock")
        for _ in range(_TRIES):
            descriptor = _open(path, database)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.pread(descriptor, _PID_BYTES, 0)
                os.close(descriptor)
                raise _refusal(database, holder, error) from error
            if _is_at(path, descriptor):
                with contextlib.suppress(OSError):  # a full disk: nobody can then be told who holds the lock, no more
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                return WriterLock(path, descriptor)
            os.close(descriptor)  # its holder has just let go and removed it
        raise DatabaseError(f"cannot lock the history database {database}: {path} keeps being replaced; try again")

    def release(self) -> None:
        """Let go; does nothing the second time."""
        if self._descriptor is None:
            return
        # Removed while still held: who opened it in between finds that it is no longer at its path, and tries again.
        with contextlib.suppress(OSError):  # in a directory that cannot be written it stays, which does no harm
            self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def _open(path: Path, database: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DatabaseError(
                f"cannot lock the history database {database}: {path} is a symbolic link; remove it"
            ) from error
        raise DatabaseError(
            f"cannot write the history database {database}: {path} cannot be created or opened"
            f" ({error.strerror}); change the permissions or choose another file with --db"
        ) from error


def _refusal(database: Path, holder: bytes, error: OSError) -> DatabaseError:
    if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
        return DatabaseError(
            f"cannot lock the history database {database} ({error.strerror}); choose a file on a local disk with --db"
        )
    process = f" (process {holder.decode()})" if holder.isdigit() else ""
    return DatabaseError(
        f"the history database {database} is being written by another zohovoice-exporter{process};"
        " stop it first or choose another file with --db"
    )


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file that is open as `descriptor` is still the one at `path`."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
