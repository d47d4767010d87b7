"""Whole stays: how long an agent was in one status without a break, however many tiles that takes. Pure.

A stay is a run of tiles of one status that adjoin, gaps that the rules bridge among them. Facts that were read with
`whole_stays` tell when a stay ends that reaches beyond the window; without that its end is not to be trusted.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from exporter.history.algebra import CoveredTime, Tile, tiles
from exporter.history.facts import FOREVER, AgentFacts
from exporter.history.window import Window
from exporter.model import Kind, Quality, Status

_ALL_THAT_WAS_READ: Final = Window(-FOREVER, FOREVER)


class Stay(NamedTuple):
    """A stay [start, end) in milliseconds since 1970-01-01 UTC, unclipped; its edges are placed by the edge policy.

    The true start lies in [start_not_before, start_not_after] and the true end in [end_not_before, end_not_after], as
    far as neither is cut.
    """

    start: int
    end: int
    status: Status
    start_not_before: int
    start_not_after: int
    end_not_before: int
    end_not_after: int
    cut_start: bool
    """Nobody saw it begin: it stands at the end of a gap, or at the start of tracking or of the recording."""
    cut_end: bool
    """Nobody saw it end: it stands before a gap, at the end of tracking or of the recording, or is open."""
    open: bool
    """It goes on, as far as is known: it reaches beyond the latest poll."""
    bridged: int
    """Milliseconds of the gaps inside that were bridged."""
    least: int
    """Milliseconds that it surely lasted, counted as totals are: bridged gaps are not among them."""

    @property
    def length(self) -> int:
        """Milliseconds, bridged gaps included; the least that was seen of it, but for those, if it is censored."""
        return self.end - self.start

    @property
    def censored(self) -> bool:
        """Whether its true length is not known, because an edge is cut."""
        return self.cut_start or self.cut_end


def stays(agent: AgentFacts, covered: CoveredTime, window: Window) -> Iterator[Stay]:
    """The stays of `agent` that touch `window`, in order of time, whatever times are selected.

    Unknown time is no stay, nor is a status that has no length by the edge policy. A stay is followed through bridged
    gaps as far as the facts were read.
    """
    exact_starts = {change.seen for change in agent.changes if change.from_status is not None}
    run: list[Tile] = []
    for tile in tiles(agent, covered, _ALL_THAT_WAS_READ):
        if run and tile.status == run[-1].status and tile.start == run[-1].end:
            run.append(tile)
            continue
        if _is_wanted(run, window):
            yield _stay(run, tile, covered, exact_starts)
        if tile.start >= window.until:
            return
        run = [tile]
    if _is_wanted(run, window):
        yield _stay(run, None, covered, exact_starts)


def _is_wanted(run: Sequence[Tile], window: Window) -> bool:
    if not run or run[0].status.kind is Kind.UNKNOWN:
        return False
    return max(run[0].start, window.since) < min(run[-1].end, window.until)


def _stay(run: Sequence[Tile], following: Tile | None, covered: CoveredTime, exact_starts: set[int]) -> Stay:
    first, last = run[0], run[-1]
    is_open = covered.is_provisional(last.end)
    ends_seen = following is not None and following.start == last.end and _begins_seen(following, exact_starts)
    return Stay(
        start=first.start,
        end=last.end,
        status=first.status,
        start_not_before=first.start_not_before,
        start_not_after=first.start_not_after,
        end_not_before=last.end_not_before,
        end_not_after=last.end_not_after,
        cut_start=not _begins_seen(first, exact_starts),
        cut_end=is_open or not ends_seen,
        open=is_open,
        bridged=sum(tile.end - tile.start for tile in run if tile.quality is Quality.BRIDGED),
        least=sum(
            max(0, tile.end_not_before - tile.start_not_after) for tile in run if tile.quality is not Quality.BRIDGED
        ),
    )


def _begins_seen(tile: Tile, exact_starts: set[int]) -> bool:
    """Whether the tile begins with a change, not where somebody began to look.

    The bracket of a change that polls saw inside a stretch has a length; where a stretch begins it has none. A log
    tells changes without one.
    """
    if tile.start_not_before < tile.start_not_after:
        return True
    return tile.quality is Quality.EXACT and tile.start_not_after in exact_starts
