"""Sessions: from when to when an agent was logged in, as far as anybody saw it. Pure.

A session is a maximal run of time without a sight of the agent as logged out. Time that is not known (unknown, absent
or an error) does not end it, but is counted apart. It begins with the first sight of a staffed status and ends with
the first sight of a logged-out one; how much earlier the agent can have logged in or out is in the bounds. A session
whose end nobody saw is open: it reaches to the last instant at which the agent is known to have been logged in.

Each period in scope (`AgentFacts.scope`) is looked at by itself: what happened before it, after it, or between two of
them is not known. A poll that stands alone proves no time, but what it saw begins or ends sessions like any other.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from exporter.history.algebra import CoveredTime, Tile, tiles
from exporter.history.classes import STAFFED, Class, Classes
from exporter.history.facts import AgentFacts, Period
from exporter.history.window import Window
from exporter.model import Kind, Quality


@dataclass(frozen=True, slots=True)
class Session:
    """A session [start, end), clipped to its scope; instants are milliseconds since 1970-01-01 UTC."""

    start: int
    end: int
    """When the agent was seen logged out; if nobody saw that, the last instant known to be in the session."""
    start_not_before: int | None
    """When the agent was last known to be logged out; None: nothing in scope tells."""
    start_not_after: int
    end_not_before: int
    end_not_after: int | None
    """None: nobody saw it end."""
    carried_in: bool
    """It began before the scope did."""
    staffed: tuple[Period, ...]
    """When the agent was known to be in a staffed status, or was taken to be over a bridged gap, in order of time."""
    bridged: tuple[Period, ...]
    """The bridged gaps among those."""

    @property
    def open(self) -> bool:
        """Whether nobody saw it end."""
        return self.end_not_after is None


def sessions_of(agent: AgentFacts, covered: CoveredTime, window: Window, classes: Classes) -> Iterator[Session]:
    """The sessions of `agent` in `window`, in order of time. At most the last one of each period in scope is open."""
    for scope in agent.scope(window):
        yield from _sessions(agent, covered, scope, classes)


@dataclass(slots=True)
class _Running:
    """A session that has begun."""

    start: int
    start_not_before: int | None
    start_not_after: int
    carried_in: bool
    end_not_before: int = 0
    staffed: list[Period] = field(default_factory=list)
    bridged: list[Period] = field(default_factory=list)

    def add(self, tile: Tile, start: int, end: int, end_not_before: int) -> None:
        if self.staffed and self.staffed[-1].end == start:
            self.staffed[-1] = Period(self.staffed[-1].start, end)
        else:
            self.staffed.append(Period(start, end))
        if tile.quality is Quality.BRIDGED:
            self.bridged.append(Period(start, end))
        self.end_not_before = end_not_before

    def ended(self, end: int, end_not_after: int | None) -> Session:
        return Session(
            start=self.start,
            end=end,
            start_not_before=self.start_not_before,
            start_not_after=self.start_not_after,
            end_not_before=self.end_not_before,
            end_not_after=end_not_after,
            carried_in=self.carried_in,
            staffed=tuple(self.staffed),
            bridged=tuple(self.bridged),
        )


def _sessions(agent: AgentFacts, covered: CoveredTime, scope: Period, classes: Classes) -> Iterator[Session]:
    running: _Running | None = None
    out_until: int | None = None
    for tile in _sights(agent, covered, scope):
        start, end = max(tile.start, scope.start), min(tile.end, scope.end)
        found, sure_until = classes.of(tile.status), _inside(tile.end_not_before, scope)
        if found is Class.OFFLINE:
            if running is not None:
                yield running.ended(start, _inside(tile.start_not_after, scope))
            running, out_until = None, sure_until
        elif found in STAFFED:
            if running is None:
                carried_in = tile.start < scope.start
                not_before = scope.start if carried_in else out_until
                running = _Running(start, not_before, _inside(tile.start_not_after, scope), carried_in)
            running.add(tile, start, end, sure_until)
    if running is not None:
        yield running.ended(running.staffed[-1].end, None)


def _sights(agent: AgentFacts, covered: CoveredTime, scope: Period) -> Iterator[Tile]:
    """What was known of the agent in `scope`, in order of time; what a lone poll saw is a tile without length."""
    lone = sorted(_lone(agent, covered, scope), key=attrgetter("start"))
    found = tiles(agent, covered, Window(scope.start, scope.end))
    known_until = scope.start
    for tile in merge(found, lone, key=attrgetter("start")) if lone else found:
        if not _is_in(tile, scope) or tile.status.kind is Kind.UNKNOWN:
            continue
        if tile.start < known_until and tile.start == tile.end:
            continue  # inside a gap that is bridged, which is taken to have been one status throughout
        known_until = max(known_until, tile.end)
        yield tile


def _is_in(tile: Tile, scope: Period) -> bool:
    """Whether the tile has time in `scope`, or, without length, stands in it."""
    if tile.start == tile.end:
        return scope.start <= tile.start < scope.end
    return tile.start < scope.end and tile.end > scope.start


def _lone(agent: AgentFacts, covered: CoveredTime, scope: Period) -> Iterator[Tile]:
    """What was seen by polls that no later and no earlier poll in scope adjoins: they prove an instant only.

    Such are a poll that is a stretch of its own, as far as it asked for the agent, and the last one of a stretch if it
    was received when the scope begins.
    """
    for spell in agent.spells:
        for piece in covered.pieces.get(spell.source, ()):
            start, at = max(piece.start, spell.start), min(piece.end, spell.end)
            is_lone = start == at or (start < at == scope.start)
            index = bisect_right(spell.changes, at, key=attrgetter("seen"))
            if is_lone and scope.start <= at < scope.end and index:
                yield Tile(at, at, spell.changes[index - 1].to_status, Quality.SAMPLED, at, at, at, at)


def _inside(at: int, scope: Period) -> int:
    return min(max(at, scope.start), scope.end)
