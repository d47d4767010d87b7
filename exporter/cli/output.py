"""Where a report goes: `--format` and `--output`, a terminal or a file that appears whole or not at all."""

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, TextIO, TypeVar

import click

from exporter.errors import ExporterError, UsageError
from exporter.report.formats import STREAMS, notes
from exporter.report.model import Report

R = TypeVar("R")

_ROWS_ONLY: Final = frozenset({"csv", "tsv", "ndjson"})
"""Formats without a place for what was asked and how sure the answer is."""
FORMATS: Final = ("table", *STREAMS, "html")
_WITHOUT_PICTURE: Final = ("table", *STREAMS)
_SQLITE: Final = b"SQLite format 3\0"
_ENDINGS: Final = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".md": "markdown",
    ".txt": "table",
    ".html": "html",
    ".htm": "html",
}


def output_options(function: Callable[..., R]) -> Callable[..., R]:
    """`--format` and `--output`; the command gets them as `form` and `output`."""
    return _options(function, FORMATS)


def plain_output_options(function: Callable[..., R]) -> Callable[..., R]:
    """The same for a command whose answer has no picture: it refuses html before it does anything."""
    return _options(function, _WITHOUT_PICTURE)


def _options(function: Callable[..., R], formats: Sequence[str]) -> Callable[..., R]:
    def checked(context: click.Context, parameter: click.Parameter, output: Path | None) -> Path | None:
        if output is not None and context.params.get("form") is None and _by_ending(output) not in formats:
            raise UsageError(
                f"--output: {output} would be {_by_ending(output)}, and this answer has no picture; "
                f"name another file or give --format ({', '.join(formats)})"
            )
        return output

    for option in (
        click.option(
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            callback=checked,
            help="Write to this file (mode 0600) instead of standard output. It appears whole or not at all, "
            "and takes the place of one that was there.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(formats),
            is_eager=True,
            help="How the answer is written. Default: what the ending of --output says; else table on a terminal "
            "and csv into a pipe or file.",
        ),
    ):
        function = option(function)
    return function


def write_report(report: Report, form: str | None, output: Path | None) -> None:
    """Write the report where it is wanted.

    Raises ExporterError if the file cannot be written, UsageError for html of a report that has no picture.
    """
    if output is None:
        chosen = form or ("table" if sys.stdout.isatty() else "csv")
        _utf8(sys.stdout, chosen)
        _write(report, chosen, sys.stdout)
    else:
        chosen = form or _by_ending(output)
        with _opened(output) as stream:
            _write(report, chosen, stream)
    if chosen in _ROWS_ONLY:
        _tell_what_rows_do_not(report)


def _tell_what_rows_do_not(report: Report) -> None:
    """What the answer is about, to a person at the terminal; that it is shorter than was asked, to everybody."""
    if "formula" not in report.meta:
        return  # no report on time
    if sys.stderr is not None and sys.stderr.isatty():
        for line in notes(report):
            click.echo(line, err=True)
    elif report.meta.get("asked_since") is not None:
        click.echo(f"{notes(report)[0]}; what was asked for before that was purged", err=True)


@contextmanager
def open_output(output: Path | None) -> Iterator[TextIO]:
    """Where an answer that is no report goes as text: standard output, or a file that appears whole or not at all.

    Raises ExporterError if the file cannot be written.
    """
    if output is None:
        _utf8(sys.stdout, "text for machines")
        yield sys.stdout
        return
    with _opened(output) as stream:
        yield stream


def _write(report: Report, form: str, stream: TextIO) -> None:
    if form == "table":
        from exporter.report.formats_table import write_table  # rich takes longer to load than a report to make

        write_table(report, stream)
        return
    for chunk in _chunks(report, form):
        stream.write(chunk)


def _chunks(report: Report, form: str) -> Iterator[str]:
    if form == "html":
        from exporter.report.formats_html import html_chunks  # templates take longer to load than a report to make

        return html_chunks(report)
    return STREAMS[form](report)


def _by_ending(output: Path) -> str:
    return _ENDINGS.get(output.suffix.lower(), "csv")


def _utf8(stream: TextIO, form: str) -> None:
    """Files for machines are UTF-8 whatever the locale; a table is written as the terminal can show it."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None:
        return  # a stand-in of a test
    if form == "table":
        reconfigure(errors="replace")
    else:
        reconfigure(encoding="utf-8", errors="replace")


def _opened(path: Path) -> AbstractContextManager[TextIO]:
    """The stream that a report for `path` is written to. Raises ExporterError for what a report must not replace."""
    try:
        target = path.resolve()  # a link stays a link
        kind = target.stat().st_mode if target.exists() else stat.S_IFREG
        if stat.S_ISREG(kind):
            if target.exists() and _is_database(target):
                raise UsageError(
                    f"--output: {path} is an SQLite database, which no report takes the place of; name another file"
                )
            return _whole_file(target)
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        raise ExporterError(f"--output: cannot write {path}: {_reason(error)}") from error
    if stat.S_ISDIR(kind):
        raise UsageError(f"--output: {path} is a directory; name a file")
    return _device(path)


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def _device(path: Path) -> Iterator[TextIO]:
    """What is no file, such as /dev/stdout or a named pipe, is written to as it is: there is nothing to replace."""
    try:
        with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
            yield stream
    except OSError as error:
        raise ExporterError(f"--output: cannot write {path}: {error.strerror}") from error


@contextmanager
def _whole_file(path: Path) -> Iterator[TextIO]:
    """A file beside `path` that takes its place when all is written; it is removed if anything fails."""
    try:
        import tempfile

        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise ExporterError(f"--output: cannot write into the directory {path.parent}: {error.strerror}") from error
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ExporterError(f"--output: cannot write {path}: {error.strerror}") from error
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
