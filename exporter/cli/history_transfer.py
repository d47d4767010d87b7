"""`history export` and `history import`: facts as files. What was done is told on stderr."""

import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
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
    from exporter.openmetrics.export import Backfill

R = TypeVar("R")


def _backfill_options(function: Callable[..., R]) -> Callable[..., R]:
    """Those that only `--format openmetrics` takes; the command gets what was given of them as keywords."""
    for option in reversed(
        (
            click.option(
                "--since",
                metavar="TIME",
                help="For openmetrics: start of the window: ISO 8601, a duration ago such as 7d, today, yesterday, or "
                "a weekday. Default: when the history begins.",
            ),
            click.option(
                "--until",
                metavar="TIME",
                help="For openmetrics: end of the window, not included: as --since, or now. Nothing is written of what "
                "the next poll of serve will decide. Default: now.",
            ),
            click.option(
                "--tz",
                metavar="ZONE",
                help="For openmetrics: IANA time zone that these times are read in, such as Europe/Berlin. "
                "Default: the machine's.",
            ),
            click.option(
                "--step",
                metavar="DURATION",
                help="For openmetrics: time between two samples: whole seconds that divide a day, 5m at most. "
                "Default: 1m.",
            ),
            click.option(
                "--job", metavar="NAME", help="For openmetrics: the label job of all series. Default: zohovoice."
            ),
            click.option(
                "--instance",
                metavar="NAME",
                help="For openmetrics: the label instance of all series. Default: localhost:10042.",
            ),
            click.option(
                "--per-agent/--no-per-agent",
                default=None,
                help="For openmetrics: also the time in status of each agent. Default: yes.",
            ),
            click.option(
                "--names/--no-names",
                default=None,
                help="For openmetrics: also names and teams of the agents, which are personal data. Default: no.",
            ),
        )
    ):
        function = option(function)
    return function


@click.command("export", context_settings=CONTEXT)
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "openmetrics"]),
    default="ndjson",
    show_default=True,
    help="ndjson: every fact; openmetrics: samples with timestamps, for promtool.",
)
@_backfill_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file (mode 0600) instead of standard output. It appears whole or not at all, "
    "and takes the place of one that was there.",
)
@settings_options("db")
def export(values: Values, form: str, output: Path | None, **backfill: Any) -> None:
    """Every recorded fact as NDJSON, one JSON object a line, for `history import` or programs of your own.

    It reads the database as it is at one instant, and `serve` may be running. docs/database.md tells the format.

    With --format openmetrics: how many agents were in which status, and the time in status of each, for
    `promtool tsdb create-blocks-from openmetrics`, so that Prometheus shows what was before it: see grafana/README.md.
    """
    from exporter.clock import SystemClock
    from exporter.history.transfer.export import export_lines

    database = values.one("db", parse.path)
    now = SystemClock().now_ms()
    given = {name: value for name, value in backfill.items() if value is not None}
    if form == "ndjson" and given:
        name, value = next(iter(given.items()))
        flag = f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
        raise UsageError(f"{flag} is for --format openmetrics only: an export as NDJSON is of every fact")
    asked = _backfill(given, now) if form == "openmetrics" else None
    # On a terminal the lines themselves show that it goes on.
    shown: AbstractContextManager[Progress] = (
        nullcontext(SilentProgress()) if output is None and sys.stdout.isatty() else shown_progress()
    )
    with ExitStack() as stack:
        stack.enter_context(ended_by_sigterm())
        progress = stack.enter_context(shown)
        if asked is None:
            lines = export_lines(database, program=__version__, now=now, progress=progress)
        else:
            from exporter.history.reader import HistoryReader
            from exporter.openmetrics.export import openmetrics

            reader = stack.enter_context(HistoryReader.open(database))
            lines = stack.enter_context(closing(openmetrics(reader, asked, progress)))
        stream = stack.enter_context(open_output(output))
        written = 0
        for line in lines:
            stream.write(line)
            written += 1
    if asked is not None and written == 1:
        click.echo("there is no sample: the history holds nothing of this window, or it is less than --step", err=True)


def _backfill(given: Mapping[str, Any], now: int) -> "Backfill":
    """What is to be exported as OpenMetrics."""
    from exporter.history.window import machine_zone, make_window, named_zone, parse_instant
    from exporter.openmetrics.export import DEFAULT_STEP_MS, Backfill, checked_step

    zone = named_zone(given["tz"]) if "tz" in given else machine_zone(os.environ.get("TZ"))
    since, until = given.get("since"), given.get("until", "now")
    for name in ("job", "instance"):
        if not given.get(name, name):
            raise UsageError(f"--{name} is empty: give the value that the label {name} has in Prometheus")
    step = given.get("step")
    return Backfill(
        since=None if since is None else make_window(since, until, zone, now).since,
        until=min(parse_instant(until, zone, now, flag="--until"), now),
        now=now,
        job=given.get("job", "zohovoice"),
        instance=given.get("instance", "localhost:10042"),
        step_ms=DEFAULT_STEP_MS if step is None else checked_step(_milliseconds(step, "--step"), step),
        per_agent=given.get("per_agent", True),
        names=given.get("names", False),
    )


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
        interval_ms=None if interval is None else _milliseconds(interval, "--interval"),
    )
    run = RunInfo(version=__version__, host=platform.node(), boot_id="", pid=os.getpid(), started=now)
    mode = values.one("db.mode", parse.mode)
    with ended_by_sigterm(), shown_progress() as progress:
        done = import_file(values.one("db", parse.path), file, options, run, progress, mode=mode)
    for line in _told(done, file, zone):
        click.echo(line, err=True)


def _milliseconds(duration: str, flag: str) -> int:
    try:
        return round(parse.seconds(duration) * 1000)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from error


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
