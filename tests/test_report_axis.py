"""The axis of time in pictures: marks stand at their instants and say the time on the wall, also when clocks change."""

from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.history.calendar import from_instant
from exporter.report.pictures.axis import TimeAxis
from tests.support.pictured import HOUR, at


def ticks(since: str, until: str, zone: str = "Europe/Berlin") -> list[tuple[str, str, float]]:
    axis = TimeAxis(at(since, zone), at(until, zone), ZoneInfo(zone), 150, 840)
    return [(tick.name + tick.offset, tick.day, round(axis.x(tick.at), 2)) for tick in axis.ticks()]


def test_the_repeated_hour_has_two_marks_told_apart_by_their_offsets() -> None:
    # 25 hours: 33.6 units each. 04:00 is the fifth hour after midnight.
    assert ticks("2025-10-26", "2025-10-27")[:5] == [
        ("00:00", "Sun 2025-10-26", 150),
        ("02:00+02:00", "", 217.2),
        ("02:00+01:00", "", 250.8),
        ("04:00", "", 318),
        ("06:00", "", 385.2),
    ]


def test_the_missing_hour_has_no_mark() -> None:
    # 23 hours: 36.52 units each. 02:00 does not exist; 04:00 is the third hour after midnight.
    assert ticks("2025-03-30", "2025-03-31")[:3] == [
        ("00:00", "Sun 2025-03-30", 150),
        ("04:00", "", 259.57),
        ("06:00", "", 332.61),
    ]


def test_a_day_that_begins_at_one_is_named_there() -> None:
    # In Cairo clocks went from 00:00 to 01:00 on 2024-04-26, a Friday.
    assert ticks("2024-04-25T21:00", "2024-04-26T03:00", "Africa/Cairo") == [
        ("21:00", "Thu 2024-04-25", 150),
        ("21:30", "", 234),
        ("22:00", "", 318),
        ("22:30", "", 402),
        ("23:00", "", 486),
        ("23:30", "", 570),
        ("01:00", "Fri 2024-04-26", 654),
        ("01:30", "", 738),
        ("02:00", "", 822),
        ("02:30", "", 906),
        ("03:00", "", 990),
    ]


@pytest.mark.parametrize(
    ("since", "until", "names"),
    [
        ("2025-01-15T09:00", "2025-01-15T09:10", ["09:00", "09:01", "09:02", "09:03", "09:04", "09:05"]),
        ("2025-01-15T09:00:10", "2025-01-15T09:00:40", ["09:00:10", "09:00:40"]),
        ("2025-01-06", "2025-01-20", ["Mon", "Wed", "Fri", "Sun", "Tue", "Thu"]),
        ("2025-01-01", "2025-03-01", ["Mon", "Mon", "Mon", "Mon", "Mon", "Mon"]),
        ("2025-01-01", "2025-12-01", ["2025-01", "2025-02", "2025-03", "2025-04", "2025-05", "2025-06"]),
        ("2020-01-01", "2040-01-01", ["2020", "2022", "2024", "2026", "2028", "2030"]),
    ],
)
def test_marks_are_as_far_apart_as_their_names_need(since: str, until: str, names: list[str]) -> None:
    assert [name for name, _, _ in ticks(since, until, "UTC")][:6] == names


ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"),
    *("America/St_Johns", "Pacific/Apia"),
)


@given(
    st.sampled_from(ZONES),
    st.integers(10**12, 2 * 10**12),
    st.integers(1_000, 400 * 24 * HOUR) | st.integers(1, 3 * HOUR),
)
def test_marks_are_in_order_inside_the_window_and_say_the_time_on_the_wall(name: str, since: int, length: int) -> None:
    zone = ZoneInfo(name)
    axis = TimeAxis(since, since + length, zone, 150, 840)
    found = axis.ticks()
    assert len(found) <= 30
    assert all(since <= tick.at <= since + length for tick in found)
    assert all(one.at < other.at for one, other in pairwise(found))
    for tick in found:
        local = from_instant(tick.at, zone)
        if ":" in tick.name:
            assert f"{local:%H:%M:%S}".startswith(tick.name)
            assert not tick.offset or local.isoformat().endswith(tick.offset)
