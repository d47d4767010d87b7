"""`history purge`, `backup`, `check`, `rebuild`, `compact`: care of the database. What they did is told on stderr."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from exporter import __version__
from exporter.cli import parse
from exporter.cli.ask import confirm
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options, yes_option
from exporter.cli.output import plain_output_options, write_report
from exporter.cli.progress import shown_progress
from exporter.cli.signals import ended_by_sigterm
from exporter.cli.values import Values
from exporter.clock import SystemClock
from exporter.errors import DatabaseError, UsageError
from exporter.quoting import shown

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from exporter.history.care.purge import Removed
    from exporter.history.transfer.progress import Progress

T = TypeVar("T")

_PSEUDONYM_BYTES: Final = 8


@click.command("purge", context_settings=CONTEXT)
@click.option(
    "--before",
    metavar="TIME",
    help="Remove what was recorded before this instant: ISO 8601, a duration ago such as 400d, or a weekday.",
)
@click.option("--agent", metavar="AGENT", help="Remove all that was recorded of one agent: the whole id or whole name.")
@click.option(
    "--pseudonym",
    is_flag=True,
    help="With --agent: keep times and team, so that totals stay, and put a random id in the place of id and names.",
)
@click.option("--tz", metavar="ZONE", help="IANA time zone that TIME is read in. Default: the machine's.")
@yes_option
@settings_options("db")
def purge(values: Values, before: str | None, agent: str | None, pseudonym: bool, tz: str | None, yes: bool) -> None:
    """Remove what is no longer to be kept: everything before a time, or a person.

    What is left is reported as before, and reports on earlier times are answered for what is left and say so. It asks
    first, and refuses while serve is running. It can be interrupted and started again.
    """
    if (before is None) == (agent is None):
        raise UsageError("purge: give either --before TIME or --agent AGENT")
    if agent is not None:
        _purge_agent(values, agent, pseudonym=pseudonym, yes=yes)
    elif pseudonym:
        raise UsageError("--pseudonym: goes with --agent only")
    elif before is not None:
        _purge_before(values, before, tz, yes=yes)


def _purge_before(values: Values, text: str, tz: str | None, *, yes: bool) -> None:
    from exporter.history.care.purge import empty_the_log, purge_before
    from exporter.history.window import iso_text, machine_zone, named_zone, parse_instant

    zone = machine_zone(os.environ.get("TZ")) if tz is None else named_zone(tz)
    now = SystemClock().now_ms()
    before = parse_instant(text, zone, now, flag="--before")
    if before > now:
        raise UsageError(f"--before {shown(text)} ({iso_text(before, zone)}) lies in the future")
    path = _existing(values)
    confirm(f"Remove everything recorded before {iso_text(before, zone)} from {path}?", yes=yes)
    with _caring(path, now) as (connection, progress):
        removed = purge_before(connection, before, now_ms=now, program=__version__, progress=progress)
        emptied = empty_the_log(connection)
    _tell_removed(removed, zone, emptied=emptied)


def _tell_removed(removed: "Removed", zone: "ZoneInfo", *, emptied: bool) -> None:
    from exporter.history.care.findings import counted
    from exporter.history.window import iso_text

    if removed.water_mark is None:
        _say("nothing was removed, for nothing was recorded before that")
        return
    mark = iso_text(removed.water_mark, zone)
    if not removed.anything:
        _say(f"nothing was removed: everything before {mark} was purged already")
        return
    counts = ", ".join(
        (
            counted(removed.transitions, "transition"),
            counted(removed.stretches, "stretch of coverage", "stretches of coverage"),
            counted(removed.spells, "spell of tracking", "spells of tracking"),
            counted(removed.agents, "agent"),
        )
    )
    _say(f"removed {counts}; the water-mark is {mark}: reports on earlier times are answered for what is left")
    _tell_elsewhere(emptied=emptied)


def _purge_agent(values: Values, wanted: str, *, pseudonym: bool, yes: bool) -> None:
    from exporter.history.care.erase import PSEUDONYM, erase_agent, find_agent, pseudonymise_agent
    from exporter.history.care.findings import counted
    from exporter.history.care.purge import empty_the_log

    path, now = _existing(values), SystemClock().now_ms()
    agent_id = _read(path, lambda connection: find_agent(connection, wanted))
    what = "Replace id and names" if pseudonym else "Remove all that was recorded"
    confirm(f"{what} of agent {agent_id} in {path}?", yes=yes)
    new_id = PSEUDONYM + secrets.token_hex(_PSEUDONYM_BYTES)
    with _caring(path, now) as (connection, progress):
        if pseudonym:
            found = pseudonymise_agent(connection, agent_id, new_id, now_ms=now, program=__version__)
        else:
            found = erase_agent(connection, agent_id, now_ms=now, program=__version__, progress=progress)
        emptied = empty_the_log(connection)
    if pseudonym:
        _say(f"id and names of the agent were replaced by {new_id}; times and teams are what they were")
    else:
        gone = (
            counted(found.transitions, "transition"),
            counted(found.spells, "spell of tracking", "spells of tracking"),
        )
        _say(f"removed all of the agent: {', '.join(gone)}")
    if found.still_tracked:
        _say("the agent was asked for until the latest poll: if serve still asks, it records them anew")
    _tell_elsewhere(emptied=emptied)


@click.command("backup", context_settings=CONTEXT)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@yes_option
@settings_options("db")
def backup(values: Values, file: Path, yes: bool) -> None:
    """Copy the database to FILE, as it is at one instant, and check the copy; serve may go on writing.

    FILE (mode 0600) appears whole or not at all. It asks before it takes the place of one that is there.
    """
    from exporter.history.care.backup import back_up, backup_target

    path = _existing(values)
    target = backup_target(path, file)
    if target.exists():
        confirm(f"Replace {file}?", yes=yes)
    with _interruptible(), shown_progress() as progress:
        size = back_up(path, target, progress)
    _say(f"{file}: {size} bytes, checked")


@click.command("check", context_settings=CONTEXT)
@click.option("--quick", is_flag=True, help="Do not compare indexes with their tables: faster on a large file.")
@plain_output_options
@settings_options("db")
def check(values: Values, quick: bool, form: str | None, output: Path | None) -> None:
    """Say whether the database is whole, whether its facts fit together, and how large it is.

    It only reads, so serve may go on writing. The exit code is 3 if anything failed.
    """
    from exporter.history.care.advice import advice, report
    from exporter.history.care.check import check_file

    path, now = _existing(values), SystemClock().now_ms()
    with shown_progress() as progress:
        found = check_file(path, now_ms=now, quick=quick, progress=progress)
    write_report(report(found, path, now), form, output)
    failed = advice(found, path)
    if failed:
        raise DatabaseError(failed)


@click.command("rebuild", context_settings=CONTEXT)
@settings_options("db")
def rebuild(values: Values) -> None:
    """Make what is derived from the facts (checkpoints and running totals) anew; refuses while serve is running."""
    from exporter.history.care.derived import rebuild as make_anew
    from exporter.history.care.findings import counted

    path = _existing(values)
    with _caring(path, SystemClock().now_ms()) as (connection, progress):
        checkpoints = make_anew(connection, progress)
    _say(f"made anew from the facts: {counted(checkpoints, 'checkpoint')}")


@click.command("compact", context_settings=CONTEXT)
@settings_options("db")
def compact(values: Values) -> None:
    """Build the database anew without unused space, and let the new file take the place of the old one.

    It refuses while serve is running or another program has the file open. Interrupted, it has changed nothing.
    """
    from exporter.history.care.compact import compact as make_compact

    path = _existing(values)
    with _caring(path, SystemClock().now_ms()) as (connection, progress):
        done = make_compact(connection, path, progress=progress)
    _say(f"{path}: {done.before} bytes before, {done.after} bytes after")


def _existing(values: Values) -> Path:
    """The database, which must exist, behind every symbolic link."""
    from exporter.history.reading import readable_file

    return readable_file(values.one("db", parse.path))


def _read(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` makes of a database of ours."""
    from exporter.history.connection import schema_version
    from exporter.history.reading import explaining_reading, read_at_one_instant

    def checked(connection: sqlite3.Connection) -> T:
        schema_version(connection, path)
        return work(connection)

    with explaining_reading(path):
        return read_at_one_instant(path, checked)


@contextmanager
def _caring(path: Path, now_ms: int) -> Iterator[tuple[sqlite3.Connection, "Progress"]]:
    from exporter.history.opening import opened_for_care

    with (
        _interruptible(),
        opened_for_care(path, now_ms=now_ms, program=__version__) as connection,
        shown_progress() as progress,
    ):
        yield connection, progress


@contextmanager
def _interruptible() -> Iterator[None]:
    """Say to whoever presses Ctrl-C or sends SIGTERM that nothing is lost."""
    try:
        with ended_by_sigterm():
            yield
    except (KeyboardInterrupt, SystemExit):
        _say("interrupted; the database is whole; start the same command again to finish")
        raise


def _tell_elsewhere(*, emptied: bool) -> None:
    _say("backups and exports may still hold it; history compact gives the space in the file back to the disk")
    if not emptied:
        _say("another program is reading the database: until it lets go, the log beside it still holds some of it")


def _say(line: str) -> None:
    click.echo(line, err=True)
