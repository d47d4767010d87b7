"""The whole program against the simulator, in one event loop, over real HTTP on loopback."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporter import app
from exporter.clock import Clock, SystemClock
from exporter.settings import (
    AgentsSettings,
    ApiSettings,
    AuthSettings,
    HistorySettings,
    MetricsSettings,
    PollSettings,
    Settings,
    WebSettings,
)
from exporter.simulator.faults import Switchboard
from exporter.simulator.server import RunningSimulator, run_simulator
from exporter.simulator.settings import DEFAULT_SERVER, ServerSettings
from exporter.simulator.simulation import Simulation, SimulationSettings

_SAMPLE: Final = re.compile(r"^([a-zA-Z_]\w*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(r"\\(.)")

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""The samples of one scrape by name and sorted labels."""


def settings_against(simulator: RunningSimulator, directory: Path, *, interval_s: float = 0.2) -> Settings:
    """Settings of an impatient exporter whose files lie in `directory`; change them with `dataclasses.replace`."""
    credentials = simulator.credentials
    return Settings(
        api=ApiSettings(url=simulator.url, accounts_url=simulator.url, timeout_s=0.5, max_requests_per_minute=100_000),
        auth=AuthSettings(
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            refresh_token=credentials.admin,
            token_cache=directory / "zohovoice-token.json",
        ),
        agents=AgentsSettings(refresh_interval_s=0.5),
        poll=PollSettings(interval_s=interval_s, max_age_s=3 * interval_s),
        history=HistorySettings(db=directory / "zohovoice.db"),
        metrics=MetricsSettings(names=True),
        web=WebSettings(listen_addresses=("127.0.0.1:0",)),
    )


@asynccontextmanager
async def simulated(
    settings: SimulationSettings | None = None, *, server: ServerSettings = DEFAULT_SERVER, clock: Clock | None = None
) -> AsyncIterator[RunningSimulator]:
    """A simulator with people at work now."""
    clock = clock or SystemClock()
    settings = settings or SimulationSettings(agents=12, shifts_around=clock.now_ms())
    async with run_simulator(Simulation(settings, clock), Switchboard(), settings=server) as simulator:
        yield simulator


@dataclass(frozen=True, slots=True)
class RunningExporter:
    """An exporter that serves."""

    url: str
    settings: Settings
    http: httpx.AsyncClient

    async def text(self, path: str = "/metrics") -> str:
        """The body of a GET."""
        return (await self.http.get(self.url + path)).text

    async def samples(self) -> Samples:
        """What a scrape says."""
        return read_samples(await self.text())

    async def until(self, holds: Callable[[Samples], bool], *, seconds: float = 10.0, pause_s: float = 0.02) -> Samples:
        """Scrape until `holds` says yes; fails after `seconds`, showing the last scrape."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds
        while True:
            samples = await self.samples()
            if holds(samples):
                return samples
            assert loop.time() < give_up, f"this never came to be: {samples}"
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def exporting(
    settings: Settings,
    *,
    clock: Clock | None = None,
    verify: ssl.SSLContext | None = None,
    auth: tuple[str, str] | None = None,
    reread: Callable[[], Settings] | None = None,
    reload_asked: asyncio.Event | None = None,
) -> AsyncIterator[RunningExporter]:
    """`serve` as a task; stopped in good order at the end of the context. Its client uses `verify` and `auth`.

    For `reread` and `reload_asked` see `exporter.app.serve`.
    """
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    program = app.serve(
        settings, stop, clock=clock, on_ready=ready.set_result, reread=reread, reload_asked=reload_asked
    )
    serving = asyncio.ensure_future(program)
    await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    (url,) = ready.result()
    # Without certificates: reading the system's takes longer than many a test.
    verify = verify or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with httpx.AsyncClient(trust_env=False, verify=verify, auth=auth) as http:
        try:
            yield RunningExporter(url, settings, http)
        finally:
            stop.set()
            await serving


def read_samples(text: str) -> Samples:
    """The samples of a text exposition of ours; checks nothing, in a tenth of the time that a true parser takes."""
    return {(name, _labels(labels)): float(number) for name, labels, number in _SAMPLE.findall(text)}


@lru_cache(maxsize=10_000)
def _labels(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, _unescaped(value)) for key, value in _LABEL.findall(text)))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text


def parse_samples(text: str) -> Samples:
    """The samples of a text exposition, by the parser of prometheus-client."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """The value of one series, None if it is not there."""
    return samples.get((name, tuple(sorted(labels.items()))))


def with_interval(settings: Settings, interval_s: float) -> Settings:
    """The same settings with another poll interval and the maximal age that belongs to it."""
    return replace(settings, poll=PollSettings(interval_s=interval_s, max_age_s=3 * interval_s))
