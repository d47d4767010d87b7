"""Runs a simulation's past through tracker and writer, as if it had been polled: how the demo gets a history."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from exporter.history.writer import HistoryWriter
from exporter.model import Agent, AgentId, EndReason, Poll, Status, TrackerState, reported
from exporter.simulator.simulation import Simulation
from exporter.tracker import Pace, advance

_LATENCY_MS: Final = (60, 400)
"""Bounds of how long a poll took to be answered."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is to be recorded: polls every `interval_ms` in [since, until), none in the half-open spans of `off`."""

    since: int
    until: int
    interval_ms: int
    off: tuple[tuple[int, int], ...] = ()

    @property
    def ticks(self) -> int:
        """How many polls there are at most, for a progress bar."""
        return max(0, -(-(self.until - self.since) // self.interval_ms))


def record_past(
    simulation: Simulation,
    writer: HistoryWriter,
    past: Past,
    *,
    seed: int,
    progress: Callable[[int], None],
    state: TrackerState | None = None,
) -> TrackerState:
    """Record `past` and return the state after it. `progress` is told how many ticks are done, now and then.

    `state` is what an earlier call on the same writer has returned, if there was one.

    Each poll reads the simulation at one instant between its sending and its receipt, like a real answer, and goes
    through the same tracker and the same transaction as a live one. Where there are no polls nobody was looking,
    because the recorder was not running.
    """
    state = state or writer.resumed
    pace = Pace.of_interval(past.interval_ms)
    random = Random(seed)  # noqa: S311 - latencies, no secrets
    for done, tick in enumerate(range(past.since, past.until, past.interval_ms)):
        if any(start <= tick < end for start, end in past.off):
            continue
        latency = random.randint(*_LATENCY_MS)
        answered = tick + random.randint(0, latency)
        agents = {agent.agent_id: agent for agent in _on_roster(simulation, answered)}
        poll = Poll(tick, tick + latency, _readings(simulation, agents, answered))
        state, facts = advance(state, poll, agents, pace, silence=EndReason.SHUTDOWN)
        writer.append(facts)
        if done % 100 == 0:
            progress(done)
    progress(past.ticks)
    return state


def _on_roster(simulation: Simulation, at: int) -> Iterator[Agent]:
    for agent in simulation.agents:
        if simulation.present_at(agent.agent_id, at):
            yield Agent(agent.agent_id, agent.name, agent.team)


def _readings(simulation: Simulation, agents: dict[AgentId, Agent], at: int) -> dict[AgentId, Status]:
    return {agent_id: reported(simulation.status_at(agent_id, at)) for agent_id in agents}
