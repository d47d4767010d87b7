"""The facts that wait to be written to the history: how many, what they lead to, and what is lost with them."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from exporter.model import AgentId, PollFacts, Status, Tracked, TrackerState

_NO_READINGS: Final[Mapping[AgentId, Status]] = {}


class Lost(NamedTuple):
    """Polls that were given up. `first` and `last` are when the first and the last of them were received, ms UTC."""

    polls: int
    transitions: int
    first: int
    last: int

    def plus(self, later: "Lost") -> "Lost":
        """Both together, `later` being what was lost after this."""
        return Lost(self.polls + later.polls, self.transitions + later.transitions, self.first, later.last)


class Waiting:
    """A queue of facts, each poll's following from the one before it.

    What waits is small: the readings, which no writer needs, are left out, and the state of all agents is kept twice,
    not with each poll. 1,000 agents would else take 100 kB a poll, a gigabyte a day.
    """

    def __init__(self, written: TrackerState) -> None:
        self.written = written
        """What the history knows."""
        self.queued = written
        """What it will know once all that waits is written."""
        self.transitions = 0
        """How many transitions wait."""
        self._facts: deque[PollFacts] = deque()

    def __len__(self) -> int:
        """How many polls wait."""
        return len(self._facts)

    @property
    def weight(self) -> int:
        """How many facts wait: the polls themselves and their transitions."""
        return len(self._facts) + self.transitions

    @property
    def first(self) -> PollFacts:
        """What is to be written next. Raises IndexError if nothing waits."""
        return self._facts[0]

    def add(self, facts: PollFacts, after: TrackerState) -> None:
        """Queue what a poll added to `queued`, which makes it `after`."""
        self._facts.append(replace(facts, poll=replace(facts.poll, readings=_NO_READINGS)))
        self.transitions += len(facts.transitions)
        self.queued = after

    def first_is_written(self) -> None:
        """The first facts are in the history now."""
        facts = self._facts.popleft()
        self.transitions -= len(facts.transitions)
        self.written = _after(self.written, facts) if self._facts else self.queued

    def give_up(self, *, but_the_first: bool) -> Lost | None:
        """Forget all that waits, or all but the first; None if that is nothing.

        `queued` is then what the rest leads to.
        """
        kept = [self._facts.popleft()] if but_the_first else []
        lost = None
        if self._facts:
            kept_transitions = sum(len(facts.transitions) for facts in kept)
            lost = Lost(
                len(self._facts),
                self.transitions - kept_transitions,
                self._facts[0].poll.received,
                self._facts[-1].poll.received,
            )
            self.queued = _after(self.written, kept[0]) if kept else self.written
            self.transitions = kept_transitions
        self._facts = deque(kept)
        return lost

    def found(self, written: TrackerState) -> None:
        """The history knows something else than was thought."""
        self.written = written
        if not self._facts:
            self.queued = written


def _after(state: TrackerState, facts: PollFacts) -> TrackerState:
    """The state that `facts` make of the one that they follow from."""
    agents = dict(state.agents)
    for agent_id in facts.left:
        del agents[agent_id]
    described = {agent.agent_id: agent for agent in facts.described}
    for change in facts.transitions:
        agent_id = change.agent_id
        agent = described[agent_id] if agent_id in described else agents[agent_id].agent
        agents[agent_id] = Tracked(change.to_status, change.seen, agent)
    for agent_id, agent in described.items():
        agents[agent_id] = replace(agents[agent_id], agent=agent)
    return TrackerState(agents, facts.stretch)
