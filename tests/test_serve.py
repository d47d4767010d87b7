"""`serve` from end to end: polls over real HTTP, metrics, transitions in SQLite, reports that agree with the truth."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from exporter import app
from exporter.model import BUSY, Agent, Stretch, Tracked, TrackerState
from exporter.settings import ApiSettings, Settings
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import BudgetSpent
from exporter.zoho.throttle import Budget
from tests.support.clock import FakeClock
from tests.support.running import exporting, settings_against, simulated, value


def test_agents_are_polled_exposed_and_recorded(tmp_path: Path) -> None:
    async def run() -> None:
        async with simulated() as simulator, exporting(settings_against(simulator, tmp_path)) as exporter:
            samples = await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            truth = simulator.simulation
            now = truth.statuses_at(truth.now_ms())
            counted = {
                status: value(samples, "zohovoice_agents", status=status)
                for status in ("Available", "On Call", "Offline")
            }
            expected = Counter(now.values())
            assert counted == {status: expected[status] for status in counted}
            assert sum(v for (name, _), v in samples.items() if name == "zohovoice_agents") == 12
            assert value(samples, "zohovoice_history_transitions_written_total") == 12

    asyncio.run(run())
    rows = sqlite3.connect(tmp_path / "zohovoice.db").execute("select count(*) from transitions").fetchone()
    assert rows[0] >= 12
    assert (tmp_path / "zohovoice.db").stat().st_mode & 0o777 == 0o600


def test_a_status_set_at_zoho_is_seen_by_the_next_poll(tmp_path: Path) -> None:
    async def run() -> None:
        async with simulated() as simulator, exporting(settings_against(simulator, tmp_path)) as exporter:
            await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            agent = simulator.simulation.agents[3]
            word = (
                "Busy"
                if simulator.simulation.status_at(agent.agent_id, simulator.simulation.now_ms()) != "Busy"
                else "On Break"
            )
            simulator.simulation.set_status(agent.agent_id, word)
            await exporter.until(
                lambda now: value(now, "zohovoice_agent_status", agent_id=agent.agent_id, status=word) == 1
            )

    asyncio.run(run())


def test_polls_of_a_run_just_before_count_against_the_requests_a_minute() -> None:
    # 100 agents in chunks of 50 are 2 requests a poll; polls each 20 s, the latest sent 10 s ago: those sent 10, 30 and
    # 50 s ago lie within the last minute, so 6 of 8 requests are spent.
    clock = FakeClock()
    now = clock.now_ms()
    stretch = Stretch(0, 1, now - 10_000, now - 9_900, polls=50, interval_ms=20_000, gap_limit_ms=50_000)
    agents = {str(place): Tracked(BUSY, 0, Agent(str(place))) for place in range(100)}
    budget = Budget(clock, 8)
    settings = Settings(api=ApiSettings(max_requests_per_minute=8))
    app.count_earlier_requests(budget, TrackerState(agents, stretch), settings, clock)

    async def run() -> None:
        for _ in range(2):
            async with budget.request(Endpoint.STATUSES, clock.monotonic() + 1):
                pass
        with pytest.raises(BudgetSpent):
            await budget.room(Endpoint.STATUSES, 1, clock.monotonic() + 1)

    asyncio.run(run())
