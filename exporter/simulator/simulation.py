"""The simulated contact centre as one exact truth: who was in which status at any instant, past or future."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.errors import UsageError
from exporter.simulator.overlay import Overlay
from exporter.simulator.people import OtherUser, SimulatedAgent, make_people
from exporter.simulator.planned import PlannedDays
from exporter.simulator.settings import Presence, SimulationSettings

__all__ = ["Change", "Presence", "SimulatedAgent", "Simulation", "SimulationSettings"]


@dataclass(frozen=True, slots=True)
class Change:
    """An agent went from one status to another at `at` (ms): from then on `to_word` holds."""

    at: int
    from_word: str
    to_word: str


class Simulation:
    """Agents' days plus what was written through the API.

    All instants are simulated milliseconds since 1970-01-01 UTC; at speed 1 they are those of the wall clock.
    `status_at` and `changes` never contradict each other, and a write changes nothing that lies before it.
    (A reading made in the very millisecond of a write, but before it, is the one thing that they do not remember.)
    Whether an agent is on the roster is another matter: see `present_at`. Unknown agents raise UsageError.
    """

    def __init__(self, settings: SimulationSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self._started_ms = clock.now_ms()
        self._started = clock.monotonic()
        people = make_people(settings)
        self._agents = people.agents
        self._others = people.others
        self._by_id: Mapping[str, SimulatedAgent] = {agent.agent_id: agent for agent in people.agents}
        self._by_zuid: Mapping[str, SimulatedAgent] = {str(agent.zuid): agent for agent in people.agents}
        self._planned = PlannedDays(settings)
        self._overlay = Overlay(self._planned)

    @property
    def agents(self) -> tuple[SimulatedAgent, ...]:
        """Everyone who is ever on the roster, in its order. The first is the admin, the second the supervisor."""
        return self._agents

    @property
    def others(self) -> tuple[OtherUser, ...]:
        """Users that are no agents."""
        return self._others

    def now_ms(self) -> int:
        """The simulated instant."""
        if self.settings.speed == 1:
            return self.clock.now_ms()
        return self._started_ms + int((self.clock.monotonic() - self._started) * 1000 * self.settings.speed)

    def find(self, agent_id: str) -> SimulatedAgent | None:
        """The agent with this `agentId`, on the roster or not."""
        return self._by_id.get(agent_id)

    def find_by_zuid(self, zuid: str) -> SimulatedAgent | None:
        """The agent with this `zuid`, on the roster or not."""
        return self._by_zuid.get(zuid)

    def present_at(self, agent_id: str, at_ms: int) -> bool:
        """Whether the agent is on the roster at the instant: from joining on, and no longer from leaving on."""
        return self._agent(agent_id).present_at(at_ms)

    def status_at(self, agent_id: str, at_ms: int) -> str:
        """The status word in force at the instant; for who is not on the roster then, what it would be."""
        return self._word_at(self._agent(agent_id).position, at_ms)

    def statuses_at(self, at_ms: int) -> dict[str, str]:
        """The status word of everyone who is on the roster at the instant, by agent id."""
        return {
            agent.agent_id: self._word_at(agent.position, at_ms) for agent in self._agents if agent.present_at(at_ms)
        }

    def changes(self, agent_id: str, since_ms: int, until_ms: int) -> tuple[Change, ...]:
        """Every change of the agent's status in [since, until), in order; each leads to a different word."""
        position = self._agent(agent_id).position
        instants = {at for at, _ in self._planned.changes(position, since_ms, until_ms)}
        instants.update(self._overlay.instants(position, since_ms, until_ms))
        changes = []
        before = self._word_at(position, since_ms - 1)
        for at in sorted(instants):
            word = self._word_at(position, at)
            if word != before:
                changes.append(Change(at, before, word))
                before = word
        return tuple(changes)

    def set_status(self, agent_id: str, word: str) -> None:
        """Put the agent into a status now; it holds until the agent's own next planned change. Any word is taken."""
        self._overlay.write(self._agent(agent_id).position, self.now_ms(), word)

    def prepare(self, at_ms: int) -> None:
        """Simulate the day that holds the instant now, so that the first question about it is answered at once."""
        self._planned.day(at_ms)

    def _word_at(self, position: int, at_ms: int) -> str:
        written = self._overlay.word_at(position, at_ms)
        return written if written is not None else self._planned.word_at(position, at_ms)

    def _agent(self, agent_id: str) -> SimulatedAgent:
        agent = self._by_id.get(agent_id)
        if agent is None:
            raise UsageError(f"the simulator has no agent '{agent_id}': its agents are listed by `agents list`")
        return agent
