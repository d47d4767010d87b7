"""What can be asked of each report beside its window and whom it is about: one table for the command line and the API.

It imports nothing that takes time, so that `--help` is there at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TOTAL: Final = "total"
"""The value of `by` that puts everything together."""
EDGES: Final = ("seen", "midpoint", "not-before")
SHARES: Final = ("known", "window")

_GROUPS: Final = ("agent", "team", "day", "week", "month")


@dataclass(frozen=True, slots=True)
class Takes:
    """What a report takes, by the names of the options without dashes."""

    status: bool = True
    quality: tuple[str, ...] = ()
    """The qualities that its rows may have, if they can be chosen by them."""
    step: bool = False
    """`step` and `fewer-than`."""
    over: bool = False
    times: bool = True
    """`weekday` and `hours`."""
    by: tuple[str, ...] = ()
    """What its rows can be made for."""
    by_default: tuple[str, ...] = ()
    share_of: bool = False
    stays: bool = False
    rules: bool = True
    """`edges` and `bridge`."""
    classes: bool = False
    """Whether it counts statuses as what the settings `classes.*` say."""
    picture: bool = False


TAKES: Final[Mapping[str, Takes]] = {
    "timeline": Takes(quality=("exact", "sampled", "bridged", "unknown"), picture=True),
    "summary": Takes(
        by=(*_GROUPS, "class", TOTAL),
        by_default=("agent",),
        share_of=True,
        stays=True,
        classes=True,
        picture=True,
    ),
    "at": Takes(times=False),
    "sessions": Takes(status=False, by=("day",), classes=True),
    "intervals": Takes(step=True, by=("class",), classes=True, picture=True),
    "occupancy": Takes(status=False, by=(*_GROUPS, TOTAL), by_default=("agent",), classes=True),
    "availability": Takes(status=False, by=(*_GROUPS, TOTAL), by_default=("agent",), classes=True),
    "transitions": Takes(quality=("exact", "sampled"), rules=False),
    "matrix": Takes(by=("agent", "team", TOTAL), by_default=(TOTAL,), classes=True),
    "long": Takes(over=True, classes=True),
    "coverage": Takes(status=False, times=False, rules=False, picture=True),
}
