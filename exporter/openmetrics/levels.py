"""How many agents were in each status at each instant, by team, and whether anybody was looking. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final
from zoneinfo import ZoneInfo

from exporter.history.algebra import CoveredTime, intervals
from exporter.history.facts import HistoryFacts, Period, union
from exporter.history.question import Group, Question
from exporter.history.reports.grouping import Cuts
from exporter.history.window import Window
from exporter.metrics.statuses import CLOSED
from exporter.metrics.text import cleaned
from exporter.openmetrics.families import Labels
from exporter.openmetrics.grid import Count, Grid

_ANYWHERE: Final = ZoneInfo("UTC")


class Levels:
    """Counts over a grid, to which the facts of adjoining windows are added. An instant of it costs 4 bytes a count."""

    def __init__(self, grid: Grid, labels: Labels) -> None:
        self._grid = grid
        self._labels = labels
        self._counts: dict[tuple[str, str], Count] = {}
        self.looking = Count(grid)
        """1 while anybody was."""

    def add(self, facts: HistoryFacts, covered: CoveredTime, window: Window, now: int) -> None:
        """What `facts` tell of `window`."""
        cuts = Cuts(Question(window, _ANYWHERE, now, groups=frozenset({Group.TEAM})))
        for agent in facts.agents:
            for start, end, key in cuts.periods(agent):
                team = cleaned(key.team or "")
                for interval, _ in intervals(agent, covered, Window(start, end)):
                    self._count(team, self._labels.of(interval.status)).add(interval.start, interval.end)
        for start, end in union(_looked(covered, window)):
            self.looking.add(start, end)

    def totals(self) -> Iterator[tuple[str, Iterator[int]]]:
        """By status: those that are always there, and those that anybody was in."""
        for label in self._in_use():
            yield label, self._sum(count for (_, of), count in self._counts.items() if of == label)

    def teams(self) -> Iterator[tuple[str, str, Iterator[int]]]:
        """By team and status."""
        labels = self._in_use()
        for team in sorted({team for team, _ in self._counts}):
            for label in labels:
                found = self._counts.get((team, label))
                yield team, label, self._sum(() if found is None else (found,))

    def _in_use(self) -> list[str]:
        used = {label for _, label in self._counts} | set(CLOSED)
        return [label for label in self._labels.all if label in used]

    def _sum(self, counts: Iterable[Count]) -> Iterator[int]:
        total = Count(self._grid)
        for count in counts:
            total.add_all(count)
        return total.values()

    def _count(self, team: str, label: str) -> Count:
        found = self._counts.get((team, label))
        if found is None:
            found = self._counts[team, label] = Count(self._grid)
        return found


def _looked(covered: CoveredTime, window: Window) -> Iterator[Period]:
    for pieces in covered.pieces.values():
        for start, end, _ in pieces:
            yield Period(max(start, window.since), min(end, window.until))
