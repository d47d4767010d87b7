"""What people say of time, and the local days of the world's odder zones."""

from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import UsageError
from exporter.history.calendar import day_of, day_start, from_instant
from exporter.history.window import (
    Window,
    instant_window,
    iso_text,
    machine_zone,
    make_window,
    named_zone,
    parse_instant,
)
from exporter.quoting import shown

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")
HOUR = 3_600_000
NOW = 1_782_907_200_000
"""2026-07-01T12:00:00Z, 14:00 in Berlin, a Wednesday."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-07-01T14:00:00+02:00"),
        ("today", "2026-07-01T00:00:00+02:00"),
        ("yesterday", "2026-06-30T00:00:00+02:00"),
        ("monday", "2026-06-29T00:00:00+02:00"),
        ("Wednesday", "2026-07-01T00:00:00+02:00"),
        ("thursday", "2026-06-25T00:00:00+02:00"),
        ("7d", "2026-06-24T14:00:00+02:00"),
        ("90m", "2026-07-01T12:30:00+02:00"),
        ("1h30m", "2026-07-01T12:30:00+02:00"),
        ("0", "2026-07-01T14:00:00+02:00"),
        ("2026-06-28", "2026-06-28T00:00:00+02:00"),
        ("2026-06-28T09:30", "2026-06-28T09:30:00+02:00"),
        ("2026-06-28 09:30:15", "2026-06-28T09:30:15+02:00"),
        ("2026-06-28T09:30:15Z", "2026-06-28T11:30:15+02:00"),
        ("2026-06-28T09:30:15.250-05:00", "2026-06-28T16:30:15.250+02:00"),
        ("2026-06-28T09:30:15.2509", "2026-06-28T09:30:15.250+02:00"),
        (" 2026-01-28 ", "2026-01-28T00:00:00+01:00"),
    ],
)
def test_a_time_is_read_in_the_zone_of_the_report(text: str, expected: str) -> None:
    assert iso_text(parse_instant(text, BERLIN, NOW), BERLIN) == expected


@pytest.mark.parametrize("text", ["", "tomorrow", "7", "7 d", "d", "2026-13-01", "2026-06-31", "12:00", "1782907200"])
def test_what_is_no_time_is_refused_with_the_flag_and_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_instant(text, BERLIN, NOW, flag="--since")
    assert str(caught.value) == (
        f"--since '{text}' is not a time: write now, today, yesterday, a weekday such as monday, a duration ago "
        "such as 7d or 90m, or ISO 8601 such as 2026-07-01 or 2026-07-01T09:00"
    )


@pytest.mark.parametrize("text", ["100y", "999999999999999y", "0001-01-01", "9999-12-31", "1969-12-31T23:59:59Z"])
def test_a_time_that_no_recorder_can_have_seen_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"lies outside the years 1970 to 9999$"):
        parse_instant(text, UTC, NOW)


def test_a_local_time_that_happened_twice_is_the_first_of_the_two() -> None:
    # Berlin, 2026-10-25: 03:00 CEST became 02:00 CET.
    assert iso_text(parse_instant("2026-10-25T02:30", BERLIN, NOW), BERLIN) == "2026-10-25T02:30:00+02:00"


def test_a_local_time_that_never_happened_is_the_first_instant_after_the_hole() -> None:
    # Berlin, 2026-03-29: 02:00 CET became 03:00 CEST.
    assert iso_text(parse_instant("2026-03-29T02:30", BERLIN, NOW), BERLIN) == "2026-03-29T03:00:00+02:00"


def test_a_window_is_half_open_and_ends_now_by_default() -> None:
    assert make_window("today", "now", BERLIN, NOW) == Window(NOW - 14 * HOUR, NOW)
    assert make_window("today", "now", BERLIN, NOW).length == 14 * HOUR


def test_an_end_in_the_future_is_cut_to_now_and_remembered() -> None:
    assert make_window("1h", "2026-07-02T00:00Z", BERLIN, NOW) == Window(NOW - HOUR, NOW, asked_until=NOW + 12 * HOUR)


def test_an_empty_window_is_allowed() -> None:
    assert make_window("today", "today", BERLIN, NOW).length == 0


def test_a_start_after_the_end_names_both() -> None:
    with pytest.raises(UsageError) as caught:
        make_window("today", "yesterday", BERLIN, NOW)
    assert str(caught.value) == (
        "--since today (2026-07-01T00:00:00+02:00) is after --until yesterday (2026-06-30T00:00:00+02:00): "
        "give a start that is not later than the end"
    )


def test_a_window_that_lies_in_the_future_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^--since 2026-07-02 \(2026-07-02T00:00:00\+02:00\) lies in the future"):
        make_window("2026-07-02", "2026-07-03", BERLIN, NOW)


def test_the_present_can_be_looked_up_and_the_future_cannot() -> None:
    assert instant_window(NOW, NOW, UTC) == Window(NOW, NOW + 1)
    with pytest.raises(UsageError, match=r"^2026-07-01T12:00:00\.001\+00:00 lies in the future"):
        instant_window(NOW + 1, NOW, UTC)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe", "UTC+1", "\x7f"])
def test_a_zone_that_does_not_exist_is_refused_with_the_flag(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        named_zone(name)
    assert str(caught.value) == f"--tz {shown(name)} is not a time zone: give an IANA name such as Europe/Berlin or UTC"


def test_the_zone_of_the_machine_is_taken_from_tz_then_localtime_then_timezone(tmp_path: Path) -> None:
    link, text, nothing = tmp_path / "localtime", tmp_path / "timezone", tmp_path / "nothing"
    link.symlink_to("/usr/share/zoneinfo/posix/Asia/Kathmandu")
    text.write_text("Africa/Cairo\n")

    def zone(variable: str | None, localtime: Path, timezone: Path) -> str:
        return machine_zone(variable, localtime=localtime, timezone_file=timezone).key

    assert zone("Europe/Berlin", link, text) == "Europe/Berlin"
    assert zone(":Europe/Berlin", link, text) == "Europe/Berlin"
    assert zone(":/usr/share/zoneinfo/Europe/Berlin", link, text) == "Europe/Berlin"
    assert zone("WEST-3WEST", link, text) == "Asia/Kathmandu"
    assert zone(None, link, text) == "Asia/Kathmandu"
    assert zone(None, nothing, text) == "Africa/Cairo"
    assert zone(None, text, text) == "Africa/Cairo"
    assert zone("", nothing, nothing) == "UTC"


@pytest.mark.parametrize(
    ("name", "day", "start", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-29T00:00:00+01:00", 23),
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-25T00:00:00+02:00", 25),
        ("Australia/Lord_Howe", date(2023, 4, 2), "2023-04-02T00:00:00+11:00", 24.5),
        ("Asia/Kathmandu", date(2026, 7, 1), "2026-07-01T00:00:00+05:45", 24),
        ("Africa/Cairo", date(2023, 4, 28), "2023-04-28T01:00:00+03:00", 23),
        ("Asia/Beirut", date(2022, 3, 27), "2022-03-27T01:00:00+03:00", 23),
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T01:00:00-02:00", 23),
        # The whole day was left out when Samoa crossed the date line.
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-31T00:00:00+14:00", 0),
        # Clocks went back at 00:01 into the day before: midnight came twice, and the first one counts.
        ("America/St_Johns", date(2010, 11, 7), "2010-11-07T00:00:00-02:30", 25),
        # Clocks went forward from 23:30 to 00:30.
        ("America/Toronto", date(1919, 3, 31), "1919-03-31T00:30:00-04:00", 23.5),
    ],
)
def test_a_local_day_lasts_from_its_midnight_to_the_next(name: str, day: date, start: str, hours: float) -> None:
    zone = ZoneInfo(name)
    begins, ends = day_start(day, zone), day_start(day + timedelta(days=1), zone)
    assert iso_text(begins, zone) == start
    assert ends - begins == hours * HOUR


def test_minutes_repeated_over_midnight_belong_to_the_new_day() -> None:
    zone = ZoneInfo("America/St_Johns")
    # 2010-11-07T00:01-02:30 became 23:01-03:30 of the sixth; this is half an hour later, 23:30 on the wall.
    at = day_start(date(2010, 11, 7), zone) + HOUR // 2
    assert from_instant(at, zone).date() == date(2010, 11, 6)
    assert day_of(at, zone) == date(2010, 11, 7)


@given(
    at=st.integers(0, 4_000_000_000_000),
    name=st.sampled_from(
        ["America/St_Johns", "Pacific/Apia", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu", "Europe/Berlin"]
    ),
)
def test_every_instant_lies_in_the_day_that_it_belongs_to(at: int, name: str) -> None:
    zone = ZoneInfo(name)
    day = day_of(at, zone)
    assert day_start(day, zone) <= at < day_start(day + timedelta(days=1), zone)
