"""`coverage`: when the recorder and imported files were looking, when they were not, and why not."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.history.algebra import CoveredTime, covered_time, totals
from exporter.history.facts import AgentFacts, HistoryFacts, RecordedStretch, Source
from exporter.history.question import Question
from exporter.history.reports.common import Tally, header, kinds_of, share
from exporter.history.window import Window
from exporter.model import Kind
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("source"),
    Column("start", ColumnKind.INSTANT),
    Column("end", ColumnKind.INSTANT),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("covered", ColumnKind.FLAG),
    Column("reason"),
    Column("polls", ColumnKind.COUNT),
    Column("provisional", ColumnKind.FLAG),
)
FORMULA: Final = (
    "stretches of complete polls and the gaps between them, clipped to the window; an imported file's stand beside the "
    "recorder's; polls: of the whole stretch, none where a log told the changes; reason: why the stretch before the "
    "gap ended; seconds in the header are the agents', in the rows those of the source; the shares of exact, sampled, "
    "bridged and unknown are of the agents' tracked time"
)
RECORDER_NAME: Final = "recorder"
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


def coverage(facts: HistoryFacts, question: Question) -> Report:
    """The recorder's stretches and gaps, which tile `window`, then those of each import, from its first to its last.

    They are the sources', whatever agents and `statuses` are asked for. A stretch of a single poll proves no time and
    has no row; the gaps around it are one if they have one reason. A recorder without any stretch has no row if there
    are imports.
    """
    covered = covered_time(facts, question.now, question.rules)
    counted, of_quality = _counted(facts, covered, question.window)
    meta = header("coverage", facts, question, counted, FORMULA) | of_quality
    has_imports = any(source.stretches for source in facts.sources[1:])
    rows = [
        _cells(source, row, covered)
        for source in facts.sources
        if source.stretches or (source.file is None and not has_imports)
        for row in _rows(source, covered, question.window)
    ]
    return Report(meta, COLUMNS, rows, kinds_of(meta), question.zone.key)


def _counted(facts: HistoryFacts, covered: CoveredTime, window: Window) -> tuple[Tally, dict[str, object]]:
    """What every header says, and the agents' time by quality and by what was told, in milliseconds, with shares."""
    counted, absent, error, exact = Tally(), 0, 0, 0
    for agent in facts.agents:
        by_status = totals(agent, covered, window)
        counted.add(by_status)
        absent += sum(total.time for status, total in by_status.items() if status.kind is Kind.ABSENT)
        error += sum(total.time for status, total in by_status.items() if status.kind is Kind.ERROR)
        exact += _exact_time(agent, covered, window)
    of_quality = {
        "exact": exact,
        "sampled": counted.covered - exact,
        "bridged": counted.bridged,
        "unknown": counted.tracked - counted.covered - counted.bridged,
    }
    seconds = {f"{quality}_seconds": time for quality, time in of_quality.items()}
    shares = {f"{quality}_share": share(time, counted.tracked) for quality, time in of_quality.items()}
    return counted, {**seconds, **shares, "absent_seconds": absent, "error_seconds": error}


def _exact_time(agent: AgentFacts, covered: CoveredTime, window: Window) -> int:
    """Milliseconds of `agent` that logs of exact changes cover; reckoned without the changes, so they may be unread."""
    spells = [spell for spell in agent.spells if spell.source in covered.exact]
    if not spells:
        return 0
    scope = tuple(agent.scope(window))
    return sum(
        max(0, min(spell.end, piece.end, end) - max(spell.start, piece.start, start))
        for spell in spells
        for piece in covered.pieces[spell.source]
        for start, end in scope
    )


def _rows(source: Source, covered: CoveredTime, window: Window) -> Iterator[_Row]:
    """The source's rows in the window; neighbours with the same reason for not covering are one."""
    pending: _Row | None = None
    for row in _all_rows(source, covered, window):
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


def _all_rows(source: Source, covered: CoveredTime, window: Window) -> Iterator[_Row]:
    """Each stretch and, between two of them, the gap; the recorder also has one before the first and after the last."""
    begun, reason = window.since, NOT_YET if source.file is None else None
    for known, piece in zip(source.stretches, covered.pieces[source.id], strict=True):
        if reason is not None:
            yield _Row(begun, piece.start, reason, None)
        yield _Row(piece.start, piece.end, None, None if source.exact else known.stretch.polls)
        begun, reason = piece.end, _reason(known)
    if source.file is None:
        yield _Row(begun, window.until, reason, None)


def _reason(known: RecordedStretch) -> str:
    return known.ended.value if known.ended is not None else NO_POLL_SINCE


def _cells(source: Source, row: _Row, covered: CoveredTime) -> dict[str, Cell]:
    return {
        "source": RECORDER_NAME if source.file is None else source.file,
        "start": row.start,
        "end": row.end,
        "duration_seconds": row.end - row.start,
        "covered": row.reason is None,
        "reason": row.reason,
        "polls": row.polls,
        "provisional": source.file is None and row.reason is None and covered.is_provisional(row.end),
    }
