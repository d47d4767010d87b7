"""`summary`: how long each agent was in each status, with bounds, shares of known time and how often."""

from collections.abc import Iterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from exporter.history.algebra import Total, covered_time, totals
from exporter.history.facts import AgentFacts, HistoryFacts
from exporter.history.reports.common import (
    Tally,
    header,
    in_order,
    kinds_of,
    known_time,
    share,
    status_order,
    wanted,
)
from exporter.history.window import Window
from exporter.model import Kind, Status
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("agent_id"),
    Column("name"),
    Column("status"),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("min_seconds", ColumnKind.DURATION),
    Column("max_seconds", ColumnKind.DURATION),
    Column("share", ColumnKind.SHARE),
    Column("stays", ColumnKind.COUNT),
    Column("coverage", ColumnKind.SHARE),
    Column("provisional", ColumnKind.FLAG),
)
FORMULA: Final = (
    "duration: time in the status, clipped to the window; share: of the agent's time in any status that Zoho reported; "
    "stays: those that began in the window, after a gap anew; coverage: reported time of tracked time; min and max: "
    "what the brackets of the changes allow, if no excursion hid between two polls"
)


def summary(
    facts: HistoryFacts, window: Window, *, zone: ZoneInfo, now: int, statuses: frozenset[str] | None = None
) -> Report:
    """A row for each agent and status that has time in `window`, or possibly has (its `max_seconds` is not 0).

    The share of `absent`, `error` and `unknown` is None: they are not part of the known time that shares are of.
    `statuses` leaves out rows and changes nothing else.
    """
    covered = covered_time(facts, now)
    counted = Tally()
    rows: list[dict[str, Cell]] = []
    for agent in in_order(facts.agents, window.until):
        by_status = totals(agent, covered, window)
        counted.add(by_status)
        rows.extend(_rows(agent, by_status, _name(agent, window), statuses))
    meta = header("summary", facts, window, zone, counted, FORMULA)
    return Report(meta, COLUMNS, rows, kinds_of(meta), zone.key)


def _rows(
    agent: AgentFacts, by_status: Mapping[Status, Total], name: str, statuses: frozenset[str] | None
) -> Iterator[dict[str, Cell]]:
    known = known_time(by_status)
    coverage = share(known, sum(total.time for total in by_status.values()))
    for status in sorted(by_status, key=status_order):
        if not wanted(status, statuses):
            continue
        total = by_status[status]
        yield {
            "agent_id": agent.agent_id,
            "name": name,
            "status": status.word,
            "duration_seconds": total.time,
            "min_seconds": total.least,
            "max_seconds": total.most,
            "share": share(total.time, known) if status.kind is Kind.REPORTED else None,
            "stays": total.stays,
            "coverage": coverage,
            "provisional": total.provisional,
        }


def _name(agent: AgentFacts, window: Window) -> str:
    """The name borne in the last millisecond that the report speaks of."""
    last = window.until
    for period in agent.scope(window):
        last = period.end
    return agent.description_at(last - 1).name
