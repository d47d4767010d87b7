"""When whom was looked at: spells of tracking, and the covered time that they and the stretches make. Pure.

Instants are ms since 1970-01-01 UTC. A period is half-open; a spell is closed at both ends, since a transition may
stand at either.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.history.facts import Period, union
from exporter.model import AgentId

_END: Final = attrgetter("end")


class TrackedSpell(NamedTuple):
    """A spell of tracking in a track (agent and lane); `until` is FOREVER while it goes on."""

    agent_id: AgentId
    lane: int
    start: int
    until: int
    source: int


class Overlap(NamedTuple):
    """Time [start, end) of an agent that two sources cover."""

    agent_id: AgentId
    start: int
    end: int


Stretches = Mapping[int, Sequence[Period]]
"""By source: its stretches, in order of time, without overlap."""


def by_agent(spells: Iterable[TrackedSpell]) -> dict[AgentId, list[TrackedSpell]]:
    """The spells of each agent."""
    found: defaultdict[AgentId, list[TrackedSpell]] = defaultdict(list)
    for spell in spells:
        found[spell.agent_id].append(spell)
    return dict(found)


def covered(spells: Iterable[TrackedSpell], stretches: Stretches, within: Period) -> list[Period]:
    """The covered time of one agent's spells inside `within`, in order; periods of different sources may overlap."""
    found: list[Period] = []
    for spell in spells:
        since, until = max(spell.start, within.start), min(spell.until, within.end)
        of_source = stretches.get(spell.source, ())
        for index in range(bisect_right(of_source, since, key=_END), len(of_source)):
            stretch = of_source[index]
            if stretch.start >= until:
                break
            found.append(Period(max(stretch.start, since), min(stretch.end, until)))
    return sorted(period for period in found if period.start < period.end)


def earliest_overlap(
    ours: Mapping[AgentId, Sequence[TrackedSpell]],
    our_stretches: Stretches,
    theirs: Mapping[AgentId, Sequence[TrackedSpell]],
    their_stretches: Stretches,
) -> Overlap | None:
    """The earliest covered time that both sides have of an agent; None: it is disjoint, though it may touch."""
    found = []
    for agent_id, our_spells in ours.items():
        if agent_id not in theirs:
            continue
        hull = _hull(our_spells)
        both = _common(
            union(iter(covered(our_spells, our_stretches, hull))),
            union(iter(covered(theirs[agent_id], their_stretches, hull))),
        )
        first = next(both, None)
        if first is not None:
            found.append(Overlap(agent_id, *first))
    return min(found, key=lambda overlap: (overlap.start, len(overlap.agent_id), overlap.agent_id), default=None)


def _hull(spells: Sequence[TrackedSpell]) -> Period:
    return Period(min(spell.start for spell in spells), max(spell.until for spell in spells))


def _common(one: Sequence[Period], other: Sequence[Period]) -> Iterator[Period]:
    """The instants that are in both; each is in order and without overlap."""
    here = there = 0
    while here < len(one) and there < len(other):
        start, end = max(one[here].start, other[there].start), min(one[here].end, other[there].end)
        if start < end:
            yield Period(start, end)
        if one[here].end <= other[there].end:
            here += 1
        else:
            there += 1
