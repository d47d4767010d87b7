"""`summary`: how long each agent was in each status, with bounds, shares of known time and how often."""

from collections.abc import Iterator, Mapping
from typing import Final

from exporter.history.algebra import covered_time
from exporter.history.classes import Class
from exporter.history.facts import HistoryFacts, Total
from exporter.history.question import Group, Question
from exporter.history.reports import lengths
from exporter.history.reports.common import header, kinds_of, share, status_order
from exporter.history.reports.grouping import Grouped, by_class, grouped, groups_text, key_cells, key_columns
from exporter.history.reports.lengths import Lengths, lengths_of_stays
from exporter.history.reports.occupancy import classes_text
from exporter.model import Kind, Status
from exporter.report.model import Cell, Column, ColumnKind, Report

_FIGURES: Final = (
    Column("duration_seconds", ColumnKind.DURATION),
    Column("min_seconds", ColumnKind.DURATION),
    Column("max_seconds", ColumnKind.DURATION),
    Column("share", ColumnKind.SHARE),
    Column("stays", ColumnKind.COUNT),
    Column("coverage", ColumnKind.SHARE),
    Column("provisional", ColumnKind.FLAG),
    Column("bridged_seconds", ColumnKind.DURATION),
    Column("tracked_seconds", ColumnKind.DURATION),
)
_SHARE_OF_KNOWN: Final = "of the row's group in any status that Zoho reported"
_SHARE_OF_WINDOW: Final = "of all tracked time of the row's group"
_FORMULA: Final = (
    "duration: time in the status, clipped to the window; share: {share}; stays: those that began in the window, after "
    "a gap anew; coverage: reported time of tracked time; tracked: all time of the row's group; min and max: what the "
    "brackets of the changes allow of the known time, if no excursion hid between two polls; any of the time that is "
    "unknown, absent or error may have been in the status too"
)
_FORMULA_OF_CLASSES: Final = "a class: the sum over its statuses"


def summary(facts: HistoryFacts, question: Question) -> Report:
    """A row for each group and status that has time in the window, or possibly has (its `max_seconds` is not 0).

    The share of `absent`, `error` and `unknown` is None, unless shares are of the window: they are not part of the
    known time. `statuses` leaves out rows and changes nothing else. With the question's `with_stays` the facts must
    have been read with whole stays.
    """
    covered = covered_time(facts, question.now, question.rules)
    groups, counted = grouped(facts, covered, question)
    of_stays = lengths_of_stays(facts, covered, question) if question.with_stays else {}
    rows = [row for group in groups for row in _rows(group, of_stays.get(group.key, {}), question)]
    meta = header("summary", facts, question, counted, _formula(question)) | {"by": groups_text(question.groups)}
    return Report(meta, _columns(question), rows, kinds_of(meta), question.zone.key)


def _columns(question: Question) -> tuple[Column, ...]:
    what = Column("class" if Group.CLASS in question.groups else "status")
    of_stays = lengths.COLUMNS if question.with_stays else ()
    return (*key_columns(question.groups), what, *_FIGURES, *of_stays)


def _formula(question: Question) -> str:
    parts = [_FORMULA.format(share=_SHARE_OF_WINDOW if question.share_of_window else _SHARE_OF_KNOWN)]
    if Group.CLASS in question.groups:
        parts += [_FORMULA_OF_CLASSES, classes_text(question.classes)]
    if question.with_stays:
        parts.append(lengths.FORMULA)
    return "; ".join(parts)


def _rows(group: Grouped, of_stays: Mapping[Status, Lengths], question: Question) -> Iterator[dict[str, Cell]]:
    common: dict[str, Cell] = {
        **key_cells(group),
        "coverage": share(group.observed, group.tracked),
        "tracked_seconds": group.tracked,
    }
    if Group.CLASS in question.groups:
        of_classes = by_class(group, question.classes)
        for class_ in sorted(of_classes, key=list(Class).index):
            figures = _figures(of_classes[class_], group, question, is_known=class_ is not Class.NOT_KNOWN)
            of_class = [found for status, found in of_stays.items() if question.classes.of(status) is class_]
            yield {**common, "class": class_.value, **figures, **_of_stays(of_class, question)}
        return
    for status in sorted(group.totals, key=status_order):
        if question.wants(status):
            figures = _figures(group.totals[status], group, question, is_known=status.kind is Kind.REPORTED)
            of_status = [of_stays[status]] if status in of_stays else []
            yield {**common, "status": status.word, **figures, **_of_stays(of_status, question)}


def _figures(total: Total, group: Grouped, question: Question, *, is_known: bool) -> dict[str, Cell]:
    whole = group.tracked if question.share_of_window else group.known
    return {
        "duration_seconds": total.time,
        "min_seconds": total.least,
        "max_seconds": total.most,
        "share": share(total.time, whole) if is_known or question.share_of_window else None,
        "stays": total.stays,
        "provisional": total.provisional,
        "bridged_seconds": total.bridged,
    }


def _of_stays(found: list[Lengths], question: Question) -> dict[str, Cell]:
    return lengths.together(found).cells() if question.with_stays else {}
