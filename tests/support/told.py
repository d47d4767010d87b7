"""Exporters to which everything happens that a metric can tell of, and a real Prometheus that saw it.

One has names and teams, another has neither, and a third one goes away for good. It takes about a minute, and a full
minute of the clock is among it: Prometheus' subqueries look at whole minutes only.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from exporter.clock import SystemClock
from exporter.errors import UsageError
from exporter.settings import AgentsSettings, MetricsSettings, PollSettings, Settings
from exporter.simulator.faults import Fault, FaultKind
from exporter.simulator.server import RunningSimulator
from exporter.simulator.simulation import Presence, SimulationSettings
from tests.support.documents import ROOT
from tests.support.panels import Labels, Looking
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.running import RunningExporter, exporting, settings_against, simulated, value

RULE_FILES: Final = ROOT / "grafana" / "prometheus"
JOB: Final = "zohovoice"
_CONFIG: Final = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yml"]
scrape_configs:
  - job_name: zohovoice
    static_configs: [{{targets: [{targets}]}}]
"""
_INTERVAL_S: Final = 0.25
_AGENTS: Final = 26
"""The teams of so many are two, and no more than two fit a page of the roster."""
_HERO: Final = 14
"""The position of the agent to whom everything happens, and who is chosen in the variable: in the second team."""
_TROUBLE_S: Final = 35
"""More than all the trouble takes."""


@dataclass(frozen=True, slots=True)
class Told:
    """Prometheus, after everything has happened."""

    prometheus: Prometheus
    runner: asyncio.Runner
    everything: Looking
    """At the end of the story, when the last polls were good, with all at "All"."""
    chosen: Labels
    """A value for each variable, for which there is something to see."""
    gone: frozenset[str]
    """The agents of the exporter that went away."""
    said: dict[str, dict[str, Any]]
    """What /api/v1/agents of each instance said at that moment."""

    def ask(self, path: str, parameters: Labels) -> Any:
        """The `data` of the API's answer. AssertionError for an error or a warning."""
        return self.runner.run(self.prometheus.asked(path, parameters))


@contextmanager
def told(directory: Path) -> Iterator[Told]:
    """Let it all happen, and end the exporters; Prometheus stays. Takes a minute."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            yield runner.run(_happened(directory, runner, stack))
        finally:
            runner.run(stack.aclose())


async def _happened(directory: Path, runner: asyncio.Runner, stack: AsyncExitStack) -> Told:
    async with _Stage.open(directory) as stage:
        targets = ", ".join(f'"{_instance(each)}"' for each in (*stage.exporters, stage.third))
        config = _CONFIG.format(rules=RULE_FILES, targets=targets)
        prometheus = await stack.enter_async_context(
            running_prometheus(config, directory, "--storage.tsdb.retention.time=100y")
        )
        await prometheus.until("sum(zohovoice_up)", {"": 3.0})
        end, said = await _Story(stage, prometheus).played()
    hero = stage.simulator.simulation.agents[_HERO]
    chosen = {"job": JOB, "instance": _instance(stage.exporters[0]), "team": hero.team, "agent": hero.agent_id}
    return Told(prometheus, runner, Looking(end), chosen, stage.others_agents, said)


@dataclass(frozen=True, slots=True)
class _Stage:
    """The exporter to which everything happens, its simulator, and the other exporter, whose agents have no names."""

    simulator: RunningSimulator
    exporters: tuple[RunningExporter, RunningExporter]
    third: RunningExporter
    third_ends: AsyncExitStack
    others_agents: frozenset[str]
    """Those of the third exporter."""
    reload_asked: asyncio.Event
    mistakes: list[str]
    """While there are any, the settings cannot be read anew."""

    @staticmethod
    @asynccontextmanager
    async def open(directory: Path) -> "AsyncIterator[_Stage]":
        now = SystemClock().now_ms()
        leaves = Presence(_AGENTS - 1, leaves=now + 10_000)
        everyday = SimulationSettings(agents=_AGENTS, shifts_around=now, calls_per_agent_hour=0, presences=(leaves,))
        reload_asked = asyncio.Event()
        mistakes: list[str] = []
        async with (
            simulated(everyday) as simulator,
            simulated(SimulationSettings(seed=2, agents=5, shifts_around=now, calls_per_agent_hour=0)) as other,
            simulated(SimulationSettings(seed=3, agents=3, shifts_around=now, calls_per_agent_hour=0)) as another,
            AsyncExitStack() as third_ends,
        ):
            third = await third_ends.enter_async_context(
                exporting(_settings(another, directory / "third", MetricsSettings()))
            )
            first = _settings(simulator, directory / "first", MetricsSettings(names=True, last_seen=True))
            second = _settings(other, directory / "second", MetricsSettings())

            def reread() -> Settings:
                if mistakes:
                    raise UsageError(mistakes[0])
                return first

            async with (
                exporting(first, reread=reread, reload_asked=reload_asked) as named,
                exporting(second) as nameless,
            ):
                for exporter in (named, nameless, third):
                    await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
                agents = frozenset(agent.agent_id for agent in another.simulation.agents)
                yield _Stage(simulator, (named, nameless), third, third_ends, agents, reload_asked, mistakes)


def _settings(simulator: RunningSimulator, directory: Path, metrics: MetricsSettings) -> Settings:
    directory.mkdir()
    return replace(
        settings_against(simulator, directory, interval_s=_INTERVAL_S),
        poll=PollSettings(_INTERVAL_S, max_age_s=2.5),
        agents=AgentsSettings(refresh_interval_s=0.5),
        metrics=metrics,
    )


class _Story:
    def __init__(self, stage: _Stage, prometheus: Prometheus) -> None:
        self._stage = stage
        self._simulation = stage.simulator.simulation
        self._faults = stage.simulator.switchboard
        self._prometheus = prometheus
        self._exporter = stage.exporters[0]
        self._hero = self._simulation.agents[_HERO].agent_id

    async def played(self) -> tuple[float, dict[str, dict[str, Any]]]:
        """Let everything happen. Returns the moment at which to look, and what the API of each exporter said then."""
        self._become("On Break")
        left_s = 60 - time.time() % 60
        if left_s < _TROUBLE_S:
            await self._full_minute()
            await self._trouble()
        else:
            await self._trouble()
            await self._full_minute()
        self._become("Available")
        await self._prometheus.until(f'zohovoice_agent_status{{agent_id="{self._hero}"}} == 1', {"Available": 1.0})
        return await self._quiet_moment()

    async def _full_minute(self) -> None:
        """A minute of the clock ends while all is well, with two scrapes after. Then the third exporter goes away."""
        while True:
            minute = time.time() // 60 * 60 + 60
            await asyncio.sleep(minute - time.time() + 2.5)
            working = await self._prometheus.query("count(zohovoice_up == 1)", at=minute)
            if working and working[0]["value"][1] == "3":
                break  # and else polls or scrapes came late on a busy machine, just then
        await self._stage.third_ends.aclose()
        await self._prometheus.until("count(up == 0)", {"": 1.0})

    async def _trouble(self) -> None:
        for fault in (Fault(FaultKind.RESET), Fault(FaultKind.SLOW, seconds=1)):
            await self._failing("statuses", fault)
        await self._failing("users", Fault(FaultKind.SERVER_ERROR), "zohovoice_roster_refresh_failures_total")
        await self._words()
        await self._token()
        await self._locked_database()
        await self._throttled()
        await self._blind()
        await self._reloads()
        self._become("On Break")

    def _become(self, word: str) -> None:
        self._simulation.set_status(self._hero, word)

    async def _failing(self, where: str, fault: Fault, counter: str = "zohovoice_poll_failures_total") -> None:
        """A fault, until it is counted; then a good poll, so that the next one is told apart."""
        before = await self._count(counter)
        self._faults.set(where, fault)
        await self._until(counter, before + 1)
        self._faults.clear()
        await self._exporter.until(lambda now: value(now, "zohovoice_up") == 1)

    async def _words(self) -> None:
        """A status that Zoho adds, and agents of whom it says nothing, for two scrapes each; every documented one."""
        for word in ("On Call", "Busy", "Offline", "Available"):
            self._become(word)
            await self._prometheus.until(f'zohovoice_agent_status{{agent_id="{self._hero}"}} == 1', {word: 1.0})
        for word, fault in (
            ("Wrap Up", Fault(FaultKind.UNKNOWN_STATUS, agent=self._hero, text="Wrap Up")),
            ("unknown", Fault(FaultKind.ERROR_ROWS, agent=self._hero)),
        ):
            self._faults.set("statuses", fault)
            await self._prometheus.until(f'zohovoice_agent_status{{agent_id="{self._hero}"}} == 1', {word: 1.0})
            await asyncio.sleep(1.2)
        self._faults.clear()

    async def _token(self) -> None:
        """The access token is refused, and attempts to get another one fail."""
        self._faults.set("token", Fault(FaultKind.SERVER_ERROR))
        await self._failing("statuses", Fault(FaultKind.EXPIRED_TOKEN), "zohovoice_oauth_token_refresh_failures_total")

    async def _locked_database(self) -> None:
        """Another program holds the database while a status changes."""
        failures = "zohovoice_history_write_failures_total"
        before = await self._count(failures)
        freed = threading.Event()
        holding = asyncio.create_task(asyncio.to_thread(_hold, self._exporter.settings.history.db, freed))
        try:
            self._become("Busy")
            await self._until(failures, before + 1, seconds=20)
            await self._prometheus.until("max(zohovoice_history_pending_transitions) > bool 0", {"": 1.0})
        finally:
            freed.set()
            await holding
        await self._exporter.until(lambda now: value(now, "zohovoice_history_pending_transitions") == 0, seconds=40)

    async def _throttled(self) -> None:
        await self._failing(
            "statuses", Fault(FaultKind.THROTTLE_429, retry_after=2), "zohovoice_api_rate_limited_total"
        )

    async def _blind(self) -> None:
        """Polls fail for longer than the last good one is shown."""
        self._faults.set("statuses", Fault(FaultKind.SERVER_ERROR))
        await self._prometheus.until(f'count(zohovoice_up{{instance="{_instance(self._exporter)}"}} == 0)', {"": 1.0})
        await self._prometheus.until(f'zohovoice_agents{{instance="{_instance(self._exporter)}",status="Busy"}}', {})
        self._faults.clear()
        await self._prometheus.until(f'zohovoice_up{{instance="{_instance(self._exporter)}"}}', {"": 1.0})

    async def _reloads(self) -> None:
        """One that is refused, and one that is not."""
        for mistakes, good in ((["a mistake"], 0.0), ([], 1.0)):
            self._stage.mistakes[:] = mistakes
            self._stage.reload_asked.set()
            await self._prometheus.until(
                f'zohovoice_exporter_config_last_reload_successful{{instance="{_instance(self._exporter)}"}}',
                {"": good},
            )

    async def _quiet_moment(self) -> tuple[float, dict[str, dict[str, Any]]]:
        """An instant before and after which every exporter says the same, and that is what Prometheus knows."""
        while True:
            before = await self._said()
            await asyncio.sleep(2.5)
            end = time.time()
            await asyncio.sleep(0.5)
            said = await self._said()
            if [each["rows"] for each in said.values()] == [each["rows"] for each in before.values()]:
                return end, said

    async def _said(self) -> dict[str, dict[str, Any]]:
        return {
            _instance(each): (await each.http.get(f"{each.url}/api/v1/agents")).json() for each in self._stage.exporters
        }

    async def _count(self, name: str) -> float:
        return _sum(await self._exporter.samples(), name)

    async def _until(self, name: str, count: float, *, seconds: float = 10.0) -> None:
        await self._exporter.until(lambda now: _sum(now, name) >= count, seconds=seconds)


def _sum(samples: Any, name: str) -> float:
    return sum(number for (family, _), number in samples.items() if family == name)


def _instance(exporter: RunningExporter) -> str:
    return exporter.url.removeprefix("http://")


def _hold(database: Path, freed: threading.Event) -> None:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        freed.wait(30)
        connection.execute("ROLLBACK")
