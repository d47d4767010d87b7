"""The options that reports share, each a decorator."""

from collections.abc import Callable
from typing import TypeVar

import click

from exporter.history.parameters import EDGES, SHARES, TOTAL

R = TypeVar("R")
Option = Callable[[Callable[..., R]], Callable[..., R]]


def together(*options: Option[R]) -> Option[R]:
    """The options as one decorator, in the order of the help."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def window() -> Option[R]:
    """`--since` and `--until`."""
    return together(
        click.option(
            "--since",
            metavar="TIME",
            help="Start of the window: ISO 8601, a duration ago such as 7d, today, yesterday, or a weekday. "
            "Default: today.",
        ),
        click.option(
            "--until", metavar="TIME", help="End of the window, not included: as --since, or now. Default: now."
        ),
    )


def whom() -> Option[R]:
    """`--tz`, `--agent` and `--team`, which every report takes."""
    return together(
        click.option(
            "--tz",
            metavar="ZONE",
            help="IANA time zone that times are read and written in, such as Europe/Berlin. Default: the machine's.",
        ),
        click.option(
            "--agent",
            "agents",
            multiple=True,
            metavar="GLOB",
            help="Only agents whose id or name matches. May be repeated.",
        ),
        click.option(
            "--team",
            "teams",
            multiple=True,
            metavar="GLOB",
            help="Only the time that agents spent in a team whose name matches; time without a team matches none. "
            "May be repeated.",
        ),
    )


def status() -> Option[R]:
    """`--status`."""
    return click.option(
        "--status",
        "statuses",
        multiple=True,
        metavar="STATUS",
        help="Only rows of this status: Zoho's word, or unknown, absent, error. May be repeated.",
    )


def quality(*qualities: str) -> Option[R]:
    """`--quality`, for those that the rows of the report may have."""
    return click.option(
        "--quality",
        "qualities",
        multiple=True,
        type=click.Choice(qualities),
        help="Only rows that are known in this way. May be repeated.",
    )


def times() -> Option[R]:
    """`--weekday` and `--hours`."""
    return together(
        click.option(
            "--weekday",
            "weekdays",
            multiple=True,
            metavar="DAYS",
            help="Only the time on these local days: mon, mon-fri, or sat,sun. May be repeated.",
        ),
        click.option(
            "--hours",
            metavar="FROM-TO",
            help="Only the time between two local times, such as 09:00-17:30. 22:00-06:00 runs into the next day and "
            "belongs to the day on which it begins.",
        ),
    )


def rules() -> Option[R]:
    """`--edges` and `--bridge`."""
    return together(
        click.option(
            "--edges",
            type=click.Choice(EDGES),
            default="seen",
            show_default=True,
            help="Where between its bounds a change is put: when a poll first saw it, in the middle, or when the last "
            "poll was sent that saw the status before.",
        ),
        click.option(
            "--bridge",
            metavar="DURATION",
            default="0s",
            show_default=True,
            help="Count unknown time of at most this length between two stays in the same status as that status.",
        ),
    )


def by(*groups: str, default: tuple[str, ...]) -> Option[R]:
    """`--by`, for the groups that the report takes."""
    text = "What rows are made for; teams are as of the time, days, weeks and months are local. May be repeated."
    if TOTAL in groups:
        text += " total: everything together."
    return click.option(
        "--by",
        multiple=True,
        type=click.Choice(groups),
        default=default,
        show_default=True,
        help=text,
    )


def per_day() -> Option[R]:
    """`--by day` of a report whose rows are otherwise something else than groups."""
    return click.option(
        "--by", multiple=True, type=click.Choice(["day"]), help="Rows of agents and local days instead of sessions."
    )


def per_class() -> Option[R]:
    """`--by class` of a report whose rows are otherwise about statuses."""
    return click.option(
        "--by", multiple=True, type=click.Choice(["class"]), help="Rows of classes instead of statuses."
    )


def share_of() -> Option[R]:
    """`--share-of`."""
    return click.option(
        "--share-of",
        type=click.Choice(SHARES),
        default="known",
        show_default=True,
        help="What shares are of: the time whose status is known, or all tracked time in the window.",
    )


def stays() -> Option[R]:
    """`--stays`."""
    return click.option(
        "--stays",
        is_flag=True,
        help="Also how long whole stays were: average, extremes and percentiles of those that began in the window.",
    )


def step() -> Option[R]:
    """`--step` and `--fewer-than`."""
    return together(
        click.option(
            "--step",
            metavar="DURATION",
            default="15m",
            show_default=True,
            help="Length of an interval, by the clocks of the zone: whole minutes that divide a day.",
        ),
        click.option(
            "--fewer-than",
            metavar="NUMBER",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Also tell for how long fewer agents than this were in the status.",
        ),
    )


def over() -> Option[R]:
    """`--over`."""
    return click.option(
        "--over",
        metavar="DURATION",
        default="15m",
        show_default=True,
        help="Only stays that lasted longer than this.",
    )
