"""A real Prometheus scrapes a running `serve`: what it then knows is what Zoho's agents do."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.clock import SystemClock
from exporter.simulator.simulation import Presence
from tests.support.faulty import staged
from tests.support.programs import promtool
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.running import RunningExporter, exporting, settings_against, simulated, value

CONFIG = """
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
scrape_configs:
  - job_name: zohovoice
    static_configs:
      - targets: ["{target}"]
"""


@asynccontextmanager
async def prometheus_scraping(exporter: RunningExporter, directory: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes `exporter` twice a second."""
    async with running_prometheus(CONFIG.format(target=exporter.url.removeprefix("http://")), directory) as prometheus:
        yield prometheus


def test_prometheus_knows_the_agents_of_a_running_serve_and_forgets_who_leaves(tmp_path: Path) -> None:
    async def run() -> None:
        leaves = Presence(5, leaves=SystemClock().now_ms() + 30_000)
        async with staged(tmp_path, presences=(leaves,)) as stage, exporting(stage.settings) as exporter:
            await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            async with prometheus_scraping(exporter, tmp_path) as prometheus:
                await prometheus.until("zohovoice_up", {"": 1.0})
                # Everyone is set to one status, so that the right answer stands still while it is asked for.
                truth = stage.simulator.simulation
                for agent in truth.agents:
                    truth.set_status(agent.agent_id, "Busy")
                await prometheus.until('zohovoice_agents{status=~"Busy|Available"}', {"Busy": 12.0, "Available": 0.0})
                await prometheus.until("sum by (status) (zohovoice_agent_status == 1)", {"Busy": 12.0})
                await prometheus.until("count(zohovoice_agent_info)", {"": 12.0})
                await prometheus.until("count(up == 1)", {"": 1.0})
                # Its series end with the next scrape: an instant query would else find them for five minutes more.
                await prometheus.until("sum by (status) (zohovoice_agent_status == 1)", {"Busy": 11.0}, seconds=60)
                await prometheus.until("count(zohovoice_agent_info)", {"": 11.0})

    asyncio.run(run())


def test_promtool_has_nothing_to_say_and_both_formats_say_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            simulated() as simulator,
            exporting(settings_against(simulator, tmp_path, interval_s=30)) as exporter,
        ):
            await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            text = (await exporter.http.get(exporter.url + "/metrics")).text
            accept = {"accept": "application/openmetrics-text;version=1.0.0"}
            openmetrics = (await exporter.http.get(exporter.url + "/metrics", headers=accept)).text

            checked = await asyncio.to_thread(
                subprocess.run, [promtool(), "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
            )
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

            # What counts the scrapes themselves and the process' own time differs from one scrape to the next.
            moving = ("process_", "python_", "zohovoice_exporter_http_requests")
            as_text = Counter(
                (sample.name, tuple(sorted(sample.labels.items())), sample.value)
                for family in parse_text(text)
                for sample in family.samples
                if not sample.name.startswith(moving)
            )
            as_openmetrics = Counter(
                (sample.name, tuple(sorted(sample.labels.items())), sample.value)
                for family in parse_openmetrics(openmetrics)
                for sample in family.samples
                if not sample.name.startswith(moving) and not sample.name.endswith("_created")
            )
            assert as_text == as_openmetrics
            assert len(as_text) > 200

    asyncio.run(run())
