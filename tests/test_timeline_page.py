"""The timeline page: a known day drawn where its times belong, its sums and its links, and many agents."""

import html
import re
from pathlib import Path
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.report.pictures.zoomable import MOST_BARS, zoomable_timeline
from exporter.web.pages.timeline.view import hour_around, to_hour, view_of
from tests.support.pictured import HOUR, SVG, TIMELINE, focusable, pictures, report, stay, title
from tests.support.timelines import (
    DAY,
    LATER,
    SHOWN_HOSTILE,
    at,
    cells,
    lane,
    links,
    picture_of,
    rectangles,
    sentences,
    shown,
    write_crowd,
    write_known_day,
    zooms,
)
from tests.support.zones import zone_names, zone_of

MINUTE = 60_000


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_known_day(tmp_path_factory.mktemp("timeline") / "history.db")


@pytest.fixture(scope="module")
def day(known: Path) -> str:
    return shown(known, date=DAY)


# --- the picture ------------------------------------------------------------------------------------------------------
# A day of 24 hours is 840 units wide and begins at 150: an hour has 35, half a minute 0.292.


def test_each_stay_is_a_bar_from_its_start_to_its_end_and_what_nobody_saw_is_hatched(day: str) -> None:
    places = [rectangles(bar)[0] for bar in lane(day, "Ann")]
    assert [(look, x, width) for look, x, _, width, _ in places] == [
        ("available", 430, 52.5),  # 08:00 to 09:30
        ("on-call", 482.5, 26.25),
        ("busy", 508.75, 61.25),  # until nobody was looking any more, at 12:00
        ("unknown", 570, 35),
        ("available", 605, 70),
        ("on-break", 675, 52.5),
        ("offline", 727.5, 17.5),
        ("unknown", 745, 245),  # from 17:00 to midnight
    ]
    hatched = [any("texture" in (e.get("class") or "") for e in bar.iter()) for bar in lane(day, "Ann")]
    assert hatched == [look == "unknown" for look, *_ in places]


def test_a_bar_tells_the_status_from_when_to_when_how_long_between_which_polls_it_changed_and_how_it_is_known(
    day: str,
) -> None:
    titles = [title(bar) for bar in lane(day, "Ann")]
    assert titles[1] == (
        "Ann: On Call, 2025-03-04 09:30:00 to 10:15:00, 0:45:00; began between 09:29:29 and 09:30:00; "
        "ended between 10:14:29 and 10:15:00; sampled"
    )
    assert titles[3] == "Ann: unknown, 2025-03-04 12:00:00 to 13:00:00, 1:00:00"


def test_the_keyboard_stops_once_in_each_lane(day: str) -> None:
    (picture,) = pictures(picture_of(day))
    assert [title(stop).partition(":")[0] for stop in focusable(picture)] == [SHOWN_HOSTILE, "Ann", "Cat"]
    assert [bar.get("tabindex") for bar in lane(day, "Ann")] == ["0"] + ["-1"] * 7
    assert all(bar.get("role") == "img" and title(bar) for bar in lane(day, "Cat"))


def test_stays_of_half_a_minute_are_drawn_together_in_layers_and_the_page_says_so(day: str) -> None:
    # A minute is 0.583 units, more than the half unit below which stays are put together; half a minute is less.
    found = lane(day, "Cat")
    assert [len(rectangles(bar)) for bar in found] == [1, 2, 2, 2, 1, 1, 1, 1]
    y = rectangles(found[0])[0][2]
    assert rectangles(found[1]) == [("available", 500, y + 9, 0.583, 9), ("on-call", 500, y, 0.583, 9)]
    assert title(found[1]) == (
        "Cat: 2 stays drawn together, 2025-03-04 10:00:00 to 10:01:00, 0:01:00; Available 0:00:30, On Call 0:00:30"
    )
    assert any("Stays shorter than 0:00:51 that follow one another are drawn as one bar" in s for s in sentences(day))


def test_an_hour_tells_them_apart(known: Path) -> None:
    page = shown(known, date=DAY, hour="10:00")
    # An hour is 840 units wide, half a minute 7.
    places = [rectangles(bar)[0] for bar in lane(page, "Cat")]
    assert [(look, x, width) for look, x, _, width, _ in places] == [
        *(((("on-call", "available"))[number % 2], 150 + 7 * number, 7) for number in range(6)),
        ("busy", 192, 798),
    ]
    assert not any("drawn as one bar" in sentence for sentence in sentences(page))


def test_a_page_is_well_formed_and_nothing_of_a_hostile_name_acts_in_it(day: str) -> None:
    assert "<script>" not in day
    assert "\u202e" not in day
    assert day.count("<script") == 1  # the page's own
    assert "style=" not in day
    assert "<style" not in day
    assert html.escape(SHOWN_HOSTILE) in day
    assert " on" not in re.sub(r'"[^"]*"', '""', "".join(re.findall(r"<[^>]+>", day)))  # no attribute such as onload


def test_nothing_in_a_page_is_loaded_from_elsewhere(day: str) -> None:
    addresses = re.findall(r'(?:href|src|action)="([^"]*)"', day)
    assert addresses
    assert all(re.match(r"(\./|board|timeline|static/|api/v1/|#|data:,)", one) for one in addresses)


# --- sums and words ---------------------------------------------------------------------------------------------------


def test_beside_the_picture_stand_the_times_of_all_agents_together(day: str) -> None:
    assert cells(day, "sums") == [
        # Ann 1:30 and 2:00, the second agent 2:00, Cat 2:00 and three times half a minute. After gaps stays begin anew.
        ["Available", "7:31:30", "32.7 %", "7"],
        ["On Call", "0:46:30", "3.4 %", "4"],
        ["Busy", "7:42:00", "33.5 %", "3"],
        ["On Break", "1:30:00", "6.5 %", "1"],
        ["Offline", "5:30:00", "23.9 %", "3"],
        ["error", "1:00:00", "–", "1"],
        ["unknown", "24:00:00", "–", "6"],
        ["together", "48:00:00", "", ""],
    ]


def test_below_the_picture_stand_the_times_of_each_agent(day: str) -> None:
    rows = cells(day, "each")
    assert rows[1] == ["Ann 7001", "3:30:00", "0:45:00", "1:45:00", "1:30:00", "0:30:00", "", "8:00:00", "50.0 %"]
    assert [row[0] for row in rows] == [f"{SHOWN_HOSTILE} 7002", "Ann 7001", "Cat 7003"]


def test_coverage_is_said_in_words(day: str) -> None:
    said = sentences(day)
    assert "Known: 47.9 % of the 3 agents' time, 23:00:00 of 48:00:00." in said
    assert (
        "Nobody was looking from 00:00 to 08:00 (not recorded yet); from 12:00 to 13:00 (shutdown); "
        "from 17:00 to 24:00 (shutdown)." in said
    )


def test_the_title_names_the_day_and_the_zone(day: str) -> None:
    assert "<title>Timeline, Tuesday 2025-03-04</title>" in day
    assert "Times are those of Europe/Berlin." in sentences(day)


# --- ways -------------------------------------------------------------------------------------------------------------


def test_there_are_ways_to_the_days_beside_and_to_each_hour(day: str) -> None:
    found = links(day)
    assert found["Previous day"] == "timeline?date=2025-03-03&tz=Europe/Berlin"
    assert found["Next day"] == "timeline?date=2025-03-05&tz=Europe/Berlin"
    hours = zooms(day)
    assert len(hours) == 24
    assert hours["Zoom to 09:00 to 10:00"] == "timeline?date=2025-03-04&hour=09:00&tz=Europe/Berlin"


def test_from_an_hour_there_are_ways_to_the_hours_beside_over_midnight_and_to_the_day(known: Path) -> None:
    found = links(shown(known, date=DAY, hour="23"))
    assert found["Previous hour"] == "timeline?date=2025-03-04&hour=22:00&tz=Europe/Berlin"
    assert found["Next hour"] == "timeline?date=2025-03-05&hour=00:00&tz=Europe/Berlin"
    assert found["Whole day"] == "timeline?date=2025-03-04&tz=Europe/Berlin"


def test_there_is_no_way_into_the_future(known: Path) -> None:
    page = shown(known, date=DAY, now=at("13:30"))
    assert "Next day" not in links(page)
    assert list(zooms(page))[-1] == "Zoom to 13:00 to 14:00"
    assert "Next hour" not in links(shown(known, date=DAY, hour="13", now=at("13:30")))
    assert "Next hour" in links(shown(known, date=DAY, hour="13", now=at("14:00")))


def test_the_same_time_and_agents_are_offered_as_csv_and_json(known: Path) -> None:
    page = shown(known, date=DAY, hour="9", tz="UTC", agent=["Ann", "C*"], team="Sales")
    window = "since=2025-03-04T09:00:00%2B00:00&until=2025-03-04T10:00:00%2B00:00"
    who = "tz=UTC&team=Sales&agent=Ann&agent=C%2A"
    assert {text: href for text, href in links(page).items() if "api/" in href} == {
        f"{name}, {form.upper()}": f"api/v1/{report}?{window}&{who}&format={form}&limit=10000"
        for report, name in (("timeline", "Timeline"), ("summary", "Time in status"))
        for form in ("csv", "json")
    }


def test_each_agent_has_an_address_of_its_own(day: str, known: Path) -> None:
    address = links(day)["Ann"]
    assert address == "timeline?date=2025-03-04&tz=Europe/Berlin&agent=7001"
    alone = shown(known, date=DAY, agent="7001")
    assert cells(alone, "each") == [
        ["Ann 7001", "3:30:00", "0:45:00", "1:45:00", "1:30:00", "0:30:00", "8:00:00", "50.0 %"]
    ]
    assert "Known: 50.0 % of the agent's time, 8:00:00 of 16:00:00." in sentences(alone)


def test_filters_hold_for_every_way(known: Path) -> None:
    page = shown(known, date=DAY, team="Sales")
    inner = {**links(page), **zooms(page)}
    ways = [href for text, href in inner.items() if "date=" in href and "agent=" not in href]
    assert len(ways) == 26
    assert all("team=Sales" in way for way in ways)
    assert [row[0] for row in cells(page, "each")] == ["Ann 7001", "Cat 7003"]


def test_any_time_can_be_asked_for_and_days_are_what_weeks_are_zoomed_to(known: Path) -> None:
    page = shown(known, since="2025-03-01", until="2025-03-05")
    # Four days on 840 units: 210 each; Ann was seen first after 80 of 96 hours.
    assert rectangles(lane(page, "Ann")[0])[0][:2] == ("available", 850)
    assert zooms(page) == {
        f"Zoom to {weekday} 2025-03-0{number}": f"timeline?date=2025-03-0{number}&tz=Europe/Berlin"
        for weekday, number in (("Sat", 1), ("Sun", 2), ("Mon", 3), ("Tue", 4))
    }
    earlier = links(page)["Earlier"]
    assert earlier == "timeline?since=2025-02-25T00:00:00%2B01:00&until=2025-03-01T00:00:00%2B01:00&tz=Europe/Berlin"
    assert "Whole day" not in links(page)


def test_a_time_within_a_day_leads_to_its_day(known: Path) -> None:
    page = shown(known, since="2025-03-04T09:15", until="2025-03-04T11:45")
    assert links(page)["Whole day"] == "timeline?date=2025-03-04&tz=Europe/Berlin"
    assert zooms(page) == {
        "Zoom to 09:15 to 10:00": "timeline?date=2025-03-04&hour=09:15&tz=Europe/Berlin",
        "Zoom to 10:00 to 11:00": "timeline?date=2025-03-04&hour=10:00&tz=Europe/Berlin",
        "Zoom to 11:00 to 11:45": "timeline?date=2025-03-04&hour=11:00&tz=Europe/Berlin",
    }


# --- many -------------------------------------------------------------------------------------------------------------


def test_a_hundred_agents_are_on_a_page_and_sums_are_of_all_of_them(tmp_path: Path) -> None:
    db = write_crowd(tmp_path / "crowd.db", [f"Agent {number:03}" for number in range(1, 241)])
    first = shown(db, date=DAY, hour="9")
    assert len(cells(first, "each")) == 100
    assert "Agents 1 to 100 of 240. More agents" in sentences(first)
    assert cells(first, "sums")[0][:2] == ["Available", "240:00:00"]
    assert len(pictures(picture_of(first))) == 5
    third = links(shown(db, date=DAY, hour="9", page="2"))["More agents"]
    assert third == "timeline?date=2025-03-04&hour=09:00&tz=Europe/Berlin&page=3"
    last = shown(db, date=DAY, hour="9", page="3")
    assert [row[0] for row in cells(last, "each")][0::39] == ["Agent 201 201", "Agent 240 240"]
    assert "More agents" not in links(last)
    assert "Agents 201 to 240 of 240. Agents before" in sentences(shown(db, date=DAY, hour="9", page="999"))


def test_what_zooms_is_reached_once_by_the_keyboard_however_many_pictures_there_are(tmp_path: Path) -> None:
    db = write_crowd(tmp_path / "crowd.db", [f"Agent {number:03}" for number in range(1, 42)])
    one, *more = pictures(picture_of(shown(db, date=DAY)))
    assert [len(list(picture.iter(f"{SVG}a"))) for picture in (one, *more)] == [24, 24, 24]
    assert not any(link.get("tabindex") or link.get("aria-hidden") for link in one.iter(f"{SVG}a"))
    again = [link for picture in more for link in picture.iter(f"{SVG}a")]
    assert all(link.get("tabindex") == "-1" and link.get("aria-hidden") == "true" for link in again)


@given(
    st.lists(st.integers(1, 2_000), min_size=1, max_size=40),
    st.lists(st.sampled_from(["On Call", "Available", "unknown", "Lunch"]), min_size=1, max_size=5),
)
def test_however_stays_are_put_together_each_status_keeps_its_time(lengths: list[int], words: list[str]) -> None:
    midnight = at("00:00", zone=ZoneInfo("UTC"))
    rows, start = [], midnight
    for number, seconds in enumerate(lengths):
        rows.append(stay("Ann", words[number % len(words)], start, start + seconds * 1000))
        start += seconds * 1000
    asked = report("timeline", TIMELINE, rows, midnight, midnight + 24 * HOUR)
    (picture,) = pictures(zoomable_timeline(asked, midnight, midnight + 24 * HOUR, []).markup)
    areas: dict[str, float] = {}
    for bar in (element for element in picture.iter() if element.get("class") == "bar"):
        for look, _, _, width, height in rectangles(bar):
            areas[look] = areas.get(look, 0) + width * height
    seconds_of = {
        word: sum(s for number, s in enumerate(lengths) if words[number % len(words)] == word) for word in set(words)
    }
    # 840 units of 18 for 86,400 seconds; lengths are written to a thousandth.
    for word, seconds in seconds_of.items():
        area = sum(area for look, area in areas.items() if look.startswith(SLUGS[word]))
        assert area == pytest.approx(seconds * 840 * 18 / 86_400, abs=0.02 * len(lengths))


SLUGS = {"On Call": "on-call", "Available": "available", "unknown": "unknown", "Lunch": "other-"}


def test_a_picture_never_has_more_bars_than_a_browser_bears() -> None:
    midnight = at("00:00", zone=ZoneInfo("UTC"))
    rows = [
        stay("", ("Busy", "Available")[number % 2], midnight + number * MINUTE, midnight + (number + 1) * MINUTE, agent)
        for agent in map(str, range(20))
        for number in range(1440)
    ]
    asked = report("timeline", TIMELINE, rows, midnight, midnight + 24 * HOUR)
    drawn = zoomable_timeline(asked, midnight, midnight + 24 * HOUR, [])
    # 28,800 minutes; below 2 units, which are 3 minutes and 26 seconds, four of them become one.
    assert drawn.together_below_ms == round(2 * 24 * HOUR / 840)
    assert drawn.markup.count('class="bar"') == 20 * 360 <= MOST_BARS


@given(st.sampled_from(zone_names()), st.integers(70_000_000, 2_100_000_000))
def test_every_hour_of_every_day_is_found_again_by_what_it_is_called(name: str, second: int) -> None:
    zone = zone_of(name)
    hour = hour_around(second * 1000, zone)
    assert hour.start <= second * 1000 < hour.end
    assert hour.end - hour.start <= HOUR
    view = view_of({"date": ("2025-03-04",)}, zone, LATER)
    query = parse_qs(to_hour(view, hour.start).partition("?")[2])
    again = view_of({key: tuple(query[key]) for key in ("date", "hour")}, zone, LATER)
    assert (again.since, again.until) == (hour.start, hour.end)
