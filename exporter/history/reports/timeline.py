"""`timeline`: who was in which status, from when to when, and how sure each edge is."""

from collections.abc import Iterator
from typing import Final

from exporter.history.algebra import CoveredTime, covered_time, intervals
from exporter.history.facts import AgentFacts, HistoryFacts
from exporter.history.question import Question
from exporter.history.reports.common import header, in_order, kinds_of, tally
from exporter.model import Kind, Quality
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("agent_id"),
    Column("name"),
    Column("status"),
    Column("start", ColumnKind.INSTANT),
    Column("end", ColumnKind.INSTANT),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("quality"),
    Column("start_not_before", ColumnKind.INSTANT),
    Column("start_not_after", ColumnKind.INSTANT),
    Column("end_not_before", ColumnKind.INSTANT),
    Column("end_not_after", ColumnKind.INSTANT),
    Column("carried_in", ColumnKind.FLAG),
    Column("open", ColumnKind.FLAG),
    Column("provisional", ColumnKind.FLAG),
)
FORMULA: Final = (
    "each row is [start, end) clipped to the window; the true start lies in [start_not_before, start_not_after] "
    "and the true end in [end_not_before, end_not_after], if no excursion hid between two polls; unknown where no "
    "complete poll was"
)


def timeline(facts: HistoryFacts, question: Question) -> Report:
    """Every interval of every agent in the window, agent by agent in order of time, gaps as `unknown`.

    `carried_in`: began before the window; `open`: goes on after it; `provisional`: ends after the latest poll. The
    name is the one that the agent bore at the start of the row. `statuses` leaves out rows, not what the header counts.
    """
    covered = covered_time(facts, question.now, question.rules)
    counted = tally(facts.agents, covered, question.window)
    meta = header("timeline", facts, question, counted, FORMULA)
    rows = [row for agent in in_order(facts.agents, question.window.until) for row in _rows(agent, covered, question)]
    return Report(meta, COLUMNS, rows, kinds_of(meta), question.zone.key)


def _rows(agent: AgentFacts, covered: CoveredTime, question: Question) -> Iterator[dict[str, Cell]]:
    for interval, tile in intervals(agent, covered, question.window):
        if not question.wants(interval.status) or not _is_of(interval.quality, question):
            continue
        known = interval.status.kind is not Kind.UNKNOWN
        yield {
            "agent_id": agent.agent_id,
            "name": agent.description_at(interval.start).name,
            "status": interval.status.word,
            "start": interval.start,
            "end": interval.end,
            "duration_seconds": interval.end - interval.start,
            "quality": interval.quality.value,
            "start_not_before": interval.start_not_before,
            "start_not_after": interval.start_not_after,
            "end_not_before": interval.end_not_before,
            "end_not_after": interval.end_not_after,
            "carried_in": tile.start < interval.start,
            "open": tile.end > interval.end,
            "provisional": known and covered.is_provisional(interval.end),
        }


def _is_of(quality: Quality, question: Question) -> bool:
    return question.qualities is None or quality in question.qualities
