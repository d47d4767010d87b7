"""Histories made of polls: what the tracker records of them, and what they mean by brute force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from exporter.history.facts import (
    FOREVER,
    RECORDER,
    AgentFacts,
    Change,
    Description,
    HistoryFacts,
    RecordedStretch,
    Source,
    Spell,
)
from exporter.history.window import Window
from exporter.model import (
    ABSENT,
    AVAILABLE,
    BUSY,
    ERROR,
    ON_CALL,
    Agent,
    AgentId,
    EndReason,
    Poll,
    PollFacts,
    Status,
    Stretch,
)
from exporter.tracker import NOTHING_TRACKED, Pace, advance

PACE = Pace(interval_ms=10, gap_limit_ms=25)
AGENTS = ("1", "2")


def poll_facts(polls: Sequence[Poll], pace: Pace = PACE, team: str = "") -> list[PollFacts]:
    """What the tracker adds for each poll."""
    state, result = NOTHING_TRACKED, []
    for poll in polls:
        agents = {agent_id: Agent(agent_id, f"Agent {agent_id}", team) for agent_id in poll.readings}
        state, facts = advance(state, poll, agents, pace)
        result.append(facts)
    return result


def agent_facts(
    agent_id: AgentId,
    descriptions: Sequence[Description],
    tracked: Sequence[tuple[int, ...]],
    changes: Sequence[Change],
    *,
    source: int = RECORDER,
) -> AgentFacts:
    """An agent of one source; `tracked` may say as a third item when the last poll that asked was sent."""
    spells = []
    for start, end, *sent in tracked:
        mine = tuple(change for change in changes if start <= change.seen <= end)
        spells.append(Spell(start, end, sent[0] if sent else end, source, mine))
    return AgentFacts(agent_id, tuple(descriptions), tuple(spells))


def recorder(*stretches: RecordedStretch) -> tuple[Source, ...]:
    """The recorder as the only source."""
    return (Source(RECORDER, stretches),)


@dataclass
class _Known:
    tracked: list[tuple[int, ...]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    descriptions: list[Description] = field(default_factory=list)


def history(polls: Sequence[Poll], pace: Pace = PACE, *, run_open: bool = False) -> HistoryFacts:
    """All facts of `polls`, as a reader of the whole history would hand them over."""
    known: dict[AgentId, _Known] = {}
    stretches: list[RecordedStretch] = []
    for facts in poll_facts(polls, pace):
        if facts.begins_stretch:
            if stretches:
                stretches[-1] = RecordedStretch(stretches[-1].stretch, facts.previous_ended)
            stretches.append(RecordedStretch(facts.stretch, None))
        stretches[-1] = RecordedStretch(facts.stretch, None)
        for agent in facts.described:
            known.setdefault(agent.agent_id, _Known()).descriptions.append(
                Description(facts.poll.received, agent.name, agent.team)
            )
        for agent_id in facts.left:
            last = facts.left_before
            assert last is not None
            known[agent_id].tracked[-1] = (known[agent_id].tracked[-1][0], last.last, last.last_sent)
        for agent_id in facts.joined:
            known[agent_id].tracked.append((facts.poll.received, FOREVER))
        for transition in facts.transitions:
            known[transition.agent_id].changes.append(
                Change(transition.seen, transition.not_before, transition.from_status, transition.to_status)
            )
    if stretches and not run_open:
        stretches[-1] = RecordedStretch(stretches[-1].stretch, EndReason.SHUTDOWN)
    return HistoryFacts(
        window=Window(0, FOREVER),
        agents=tuple(
            agent_facts(agent_id, k.descriptions, k.tracked, k.changes) for agent_id, k in sorted(known.items())
        ),
        sources=recorder(*stretches),
        run_open=run_open,
        water_mark=None,
        words=frozenset(change.to_status.word for k in known.values() for change in k.changes),
    )


def stretch(started: int, last: int, *, latency: int = 0, polls: int = 2, pace: Pace = PACE) -> Stretch:
    """A stretch whose first and last polls took `latency`."""
    return Stretch(started - latency, started, last - latency, last, polls, pace.interval_ms, pace.gap_limit_ms)


@st.composite
def poll_lists(draw: st.DrawFn) -> list[Poll]:
    """Up to 14 polls within some 250 ms, with gaps, two agents who come and go, and latencies up to a whole pause."""
    polls: list[Poll] = []
    received = draw(st.integers(0, 30))
    statuses = st.sampled_from((AVAILABLE, BUSY, ON_CALL, ABSENT, ERROR))
    for _ in range(draw(st.integers(0, 14))):
        pause = draw(st.integers(1, 40) | st.integers(5, 12))
        sent = received + draw(st.integers(0, pause))
        received += pause
        asked = draw(st.sampled_from((("1", "2"), ("1", "2"), ("1", "2"), ("1",), ("2",))))
        polls.append(Poll(sent, received, {agent_id: draw(statuses) for agent_id in asked}))
    return polls


@st.composite
def polls_and_edges(draw: st.DrawFn, edges: int) -> tuple[list[Poll], tuple[int, ...]]:
    """Polls, and so many instants in order, most of them at or next to the instants of polls: there the faults are."""
    polls = draw(poll_lists())
    anywhere = st.integers(0, 450)
    if not polls:
        return polls, tuple(sorted(draw(st.tuples(*[anywhere] * edges))))
    instants = st.sampled_from([instant for poll in polls for instant in (poll.sent, poll.received)])
    near = st.builds(lambda instant, off: max(0, instant + off), instants, st.integers(-1, 2))
    return polls, tuple(sorted(draw(st.tuples(*[near | anywhere] * edges))))


@dataclass(frozen=True)
class Moment:
    """What is so in one millisecond by the polls alone: the reference that shares no code with the algebra."""

    status: Status | None
    """By the edge policy `seen`; None: unknown."""
    sure: bool
    possible: frozenset[Status]


def brute_force(polls: Sequence[Poll], agent_id: AgentId, at: int, gap_limit: int = 25) -> Moment | None:
    """The moment `at` of the agent, found by looking at the polls around it; None: not tracked."""
    before = [index for index, poll in enumerate(polls) if poll.received <= at]
    if not before or agent_id not in polls[before[-1]].readings:
        return None
    here = before[-1]
    if here + 1 < len(polls) and agent_id not in polls[here + 1].readings:
        return None  # left: tracked until the poll `here` was received
    if not _joined(polls, here, gap_limit):
        return Moment(None, sure=True, possible=frozenset())
    status = polls[here].readings[agent_id]
    after = polls[here + 1].readings[agent_id]
    possible = {status, after}
    goes_on = _joined(polls, here + 1, gap_limit) and agent_id in polls[here + 2].readings
    if goes_on and at >= polls[here + 1].sent:
        possible.add(polls[here + 2].readings[agent_id])
    if after != status:
        sure = False
    elif goes_on and polls[here + 2].readings[agent_id] == status:
        sure = True
    else:
        sure = at < polls[here + 1].sent
    return Moment(status, sure, frozenset(possible))


def _joined(polls: Sequence[Poll], index: int, gap_limit: int) -> bool:
    """Whether the poll after `index` belongs to the same stretch."""
    return index + 1 < len(polls) and polls[index + 1].received - polls[index].received <= gap_limit


def readings(**by_agent: Status) -> Mapping[AgentId, Status]:
    """Readings of agents called a1, a2 …: `readings(a1=BUSY)` is of the agent "1"."""
    return {name.removeprefix("a"): status for name, status in by_agent.items()}
