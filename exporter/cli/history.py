"""`history …`: reports from the database. They read and never take the writer's lock, so `serve` may be running."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from exporter.cli import parse
from exporter.cli.lazy import CONTEXT, LazyGroup
from exporter.cli.options import settings_options
from exporter.cli.output import output_options, write_report
from exporter.cli.values import Values

R = TypeVar("R")

history = LazyGroup(
    "history",
    "Reports from the recorded history.\n\n"
    "The window is half-open: [--since, --until). What was not seen is reported as unknown, never guessed.",
    {
        "timeline": ("exporter.cli.history:timeline", "Each agent's stays in a status, one after the other."),
        "summary": ("exporter.cli.history:summary", "How long each agent was in each status."),
        "at": ("exporter.cli.history:at", "Everyone's status at one instant."),
        "transitions": ("exporter.cli.history:transitions", "The recorded changes, with both bounds of their time."),
        "coverage": ("exporter.cli.history:coverage", "When somebody was looking, and why not when not."),
    },
)


def _window_options(function: Callable[..., R]) -> Callable[..., R]:
    for option in (
        click.option(
            "--until", metavar="TIME", help="End of the window, not included: as --since, or now. Default: now."
        ),
        click.option(
            "--since",
            metavar="TIME",
            help="Start of the window: ISO 8601, a duration ago such as 7d, today, yesterday, or a weekday. "
            "Default: today.",
        ),
    ):
        function = option(function)
    return function


def _shared_options(function: Callable[..., R]) -> Callable[..., R]:
    function = output_options(function)
    for option in (
        click.option(
            "--status",
            "statuses",
            multiple=True,
            metavar="STATUS",
            help="Only rows of this status: Zoho's word, or unknown, absent, error. May be repeated.",
        ),
        click.option(
            "--team",
            "teams",
            multiple=True,
            metavar="GLOB",
            help="Only the time that agents spent in a team whose name matches. May be repeated.",
        ),
        click.option(
            "--agent",
            "agents",
            multiple=True,
            metavar="GLOB",
            help="Only agents whose id or name matches. May be repeated.",
        ),
        click.option(
            "--tz",
            metavar="ZONE",
            help="IANA time zone that times are read and written in, such as Europe/Berlin. Default: the machine's.",
        ),
    ):
        function = option(function)
    return settings_options("db")(function)


def _answer(
    name: str,
    values: Values,
    tz: str | None,
    agents: tuple[str, ...],
    teams: tuple[str, ...],
    statuses: tuple[str, ...],
    form: str | None,
    output: Path | None,
    *,
    since: str | None = None,
    until: str | None = None,
    at: str | None = None,
) -> None:
    from exporter.clock import SystemClock
    from exporter.history.filters import Selection, select, status_words
    from exporter.history.reader import HistoryReader
    from exporter.history.reports import REPORTS
    from exporter.history.window import (
        DEFAULT_SINCE,
        DEFAULT_UNTIL,
        instant_window,
        machine_zone,
        make_window,
        named_zone,
        parse_instant,
    )

    zone = machine_zone(os.environ.get("TZ")) if tz is None else named_zone(tz)
    now = SystemClock().now_ms()
    if at is not None:
        window = instant_window(parse_instant(at, zone, now, flag="TIME"), now, zone)
    else:
        window = make_window(
            DEFAULT_SINCE if since is None else since, DEFAULT_UNTIL if until is None else until, zone, now
        )
    with HistoryReader.open(values.one("db", parse.path)) as reader:
        facts = reader.facts(window)
    facts = select(facts, Selection(agents, teams))
    words = status_words(statuses, facts) or None
    write_report(REPORTS[name](facts, window, zone=zone, now=now, statuses=words), form, output)


def _report(name: str, text: str) -> click.Command:
    @click.command(name, help=text, context_settings=CONTEXT)
    @_window_options
    @_shared_options
    def command(
        values: Values,
        since: str | None,
        until: str | None,
        tz: str | None,
        agents: tuple[str, ...],
        teams: tuple[str, ...],
        statuses: tuple[str, ...],
        form: str | None,
        output: Path | None,
    ) -> None:
        _answer(name, values, tz, agents, teams, statuses, form, output, since=since, until=until)

    return command


timeline = _report(
    "timeline",
    "Each agent's stays in a status in the window, one after the other, with how sure the edges are; "
    "the times when nobody was looking are rows too.",
)
summary = _report(
    "summary",
    "How long each agent was in each status: the time that was seen, the least and the most that it can have been, "
    "the share of the known time, and how many stays began.",
)
transitions = _report(
    "transitions",
    "The recorded changes in order. Each happened after not_before (not there at the first sight of an agent) "
    "and not after seen.",
)
coverage = _report("coverage", "When somebody was looking and when not, with the reason.")


@click.command("at", context_settings=CONTEXT)
@click.argument("time", metavar="TIME")
@_shared_options
def at(
    values: Values,
    time: str,
    tz: str | None,
    agents: tuple[str, ...],
    teams: tuple[str, ...],
    statuses: tuple[str, ...],
    form: str | None,
    output: Path | None,
) -> None:
    """Everyone's status at TIME (ISO 8601, 2h, today, now …), since when, and how old the evidence is."""
    _answer("at", values, tz, agents, teams, statuses, form, output, at=time)
