"""From recorded facts to time: which status an agent was in, from when to when, and how sure that is. Pure.

A status is carried only inside a stretch of coverage; all other tracked time is `unknown`, also between two equal
statuses, unless the reader asks to bridge gaps. Tiles, intervals and totals are exact in integer milliseconds, so they
add up over agents, statuses and adjoining windows.

How sure: a change seen by a poll received at r, where the poll before was sent at s, happened in (s, r]. Where in
there an edge is put is the edge policy; `seen` puts it at r, so that a status holds from the receipt of the poll that
first saw it until the receipt of the poll that first saw another. A stay lasts surely from its own r to the s of the
next change, and possibly from its own s to the r of the next change. The start of a stretch and the start and the end
of tracking are decisions of the recorder, not changes of the agent: as edges of what is known they are exact. At the
end of a stretch the status is sure until its last poll was sent and taken to hold until that poll was received. All of
this assumes that no excursion hid between two polls that saw the same status.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.history.facts import RECORDER, AgentFacts, Change, HistoryFacts, Period, Source, Spell, Total, union
from exporter.history.window import Window
from exporter.model import UNKNOWN, Interval, Kind, Quality, Status

_SEEN: Final = attrgetter("seen")
_END: Final = attrgetter("end")


class EdgePolicy(Enum):
    """Where between its bounds a change is put. Any policy tiles; none moves an edge that is known exactly."""

    SEEN = "seen"
    """When a poll first saw it: what a dashboard showed. Both ends of a stay shift alike."""
    MIDPOINT = "midpoint"
    """In the middle, rounded down to the millisecond: the least worst-case error."""
    NOT_BEFORE = "not-before"
    """When a poll was sent that still saw the status before."""

    def place(self, not_before: int, seen: int) -> int:
        """The edge of a change that lies in (not_before, seen]."""
        if self is EdgePolicy.SEEN:
            return seen
        return not_before if self is EdgePolicy.NOT_BEFORE else (not_before + seen) // 2


@dataclass(frozen=True, slots=True)
class Rules:
    """How facts are read."""

    edges: EdgePolicy = EdgePolicy.SEEN
    bridge_ms: int = 0
    """Unknown time of at most this length between two stays in the same status counts as that status."""


DEFAULT_RULES: Final = Rules()


class Piece(NamedTuple):
    """Covered time [start, end): a stretch, perhaps with its live extension. Sure until `end_not_before`."""

    start: int
    end: int
    end_not_before: int


@dataclass(frozen=True, slots=True)
class CoveredTime:
    """When each source was looking, and how what it saw is to be read."""

    pieces: Mapping[int, tuple[Piece, ...]]
    """By source, in order of time, without overlap."""
    exact: frozenset[int]
    """The sources whose changes are exact."""
    provisional_from: int | None
    """From here on the recorder's last piece is extended beyond its last poll; None: it is not."""
    rules: Rules = DEFAULT_RULES

    def is_provisional(self, end: int) -> bool:
        """Whether covered time that ends at `end` rests on the live extension."""
        return self.provisional_from is not None and end > self.provisional_from


class Tile(NamedTuple):
    """A stay, or a time of not knowing, with its own edges: it may reach beyond the window that was asked for.

    A tile without length has no known time, but may have begun at `start_not_before`: a status that was seen by the
    last poll of a stretch only.
    """

    start: int
    end: int
    status: Status
    quality: Quality
    start_not_before: int
    start_not_after: int
    end_not_before: int
    end_not_after: int


def covered_time(facts: HistoryFacts, now: int, rules: Rules = Rules()) -> CoveredTime:
    """The covered time of `facts`, with the live extension.

    While the latest run is not ended, its stretch is taken to go on until now, as long as the next poll can still
    continue it: the last one is at most the gap limit ago. The millisecond `now` itself counts as covered then.
    """
    pieces = {source.id: _pieces(source) for source in facts.sources}
    exact = frozenset(source.id for source in facts.sources if source.exact)
    if facts.stretches and facts.run_open and facts.stretches[-1].ended is None:
        latest = facts.stretches[-1].stretch
        if 0 <= now - latest.last <= latest.gap_limit_ms:
            recorder = pieces[RECORDER]
            pieces[RECORDER] = (*recorder[:-1], recorder[-1]._replace(end=now + 1))
            return CoveredTime(pieces, exact, latest.last, rules)
    return CoveredTime(pieces, exact, None, rules)


def tiles(agent: AgentFacts, covered: CoveredTime, window: Window) -> Iterator[Tile]:
    """The tiles of all tracked time of `agent` that touch `window`, in order and unclipped.

    Inside the window they leave no hole and do not overlap. The first may have begun before what was read of the
    history, the last may end after it: only edges inside the window are to be trusted.
    """
    limit = covered.rules.bridge_ms
    if not limit:
        return _tiles(agent, covered, window)
    # A gap is bridged for what lies on both sides of it, which may be outside the window. The tile that ends where the
    # window begins is for counting: it tells whether a stay goes on or begins there.
    wide = Window(window.since - limit - 1, window.until + limit + 1)
    return (
        tile
        for tile in _bridged(_tiles(agent, covered, wide), limit, agent.changes)
        if tile.end_not_after >= window.since and tile.start_not_before < window.until
    )


def intervals(agent: AgentFacts, covered: CoveredTime, window: Window) -> Iterator[tuple[Interval, Tile]]:
    """What `agent` did in `window`: intervals clipped to the times in scope, each with the tile that it was cut from.

    They tile `agent.scope(window)` exactly.
    """
    for scope in agent.scope(window):
        for tile in tiles(agent, covered, Window(scope.start, scope.end)):
            start, end = max(tile.start, scope.start), min(tile.end, scope.end)
            if start < end:
                yield _clipped(agent.agent_id, tile, start, end, scope), tile


def totals(agent: AgentFacts, covered: CoveredTime, window: Window) -> dict[Status, Total]:
    """The time of `agent` in each status inside `window`, and how often the status began there.

    Times of all statuses together are the length of `agent.scope(window)`. Totals of adjoining windows add up, the
    bounds too.
    """
    if agent.totals is not None:
        return dict(agent.totals)
    result: dict[Status, Total] = {}
    for start, end in agent.scope(window):
        add_up(tiles(agent, covered, Window(start, end)), start, end, result)
    for status, total in result.items():
        total.provisional = status.kind is not Kind.UNKNOWN and covered.is_provisional(total.possible_until)
    return {status: total for status, total in result.items() if total.most}


def add_up(found: Iterable[Tile], since: int, until: int, result: dict[Status, Total]) -> None:
    """Add the tiles' time in [since, until) to `result`; windows must come in order of time."""
    bridge_before = instant_before = False
    for start, end, status, quality, start_not_before, start_not_after, end_not_before, end_not_after in found:
        total = result.get(status)
        if total is None:
            total = result[status] = Total()
        is_bridge = quality is Quality.BRIDGED
        # Comparisons instead of min() and max(): this runs for every stay of every agent.
        clipped_end = end if end < until else until
        clipped_start = start if start > since else since
        if clipped_start < clipped_end:
            total.time += clipped_end - clipped_start
            if is_bridge:
                total.bridged += clipped_end - clipped_start
                total.stays += instant_before and start >= since
            elif start >= since and not bridge_before:
                total.stays += 1
        sure_start = start_not_after if start_not_after > since else since
        sure_end = end_not_before if end_not_before < until else until
        if sure_start < sure_end and not is_bridge:
            total.least += sure_end - sure_start
        possible_start = start_not_before if start_not_before > since else since
        possible_end = end_not_after if end_not_after < until else until
        if possible_start < total.possible_until:
            possible_start = total.possible_until
        if possible_start < possible_end:
            total.most += possible_end - possible_start
            total.possible_until = possible_end
        bridge_before, instant_before = is_bridge, start == end


def _pieces(source: Source) -> tuple[Piece, ...]:
    return tuple(
        Piece(known.stretch.started, known.stretch.last, max(known.stretch.started, known.stretch.last_sent))
        for known in source.stretches
    )


def _tiles(agent: AgentFacts, covered: CoveredTime, window: Window) -> Iterator[Tile]:
    spells = [spell for spell in agent.spells if spell.start < window.until and spell.end > window.since]
    if len(spells) == 1:
        spell = spells[0]
        yield from _filled(_known(spell, covered, window), (Period(spell.start, spell.end),), window)
    elif spells:
        known = merge(*(_known(spell, covered, window) for spell in spells), key=lambda tile: tile[:2])
        yield from _joined(_filled(known, union(Period(spell.start, spell.end) for spell in spells), window))


def _joined(found: Iterator[Tile]) -> Iterator[Tile]:
    """Touching tiles of one status and quality as one: where one import ends and another begins, nothing happened."""
    before = next(found, None)
    for tile in found:
        assert before is not None
        if (tile.start, tile.status, tile.quality) == (
            before.end,
            before.status,
            before.quality,
        ) and tile.start < tile.end:
            before = before._replace(end=tile.end, end_not_before=tile.end_not_before, end_not_after=tile.end_not_after)
        else:
            yield before
            before = tile
    if before is not None:
        yield before


def _filled(known: Iterator[Tile], tracked: tuple[Period, ...], window: Window) -> Iterator[Tile]:
    """Those of the known tiles that touch the window, and unknown ones in what they leave of the tracked time."""
    since, until = window.since, window.until
    tile = next(known, None)
    for start, end in tracked:
        known_until = start
        # One without length at the very end of tracking belongs to it.
        while tile is not None and (tile.start < end or tile.end == end):
            if tile.start > known_until and tile.start > since and known_until < until:
                yield _unknown(known_until, tile.start)
            if tile.end_not_after > since and tile.start_not_before < until:
                yield tile
            known_until = tile.end
            tile = next(known, None)
        if known_until < end and known_until < until and end > since:
            yield _unknown(known_until, end)


def _unknown(start: int, end: int) -> Tile:
    return Tile(start, end, UNKNOWN, Quality.UNKNOWN, start, start, end, end)


def _known(spell: Spell, covered: CoveredTime, window: Window) -> Iterator[Tile]:
    """The tiles of the covered time of one spell in the window, and around it one that ends or begins a gap."""
    pieces = covered.pieces.get(spell.source, ())
    for piece in islice(pieces, max(0, bisect_right(pieces, window.since, key=_END) - 1), None):
        start, end = max(piece.start, spell.start), min(piece.end, spell.end)
        if start >= end:  # one poll alone, or outside the spell: no time is known by it
            continue
        if end <= window.since or start >= window.until:
            yield _unknown(start, end)  # whatever it was: it is not asked for
        else:
            sure_until = piece.end_not_before if end == piece.end else end
            if end == spell.end:
                sure_until = min(sure_until, spell.end_not_before)
            yield from _stays(spell, Piece(start, end, max(start, sure_until)), covered, window)
        if end >= window.until:
            return


def _stays(spell: Spell, known: Piece, covered: CoveredTime, window: Window) -> Iterator[Tile]:
    """The stays in covered and tracked time, from the one that holds the window's start to the last that touches it."""
    start, end, sure_until = known
    changes, policy = spell.changes, covered.rules.edges
    at_receipt = policy is EdgePolicy.SEEN
    quality = Quality.EXACT if spell.source in covered.exact else Quality.SAMPLED
    index = bisect_right(changes, max(start, window.since), key=_SEEN)
    status, edge, not_before, not_after = UNKNOWN, start, start, start
    if index:
        seen, unchanged, _, status = changes[index - 1]
        if seen > start:
            not_before, not_after = seen if unchanged is None else max(unchanged, start), seen
            edge = policy.place(not_before, seen)
    for i in range(index, len(changes)):
        seen, unchanged, _, to_status = changes[i]
        if seen > end:
            break
        lower = seen if unchanged is None else unchanged if unchanged > start else start
        placed = seen if at_receipt else policy.place(lower, seen)
        yield Tile(edge, placed, status, quality, not_before, not_after, lower, seen)
        if lower >= window.until:
            return
        status, edge, not_before, not_after = to_status, placed, lower, seen
    yield Tile(edge, end, status, quality, not_before, not_after, sure_until, end)


def _bridged(found: Iterator[Tile], limit: int, changes: tuple[Change, ...]) -> Iterator[Tile]:
    """The tiles, where an unknown one of at most `limit` between two equal statuses takes that status, as bridged."""
    before: Tile | None = None
    gap: Tile | None = None
    for tile in found:
        if gap is not None:
            bridges = before is not None and _is_bridge(before, gap, tile, changes)
            yield gap._replace(status=tile.status, quality=Quality.BRIDGED) if bridges else gap
            gap = None
        if tile.status.kind is Kind.UNKNOWN and tile.end - tile.start <= limit:
            gap = tile
            continue
        before = tile
        yield tile
    if gap is not None:
        yield gap


def _is_bridge(before: Tile, gap: Tile, after: Tile, changes: tuple[Change, ...]) -> bool:
    """Whether nothing speaks against the status around a gap: a lone poll inside may have seen another one."""
    if before.status != after.status or before.end != gap.start or gap.end != after.start:
        return False
    index = bisect_right(changes, gap.start, key=_SEEN)
    return index == len(changes) or changes[index].seen >= gap.end


def _clipped(agent_id: str, tile: Tile, start: int, end: int, scope: Period) -> Interval:
    def inside(at: int) -> int:
        return min(max(at, scope.start), scope.end)

    return Interval(
        agent_id=agent_id,
        start=start,
        end=end,
        status=tile.status,
        quality=tile.quality,
        start_not_before=inside(tile.start_not_before),
        start_not_after=inside(tile.start_not_after),
        end_not_before=inside(tile.end_not_before),
        end_not_after=inside(tile.end_not_after),
    )
