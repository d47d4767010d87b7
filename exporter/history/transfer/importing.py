"""`history import`: from a file on disk to facts in the history, or to the sentence that says why not."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from exporter.errors import UsageError
from exporter.history import connection as database
from exporter.history.opening import open_for_writing
from exporter.history.runs import RunInfo
from exporter.history.transfer.incoming import FileKind, IncomingFile
from exporter.history.transfer.laws import first_broken_law
from exporter.history.transfer.merge import Merged, Provenance, already_imported, merge
from exporter.history.transfer.progress import Progress
from exporter.history.transfer.read_export import read_export
from exporter.history.transfer.read_log import read_log
from exporter.history.transfer.read_polls import look_at, read_polls
from exporter.history.transfer.stage import FILE, staged_database, staging_folder
from exporter.history.transfer.stage_export import stage_export
from exporter.history.transfer.stage_log import EVERYTHING, Covers, stage_log
from exporter.history.transfer.stage_polls import stage_polls
from exporter.history.window import iso_text
from exporter.tracker import Pace

_INTERVAL_OF_ONE_POLL_MS: Final = 30_000
"""A single poll proves no time, so its pace does not matter."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a file is to be read."""

    zone: ZoneInfo
    """Of times in the file that have no offset, and of times in messages."""
    kind: FileKind | None = None
    """What the file is; None: what it looks like."""
    covers: Covers = EVERYTHING
    """For a log."""
    interval_ms: int | None = None
    """For polls: the pause between two that was meant; None: the median one."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of it."""

    kind: FileKind
    merged: Merged | None
    """None: the file was imported before, and nothing was done."""
    before: int | None = None
    """When that was, ms."""
    skipped_polls: int = 0
    """Those that were not complete."""


def import_file(
    target: Path,
    incoming: Path,
    options: ImportOptions,
    run: RunInfo,
    progress: Progress,
    *,
    mode: int = 0o600,
    connection_type: type[sqlite3.Connection] = sqlite3.Connection,
) -> Imported:
    """Import the file `incoming` into the database `target`, which is made, with permissions `mode`, if it is missing.

    `run` is this run of the program; it began now. Nothing of the file is imported if this raises: UsageError for what
    is wrong with the file or does not fit it, ImportRefused for facts that must not be added, DatabaseError if the
    database cannot be written, which is also so while another process writes it.
    """
    target = database.resolve(target)
    file = IncomingFile.open(incoming)
    kind = options.kind or file.kind()
    _refuse_what_does_not_fit(options, kind, run.started)
    with _opened(target, run, mode, connection_type) as connection, staging_folder(target) as folder:
        before = already_imported(connection, file.sha256)
        if before is not None:
            return Imported(kind, None, before)
        return _import(connection, folder / FILE, file, kind, options, run, progress)


def _import(
    connection: sqlite3.Connection,
    staged: Path,
    file: IncomingFile,
    kind: FileKind,
    options: ImportOptions,
    run: RunInfo,
    progress: Progress,
) -> Imported:
    skipped = _STAGERS[kind](staged, file, options, run, progress)
    progress.begin("Comparing", 0)
    connection.execute("ATTACH DATABASE ? AS staged", (f"file:{quote(str(staged))}?mode=rw",))
    merged = merge(connection, Provenance(kind, file.name, file.sha256, run), progress, _iso(options.zone))
    return Imported(kind, merged, skipped_polls=skipped)


def _stage_log(staged: Path, file: IncomingFile, options: ImportOptions, run: RunInfo, progress: Progress) -> int:
    progress.begin(f"Reading {file.name}", file.size)
    rows = read_log(file, options.zone, run.started, progress.advance)
    with staged_database(staged, run) as connection:
        stage_log(connection, file, rows, options.covers, run, _iso(options.zone))
    return 0


def _stage_export(staged: Path, file: IncomingFile, options: ImportOptions, run: RunInfo, progress: Progress) -> int:
    progress.begin(f"Reading {file.name}", file.size)
    rows = read_export(file, progress.advance)
    iso = _iso(options.zone)
    with staged_database(staged, run) as connection:
        stage_export(connection, file, rows)
        broken = first_broken_law(connection, staged, run.started, iso, progress)
        if broken is not None:
            raise UsageError(f"cannot import {file.path}: {broken}")
    return 0


def _stage_polls(staged: Path, file: IncomingFile, options: ImportOptions, run: RunInfo, progress: Progress) -> int:
    progress.begin(f"Looking at {file.name}", file.size)
    seen = look_at(file, options.zone, run.started, progress.advance)
    interval_ms = options.interval_ms or seen.median_pause_ms or _INTERVAL_OF_ONE_POLL_MS
    progress.begin(f"Reading {file.name}", file.size)
    polls = read_polls(file, options.zone, run.started, progress.advance)
    stage_polls(staged, polls, Pace.of_interval(interval_ms), run)
    return seen.incomplete


_STAGERS: Final[dict[FileKind, Callable[[Path, IncomingFile, ImportOptions, RunInfo, Progress], int]]] = {
    FileKind.LOG: _stage_log,
    FileKind.EXPORT: _stage_export,
    FileKind.POLLS: _stage_polls,
}
"""Each fills the staged database from the file, and returns how many polls it left out."""


def _refuse_what_does_not_fit(options: ImportOptions, kind: FileKind, now: int) -> None:
    covers = options.covers
    if covers != EVERYTHING and kind is not FileKind.LOG:
        raise UsageError(f"--covers-since and --covers-until are for a log, and this is an import of kind {kind.value}")
    if options.interval_ms is not None and kind is not FileKind.POLLS:
        raise UsageError(f"--interval is for polls, and this is an import of kind {kind.value}")
    if covers.until is not None and covers.until > now:
        raise UsageError(
            f"--covers-until {iso_text(covers.until, options.zone)} lies in the future: a log tells of the past"
        )


def _iso(zone: ZoneInfo) -> Callable[[int], str]:
    return lambda at: iso_text(at, zone)


@contextlib.contextmanager
def _opened(
    target: Path, run: RunInfo, mode: int, connection_type: type[sqlite3.Connection]
) -> Iterator[sqlite3.Connection]:
    """The database, of the newest version, to be written under its lock; one that is made here goes if the block fails.

    One that exists keeps its permissions.
    """
    existed = target.exists()
    with database.explaining(target), contextlib.ExitStack() as stack:
        lock, connection = open_for_writing(
            target,
            now_ms=run.started,
            program=run.version,
            mode=None if existed else mode,
            connection_type=connection_type,
        )
        stack.callback(lock.release)
        with contextlib.closing(connection):
            # Somebody else may have made it before the lock was ours.
            (made,) = connection.execute("SELECT min(applied) FROM migration").fetchone()
            try:
                yield connection
            except BaseException:
                if not existed and made == run.started:
                    stack.callback(_remove, target)
                raise


def _remove(database_file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        database_file.with_name(database_file.name + suffix).unlink(missing_ok=True)
