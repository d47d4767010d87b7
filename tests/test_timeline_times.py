"""The timeline of days that are not like others, and what it says where it was asked wrongly or there is nothing."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from shutil import copy

import pytest

from exporter.history.care.purge import purge_before
from exporter.history.opening import opened_for_care
from exporter.web.pages.policy import PAGE_HEADERS
from tests.support.pictured import title
from tests.support.timelines import (
    DAY,
    LATER,
    ask,
    at,
    lane,
    links,
    rectangles,
    sentences,
    shown,
    write_crowd,
    write_known_day,
    zooms,
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_known_day(tmp_path_factory.mktemp("timeline") / "history.db")


# --- days that are not like others ------------------------------------------------------------------------------------


def test_the_day_on_which_clocks_go_back_has_25_hours_and_two_of_them_are_called_the_same(tmp_path: Path) -> None:
    db = write_known_day(tmp_path / "autumn.db", "2025-10-26")
    page = shown(db, date="2025-10-26", now=at("12:00", "2025-10-28"))
    assert "Clocks were set back from 03:00 to 02:00: this day has 25 hours." in sentences(page)
    # 08:00 is the tenth of 25 hours, each 33.6 units.
    assert rectangles(lane(page, "Ann")[0])[0][1:2] == (452.4,)
    hours = zooms(page)
    assert len(hours) == 25
    assert [told for told in hours if "02:00" in told] == [
        "Zoom to 01:00 to 02:00+02:00",
        "Zoom to 02:00+02:00 to 02:00+01:00",
        "Zoom to 02:00+01:00 to 03:00",
    ]
    second = hours["Zoom to 02:00+01:00 to 03:00"]
    assert second == "timeline?date=2025-10-26&hour=02:00%2B01:00&tz=Europe/Berlin"
    zoomed = shown(db, date="2025-10-26", hour="02:00+01:00", now=at("12:00", "2025-10-28"))
    assert "<title>Timeline, Sunday 2025-10-26, 02:00+01:00 to 03:00</title>" in zoomed
    assert links(zoomed)["Previous hour"] == "timeline?date=2025-10-26&hour=02:00%2B02:00&tz=Europe/Berlin"


def test_the_day_on_which_clocks_go_forward_has_23_hours(tmp_path: Path) -> None:
    db = write_known_day(tmp_path / "spring.db", "2025-03-30")
    page = shown(db, date="2025-03-30", now=at("12:00", "2025-04-01"))
    assert "Clocks were set forward from 02:00 to 03:00: this day has 23 hours." in sentences(page)
    assert len(zooms(page)) == 23
    # 08:00 is the eighth of 23 hours, each 36.522 units.
    assert rectangles(lane(page, "Ann")[0])[0][1:2] == (405.652,)


def test_another_zone_moves_the_bars(known: Path) -> None:
    page = shown(known, date=DAY, tz="America/New_York")  # 08:00 in Berlin is 02:00 there
    assert rectangles(lane(page, "Ann")[0])[0][1:2] == (220,)
    assert "Ann: Available, 2025-03-04 02:00:00 to 03:30:00, 1:30:00" in title(lane(page, "Ann")[0])


def test_a_day_that_is_not_over_ends_at_the_present_and_its_axis_does_not(known: Path) -> None:
    page = shown(known, date="today", now=at("14:00"))
    assert "The day is not over: the picture ends at 14:00. Load the page again to see more." in sentences(page)
    places = [rectangles(bar)[0] for bar in lane(page, "Ann")]
    # The last poll of this history was at 17:00, which this clock does not know of: bars end where it stands.
    assert [(look, x, width) for look, x, _, width, _ in places][-1] == ("available", 605, 35)


def test_what_no_poll_has_confirmed_yet_is_said_to_be_provisional(tmp_path: Path) -> None:
    db = write_crowd(tmp_path / "live.db", ["Ann"], goes_on=True)
    page = shown(db, date="today", now=at("10:05"))
    assert "The end is provisional: no poll has confirmed it yet." in sentences(page)
    (bar,) = lane(page, "Ann")
    assert title(bar) == (
        "Ann: Available, 2025-03-04 09:00:00 to 10:05:00, 1:05:00; may have ended between 09:59:59 and 10:05:00; "
        "goes on after the window; sampled; provisional"
    )
    assert "provisional" not in shown(db, date="today", now=at("10:30"))  # the next poll would be too late


def test_a_day_in_the_future_is_said_to_be(known: Path) -> None:
    page = shown(known, date="2025-03-07")
    assert "This day lies in the future: nothing is recorded yet." in sentences(page)
    assert links(page)["Previous day"] == "timeline?date=2025-03-06&tz=Europe/Berlin"
    assert "This hour lies in the future: nothing is recorded yet." in sentences(shown(known, date="today", hour="23"))


def test_a_day_that_clocks_jumped_over_is_said_not_to_be_there(known: Path) -> None:
    page = shown(known, date="2011-12-30", tz="Pacific/Apia")
    assert "There was no such day in Pacific/Apia: clocks jumped over it." in sentences(page)
    assert links(page)["Next day"] == "timeline?date=2011-12-31&tz=Pacific/Apia"
    assert links(page)["Previous day"] == "timeline?date=2011-12-29&tz=Pacific/Apia"


def test_a_day_before_the_history_begins_says_when_it_does(known: Path) -> None:
    page = shown(known, date="2025-03-03")
    assert "The history begins later, at 2025-03-04 08:00." in sentences(page)


def test_an_empty_history_says_so(tmp_path: Path) -> None:
    page = shown(write_crowd(tmp_path / "empty.db", []), date=DAY)
    assert "Nobody was tracked at this time." in sentences(page)


def test_what_was_purged_is_said_to_be_gone(tmp_path: Path, known: Path) -> None:
    db = tmp_path / "purged.db"
    copy(known, db)
    purge(db, at("09:00"))
    page = shown(db, date=DAY)
    assert "What was recorded before 2025-03-04 09:00 has been purged." in sentences(page)
    assert rectangles(lane(page, "Ann")[0])[0][1:4:2] == (465, 17.5)  # 09:00 to 09:30
    before = shown(db, date="2025-03-03")
    assert "What was recorded before 2025-03-04 09:00 has been purged." in sentences(before)
    assert "Nothing of this time is left." in sentences(before)


def purge(db: Path, before: int) -> None:
    with opened_for_care(db, now_ms=LATER, program="1.2.3") as connection:
        purge_before(connection, before, now_ms=LATER, program="1.2.3")


# --- mistakes, and nobody ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"date": "4.3.2025"}, "Date '4.3.2025' is not a date: write it as 2026-07-01, or today, or yesterday."),
        ({"date": "2025-02-30"}, "Date '2025-02-30' is not a date: write it as 2026-07-01, or today, or yesterday."),
        ({"date": "1969-12-31"}, "Date '1969-12-31' lies outside the years 1970 to 9999."),
        ({"date": "9999-12-31"}, "Date '9999-12-31' lies outside the years 1970 to 9999."),
        (
            {"hour": "24"},
            "Hour '24' is not a time of day: write 9 or 09:30, or 02:00+01:00 if it comes twice.",
        ),
        ({"hour": "9+99:00"}, "Hour '9+99:00' has no offset that a clock can have: write it as 02:00+01:00."),
        ({"tz": "Mars/Base"}, "Tz 'Mars/Base' is not a time zone: give an IANA name such as Europe/Berlin or UTC."),
        (
            {"tz": "../../etc/passwd"},
            "Tz '../../etc/passwd' is not a time zone: give an IANA name such as Europe/Berlin or UTC.",
        ),
        ({"page": "0"}, "Page '0' is not the number of a page: give 1 or more."),
        ({"date": DAY, "since": "1h"}, "Since and date do not go together: give date and hour, or since and until."),
        (
            {"since": "2025-03-04T10:00", "until": "2025-03-04T09:00"},
            "Since (2025-03-04T10:00:00+01:00) is not before until (2025-03-04T09:00:00+01:00): give an earlier start.",
        ),
        (
            {"bridge": "1h"},
            "'bridge' is no parameter of this page: there are date, hour, since, until, tz, agent, team, page.",
        ),
        ({"date": [DAY, DAY]}, "Date stands there 2 times: give it once."),
        ({"agent": ["a"] * 21}, "Agent stands there 21 times, and 20 times is the most."),
        ({"team": "x" * 101}, f"Team '{'x' * 60}…' is longer than 100 characters."),
    ],
)
def test_a_mistake_is_one_sentence_and_the_form_stays_filled(
    asked: dict[str, str | list[str]], sentence: str, known: Path
) -> None:
    reply = ask(known, asked)
    page = reply.body.decode()
    assert reply.status == 400
    assert sentence in sentences(page)
    for name, value in asked.items():
        if isinstance(value, str) and name not in ("page", "bridge") and not ("since" in asked and name == "date"):
            field = re.search(
                rf'(?s)name="{name}"[^>]*value="{re.escape(value)}"|<option selected>{re.escape(value)}<', page
            )
            assert field is not None


def test_hostile_parameters_stand_escaped_in_the_form(known: Path) -> None:
    reply = ask(known, {"date": '"><script>alert(1)</script>', "agent": "</form><b onclick='x'>"})
    assert b"<script>" not in reply.body
    assert b"<b onclick" not in reply.body


def test_empty_fields_of_the_form_ask_for_nothing(known: Path) -> None:
    page = shown(known, date=DAY, hour="", tz="", agent=["", " "], team="")
    assert links(page)["Next day"] == "timeline?date=2025-03-05&tz=Europe/Berlin"


def test_somebody_whom_the_history_does_not_know_is_no_mistake_of_the_address(known: Path) -> None:
    said = sentences(shown(known, date=DAY, agent="Zoe"))
    assert (
        "Agent 'Zoe' matches nobody in this history: give an agent's id or name, or a pattern such as 'Ann*'." in said
    )


def test_a_team_that_nobody_was_in_at_the_time_is_said_to_be_empty(known: Path) -> None:
    page = shown(known, since="2025-03-04T02:00", until="2025-03-04T03:00", team="Sales")
    assert "The history begins later, at 2025-03-04 08:00." in sentences(page)


def test_a_history_that_cannot_be_read_is_a_page_with_a_sentence(tmp_path: Path, known: Path) -> None:
    broken = tmp_path / "broken.db"
    copy(known, broken)
    with closing(sqlite3.connect(broken)) as connection, connection:
        connection.execute("UPDATE coverage SET end_reason = 'nobody knows' WHERE end_reason IS NOT NULL")
    reply = ask(broken, {"date": DAY})
    assert reply.status == 503
    assert b"<h1>Timeline" in reply.body
    assert any("broken.db" in sentence for sentence in sentences(reply.body.decode()))


def test_every_page_has_the_policy_and_is_kept_nowhere(known: Path) -> None:
    for reply in (ask(known, {"date": DAY}), ask(known, {"date": "x"})):
        assert reply.content_type == "text/html; charset=utf-8"
        assert dict(reply.headers) == dict(PAGE_HEADERS)
