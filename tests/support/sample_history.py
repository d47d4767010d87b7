"""The history that the examples of the documentation are made from: the same on every machine, whatever the hour."""

from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from exporter.backfill import Past, record_past
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import EndReason
from exporter.simulator.simulation import Simulation, SimulationSettings
from tests.support.clock import FakeClock

ZONE: Final = "Europe/Berlin"
FILE_NAME: Final = "zohovoice.db"
SEED: Final = 94
AGENTS: Final = 16
_INTERVAL_MS: Final = 30_000
_SPELLS: Final = (
    # (from, to, why it ended): two runs of the exporter, 20 minutes without one, and a power cut at the end.
    ("2025-03-04T08:30", "2025-03-04T11:00", EndReason.SHUTDOWN),
    ("2025-03-04T11:20", "2025-03-04T13:00", EndReason.CRASH),
)
"""A Tuesday."""


def write_sample_history(folder: Path) -> Path:
    """Write `zohovoice.db` into `folder` by running a simulated morning through the tracker and the writer."""
    path = folder / FILE_NAME
    simulation = Simulation(SimulationSettings(seed=SEED, agents=AGENTS, timezone=ZONE), FakeClock())
    for number, (since, until, reason) in enumerate(_SPELLS):
        past = Past(_instant(since), _instant(until), _INTERVAL_MS)
        run = RunInfo(version="0.1.0", host="exporter.example.com", boot_id="", pid=4711, started=past.since)
        writer = HistoryWriter.open(path, run)
        try:
            record_past(simulation, writer, past, seed=number, progress=lambda _: None)
        finally:
            writer.close(past.until, reason)
    return path


def _instant(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp() * 1000)
