"""What views and canned queries cost, in steps of the virtual machine of SQLite: the same number on every machine."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.history.views import VIEWS
from exporter.history.window import iso_text
from tests.support.datasette import COMMON, canned
from tests.support.sql_costs import BEGINNING, DAY, PAUSE, steps, write_changes
from tests.support.sqlite_panels import Chosen, SqlQuery, filled, sql_queries


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
