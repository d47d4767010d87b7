"""`occupancy` and `availability`: how the time of those who were logged in divides, by classes of statuses."""

from collections.abc import Callable, Mapping
from typing import Final

from exporter.history.algebra import covered_time
from exporter.history.classes import STAFFED, Class, Classes
from exporter.history.facts import HistoryFacts, Total
from exporter.history.question import Question
from exporter.history.reports.common import header, kinds_of, share
from exporter.history.reports.grouping import Grouped, by_class, grouped, groups_text, key_cells, key_columns
from exporter.report.model import Cell, Column, ColumnKind, Report

_TIMES: Final = (
    Column("handling_seconds", ColumnKind.DURATION),
    Column("available_seconds", ColumnKind.DURATION),
    Column("not_ready_seconds", ColumnKind.DURATION),
    Column("staffed_seconds", ColumnKind.DURATION),
)
_HOW_SURE: Final = (Column("coverage", ColumnKind.SHARE), Column("provisional", ColumnKind.FLAG))
OCCUPANCY: Final = (
    Column("occupancy", ColumnKind.SHARE),
    Column("occupancy_of_staffed", ColumnKind.SHARE),
)
AVAILABILITY: Final = (
    Column("availability", ColumnKind.SHARE),
    Column("ready", ColumnKind.SHARE),
)
_OCCUPANCY_FORMULA: Final = (
    "occupancy: handling / (handling + available); occupancy_of_staffed: handling / staffed; empty where nobody was"
)
_AVAILABILITY_FORMULA: Final = (
    "availability: available / staffed; ready: (available + handling) / staffed; empty where nobody was"
)
_STAFFED_FORMULA: Final = (
    "staffed: handling, available and not ready, clipped to the window; absent, error and unknown count nowhere; Zoho "
    "shows no after-call work: it counts as whatever status the agent is in meanwhile"
)


def occupancy(facts: HistoryFacts, question: Question) -> Report:
    """A row for each group that has tracked time in the window; a share is None where there is no such time."""
    return _report("occupancy", facts, question, OCCUPANCY, _occupancy, _OCCUPANCY_FORMULA)


def availability(facts: HistoryFacts, question: Question) -> Report:
    """A row for each group that has tracked time in the window; a share is None where nobody was staffed."""
    return _report("availability", facts, question, AVAILABILITY, _availability, _AVAILABILITY_FORMULA)


def staffed_time(by_classes: Mapping[Class, Total]) -> int:
    """Milliseconds in which somebody was logged in."""
    return sum(_time(by_classes, class_) for class_ in STAFFED)


def classes_text(classes: Classes) -> str:
    """Which words count as what, for a formula."""
    return "; ".join(
        (
            f"handling: {_words(classes.handling)}",
            f"available: {_words(classes.available)}",
            f"offline: {_words(classes.offline)}",
            f"not ready: {', '.join([*sorted(classes.not_ready), 'every other word'])}",
        )
    )


def _report(
    name: str,
    facts: HistoryFacts,
    question: Question,
    shares: tuple[Column, ...],
    shares_of: Callable[[int, int, int], dict[str, Cell]],
    formula: str,
) -> Report:
    covered = covered_time(facts, question.now, question.rules)
    groups, counted = grouped(facts, covered, question)
    formula = f"{formula}; {_STAFFED_FORMULA}; {classes_text(question.classes)}"
    meta = header(name, facts, question, counted, formula) | {"by": groups_text(question.groups)}
    columns = (*key_columns(question.groups), *_TIMES, *shares, *_HOW_SURE)
    rows = [_row(group, question.classes, shares_of) for group in groups]
    return Report(meta, columns, rows, kinds_of(meta), question.zone.key)


def _row(group: Grouped, classes: Classes, shares_of: Callable[[int, int, int], dict[str, Cell]]) -> dict[str, Cell]:
    by_classes = by_class(group, classes)
    handling, available = (_time(by_classes, class_) for class_ in (Class.HANDLING, Class.AVAILABLE))
    staffed = staffed_time(by_classes)
    return {
        **key_cells(group),
        "handling_seconds": handling,
        "available_seconds": available,
        "not_ready_seconds": _time(by_classes, Class.NOT_READY),
        "staffed_seconds": staffed,
        **shares_of(handling, available, staffed),
        "coverage": share(group.observed, group.tracked),
        "provisional": any(total.provisional for total in group.totals.values()),
    }


def _occupancy(handling: int, available: int, staffed: int) -> dict[str, Cell]:
    return {"occupancy": share(handling, handling + available), "occupancy_of_staffed": share(handling, staffed)}


def _availability(handling: int, available: int, staffed: int) -> dict[str, Cell]:
    return {"availability": share(available, staffed), "ready": share(available + handling, staffed)}


def _time(by_classes: Mapping[Class, Total], class_: Class) -> int:
    return by_classes[class_].time if class_ in by_classes else 0


def _words(words: frozenset[str]) -> str:
    return ", ".join(sorted(words)) or "no word"
