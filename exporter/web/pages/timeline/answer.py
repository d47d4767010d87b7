"""What the history says to a view: the picture's rows and the sums beside it, all read at one instant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exporter.history.facts import HistoryFacts, Period, union
from exporter.history.question import PER_AGENT, Question
from exporter.history.reader import HistoryReader
from exporter.history.reports.common import in_order
from exporter.history.reports.coverage import coverage
from exporter.history.reports.summary import summary
from exporter.history.reports.timeline import timeline
from exporter.history.window import Window, after_water_mark
from exporter.report.model import Report
from exporter.report.pictures.frame import Row, instant
from exporter.web.pages.timeline.view import View

AGENTS_ON_A_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """Reports on a view. Only `together` and `agents` are about everyone who was asked for."""

    window: Window
    """What of the view is over and was not purged."""
    water_mark: int | None
    picture: Report
    """`timeline` of the agents on the page."""
    each: Report
    """`summary` of each agent on the page."""
    together: Report
    """`summary` of all agents together."""
    agents: int
    """Who has time in the window."""
    page: int
    """Which page of them is shown: the last one if a later one was asked for."""
    gaps: tuple[Row, ...]
    """When nobody was looking: `start`, `end` and, where one source alone is there to tell, `reason`."""

    @property
    def pages(self) -> int:
        """How many pages the agents fill; at least 1."""
        return max(1, -(-self.agents // AGENTS_ON_A_PAGE))


def answer(reader: HistoryReader, view: View, now_ms: int) -> Answer:
    """The answer to a view that has begun. Raises UsageError if nobody ever recorded matches the view's selection,
    DatabaseError if the file cannot be read."""
    window = Window(view.since, min(view.until, now_ms), view.until if view.until > now_ms else None)
    facts = reader.facts(window, view.selection)
    question = Question(after_water_mark(window, facts.water_mark), view.zone, now_ms)
    everyone = [a for a in in_order(facts.agents, question.window.until) if any(True for _ in a.scope(question.window))]
    page = min(view.page, max(1, -(-len(everyone) // AGENTS_ON_A_PAGE)))
    first = (page - 1) * AGENTS_ON_A_PAGE
    shown = replace(facts, agents=tuple(everyone[first : first + AGENTS_ON_A_PAGE]))
    return Answer(
        window=question.window,
        water_mark=facts.water_mark,
        picture=timeline(shown, question),
        each=summary(shown, replace(question, groups=PER_AGENT)),
        together=summary(replace(facts, agents=tuple(everyone)), replace(question, groups=frozenset())),
        agents=len(everyone),
        page=page,
        gaps=tuple(_gaps(facts, question)),
    )


def _gaps(facts: HistoryFacts, question: Question) -> Iterator[Row]:
    rows = coverage(replace(facts, agents=()), question).rows
    if len(facts.sources) == 1:
        yield from (row for row in rows if not row["covered"])
        return
    reached = question.window.since
    for start, end in _covered(rows):
        if start > reached:
            yield {"start": reached, "end": start}
        reached = end
    if reached < question.window.until:
        yield {"start": reached, "end": question.window.until}


def _covered(rows: Sequence[Row]) -> tuple[Period, ...]:
    """When any source was looking."""
    return union(Period(instant(row, "start") or 0, instant(row, "end") or 0) for row in rows if row["covered"])
