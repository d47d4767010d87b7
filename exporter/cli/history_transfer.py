"""`history export` and `history import`: facts as files. What was done is told on stderr."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from exporter import __version__
from exporter.cli import parse
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options
from exporter.cli.output import open_output
from exporter.cli.progress import shown_progress
from exporter.cli.signals import ended_by_sigterm
from exporter.cli.values import Values
from exporter.errors import UsageError
from exporter.history.transfer.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from exporter.history.transfer.importing import Imported


@click.command("export", context_settings=CONTEXT)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file (mode 0600) instead of standard output. It appears whole or not at all, "
    "and takes the place of one that was there.",
)
@settings_options("db")
def export(values: Values, output: Path | None) -> None:
    """Every recorded fact as NDJSON, one JSON object a line, for `history import` or programs of your own.

    It reads the database as it is at one instant, and `serve` may be running. docs/database.md tells the format.
    """
    from exporter.clock import SystemClock
    from exporter.history.transfer.export import export_lines

    database = values.one("db", parse.path)
    # On a terminal the lines themselves show that it goes on.
    shown: AbstractContextManager[Progress] = (
        nullcontext(SilentProgress()) if output is None and sys.stdout.isatty() else shown_progress()
    )
    with shown as progress, open_output(output) as stream:
        for line in export_lines(database, program=__version__, now=SystemClock().now_ms(), progress=progress):
            stream.write(line)


@click.command("import", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--kind",
    type=click.Choice(["export", "log", "polls"]),
    help="What FILE holds. Default: what its first line looks like.",
)
@click.option(
    "--tz",
    metavar="ZONE",
    help="IANA time zone of times in FILE that have no offset, such as Europe/Berlin. Default: the machine's.",
)
@click.option(
    "--covers-since",
    metavar="TIME",
    help="For a log: from when on it tells every change. Default: its first time.",
)
@click.option(
    "--covers-until",
    metavar="TIME",
    help="For a log: until when it tells every change. Default: its last time.",
)
@click.option(
    "--interval",
    metavar="DURATION",
    help="For polls: the time between two that was meant; a silence of 2.5 times that is a gap. "
    "Default: the median pause.",
)
@settings_options("db", "db.mode")
def import_(
    values: Values,
    file: Path,
    kind: str | None,
    tz: str | None,
    covers_since: str | None,
    covers_until: str | None,
    interval: str | None,
) -> None:
    """Add the history in FILE to the database: all of it, or nothing if anything about it is wrong.

    FILE is an export of another history; or a log as CSV with the columns agent_id, time and status; or polls as
    NDJSON. What is known of an agent already must not be in it. `serve` must not be running on the database.
    """
    from exporter.clock import SystemClock
    from exporter.history.runs import RunInfo
    from exporter.history.transfer.importing import ImportOptions, import_file
    from exporter.history.transfer.incoming import FileKind
    from exporter.history.transfer.stage_log import Covers
    from exporter.history.window import machine_zone, named_zone, parse_instant

    zone = machine_zone(os.environ.get("TZ")) if tz is None else named_zone(tz)
    now = SystemClock().now_ms()

    def instant(text: str | None, flag: str) -> int | None:
        return None if text is None else parse_instant(text, zone, now, flag=flag)

    options = ImportOptions(
        zone=zone,
        kind=None if kind is None else FileKind(kind),
        covers=Covers(instant(covers_since, "--covers-since"), instant(covers_until, "--covers-until")),
        interval_ms=None if interval is None else _milliseconds(interval),
    )
    run = RunInfo(version=__version__, host=platform.node(), boot_id="", pid=os.getpid(), started=now)
    mode = values.one("db.mode", parse.mode)
    with ended_by_sigterm(), shown_progress() as progress:
        done = import_file(values.one("db", parse.path), file, options, run, progress, mode=mode)
    for line in _told(done, file, zone):
        click.echo(line, err=True)


def _milliseconds(interval: str) -> int:
    try:
        return round(parse.seconds(interval) * 1000)
    except UsageError as error:
        raise UsageError(f"--interval: {error}") from error


def _told(done: "Imported", file: Path, zone: ZoneInfo) -> Iterator[str]:
    """What came of it, as sentences."""
    from exporter.history.window import iso_text

    if done.merged is None:
        yield f"{file.name} was already imported at {iso_text(done.before or 0, zone)}: nothing to do"
        return
    merged = done.merged
    how = "restored from" if merged.restored else "imported from"
    agents, changes = _count(merged.agents, "agent"), _count(merged.transitions, "transition")
    when = ""
    if merged.since is not None and merged.until is not None:
        when = f", from {iso_text(merged.since, zone)} to {iso_text(merged.until, zone)}"
    yield f"{how} the {done.kind.value} {file.name}: {agents}, {changes}{when}"
    if done.skipped_polls == 1:
        yield "left out 1 poll that was not complete and so proves nothing"
    elif done.skipped_polls:
        yield f"left out {done.skipped_polls} polls that were not complete and so prove nothing"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
