"""`at`: the status of each agent at one instant, since when, and how old the evidence is."""

from typing import Final
from zoneinfo import ZoneInfo

from exporter.history.algebra import covered_time, status_at
from exporter.history.facts import HistoryFacts
from exporter.history.reports.common import header, in_order, kinds_of, share, tally, wanted
from exporter.history.window import Window
from exporter.model import Kind
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("agent_id"),
    Column("name"),
    Column("status"),
    Column("since", ColumnKind.INSTANT),
    Column("evidence_age_seconds", ColumnKind.DURATION),
    Column("provisional", ColumnKind.FLAG),
)
FORMULA: Final = (
    "status: the interval that holds the instant; since: when the last recorded change into it was seen, whatever gaps "
    "lie between; evidence_age: the time since the latest complete poll, where that is recorded, else the most that it "
    "can be; coverage: the part of the agents whose status is known"
)


def at(
    facts: HistoryFacts, window: Window, *, zone: ZoneInfo, now: int, statuses: frozenset[str] | None = None
) -> Report:
    """A row for each agent tracked at `window.since`; `window` is that instant's (`window.instant_window`).

    The header's times are those of an instant: since and until are equal and no seconds are counted.
    """
    instant = window.since
    covered = covered_time(facts, now)
    counted = tally(facts.agents, covered, Window(instant, instant + 1))
    rows: list[dict[str, Cell]] = []
    for agent in in_order(facts.agents, instant):
        found = status_at(agent, covered, instant)
        if found is None or not wanted(found[0], statuses):
            continue
        status, since = found
        rows.append(
            {
                "agent_id": agent.agent_id,
                "name": agent.description_at(instant).name,
                "status": status.word,
                "since": since,
                "evidence_age_seconds": _evidence_age(facts, instant, since),
                "provisional": status.kind is not Kind.UNKNOWN and covered.is_provisional(instant + 1),
            }
        )
    meta = header("at", facts, Window(instant, instant), zone, counted, FORMULA)
    meta |= {"at": instant, "tracked_seconds": 0, "covered_seconds": 0, "known_seconds": 0, "unknown_seconds": 0}
    meta["coverage"] = share(counted.known, counted.tracked)
    return Report(meta, COLUMNS, rows, kinds_of(meta), zone.key)


def _evidence_age(facts: HistoryFacts, instant: int, since: int | None) -> int | None:
    """Milliseconds from the latest complete poll to `instant`.

    Polls inside a stretch leave no trace unless something changed. There it is the most that it can be: a stretch has
    a poll at least every gap limit, one at its start and one where the status began.
    """
    begun = [known.stretch for known in facts.stretches if known.stretch.started <= instant]
    if not begun:
        return None
    latest = begun[-1]
    if latest.last <= instant:
        return instant - latest.last
    polled = latest.started if since is None else max(latest.started, since)
    return min(instant - polled, latest.gap_limit_ms)
