"""The reports as commands: they read the options, have the report made, and print it."""

import os
from typing import TYPE_CHECKING, Any, Final

import click

from exporter.cli import history_options as options
from exporter.cli import parse
from exporter.cli.history_options import TOTAL, Given, Option
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options
from exporter.cli.output import output_options, plain_output_options, write_report
from exporter.cli.values import Values
from exporter.errors import UsageError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from exporter.history.filters import Times
    from exporter.history.question import Group, Question
    from exporter.history.window import Window

_WITH_PICTURES: Final = ("timeline", "summary", "intervals", "coverage")
_WITH_CLASSES: Final = ("summary", "sessions", "intervals", "occupancy", "availability", "matrix", "long")
_GROUPS: Final = ("agent", "team", "day", "week", "month")


def _report(name: str, text: str, *own: Option[None], at_instant: bool = False) -> click.Command:
    """The command of a report, with its own options between those that all reports have."""
    form = output_options if name in _WITH_PICTURES else plain_output_options
    settings = settings_options("db", *(["classes.*"] if name in _WITH_CLASSES else []))
    place: Option[None] = click.argument("time", metavar="TIME") if at_instant else options.window()

    @click.command(name, help=text, context_settings=CONTEXT)
    @options.together(settings, place, options.whom(), *own, form)
    def command(values: Values, **given: Any) -> None:
        _answer(name, values, Given(**given))

    return command


def _answer(name: str, values: Values, given: Given) -> None:
    # Loaded here so that `--help` does not wait for it.
    from exporter.history.answers import answer
    from exporter.history.filters import Selection
    from exporter.history.reader import HistoryReader

    question = _question(name, values, given)
    times = _times(given)
    with HistoryReader.open(values.one("db", parse.path)) as reader:
        report = answer(
            reader, name, question, Selection(given.agents, given.teams), statuses=given.statuses, times=times
        )
    write_report(report, given.form, given.output)


def _question(name: str, values: Values, given: Given) -> "Question":
    from exporter.clock import SystemClock
    from exporter.history.algebra import EdgePolicy, Rules
    from exporter.history.buckets import parse_step
    from exporter.history.question import QUARTER_HOUR_MS, Question
    from exporter.history.window import machine_zone, named_zone
    from exporter.model import Quality

    zone = machine_zone(os.environ.get("TZ")) if given.tz is None else named_zone(given.tz)
    now = SystemClock().now_ms()
    found = Question(
        window=_window(given, zone, now),
        zone=zone,
        now=now,
        rules=Rules(EdgePolicy(given.edges), _duration("--bridge", given.bridge)),
        groups=_groups(given),
        qualities=frozenset(map(Quality, given.qualities)) or None,
        share_of_window=given.share_of == "window",
        with_stays=given.stays,
        step_ms=parse_step(given.step) if given.step is not None else QUARTER_HOUR_MS,
        fewer_than=given.fewer_than if given.fewer_than is not None else 1,
        over_ms=_duration("--over", given.over) if given.over is not None else QUARTER_HOUR_MS,
    )
    if name not in _WITH_CLASSES:
        return found
    from dataclasses import replace

    from exporter.cli.classes import classes_from

    return replace(found, classes=classes_from(values))


def _window(given: Given, zone: "ZoneInfo", now: int) -> "Window":
    from exporter.history.window import DEFAULT_SINCE, DEFAULT_UNTIL, instant_window, make_window, parse_instant

    if given.time is not None:
        return instant_window(parse_instant(given.time, zone, now, flag="TIME"), now, zone)
    since = DEFAULT_SINCE if given.since is None else given.since
    return make_window(since, DEFAULT_UNTIL if given.until is None else given.until, zone, now)


def _times(given: Given) -> "Times":
    from exporter.history.buckets import parse_hours, parse_weekdays
    from exporter.history.filters import Times

    return Times(
        weekdays=parse_weekdays(given.weekdays) if given.weekdays else None,
        hours=parse_hours(given.hours) if given.hours is not None else None,
    )


def _groups(given: Given) -> "frozenset[Group]":
    from exporter.history.question import PER_AGENT, Group

    if not given.by:
        return PER_AGENT
    if TOTAL in given.by:
        if set(given.by) != {TOTAL}:
            raise UsageError("--by total puts everything together and goes with no other --by: leave one of them out")
        return frozenset()
    return frozenset(map(Group, given.by))


def _duration(flag: str, text: str) -> int:
    from exporter.durations import parse_duration_ms

    try:
        return parse_duration_ms(text)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from error


timeline = _report(
    "timeline",
    "Each agent's stays in a status in the window, one after the other, with how sure the edges are; "
    "the times when nobody was looking are rows too.",
    options.status(),
    options.quality("exact", "sampled", "bridged", "unknown"),
    options.times(),
    options.rules(),
)
summary = _report(
    "summary",
    "How long each agent was in each status: the time that was seen, the least and the most of the known time that it "
    "can have been, the share of the known time, and how many stays began.",
    options.status(),
    options.times(),
    options.by(*_GROUPS, "class", TOTAL, default=("agent",)),
    options.share_of(),
    options.stays(),
    options.rules(),
)
at = _report(
    "at",
    "Everyone's status at TIME (ISO 8601, 2h, today, now …), since when, and how old the evidence is.",
    options.status(),
    options.rules(),
    at_instant=True,
)
sessions = _report(
    "sessions",
    "When agents logged in and out, as far as anybody saw it, and how long they were staffed in between.",
    options.times(),
    options.per_day(),
    options.rules(),
)
intervals = _report(
    "intervals",
    "How many agents were in each status, interval by interval: on average, at most and at least, and for how long "
    "there were too few.",
    options.status(),
    options.step(),
    options.times(),
    options.per_class(),
    options.rules(),
)
occupancy = _report(
    "occupancy",
    "How much of the time in which agents could handle calls they did: handling / (handling + available).",
    options.times(),
    options.by(*_GROUPS, TOTAL, default=("agent",)),
    options.rules(),
)
availability = _report(
    "availability",
    "How much of the time in which agents were logged in they were available, or available or handling a call.",
    options.times(),
    options.by(*_GROUPS, TOTAL, default=("agent",)),
    options.rules(),
)
transitions = _report(
    "transitions",
    "The recorded changes in order. Each happened after not_before (not there at the first sight of an agent) "
    "and not after seen.",
    options.status(),
    options.quality("exact", "sampled"),
    options.times(),
)
matrix = _report(
    "matrix",
    "How often each status changed into each other one, and how often in an hour in which agents were logged in.",
    options.status(),
    options.times(),
    options.by("agent", "team", TOTAL, default=(TOTAL,)),
    options.rules(),
)
long = _report(
    "long",
    "Stays that lasted longer than they should, whole, also if they began before the window or end after it. Without "
    "--status those that count as not ready, such as breaks.",
    options.status(),
    options.over(),
    options.times(),
    options.rules(),
)
coverage = _report("coverage", "When somebody was looking and when not, with the reason.")
