"""`coverage`: when the recorder was looking, when it was not, and why not."""

from collections.abc import Iterator
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.history.algebra import CoveredTime, covered_time
from exporter.history.facts import HistoryFacts, RecordedStretch
from exporter.history.reports.common import header, kinds_of, tally
from exporter.history.window import Window
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("start", ColumnKind.INSTANT),
    Column("end", ColumnKind.INSTANT),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("covered", ColumnKind.FLAG),
    Column("reason"),
    Column("polls", ColumnKind.COUNT),
    Column("provisional", ColumnKind.FLAG),
)
FORMULA: Final = (
    "stretches of complete polls and the gaps between them, clipped to the window; polls: of the whole stretch; "
    "reason: why the stretch before the gap ended; seconds in the header are the agents', in the rows the recorder's"
)
NOT_YET: Final = "not recorded yet"
"""Why time before the very first poll is not covered."""
NO_POLL_SINCE: Final = "no complete poll since"
"""Why time after the latest poll is not covered, as long as nobody has found out more."""


class _Row(NamedTuple):
    start: int
    end: int
    reason: str | None
    """None: covered."""
    polls: int | None


def coverage(
    facts: HistoryFacts, window: Window, *, zone: ZoneInfo, now: int, statuses: frozenset[str] | None = None
) -> Report:
    """Stretches and gaps that tile `window`. They are the recorder's, whatever agents and `statuses` are asked for.

    A stretch of a single poll proves no time and has no row; the gaps around it are one if they have one reason.
    """
    del statuses
    covered = covered_time(facts, now)
    meta = header("coverage", facts, window, zone, tally(facts.agents, covered, window), FORMULA)
    rows = [_cells(row, covered) for row in _rows(facts, covered, window)]
    return Report(meta, COLUMNS, rows, kinds_of(meta), zone.key)


def _rows(facts: HistoryFacts, covered: CoveredTime, window: Window) -> Iterator[_Row]:
    """The rows in the window; neighbours with the same reason for not covering are one."""
    pending: _Row | None = None
    for row in _all_rows(facts, covered, window):
        start, end = max(row.start, window.since), min(row.end, window.until)
        if start >= end:
            continue
        if pending is not None and pending.reason is not None and pending.reason == row.reason:
            pending = pending._replace(end=end)
            continue
        if pending is not None:
            yield pending
        pending = row._replace(start=start, end=end)
    if pending is not None:
        yield pending


def _all_rows(facts: HistoryFacts, covered: CoveredTime, window: Window) -> Iterator[_Row]:
    """From the start of the window, or before it, to its end: each stretch and, in front of it, the gap."""
    begun, reason = window.since, NOT_YET
    for known, piece in zip(facts.stretches, covered.pieces, strict=True):
        yield _Row(begun, piece.start, reason, None)
        yield _Row(piece.start, piece.end, None, known.stretch.polls)
        begun, reason = piece.end, _reason(known)
    yield _Row(begun, window.until, reason, None)


def _reason(known: RecordedStretch) -> str:
    return known.ended.value if known.ended is not None else NO_POLL_SINCE


def _cells(row: _Row, covered: CoveredTime) -> dict[str, Cell]:
    return {
        "start": row.start,
        "end": row.end,
        "duration_seconds": row.end - row.start,
        "covered": row.reason is None,
        "reason": row.reason,
        "polls": row.polls,
        "provisional": row.reason is None and covered.is_provisional(row.end),
    }
