"""What one complete poll adds to what is known: pure, so that live polls, replays and tests go the same way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from exporter.model import (
    Agent,
    AgentId,
    EndReason,
    Poll,
    PollFacts,
    Stretch,
    Tracked,
    TrackerState,
    Transition,
)
from exporter.steps import LIGHT, Steps, at_once, batches

NOTHING_TRACKED: Final = TrackerState(agents={}, stretch=None)
"""The state before the very first poll."""

GAP_LIMIT_INTERVALS: Final = 2.5
"""A stretch survives one missed poll, and a slow one after it, but not two."""


class LatePoll(Exception):
    """A poll whose receipt is not after the latest one recorded: it cannot be merged exactly, so it is refused.

    The wall clock was set back. Until it passes `recorded` again, time is unknown.
    """

    def __init__(self, received: int, recorded: int) -> None:
        super().__init__(f"a poll received at {received} is not later than the one recorded at {recorded}")
        self.received = received
        self.recorded = recorded


@dataclass(frozen=True, slots=True)
class Pace:
    """How often polls are meant to come, and how long a silence breaks a stretch; in milliseconds."""

    interval_ms: int
    gap_limit_ms: int

    @staticmethod
    def of_interval(interval_ms: int) -> "Pace":
        """The pace with the default gap limit for an interval."""
        return Pace(interval_ms, round(interval_ms * GAP_LIMIT_INTERVALS))


def advance(
    state: TrackerState,
    poll: Poll,
    agents: Mapping[AgentId, Agent],
    pace: Pace,
    *,
    silence: EndReason = EndReason.POLL_FAILURE,
    lost: bool = False,
) -> tuple[TrackerState, PollFacts]:
    """The state after `poll`, and the facts that it adds.

    `agents` describes at least the agents that the poll asked for. `silence` is why a stretch ended if it turns out
    that it did and neither the clock nor the pace is to blame: polls failed, or the run before was stopped or crashed.
    `lost` says that polls between `state` and `poll` were given up: then the stretch has ended, however short the time.

    Raises LatePoll if the poll is not later than the state's latest one.
    """
    return at_once(advance_in_steps(state, poll, agents, pace, silence=silence, lost=lost))


def advance_in_steps(
    state: TrackerState,
    poll: Poll,
    agents: Mapping[AgentId, Agent],
    pace: Pace,
    *,
    silence: EndReason = EndReason.POLL_FAILURE,
    lost: bool = False,
) -> Steps[tuple[TrackerState, PollFacts]]:
    """The same in steps: at 50,000 agents it takes some 30 ms. Raises LatePoll before the first pause."""
    before = state.stretch
    if before is not None and poll.received <= before.last:
        raise LatePoll(poll.received, before.last)
    ended = EndReason.NOT_WRITTEN if lost and before is not None else _end_of_stretch(before, poll, pace, silence)
    begins = before is None or ended is not None
    if before is None or begins:
        stretch = Stretch(poll.sent, poll.received, poll.sent, poll.received, 1, pace.interval_ms, pace.gap_limit_ms)
        elapsed_ms = 0
    else:
        stretch = replace(before, last_sent=poll.sent, last=poll.received, polls=before.polls + 1)
        elapsed_ms = poll.received - before.last

    tracked, transitions, joined, described = yield from _compare(state, poll, agents)
    left: tuple[AgentId, ...] = ()
    # All who were asked for are tracked now, so if the numbers are equal nobody else is. Mostly they are.
    if len(tracked) > len(poll.readings):
        left = tuple(sorted(state.agents.keys() - poll.readings.keys()))
        yield
    for agent_id in left:
        del tracked[agent_id]
    facts = PollFacts(
        poll=poll,
        stretch=stretch,
        previous_ended=ended,
        begins_stretch=begins,
        elapsed_ms=elapsed_ms,
        transitions=transitions,
        joined=joined,
        left=left,
        # The last poll that asked for them is the last that anything is known of.
        left_before=before if left else None,
        described=described,
    )
    return TrackerState(tracked, stretch), facts


def _end_of_stretch(before: Stretch | None, poll: Poll, pace: Pace, silence: EndReason) -> EndReason | None:
    """Why the stretch `before` does not go on with `poll`; None if it does, or if there was none."""
    if before is None:
        return None
    if poll.clock_step_ms:
        return EndReason.CLOCK_STEP
    if poll.received - before.last > before.gap_limit_ms:
        return silence
    if (before.interval_ms, before.gap_limit_ms) != (pace.interval_ms, pace.gap_limit_ms):
        return EndReason.RECONFIGURED
    return None


def _compare(
    state: TrackerState, poll: Poll, agents: Mapping[AgentId, Agent]
) -> Steps[tuple[dict[AgentId, Tracked], tuple[Transition, ...], tuple[AgentId, ...], tuple[Agent, ...]]]:
    """The agents tracked after `poll` (leavers still among them), transitions, who joined, who is described anew."""
    tracked = dict(state.agents)
    transitions: list[Transition] = []
    joined: list[AgentId] = []
    described: list[Agent] = []
    # Every agent that was tracked was asked for by the latest complete poll: that is when its old status was last seen.
    # By the clock of now: one that was set back calls that instant an earlier one. (Set forward, the old time is the
    # earlier one of the two, so it is a bound by either.)
    last_seen_old = state.stretch.last_sent + min(0, poll.clock_step_ms) if state.stretch is not None else None
    for some in batches(poll.readings.items(), LIGHT):
        for agent_id, status in some:
            known = tracked.get(agent_id)
            agent = agents[agent_id]
            if known is None:
                tracked[agent_id] = Tracked(status, poll.received, agent)
                transitions.append(Transition(agent_id, None, status, None, poll.received))
                joined.append(agent_id)
                described.append(agent)
                continue
            if known.status is not status and known.status != status:
                transitions.append(Transition(agent_id, known.status, status, last_seen_old, poll.received))
                tracked[agent_id] = Tracked(status, poll.received, agent)
            if known.agent is not agent and known.agent != agent:
                tracked[agent_id] = replace(tracked[agent_id], agent=agent)
                described.append(agent)
        yield
    return tracked, tuple(transitions), tuple(joined), tuple(described)
