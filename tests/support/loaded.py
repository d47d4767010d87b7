"""A simulated past in a history, and from there in Prometheus' storage, the way that grafana/README.md describes."""

import subprocess
from pathlib import Path

from exporter.backfill import Past, record_past
from exporter.clock import SystemClock
from exporter.history.reader import HistoryReader
from exporter.history.transfer.progress import SilentProgress
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import EndReason
from exporter.openmetrics.export import Backfill, openmetrics
from exporter.simulator.simulation import Simulation, SimulationSettings
from tests.support.programs import promtool


def load_past(people: SimulationSettings, past: Past, db: Path, folder: Path, *, instance: str) -> None:
    """Record `past` into a new history at `db`, and make blocks of it in `folder`/tsdb, with names and teams."""
    writer = HistoryWriter.open(db, RunInfo(version="0.1.0", host="past", boot_id="", pid=1, started=past.since))
    try:
        record_past(Simulation(people, SystemClock()), writer, past, seed=people.seed, progress=lambda _: None)
    finally:
        writer.close(past.until, EndReason.SHUTDOWN)
    text = folder / "history.om"
    wanted = Backfill(past.since, past.until, past.until, job="zohovoice", instance=instance, names=True)
    with HistoryReader.open(db) as reader, text.open("w", encoding="utf-8") as file:
        file.writelines(openmetrics(reader, wanted, SilentProgress()))
    command = [promtool(), "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "tsdb")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
