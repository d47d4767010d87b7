"""What a report is asked: its window and how its answer is to be read and cut. Pure."""

from dataclasses import dataclass
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo

from exporter.history.algebra import DEFAULT_RULES, Rules
from exporter.history.classes import DEFAULT_CLASSES, Classes
from exporter.history.window import Window
from exporter.model import Quality, Status

QUARTER_HOUR_MS: Final = 15 * 60_000


class Group(Enum):
    """What rows are made for, beside the statuses. Teams are as of the time; days, weeks and months are local ones."""

    AGENT = "agent"
    TEAM = "team"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    CLASS = "class"
    """Classes in place of statuses."""


PER_AGENT: Final = frozenset({Group.AGENT})
CUTTING: Final = frozenset({Group.TEAM, Group.DAY, Group.WEEK, Group.MONTH})
"""The groups that divide one agent's time."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a report. Instants are milliseconds since 1970-01-01 UTC."""

    window: Window
    """It lies in the window that the facts were read for."""
    zone: ZoneInfo
    """Times are written, and days begin, by its clocks."""
    now: int
    """It decides how far the latest stretch goes on."""
    statuses: frozenset[str] | None = None
    """Only rows about these; None: all. It leaves out rows and changes nothing else."""
    rules: Rules = DEFAULT_RULES
    classes: Classes = DEFAULT_CLASSES
    groups: frozenset[Group] = PER_AGENT
    """Empty: everything together."""
    qualities: frozenset[Quality] | None = None
    """Only intervals that are known in these ways; None: all."""
    share_of_window: bool = False
    """Shares are of all tracked time instead of the known time."""
    with_stays: bool = False
    """Also the lengths of the stays, which takes reading each of them."""
    step_ms: int = QUARTER_HOUR_MS
    fewer_than: int = 1
    """How many agents in a status are too few."""
    over_ms: int = QUARTER_HOUR_MS
    """Stays longer than this are long."""

    def wants(self, status: Status | None) -> bool:
        """Whether a row about `status` is asked for."""
        return self.statuses is None or (status is not None and status.word in self.statuses)
