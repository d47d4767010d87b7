"""The compose file gives a new Prometheus the past: its two commands, run in turn, and a real Prometheus after them."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from exporter.backfill import Past, record_past
from exporter.clock import SystemClock
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import EndReason
from exporter.simulator.simulation import Simulation, SimulationSettings
from tests.support.documents import ROOT
from tests.support.programs import promtool
from tests.support.prometheus import running_prometheus

DEPLOY = ROOT / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))["services"]
AGENTS = 5
HOUR_MS = 3_600_000


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """The two volumes as folders; in `data` is the history of a demo of a day, up to now."""
    demo = tmp_path / "data" / "demo"
    demo.mkdir(parents=True)
    (tmp_path / "tsdb").mkdir()
    now = SystemClock().now_ms()
    past = Past(now - 24 * HOUR_MS, now, 60_000)
    run = RunInfo(version="0.1.0", host="demo", boot_id="", pid=1, started=past.since)
    writer = HistoryWriter.open(demo / "zohovoice.db", run)
    try:
        simulation = Simulation(SimulationSettings(agents=AGENTS), SystemClock())
        record_past(simulation, writer, past, seed=1, progress=lambda _: None)
    finally:
        writer.close(past.until, EndReason.SHUTDOWN)
    return tmp_path


def up(service: str, volumes: Path) -> None:
    """Run a service's command as the compose file has it, with folders in place of its volumes, to its good end."""

    def here(text: str) -> str:
        # /prometheus is the place of the volume; an image's name has it too, but no command.
        return text.replace("/data", str(volumes / "data")).replace(" /prometheus", f" {volumes / 'tsdb'}")

    what = SERVICES[service]
    command = [here(part) for part in (*what["entrypoint"], *what["command"])]
    places = (Path(sys.executable).parent, Path(promtool()).parent)
    env = os.environ | {"PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]])}
    env |= {name: here(value) for name, value in what.get("environment", {}).items()}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def blocks(volumes: Path) -> set[str]:
    return {place.name for place in (volumes / "tsdb").iterdir()}


def test_a_new_prometheus_shows_the_past_with_the_labels_of_what_it_scrapes_and_is_given_it_once(volumes: Path) -> None:
    up("past", volumes)
    up("blocks", volumes)
    given = blocks(volumes)
    assert given
    assert (volumes / "data" / "past.om").read_bytes() == b""

    async def check() -> None:
        config = (DEPLOY / "compose" / "prometheus.yml").read_text("utf-8").replace(": 15s", ": 1s")
        shutil.copytree(ROOT / "grafana" / "prometheus", volumes / "rules")
        async with running_prometheus(config, volumes, "--storage.tsdb.retention.time=90d") as prometheus:
            await prometheus.until("count(up)", {"": 1.0})
            (target,) = await prometheus.query("up")
            noon = time.time() - 12 * 3_600
            agents = await prometheus.query("sum by (job, instance) (zohovoice_agents)", at=noon)
            assert [(row["metric"], float(row["value"][1])) for row in agents] == [
                ({name: target["metric"][name] for name in ("job", "instance")}, AGENTS)
            ]
            named = await prometheus.query("zohovoice_agent_info", at=noon)
            assert len(named) == AGENTS
            assert all(row["metric"]["name"] for row in named)

    asyncio.run(check())
    after = blocks(volumes)
    assert after >= given | {"wal"}
    up("past", volumes)
    up("blocks", volumes)
    assert blocks(volumes) == after
    # Also if the text is there again.
    (volumes / "data" / "past.om").unlink()
    up("past", volumes)
    assert (volumes / "data" / "past.om").stat().st_size > 0
    up("blocks", volumes)
    assert blocks(volumes) == after


def test_what_cannot_be_exported_or_made_into_blocks_keeps_nobody_from_the_present(volumes: Path) -> None:
    text = volumes / "data" / "past.om"
    text.write_text("zohovoice_up 1 1741099525\n", "utf-8")  # without its end, as after a crash
    up("blocks", volumes)
    assert text.read_bytes() == b""
    text.unlink()
    (volumes / "data" / "demo" / "zohovoice.db").unlink()
    up("past", volumes)
    assert not text.exists()
    up("blocks", volumes)
    assert blocks(volumes) == set()
