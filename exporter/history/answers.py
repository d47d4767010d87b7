"""From a question to its answer: reads what the report needs, selects, and asks. The command line and the pages use it.

Whoever calls knows the present, the zone and the reader; here nothing looks at a clock.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from exporter.errors import UsageError
from exporter.history.algebra import DEFAULT_RULES
from exporter.history.facts import HistoryFacts
from exporter.history.filters import ALWAYS, EVERYBODY, Selection, Times, at_times, status_words
from exporter.history.question import CUTTING, Group, Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.reports.intervals import intervals_in_chunks
from exporter.history.window import Window, after_water_mark
from exporter.report.model import Report

_OF_WHOLE_STAYS: Final = frozenset({"long"})
"""Reports that look at stays beyond the window, whatever is asked."""
_OF_CHANGES_BEFORE: Final = frozenset({"at"})
"""Reports that say since when a status holds that is carried into the window."""
_OF_TOTALS: Final = frozenset({"summary", "occupancy", "availability", "coverage"})
"""Reports that need no more of an agent than the totals of the window, unless more is asked."""
_LONGEST_BRIDGE_MS: Final = 366 * 86_400_000
_MOST_INTERVALS: Final = 100_000
"""Nobody reads more, and all rows are kept until the last one is known: a year has 35,000 quarters of an hour."""


def answer(
    reader: HistoryReader,
    name: str,
    question: Question,
    selection: Selection = EVERYBODY,
    *,
    statuses: Iterable[str] = (),
    times: Times = ALWAYS,
) -> Report:
    """The report `name` (a key of `REPORTS`) on the question's window, which is cut at the water-mark.

    `statuses` are words as people write them; they take the place of `question.statuses`. Raises UsageError for a
    selection or a status that nobody ever recorded and for questions that contradict themselves, DatabaseError if the
    file cannot be read.
    """
    texts = tuple(statuses)
    _refuse_contradictions(question, texts)
    if name == "intervals":
        _refuse_too_many_intervals(question)
        report = _intervals(reader, question, selection, texts, times)
    else:
        facts = _facts(reader, name, question, selection, times)
        question = _adapted(question, facts, texts)
        report = REPORTS[name](at_times(facts, times, question.window, question.zone), question)
    return replace(report, meta={**report.meta, "only_at": times.text}) if times != ALWAYS else report


def _facts(reader: HistoryReader, name: str, question: Question, selection: Selection, times: Times) -> HistoryFacts:
    """The facts of the question's window and, with a bridge, of what a gap at its edges may be bridged with."""
    window, limit = question.window, question.rules.bridge_ms
    if (
        name in _OF_TOTALS
        and question.rules == DEFAULT_RULES
        and not (question.groups & CUTTING or question.with_stays or selection.teams or times != ALWAYS)
    ):
        return reader.totals(window, question.now, selection)
    if limit:
        window = Window(max(0, window.since - limit - 1), window.until + limit + 1)
    return reader.facts(
        window,
        selection,
        whole_stays=question.with_stays or name in _OF_WHOLE_STAYS,
        back_to_changes=name in _OF_CHANGES_BEFORE,
    )


def _intervals(
    reader: HistoryReader, question: Question, selection: Selection, statuses: tuple[str, ...], times: Times
) -> Report:
    """A day is read at a time, so that memory does not grow with the window."""
    facts = reader.facts(replace(question.window, until=question.window.since), selection)

    def read(window: Window) -> HistoryFacts:
        return at_times(reader.facts(window, selection), times, window, question.zone)

    return intervals_in_chunks(read, _adapted(question, facts, statuses))


def _adapted(question: Question, facts: HistoryFacts, statuses: tuple[str, ...]) -> Question:
    """The question, cut at the water-mark, with the words that these facts know."""
    return replace(
        question,
        window=after_water_mark(question.window, facts.water_mark),
        statuses=status_words(statuses, facts) if statuses else question.statuses,
    )


def _refuse_contradictions(question: Question, statuses: tuple[str, ...]) -> None:
    if (statuses or question.statuses is not None) and Group.CLASS in question.groups:
        raise UsageError("--status picks rows of statuses, and --by class makes none: give one of the two")
    if question.rules.bridge_ms > _LONGEST_BRIDGE_MS:
        raise UsageError("--bridge is longer than a year, the longest that makes sense here")


def _refuse_too_many_intervals(question: Question) -> None:
    number = question.window.length // question.step_ms
    if number > _MOST_INTERVALS:
        raise UsageError(
            f"--step makes {number:,} intervals of this window, and {_MOST_INTERVALS:,} are the most: give a longer "
            "--step, or a later --since"
        )
