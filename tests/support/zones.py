"""The zones of the tzdata package and when their clocks changed, and buckets reckoned minute by minute.

Nothing here is shared with the calendar that it is held against: the changes are read from the files of the IANA
database, and the buckets by asking each minute for its time on the wall.
"""

import struct
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import groupby, pairwise
from typing import TypeVar
from zoneinfo import ZoneInfo

from exporter.history.window import Window

K = TypeVar("K")

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH_S = (date(1970, 1, 1) - date.min).days * 86_400
_WHOLE_MINUTES_SINCE = 800 * DAY
"""In 1972. Until January of that year the clocks of Monrovia were 44 minutes and 30 seconds behind UTC."""
_RULES_UNTIL_S = 2_145_916_800
"""2038-01-01: so far the rule for all later years is followed."""
_PROBE_S = 28 * 86_400
"""Changes by that rule are months apart."""


@cache
def zone_names() -> tuple[str, ...]:
    """Every zone of tzdata once: of those whose files are equal, the first name."""
    names = {_file(name).read_bytes(): name for name in sorted((files("tzdata") / "zones").read_text().split())[::-1]}
    return tuple(sorted(names.values()))


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone as tzdata has it, whatever the machine has."""
    with _file(name).open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


@cache
def offset_changes(name: str) -> tuple[int, ...]:
    """The instants (ms) from 1970 to 2037 at which the zone's offset from UTC changed."""
    times, offsets = _transitions(_file(name).read_bytes())
    changes = [at for at, (before, after) in zip(times, pairwise(offsets), strict=True) if before != after]
    last = max([0, *times])
    for early in range(last, _RULES_UNTIL_S, _PROBE_S):
        changes += _change_between(early, early + _PROBE_S, zone_of(name))
    return tuple(at * 1000 for at in changes if at >= 0)


def minutes(since: int, until: int) -> Iterator[int]:
    """`since` and every whole minute in [since, until); whole half minutes as long as a zone went by them."""
    grid = MINUTE if since >= _WHOLE_MINUTES_SINCE else MINUTE // 2
    if since < until:
        yield since
    yield from range(since // grid * grid + grid, until, grid)


def rows(window: Window, zone: ZoneInfo, key_of: Callable[[int, datetime], K]) -> list[tuple[int, int, K]]:
    """`window` cut where the key changes, which is told by a minute's instant and its time on the wall."""
    keyed = ((key_of(at, wall_at(at, zone)), at) for at in minutes(window.since, window.until))
    starts = [(key, next(same)[1]) for key, same in groupby(keyed, key=lambda pair: pair[0])]
    edges = [*(start for _, start in starts), window.until]
    return [(start, end, key) for (key, _), (start, end) in zip(starts, pairwise(edges), strict=True)]


def wall_at(at: int, zone: ZoneInfo) -> datetime:
    """The time on the wall, without the zone; `at` in ms."""
    return datetime.fromtimestamp(at // 1000, zone).replace(tzinfo=None)


def stepped(window: Window, zone: ZoneInfo, step_minutes: int) -> list[tuple[int, int, str]]:
    """`window` cut by the rule: a minute's row is its time on the wall floored to the step, and its offset."""

    def key_of(at: int, wall: datetime) -> tuple[int, int]:
        minute = (wall.toordinal() - 1) * 1440 + wall.hour * 60 + wall.minute
        return minute // step_minutes * step_minutes, minute * 60 + wall.second - _EPOCH_S - at // 1000

    return [(start, end, _label(*key)) for start, end, key in rows(window, zone, key_of)]


def _label(minute: int, offset_s: int) -> str:
    zone = timezone(timedelta(seconds=offset_s))
    return (datetime.min.replace(tzinfo=zone) + timedelta(minutes=minute)).isoformat()


def furthest(window: Window, zone: ZoneInfo) -> Callable[[int, datetime], datetime]:
    """The latest time on the wall that was ever shown, to be asked in order of time.

    It never goes back. So a local time that happened twice is first reached at its first occurrence, one that never
    happened is passed at the end of the hole, and a day has begun once its first midnight is reached.
    """
    shown = max(wall_at(at, zone) for at in minutes(window.since - DAY, window.since + 1))

    def at_instant(_: int, wall: datetime) -> datetime:
        nonlocal shown
        shown = max(shown, wall)
        return shown

    return at_instant


def dated(window: Window, zone: ZoneInfo, label: Callable[[date], str]) -> list[tuple[int, int, str]]:
    """`window` cut into local days, or what else `label` makes of a date."""
    reached = furthest(window, zone)
    return rows(window, zone, lambda at, wall: label(reached(at, wall).date()))


def in_hours(
    window: Window, zone: ZoneInfo, weekdays: frozenset[int], start: time, end: time
) -> list[tuple[int, int, str]]:
    """The times in `window` that lie between the two local times on the weekdays."""
    reached = furthest(window, zone)

    def label_of(at: int, wall: datetime) -> str:
        now = reached(at, wall)
        for day in (now.date() - timedelta(days=1), now.date()):
            ends = datetime.combine(day + timedelta(days=end <= start), end)
            if day.weekday() in weekdays and datetime.combine(day, start) <= now < ends:
                return "inside"
        return "outside"

    return [row for row in rows(window, zone, label_of) if row[2] == "inside"]


def _file(name: str) -> Traversable:
    return files("tzdata").joinpath("zoneinfo", *name.split("/"))


def _transitions(data: bytes) -> tuple[list[int], list[int]]:
    """Times and offsets (s), one more, of the second block of a TZif file (RFC 8536), which holds them in 64 bits."""
    utc, std, leap, count, types, chars = struct.unpack(">6l", data[20:44])
    second = 44 + count * 5 + types * 6 + chars + leap * 8 + std + utc
    _, _, _, count, types, _ = struct.unpack(">6l", data[second + 20 : second + 44])
    at = second + 44
    times = struct.unpack(f">{count}q", data[at : at + 8 * count])
    indices = data[at + 8 * count : at + 9 * count]
    kinds = list(struct.iter_unpack(">lbb", data[at + 9 * count : at + 9 * count + 6 * types]))
    return list(times), [kinds[index][0] for index in (0, *indices)]


def _change_between(early: int, late: int, zone: ZoneInfo) -> list[int]:
    """The instant (s) in (early, late] at which the offset became another, if it did."""
    offset = datetime.fromtimestamp(early, zone).utcoffset()
    if datetime.fromtimestamp(late, zone).utcoffset() == offset:
        return []
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            early = middle
        else:
            late = middle
    return [late]
