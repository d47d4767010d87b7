"""A file that is to be imported: read line by line, with limits, for whoever wrote it need not mean well."""

import hashlib
import stat
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from exporter.errors import ExporterError, UsageError
from exporter.history.transfer.format import FORMAT

LONGEST_LINE: Final = 4 * 1024 * 1024
"""Bytes: a poll of 50,000 agents."""

_BLOCK: Final = 1024 * 1024
_MARK: Final = b"\xef\xbb\xbf"


class FileKind(Enum):
    """What a file holds; the values are what `--kind` takes."""

    EXPORT = "export"
    """All facts of a database, as `history export` writes them."""
    LOG = "log"
    """Who entered which status when, exactly."""
    POLLS = "polls"
    """Polls, to be compared with one another as live ones are."""


class Line(NamedTuple):
    """A line of the file, with its end; the first one is number 1."""

    number: int
    text: str


class IncomingFile:
    """A file on disk and the SHA-256 of its bytes."""

    def __init__(self, path: Path, size: int, sha256: str) -> None:
        """Use `open`."""
        self.path: Final = path
        self.size: Final = size
        self.sha256: Final = sha256

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return self.path.name

    @staticmethod
    def open(path: Path) -> "IncomingFile":
        """Look at the file and read it once. Raises UsageError if it is none or cannot be read, or is empty."""
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise UsageError(f"cannot import {path}: it is not a file")
            digest = hashlib.sha256()
            with path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise UsageError(f"cannot import {path}: {error.strerror or error}") from error
        if not found.st_size:
            raise UsageError(f"cannot import {path}: the file is empty")
        return IncomingFile(path, found.st_size, digest.hexdigest())

    def lines(self, advance: Callable[[int], None] = lambda _: None) -> Iterator[Line]:
        """Every line as text without a byte order mark; `advance` is told how many bytes have been read since.

        Raises UsageError, which names the line, for one that is too long or no UTF-8; ExporterError at the end if the
        file is not the one that it was before.
        """
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as stream:
                number = 0
                while raw := stream.readline(LONGEST_LINE + 1):
                    number += 1
                    digest.update(raw)
                    advance(len(raw))
                    yield Line(number, self._text(number, raw))
        except OSError as error:
            raise UsageError(f"cannot import {self.path}: {error.strerror or error}") from error
        if digest.hexdigest() != self.sha256:
            raise ExporterError(f"{self.path} was changed while it was read: import it when it is complete")

    def kind(self) -> FileKind:
        """What the first line that is not empty shows the file to be."""
        first = next((line.text.strip() for line in self.lines() if line.text.strip()), "")
        if not first:
            raise UsageError(f"cannot import {self.path}: the file is empty")
        if not first.startswith("{"):
            return FileKind.LOG
        return FileKind.EXPORT if '"format"' in first and FORMAT in first else FileKind.POLLS

    def at(self, line: int, column: str | None = None) -> str:
        """A place in the file, as messages begin with it."""
        return f"{self.path}, line {line}" + (f", column '{column}'" if column is not None else "")

    def _text(self, number: int, raw: bytes) -> str:
        if len(raw) > LONGEST_LINE:
            raise UsageError(f"{self.at(number)}: the line is longer than {LONGEST_LINE // 1024 // 1024} MiB")
        try:
            return (raw.removeprefix(_MARK) if number == 1 else raw).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.at(number)}: this is not UTF-8 text: save the file as UTF-8") from error
