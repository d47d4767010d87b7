"""`python -m tests.support.screenshots`: takes the pictures of the pages in docs/images anew.

The same people, the same day and the same instant each time: simulated polls go through the real tracker and writer,
and the browser is told the time.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, Route

from exporter.backfill import Past, record_past
from exporter.history.classes import Classes
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import AgentId, EndReason, Poll, Status, TrackerState
from exporter.settings import MetricsSettings
from exporter.simulator.simulation import Simulation, SimulationSettings
from exporter.tracker import Pace, advance
from exporter.web.reports.client import ReportProcess, environment_for_reports
from tests.support.clock import HeldClock
from tests.support.documents import ROOT
from tests.support.metrics import Polled
from tests.support.pages import Pages, browser_pages, screenshot
from tests.support.png import smaller
from tests.support.web import running

FOLDER: Final = ROOT / "docs" / "images"
LARGEST_BYTES: Final = 150_000
ZONE: Final = "Europe/Berlin"
NOW: Final = 1_741_099_525_000
"""Tuesday 2025-03-04, 15:45:25 in Berlin."""

_SEED: Final = 2
"""Everybody's name can be written in the fonts that Debian brings along."""
_AGENTS: Final = 32
_CALLS: Final = 3
"""Each agent's in an hour: few enough that a bar of the timeline can be told from the next."""
_INTERVAL_MS: Final = 30_000
_HOUR_MS: Final = 3_600_000
_SINCE: Final = NOW - 15 * _HOUR_MS
_OFF: Final = (NOW - 3 * _HOUR_MS, NOW - 3 * _HOUR_MS + 1_500_000)
"""When nobody was looking: from 12:45 on, for 25 minutes."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: which page, and how it is looked at."""

    name: str
    path: str
    ready: str
    """A script's expression that is true when everything is there."""
    how: Mapping[str, Any]


_BOARD_IS_THERE: Final = "document.querySelectorAll('.person').length > 0"
_DESKTOP: Final = {"size": (1280, 800), "scheme": "light"}
_PHONE: Final = {"size": (390, 844), "scheme": "dark"}
SHOTS: Final = (
    Shot("board", "/board", _BOARD_IS_THERE, _DESKTOP),
    Shot("board-phone", "/board?team=Sales&team=Support", _BOARD_IS_THERE, _PHONE),
    Shot(
        "timeline",
        f"/timeline?date=2025-03-04&tz={ZONE}&team=Sales&team=Support",
        "document.querySelector('svg') !== null",
        _DESKTOP,
    ),
)


def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser_pages() as pages:
        pages.run(_take(pages, Path(folder)))


async def _take(pages: Pages, folder: Path) -> None:
    polled, db = _story(folder)
    reports = ReportProcess(db, Classes(), clock=polled.clock, environment=environment_for_reports(os.environ))
    async with running(polled, reports=reports, version="0.1.0") as served:
        for shot in SHOTS:
            async with pages.open(timezone=ZONE, **shot.how) as opened:
                await _set_clock(opened.page)
                await opened.page.goto(f"http://127.0.0.1:{served.port}{shot.path}")
                await opened.until(shot.ready)
                path = FOLDER / f"{shot.name}.png"
                await screenshot(opened.page, path)
                size = path.write_bytes(smaller(path.read_bytes()))
                assert opened.complaints == []
                print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB{' - TOO LARGE' * (size > LARGEST_BYTES)}")
    await reports.close()


def _story(folder: Path) -> tuple[Polled, Path]:
    """A day's history on disk, and what is known at its end."""
    polled = Polled(MetricsSettings(names=True), clock=HeldClock(NOW))
    simulation = Simulation(SimulationSettings(seed=_SEED, agents=_AGENTS, calls_per_agent_hour=_CALLS), polled.clock)
    db = folder / "zohovoice.db"
    writer = HistoryWriter.open(db, RunInfo(version="0.1.0", host="picture", boot_id="", pid=1, started=_SINCE))
    past = Past(_SINCE, NOW - 2_000, _INTERVAL_MS, off=(_OFF,))
    try:
        state = record_past(simulation, writer, past, seed=_SEED, progress=lambda done: None)
    finally:
        writer.close(NOW - 1_000, EndReason.SHUTDOWN)
    _show(polled, state)
    return polled, db


def _show(polled: Polled, state: TrackerState) -> None:
    """Publish one poll more, with which nothing changes."""
    readings: dict[AgentId, Status] = {name: tracked.status for name, tracked in state.agents.items()}
    described = {name: tracked.agent for name, tracked in state.agents.items()}
    poll = Poll(NOW - 1_300, NOW - 1_000, readings)
    state, facts = advance(state, poll, described, Pace.of_interval(_INTERVAL_MS))
    polled.instruments.poll_succeeded(poll, facts, state, 0.3)
    polled.publish()


async def _set_clock(page: Page) -> None:
    """Let the browser and the answers to it have the time of the picture."""

    async def with_date(route: Route) -> None:
        answer = await route.fetch()
        date = format_datetime(datetime.fromtimestamp(NOW // 1000, UTC), usegmt=True)
        await route.fulfill(response=answer, headers={**answer.headers, "date": date})

    await page.clock.set_fixed_time(NOW)
    await page.route("**/api/v1/agents", with_date)


if __name__ == "__main__":
    main()
