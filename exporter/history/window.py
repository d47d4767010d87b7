"""What people say of time (`7d`, `monday`, `2026-07-01 09:00`) as instants, and the window of a report. Pure.

Instants are milliseconds since 1970-01-01 UTC; a window is half-open. The command line gives the texts, the zone and
the present; only `machine_zone` looks at the machine.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from exporter.durations import parse_duration_ms
from exporter.errors import UsageError
from exporter.history.calendar import WEEKDAYS, day_of, day_start, from_instant, local_instant, to_instant
from exporter.quoting import shown

DEFAULT_SINCE: Final = "today"
DEFAULT_UNTIL: Final = "now"

_LATEST: Final = to_instant(datetime(9999, 12, 30, tzinfo=UTC))
"""Later instants could not be printed in a zone east of Greenwich."""
_ZONE_FILES: Final = "zoneinfo/"


@dataclass(frozen=True, slots=True)
class Window:
    """[since, until): what a report is about; since ≤ until."""

    since: int
    until: int
    asked_until: int | None = None
    """The end that was asked for, if it lay in the future and `until` was put in its place; else None."""
    asked_since: int | None = None
    """The start that was asked for, if facts before `since` were purged; else None."""

    @property
    def length(self) -> int:
        """Milliseconds."""
        return self.until - self.since


def make_window(since: str, until: str, zone: ZoneInfo, now_ms: int) -> Window:
    """The window from `since` to `until`; an end in the future is cut to now.

    Raises UsageError if a text is not a time, if `since` is after `until`, or if the window lies in the future.
    """
    start = parse_instant(since, zone, now_ms, flag="--since")
    end = parse_instant(until, zone, now_ms, flag="--until")
    if start > end:
        raise UsageError(
            f"--since {since} ({iso_text(start, zone)}) is after --until {until} ({iso_text(end, zone)}): "
            "give a start that is not later than the end"
        )
    if start > now_ms:
        raise UsageError(f"--since {since} ({iso_text(start, zone)}) lies in the future: nothing is recorded yet")
    if end > now_ms:
        return Window(start, now_ms, asked_until=end)
    return Window(start, end)


def after_water_mark(window: Window, water_mark: int | None) -> Window:
    """What is left of `window` when everything before `water_mark` was purged; it may have no length."""
    if water_mark is None or window.since >= water_mark:
        return window
    if window.until >= water_mark:
        return replace(window, since=water_mark, asked_since=window.since)
    return Window(water_mark, water_mark, asked_until=window.asked_until or window.until, asked_since=window.since)


def instant_window(at: int, now_ms: int, zone: ZoneInfo) -> Window:
    """The window of a report on the instant `at`: its one millisecond. Raises UsageError if it lies in the future."""
    if at > now_ms:
        raise UsageError(f"{iso_text(at, zone)} lies in the future: a status can only be looked up until now")
    return Window(at, at + 1)


def parse_instant(text: str, zone: ZoneInfo, now_ms: int, *, flag: str = "") -> int:
    """The instant that `text` means.

    `now`; `today`, `yesterday` (their local midnight); a weekday's name (the latest one's local midnight, today's if
    it is that day); a duration as Prometheus writes them (`7d`: that long ago, days of 24 hours); an ISO 8601 date
    (its local midnight) or date and time, with an offset or else in `zone`. A local time that happened twice is the
    first of the two; one that never happened is the first instant after the hole.

    Raises UsageError, with `flag` and the text, for anything else and for times before 1970.
    """
    name = f"{flag} " if flag else ""
    at = _instant(text.strip(), zone, now_ms)
    if at is None:
        raise UsageError(
            f"{name}{shown(text)} is not a time: write now, today, yesterday, a weekday such as monday, a duration ago "
            "such as 7d or 90m, or ISO 8601 such as 2026-07-01 or 2026-07-01T09:00"
        )
    if not 0 <= at <= _LATEST:
        raise UsageError(f"{name}{shown(text)} lies outside the years 1970 to 9999")
    return at


def named_zone(name: str, *, flag: str = "--tz") -> ZoneInfo:
    """The zone of an IANA name such as Europe/Berlin. Raises UsageError, naming `flag`, if there is none."""
    zone = _zone(name)
    if zone is None:
        raise UsageError(f"{flag} {shown(name)} is not a time zone: give an IANA name such as Europe/Berlin or UTC")
    return zone


def machine_zone(
    tz_variable: str | None,
    *,
    localtime: Path = Path("/etc/localtime"),
    timezone_file: Path = Path("/etc/timezone"),
) -> ZoneInfo:
    """The zone of this machine: of the variable TZ if that holds an IANA name, else of /etc, else UTC."""
    names = [(tz_variable or "").removeprefix(":")]
    try:
        names.append(str(localtime.readlink()))
    except OSError:
        names.append("")
    try:
        names.append(timezone_file.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        names.append("")
    for name in names:
        plain = name.rpartition(_ZONE_FILES)[2] if _ZONE_FILES in name else name
        zone = _zone(plain.removeprefix("posix/").removeprefix("right/")) if plain else None
        if zone is not None:
            return zone
    return ZoneInfo("UTC")


def iso_text(at: int, zone: ZoneInfo) -> str:
    """`at` in ISO 8601 with the offset of `zone`; with milliseconds only if there are any."""
    return from_instant(at, zone).isoformat(timespec="milliseconds" if at % 1000 else "seconds")


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # unsafe or damaged, a folder of zones, not found
        return None


def _instant(text: str, zone: ZoneInfo, now_ms: int) -> int | None:
    word = text.casefold()
    if word == "now":
        return now_ms
    days_ago = _days_ago(word, day_of(now_ms, zone))
    if days_ago is not None:
        return day_start(day_of(now_ms, zone) - timedelta(days=days_ago), zone)
    try:
        return now_ms - parse_duration_ms(text)
    except UsageError:
        return _iso_instant(text, zone)


def _days_ago(word: str, today: date) -> int | None:
    if word in ("today", "yesterday"):
        return ("today", "yesterday").index(word)
    if word in WEEKDAYS:
        return (today.weekday() - WEEKDAYS.index(word)) % 7
    return None


def _iso_instant(text: str, zone: ZoneInfo) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return to_instant(moment)
        return local_instant(moment.replace(microsecond=moment.microsecond // 1000 * 1000), zone)
    except (ValueError, OverflowError):
        return None
