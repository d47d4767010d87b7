"""The dashboard "History from SQLite" on the database of a demo that runs: every panel and every choice has rows."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.children import child
from tests.support.dressing import unnamed
from tests.support.grafana import panel
from tests.support.sqlite_panels import NAME, Chosen, answer, filled, sql_queries, variable
from tests.support.two_sources import DAY_MS, rows

_STATUSES: Final = ("Available", "On Call", "Busy", "On Break", "Offline", "other", "unknown")
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "Agents by status now": _STATUSES,
    "Age of the latest poll": ("age",),
    "Coverage": ("coverage",),
    "Status of each agent": ("time", "agent", "Value"),
    "When the recorder was looking": ("time", "the recorder"),
    "Time in status, by agent": ("agent", "team", *_STATUSES, "tracked", "coverage"),
    "Time in status, by day": ("time", *_STATUSES),
    "Long breaks": ("agent", "team", "start", "end", "duration", "seen"),
    "Gaps, and why": ("source", "start", "end", "duration", "reason"),
    "Transitions per hour": ("time", "transitions", "minutes without polls"),
    "Who changed when": ("not_before", "seen", "agent", "team", "from_status", "to_status", "uncertainty"),
}
AGENTS: Final = 8

Answers = Mapping[str, list[dict[str, Any]]]


async def _asked(folder: Path) -> tuple[Answers, Answers]:
    """What panels and variables answer while the demo runs, with "All" chosen."""
    options = (f"--directory={folder}", f"--agents={AGENTS}", "--days=1", "--web.listen-address=127.0.0.1:0")
    path = folder / "zohovoice.db"
    async with child("demo", *options) as demo:
        await demo.until_logged("Three reports to try", stream="out")
        # Two days: one before the demo's past, and the demo's.
        chosen = Chosen(_now() - 2 * DAY_MS, _now(), minutes=5)
        panels = {
            query.panel: await asyncio.to_thread(answer, path, query.panel, chosen, _now()) for query in sql_queries()
        }
        variables = {
            name: rows(path, filled(variable(name)["query"], chosen), _now()) for name in ("team", "agent", "status")
        }
    return panels, variables


def _now() -> int:
    return round(time.time() * 1000)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, Answers]:
    return asyncio.run(_asked(tmp_path_factory.mktemp("demo") / "demo"))


def test_every_panel_of_the_dashboard_is_asked() -> None:
    assert set(COLUMNS) == {query.panel for query in sql_queries()}


@pytest.mark.parametrize("title", COLUMNS)
def test_a_panel_answers_with_rows_of_its_columns(demo: tuple[Answers, Answers], title: str) -> None:
    found = demo[0][title]
    assert found
    assert {tuple(row) for row in found} == {COLUMNS[title]}
    told = [row[column] for row in found for column in COLUMNS[title] if column not in ("time", "agent", "team")]
    assert any(value is not None for value in told)


@pytest.mark.parametrize("title", COLUMNS)
def test_what_columns_and_overrides_name_is_there(title: str) -> None:
    assert unnamed(panel(NAME, title), set(COLUMNS[title])) == []


def test_a_demo_has_all_its_agents_and_a_day_that_is_known(demo: tuple[Answers, Answers]) -> None:
    panels, _ = demo
    assert sum(panels["Agents by status now"][0].values()) == AGENTS
    assert len({row["agent"] for row in panels["Status of each agent"]}) == AGENTS
    assert len(panels["Time in status, by agent"]) == AGENTS
    # A poll may have come since the test looked at its clock.
    assert -5 < panels["Age of the latest poll"][0]["age"] < 60
    assert panels["Coverage"][0]["coverage"] > 0.9
    looking = [row["the recorder"] for row in panels["When the recorder was looking"]]
    assert looking[0] == "not recorded yet"
    assert "looking" in looking


def test_a_variable_offers_what_the_panels_show(demo: tuple[Answers, Answers]) -> None:
    panels, variables = demo
    times = panels["Time in status, by agent"]
    assert {row["team"] for row in variables["team"]} == {row["team"] for row in times if row["team"]} != set()
    assert {row["__text"] for row in variables["agent"]} == {row["agent"] for row in times}
    assert {row["word"] for row in variables["status"]} >= set(_STATUSES[:5])
