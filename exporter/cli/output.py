"""Where a report goes: `--format` and `--output`, a terminal or a file that appears whole or not at all."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO, TypeVar

import click

from exporter.errors import ExporterError
from exporter.report.formats import STREAMS
from exporter.report.model import Report

R = TypeVar("R")

FORMATS: Final = ("table", *STREAMS)
_ENDINGS: Final = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".md": "markdown",
    ".txt": "table",
}


def output_options(function: Callable[..., R]) -> Callable[..., R]:
    """`--format` and `--output`; the command gets them as `form` and `output`."""
    for option in (
        click.option(
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write to this file (mode 0600) instead of standard output. It appears whole or not at all, "
            "and takes the place of one that was there.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(FORMATS),
            help="How the answer is written. Default: what the ending of --output says; else table on a terminal "
            "and csv into a pipe or file.",
        ),
    ):
        function = option(function)
    return function


def write_report(report: Report, form: str | None, output: Path | None) -> None:
    """Write the report where it is wanted. Raises ExporterError if the file cannot be written."""
    if output is None:
        chosen = form or ("table" if sys.stdout.isatty() else "csv")
        _utf8(sys.stdout, chosen)
        _write(report, chosen, sys.stdout)
        return
    chosen = form or _ENDINGS.get(output.suffix.lower(), "csv")
    with _whole_file(output) as stream:
        _write(report, chosen, stream)


def _write(report: Report, form: str, stream: TextIO) -> None:
    if form == "table":
        from exporter.report.formats_table import write_table  # rich takes longer to load than a report to make

        write_table(report, stream)
        return
    for chunk in STREAMS[form](report):
        stream.write(chunk)


def _utf8(stream: TextIO, form: str) -> None:
    """Files for machines are UTF-8 whatever the locale; a table is written as the terminal can show it."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None:
        return  # a stand-in of a test
    if form == "table":
        reconfigure(errors="replace")
    else:
        reconfigure(encoding="utf-8", errors="replace")


@contextmanager
def _whole_file(path: Path) -> Iterator[TextIO]:
    """A file beside `path` that takes its place when all is written; it is removed if anything fails."""
    try:
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
