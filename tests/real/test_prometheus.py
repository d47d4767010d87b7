"""A real Prometheus scrapes a running `serve`: what it then knows is what Zoho's agents do."""

import asyncio
import contextlib
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.clock import SystemClock
from exporter.simulator.simulation import Presence
from tests.support.faulty import staged
from tests.support.programs import program, promtool
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def prometheus_scraping(exporter: RunningExporter, directory: Path) -> AsyncIterator["Prometheus"]:
    """A Prometheus with an empty database that scrapes `exporter` twice a second."""
    config = directory / "prometheus.yml"
    config.write_text(CONFIG.format(target=exporter.url.removeprefix("http://")))
    port = free_port()
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus", "prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--storage.tsdb.retention.time=1h",
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                yield Prometheus(http)
        finally:
            process.terminate()
            process.wait(10)


class Prometheus:
    """Its query API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The vector that an instant query gives; empty while Prometheus is not up yet."""
        with contextlib.suppress(httpx.TransportError):
            answer = await self._http.get("/api/v1/query", params={"query": expression})
            if answer.status_code == 200:
                result: list[dict[str, Any]] = answer.json()["data"]["result"]
                return result
        return []

    async def until(self, expression: str, wanted: object, *, seconds: float = 30.0) -> None:
        """Ask until the answer, as {status label: number}, is `wanted`."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds
        while True:
            answer = await self.query(expression)
            numbers = {row["metric"].get("status", ""): float(row["value"][1]) for row in answer}
            if numbers == wanted:
                return
            assert loop.time() < give_up, f"{expression} is {numbers}, not {wanted}"
            await asyncio.sleep(0.2)


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
