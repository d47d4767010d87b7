"""From recorded facts to time: which status an agent was in, from when to when, and how sure that is. Pure.

Edge policy `seen`: a status holds from the receipt of the poll that first saw it until the receipt of the poll that
first saw another. It is carried only inside a stretch of coverage; all other tracked time is `unknown`, also between
two equal statuses. Tiles, intervals and totals are exact in integer milliseconds, so they add up over agents,
statuses and adjoining windows.

How sure: a change seen by a poll received at r, where the poll before was sent at s, happened in (s, r]. So a stay
lasts surely from its own r to the s of the next change, and possibly from its own s to the r of the next change. The
start of a stretch and the start and the end of tracking are decisions of the recorder, not changes of the agent: as
edges of what is known they are exact. At the end of a stretch the status is sure until its last poll was sent and
taken to hold until that poll was received. All of this assumes that no excursion hid between two polls that saw the
same status.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.history.facts import AgentFacts, Change, HistoryFacts, Period
from exporter.history.window import Window
from exporter.model import UNKNOWN, Interval, Kind, Quality, Status

EDGE_POLICY: Final = "seen"

_SEEN: Final = attrgetter("seen")
_END: Final = attrgetter("end")


class Piece(NamedTuple):
    """Covered time [start, end): a stretch, perhaps with its live extension. Sure until `end_not_before`."""

    start: int
    end: int
    end_not_before: int


@dataclass(frozen=True, slots=True)
class CoveredTime:
    """When polls were complete, in order of time, without overlap."""

    pieces: tuple[Piece, ...]
    provisional_from: int | None
    """From here on the last piece is extended beyond its last poll; None: it is not."""

    def is_provisional(self, end: int) -> bool:
        """Whether covered time that ends at `end` rests on the live extension."""
        return self.provisional_from is not None and end > self.provisional_from


class Tile(NamedTuple):
    """A stay, or a time of not knowing, with its own edges: it may reach beyond the window that was asked for.

    A tile without length is a status that was seen by the last poll of a stretch only: it had no known time, but may
    have begun at `start_not_before`.
    """

    start: int
    end: int
    status: Status
    start_not_before: int
    end_not_before: int


@dataclass(slots=True)
class Total:
    """Time of an agent in one status inside a window, in milliseconds: least ≤ time ≤ most."""

    time: int = 0
    least: int = 0
    most: int = 0
    stays: int = 0
    """Tiles whose start edge lies in the window."""
    provisional: bool = False
    """Whether it reaches beyond the latest poll."""
    possible_until: int = 0
    """Where the time counted in `most` ends. Where another status was seen by one poll only, the stays around it may
    possibly overlap: that time is counted once."""


def covered_time(facts: HistoryFacts, now: int) -> CoveredTime:
    """The covered time of `facts`, with the live extension.

    While the latest run is not ended, its stretch is taken to go on until now, as long as the next poll can still
    continue it: the last one is at most the gap limit ago. The millisecond `now` itself counts as covered then.
    """
    pieces = [
        Piece(known.stretch.started, known.stretch.last, max(known.stretch.started, known.stretch.last_sent))
        for known in facts.stretches
    ]
    if facts.stretches and facts.run_open and facts.stretches[-1].ended is None:
        latest = facts.stretches[-1].stretch
        if 0 <= now - latest.last <= latest.gap_limit_ms:
            pieces[-1] = pieces[-1]._replace(end=now + 1)
            return CoveredTime(tuple(pieces), provisional_from=latest.last)
    return CoveredTime(tuple(pieces), provisional_from=None)


def tiles(agent: AgentFacts, covered: CoveredTime, window: Window) -> Iterator[Tile]:
    """The tiles of all tracked time of `agent` that touch `window`, in order and unclipped.

    Inside the window they leave no hole and do not overlap. The first may have begun before what was read of the
    history, the last may end after it: only edges inside the window are to be trusted.
    """
    for period in agent.tracked:
        if period.start < window.until and period.end > window.since:
            yield from _tiles_of_period(agent.changes, period, covered.pieces, window)


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
    result: dict[Status, Total] = {}
    for start, end in agent.scope(window):
        _add_up(tiles(agent, covered, Window(start, end)), start, end, result)
    for status, total in result.items():
        total.provisional = status.kind is not Kind.UNKNOWN and covered.is_provisional(total.possible_until)
    return {status: total for status, total in result.items() if total.most}


def status_at(agent: AgentFacts, covered: CoveredTime, at: int) -> tuple[Status, int | None] | None:
    """The status of `agent` at the instant, and since when: the last recorded change into it, however long ago.

    None if the agent is not tracked (or not in scope) then; unknown has no since.
    """
    for interval, _ in intervals(agent, covered, Window(at, at + 1)):
        if interval.status.kind is Kind.UNKNOWN:
            return UNKNOWN, None
        index = bisect_right(agent.changes, at, key=_SEEN)
        return interval.status, agent.changes[index - 1].seen
    return None


def _tiles_of_period(
    changes: tuple[Change, ...], period: Period, pieces: tuple[Piece, ...], window: Window
) -> Iterator[Tile]:
    """The tiles of one tracking period that touch the window."""
    first = max(0, bisect_right(pieces, window.since, key=_END) - 1)
    known_until = period.start
    for piece in pieces[first:]:
        start, end = max(piece.start, period.start), min(piece.end, period.end)
        if start >= end:  # one poll alone, or outside the period: no time is known by it
            continue
        if start > known_until and start > window.since:
            yield Tile(known_until, start, UNKNOWN, known_until, start)
        if start >= window.until:
            return
        if end > window.since:
            sure_until = max(start, piece.end_not_before) if end == piece.end else end
            yield from _known_tiles(changes, start, end, sure_until)
        known_until = end
        if known_until >= window.until:
            return
    if known_until < period.end:
        yield Tile(known_until, period.end, UNKNOWN, known_until, period.end)


def _known_tiles(changes: tuple[Change, ...], start: int, end: int, sure_until: int) -> Iterator[Tile]:
    """The stays in the covered and tracked time [start, end)."""
    index = bisect_right(changes, start, key=_SEEN)
    status = changes[index - 1].to_status if index else UNKNOWN
    stay_start = stay_not_before = start
    for i in range(index, len(changes)):
        seen, not_before, _, to_status = changes[i]
        if seen > end:
            break
        edge = seen if not_before is None else max(not_before, start)
        yield Tile(stay_start, seen, status, stay_not_before, edge)
        status, stay_start, stay_not_before = to_status, seen, edge
    yield Tile(stay_start, end, status, stay_not_before, sure_until)


def _clipped(agent_id: str, tile: Tile, start: int, end: int, scope: Period) -> Interval:
    return Interval(
        agent_id=agent_id,
        start=start,
        end=end,
        status=tile.status,
        quality=Quality.UNKNOWN if tile.status.kind is Kind.UNKNOWN else Quality.SAMPLED,
        start_not_before=max(tile.start_not_before, scope.start),
        end_not_before=min(max(tile.end_not_before, scope.start), scope.end),
    )


def _add_up(found: Iterator[Tile], since: int, until: int, result: dict[Status, Total]) -> None:
    """Add the tiles' time in [since, until) to `result`; windows must come in order of time."""
    for start, end, status, start_not_before, end_not_before in found:
        total = result.get(status)
        if total is None:
            total = result[status] = Total()
        # Comparisons instead of min() and max(): this runs for every stay of every agent.
        clipped_end = end if end < until else until
        clipped_start = start if start > since else since
        if clipped_start < clipped_end:
            total.time += clipped_end - clipped_start
            sure_end = end_not_before if end_not_before < until else until
            if sure_end > clipped_start:
                total.least += sure_end - clipped_start
            if start >= since:
                total.stays += 1
        possible_start = start_not_before if start_not_before > since else since
        if possible_start < total.possible_until:
            possible_start = total.possible_until
        if possible_start < clipped_end:
            total.most += clipped_end - possible_start
            total.possible_until = clipped_end
