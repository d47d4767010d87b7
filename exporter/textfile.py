"""Reading the files that a person writes: without waiting for ever, without end, with one sentence for each failure."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from exporter.errors import UsageError

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a text file; a list of 100,000 agents has ten."""


def content(path: Path, largest: int) -> bytes:
    """What is in the file, at most `largest` bytes. Raises OSError, ValueError for what is no name of a file.

    A pipe in the place of the file would hold the thread until somebody writes, and reads as empty once it was read:
    an empty web configuration file asks for no login.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OSError(errno.ESPIPE, "it is a pipe, and must be a file that can be read again")
        with open(descriptor, "rb", closefd=False) as file:
            read: bytes | None = file.read(largest + 1)
    finally:
        os.close(descriptor)
    if read is None:
        raise OSError(errno.EAGAIN, "it is a device that waits for input, and must be a file")
    if len(read) > largest:
        raise OSError(errno.EFBIG, f"it is larger than {largest // (1024 * 1024)} MiB")
    return read


def read_text(path: Path, what: str) -> str:
    """The text of `path` without a byte order mark; `what` says in messages whose file it is ("--agents.file").

    Raises UsageError if it cannot be read or is not UTF-8 (then with the line).
    """
    try:
        found = content(path, LARGEST)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{what}: cannot read the file {path}: {reason}") from error
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line}: this is not UTF-8 text: save the file as UTF-8") from error
