"""How many agents at once: the course of a count over time, and its area, peak and least in each bucket. Pure.

A count begins at 0 and is told by its changes: at an instant it becomes so many more or fewer. Changes of one instant
are one change, so nobody who goes while somebody comes makes a peak.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, compress, pairwise, repeat
from operator import mul, sub
from typing import NamedTuple

from exporter.history.algebra import CoveredTime, tiles
from exporter.history.facts import AgentFacts
from exporter.history.window import Window
from exporter.model import UNKNOWN, AgentId, Kind, Quality, Status

Changes = dict[int, int]
"""By instant, in milliseconds since 1970-01-01 UTC: how many more there are from then on."""


class Figures(NamedTuple):
    """Of a count in a bucket; `area` is the integral over time, in milliseconds times the count."""

    area: int
    peak: int
    least: int


class Course:
    """A count between the first and the last of `edges`, which are the bounds of buckets in order of time.

    All changes must lie between these two, both included.
    """

    def __init__(self, changes: Mapping[int, int], edges: Sequence[int]) -> None:
        self.changes = changes
        self._times = times = sorted({*changes, *edges})
        self._counts = list(accumulate(map(changes.get, times, repeat(0))))
        self._lasting = list(map(sub, times[1:], times))
        self._places = [bisect_left(times, edge) for edge in edges]

    @cached_property
    def figures(self) -> list[Figures]:
        """Those of each bucket."""
        return list(self._figures())

    def _figures(self) -> Iterator[Figures]:
        counts, lasting = self._counts, self._lasting
        for first, behind in pairwise(self._places):
            if behind - first == 1:
                count = counts[first]
                yield Figures(count * lasting[first], count, count)
            else:
                of_bucket = counts[first:behind]
                yield Figures(sum(map(mul, of_bucket, lasting[first:behind])), max(of_bucket), min(of_bucket))

    def time_below(self, limit: int) -> list[int]:
        """Milliseconds of each bucket in which the count is less than `limit`."""
        counts, lasting = self._counts, self._lasting
        return [
            sum(compress(lasting[first:behind], map(limit.__gt__, counts[first:behind])))
            for first, behind in pairwise(self._places)
        ]

    def empty_times(self) -> Changes:
        """The changes of a count that is 1 while this one is 0, and else 0."""
        result: Changes = {}
        empty = False
        for time, count in zip(self._times, [*self._counts[:-1], 1], strict=True):
            if empty != (not count):
                result[time] = -1 if empty else 1
                empty = not empty
        return result


def together(*found: Mapping[int, int], times: int = 1) -> Changes:
    """The changes of the sum of counts, each of them taken `times` times."""
    result: Changes = {}
    for changes in found:
        for time, more in changes.items():
            result[time] = result.get(time, 0) + more * times
    return result


@dataclass(slots=True)
class Spans:
    """Periods [start, end) in any order, starts and ends apart, because that is quick to build up."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        """One more period."""
        self.starts.append(start)
        self.ends.append(end)

    def changes(self) -> Changes:
        """Those of how many of the periods there are at once."""
        result: Changes = dict(Counter(self.starts))
        for time, fewer in Counter(self.ends).items():
            result[time] = result.get(time, 0) - fewer
        return result


@dataclass(slots=True)
class AgentSpans:
    """The agents' time in a window, all agents together."""

    in_status: dict[Status, Spans] = field(default_factory=dict)
    tracked: Spans = field(default_factory=Spans)
    bridged: Spans = field(default_factory=Spans)
    """Over gaps that were bridged."""
    bridged_known: Spans = field(default_factory=Spans)
    """Over those of them that were bridged with a status that Zoho reported."""
    agents: set[AgentId] = field(default_factory=set)
    """Those with tracked time."""
    known_until: int = -1
    """Where the last time ends that is not unknown; -1: there is none."""


def agent_spans(agents: Sequence[AgentFacts], covered: CoveredTime, window: Window) -> AgentSpans:
    """The time in scope of all `agents` in `window`."""
    result = AgentSpans()
    # By the identity of the status, which there are few of: to hash a status takes longer than all else done here.
    by_identity: dict[int, Spans] = {}
    for agent in agents:
        for since, until in agent.scope(window):
            result.agents.add(agent.agent_id)
            result.tracked.add(since, until)
            for tile in tiles(agent, covered, Window(since, until)):
                status = tile.status
                # Comparisons instead of min() and max(): this runs for every stay of every agent.
                start = tile.start if tile.start > since else since
                end = tile.end if tile.end < until else until
                if start >= end:
                    continue
                spans = by_identity.get(id(status))
                if spans is None:
                    spans = by_identity[id(status)] = result.in_status.setdefault(status, Spans())
                spans.starts.append(start)
                spans.ends.append(end)
                if status is not UNKNOWN and end > result.known_until:
                    result.known_until = end
                if tile.quality is Quality.BRIDGED:
                    result.bridged.add(start, end)
                    if status.kind is Kind.REPORTED:
                        result.bridged_known.add(start, end)
    return result
