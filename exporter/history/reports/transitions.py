"""`transitions`: the recorded changes themselves, with both bounds."""

from typing import Final

from exporter.history.algebra import covered_time
from exporter.history.facts import AgentFacts, HistoryFacts
from exporter.history.question import Question
from exporter.history.reports.changes import SeenChange, is_selected, seen_changes
from exporter.history.reports.common import header, kinds_of, tally
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("agent_id"),
    Column("from_status"),
    Column("to_status"),
    Column("not_before", ColumnKind.INSTANT),
    Column("seen", ColumnKind.INSTANT),
    Column("name"),
    Column("uncertainty_seconds", ColumnKind.DURATION),
    Column("through_gap", ColumnKind.FLAG),
    Column("quality"),
)
FORMULA: Final = (
    "changes seen by a poll that was received in the window; each happened after not_before and not after seen; the "
    "first observation of an agent since it is tracked has neither from_status nor not_before; through_gap: it was not "
    "seen to happen, because nobody was looking in between"
)


def transitions(facts: HistoryFacts, question: Question) -> Report:
    """Every transition seen in the window, in order of time, then by agent.

    `statuses` picks those *into* a status, `qualities` those that are known in this way: exact or sampled.
    """
    covered = covered_time(facts, question.now, question.rules)
    counted = tally(facts.agents, covered, question.window)
    found = [
        (seen, agent)
        for agent in facts.agents
        for seen in seen_changes(agent, covered)
        if question.window.since <= seen.change.seen < question.window.until
        and question.wants(seen.change.to_status)
        and (question.qualities is None or seen.quality in question.qualities)
        and is_selected(agent, seen.change.seen)
    ]
    found.sort(key=lambda pair: (pair[0].change.seen, len(pair[1].agent_id), pair[1].agent_id))
    rows = [_row(agent, seen) for seen, agent in found]
    meta = header("transitions", facts, question, counted, FORMULA)
    return Report(meta, COLUMNS, rows, kinds_of(meta), question.zone.key)


def _row(agent: AgentFacts, seen: SeenChange) -> dict[str, Cell]:
    change = seen.change
    return {
        "agent_id": agent.agent_id,
        "from_status": change.from_status.word if change.from_status is not None else None,
        "to_status": change.to_status.word,
        "not_before": change.not_before,
        "seen": change.seen,
        "name": agent.description_at(change.seen).name,
        "uncertainty_seconds": change.seen - change.not_before if change.not_before is not None else None,
        "through_gap": seen.through_gap,
        "quality": seen.quality.value,
    }
