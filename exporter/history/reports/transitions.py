"""`transitions`: the recorded changes themselves, with both bounds."""

from typing import Final
from zoneinfo import ZoneInfo

from exporter.history.algebra import covered_time
from exporter.history.facts import AgentFacts, Change, HistoryFacts
from exporter.history.reports.common import header, kinds_of, tally, wanted
from exporter.history.window import Window
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("agent_id"),
    Column("from_status"),
    Column("to_status"),
    Column("not_before", ColumnKind.INSTANT),
    Column("seen", ColumnKind.INSTANT),
    Column("name"),
    Column("uncertainty_seconds", ColumnKind.DURATION),
)
FORMULA: Final = (
    "changes seen by a poll that was received in the window; each happened after not_before and not after seen; the "
    "first observation of an agent since it is tracked has neither from_status nor not_before"
)


def transitions(
    facts: HistoryFacts, window: Window, *, zone: ZoneInfo, now: int, statuses: frozenset[str] | None = None
) -> Report:
    """Every transition seen in `window`, in order of time, then by agent; `statuses` picks those *into* a status."""
    counted = tally(facts.agents, covered_time(facts, now), window)
    found = [
        (change, agent)
        for agent in facts.agents
        for change in agent.changes
        if window.since <= change.seen < window.until
        and wanted(change.to_status, statuses)
        and _is_selected(agent, change)
    ]
    found.sort(key=lambda pair: (pair[0].seen, len(pair[1].agent_id), pair[1].agent_id))
    rows = [_row(agent, change) for change, agent in found]
    meta = header("transitions", facts, window, zone, counted, FORMULA)
    return Report(meta, COLUMNS, rows, kinds_of(meta), zone.key)


def _is_selected(agent: AgentFacts, change: Change) -> bool:
    return agent.selected is None or any(start <= change.seen < end for start, end in agent.selected)


def _row(agent: AgentFacts, change: Change) -> dict[str, Cell]:
    return {
        "agent_id": agent.agent_id,
        "from_status": change.from_status.word if change.from_status is not None else None,
        "to_status": change.to_status.word,
        "not_before": change.not_before,
        "seen": change.seen,
        "name": agent.description_at(change.seen).name,
        "uncertainty_seconds": change.seen - change.not_before if change.not_before is not None else None,
    }
