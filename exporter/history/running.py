"""Running totals: how long a track was in each status from its first fact on until an instant. Pure.

The totals of a window are the difference of the totals until its end and until its start, all four numbers of them,
because totals of adjoining windows add up. So they cost what lies between the two edges and the checkpoint before each,
whatever lies between the edges. What they are is defined by `exporter.history.algebra` (edges where they were seen,
nothing bridged); here they are folded from transitions in the order of time, a line of integers for each, without a
value for every stay.

A *run* is the covered and tracked time of one spell in one piece of its source's coverage: the fold goes from run to
run and, inside one, from change to change.

What is known at a checkpoint of the stay that is open there follows from the transition into it, so only the stays that
have ended are counted until then. Of the time that a stay possibly lasted, what may as well belong to the open stay of
the same status (a third one was seen by a single poll between the two) is counted with the open one alone.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, pairwise
from operator import attrgetter
from typing import Final

from exporter.history.algebra import Piece
from exporter.history.facts import FOREVER, RECORDER, Period, Spell, union
from exporter.history.schema import AGENT_BITS, AGENT_MASK, EXACT
from exporter.history.sums import FIGURES, NO_STATUS, Sums, grow, slot

Row = tuple[int, int, int]
"""Of a transition: moment, to_status, uncertainty; EXACT also for a first observation, which has none."""

NO_MOMENT: Final = -1
"""In the place of the moment of a track that has had no transition."""

_LOT: Final = 100_000
"""How many transitions are held in memory at once: some 10 MB."""
_END: Final = attrgetter("end")


Carried = tuple[int, int, int | None, int]
"""The transition that a track is in at the beginning of a fold: moment, to_status, from_status, uncertainty."""


class Coverage:
    """When one source was looking."""

    __slots__ = ("ends", "pieces")

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        """Pieces in order of time; those without length prove nothing and are left out."""
        self.pieces: Final = [piece for piece in pieces if piece.start < piece.end]
        self.ends: Final = [piece.end for piece in self.pieces]


_NEVER: Final = Coverage()


class Track:
    """Where the fold is in one track."""

    __slots__ = (
        "at", "before", "carried", "covered", "end", "id", "piece", "possible", "reached", "since", "source", "spell",
        "spells", "start", "sums", "sure_until", "tracked",
    )  # fmt: skip

    def __init__(
        self,
        id_: int,
        spells: Sequence[Spell],
        covered: Mapping[int, Coverage],
        sums: Sums,
        at: int,
        into: Carried | None,
    ) -> None:
        """The track at the checkpoint `at` (-1: at the beginning), with the sums until then and the transition into
        the status of then, if it was tracked. `covered` needs no piece that ended before `at`."""
        self.id: Final = id_
        self.spells: Final = spells
        """All of the track that end at or after `at`, in order of time."""
        self.covered: Final = covered
        self.sums: Final = sums
        self.tracked = into is not None
        """Whether it was tracked at the checkpoint before."""
        self.reached: set[int] | None = None
        """At the end of the fold: the statuses that are possible until then."""
        self.spell = -1
        self.piece = 0
        self.source = _NEVER
        self.start = self.end = self.sure_until = FOREVER
        """The run; without one that is still to come, or goes on, it lies at the end of time."""
        self.since = self.possible = FOREVER
        """Where the stay began that is open in the run, and where it can have begun."""
        self.before = self.at = slot(NO_STATUS)
        """Out of which status it began, if that was in the same run, and its own: the slots of their sums."""
        self.carried = NO_MOMENT
        """The moment of the transition into it, if it was carried into the run."""
        self.next_run(at)
        if into is not None:
            self.carried, to_status, from_status, uncertainty = into
            self.at = slot(to_status)
            grow(sums, self.at)
            seen = self.carried >> AGENT_BITS
            if seen > self.start:
                self.since = seen
                self.possible = max(self.start, not_before(seen, uncertainty))
                self.before = slot(NO_STATUS if from_status is None else from_status)

    def come_out_of(self, status: int) -> None:
        """At the beginning: the status that the first transition ends. A purge has taken away the one into it."""
        self.at = slot(status)
        grow(self.sums, self.at)

    def next_run(self, at: int = -1) -> None:
        """Go to the next run that ends at or after `at`; the status is carried into it."""
        self.before = slot(NO_STATUS)
        while True:
            while self.piece < len(self.source.pieces):
                start, end, sure_until = self.source.pieces[self.piece]
                spell = self.spells[self.spell]
                if start >= spell.end:
                    break
                self.piece += 1
                start = max(start, spell.start)
                if end >= spell.end:
                    # The last poll of the piece told it, or the last one that asked for the agent.
                    sure_until = min(sure_until if end == spell.end else spell.end, spell.end_not_before)
                    end = spell.end
                if start < end and end >= at:
                    self.start = self.since = self.possible = start
                    self.end, self.sure_until = end, max(start, sure_until)
                    return
            self.spell += 1
            if self.spell >= len(self.spells):
                self.spell, self.piece, self.source = len(self.spells), 0, _NEVER
                self.start = self.end = self.since = self.possible = self.sure_until = FOREVER
                return
            spell = self.spells[self.spell]
            self.source = self.covered.get(spell.source, _NEVER)
            self.piece = bisect_left(self.source.ends, max(at, spell.start))

    def settle(self, at: int) -> None:
        """Close the stays of all runs that ended before `at`."""
        while self.end < at:
            self.count(self.end)
            self.carried = self.moment
            self.next_run()

    def count(self, end: int) -> None:
        """Count the open stay, and what it was surely and possibly, until `end`, which lies in the run."""
        sums, at = self.sums, self.at
        if self.since < end:
            sums[at] += end - self.since
            sums[at + 1] += end - min(max(self.since, self.sure_until), end)
            sums[at + 3] += 1
        if self.possible < end:
            sums[at + 2] += min(self.since, end) - self.possible

    @property
    def moment(self) -> int:
        """Of the latest transition; NO_MOMENT without any."""
        return self.since << AGENT_BITS | self.id if self.since > self.start else self.carried

    @property
    def status(self) -> int:
        """The status.id, or NO_STATUS."""
        return self.at // FIGURES - 1

    def take(self, rows: Iterable[Row]) -> None:
        """Take in transitions of the track, in order."""
        start, end, sums = self.start, self.end, self.sums
        at, before, since, possible, size = self.at, self.before, self.since, self.possible, len(self.sums)
        for moment, to_status, uncertainty in rows:
            seen = moment >> AGENT_BITS
            # Comparisons and sums in place of calls: this runs for every transition.
            to = to_status * FIGURES + FIGURES
            if to >= size:
                size = grow(sums, to)
            if not start < seen <= end:
                self.at, self.before, self.since, self.possible = at, before, since, possible
                self.settle(seen)
                start, end, since, possible, before = self.start, self.end, self.since, self.possible, self.before
                if seen <= start:
                    at, self.carried = to, moment
                    continue
            lower = seen if uncertainty == EXACT else seen - uncertainty
            if lower < start:
                lower = start
            sums[at] += seen - since
            if lower >= since:
                sums[at + 1] += seen - lower
            else:
                sums[at + 1] += seen - since
                if before == to:
                    # The stay before in this status possibly lasted until `since`: what both may have had is counted
                    # with the later one.
                    sums[to + 2] -= since - lower
            sums[at + 2] += since - possible
            sums[at + 3] += 1
            before, at, since, possible = at, to, seen, lower
        self.at, self.before, self.since, self.possible = at, before, since, possible

    @property
    def is_recorded(self) -> bool:
        """Whether the run is in the coverage of this file's recorder."""
        return self.spell < len(self.spells) and self.spells[self.spell].source == RECORDER

    def is_tracked(self, at: int) -> bool:
        """Whether a spell holds the instant or ends with it."""
        index = bisect_left(self.spells, at, key=_END)
        return index < len(self.spells) and self.spells[index].start <= at


def not_before(seen: int, uncertainty: int) -> int:
    """The lower bound of a change's time; a first observation, and an exact change, was at `seen`."""
    return seen if uncertainty == EXACT else seen - uncertainty


def fold(tracks: Mapping[int, Track], rows: Iterable[Row]) -> None:
    """Take in transitions, in order of their moments; those of tracks that are not there are passed over.

    Stays that end where coverage does are counted when something later of the track is taken in, or by `settle`.
    """
    rows = iter(rows)
    while lot := list(islice(rows, _LOT)):
        of_track: defaultdict[int, list[Row]] = defaultdict(list)
        for row in lot:
            of_track[row[0] & AGENT_MASK].append(row)
        for id_, of_one in of_track.items():
            track = tracks.get(id_)
            if track is not None:
                track.take(of_one)


def clip(tracks: Mapping[int, Track], at: int, reaching_back: Iterable[Row]) -> None:
    """End the fold at `at`, with all transitions seen until then taken in: stays that are open count until there.

    `reaching_back`: the transitions that were seen after `at` and may have happened before it, in order.
    """
    for track in tracks.values():
        track.settle(at)
    for moment, to_status, uncertainty in reaching_back:
        reached = tracks.get(moment & AGENT_MASK)
        if reached is not None and reached.start < at and moment >> AGENT_BITS <= reached.end:
            _reach_back(reached, at, to_status, not_before(moment >> AGENT_BITS, uncertainty))
    for track in tracks.values():
        if track.start < at:
            track.count(at)


def _reach_back(track: Track, at: int, to_status: int, lower: int) -> None:
    """Count what a change that was seen after `at` makes possible before it."""
    lower = max(lower, track.start)
    if lower >= at:
        return
    to = slot(to_status)
    if track.reached is None:
        track.reached = {track.at}
        track.sure_until = min(track.sure_until, lower)
    if to not in track.reached:
        track.reached.add(to)
        if to == track.before:
            lower = max(lower, track.since)
        grow(track.sums, to)
        track.sums[to + 2] += at - lower


def unknown_stays(spells: Sequence[Spell], covered: Mapping[int, Coverage], since: int, until: int) -> int:
    """How many times of not knowing begin in [since, until) of the spells of one agent."""
    if len(spells) == 1 and spells[0].start < spells[0].end:
        return _gaps_of_one(spells[0], covered.get(spells[0].source, _NEVER), since, until)
    ordered = sorted(spell for spell in spells if spell.start < spell.end)
    if all(a.end < b.start for a, b in pairwise(ordered)):
        return sum(_gaps_of_one(spell, covered.get(spell.source, _NEVER), since, until) for spell in ordered)
    tracked = union(Period(spell.start, spell.end) for spell in ordered)
    known = union(
        Period(max(piece.start, spell.start), min(piece.end, spell.end))
        for spell in ordered
        for piece in covered.get(spell.source, _NEVER).pieces
    )
    begins = sorted({period.start for period in tracked} | {period.end for period in known})
    return sum(since <= at < until and _holds(tracked, at) and not _holds(known, at) for at in begins)


def _gaps_of_one(spell: Spell, source: Coverage, since: int, until: int) -> int:
    """Gaps begin where a piece ends, and where the spell begins without one."""
    until = min(until, spell.end)
    ends = bisect_left(source.ends, until) - bisect_left(source.ends, max(since, spell.start + 1))
    at_once = since <= spell.start < until
    if at_once:
        index = bisect_right(source.ends, spell.start)
        at_once = index >= len(source.pieces) or source.pieces[index].start > spell.start
    return max(0, ends) + at_once


def _holds(periods: Sequence[Period], at: int) -> bool:
    index = bisect_right(periods, at, key=_END)
    return index < len(periods) and periods[index].start <= at
