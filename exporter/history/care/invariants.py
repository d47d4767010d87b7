"""What must hold of the facts in a database, as far as no constraint of its tables sees to it. Pure.

Each function yields a sentence for every fault that it finds. Instants are milliseconds since 1970-01-01 UTC.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from exporter.clock import utc_text
from exporter.history.facts import FOREVER, RECORDER
from exporter.history.schema import AGENT_BITS, AGENT_MASK


class StretchRow(NamedTuple):
    """A stretch of coverage: known time [started, last)."""

    source: int
    started: int
    last: int
    is_open: bool


class SpellRow(NamedTuple):
    """A spell of tracking of a track by a source; `until` is FOREVER while it goes on."""

    track: int
    since: int
    until: int
    source: int


TransitionRow = tuple[int, int, int | None, int | None]
"""moment, to_status, from_status, uncertainty."""


class Names:
    """What tracks are called in a sentence."""

    def __init__(self, tracks: Mapping[int, tuple[str, int]]) -> None:
        """`tracks`: agent_id and lane by track."""
        self._tracks: Final = tracks

    def __call__(self, track: int) -> str:
        """Such as `agent 1001`."""
        agent_id, lane = self._tracks.get(track, (f"that no table knows ({track})", 0))
        return f"agent {agent_id}" + (f" in lane {lane}" if lane else "")

    def agent_of(self, track: int) -> str:
        """The agent that the track belongs to."""
        return self._tracks[track][0] if track in self._tracks else ""


def stretch_faults(stretches: Sequence[StretchRow]) -> Iterator[str]:
    """Stretches of a source neither overlap nor touch, and only the recorder's latest one may still go on."""
    ordered = sorted(stretches)
    for before, after in pairwise(ordered):
        if before.source == after.source and after.started <= before.last:
            yield (
                f"the stretch of {_source(after.source)} that begins at {utc_text(after.started)} overlaps or touches "
                f"the one before it, which ends at {utc_text(before.last)}"
            )
        if before.is_open and before.source == after.source:
            yield f"the stretch that begins at {utc_text(before.started)} goes on, though a later one has begun"
    for stretch in ordered:
        if stretch.is_open and stretch.source != RECORDER:
            yield f"a stretch of {_source(stretch.source)} goes on, though only the recorder's can"


def spell_faults(spells: Sequence[SpellRow], names: Names) -> Iterator[str]:
    """Spells of a track neither overlap nor touch, and only the recorder's may still go on."""
    for before, after in pairwise(sorted(spells)):
        if before.track == after.track and after.since <= before.until:
            yield (
                f"{names(after.track)}: the spell of tracking that begins at {utc_text(after.since)} overlaps or "
                "touches the one before it"
            )
    for spell in spells:
        if spell.until == FOREVER and spell.source != RECORDER:
            yield f"{names(spell.track)}: {_source(spell.source)} tracks on, though only the recorder can"


def tracking_faults(
    spells: Iterable[SpellRow], stretches: Iterable[StretchRow], water_mark: int | None, names: Names
) -> Iterator[str]:
    """A spell begins and ends with polls of its source: inside its stretches, unless that was before the water-mark."""
    covered: dict[int, list[StretchRow]] = {}
    for stretch in sorted(stretches):
        covered.setdefault(stretch.source, []).append(stretch)
    mark = -1 if water_mark is None else water_mark
    for spell in spells:
        pieces = covered.get(spell.source, [])
        for at, does in ((spell.since, "begins"), (spell.until, "ends")):
            if mark < at < FOREVER and not _holds(pieces, at):
                yield f"{names(spell.track)}: a spell of tracking {does} at {utc_text(at)}, when nobody was looking"


def source_faults(spells: Iterable[SpellRow], stretches: Iterable[StretchRow], names: Names) -> Iterator[str]:
    """No agent is covered twice at the same time."""
    covered: dict[int, list[StretchRow]] = {}
    for stretch in sorted(stretches):
        covered.setdefault(stretch.source, []).append(stretch)
    of_agent: dict[str, list[SpellRow]] = {}
    for spell in spells:
        of_agent.setdefault(names.agent_of(spell.track), []).append(spell)
    for agent_id, found in of_agent.items():
        if len({spell.track for spell in found}) > 1:
            known = sorted(period for spell in found for period in _known(spell, covered.get(spell.source, [])))
            for before, after in pairwise(known):
                if after[0] < before[1]:
                    yield (
                        f"agent {agent_id} is covered by {_source(before[2])} and by {_source(after[2])} at "
                        f"{utc_text(after[0])}"
                    )


class _Chain:
    """Where the reading of one track's transitions is."""

    __slots__ = ("begun", "index", "spells", "status")

    def __init__(self, spells: Sequence[SpellRow]) -> None:
        self.spells = spells
        self.index = 0
        self.begun = False
        """Whether the spell at `index` has had a transition."""
        self.status: int | None = None


def chain_faults(
    rows: Iterable[TransitionRow],
    spells: Iterable[SpellRow],
    statuses: Collection[int],
    water_mark: int | None,
    names: Names,
) -> Iterator[str]:
    """Each spell begins with a first observation, each further change comes out of the status before it.

    A spell that began before the water-mark begins with the change that was carried into it. What an interrupted purge
    has left of spells that are gone is passed over. `rows` come in order of their moments.
    """
    chains: dict[int, _Chain] = {}
    by_track: dict[int, list[SpellRow]] = {}
    for spell in sorted(spells):
        by_track.setdefault(spell.track, []).append(spell)
    for track, found in by_track.items():
        chains[track] = _Chain(found)
    mark = -1 if water_mark is None else water_mark
    nowhere = _Chain(())
    for row in rows:
        track, seen, to_status = row[0] & AGENT_MASK, row[0] >> AGENT_BITS, row[1]
        chain = chains.get(track, nowhere)
        for spell in _passed(chain, seen):
            yield _without_beginning(spell, names)
        fault = _fault_of(chain, row, statuses, mark)
        if fault:
            yield f"{names(track)}: the change seen at {utc_text(seen)} {fault}"
        if chain is not nowhere:
            chain.begun, chain.status = True, to_status
    for chain in chains.values():
        for spell in _passed(chain, FOREVER + 1):
            yield _without_beginning(spell, names)


def _passed(chain: _Chain, seen: int) -> Iterator[SpellRow]:
    """Go to the spell that holds `seen`, or lies behind it; the spells without any transition that were passed."""
    while chain.index < len(chain.spells) and chain.spells[chain.index].until < seen:
        if not chain.begun:
            yield chain.spells[chain.index]
        chain.index, chain.begun, chain.status = chain.index + 1, False, None


def _fault_of(chain: _Chain, row: TransitionRow, statuses: Collection[int], mark: int) -> str:
    """What is wrong with a transition; empty if nothing is."""
    moment, to_status, from_status, uncertainty = row
    seen = moment >> AGENT_BITS
    if to_status not in statuses or not (from_status is None or from_status in statuses):
        return "has a status that no table knows"
    if (from_status is None) != (uncertainty is None) or (uncertainty is not None and uncertainty <= 0):
        return "has no lower bound that lies before it"
    if chain.index >= len(chain.spells) or seen < chain.spells[chain.index].since:
        return "was seen while the agent was not tracked" if seen >= mark else ""
    spell = chain.spells[chain.index]
    if not chain.begun:
        return _fault_of_first(spell, seen, from_status, mark)
    if from_status is None:
        return "is a first observation in the middle of a spell of tracking"
    return "" if from_status == chain.status else "does not come out of the status before it"


def _fault_of_first(spell: SpellRow, seen: int, from_status: int | None, mark: int) -> str:
    if from_status is None:
        return "" if seen == spell.since else "is a first observation, but not where the tracking begins"
    # The purge has removed what came before.
    return "" if spell.since < mark and seen <= mark else "has no first observation before it"


def _without_beginning(spell: SpellRow, names: Names) -> str:
    return (
        f"{names(spell.track)}: no status is recorded in the spell of tracking that begins at {utc_text(spell.since)}"
    )


def _holds(pieces: Sequence[StretchRow], at: int) -> bool:
    index = bisect_right(pieces, at, key=lambda piece: piece.started) - 1
    return index >= 0 and at <= pieces[index].last


def _known(spell: SpellRow, pieces: Sequence[StretchRow]) -> Iterator[tuple[int, int, int]]:
    """The covered time of a spell: start, end, source."""
    for piece in pieces:
        start, end = max(spell.since, piece.started), min(spell.until, piece.last)
        if start < end:
            yield start, end, spell.source


def _source(source: int) -> str:
    return "the recorder" if source == RECORDER else f"import {source}"
