"""Local days and local times as instants, in any zone of the IANA database. Pure.

The rule for every local time: where clocks went back and it happened twice, the first occurrence is meant; where
clocks went forward and it never happened, the first instant after the hole. Instants are milliseconds since
1970-01-01 UTC.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""In the order of `date.weekday`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_PROBE_MS: Final = 86_400_000
"""How far apart offsets are looked at. Since 1970 no zone has changed its offset twice within six days."""


def to_instant(moment: datetime) -> int:
    """The instant of an aware `moment`, whole milliseconds, rounded down. Raises OverflowError far off the calendar."""
    return (moment - _EPOCH) // _MILLISECOND


def from_instant(at: int, zone: ZoneInfo) -> datetime:
    """`at` as an aware local time of `zone`. Raises OverflowError outside the years 1 to 9999."""
    return (_EPOCH + timedelta(milliseconds=at)).astimezone(zone)


def local_instant(local: datetime, zone: ZoneInfo) -> int:
    """The instant of the naive wall-clock time `local` in `zone`, by the rule of this module."""
    first = local.replace(tzinfo=zone, fold=0)
    at = to_instant(first.astimezone(UTC))
    if from_instant(at, zone).replace(tzinfo=None) == local.replace(fold=0):
        return at
    # The time was jumped over. Reckoned with the offset after the jump it falls before it, and the other way round.
    before = to_instant(local.replace(tzinfo=zone, fold=1).astimezone(UTC))
    return _first_with_offset_of(at, before, zone)


def day_start(day: date, zone: ZoneInfo) -> int:
    """When the local `day` begins. It ends when the next one begins, which may be 23, 25 or 0 hours later."""
    return local_instant(datetime.combine(day, time.min), zone)


def day_of(at: int, zone: ZoneInfo) -> date:
    """The local day that `at` belongs to: the one that has begun and whose successor has not.

    Not always the date on the wall: where clocks went back over midnight, the repeated minutes of the old date
    belong to the new day.
    """
    day = from_instant(at, zone).date()
    if day_start(day + timedelta(days=1), zone) <= at:
        return day + timedelta(days=1)
    return day


def offset_spans(since: int, until: int, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """[since, until) cut where the offset from UTC changes: start, end and offset, all in milliseconds."""
    start = early = since
    offset = _offset_ms(since, zone)
    while early < until:
        late = min(early + _PROBE_MS, until)
        change = _first_other_offset(early, late, zone)
        if change is not None and change < until:
            yield start, change, offset
            start, offset = change, _offset_ms(change, zone)
        early = late if change is None else change
    if start < until:
        yield start, until, offset


def _offset_ms(at: int, zone: ZoneInfo) -> int:
    return (from_instant(at, zone).utcoffset() or timedelta(0)) // _MILLISECOND


def _first_other_offset(early: int, late: int, zone: ZoneInfo) -> int | None:
    """The first instant in (early, late] at which the offset is not what it is at `early`; None if `late` has it."""
    offset = _offset_ms(early, zone)
    if _offset_ms(late, zone) == offset:
        return None
    while late - early > 1:
        middle = (late + early) // 2
        if _offset_ms(middle, zone) == offset:
            early = middle
        else:
            late = middle
    return late


def _first_with_offset_of(late: int, early: int, zone: ZoneInfo) -> int:
    """The instant in (early, late] at which the offset from UTC becomes what it is at `late`."""
    offset = from_instant(late, zone).utcoffset()
    while late - early > 1:
        middle = (late + early) // 2
        if from_instant(middle, zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late
