"""The canned queries for Datasette: what they say is what the reports say, and all names are those of the schema."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.history.care.purge import purge_before
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.reports.intervals import intervals
from exporter.history.reports.long import long
from exporter.history.schema import TABLES
from exporter.history.views import VIEWS
from exporter.history.window import Window, iso_text
from exporter.model import AVAILABLE, BUSY, ON_BREAK, ON_CALL, Poll
from exporter.report.model import Report
from tests.support import minutes
from tests.support.datasette import COMMON, COMMON_ENDS, canned, described
from tests.support.minutes import at, polled
from tests.support.two_sources import (
    DAY_MS,
    Case,
    add_source,
    cases,
    looking_at,
    recorded,
    rows,
    timeline_report,
    write,
)

UTC = ZoneInfo("UTC")
NOW = 2 * DAY_MS + 1_000
QUERIES = canned()
few = settings(max_examples=max(20, settings().max_examples // 5))
"""Each example writes a database file."""
BY_AGENT = itemgetter("agent_id")
BLANK = {"at": "", "since": "", "until": "", "status": "", "agent": ""}


def ask(path: Path, name: str, now: int = NOW, **parameters: str) -> list[dict[str, object]]:
    return rows(path, QUERIES[name].sql, now, **(BLANK | parameters))


def iso(instant: int) -> str:
    return iso_text(instant, UTC).replace("+00:00", "" if instant % 1000 else ".000") + "Z"


# --- names ------------------------------------------------------------------------------------------------------------


def test_every_table_view_and_column_is_described_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "history.db", [])
    with looking_at(tmp_path / "history.db", NOW) as connection:
        columns = {
            name: [row["name"] for row in connection.execute(f"PRAGMA table_xinfo({name})")]
            for name in (*TABLES, *(name for name, _ in VIEWS))
        }
    assert {name: list(one.columns) for name, one in described().items()} == columns
    assert all(one.description and all(one.columns.values()) for one in described().values())


def test_every_query_has_a_question_and_an_explanation() -> None:
    assert len(QUERIES) >= 8
    for query in QUERIES.values():
        assert query.title.endswith("?")
        assert query.description.endswith(".")


def test_what_several_queries_share_is_the_same_in_all_of_them() -> None:
    shared = [
        query.sql[query.sql.index(COMMON) : query.sql.index(COMMON_ENDS)]
        for query in QUERIES.values()
        if COMMON in query.sql
    ]
    assert len(shared) == 4
    assert len(set(shared)) == 1


@pytest.mark.parametrize("name", QUERIES)
def test_an_empty_history_answers_with_no_rows(tmp_path: Path, name: str) -> None:
    write(tmp_path / "history.db", [])
    found = ask(tmp_path / "history.db", name)
    assert [row["what"] for row in found] == (["ended", "started"] if name == "what_happened" else [])


# --- by hand ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def morning(tmp_path: Path) -> Path:
    """Polls on the minute from 08:00 to 08:12, none between 08:05 and 08:10; agent 2 is asked for until 08:02."""
    path = tmp_path / "morning.db"
    polls = polled(
        {
            "1": [("08:00", AVAILABLE), ("08:02", ON_BREAK), ("08:11", BUSY)],
            "2": [("08:00", BUSY), ("08:03", None)],
            "3": [("08:00", ON_CALL), ("08:04", ON_BREAK)],
        },
        "08:00",
        "08:12",
        silent=[("08:05", "08:10")],
    )
    write(path, polls, minutes.PACE, names={at("08:00"): "Ann"})
    return path


def clock(instant: object) -> str | None:
    assert instant is None or isinstance(instant, str)
    return instant and instant.removeprefix("2026-07-01T").removesuffix(":00.000Z")


def test_who_is_on_break_now_names_also_those_of_whom_it_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    polls = polled({"1": [("08:00", ON_BREAK)], "2": [("08:00", BUSY)]}, "08:00", "08:04")
    write(path, polls, minutes.PACE, ended=False)
    assert [
        (row["agent_id"], row["status"], clock(row["since"]), row["minutes"], row["last_status"])
        for row in ask(path, "on_break_now", at("08:06"))
    ] == [("1", "On Break", "08:00", 6.0, "On Break")]
    assert [row["agent_id"] for row in ask(path, "on_break_now", at("08:06"), status="busy")] == ["2"]
    assert [row["agent_id"] for row in ask(path, "on_break_now", at("08:06"), status="%")] == ["1", "2"]
    # The poll of 08:04 holds for 150 s.
    assert [
        (row["agent_id"], row["status"], row["since"], row["last_status"])
        for row in ask(path, "on_break_now", at("08:07"))
    ] == [("1", "unknown", None, "On Break"), ("2", "unknown", None, "Busy")]


def test_who_was_on_break_at_an_instant(morning: Path) -> None:
    def answer(instant: str, status: str = "") -> list[tuple[object, ...]]:
        found = ask(morning, "on_break_at", at("09:00"), at=instant, status=status)
        return [(row["agent_id"], row["status"], clock(row["since"])) for row in found]

    assert answer("2026-07-01T08:03Z") == [("1", "On Break", "08:02")]
    assert answer("2026-07-01T10:04+02:00") == [("1", "On Break", "08:02"), ("3", "On Break", "08:04")]
    assert answer("2026-07-01 08:01:59.999", "busy") == [("2", "Busy", "08:00")]
    # Nobody was looking: either may have been on break. Agent 2 is nobody's any more.
    assert answer("2026-07-01T08:06Z") == [("1", "unknown", None), ("3", "unknown", None)]
    # Blank: right before the poll of 08:12.
    assert answer("", "%") == [("1", "Busy", "08:11"), ("3", "On Break", "08:04")]
    assert answer("2026-07-01T07:00Z", "%") == answer("yesterday", "%") == []


def test_the_longest_breaks(morning: Path) -> None:
    # Agent 1 was on break from 08:02 to the gap at 08:05, and from the first poll after it until 08:11.
    assert [
        (row["agent_id"], clock(row["start"]), clock(row["end"]), row["duration_seconds"], row["censored"])
        for row in ask(morning, "longest_breaks", at("09:00"))
    ] == [
        ("1", "08:02", "08:05", 180, 1),
        ("3", "08:10", "08:12", 120, 1),
        ("3", "08:04", "08:05", 60, 1),
        ("1", "08:10", "08:11", 60, 1),
    ]
    assert [
        (row["agent_id"], row["duration_seconds"], row["censored"])
        for row in ask(morning, "longest_breaks", at("09:00"), status="on call")
    ] == [("3", 240, 1)]


def test_whether_anybody_was_available(morning: Path) -> None:
    assert [
        (clock(row["start"]), clock(row["end"]), row["answer"], row["duration_seconds"])
        for row in ask(morning, "anybody_available", at("09:00"), until="2026-07-01T08:30Z")
    ] == [
        ("08:00", "08:02", "somebody", 120),
        ("08:02", "08:05", "nobody", 180),
        ("08:05", "08:10", "nobody seen", 300),
        ("08:10", "08:12", "nobody", 120),
        ("08:12", "08:30", "nobody seen", 1080),
    ]


def test_when_nobody_was_looking_and_why(morning: Path) -> None:
    log = [Poll(at("07:00"), at("07:00"), {"1": BUSY}), Poll(at("07:01"), at("07:01"), {"1": BUSY})]
    with closing(sqlite3.connect(morning)) as connection:
        add_source(connection, [*log, replace(log[1], sent=at("07:30"), received=at("07:30"))], exact=True)
    found = ask(morning, "gaps", at("08:20"))
    assert [
        (row["source"], clock(row["start"]), clock(row["end"]), row["duration_seconds"], row["reason"]) for row in found
    ] == [
        ("recorder", "08:12", None, 480, "shutdown"),
        ("recorder", "08:05", "08:10", 300, "poll failure"),
        ("other", "07:01", "07:30", 1740, "not in the file"),
        ("other", "07:00", "07:01", 60, "not in the file"),
    ]


def test_what_was_purged_and_imported(morning: Path) -> None:
    with closing(sqlite3.connect(morning, isolation_level=None)) as connection:
        add_source(connection, [Poll(at("07:00"), at("07:00"), {"1": BUSY})], exact=True)
        purge_before(connection, at("08:04"), now_ms=at("08:20"), program="0.1.0")
        connection.execute("INSERT INTO purge (done, kind, program) VALUES (?, 'agent', '0.1.0')", (at("08:30"),))
    assert [tuple(row.values()) for row in ask(morning, "purged_and_imported")] == [
        ("2026-07-01T08:30:00.000Z", "erased an agent", None, "0.1.0"),
        ("2026-07-01T08:20:00.000Z", "purged", "everything before 2026-07-01T08:04:00.000Z", "0.1.0"),
        ("1970-01-01T00:00:00.000Z", "imported a log of exact changes", "other", None),
    ]


def test_how_many_changes_an_hour_and_whether_anybody_was_looking(morning: Path) -> None:
    # Agent 1 changed at 08:02 and 08:11, agent 3 at 08:04; five and two minutes were covered.
    found = ask(morning, "changes_per_hour", at("10:00"), since="2026-07-01T07:30Z", until="2026-07-01T09:00Z")
    assert [tuple(row.values())[2:] for row in found] == [(0, 0, 0.0), (3, 2, 7.0)]
    assert [clock(row["start"]) for row in found] == ["07:30", "08:00"]


def test_who_is_recorded_and_what_happened(morning: Path) -> None:
    assert [
        (row["agent_id"], row["name"], row["team"], clock(row["tracked_from"]), clock(row["tracked_until"]))
        for row in ask(morning, "agents")
    ] == [
        ("1", "Ann 1", "Ann", "08:00", None),
        ("2", "Ann 2", "Ann", "08:00", "08:02"),
        ("3", "Ann 3", "Ann", "08:00", None),
    ]
    assert [(row["what"], row["detail"]) for row in ask(morning, "what_happened")] == [
        ("ended", "shutdown"),
        ("started", "version 0.1.0 on host"),
    ]


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if ":since" in query.sql])
def test_a_time_that_cannot_be_read_gives_no_rows(morning: Path, name: str) -> None:
    assert ask(morning, name, at("09:00"), agent="1", since="2026-07-01", until="2026-07-02")
    assert ask(morning, name, at("09:00"), agent="1", since="last monday") == []
    assert ask(morning, name, at("09:00"), agent="1", until="soon") == []


# --- against the reports ----------------------------------------------------------------------------------------------


@st.composite
def windows(draw: st.DrawFn) -> tuple[Case, Window]:
    """A case, and a window that mostly meets it."""
    case = draw(cases())
    middle = case.end - draw(st.integers(-20, 450))
    since = max(0, middle - draw(st.integers(0, 300)))
    return case, Window(since, max(since, middle) + draw(st.integers(1, 300)))


def report(path: Path, name: str, window: Window) -> Report:
    with HistoryReader.open(path) as reader:
        facts = reader.facts(window)
    return REPORTS[name](facts, Question(facts.window, UTC, NOW))


def in_window(path: Path, name: str, window: Window, **parameters: str) -> list[dict[str, object]]:
    return ask(path, name, since=iso(window.since), until=iso(window.until), **parameters)


def ms(seconds: object) -> int:
    assert isinstance(seconds, float)
    return round(seconds * 1000)


def purged(path: Path, before: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        purge_before(connection, before, now_ms=NOW, program="0.1.0")


@few
@given(windows(), st.booleans())
def test_who_was_in_which_status_is_the_report_at(drawn: tuple[Case, Window], purge: bool) -> None:
    case, window = drawn
    with recorded(case) as path:
        if purge:
            purged(path, window.until)
        for instant in (window.since, window.until):
            found = sorted(ask(path, "on_break_at", at=iso(instant), status="%"), key=BY_AGENT)
            expected = sorted(report(path, "at", Window(instant, instant + 1)).rows, key=BY_AGENT)
            assert [(row["agent_id"], row["name"], row["status"]) for row in found] == [
                (row["agent_id"], row["name"], row["status"]) for row in expected
            ]
            # Where one source's coverage ends and another's begins, the report looks at what both of them saw.
            if not case.others:
                assert [row["since"] for row in found] == [row["since"] and iso(row["since"]) for row in expected]


@few
@given(windows(), st.booleans())
def test_the_time_in_each_status_is_the_report_summary(drawn: tuple[Case, Window], purge: bool) -> None:
    case, window = drawn
    with recorded(case) as path:
        if purge:
            purged(path, (window.since + window.until) // 2)
        assert sorted(
            (row["agent_id"], row["status"], ms(row["duration_seconds"]), row["share"] or 0)
            for row in in_window(path, "time_in_status", window)
        ) == sorted(
            (row["agent_id"], row["status"], row["duration_seconds"], round(row["share"] or 0, 6))
            for row in report(path, "summary", window).rows
            if row["duration_seconds"]
        )


@few
@given(windows())
def test_the_longest_breaks_are_the_report_long(drawn: tuple[Case, Window]) -> None:
    case, window = drawn
    # What polls tell within one millisecond is taken for exact, and has no bracket to see an edge by.
    assume(all(after.received - before.sent > 1 for before, after in pairwise(case.polls)))
    words = frozenset({"Available", "In Training", "error", "absent"})
    with recorded(replace(case, others=())) as path:
        with HistoryReader.open(path) as reader:
            facts = reader.facts(window, whole_stays=True)
        # What goes on after the window has an end there, which nobody saw.
        expected = [
            (
                row["agent_id"],
                row["status"],
                iso(row["start"]),
                iso(min(row["end"], window.until)),
                row["censored"] or row["end"] > window.until,
            )
            for row in long(facts, Question(window, UTC, NOW, statuses=words, over_ms=0)).rows
        ]
        found = [
            (row["agent_id"], row["status"], row["start"], row["end"], bool(row["censored"]))
            for row in in_window(path, "longest_breaks", window, status="%")
        ]
        assert sorted(found) == sorted(expected)


@few
@given(windows())
def test_nobody_available_is_what_the_report_intervals_says(drawn: tuple[Case, Window]) -> None:
    case, window = drawn
    with recorded(case) as path:
        with HistoryReader.open(path) as reader:
            facts = reader.facts(window)
        of_available = [
            row
            for row in intervals(facts, Question(window, UTC, NOW, step_ms=DAY_MS)).rows
            if row["status"] == "Available"
        ]
        found = in_window(path, "anybody_available", window)

        def seconds(*answers: str) -> int:
            return sum(ms(row["duration_seconds"]) for row in found if row["answer"] in answers)

        assert seconds("nobody") == sum(row["fewer_sure_seconds"] or 0 for row in of_available)
        assert seconds("nobody", "nobody seen") == sum(row["fewer_possible_seconds"] or 0 for row in of_available)
        assert sum(ms(row["duration_seconds"]) for row in found) <= window.length


@few
@given(windows())
def test_changes_and_timelines_of_an_agent_are_the_reports(drawn: tuple[Case, Window]) -> None:
    case, window = drawn
    with recorded(case) as path:
        changes, timeline = (
            report(path, "transitions", window).rows,
            timeline_report(path, NOW),
        )
        for agent_id in ("1", "2", "3"):
            assert [
                (row["from_status"], row["to_status"], row["not_before"], row["seen"])
                for row in in_window(path, "changes_of_an_agent", window, agent=agent_id)
            ] == [
                (
                    row["from_status"],
                    row["to_status"],
                    None if row["not_before"] is None else iso(row["not_before"]),
                    iso(row["seen"]),
                )
                for row in changes
                if row["agent_id"] == agent_id
            ]
            assert [
                (row["name"], row["status"], row["quality"], row["start"], row["end"])
                for row in in_window(path, "timeline_of_an_agent", window, agent=agent_id)
            ] == [
                (row["name"], row["status"], row["quality"], iso(row["start"]), iso(row["end"]))
                for row in timeline
                if row["agent_id"] == agent_id and row["end"] > window.since and row["start"] < window.until
            ]
        hours = in_window(path, "changes_per_hour", window)
        assert sum(row["changes"] for row in hours) == sum(row["from_status"] is not None for row in changes)
