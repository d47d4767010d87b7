"""An installation whose settings stand in files, to be changed while the exporter runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from exporter.cli.build import rereading, settings_from
from exporter.cli.values import gather
from exporter.settings import Settings
from exporter.simulator.server import RunningSimulator
from tests.support.cli import environment
from tests.support.running import RunningExporter, Samples, exporting, simulated, value

GOOD = "zohovoice_exporter_config_last_reload_successful"
AT = "zohovoice_exporter_config_last_reload_success_timestamp_seconds"
INTERVAL = "zohovoice_poll_interval_seconds"
POLLS = "zohovoice_polls_total"
UP = "zohovoice_up"


class Site:
    """An installation: a simulator, and the files of an exporter in a folder."""

    def __init__(self, simulator: RunningSimulator, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self.asked = asyncio.Event()
        self.ids = [agent.agent_id for agent in simulator.simulation.agents]
        self.config = folder / "zohovoice.yml"
        self.agents = folder / "agents.csv"
        self.web = folder / "web.yml"
        self.secret = folder / "refresh-token"
        self.secret.touch(0o600)
        self.secret.write_text(simulator.credentials.admin.reveal())
        self.settings: dict[str, Any] = {
            "poll.interval": "150ms",
            "poll.max-age": "20s",
            "agents.file": str(self.agents),
            "auth.refresh-token-file": str(self.secret),
            "api.timeout": "500ms",
            "api.max-requests-per-minute": 100_000,
            "web.listen-address": "127.0.0.1:0",
            "web.config.file": str(self.web),
            "web.enable-lifecycle": "true",
            "db": str(folder / "zohovoice.db"),
        }
        self.write_config()
        self.write_agents(*self.ids[:3])
        self.web.write_text("")

    @property
    def environment(self) -> dict[str, str]:
        known = environment(self.simulator)
        del known["ZOHOVOICE_AUTH_REFRESH_TOKEN"]
        return known

    def write_config(self, **changed: object) -> None:
        """Write the file with these settings; `__` stands for a dot, `_` for a hyphen, None for a key left out."""
        for name, setting in changed.items():
            self.settings[name.replace("__", ".").replace("_", "-")] = setting
        kept = {name: setting for name, setting in self.settings.items() if setting is not None}
        self.config.write_text(yaml.safe_dump(kept))

    def write_agents(self, *ids: str) -> None:
        self.agents.write_text("id,name\n" + "".join(f"{one},Agent {one[-2:]}\n" for one in ids))

    @asynccontextmanager
    async def running(
        self, wrapped: Callable[[Callable[[], Settings]], Callable[[], Settings]] = lambda reread: reread
    ) -> AsyncIterator[RunningExporter]:
        """The exporter, after its first good poll; `wrapped` may put itself around what reads the settings anew."""
        values = gather({"config.file": (str(self.config),)}, self.environment)
        settings = settings_from(values)
        reread = wrapped(rereading(values, settings))
        async with exporting(settings, reread=reread, reload_asked=self.asked) as exporter:
            await exporter.until(lambda now: value(now, UP) == 1)
            yield exporter


Scene = Callable[[Site], Awaitable[None]]


def on_site(folder: Path, scene: Scene) -> None:
    async def run() -> None:
        async with simulated() as simulator:
            await scene(Site(simulator, folder))

    asyncio.run(run())


async def reload(exporter: RunningExporter) -> httpx.Response:
    return await exporter.http.post(exporter.url + "/-/reload", timeout=20)


def tracked(samples: Samples) -> set[str]:
    """The agents who have series."""
    return {dict(labels)["agent_id"] for name, labels in samples if name == "zohovoice_agent_status"}


def polls(more_than: float) -> Callable[[Samples], bool]:
    return lambda now: (value(now, POLLS) or 0) > more_than
