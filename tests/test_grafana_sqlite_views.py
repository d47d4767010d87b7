"""The dashboard "History from SQLite" and the documented views: which panel asks one, and why not where none does."""

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.history.views import VIEWS
from exporter.model import BUSY
from tests.support import minutes
from tests.support.minutes import at, polled
from tests.support.sample_history import write_sample_history
from tests.support.sql_costs import BEGINNING, DAY, PAUSE, steps, write_changes
from tests.support.sqlite_panels import Chosen, answer, filled, sql_queries, variable
from tests.support.two_sources import DAY_MS, rows, write

_SORTS: Final = "the view sorts every transition that there is, whatever the time range"
_READS: Final = "a condition on `seen` of the view reads every transition that there is"
_STRETCHES: Final = "no view has stretches of coverage, nor why they ended"
_LEFT: Final = "`now` leaves out who is tracked no more, and `timeline` sorts every transition that there is"
EXCEPTIONS: Final[Mapping[str, str]] = {
    "Age of the latest poll": "`now` has no row while nobody is tracked, and polls go on",
    "Coverage": _SORTS,
    "Status of each agent": _SORTS,
    "When the recorder was looking": _STRETCHES,
    "Time in status, by agent": _SORTS,
    "Time in status, by day": f"{_SORTS}, and knows whole days only",
    "Long breaks": _SORTS,
    "Gaps, and why": _STRETCHES,
    "Transitions per hour": _READS,
    "Who changed when": _READS,
    "$team": _LEFT,
    "$agent": _LEFT,
    "$status": "no view has the words that nobody was in yet",
}
"""Panels and variables that read tables (docs/database.md) in place of views, with the reason."""

_INSIDE: Final = 'start < $__to AND "end" > $__from'
_LENGTH: Final = 'min("end", $__to) - max(start, $__from)'
BY_VIEW: Final[Mapping[str, str]] = {
    "Coverage": f"""SELECT total({_LENGTH}) FILTER (WHERE kind = 'reported') / total({_LENGTH}) AS coverage
        FROM timeline_ms WHERE {_INSIDE}""",
    "Status of each agent": """SELECT max(start, $__from / 1000.0) AS time, name AS agent, status AS "Value"
        FROM timeline WHERE start < $__to / 1000.0 AND "end" > $__from / 1000.0""",
    "Time in status, by agent": f"""SELECT
          total({_LENGTH}) FILTER (WHERE status = 'On Call') / 1000.0 AS "On Call",
          total({_LENGTH}) FILTER (WHERE status = 'unknown') / 1000.0 AS "unknown",
          total({_LENGTH}) / 1000.0 AS tracked
        FROM timeline_ms WHERE {_INSIDE} GROUP BY agent_id""",
    "Time in status, by day": """SELECT
          total(duration_seconds) FILTER (WHERE status = 'On Call') AS "On Call",
          total(duration_seconds) FILTER (WHERE status = 'unknown') AS "unknown"
        FROM seconds_by_day WHERE day = date($__from / 1000, 'unixepoch') GROUP BY day""",
    "Long breaks": """SELECT name AS agent, team, start, "end", duration_seconds AS duration
        FROM timeline WHERE start < $__to / 1000.0 AND "end" > $__from / 1000.0
          AND status IN (${status:sqlstring}) AND duration_seconds > ${minutes} * 60""",
    "Transitions per hour": """SELECT seen / 3600000 * 3600.0 AS time, count(*) AS transitions
        FROM transitions WHERE seen >= $__from AND seen < $__to AND from_status IS NOT NULL GROUP BY 1""",
    "Who changed when": """SELECT not_before / 1000.0 AS not_before, seen / 1000.0 AS seen, from_status, to_status
        FROM transitions WHERE seen >= $__from AND seen < $__to""",
}
"""What those would be that a view can answer, but for the cost; the last column has a value where there is a row."""

TUESDAY: Final = 1_741_046_400_000
"""2025-03-04T00:00Z: the day of the sample."""


def _asked() -> dict[str, str]:
    panels = {query.panel: query.raw for query in sql_queries()}
    return panels | {f"${name}": variable(name)["query"] for name in ("team", "agent", "status")}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_history(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("name", _asked())
def test_a_panel_asks_views_alone_or_reads_tables_for_a_reason(sample: Path, name: str) -> None:
    with closing(sqlite3.connect(sample)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    read = set(re.findall(r"\b(?:FROM|JOIN) (\w+)", _asked()[name]))
    if name in EXCEPTIONS:
        assert read & tables, "the exception is no longer needed"
    else:
        assert read <= {view for view, _ in VIEWS}


def test_an_exception_is_for_a_panel_or_a_variable_that_exists() -> None:
    assert EXCEPTIONS.keys() <= _asked().keys()
    assert {name for name, reason in EXCEPTIONS.items() if reason.startswith((_SORTS, _READS))} == BY_VIEW.keys()


@pytest.mark.parametrize("panel", BY_VIEW)
def test_a_panel_that_reads_tables_says_what_the_view_says(sample: Path, panel: str) -> None:
    # "Who changed when" ends with the thousandth row.
    since = TUESDAY + (10 * 3_600_000 if panel == "Who changed when" else 0)
    chosen, now = Chosen(since, TUESDAY + DAY_MS, minutes=10), TUESDAY + 2 * DAY_MS
    expected = rows(sample, filled(BY_VIEW[panel], chosen), now)
    columns = list(expected[0])
    found = [row for row in answer(sample, panel, chosen, now) if row[columns[-1]]]
    assert len(found) < 1_000
    assert _comparable(found, columns) == _comparable(expected, columns)


def _comparable(found: list[dict[str, Any]], columns: list[str]) -> list[str]:
    """Sorted, to the millisecond."""
    return sorted(
        repr([round(row[name], 6) if isinstance(row[name], float) else row[name] for name in columns]) for row in found
    )


@pytest.mark.parametrize("panel", BY_VIEW)
def test_what_the_view_costs_grows_with_the_age_of_the_database(tmp_path: Path, panel: str) -> None:
    """That it does not for any panel is in test_sql_costs."""
    cost = []
    for days in (2, 20):
        path = tmp_path / f"{days}.db"
        write_changes(path, agents=3, each=DAY * days, stretches=1)
        last = BEGINNING + PAUSE * (DAY * days - 1)
        cost.append(steps(path, filled(BY_VIEW[panel], Chosen(last - 60 * PAUSE, last))))
    assert cost[1] > 4 * cost[0], "the exception may be no longer needed"


def test_the_latest_poll_has_an_age_while_nobody_is_tracked(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    write(path, polled({"1": [("08:00", BUSY), ("08:02", None)]}, "08:00", "08:04"), minutes.PACE)
    assert rows(path, "SELECT max(evidence_age_seconds) AS age FROM now", at("08:05")) == [{"age": None}]
    assert answer(path, "Age of the latest poll", Chosen(0, 1), at("08:05")) == [{"age": 60.0}]
