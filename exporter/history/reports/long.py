"""`long`: the stays that lasted longer than they should, such as breaks."""

from collections.abc import Iterator
from typing import Final

from exporter.durations import format_duration_ms
from exporter.history.algebra import CoveredTime, covered_time
from exporter.history.classes import Class
from exporter.history.facts import AgentFacts, HistoryFacts
from exporter.history.question import Question
from exporter.history.reports.common import header, in_order, kinds_of, tally
from exporter.history.reports.occupancy import classes_text
from exporter.history.stays import stays
from exporter.model import Status
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("agent_id"),
    Column("name"),
    Column("status"),
    Column("start", ColumnKind.INSTANT),
    Column("end", ColumnKind.INSTANT),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("min_seconds", ColumnKind.DURATION),
    Column("max_seconds", ColumnKind.DURATION),
    Column("over_seconds", ColumnKind.DURATION),
    Column("bridged_seconds", ColumnKind.DURATION),
    Column("carried_in", ColumnKind.FLAG),
    Column("open", ColumnKind.FLAG),
    Column("censored", ColumnKind.FLAG),
    Column("provisional", ColumnKind.FLAG),
)
_FORMULA: Final = (
    "stays in {statuses} that touch the window and lasted longer than {limit}, whole: also what of them lies outside "
    "the window; over: how much longer; min and max: what the brackets of the changes allow, if no excursion hid "
    "between two polls; censored: nobody saw it begin, or end, or it goes on, so it may last longer and has no max; "
    "open: it goes on and has no end; bridged: gaps that count as the status, in the duration but not in min"
)


def long(facts: HistoryFacts, question: Question) -> Report:
    """A row for each stay strictly longer than `question.over_ms`, agent by agent in order of time.

    Of the question's statuses, or of all that count as not ready. What counts is the length that was seen: whether a
    stay is surely or only possibly so long is in `min_seconds` and `max_seconds`. The facts must have been read with
    whole stays. The name is the one borne at the start of the stay.
    """
    covered = covered_time(facts, question.now, question.rules)
    meta = header("long", facts, question, tally(facts.agents, covered, question.window), _formula(question))
    meta["over_limit_seconds"] = question.over_ms
    rows = [row for agent in in_order(facts.agents, question.window.until) for row in _rows(agent, covered, question)]
    return Report(meta, COLUMNS, rows, kinds_of(meta), question.zone.key)


def _formula(question: Question) -> str:
    limit = format_duration_ms(question.over_ms)
    if question.statuses is not None:
        return _FORMULA.format(statuses=", ".join(sorted(question.statuses)), limit=limit)
    formula = _FORMULA.format(statuses="any status that counts as not ready", limit=limit)
    return f"{formula}; {classes_text(question.classes)}"


def _rows(agent: AgentFacts, covered: CoveredTime, question: Question) -> Iterator[dict[str, Cell]]:
    scope = tuple(agent.scope(question.window))
    for stay in stays(agent, covered, question.window):
        # One that goes on has lasted until now; the live extension covers the millisecond `now` too.
        until = min(stay.end, question.now) if stay.open else stay.end
        duration = until - stay.start
        if duration <= question.over_ms or not _is_asked_for(stay.status, question):
            continue
        if not any(start < stay.end and end > stay.start for start, end in scope):
            continue
        yield {
            "agent_id": agent.agent_id,
            "name": agent.description_at(stay.start).name,
            "status": stay.status.word,
            "start": stay.start,
            "end": None if stay.open else stay.end,
            "duration_seconds": duration,
            "min_seconds": stay.least,
            "max_seconds": None if stay.censored else stay.end_not_after - stay.start_not_before,
            "over_seconds": duration - question.over_ms,
            "bridged_seconds": stay.bridged,
            "carried_in": stay.start < question.window.since,
            "open": stay.open,
            "censored": stay.censored,
            "provisional": covered.is_provisional(stay.end),
        }


def _is_asked_for(status: Status, question: Question) -> bool:
    if question.statuses is None:
        return question.classes.of(status) is Class.NOT_READY
    return question.wants(status)
