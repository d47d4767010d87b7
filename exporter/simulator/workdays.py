"""Where a working day begins and ends, and which instant a wall time in it is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exporter.errors import UsageError

# Wall times of the ordinary pattern, in minutes since midnight.
ANCHOR: Final = 2 * 60
"""Nobody works: the day before is over, the next has not begun."""
OPENING: Final = 8 * 60
MIDDLE: Final = 14 * 60
CLOSING: Final = 20 * 60
_DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Workday:
    """A working day, from the wall time at which nobody works to the same one a day later: [start, end) in ms.

    It has 24 hours, or 23 or 25 where clocks are changed. `at(minute)` is the instant of a wall time of the ordinary
    pattern, moved as the pattern is moved.
    """

    date: date
    start: int
    end: int
    every_day_alike: bool
    """The pattern was moved to be at work at one instant: a weekend is staffed like any other day."""
    at: Callable[[int], int]


class Workdays:
    """The working days of one time zone, with the pattern in its place or moved. Raises UsageError for no zone."""

    def __init__(self, timezone: str, shifts_around: int | None) -> None:
        try:
            self._zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UsageError(
                f"the simulator knows no time zone '{timezone}': give an IANA name such as Europe/Berlin"
            ) from error
        self._moved = shifts_around is not None
        self._offset = 0
        if shifts_around is not None:
            local = self._local(shifts_around)
            self._offset = local.hour * 60 + local.minute - MIDDLE
        self._anchor = (ANCHOR + self._offset) % _DAY

    def day_at(self, at_ms: int) -> Workday:
        """The working day that an instant belongs to."""
        day = (self._local(at_ms) - timedelta(minutes=self._anchor)).date()
        # Around a change of clocks the guess can be a day off.
        while at_ms < self._start(day):
            day -= timedelta(days=1)
        while at_ms >= self._start(day + timedelta(days=1)):
            day += timedelta(days=1)
        return self._workday(day)

    def _workday(self, day: date) -> Workday:
        def at(minute: int) -> int:
            return self._instant(day, self._anchor + minute - ANCHOR)

        return Workday(day, self._start(day), self._start(day + timedelta(days=1)), self._moved, at)

    def _start(self, day: date) -> int:
        return self._instant(day, self._anchor)

    def _local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone).replace(tzinfo=None)

    def _instant(self, day: date, minutes: int) -> int:
        wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
        return round(wall.replace(tzinfo=self._zone).timestamp() * 1000)
