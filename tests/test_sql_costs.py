"""What views and canned queries cost, in steps of the virtual machine of SQLite: the same number on every machine."""

import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.history.schema import AGENT_BITS
from exporter.history.views import VIEWS
from exporter.history.window import iso_text
from tests.support.datasette import COMMON, canned
from tests.support.sqlite_panels import Chosen, SqlQuery, filled, sql_queries
from tests.support.two_sources import looking_at, write

BEGINNING = 1_000_000_000_000
PAUSE = 30_000
LATER = 1_100_000_000_000
STATUSES = 5
DAY = 200
"""Polls a day, and as many changes: it is a short one."""


def write_changes(path: Path, *, agents: int, each: int, stretches: int) -> None:
    """`each` changes of every agent, all at the same times, in so many stretches, with a checkpoint a day."""
    write(path, [])
    times = [BEGINNING + PAUSE * i for i in range(each)]
    length = each // stretches
    edges = [(times[i], times[i + length - 1]) for i in range(0, each, length)]
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany("INSERT INTO agent (id, agent_id) VALUES (?, ?)", [(a, str(a)) for a in range(agents)])
        connection.executemany(
            "INSERT INTO tracking (agent, tracked_from) VALUES (?, ?)", [(a, BEGINNING) for a in range(agents)]
        )
        connection.executemany(
            "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (?, ?, ?, ?)",
            [
                (at << AGENT_BITS | a, i % STATUSES, (i - 1) % STATUSES if i else None, PAUSE if i else None)
                for i, at in enumerate(times)
                for a in range(agents)
            ],
        )
        connection.executemany("INSERT INTO checkpoint VALUES (?, 0)", [(at,) for at in times[::DAY]])
        connection.executemany(
            "INSERT INTO carried VALUES (?, ?)",
            [(at, at << AGENT_BITS | a) for at in times[::DAY] for a in range(agents)],
        )
        connection.executemany(
            "INSERT INTO coverage (run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms,"
            " end_reason) VALUES (1, ?1, ?1, ?2, ?2, ?3, 30000, 75000, 'crash')",
            [(start, end, length) for start, end in edges],
        )
        connection.commit()


def steps(path: Path, sql: str, **parameters: str) -> int:
    """How many hundred steps the query takes."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    with looking_at(path, LATER) as connection:
        connection.set_progress_handler(count, 100)
        connection.execute(sql, parameters).fetchall()
    return counted


@pytest.mark.parametrize("name", [name for name, _ in VIEWS])
def test_the_cost_of_a_view_grows_with_the_transitions_and_not_with_their_square(tmp_path: Path, name: str) -> None:
    sizes = {"one": (10, 400, 10), "more agents": (40, 400, 10), "longer": (10, 1_600, 40), "broken": (10, 400, 80)}
    cost = {}
    for size, (agents, each, stretches) in sizes.items():
        write_changes(tmp_path / f"{size}.db", agents=agents, each=each, stretches=stretches)
        cost[size] = steps(tmp_path / f"{size}.db", f"SELECT * FROM {name}")
    # Four times as many transitions: four times the steps, and what sorting adds. More stretches: more rows.
    assert cost["more agents"] < 6 * cost["one"]
    assert cost["longer"] < 6 * cost["one"]
    assert cost["broken"] < 2 * cost["one"]


@pytest.mark.parametrize("name", ["timeline_ms", "timeline", "seconds_by_day"])
def test_asking_a_view_for_one_agent_costs_little_more_than_reading_the_transitions(tmp_path: Path, name: str) -> None:
    write_changes(tmp_path / "history.db", agents=50, each=200, stretches=4)
    one = steps(tmp_path / "history.db", f"SELECT * FROM {name} WHERE agent_id = '7'")
    assert one < steps(tmp_path / "history.db", f"SELECT * FROM {name}") / 10


@pytest.mark.parametrize("name", [name for name, query in canned().items() if COMMON in query.sql])
def test_the_cost_of_a_window_does_not_grow_with_the_age_of_the_database(tmp_path: Path, name: str) -> None:
    cost = []
    for days in (2, 20):
        path = tmp_path / f"{days}.db"
        write_changes(path, agents=3, each=DAY * days, stretches=1)
        last = BEGINNING + PAUSE * (DAY * days - 1)
        since, until, instant = (iso_text(at, ZoneInfo("UTC")) for at in (last - 60 * PAUSE, last, last - 1))
        cost.append(steps(path, canned()[name].sql, since=since, until=until, at=instant, status=""))
    assert cost[1] < 1.2 * cost[0]


@pytest.mark.parametrize("query", list(sql_queries()), ids=lambda query: query.panel)
def test_the_cost_of_a_panel_does_not_grow_with_the_age_of_the_database(tmp_path: Path, query: SqlQuery) -> None:
    cost = []
    for days in (2, 20):
        path = tmp_path / f"{days}.db"
        write_changes(path, agents=3, each=DAY * days, stretches=1)
        last = BEGINNING + PAUSE * (DAY * days - 1)
        # A thousand more for what is too little to compare.
        cost.append(1_000 + 100 * steps(path, filled(query.raw, Chosen(last - 60 * PAUSE, last))))
    assert cost[1] < 1.2 * cost[0]
