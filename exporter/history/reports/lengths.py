"""How long whole stays were: average, extremes and percentiles per group and status. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from exporter.history.algebra import CoveredTime
from exporter.history.facts import HistoryFacts
from exporter.history.question import Question
from exporter.history.reports.grouping import Cuts, Key
from exporter.history.stays import Stay, stays
from exporter.model import Status
from exporter.report.model import Cell, Column, ColumnKind

COLUMNS: Final = (
    Column("avg_seconds", ColumnKind.DURATION),
    Column("shortest_seconds", ColumnKind.DURATION),
    Column("longest_seconds", ColumnKind.DURATION),
    Column("p50_seconds", ColumnKind.DURATION),
    Column("p90_seconds", ColumnKind.DURATION),
    Column("censored_stays", ColumnKind.COUNT),
    Column("first_start", ColumnKind.INSTANT),
    Column("last_end", ColumnKind.INSTANT),
)
FORMULA: Final = (
    "avg, shortest, longest, p50 and p90 (nearest rank): of whole stays that began in the window, also what of them "
    "lies after it, bridged gaps included; censored_stays began or ended unseen or go on, and are in none of these; "
    "last_end: of the last stay that began in the window, empty while it goes on"
)
_START: Final = attrgetter("start")


@dataclass(slots=True)
class Lengths:
    """The stays of one group in one status that began in the window; milliseconds."""

    whole: list[int] = field(default_factory=list)
    censored: int = 0
    first_start: int | None = None
    last: Stay | None = None
    """The one that began last."""

    def add(self, stay: Stay) -> None:
        """Count one stay in."""
        if stay.censored:
            self.censored += 1
        else:
            self.whole.append(stay.length)
        if self.first_start is None or stay.start < self.first_start:
            self.first_start = stay.start
        if self.last is None or stay.start >= self.last.start:
            self.last = stay

    def extend(self, more: "Lengths") -> None:
        """Count the stays of `more` in."""
        self.whole += more.whole
        self.censored += more.censored
        starts = [start for start in (self.first_start, more.first_start) if start is not None]
        self.first_start = min(starts, default=None)
        if self.last is None or (more.last is not None and more.last.start > self.last.start):
            self.last = more.last

    def cells(self) -> dict[str, Cell]:
        """The cells of `COLUMNS`; the lengths are None if there is no whole stay."""
        lengths = sorted(self.whole)
        return {
            "avg_seconds": mean(lengths),
            "shortest_seconds": lengths[0] if lengths else None,
            "longest_seconds": lengths[-1] if lengths else None,
            "p50_seconds": nearest_rank(lengths, 50),
            "p90_seconds": nearest_rank(lengths, 90),
            "censored_stays": self.censored,
            "first_start": self.first_start,
            "last_end": self.last.end if self.last is not None and not self.last.open else None,
        }


def lengths_of_stays(facts: HistoryFacts, covered: CoveredTime, question: Question) -> dict[Key, dict[Status, Lengths]]:
    """The stays that began in the window, by the group in which they began and by status.

    The facts must have been read with whole stays.
    """
    found: defaultdict[Key, dict[Status, Lengths]] = defaultdict(dict)
    cuts = Cuts(question)
    for agent in facts.agents:
        periods = tuple(cuts.periods(agent))
        if not periods:
            continue
        for stay in stays(agent, covered, question.window):
            place = bisect_right(periods, stay.start, key=_START) - 1
            if place >= 0 and stay.start < periods[place].end:
                of_group = found[periods[place].key]
                of_status = of_group.get(stay.status)
                if of_status is None:
                    of_status = of_group[stay.status] = Lengths()
                of_status.add(stay)
    return found


def together(found: Iterable[Lengths]) -> Lengths:
    """The stays of all of them."""
    result = Lengths()
    for lengths in found:
        result.extend(lengths)
    return result


def mean(values: list[int]) -> int | None:
    """The mean, rounded to a whole number, half up; None of nothing."""
    return (2 * sum(values) + len(values)) // (2 * len(values)) if values else None


def nearest_rank(ordered: list[int], percent: int) -> int | None:
    """The smallest of the values that at least `percent` % of them do not exceed; None of nothing."""
    return ordered[(percent * len(ordered) + 99) // 100 - 1] if ordered else None
