"""The status of an agent at one instant: how it is known, and since when the agent is in it. Pure."""

from bisect import bisect_right
from typing import NamedTuple

from exporter.history.algebra import CoveredTime, Tile, intervals, tiles
from exporter.history.facts import AgentFacts, Change, Spell
from exporter.history.window import Window
from exporter.model import Kind, Quality, Status


class StatusAt(NamedTuple):
    """What is known of an agent at an instant."""

    status: Status
    since: int | None
    """When the agent was first seen in the status, as far as nothing that is recorded speaks against it; ms. None for
    unknown."""
    quality: Quality


def status_at(agent: AgentFacts, covered: CoveredTime, at: int) -> StatusAt | None:
    """The status of `agent` at the instant (ms), and since when.

    That is the last recorded change into it, however long ago and whatever gaps lie between. But if another source
    recorded another status after that change, it is the first sight of the status after that. The facts must reach
    back to the change (`HistoryReader.facts` with `back_to_changes`).

    None if the agent is not tracked (or not in scope) then.
    """
    for interval, tile in intervals(agent, covered, Window(at, at + 1)):
        known = interval.status.kind is not Kind.UNKNOWN
        return StatusAt(interval.status, _since(agent, covered, tile, at) if known else None, interval.quality)
    return None


def _since(agent: AgentFacts, covered: CoveredTime, tile: Tile, at: int) -> int | None:
    for spell in agent.spells:
        if not spell.start <= at < spell.end:
            continue
        index = bisect_right(spell.changes, max(at, tile.start_not_after), key=lambda change: change.seen)
        if index and spell.changes[index - 1].to_status == tile.status:
            change = _edge(spell, covered, spell.changes[index - 1])
            return change if len(agent.spells) == 1 else _uncontradicted(agent, spell, covered, tile, change, at)
    return None


def _edge(spell: Spell, covered: CoveredTime, change: Change) -> int:
    """Where the policy puts the change."""
    if change.not_before is None or change.not_before < spell.start:
        return change.seen
    return covered.rules.edges.place(change.not_before, change.seen)


def _uncontradicted(agent: AgentFacts, spell: Spell, covered: CoveredTime, tile: Tile, since: int, at: int) -> int:
    """`since`, or the first start of known time in the tile's status after the last sight of another one."""
    # A lone poll knows no time, so that it has no tile.
    others = (change for other in agent.spells if other is not spell for change in other.changes)
    seen = max((c.seen for c in others if since < c.seen <= at and c.to_status != tile.status), default=since)
    result = since if seen == since else None
    for known in tiles(agent, covered, Window(since, at + 1)):
        if known.start > at or known.status.kind is Kind.UNKNOWN:
            continue
        if known.status != tile.status:
            result = None if known.end > since else result
        elif result is None and known.start_not_after >= seen:
            result = known.start
    return tile.start if result is None else result
