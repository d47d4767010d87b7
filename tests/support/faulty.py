"""What the tests of faults share: a stage with a clock that leaps, and the comparison of history with truth."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.history.facts import FOREVER, Change, HistoryFacts, RecordedStretch
from exporter.history.reader import HistoryReader
from exporter.history.window import Window
from exporter.model import Kind
from exporter.settings import PollSettings, Settings
from exporter.simulator.faults import Fault
from exporter.simulator.server import RunningSimulator
from exporter.simulator.settings import DEFAULT_SERVER, Presence, ServerSettings, SimulationSettings
from exporter.simulator.simulation import Simulation
from tests.support.running import Samples, settings_against, simulated, value
from tests.support.told_in_log import fields_of

UP = "zohovoice_up"
FAILURES = "zohovoice_poll_failures_total"
BACKOFF = "zohovoice_poll_backoff_seconds"
SKIPPED = "zohovoice_polls_skipped_total"
LAST_SUCCESS = "zohovoice_last_poll_success_timestamp_seconds"
ROSTER_FAILURES = "zohovoice_roster_refresh_failures_total"


class LeapingClock(SystemClock):
    """The clocks of this machine, which a test can make leap ahead together: ten minutes pass at once."""

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._leapt = asyncio.Event()

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead_ms / 1000

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        await super().sleep(0)
        while (left := until - self.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._leapt.wait()

    def leap(self, seconds: float) -> None:
        """Let so much time pass at once for whoever has this clock; who sleeps wakes up if it is time."""
        self._ahead_ms += round(seconds * 1000)
        self._leapt.set()
        self._leapt = asyncio.Event()


@dataclass(frozen=True, slots=True)
class Stage:
    """A simulator, and the settings of an exporter to set against it; both live by one clock."""

    simulator: RunningSimulator
    settings: Settings
    clock: LeapingClock

    @property
    def agents(self) -> tuple[str, ...]:
        """The ids of all agents, in the order of the roster."""
        return tuple(agent.agent_id for agent in self.simulator.simulation.agents)

    def place(self, where: str, fault: Fault, times: int | None = None) -> None:
        """Put a fault at an endpoint, for so many requests or until it is cleared."""
        self.simulator.switchboard.set(where, fault, times)

    def clear(self) -> None:
        """End all faults."""
        self.simulator.switchboard.clear()

    def asked(self, label: str) -> int:
        """How many requests the endpoint has had."""
        return self.simulator.received.total(label)

    def change_status(self, agent_id: str) -> str:
        """Give the agent another status at Zoho; returns its word."""
        simulation = self.simulator.simulation
        word = "Busy" if simulation.status_at(agent_id, simulation.now_ms()) != "Busy" else "On Break"
        simulation.set_status(agent_id, word)
        return word

    def history(self) -> HistoryFacts:
        """All that is on disk at this moment."""
        with HistoryReader.open(self.settings.history.db) as reader:
            return reader.facts(Window(0, FOREVER))

    def recorded(self) -> dict[str, str]:
        """The word of the latest status on disk, by agent."""
        return {agent.agent_id: agent.changes[-1].to_status.word for agent in self.history().agents}

    def inventions(self, spoilt: Collection[str] = ()) -> list[str]:
        """Every recorded transition that the simulator's truth does not bear out, as a sentence; none is wanted.

        Of the agents in `spoilt` the simulator told something else than its truth; they are left out.
        """
        facts = self.history()
        return [
            f"{agent.agent_id}: {change}"
            for agent in facts.agents
            for change in agent.changes
            if agent.agent_id not in spoilt and not self._is_true(agent.agent_id, change, facts.stretches)
        ]

    def _is_true(self, agent_id: str, change: Change, stretches: tuple[RecordedStretch, ...]) -> bool:
        if change.to_status.kind is not Kind.REPORTED:
            return False
        if change.from_status is None or change.not_before is None:
            return change.to_status.word in self._words(agent_id, self._sent(change.seen, stretches), change.seen)
        words = self._words(agent_id, change.not_before, change.seen)
        if change.from_status.word not in words:
            return False
        return change.to_status.word in words[words.index(change.from_status.word) + 1 :]

    def _words(self, agent_id: str, since: int, until: int) -> list[str]:
        """Every word that the agent had in [since, until], in order."""
        simulation = self.simulator.simulation
        # A reading made in the millisecond of a change may have been made before it.
        changes = simulation.changes(agent_id, since, until + 1)
        return [simulation.status_at(agent_id, since - 1), *(change.to_word for change in changes)]

    def _sent(self, seen: int, stretches: tuple[RecordedStretch, ...]) -> int:
        """When the poll received at `seen` was sent, at the earliest."""
        firsts = [known.stretch.first_sent for known in stretches if known.stretch.started == seen]
        longest_s = max(self.settings.poll.interval_s, self.settings.api.timeout_s)
        return firsts[0] if firsts else seen - round(longest_s * 1000)


@asynccontextmanager
async def staged(
    directory: Path,
    *,
    agents: int = 12,
    interval_s: float = 0.1,
    timeout_s: float = 0.4,
    max_age_s: float = 60.0,
    server: ServerSettings = DEFAULT_SERVER,
    presences: tuple[Presence, ...] = (),
    began_ago_s: float = 0.0,
) -> AsyncIterator[Stage]:
    """A simulator with people at work now: what they do in the next minute, the test tells them.

    `began_ago_s`: so far the clocks are behind at first, for reports know of no future that a test leaps into.
    """
    clock = LeapingClock()
    clock.leap(-began_ago_s)
    simulation = SimulationSettings(
        agents=agents, shifts_around=clock.now_ms(), calls_per_agent_hour=0, presences=presences
    )
    async with simulated(_on_a_quiet_day(simulation, clock), server=server, clock=clock) as simulator:
        settings = settings_against(simulator, directory, interval_s=interval_s)
        settings = replace(
            settings,
            api=replace(settings.api, timeout_s=timeout_s),
            poll=PollSettings(interval_s=interval_s, max_age_s=max_age_s),
        )
        yield Stage(simulator, settings, clock)


def _on_a_quiet_day(settings: SimulationSettings, clock: LeapingClock) -> SimulationSettings:
    """The settings with a seed by which nobody's status changes in the coming minute."""
    now = clock.now_ms()
    for seed in range(1, 1_000):
        quiet = replace(settings, seed=seed)
        simulation = Simulation(quiet, clock)
        if not any(simulation.changes(agent.agent_id, now, now + 60_000) for agent in simulation.agents):
            return quiet
    raise AssertionError("no day is quiet: have fewer agents")


def is_good(samples: Samples) -> bool:
    """Whether the last poll worked."""
    return value(samples, UP) == 1


def reaches(name: str, count: float, **labels: str) -> Callable[[Samples], bool]:
    """A condition to wait for: the series is there and has at least this value."""
    return lambda now: (value(now, name, **labels) or 0) >= count


def failures(samples: Samples, name: str = FAILURES) -> dict[str, float]:
    """How many polls (or readings of the roster) failed, by reason; without the reasons that never were."""
    return {dict(labels)["reason"]: count for (family, labels), count in samples.items() if family == name and count}


def shown(samples: Samples) -> dict[str, str]:
    """The status that each agent is shown in; empty once the agents' families have gone."""
    statuses = [dict(labels) for (name, labels), on in samples.items() if name == "zohovoice_agent_status" and on]
    assert len({status["agent_id"] for status in statuses}) == len(statuses), "each agent has exactly one status"
    return {status["agent_id"]: status["status"] for status in statuses}


async def side_by_side(scenes: Mapping[Fault, Coroutine[object, object, None]]) -> None:
    """Play all scenes at once, in one event loop; a failure says in which one it was."""

    async def play(fault: Fault, scene: Coroutine[object, object, None]) -> None:
        try:
            await scene
        except Exception as error:
            error.add_note(f"with the fault {fault_name(fault)}")
            raise

    async with asyncio.TaskGroup() as group:
        for fault, scene in scenes.items():
            group.create_task(play(fault, scene))


def logged(caplog: pytest.LogCaptureFixture, message: str) -> list[Mapping[str, object]]:
    """The fields of each line with that message, in order."""
    return [fields_of(record) for record in caplog.records if record.message == message]


def warnings(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    """The messages of a logger's lines from warnings up, in order."""
    return [record.message for record in caplog.records if record.name == logger and record.levelno >= logging.WARNING]


def fault_name(fault: Fault) -> str:
    """A fault's kind and what is particular about it."""
    plain = Fault(fault.kind)
    names = ("status", "count", "delta", "retry_after", "variant", "text")
    particulars = [str(getattr(fault, name)) for name in names if getattr(fault, name) != getattr(plain, name)]
    return "-".join([fault.kind.value, *particulars])[:40]
