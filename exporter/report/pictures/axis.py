"""The axis of time: where an instant stands, and which local hours, days or months are marked. Pure.

Places are by instant, so that an hour is as long as any other, also on the days on which clocks change. What a mark is
called is the time on the wall; where that happens twice, its offset stands with it, and what clocks jump over has no
mark.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.history.calendar import day_start, from_instant, to_instant
from exporter.report.pictures.svg import WIDTH, Svg, label, label_width, length, tag

_MINUTE: Final = 60_000
_DAY_MINUTES: Final = 1440
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
"""Minutes between marks within a day."""
_DAY_STEPS: Final = (1, 2)
_MONTH_STEPS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200)
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_ROOM: Final = 44
"""Units that a mark needs at least."""
_DAY_ROOM: Final = 76
_LINE: Final = 13


class Tick(NamedTuple):
    """A mark: the wall-clock time at `at` (or the day or month that begins there)."""

    at: int
    name: str
    offset: str = ""
    """`+02:00` where the same wall-clock time happens twice."""
    day: str = ""
    """The date, where a day begins that the window has a part of."""
    second: bool = False
    """The later of the two times that are called the same."""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The instants [since, until) laid out from `left` over `width` units; since < until."""

    since: int
    until: int
    zone: ZoneInfo
    left: float
    width: float

    def x(self, at: int) -> float:
        """Where an instant stands; one outside the window stands at its edge."""
        return self.left + (min(max(at, self.since), self.until) - self.since) * self.width / (self.until - self.since)

    def ticks(self) -> list[Tick]:
        """The marks, in order of time."""
        for step in _STEPS:
            if self._room(step * _MINUTE) >= _ROOM:
                return self._dated(sorted(_within_days(self, step)) or self._ends())
        for days in (*_DAY_STEPS, 7, 14):
            if self._room(days * _DAY_MINUTES * _MINUTE) >= _DAY_ROOM:
                return list(_days(self, days))
        for months in _MONTH_STEPS:
            if self._room(months * 30 * _DAY_MINUTES * _MINUTE) >= _ROOM + 10:
                return list(_months(self, months))
        return []

    def holds(self, at: int) -> bool:
        """Whether an instant is in the window or at its end."""
        return self.since <= at <= self.until

    def dates(self) -> Iterator[date]:
        """The dates on the wall in the window, and one more on both sides."""
        day = from_instant(self.since, self.zone).date() - timedelta(days=1)
        last = from_instant(self.until, self.zone).date() + timedelta(days=1)
        while day <= last:
            yield day
            day += timedelta(days=1)

    def _ends(self) -> list[Tick]:
        """The marks of a window so short that no whole minute is in it."""
        return [Tick(at, f"{from_instant(at, self.zone):%H:%M:%S}") for at in (self.since, self.until)]

    def _room(self, milliseconds: int) -> float:
        return milliseconds * self.width / (self.until - self.since)

    def _dated(self, ticks: list[Tick]) -> list[Tick]:
        """The first mark says the date, too, unless the next day begins right beside it."""
        if not ticks or any(tick.day and self.x(tick.at) - self.x(ticks[0].at) < 2 * _ROOM for tick in ticks):
            return ticks
        first = ticks[0]
        return [first._replace(day=_date_text(from_instant(first.at, self.zone).date())), *ticks[1:]]


def _within_days(axis: TimeAxis, step: int) -> Iterator[Tick]:
    for day in axis.dates():
        begins, dated = day_start(day, axis.zone), False
        for minutes in range(0, _DAY_MINUTES, step):
            wall = datetime.combine(day, time(minutes // 60, minutes % 60))
            found = _instants(wall, axis.zone)
            for number, at in enumerate(found):
                offset = _offset(at, axis.zone) if len(found) > 1 else ""
                first, dated = not dated and at >= begins, dated or at >= begins
                if axis.holds(at):
                    yield Tick(
                        at, f"{wall:%H:%M}", offset, _date_text(day) if first and at < axis.until else "", number > 0
                    )


def _instants(wall: datetime, zone: ZoneInfo) -> list[int]:
    """When clocks show `wall`: once, twice, or never."""
    found = {to_instant(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)) for fold in (0, 1)}
    return sorted(at for at in found if from_instant(at, zone).replace(tzinfo=None, fold=0) == wall)


def _days(axis: TimeAxis, step: int) -> Iterator[Tick]:
    for day in axis.dates():
        at = day_start(day, axis.zone)
        begins_later = at == day_start(day + timedelta(days=1), axis.zone)  # a day that does not exist, as on Apia
        # Counted from a Monday, so that steps of whole weeks are Mondays.
        if (day.toordinal() - 1) % step == 0 and axis.holds(at) and not begins_later:
            yield Tick(at, _WEEKDAYS[day.weekday()], day=day.isoformat() if at < axis.until else "")


def _months(axis: TimeAxis, step: int) -> Iterator[Tick]:
    first, last = (from_instant(at, axis.zone) for at in (axis.since, axis.until))
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        if number % step == 0:
            begin = date(number // 12, number % 12 + 1, 1)
            at = day_start(begin, axis.zone)
            if axis.holds(at):
                yield Tick(at, f"{begin.year}" if step % 12 == 0 else f"{begin.year}-{begin.month:02}")


def _date_text(day: date) -> str:
    return f"{_WEEKDAYS[day.weekday()]} {day.isoformat()}"


def _offset(at: int, zone: ZoneInfo) -> str:
    return from_instant(at, zone).isoformat()[19:]


# --- drawing ----------------------------------------------------------------------------------------------------------


def axis_height(ticks: list[Tick]) -> int:
    """How many units the names of the marks need."""
    return _LINE * len(_lines(ticks)) + 8


def drawn_axis(axis: TimeAxis, ticks: list[Tick], top: float, bottom: float, *, above: bool) -> Svg:
    """The marks as lines from `top` to `bottom`, their names above or below. Hidden from screen readers: bars tell."""
    grid = "".join(f"M{length(axis.x(tick.at))} {length(top)}V{length(bottom)}" for tick in ticks)
    parts = [tag("path", d=grid, class_="grid")]
    for place, of in enumerate(_lines(ticks)):
        y = top - 6 - place * _LINE if above else bottom + 16 + place * _LINE
        parts += [_name(axis, tick, of(tick), y) for tick in ticks if of(tick)]
    return tag("g", *parts, class_="axis", aria_hidden="true")


def _lines(ticks: list[Tick]) -> list[Callable[[Tick], str]]:
    """What stands in each line, the nearest to the picture first."""
    lines: list[Callable[[Tick], str]] = [lambda tick: tick.name]
    if any(tick.offset for tick in ticks):
        lines.append(lambda tick: tick.offset)
    if any(tick.day for tick in ticks):
        lines.append(lambda tick: tick.day)
    return lines


def _name(axis: TimeAxis, tick: Tick, text: str, y: float) -> Svg:
    x, half = axis.x(tick.at), label_width(text) / 2
    if tick.offset:  # two marks that may be near to each other: one name to the left, one to the right
        return label(text, x - 4, y, anchor="start") if tick.second else label(text, x + 4, y, anchor="end")
    if x + half > WIDTH:
        return label(text, WIDTH, y, anchor="end")
    if x < half:
        return label(text, 0, y, anchor="start")
    return label(text, x, y, anchor="middle")
