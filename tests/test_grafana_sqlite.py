"""The dashboard "History from SQLite": every panel's SQL is asked, and says what the reports of the program say."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.history.care.purge import purge_before
from exporter.history.filters import Selection, select
from exporter.history.question import Group, Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.reports.long import long
from exporter.history.window import Window
from exporter.model import BUSY, ON_BREAK
from exporter.report.model import Cell
from grafana import history_sql
from tests.support import minutes
from tests.support.datasette import COMMON, COMMON_ENDS, canned
from tests.support.grafana import dashboard
from tests.support.minutes import at, polled
from tests.support.sample_history import write_sample_history
from tests.support.sqlite_panels import NAME, Chosen, SqlQuery, answer, filled, sql_queries, variable, write_morning
from tests.support.two_sources import DAY_MS, Case, cases, recorded, write

UTC = ZoneInfo("UTC")
LATER = 2 * DAY_MS + 1_000
STATUSES = ("Available", "On Call", "Busy", "On Break", "Offline")
COLUMNS = (*STATUSES, "other", "unknown")
few = settings(max_examples=max(20, settings().max_examples // 5))
"""Each example writes a database file."""

SINCE, UNTIL = 1741077000000, 1741089600000
"""2025-03-04T09:30+01:00 and 13:00: the recorder of the sample began before, had a gap, and ended there."""
SAMPLE_NOW = UNTIL + 3_600_000

Totals = dict[tuple[str, str], int]


def ms(seconds: float | None) -> int:
    assert seconds is not None
    return round(seconds * 1000)


def column_of(status: Cell) -> str:
    return str(status) if status in COLUMNS else "other"


# --- the dashboard ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", list(sql_queries()), ids=lambda query: query.panel)
def test_a_panel_asks_the_plugin_in_a_form_that_it_understands(one: SqlQuery) -> None:
    assert one.kind in ("table", "time series")
    assert (one.kind == "time series") <= (list(one.times) == ["time"])
    assert "SELECT" in filled(one.raw, Chosen(0, 1))


def test_every_panel_asks_the_chosen_data_source() -> None:
    reference = {"type": "frser-sqlite-datasource", "uid": "${datasource}"}
    assert variable("datasource")["query"] == "frser-sqlite-datasource"
    for panel in dashboard(NAME)["panels"]:
        assert panel["datasource"] == reference
        assert [target["datasource"] for target in panel["targets"]] == [reference]
    assert [variable(name)["datasource"] for name in ("team", "agent", "status")] == [reference] * 3


def test_who_was_in_what_is_asked_word_for_word_as_datasette_does() -> None:
    sql = canned()["longest_breaks"].sql
    assert sql[sql.index(COMMON) : sql.index(COMMON_ENDS)] + COMMON_ENDS == history_sql.COMMON


@pytest.mark.parametrize("panel", [query.panel for query in sql_queries()])
def test_an_empty_history_is_no_error(tmp_path: Path, panel: str) -> None:
    write(tmp_path / "history.db", [])
    for row in answer(tmp_path / "history.db", panel, Chosen(0, DAY_MS), LATER):
        assert not any(value for name, value in row.items() if name not in ("time", "minutes without polls"))


# --- by hand ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def morning(tmp_path: Path) -> Path:
    return write_morning(tmp_path)


def test_a_lane_says_unknown_where_nobody_looked_and_ends_where_tracking_does(morning: Path) -> None:
    chosen = Chosen(at("08:01"), at("08:30"))
    assert [
        (row["agent"], round(row["time"] * 1000), row["Value"])
        for row in answer(morning, "Status of each agent", chosen, at("09:00"))
    ] == [
        ("O'Brien 1", at("08:01"), "Available"),
        ("O'Brien 1", at("08:02"), "On Break"),
        ("O'Brien 1", at("08:05"), "unknown"),
        ("O'Brien 1", at("08:10"), "On Break"),
        ("O'Brien 1", at("08:11"), "Busy"),
        ("O'Brien 1", at("08:12"), "unknown"),
        ("O'Brien 1", at("08:30"), None),
        ("O'Brien 2", at("08:01"), "Busy"),
        ("O'Brien 2", at("08:02"), None),
    ]


def test_the_recorders_lane_names_the_reason_of_each_gap(morning: Path) -> None:
    def lane(since: str, until: str, now: str) -> list[tuple[int, str]]:
        found = answer(morning, "When the recorder was looking", Chosen(at(since), at(until)), at(now))
        return [(ms(row["time"]), row["the recorder"]) for row in found]

    assert lane("07:00", "09:00", "09:00") == [
        (at("07:00"), "not recorded yet"),
        (at("08:00"), "looking"),
        (at("08:05"), "poll failure"),
        (at("08:10"), "looking"),
        (at("08:12"), "shutdown"),
    ]
    assert lane("08:06", "08:07", "09:00") == [(at("08:06"), "poll failure")]


def test_nothing_is_painted_into_the_future(morning: Path) -> None:
    # Grafana draws the last row of a lane to the end of the time range, such as that of "today".
    chosen = Chosen(at("08:11"), at("23:59"))
    ends = {
        panel: [(ms(row["time"]), row[column]) for row in answer(morning, panel, chosen, at("08:20"))][-1]
        for panel, column in (("Status of each agent", "Value"), ("When the recorder was looking", "the recorder"))
    }
    assert set(ends.values()) == {(at("08:20"), None)}
    tomorrow = Chosen(at("02T00:00"), at("02T12:00"))
    assert all(not answer(morning, panel, tomorrow, at("08:20")) for panel in ends)


def test_a_stay_that_goes_on_after_the_time_range_is_cut_off_there_and_called_so(morning: Path) -> None:
    found = answer(morning, "Long breaks", Chosen(at("08:03"), at("08:04"), minutes=1), at("09:00"))
    assert [(row["agent"], ms(row["start"]), ms(row["end"]), row["seen"]) for row in found] == [
        ("O'Brien 1", at("08:02"), at("08:04"), "may have been longer")
    ]
    (panel,) = [panel for panel in dashboard(NAME)["panels"] if panel["title"] == "Long breaks"]
    assert "it goes on after the time range" in panel["description"]


def test_now_is_unknown_once_the_latest_poll_is_too_old(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    polls = polled({"1": [("08:00", ON_BREAK)], "2": [("08:00", BUSY)]}, "08:00", "08:04")
    write(path, polls, minutes.PACE, ended=False)
    chosen = Chosen(0, 1)

    def numbers(now: str, chosen: Chosen = chosen) -> dict[str, int]:
        (row,) = answer(path, "Agents by status now", chosen, at(now))
        assert tuple(row) == COLUMNS
        return {name: count for name, count in row.items() if count}

    assert numbers("08:06") == {"On Break": 1, "Busy": 1}
    assert numbers("08:06", replace(chosen, agents=["2"])) == {"Busy": 1}
    assert numbers("08:07") == {"unknown": 2}  # the poll of 08:04 holds for 150 s
    assert answer(path, "Age of the latest poll", chosen, at("08:07")) == [{"age": 180.0}]


def test_an_hour_in_which_nobody_looked_has_no_number_of_transitions(morning: Path) -> None:
    found = answer(morning, "Transitions per hour", Chosen(at("07:30"), at("09:00")), at("09:00"))
    assert found == [
        {"time": at("07:30") / 1000, "transitions": None, "minutes without polls": 30.0},
        {"time": at("08:00") / 1000, "transitions": 2, "minutes without polls": 60.0 - 5 - 2},
    ]


def test_gaps_have_their_reasons(morning: Path) -> None:
    found = answer(morning, "Gaps, and why", Chosen(at("08:00"), at("09:00")), at("09:00"))
    assert [(row["source"], ms(row["start"]), row["end"] and ms(row["end"]), row["reason"]) for row in found] == [
        ("recorder", at("08:12"), None, "shutdown"),
        ("recorder", at("08:05"), at("08:10"), "poll failure"),
    ]


# --- against the reports, on the simulator's morning ------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_history(tmp_path_factory.mktemp("sample"))


def report(
    path: Path, name: str, window: Window, *groups: Group, now: int = LATER, teams: Iterable[str] = ()
) -> list[dict[str, Cell]]:
    with HistoryReader.open(path) as reader:
        facts = reader.facts(window)
    if teams:
        facts = replace(facts, agents=select(facts.agents, Selection(teams=tuple(teams))))
    asked = Question(facts.window, UTC, now)
    return [
        dict(row) for row in REPORTS[name](facts, replace(asked, groups=frozenset(groups)) if groups else asked).rows
    ]


@pytest.mark.parametrize("team", [None, "Sales"])
def test_the_table_of_times_is_the_report_summary(sample: Path, team: str | None) -> None:
    chosen = Chosen(SINCE, UNTIL, teams=None if team is None else [team])
    found = {row["agent"]: row for row in answer(sample, "Time in status, by agent", chosen, SAMPLE_NOW)}
    assert len(found) == (16 if team is None else 8)
    expected = report(sample, "summary", Window(SINCE, UNTIL), now=SAMPLE_NOW, teams=[team] if team else ())
    assert {row["name"] for row in expected} == set(found)
    for row in expected:
        here = found[str(row["name"])]
        assert ms(here[str(row["status"])]) == row["duration_seconds"]
        assert here["coverage"] == pytest.approx(row["coverage"])
        assert ms(here["tracked"]) == row["tracked_seconds"]
    (total,) = answer(sample, "Coverage", chosen, SAMPLE_NOW)
    assert total["coverage"] == pytest.approx(sum(row["coverage"] for row in found.values()) / len(found))


def test_the_bars_of_the_days_are_the_report_summary_by_day(sample: Path) -> None:
    (found,) = answer(sample, "Time in status, by day", Chosen(SINCE, UNTIL), SAMPLE_NOW)
    assert found.pop("time") == SINCE / 1000
    expected = report(sample, "summary", Window(SINCE, UNTIL), Group.DAY, now=SAMPLE_NOW)
    assert {name: ms(value) for name, value in found.items() if value} == {
        column_of(row["status"]): row["duration_seconds"] for row in expected if row["duration_seconds"]
    }


def test_long_breaks_are_the_report_long(sample: Path) -> None:
    with HistoryReader.open(sample) as reader:
        facts = reader.facts(Window(SINCE, UNTIL), whole_stays=True)
    asked = Question(facts.window, UTC, SAMPLE_NOW, statuses=frozenset({"On Break"}), over_ms=10 * 60_000)
    expected = {(row["name"], row["start"], row["end"], bool(row["censored"])) for row in long(facts, asked).rows}
    found = answer(sample, "Long breaks", Chosen(SINCE, UNTIL, minutes=10), SAMPLE_NOW)
    assert len(expected) > 5
    assert {(row["agent"], ms(row["start"]), ms(row["end"]), row["seen"] != "whole") for row in found} == expected
    assert [row["duration"] for row in found] == sorted((row["duration"] for row in found), reverse=True)


def test_who_changed_when_is_the_report_transitions_the_newest_first(sample: Path) -> None:
    expected = report(sample, "transitions", Window(SINCE, UNTIL), now=SAMPLE_NOW)
    found = answer(sample, "Who changed when", Chosen(SINCE, UNTIL), SAMPLE_NOW)
    assert len(found) == min(1000, len(expected)) > 500
    assert [row["seen"] for row in found] == sorted((row["seen"] for row in found), reverse=True)
    assert {
        (
            row["agent"],
            row["from_status"],
            row["to_status"],
            row["not_before"] and ms(row["not_before"]),
            ms(row["seen"]),
        )
        for row in found
    } == {
        (row["name"], row["from_status"], row["to_status"], row["not_before"], row["seen"])
        for row in sorted(expected, key=lambda row: str(row["seen"]))[-1000:]
    }
    hours = answer(sample, "Transitions per hour", Chosen(SINCE, UNTIL), SAMPLE_NOW)
    assert sum(row["transitions"] for row in hours) == sum(row["from_status"] is not None for row in expected)


# --- against the reports, on anything ---------------------------------------------------------------------------------


@st.composite
def windows(draw: st.DrawFn) -> tuple[Case, Window]:
    """A case, and a window that mostly meets it."""
    case = draw(cases())
    middle = case.end - draw(st.integers(-20, 450))
    since = max(0, middle - draw(st.integers(0, 300)))
    return case, Window(since, max(since, middle) + draw(st.integers(1, 300)))


@few
@given(windows(), st.booleans())
def test_lanes_times_and_days_are_the_reports(drawn: tuple[Case, Window], purge: bool) -> None:
    case, window = drawn
    chosen = Chosen(window.since, window.until)
    with recorded(case) as path:
        if purge:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                purge_before(connection, (window.since + window.until) // 2, now_ms=LATER, program="0.1.0")
        expected: Totals = defaultdict(int)
        for row in report(path, "summary", window):
            if row["duration_seconds"]:
                expected[str(row["agent_id"]), column_of(row["status"])] += int(str(row["duration_seconds"]))
        times = answer(path, "Time in status, by agent", chosen, LATER)
        # The names of the made-up agents end in their ids.
        assert {
            (str(row["agent"]).split()[-1], name): ms(row[name]) for row in times for name in COLUMNS if row[name]
        } == expected
        lanes: Totals = defaultdict(int)
        for here, after in pairwise(answer(path, "Status of each agent", chosen, LATER)):
            if here["Value"] is not None:
                assert here["agent"] == after["agent"]
                lanes[here["agent"].split()[-1], column_of(here["Value"])] += ms(after["time"]) - ms(here["time"])
        assert lanes == expected
        by_day: Totals = defaultdict(int)
        for row in report(path, "summary", window, Group.DAY):
            if row["duration_seconds"]:
                by_day[str(row["day"]), column_of(row["status"])] += int(str(row["duration_seconds"]))
        found = answer(path, "Time in status, by day", chosen, LATER)
        assert sorted(by_day.values()) == sorted(ms(row[name]) for row in found for name in COLUMNS if row[name])


@few
@given(windows())
def test_gaps_and_the_recorders_lane_are_the_report_coverage(drawn: tuple[Case, Window]) -> None:
    case, window = drawn
    assume(case.polls and window.since < window.until)
    chosen = Chosen(window.since, window.until)
    with recorded(case) as path:
        expected = report(path, "coverage", window)
        lane = answer(path, "When the recorder was looking", chosen, LATER)
        ends = [*(ms(row["time"]) for row in lane[1:]), window.until]
        merged: list[tuple[int, int, str]] = []
        for row, end in zip(lane, ends, strict=True):
            if merged and merged[-1][2] == row["the recorder"]:
                merged[-1] = (merged[-1][0], end, merged[-1][2])
            elif ms(row["time"]) < end:
                merged.append((ms(row["time"]), end, row["the recorder"]))
        assert merged == [
            (row["start"], row["end"], "looking" if row["covered"] else row["reason"])
            for row in expected
            if row["source"] == "recorder"
        ]
        gaps = answer(path, "Gaps, and why", chosen, LATER)
        inside = {
            (row["start"], row["end"], row["reason"])
            for row in expected
            if not row["covered"] and row["reason"] != "not recorded yet" and row["source"] == "recorder"
        }
        clipped = {
            (
                max(ms(row["start"]), window.since),
                min(ms(row["end"]) if row["end"] is not None else window.until, window.until),
                row["reason"],
            )
            for row in gaps
            if row["source"] == "recorder"
        }
        assert {edge[2] for edge in inside} == {edge[2] for edge in clipped}
        assert sum(end - start for start, end, _ in inside) == sum(end - start for start, end, _ in clipped)
