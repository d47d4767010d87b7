"""What a real Prometheus knows after a scrape is what /api/v1/agents says."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

from exporter.clock import SystemClock
from exporter.simulator.simulation import SimulationSettings
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.running import exporting, settings_against, simulated, value

CONFIG = """
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs:
  - job_name: zohovoice
    static_configs: [{{targets: ["{target}"]}}]
"""


def test_prometheus_knows_what_the_api_says(tmp_path: Path) -> None:
    async def run() -> None:
        settings = SimulationSettings(agents=30, shifts_around=SystemClock().now_ms())
        async with (
            simulated(settings) as simulator,
            # One poll is all there is, so that both tell of the same one.
            exporting(settings_against(simulator, tmp_path, interval_s=300)) as exporter,
        ):
            await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            target = exporter.url.removeprefix("http://")
            async with running_prometheus(CONFIG.format(target=target), tmp_path) as prometheus:
                await prometheus.until("zohovoice_up", {"": 1.0})
                said = (await exporter.http.get(f"{exporter.url}/api/v1/agents")).json()
                await check(prometheus, said)

    asyncio.run(run())


async def check(prometheus: Prometheus, said: dict[str, Any]) -> None:
    rows = said["rows"]
    assert len(rows) == said["meta"]["total"] == 30

    async def by(expression: str, *labels: str) -> dict[tuple[str, ...], float]:
        found = await prometheus.query(expression)
        return {tuple(row["metric"].get(label, "") for label in labels): float(row["value"][1]) for row in found}

    ones = await by("zohovoice_agent_status == 1", "agent_id", "status")
    assert set(ones) == {(row["agent_id"], row["status"]) for row in rows}
    since = await by("zohovoice_agent_status_since_timestamp_seconds", "agent_id")
    assert since == {(row["agent_id"],): _seconds(row["since"]) for row in rows}
    infos = await by("zohovoice_agent_info", "agent_id", "name", "team")
    assert set(infos) == {(row["agent_id"], row["name"], row["team"]) for row in rows}
    counts = await by("zohovoice_agents", "status")
    assert counts == {(entry["status"],): entry["agents"] for entry in said["statuses"]}
    teams = await by("count by (team) (zohovoice_team_agents)", "team")
    assert {team for (team,) in teams} - {""} == set(said["teams"])
    in_teams = await by("sum by (team) (zohovoice_team_agents)", "team")
    assert in_teams == {(team,): sum(row["team"] == team for row in rows) for (team,) in in_teams}
    last = await by("zohovoice_last_poll_success_timestamp_seconds")
    assert last == {(): _seconds(said["meta"]["at"])}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
