"""The recorded changes with what tells how sure they are: their source, their edge, whether a gap hid them. Pure."""

from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.history.algebra import CoveredTime
from exporter.history.facts import AgentFacts, Change, Spell
from exporter.model import Quality

_START: Final = attrgetter("start")


class SeenChange(NamedTuple):
    """A change and how it was seen."""

    change: Change
    edge: int
    """Where the edge policy puts it. Behind a gap it is where the stretch begins: there the new status is known."""
    through_gap: bool
    """It happened while nobody was looking, or just before or after: no poll of the stretch saw the status before."""
    quality: Quality
    """EXACT or SAMPLED."""


def seen_changes(agent: AgentFacts, covered: CoveredTime) -> Iterator[SeenChange]:
    """The changes of `agent` as they were read, first observations among them, in order of `seen` in each spell."""
    for spell in agent.spells:
        for change in spell.changes:
            yield _seen(change, spell, covered)


def is_selected(agent: AgentFacts, at: int) -> bool:
    """Whether a report may speak of a change of `agent` at the instant."""
    return agent.selected is None or any(start <= at < end for start, end in agent.selected)


def _seen(change: Change, spell: Spell, covered: CoveredTime) -> SeenChange:
    quality = Quality.EXACT if spell.source in covered.exact else Quality.SAMPLED
    if change.from_status is None or change.not_before is None:
        return SeenChange(change, change.seen, False, quality)
    if change.not_before == change.seen:
        return SeenChange(change, change.seen, False, quality)
    pieces = covered.pieces.get(spell.source, ())
    place = bisect_right(pieces, change.seen, key=_START) - 1
    # A stretch that was not read begins behind the window: a change of it that was read is seen by its first poll.
    if place < 0 or pieces[place].end < change.seen or pieces[place].start == change.seen:
        return SeenChange(change, change.seen, True, quality)
    lower = max(change.not_before, pieces[place].start, spell.start)
    return SeenChange(change, covered.rules.edges.place(lower, change.seen), False, quality)
