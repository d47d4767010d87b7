"""The reports as commands: they read the options, have the report made, and print it."""

import os
from pathlib import Path
from typing import Any, Final

import click

from exporter.cli import history_options as options
from exporter.cli import parse
from exporter.cli.history_options import Option
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options
from exporter.cli.output import output_options, plain_output_options, write_report
from exporter.cli.values import Values
from exporter.history.parameters import TAKES, Takes

_BY: Final = {"sessions": options.per_day, "intervals": options.per_class}
"""Where `--by` changes what the rows are about."""


def _report(name: str, text: str) -> click.Command:
    """The command of a report, with its own options between those that all reports have."""
    takes = TAKES[name]
    form = output_options if takes.picture else plain_output_options
    settings = settings_options("db", *(["classes.*"] if takes.classes else []))
    place: Option[None] = click.argument("time", metavar="TIME") if name == "at" else options.window()

    @click.command(name, help=text, context_settings=CONTEXT)
    @options.together(settings, place, options.whom(), *_own(name, takes), form)
    def command(values: Values, form: str | None, output: Path | None, **asked: Any) -> None:
        _answer(name, values, asked, form, output)

    return command


def _own(name: str, takes: Takes) -> list[Option[None]]:
    by = _BY.get(name, lambda: options.by(*takes.by, default=takes.by_default))
    wanted: list[tuple[object, Option[None]]] = [
        (takes.status, options.status()),
        (takes.quality, options.quality(*takes.quality)),
        (takes.step, options.step()),
        (takes.over, options.over()),
        (takes.times, options.times()),
        (takes.by, by()),
        (takes.share_of, options.share_of()),
        (takes.stays, options.stays()),
        (takes.rules, options.rules()),
    ]
    return [option for wants, option in wanted if wants]


def _answer(name: str, values: Values, asked: dict[str, Any], form: str | None, output: Path | None) -> None:
    # Loaded here so that `--help` does not wait for it.
    from exporter.clock import SystemClock
    from exporter.history.asking import Asked, Circumstances, understood
    from exporter.history.classes import DEFAULT_CLASSES
    from exporter.history.reader import HistoryReader
    from exporter.history.window import machine_zone

    classes = DEFAULT_CLASSES
    if TAKES[name].classes:
        from exporter.cli.classes import classes_from

        classes = classes_from(values)
    circumstances = Circumstances(SystemClock().now_ms(), machine_zone(os.environ.get("TZ")), classes)
    meant = understood(Asked(**asked), circumstances)
    with HistoryReader.open(values.one("db", parse.path)) as reader:
        report = meant.answer(reader, name)
    write_report(report, form, output)


timeline = _report(
    "timeline",
    "Each agent's stays in a status in the window, one after the other, with how sure the edges are; "
    "the times when nobody was looking are rows too.",
)
summary = _report(
    "summary",
    "How long each agent was in each status: the time that was seen, the least and the most of the known time that it "
    "can have been, the share of the known time, and how many stays began.",
)
at = _report(
    "at",
    "Everyone's status at TIME (ISO 8601, 2h, today, now …), since when, and how old the evidence is.",
)
sessions = _report(
    "sessions",
    "When agents logged in and out, as far as anybody saw it, and how long they were staffed in between.",
)
intervals = _report(
    "intervals",
    "How many agents were in each status, interval by interval: on average, at most and at least, and for how long "
    "there were too few.",
)
occupancy = _report(
    "occupancy",
    "How much of the time in which agents could handle calls they did: handling / (handling + available).",
)
availability = _report(
    "availability",
    "How much of the time in which agents were logged in they were available, or available or handling a call.",
)
transitions = _report(
    "transitions",
    "The recorded changes in order. Each happened after not_before (not there at the first sight of an agent) "
    "and not after seen.",
)
matrix = _report(
    "matrix",
    "How often each status changed into each other one, and how often in an hour in which agents were logged in.",
)
long = _report(
    "long",
    "Stays that lasted longer than they should, whole, also if they began before the window or end after it. Without "
    "--status those that count as not ready, such as breaks.",
)
coverage = _report("coverage", "When somebody was looking and when not, with the reason.")
