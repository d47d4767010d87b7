"""A window cut into local intervals, days, weeks and months, and the part of it that lies in working hours. Pure.

Buckets are told apart by the clock on the wall and its offset from UTC, so the hour that clocks repeat makes rows of
its own and the hour that they skip makes none. Instants are milliseconds since 1970-01-01 UTC; buckets and periods are
half-open. Far off the calendar everything here raises OverflowError, as `exporter.history.calendar` does.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.durations import format_duration_ms, parse_duration_ms
from exporter.errors import UsageError
from exporter.history.calendar import WEEKDAYS, day_of, day_start, from_instant, local_instant, offset_spans
from exporter.history.facts import Period, union
from exporter.history.window import Window
from exporter.quoting import shown

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1)
_ONE_DAY: Final = timedelta(days=1)
_CLOCK: Final = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_HOURS: Final = re.compile(rf"{_CLOCK}\s*-\s*(?:{_CLOCK}|24:00)")


class Bucket(NamedTuple):
    """[start, end) of a report; `label` is the same for whatever part of the bucket a window leaves."""

    start: int
    end: int
    label: str


def clip(bucket: Bucket, window: Window) -> Bucket | None:
    """The part of `bucket` that lies in `window`; None if there is none."""
    start, end = max(bucket.start, window.since), min(bucket.end, window.until)
    return Bucket(start, end, bucket.label) if start < end else None


def interval_buckets(window: Window, step_ms: int, zone: ZoneInfo) -> Iterator[Bucket]:
    """`window` cut at every `step_ms` of the clocks of `zone`, counted from 00:00, and at every change of its offset.

    In order of time and clipped, so they tile the window. An instant's bucket is its local time floored to the step
    together with its offset, and that is the label, such as `2026-07-01T09:15:00+02:00`. So a repeated hour has its
    buckets twice and a skipped hour has none; where the offset changes inside a step, each part is a bucket.

    Raises UsageError if `step_ms` is not a whole number of minutes that divides a day.
    """
    _refuse_odd_step(step_ms, f"--step {format_duration_ms(step_ms)}")
    return _interval_buckets(window, step_ms, zone)


def days(window: Window, zone: ZoneInfo) -> Iterator[Bucket]:
    """The local days that meet `window`, clipped to it, labelled such as `2026-07-01`; a day without length has none.

    A day begins by the rule of `exporter.history.calendar.day_start` and is not always 24 hours long.
    """
    return _dated(window, zone, day_of(window.since, zone), lambda day: day + _ONE_DAY, date.isoformat)


def weeks(window: Window, zone: ZoneInfo) -> Iterator[Bucket]:
    """The local ISO weeks, Monday to Sunday, that meet `window`, clipped to it, labelled such as `2026-W27`."""
    day = day_of(window.since, zone)
    return _dated(window, zone, day - timedelta(days=day.weekday()), lambda day: day + 7 * _ONE_DAY, _week_label)


def months(window: Window, zone: ZoneInfo) -> Iterator[Bucket]:
    """The local months that meet `window`, clipped to it, labelled such as `2026-07`."""
    return _dated(window, zone, day_of(window.since, zone).replace(day=1), _next_month, lambda day: day.isoformat()[:7])


def daily_periods(
    window: Window, zone: ZoneInfo, weekdays: frozenset[int] | None, hours: tuple[time, time] | None
) -> tuple[Period, ...]:
    """The times in `window` on local days of the given `weekdays` (0 is Monday) and between two local times.

    None: on every day, and the whole day. Hours that do not end later than they begin run into the next day and belong
    to the day on which they began; equal ends are 24 hours of the clock. How long they last is the difference of the
    instants: 22:00 to 06:00 may be 7, 8 or 9 hours. Each end is reckoned by the rule of `exporter.history.calendar`.
    In order of time; adjoining periods are joined.
    """
    return union(_daily_periods(window, zone, weekdays, hours))


def parse_step(text: str, *, flag: str = "--step") -> int:
    """Milliseconds of a step such as `15m`, `1h` or `1d`.

    Raises UsageError, with `flag` and the text, unless it is a whole number of minutes that divides a day.
    """
    try:
        step_ms = parse_duration_ms(text.strip())
    except UsageError as error:
        raise UsageError(f"{flag} {error}") from None
    _refuse_odd_step(step_ms, f"{flag} {shown(text)}")
    return step_ms


def parse_weekdays(texts: Iterable[str], *, flag: str = "--weekday") -> frozenset[int]:
    """The weekdays, 0 is Monday, that `texts` name: `mon`, `Monday`, `mon-fri`, `sat,sun`; `fri-mon` is four days.

    Raises UsageError, with `flag` and the text, for anything else.
    """
    found: set[int] = set()
    for text in texts:
        for part in text.casefold().split(","):
            ends = [_weekday(name.strip()) for name in part.split("-")]
            first, last = ends[0], ends[-1]
            if first is None or last is None or len(ends) > 2:
                raise UsageError(
                    f"{flag} {shown(text)} is not a weekday: write its name or its first three letters, such as "
                    "monday or mon, or from one to another, such as mon-fri"
                )
            found.update((first + i) % 7 for i in range((last - first) % 7 + 1))
    return frozenset(found)


def parse_hours(text: str, *, flag: str = "--hours") -> tuple[time, time]:
    """The start and the end of hours such as `09:00-17:30` or `22:00-06:00`; `24:00` as the end is the midnight 00:00.

    Raises UsageError, with `flag` and the text, for anything else and for equal ends.
    """
    match = _HOURS.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{flag} {shown(text)} is not a time of day from and to: write two local times, such as 09:00-17:30 or "
            "22:00-06:00; the end may be 24:00"
        )
    numbers = [int(number or 0) for number in match.groups()]
    start, end = time(numbers[0], numbers[1]), time(numbers[2], numbers[3])
    if start == end and match[3] is not None:
        raise UsageError(
            f"{flag} {shown(text)} ends when it begins: give two different times, or 00:00-24:00 for the whole day"
        )
    return start, end


def _interval_buckets(window: Window, step_ms: int, zone: ZoneInfo) -> Iterator[Bucket]:
    minutes = range(0, _DAY_MS // _MINUTE_MS, step_ms // _MINUTE_MS)
    clock_texts = [f"T{minute // 60:02}:{minute % 60:02}:00" for minute in minutes]
    for since, until, offset_ms in offset_spans(window.since, window.until, zone):
        offset_text = from_instant(since, zone).isoformat(timespec="seconds")[19:]
        # Steps are counted from 1970-01-01 00:00 on the wall; a day has a whole number of them.
        step = (since + offset_ms) // step_ms
        start, end = since, (step + 1) * step_ms - offset_ms
        while start < until:
            day, step_of_day = divmod(step, len(clock_texts))
            day_text = (_EPOCH + timedelta(days=day)).isoformat()
            for clock_text in clock_texts[step_of_day:]:
                if start >= until:
                    break
                yield Bucket(start, min(end, until), f"{day_text}{clock_text}{offset_text}")
                start, end = end, end + step_ms
            step += len(clock_texts) - step_of_day


def _dated(
    window: Window, zone: ZoneInfo, first: date, following: Callable[[date], date], label: Callable[[date], str]
) -> Iterator[Bucket]:
    """The buckets that begin with the days `first`, `following(first)` and so on and meet the window, clipped to it."""
    day, start = first, day_start(first, zone)
    while start < window.until:
        next_day = following(day)
        end = day_start(next_day, zone)
        bucket = clip(Bucket(start, end, label(day)), window)
        if bucket is not None:
            yield bucket
        day, start = next_day, end


def _week_label(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def _next_month(day: date) -> date:
    return (day + timedelta(days=31)).replace(day=1)


def _daily_periods(
    window: Window, zone: ZoneInfo, weekdays: frozenset[int] | None, hours: tuple[time, time] | None
) -> Iterator[Period]:
    start_time, end_time = hours or (time.min, time.min)
    days_later = _ONE_DAY if end_time <= start_time else timedelta(0)
    day = day_of(window.since, zone) - _ONE_DAY  # hours that began the day before may reach into the window
    while day_start(day, zone) < window.until:
        if weekdays is None or day.weekday() in weekdays:
            start = local_instant(datetime.combine(day, start_time), zone)
            end = local_instant(datetime.combine(day + days_later, end_time), zone)
            yield Period(max(start, window.since), min(end, window.until))
        day += _ONE_DAY


def _refuse_odd_step(step_ms: int, asked: str) -> None:
    if step_ms < _MINUTE_MS or step_ms % _MINUTE_MS or _DAY_MS % step_ms:
        raise UsageError(
            f"{asked} does not divide a day into whole minutes: give a step from 1m to 24h that does, such as 15m, "
            "30m or 1h"
        )


def _weekday(name: str) -> int | None:
    """0 is Monday; None: `name` is no weekday."""
    return next((i for i, weekday in enumerate(WEEKDAYS) if name in (weekday, weekday[:3])), None)
