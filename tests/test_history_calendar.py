"""Local intervals, days, weeks, months and hours: the odd days worked out by hand, every zone against brute force."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import UsageError
from exporter.history.buckets import (
    Bucket,
    clip,
    daily_periods,
    days,
    interval_buckets,
    months,
    parse_hours,
    parse_step,
    parse_weekdays,
    weeks,
)
from exporter.history.calendar import day_of, day_start, offset_spans
from exporter.history.facts import Period
from exporter.history.window import Window
from tests.support.zones import (
    DAY,
    HOUR,
    MINUTE,
    dated,
    in_hours,
    offset_changes,
    stepped,
    wall_at,
    zone_names,
    zone_of,
)

BERLIN = ZoneInfo("Europe/Berlin")
ST_JOHNS = ZoneInfo("America/St_Johns")
NIGHT = (time(22), time(6))
STEPS = [step for step in range(1, 1441) if 1440 % step == 0]
"""Minutes; the 36 divisors of a day."""
SHARE_IN_THE_ORDINARY_RUN = 50


def ms(text: str) -> int:
    """The instant of an ISO time with an offset."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def window(since: str, until: str) -> Window:
    return Window(ms(since), ms(until))


def day_window(day: str, zone: ZoneInfo) -> Window:
    """The whole local day."""
    first = date.fromisoformat(day)
    return Window(day_start(first, zone), day_start(first + timedelta(days=1), zone))


def shown(buckets: Iterable[Bucket]) -> list[tuple[str, float]]:
    """Labels and minutes."""
    return [(bucket.label, (bucket.end - bucket.start) / MINUTE) for bucket in buckets]


def hours_of(periods: tuple[Period, ...]) -> list[float]:
    return [(period.end - period.start) / HOUR for period in periods]


def assert_tiles(buckets: list[Bucket], asked: Window) -> None:
    assert all(bucket.start < bucket.end for bucket in buckets)
    edges = [asked.since, *(bucket.end for bucket in buckets)]
    assert [bucket.start for bucket in buckets] == edges[:-1]
    assert edges[-1] == asked.until


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "quarters"),
    [
        ("2026-03-28", 96),
        ("2026-03-29", 92),  # 02:00 became 03:00: 23 hours
        ("2026-10-25", 100),  # 03:00 became 02:00: 25 hours
    ],
)
def test_a_day_of_23_or_25_hours_has_so_many_whole_quarters(day: str, quarters: int) -> None:
    buckets = list(interval_buckets(day_window(day, BERLIN), 15 * MINUTE, BERLIN))
    assert len(buckets) == quarters
    assert {bucket.end - bucket.start for bucket in buckets} == {15 * MINUTE}


def test_the_repeated_hour_has_two_rows_told_apart_by_the_offset() -> None:
    asked = window("2026-10-25T01:00+02:00", "2026-10-25T04:00+01:00")
    assert shown(interval_buckets(asked, HOUR, BERLIN)) == [
        ("2026-10-25T01:00:00+02:00", 60),
        ("2026-10-25T02:00:00+02:00", 60),
        ("2026-10-25T02:00:00+01:00", 60),
        ("2026-10-25T03:00:00+01:00", 60),
    ]


def test_the_skipped_hour_has_no_row() -> None:
    asked = window("2026-03-29T01:00+01:00", "2026-03-29T04:00+02:00")
    assert shown(interval_buckets(asked, HOUR, BERLIN)) == [
        ("2026-03-29T01:00:00+01:00", 60),
        ("2026-03-29T03:00:00+02:00", 60),
    ]


def test_a_shift_of_half_an_hour_makes_one_row_of_half_an_hour() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    # 02:00 became 01:30: the second half of the hour from 01:00 came twice.
    assert shown(interval_buckets(window("2026-04-05T00:00+11:00", "2026-04-05T03:00+10:30"), HOUR, lord_howe)) == [
        ("2026-04-05T00:00:00+11:00", 60),
        ("2026-04-05T01:00:00+11:00", 60),
        ("2026-04-05T01:00:00+10:30", 30),
        ("2026-04-05T02:00:00+10:30", 60),
    ]
    # 02:00 became 02:30: the first half of the hour from 02:00 was skipped.
    assert shown(interval_buckets(window("2026-10-04T01:00+10:30", "2026-10-04T04:00+11:00"), HOUR, lord_howe)) == [
        ("2026-10-04T01:00:00+10:30", 60),
        ("2026-10-04T02:00:00+11:00", 30),
        ("2026-10-04T03:00:00+11:00", 60),
    ]


def test_an_offset_of_three_quarters_of_an_hour_keeps_whole_hours_on_the_wall() -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")
    buckets = list(interval_buckets(day_window("2026-07-01", kathmandu), HOUR, kathmandu))
    # 00:00 in Kathmandu is 18:15 in Greenwich, the day before.
    assert buckets[0] == Bucket(ms("2026-06-30T18:15Z"), ms("2026-06-30T19:15Z"), "2026-07-01T00:00:00+05:45")
    assert [bucket.label[11:16] for bucket in buckets] == [f"{hour:02}:00" for hour in range(24)]


def test_an_offset_with_seconds_is_kept_to_the_second() -> None:
    # Monrovia was 44:30 behind Greenwich until 1972-01-07 00:00 on its wall, which became 00:44:30.
    asked = window("1972-01-06T23:44:30+00:00", "1972-01-07T02:00+00:00")
    assert shown(interval_buckets(asked, HOUR, ZoneInfo("Africa/Monrovia"))) == [
        ("1972-01-06T23:00:00-00:44:30", 60),
        ("1972-01-07T00:00:00+00:00", 15.5),
        ("1972-01-07T01:00:00+00:00", 60),
    ]


def test_steps_above_an_hour_are_counted_from_midnight_on_the_wall() -> None:
    # 02:00 became 03:00: the first four hours are two with the one offset and one with the other.
    assert shown(interval_buckets(day_window("2026-03-29", BERLIN), 4 * HOUR, BERLIN)) == [
        ("2026-03-29T00:00:00+01:00", 120),
        ("2026-03-29T00:00:00+02:00", 60),
        ("2026-03-29T04:00:00+02:00", 240),
        ("2026-03-29T08:00:00+02:00", 240),
        ("2026-03-29T12:00:00+02:00", 240),
        ("2026-03-29T16:00:00+02:00", 240),
        ("2026-03-29T20:00:00+02:00", 240),
    ]


def test_a_window_cuts_its_first_and_last_interval_and_leaves_their_labels() -> None:
    asked = window("2026-07-01T09:50:00.001+02:00", "2026-07-01T10:20+02:00")
    assert list(interval_buckets(asked, 15 * MINUTE, BERLIN)) == [
        Bucket(asked.since, ms("2026-07-01T10:00+02:00"), "2026-07-01T09:45:00+02:00"),
        Bucket(ms("2026-07-01T10:00+02:00"), ms("2026-07-01T10:15+02:00"), "2026-07-01T10:00:00+02:00"),
        Bucket(ms("2026-07-01T10:15+02:00"), asked.until, "2026-07-01T10:15:00+02:00"),
    ]


def test_a_window_without_length_has_no_buckets_and_no_periods() -> None:
    asked = window("2026-07-01T09:50+02:00", "2026-07-01T09:50+02:00")
    for buckets in (interval_buckets(asked, HOUR, BERLIN), *(cut(asked, BERLIN) for cut in (days, weeks, months))):
        assert list(buckets) == []
    assert daily_periods(asked, BERLIN, None, None) == ()
    assert list(offset_spans(asked.since, asked.until, BERLIN)) == []


def test_a_bucket_is_clipped_to_a_window() -> None:
    bucket = Bucket(100, 200, "label")
    assert clip(bucket, Window(0, 300)) == bucket
    assert clip(bucket, Window(150, 300)) == Bucket(150, 200, "label")
    assert clip(bucket, Window(0, 150)) == Bucket(100, 150, "label")
    assert clip(bucket, Window(200, 300)) is None
    assert clip(bucket, Window(0, 100)) is None


# --- days, weeks, months ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-29T00:00+01:00", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-25T00:00+02:00", 25),
        ("Asia/Kathmandu", "2026-07-01", "2026-07-01T00:00+05:45", 24),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-05T00:00+11:00", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-04T00:00+10:30", 23.5),
        # No midnight: 00:00 became 01:00.
        ("Africa/Cairo", "2026-04-24", "2026-04-24T01:00+03:00", 23),
        ("Asia/Beirut", "2026-03-29", "2026-03-29T01:00+03:00", 23),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00-02:00", 23),
        # Midnight twice: 00:01 became 23:01 of the day before.
        ("America/St_Johns", "2010-11-07", "2010-11-07T00:00-02:30", 25),
        ("America/St_Johns", "2010-11-06", "2010-11-06T00:00-02:30", 24),
        # The days around the one that was left out.
        ("Pacific/Apia", "2011-12-29", "2011-12-29T00:00-10:00", 24),
        ("Pacific/Apia", "2011-12-31", "2011-12-31T00:00+14:00", 24),
    ],
)
def test_a_local_day_begins_at_its_first_instant_and_lasts_until_the_next(
    zone: str, day: str, start: str, hours: float
) -> None:
    local = ZoneInfo(zone)
    around = Window(ms(start) - 2 * DAY, ms(start) + 2 * DAY)
    (found,) = [bucket for bucket in days(around, local) if bucket.label == day]
    assert found == Bucket(ms(start), ms(start) + round(hours * HOUR), day)
    assert_tiles(list(interval_buckets(Window(found.start, found.end), 15 * MINUTE, local)), Window(*found[:2]))


def test_a_day_that_was_left_out_has_no_bucket() -> None:
    apia = ZoneInfo("Pacific/Apia")
    asked = window("2011-12-29T00:00-10:00", "2012-01-01T00:00+14:00")
    assert shown(days(asked, apia)) == [("2011-12-29", 24 * 60), ("2011-12-31", 24 * 60)]
    assert day_window("2011-12-30", apia).length == 0
    assert list(interval_buckets(day_window("2011-12-30", apia), HOUR, apia)) == []


def test_the_minutes_repeated_over_midnight_belong_to_the_day_that_had_begun() -> None:
    asked = window("2010-11-06T23:00-02:30", "2010-11-07T01:00-03:30")
    assert shown(days(asked, ST_JOHNS)) == [("2010-11-06", 60), ("2010-11-07", 1 + 59 + 60)]
    assert shown(interval_buckets(asked, HOUR, ST_JOHNS)) == [
        ("2010-11-06T23:00:00-02:30", 60),
        ("2010-11-07T00:00:00-02:30", 1),
        ("2010-11-06T23:00:00-03:30", 59),
        ("2010-11-07T00:00:00-03:30", 60),
    ]


def test_weeks_are_those_of_iso_and_begin_on_monday() -> None:
    # 2026-12-28 is the Monday of the 53rd week, which ends with Sunday 2027-01-03.
    asked = window("2026-12-27T12:00+01:00", "2027-01-05T00:00+01:00")
    assert shown(weeks(asked, BERLIN)) == [
        ("2026-W52", 12 * 60),
        ("2026-W53", 7 * 24 * 60),
        ("2027-W01", 24 * 60),
    ]


def test_weeks_and_months_are_as_long_as_their_days() -> None:
    # Clocks went forward on Sunday 2026-03-29 and back on Sunday 2026-10-25.
    year = window("2026-01-01T00:00+01:00", "2027-01-01T00:00+01:00")
    by_week = dict(shown(weeks(year, BERLIN)))
    assert by_week["2026-W13"] == 167 * 60
    assert by_week["2026-W43"] == 169 * 60
    by_month = dict(shown(months(year, BERLIN)))
    assert [minutes / 60 for minutes in by_month.values()] == [
        *(31 * 24, 28 * 24, 31 * 24 - 1, 30 * 24, 31 * 24, 30 * 24),
        *(31 * 24, 31 * 24, 30 * 24, 31 * 24 + 1, 30 * 24, 31 * 24),
    ]
    assert list(by_month)[:2] == ["2026-01", "2026-02"]


# --- hours of weekdays ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evening", "hours"),
    [
        ("2026-03-27", 8),
        ("2026-03-28", 7),  # 02:00 became 03:00
        ("2026-10-24", 9),  # 03:00 became 02:00
    ],
)
def test_a_night_is_as_long_as_the_clocks_make_it(evening: str, hours: float) -> None:
    start = day_start(date.fromisoformat(evening), BERLIN) + 12 * HOUR
    (night,) = daily_periods(Window(start, start + DAY), BERLIN, None, NIGHT)
    assert night == Period(start + 10 * HOUR, start + 10 * HOUR + round(hours * HOUR))


def test_a_night_belongs_to_the_weekday_on_which_it_began() -> None:
    # 2026-07-04 is a Saturday.
    week = window("2026-06-29T00:00+02:00", "2026-07-06T00:00+02:00")
    night = Period(ms("2026-07-04T22:00+02:00"), ms("2026-07-05T06:00+02:00"))
    assert daily_periods(week, BERLIN, frozenset({5}), NIGHT) == (night,)
    sunday = window("2026-07-05T03:00+02:00", "2026-07-06T00:00+02:00")
    assert daily_periods(sunday, BERLIN, frozenset({5}), NIGHT) == (Period(sunday.since, night.end),)


def test_working_hours_are_cut_by_the_window() -> None:
    # Tuesday to Thursday, from the middle of the one to the middle of the other.
    asked = window("2026-06-30T12:00+02:00", "2026-07-02T10:00+02:00")
    assert daily_periods(asked, BERLIN, frozenset(range(5)), (time(9), time(17, 30))) == (
        Period(asked.since, ms("2026-06-30T17:30+02:00")),
        Period(ms("2026-07-01T09:00+02:00"), ms("2026-07-01T17:30+02:00")),
        Period(ms("2026-07-02T09:00+02:00"), asked.until),
    )


def test_adjoining_days_are_one_period() -> None:
    # Two weekends; the clocks went forward on the second Sunday.
    asked = window("2026-03-16T00:00+01:00", "2026-03-30T00:00+02:00")
    assert hours_of(daily_periods(asked, BERLIN, frozenset({5, 6}), None)) == [48, 47]
    everything = (Period(asked.since, asked.until),)
    assert daily_periods(asked, BERLIN, None, None) == everything
    assert daily_periods(asked, BERLIN, frozenset(range(7)), (time(0), time(0))) == everything
    assert daily_periods(asked, BERLIN, frozenset(), None) == ()


def test_hours_on_a_day_without_them_are_empty_and_repeated_ones_count_once() -> None:
    half_past_two = (time(2, 15), time(2, 45))
    assert daily_periods(day_window("2026-03-29", BERLIN), BERLIN, None, half_past_two) == ()
    # Reckoned to the first occurrence of both ends.
    assert daily_periods(day_window("2026-10-25", BERLIN), BERLIN, None, half_past_two) == (
        Period(ms("2026-10-25T02:15+02:00"), ms("2026-10-25T02:45+02:00")),
    )


# --- what people write ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("1m", 1), ("15m", 15), ("900s", 15), (" 1h30m ", 90), ("4h", 240), ("24h", 1440), ("1d", 1440)],
)
def test_a_step_is_a_duration_that_divides_a_day(text: str, minutes: int) -> None:
    assert parse_step(text) == minutes * MINUTE


@pytest.mark.parametrize("text", ["0", "30s", "90s", "500ms", "7m", "5h", "48h", "2d", "1w", "999999999999999y"])
def test_a_step_that_does_not_divide_a_day_into_minutes_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_step(text)
    assert str(caught.value) == (
        f"--step '{text}' does not divide a day into whole minutes: give a step from 1m to 24h that does, such as 15m, "
        "30m or 1h"
    )


def test_a_step_that_is_no_duration_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        parse_step("15", flag="--every")
    assert str(caught.value) == ("--every '15' is not a duration: write it as in Prometheus, such as 30s, 5m or 1h30m")


@pytest.mark.parametrize("step_ms", [0, -HOUR, 1, 90_000, 7 * MINUTE, 48 * HOUR])
def test_buckets_of_an_odd_step_are_refused_before_the_first_is_made(step_ms: int) -> None:
    with pytest.raises(UsageError, match=r"^--step .* does not divide a day into whole minutes"):
        interval_buckets(day_window("2026-07-01", BERLIN), step_ms, BERLIN)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], set()),
        (["mon"], {0}),
        (["Monday"], {0}),
        (["SUN"], {6}),
        (["mon-fri"], {0, 1, 2, 3, 4}),
        (["tuesday - thu"], {1, 2, 3}),
        (["fri-mon"], {4, 5, 6, 0}),
        (["wed-wed"], {2}),
        (["sat", "sun"], {5, 6}),
        (["mon-tue, sat"], {0, 1, 5}),
    ],
)
def test_weekdays_are_named_one_by_one_or_from_one_to_another(texts: list[str], expected: set[int]) -> None:
    assert parse_weekdays(texts) == expected


@pytest.mark.parametrize(
    "text", ["", "m", "mo", "mond", "montag", "1", "mon-", "-fri", "mon-wed-fri", "mon,", "mon fri"]
)
def test_what_is_no_weekday_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_weekdays(["tue", text])
    assert str(caught.value) == (
        f"--weekday '{text}' is not a weekday: write its name or its first three letters, such as monday or mon, or "
        "from one to another, such as mon-fri"
    )


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("09:00-17:30", time(9), time(17, 30)),
        (" 22:00 - 06:00 ", time(22), time(6)),
        ("18:00-24:00", time(18), time(0)),
        ("18:00-00:00", time(18), time(0)),
        ("00:00-24:00", time(0), time(0)),
        ("00:00-23:59", time(0), time(23, 59)),
    ],
)
def test_hours_are_two_local_times(text: str, start: time, end: time) -> None:
    assert parse_hours(text) == (start, end)


@pytest.mark.parametrize(
    "text", ["", "9-17", "9:00-17:00", "09:00", "09:00-", "24:00-06:00", "09:00-25:00", "09:60-10:00", "09:00-24:01"]
)
def test_what_is_no_time_of_day_from_and_to_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_hours(text)
    assert str(caught.value) == (
        f"--hours '{text}' is not a time of day from and to: write two local times, such as 09:00-17:30 or "
        "22:00-06:00; the end may be 24:00"
    )


@pytest.mark.parametrize("text", ["09:00-09:00", "00:00-00:00"])
def test_hours_with_equal_ends_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_hours(text, flag="--between")
    assert str(caught.value) == (
        f"--between '{text}' ends when it begins: give two different times, or 00:00-24:00 for the whole day"
    )


# --- laws -------------------------------------------------------------------------------------------------------------


@st.composite
def places_and_times(draw: st.DrawFn, longest: int) -> tuple[ZoneInfo, Window]:
    """Any zone and a window of at most `longest` ms, which often has a change of the clocks in it."""
    name = draw(st.sampled_from(zone_names()))
    length = draw(st.integers(0, longest))
    near = [st.sampled_from(changes)] if (changes := offset_changes(name)) else []
    since = draw(st.one_of(st.integers(ms("1970-01-02T00:00Z"), ms("2037-12-31T00:00Z")), *near))
    since -= draw(st.integers(0, min(length, since)))
    return zone_of(name), Window(since, since + length)


@given(places_and_times(2 * DAY), st.sampled_from(STEPS))
def test_instants_share_a_bucket_if_the_floored_wall_time_and_the_offset_are_the_same(
    place: tuple[ZoneInfo, Window], step: int
) -> None:
    zone, asked = place
    buckets = list(interval_buckets(asked, step * MINUTE, zone))
    assert buckets == stepped(asked, zone, step)
    assert len({bucket.label for bucket in buckets}) == len(buckets)


@given(places_and_times(2 * DAY))
def test_a_day_week_or_month_lasts_until_the_next_is_first_shown_on_the_wall(place: tuple[ZoneInfo, Window]) -> None:
    zone, asked = place
    assert list(days(asked, zone)) == dated(asked, zone, date.isoformat)
    assert list(weeks(asked, zone)) == dated(asked, zone, lambda day: day.strftime("%G-W%V"))
    assert list(months(asked, zone)) == dated(asked, zone, lambda day: day.strftime("%Y-%m"))


@given(places_and_times(2 * DAY), st.frozensets(st.integers(0, 6)), st.times(), st.times())
def test_hours_last_from_when_their_start_is_first_shown_until_their_end_is(
    place: tuple[ZoneInfo, Window], weekdays: frozenset[int], start: time, end: time
) -> None:
    zone, asked = place
    start, end = start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
    expected = [row[:2] for row in in_hours(asked, zone, weekdays, start, end)]
    assert list(daily_periods(asked, zone, weekdays, (start, end))) == expected


@given(places_and_times(800 * DAY), st.sampled_from(STEPS[-12:]))
def test_invariant_12_calendar_buckets_partition_the_window(place: tuple[ZoneInfo, Window], step: int) -> None:
    zone, asked = place
    by_day = list(days(asked, zone))
    for buckets in (by_day, list(interval_buckets(asked, step * MINUTE, zone))):
        assert_tiles(buckets, asked)
    for cut, pattern in ((weeks, "%G-W%V"), (months, "%Y-%m")):
        found = list(cut(asked, zone))
        assert_tiles(found, asked)
        labels = [date.fromisoformat(bucket.label).strftime(pattern) for bucket in by_day]
        assert [bucket.label for bucket in found] == [label for label, _ in groupby(labels)]
        assert {bucket.start for bucket in found} <= {bucket.start for bucket in by_day}
    # So no zone changes a total.
    assert sum(bucket.end - bucket.start for bucket in by_day) == asked.length


# --- every zone -------------------------------------------------------------------------------------------------------


@pytest.fixture(name="one_in")
def _one_in(pytestconfig: pytest.Config) -> int:
    return 1 if pytestconfig.getoption("--hypothesis-profile") == "thorough" else SHARE_IN_THE_ORDINARY_RUN


def test_tzdata_is_read_as_expected() -> None:
    # Berlin has had summer time since 1980, twice a year: 58 years until 2037.
    changes = offset_changes("Europe/Berlin")
    assert len(changes) == 116
    assert datetime.fromtimestamp(changes[0] / 1000, UTC).isoformat() == "1980-04-06T01:00:00+00:00"
    assert datetime.fromtimestamp(changes[-1] / 1000, UTC).isoformat() == "2037-10-25T01:00:00+00:00"
    assert len(zone_names()) > 300


def test_no_zone_changes_its_offset_twice_within_the_day_in_which_the_calendar_looks_twice() -> None:
    for name in zone_names():
        assert all(after - before > 6 * DAY for before, after in pairwise(offset_changes(name))), name


def test_a_summer_time_of_one_week_is_not_overlooked_wherever_the_window_begins() -> None:
    # Recife in 2000, from Sunday 10-08 to Sunday 10-15.
    begun, ended = ms("2000-10-08T00:00-03:00"), ms("2000-10-15T00:00-02:00")
    until = ms("2000-12-01T00:00-03:00")
    for since in range(begun - 20 * DAY, begun, DAY):
        assert list(offset_spans(since, until, ZoneInfo("America/Recife"))) == [
            (since, begun, -3 * HOUR),
            (begun, ended, -2 * HOUR),
            (ended, until, -3 * HOUR),
        ]


@pytest.mark.slow
def test_buckets_partition_the_day_around_every_change_of_every_zone(one_in: int) -> None:
    # Where the wall showed the same before and after a change it shows the same on all days around: changes are rare.
    every = {
        (change, wall_at(change - 1, zone_of(name)), wall_at(change, zone_of(name))): name
        for name in zone_names()
        for change in offset_changes(name)
    }
    for index, ((change, *_), name) in enumerate(list(every.items())[::one_in]):
        zone, step = zone_of(name), STEPS[index % len(STEPS)]
        first, last = day_of(change - 1, zone), day_of(change, zone)
        around = Window(day_start(first, zone), day_start(last + timedelta(days=1), zone))
        where = f"{name} at {change}, step {step} min"
        assert around.since < change < around.until, where
        found = list(days(around, zone))
        assert found == dated(around, zone, date.isoformat), where
        for day in found:
            asked = Window(day.start, day.end)
            buckets = list(interval_buckets(asked, step * MINUTE, zone))
            assert_tiles(buckets, asked)
            assert buckets == stepped(asked, zone, step), where
