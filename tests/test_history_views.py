"""The views for people with their own tools: by hand on small histories, and against the reports on random ones."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.history.care.purge import purge_before
from exporter.history.facts import HistoryFacts
from exporter.history.question import Group, Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.views import VIEWS
from exporter.history.window import Window, iso_text
from exporter.history.writer import HistoryWriter
from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, ON_BREAK, ON_CALL, EndReason, Poll, reported
from tests.support import minutes
from tests.support.histories import poll_lists
from tests.support.minutes import at, polled
from tests.support.two_sources import (
    DAY_MS,
    RUN,
    Case,
    add_source,
    cases,
    plain,
    recorded,
    rows,
    timeline_report,
    write,
)

UTC = ZoneInfo("UTC")
few = settings(max_examples=max(25, settings().max_examples // 4))
"""Each example writes a database file."""


# --- by hand ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def morning(tmp_path: Path) -> Path:
    """Polls on the minute, sent a second before: a break across a silence, somebody who leaves, three odd answers.

    Agent 1 is Ann until 08:09 and Bea of Bea's team from 08:10 on. Agent 2 is asked for until 08:02. A stretch ends
    after 150 s of silence: the one from 08:00 ends with the poll of 08:05, the next begins with that of 08:10.
    """
    path = tmp_path / "morning.db"
    polls = polled(
        {
            "1": [("08:00", AVAILABLE), ("08:02", ON_BREAK)],
            "2": [("08:00", BUSY), ("08:03", None)],
            "3": [("08:00", ERROR), ("08:01", ABSENT), ("08:04", reported("error")), ("08:11", reported("unknown"))],
        },
        "08:00",
        "08:12",
        silent=[("08:05", "08:10")],
    )
    write(path, polls, minutes.PACE, names={at("08:00"): "Ann", at("08:10"): "Bea"})
    return path


def test_transitions_are_the_recorded_facts_in_words(morning: Path) -> None:
    # Each change lies between the sending of the poll that saw the old status and the receipt of the next.
    day = "2026-07-01T"
    assert plain(morning, "SELECT * FROM transitions WHERE agent_id = '1' ORDER BY seen", at("08:20")) == [
        ("1", None, "Available", None, at("08:00"), None, f"{day}08:00:00.000Z"),
        ("1", "Available", "On Break", at("08:00:59"), at("08:02"), f"{day}08:00:59.000Z", f"{day}08:02:00.000Z"),
    ]


def test_an_exact_transition_has_one_time(morning: Path) -> None:
    log = [Poll(at("07:00"), at("07:00"), {"1": BUSY}), Poll(at("07:01"), at("07:01"), {"1": ON_CALL})]
    with closing(sqlite3.connect(morning)) as connection:
        add_source(connection, log, exact=True, pace=minutes.PACE)
    assert plain(
        morning,
        "SELECT from_status, to_status, not_before, seen FROM transitions WHERE seen < 1782890000000 ORDER BY seen",
        at("08:20"),
    ) == [(None, "Busy", None, at("07:00")), ("Busy", "On Call", at("07:01"), at("07:01"))]


def test_the_timeline_tiles_the_tracked_time_and_tells_when_nobody_was_looking(morning: Path) -> None:
    # Agent 1 stays tracked until now, 08:20; the last poll was at 08:12. Agent 2 was last asked for at 08:02.
    minute = 60.0
    assert plain(
        morning,
        "SELECT agent_id, name, team, status, kind, quality, (start - 1782892800) / 60, duration_seconds FROM timeline"
        " WHERE agent_id < '3' ORDER BY agent_id, start",
        at("08:20"),
    ) == [
        ("1", "Ann 1", "Ann", "Available", "reported", "sampled", 0, 2 * minute),
        ("1", "Ann 1", "Ann", "On Break", "reported", "sampled", 2, 3 * minute),
        ("1", "Ann 1", "Ann", "unknown", "unknown", "unknown", 5, 5 * minute),
        ("1", "Bea 1", "Bea", "On Break", "reported", "sampled", 10, 2 * minute),
        ("1", "Bea 1", "Bea", "unknown", "unknown", "unknown", 12, 8 * minute),
        ("2", "Ann 2", "Ann", "Busy", "reported", "sampled", 0, 2 * minute),
    ]


def test_times_are_epoch_seconds_milliseconds_and_iso_text(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    write(path, [Poll(1_000, 1_001, {"1": BUSY}), Poll(1_010, 1_017, {"1": BUSY})])
    where = "WHERE status = 'Busy'"
    assert rows(path, f'SELECT start, "end" FROM timeline_ms {where}', 1_017) == [{"start": 1_001, "end": 1_017}]
    assert rows(path, f'SELECT start, "end", duration_seconds, start_iso, end_iso FROM timeline {where}', 1_017) == [
        {
            "start": 1.001,
            "end": 1.017,
            "duration_seconds": 0.016,
            "start_iso": "1970-01-01T00:00:01.001Z",
            "end_iso": "1970-01-01T00:00:01.017Z",
        }
    ]


def test_words_of_zoho_that_look_like_ours_are_told_apart_by_their_kind(morning: Path) -> None:
    assert plain(
        morning,
        "SELECT status, kind, (start - 1782892800) / 60 FROM timeline WHERE agent_id = '3' ORDER BY start",
        at("08:12"),
    ) == [
        ("error", "error", 0),
        ("absent", "absent", 1),
        ("error", "reported", 4),
        ("unknown", "unknown", 5),
        ("error", "reported", 10),
        ("unknown", "reported", 11),
    ]
    assert plain(
        morning,
        "SELECT status, kind, duration_seconds FROM seconds_by_day WHERE agent_id = '3' ORDER BY 1, 2",
        at("08:12"),
    ) == [
        ("absent", "absent", 180),
        ("error", "error", 60),
        ("error", "reported", 120),
        ("unknown", "reported", 60),
        ("unknown", "unknown", 300),
    ]


def test_exact_time_is_called_so_and_joins_what_polls_saw(morning: Path) -> None:
    # A log tells of agent 1 from 08:05 to 08:07, where the recorder was silent, and of nobody after that.
    log = [Poll(at("08:05"), at("08:05"), {"1": ON_CALL}), Poll(at("08:07"), at("08:07"), {"1": ON_CALL})]
    with closing(sqlite3.connect(morning)) as connection:
        add_source(connection, log, exact=True, pace=minutes.PACE)
    assert plain(
        morning,
        "SELECT status, quality, (start - 1782892800) / 60 FROM timeline WHERE agent_id = '1' ORDER BY start",
        at("08:12"),
    ) == [
        ("Available", "sampled", 0),
        ("On Break", "sampled", 2),
        ("On Call", "exact", 5),
        ("unknown", "unknown", 7),
        ("On Break", "sampled", 10),
    ]


def test_now_says_who_is_in_which_status_since_when_and_how_old_that_is(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    polls = polled(
        {"1": [("08:00", AVAILABLE), ("08:02", ON_BREAK)], "2": [("08:00", BUSY), ("08:03", None)]}, "08:00", "08:04"
    )
    write(path, polls, minutes.PACE, names={at("08:00"): "Ann"}, ended=False)
    columns = (
        "agent_id, name, team, status, since_iso, last_status, last_since_iso, last_poll_iso, evidence_age_seconds"
    )
    # Agent 2 has left. 150 s after the poll of 08:04 the next one can still go on with the stretch, later not.
    seen = ("On Break", "2026-07-01T08:02:00.000Z", "2026-07-01T08:04:00.000Z")
    assert plain(path, f"SELECT {columns} FROM now", at("08:06:30")) == [
        ("1", "Ann 1", "Ann", "On Break", "2026-07-01T08:02:00.000Z", *seen, 150.0)
    ]
    assert plain(path, f"SELECT {columns} FROM now", at("08:06:30") + 1) == [
        ("1", "Ann 1", "Ann", "unknown", None, *seen, 150.001)
    ]
    assert rows(path, "SELECT since, last_since, last_poll FROM now", at("08:04")) == [
        {"since": at("08:02") / 1000, "last_since": at("08:02") / 1000, "last_poll": at("08:04") / 1000}
    ]


def test_now_is_unknown_as_soon_as_the_exporter_has_stopped(morning: Path) -> None:
    assert plain(morning, "SELECT agent_id, status, last_status FROM now ORDER BY agent_id", at("08:12")) == [
        ("1", "unknown", "On Break"),
        ("3", "unknown", "unknown"),
    ]


def test_seconds_by_day_cut_at_midnight_utc(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    polls = polled({"1": [("23:58", BUSY), ("02T00:01", ON_CALL)]}, "23:58", "02T00:02")
    write(path, polls, minutes.PACE, names={at("23:58"): "Ann", at("02T00:00"): "Bea"})
    # Unknown from the last poll on: all of the third, which has no other row, and an hour of the fourth.
    assert plain(
        path, "SELECT day, name, team, status, duration_seconds FROM seconds_by_day ORDER BY 1, 4", at("04T01:00")
    ) == [
        ("2026-07-01", "Ann 1", "Ann", "Busy", 120),
        ("2026-07-02", "Bea 1", "Bea", "Busy", 60),
        ("2026-07-02", "Bea 1", "Bea", "On Call", 60),
        ("2026-07-02", "Bea 1", "Bea", "unknown", 86_400 - 120),
        ("2026-07-03", "Bea 1", "Bea", "unknown", 86_400),
        ("2026-07-04", "Bea 1", "Bea", "unknown", 3_600),
    ]


def test_views_begin_at_the_water_mark(morning: Path) -> None:
    with closing(sqlite3.connect(morning, isolation_level=None)) as connection:
        purge_before(connection, at("08:04"), now_ms=at("08:20"), program="0.1.0")
    assert plain(
        morning,
        "SELECT agent_id, status, (start - 1782892800) / 60 FROM timeline WHERE agent_id < '3' ORDER BY 1, start",
        at("08:12"),
    ) == [("1", "On Break", 4), ("1", "unknown", 5), ("1", "On Break", 10)]


def test_a_history_without_any_poll_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    write(path, [])
    for name, _ in VIEWS:
        assert plain(path, f"SELECT * FROM {name}", at("08:00")) == []


def test_a_database_of_version_1_gets_the_same_views(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    shutil.copy(Path(__file__).parent / "data" / "history" / "v1.db", path)
    path.chmod(0o600)
    HistoryWriter.open(path, RUN).close(0, EndReason.SHUTDOWN)
    query = "SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY rowid"
    assert plain(path, query, 0) == [(name, sql.strip()) for name, sql in VIEWS]


def test_a_tool_that_trusts_no_schema_can_use_the_views(morning: Path) -> None:
    with closing(sqlite3.connect(morning)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        for name, _ in VIEWS:
            assert connection.execute(f"SELECT * FROM {name}").fetchall()


# --- against the reports ----------------------------------------------------------------------------------------------


def read(path: Path, window: Window) -> HistoryFacts:
    with HistoryReader.open(path) as reader:
        return reader.facts(window)


def report(name: str, facts: HistoryFacts, question: Question) -> list[dict[str, object]]:
    return [dict(row) for row in REPORTS[name](facts, question).rows]


def check_timeline(path: Path, now: int) -> None:
    """Long after the last poll, so that the report has no live extension either."""
    expected = timeline_report(path, now)
    columns = ("agent_id", "start", "end", "status", "kind", "quality")
    assert rows(path, "SELECT * FROM timeline_ms ORDER BY agent_id, start", now) == [
        {column: row[column] for column in columns} for row in expected
    ]
    found = rows(path, "SELECT * FROM timeline ORDER BY agent_id, start", now)
    for shown, row in zip(found, expected, strict=True):
        start, end = row["start"], row["end"]
        assert isinstance(start, int)
        assert isinstance(end, int)
        assert shown | {"team": None} == {
            "agent_id": row["agent_id"],
            "name": row["name"],
            "team": None,
            "status": row["status"],
            "kind": row["kind"],
            "quality": row["quality"],
            "start": start / 1000,
            "end": end / 1000,
            "duration_seconds": (end - start) / 1000,
            "start_iso": iso(start),
            "end_iso": iso(end),
        }


def iso(instant: int) -> str:
    """As JavaScript writes it: milliseconds always, and Z."""
    return iso_text(instant, UTC).replace("+00:00", "" if instant % 1000 else ".000") + "Z"


NOW = 2 * DAY_MS + 1_000
DAYS = [(f"1970-01-0{number}", number * DAY_MS) for number in (1, 2, 3)]
"""Up to NOW, with their ends."""


@few
@given(cases())
def test_the_timeline_says_what_the_report_says(case: Case) -> None:
    with recorded(case) as path:
        check_timeline(path, NOW)


@few
@given(cases(), st.integers(0, 500), st.booleans())
def test_the_timeline_says_what_the_report_says_after_a_purge(case: Case, before: int, second_day: bool) -> None:
    with recorded(case) as path:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            purge_before(connection, before + second_day * (DAY_MS - 200), now_ms=NOW, program="0.1.0")
        check_timeline(path, NOW)


@few
@given(cases())
def test_one_agents_rows_are_the_same_when_only_that_agent_is_asked_for(case: Case) -> None:
    with recorded(case) as path:
        for name, key in (("timeline_ms", "start"), ("timeline", "start"), ("seconds_by_day", "day, kind, status")):
            every = rows(path, f"SELECT * FROM {name} ORDER BY {key}", NOW)
            for agent_id in ("1", "2", "3"):
                mine = rows(path, f"SELECT * FROM {name} WHERE agent_id = '{agent_id}' ORDER BY {key}", NOW)
                assert mine == [row for row in every if row["agent_id"] == agent_id]


@few
@given(cases())
def test_seconds_by_day_are_the_summary_of_each_utc_day(case: Case) -> None:
    with recorded(case) as path:
        question = Question(Window(0, NOW), UTC, NOW, groups=frozenset({Group.AGENT, Group.DAY}))
        facts = read(path, Window(0, NOW))
        names = {
            (agent.agent_id, day): agent.description_at(end - 1).name for agent in facts.agents for day, end in DAYS
        }
        expected = sorted(
            (row["day"], row["agent_id"], names[row["agent_id"], row["day"]], row["status"], row["duration_seconds"])
            for row in report("summary", facts, question)
            if row["duration_seconds"]
        )
        query = (
            "SELECT day, agent_id, name, status, CAST(round(duration_seconds * 1000) AS INTEGER) FROM seconds_by_day"
        )
        assert sorted(plain(path, query, NOW)) == expected


@few
@given(cases(), st.integers(0, 60), st.booleans())
def test_now_is_the_report_of_this_instant(case: Case, later: int, ended: bool) -> None:
    case = Case(case.polls)  # `now` does not look at imports
    with recorded(case, ended=ended) as path:
        now = case.end + later
        expected = [
            (row["agent_id"], row["name"], row["status"], row["since"], row["evidence_age_seconds"])
            for row in report("at", read(path, Window(now, now + 1)), Question(Window(now, now + 1), UTC, now))
        ]
        query = "SELECT agent_id, name, status, since, evidence_age_seconds FROM now"
        found = [
            (*who, None if since is None else round(since * 1000), round(age * 1000))
            for *who, since, age in plain(path, query, now)  # type: ignore[misc]  # columns are known
        ]
        assert sorted(found) == sorted(expected)


@few
@given(poll_lists().filter(bool))
def test_now_at_the_last_poll_is_what_that_poll_saw(polls: list[Poll]) -> None:
    with recorded(Case(polls), ended=False) as path:
        now = polls[-1].received
        assert dict(plain(path, "SELECT agent_id, status FROM now", now)) == {
            key: status.word for key, status in polls[-1].readings.items()
        }
