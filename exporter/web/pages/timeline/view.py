"""Which time the timeline shows, of whom, and the addresses of what lies beside it. Pure.

A day: `date`. An hour of it: `date` and `hour`, any local time within the hour. Any time: `since` and `until`, as the
command line reads them. Instants are milliseconds since 1970-01-01 UTC; windows are half-open.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from exporter.errors import UsageError
from exporter.history.buckets import Bucket, interval_buckets
from exporter.history.calendar import day_of, day_start, from_instant, local_instant, to_instant
from exporter.history.filters import Selection
from exporter.history.window import Window, iso_text, named_zone, parse_instant
from exporter.quoting import shown
from exporter.web.api.query import MOST_ROWS

PAGE: Final = "timeline"
"""The page's address, relative as all links of the pages are."""
HOUR_MS: Final = 3_600_000
SINGLE: Final = ("date", "hour", "since", "until", "tz", "page")
REPEATABLE: Final = ("agent", "team")

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_HOUR: Final = re.compile(r"(\d\d?)(?::([0-5]\d))?([+-]\d\d:\d\d(?::\d\d)?)?")
_PAGE_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_ONE_DAY: Final = timedelta(days=1)
_FIRST_DAY: Final = date(1970, 1, 2)
_LAST_DAY: Final = date(9999, 12, 29)
_MOST_PATTERNS: Final = 20
_LONGEST_PATTERN: Final = 100

Asked = Mapping[str, tuple[str, ...]]


class Span(Enum):
    """What kind of time is shown."""

    DAY = "day"
    HOUR = "hour"
    ANY = "time"


@dataclass(frozen=True, slots=True)
class View:
    """What is shown."""

    span: Span
    since: int
    until: int
    zone: ZoneInfo
    selection: Selection
    page: int
    """Of agents, from 1."""

    @property
    def day(self) -> date:
        """The local day that it begins on."""
        return day_of(self.since, self.zone)

    @property
    def window(self) -> Window:
        """Whether or not it lies in the future."""
        return Window(self.since, self.until)


@dataclass(frozen=True, slots=True)
class Step:
    """A way to another time."""

    words: str
    href: str


def view_of(asked: Asked, default_zone: ZoneInfo, now_ms: int) -> View:
    """What the parameters of the query mean; empty ones are as good as none, as a form sends them.

    Raises UsageError with a sentence that names the parameter.
    """
    given = {name: tuple(value for value in values if value.strip()) for name, values in asked.items()}
    given = {name: values for name, values in given.items() if values}
    _check_names(given)
    one: dict[str, str] = {name: given[name][0].strip() for name in SINGLE if name in given}
    zone = named_zone(one["tz"], flag="tz") if "tz" in one else default_zone
    span, since, until = _time(one, zone, now_ms)
    selection = Selection(given.get("agent", ()), given.get("team", ()))
    page = one.get("page", "1")
    if not _PAGE_NUMBER.fullmatch(page) or int(page) < 1:
        raise UsageError(f"page {shown(page)} is not the number of a page: give 1 or more")
    return View(span, since, until, zone, selection, int(page))


def _check_names(given: Asked) -> None:
    for name, values in given.items():
        if name not in SINGLE and name not in REPEATABLE:
            known = ", ".join((*SINGLE[:-1], *REPEATABLE, SINGLE[-1]))
            raise UsageError(f"{shown(name)} is no parameter of this page: there are {known}")
        if name in SINGLE and len(values) > 1:
            raise UsageError(f"{name} stands there {len(values)} times: give it once")
        if len(values) > _MOST_PATTERNS:
            raise UsageError(f"{name} stands there {len(values)} times, and {_MOST_PATTERNS} times is the most")
        for text in values:
            if name in REPEATABLE and len(text) > _LONGEST_PATTERN:
                raise UsageError(f"{name} {shown(text)} is longer than {_LONGEST_PATTERN} characters")


def _time(one: Mapping[str, str], zone: ZoneInfo, now_ms: int) -> tuple[Span, int, int]:
    free, dated = ([name for name in names if name in one] for names in (("since", "until"), ("date", "hour")))
    if free and dated:
        raise UsageError(f"{free[0]} and {dated[0]} do not go together: give date and hour, or since and until")
    if free:
        since = parse_instant(one.get("since", "today"), zone, now_ms, flag="since")
        until = parse_instant(one.get("until", "now"), zone, now_ms, flag="until")
        if since >= until:
            raise UsageError(
                f"since ({iso_text(since, zone)}) is not before until ({iso_text(until, zone)}): give an earlier start"
            )
        return Span.ANY, since, until
    day = _date(one.get("date", "today"), zone, now_ms)
    if "hour" not in one:
        return Span.DAY, day_start(day, zone), day_start(day + _ONE_DAY, zone)
    hour = hour_around(_instant(day, one["hour"], zone), zone)
    return Span.HOUR, hour.start, hour.end


def _date(text: str, zone: ZoneInfo, now_ms: int) -> date:
    word = text.casefold()
    if word in ("today", "yesterday"):
        return day_of(now_ms, zone) - _ONE_DAY * (word == "yesterday")
    try:
        found = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        raise UsageError(f"date {shown(text)} is not a date: write it as 2026-07-01, or today, or yesterday")
    if not _FIRST_DAY <= found <= _LAST_DAY:
        raise UsageError(f"date {shown(text)} lies outside the years 1970 to 9999")
    return found


def _instant(day: date, text: str, zone: ZoneInfo) -> int:
    match = _HOUR.fullmatch(text.replace(" ", "+"))  # a plus that was not encoded
    if match is None or int(match[1]) > 23:
        raise UsageError(f"hour {shown(text)} is not a time of day: write 9 or 09:30, or 02:00+01:00 if it comes twice")
    wall = datetime.combine(day, time(int(match[1]), int(match[2] or 0)))
    if not match[3]:
        return local_instant(wall, zone)
    try:
        return to_instant(datetime.fromisoformat(f"{wall.isoformat()}{match[3]}"))
    except ValueError:
        raise UsageError(f"hour {shown(text)} has no offset that a clock can have: write it as 02:00+01:00") from None


# --- what lies beside it ----------------------------------------------------------------------------------------------


def hours_of(window: Window, zone: ZoneInfo) -> list[Bucket]:
    """`window` cut at the full hours of the clocks of `zone` and where these are set."""
    return list(interval_buckets(window, HOUR_MS, zone))


def day_window(day: date, zone: ZoneInfo) -> Window:
    """The local `day`."""
    return Window(day_start(day, zone), day_start(day + _ONE_DAY, zone))


def hour_around(at: int, zone: ZoneInfo) -> Bucket:
    """The hour by the clock that `at` lies in; where clocks are set within one, the part on that side."""
    hours = hours_of(day_window(day_of(at, zone), zone), zone)
    return next(hour for hour in hours if hour.start <= at < hour.end)


def hour_text(at: int, zone: ZoneInfo) -> str:
    """The local time, and the offset where that time happens twice: what `hour` takes."""
    moment = from_instant(at, zone)
    return f"{moment:%H:%M}{offset_text(at, zone)}"


def offset_text(at: int, zone: ZoneInfo) -> str:
    """`+02:00` if what the clocks show at `at` they show twice, else ""."""
    moment = from_instant(at, zone)
    repeated = moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()
    return moment.isoformat(timespec="seconds")[19:] if repeated else ""


def to_day(view: View, day: date) -> str:
    """The address of the picture of a day."""
    return _address(PAGE, [("date", day.isoformat()), *_who(view)])


def to_hour(view: View, at: int) -> str:
    """The address of the picture of the hour that begins at `at`."""
    pairs = [("date", f"{from_instant(at, view.zone):%Y-%m-%d}"), ("hour", hour_text(at, view.zone))]
    return _address(PAGE, [*pairs, *_who(view)])


def to_agent(view: View, agent_id: str) -> str:
    """The address of the same time of one agent alone."""
    return _address(PAGE, [*_when(view), ("tz", view.zone.key), ("agent", agent_id)])


def to_page(view: View, number: int) -> str:
    """The address of another page of agents."""
    return _address(PAGE, [*_when(view), *_who(view), ("page", str(number))])


def to_report(view: View, report: str, form: str) -> str:
    """The address of a report on the same time and the same agents, as `json` or `csv`: as many rows as one may get."""
    pairs = [("since", iso_text(view.since, view.zone)), ("until", iso_text(view.until, view.zone)), *_who(view)]
    return _address(f"api/v1/{report}", [*pairs, ("format", form), ("limit", str(MOST_ROWS))])


def steps(view: View, now_ms: int) -> tuple[Step | None, Step | None, Step | None]:
    """The ways to what was before, to the whole day, and to what comes after; None where there is nothing to go to."""
    if view.span is Span.DAY:
        return _day_beside(view, -1, now_ms), None, _day_beside(view, 1, now_ms)
    out = Step("Whole day", to_day(view, view.day))
    if view.span is Span.HOUR:
        before, after = to_hour(view, hour_around(view.since - 1, view.zone).start), to_hour(view, view.until)
        return Step("Previous hour", before), out, Step("Next hour", after) if view.until <= now_ms else None
    length = view.until - view.since
    return (
        Step("Earlier", _to_time(view, view.since - length, view.since)) if view.since >= length else None,
        out if length < 24 * HOUR_MS else None,
        Step("Later", _to_time(view, view.until, view.until + length)) if view.until <= now_ms else None,
    )


def _day_beside(view: View, way: int, now_ms: int) -> Step | None:
    # Not by what the window begins with: a day that clocks jumped over begins with the next one.
    window = view.window
    day = day_of(window.until if way > 0 else window.since - 1, view.zone)
    if not _FIRST_DAY <= day <= _LAST_DAY or (way > 0 and window.until > now_ms):
        return None
    return Step("Next day" if way > 0 else "Previous day", to_day(view, day))


def _to_time(view: View, since: int, until: int) -> str:
    pairs = [("since", iso_text(since, view.zone)), ("until", iso_text(until, view.zone))]
    return _address(PAGE, [*pairs, *_who(view)])


def _when(view: View) -> list[tuple[str, str]]:
    if view.span is Span.DAY:
        return [("date", view.day.isoformat())]
    if view.span is Span.HOUR:
        date_text = f"{from_instant(view.since, view.zone):%Y-%m-%d}"
        return [("date", date_text), ("hour", hour_text(view.since, view.zone))]
    return [("since", iso_text(view.since, view.zone)), ("until", iso_text(view.until, view.zone))]


def _who(view: View) -> list[tuple[str, str]]:
    chosen = view.selection
    return [
        ("tz", view.zone.key),
        *(("team", team) for team in chosen.teams),
        *(("agent", agent) for agent in chosen.agents),
    ]


def _address(path: str, pairs: Iterable[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(list(pairs), safe=':/')}"
