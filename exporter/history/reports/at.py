"""`at`: the status of each agent at one instant, since when, and how old the evidence is."""

from dataclasses import replace
from typing import Final

from exporter.history.algebra import covered_time
from exporter.history.facts import AgentFacts, HistoryFacts, Source, Spell
from exporter.history.instant import status_at
from exporter.history.question import Question
from exporter.history.reports.common import header, in_order, kinds_of, share, tally
from exporter.history.window import Window
from exporter.model import Kind
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("agent_id"),
    Column("name"),
    Column("status"),
    Column("since", ColumnKind.INSTANT),
    Column("quality"),
    Column("evidence_age_seconds", ColumnKind.DURATION),
    Column("provisional", ColumnKind.FLAG),
)
FORMULA: Final = (
    "status: the interval that holds the instant; since: when the last recorded change into it was seen, whatever gaps "
    "lie between, or, if another source saw another status after that, when it was first seen again; evidence_age: the "
    "time since the latest complete poll, where that is recorded, else the most that it can be, and 0 where a log of "
    "exact changes covers the instant; coverage: the part of the agents whose status is known, without bridged time"
)


def at(facts: HistoryFacts, question: Question) -> Report:
    """A row for each agent tracked at `question.window.since`; the window is that instant's (`window.instant_window`).

    The header's times are those of an instant: since and until are equal and no seconds are counted.
    """
    instant = question.window.since
    covered = covered_time(facts, question.now, question.rules)
    counted = tally(facts.agents, covered, question.window)
    rows: list[dict[str, Cell]] = []
    for agent in in_order(facts.agents, instant) if question.window.length else ():  # else purged
        found = status_at(agent, covered, instant)
        if found is None or not question.wants(found.status):
            continue
        status, since, quality = found
        rows.append(
            {
                "agent_id": agent.agent_id,
                "name": agent.description_at(instant).name,
                "status": status.word,
                "since": since,
                "quality": quality.value,
                "evidence_age_seconds": _evidence_age(facts, agent, instant, since),
                "provisional": status.kind is not Kind.UNKNOWN and covered.is_provisional(instant + 1),
            }
        )
    meta = header("at", facts, replace(question, window=Window(instant, instant)), counted, FORMULA)
    asked = question.window.asked_since
    meta |= {
        "at": instant if asked is None else asked,
        "tracked_seconds": 0,
        "covered_seconds": 0,
        "known_seconds": 0,
        "bridged_seconds": 0,
        "unknown_seconds": 0,
    }
    meta["coverage"] = share(counted.known, counted.tracked)
    return Report(meta, COLUMNS, rows, kinds_of(meta), question.zone.key)


def _evidence_age(facts: HistoryFacts, agent: AgentFacts, instant: int, since: int | None) -> int | None:
    """Milliseconds from the latest evidence of `agent` to `instant`, of whichever source that tracks it then."""
    spells = [spell for spell in agent.spells if spell.start <= instant < spell.end]
    ages = (_age(source, spell, instant, since) for source in facts.sources for spell in spells)
    return min((age for age in ages if age is not None), default=None)


def _age(source: Source, spell: Spell, instant: int, since: int | None) -> int | None:
    """Milliseconds from the latest complete poll of `source` to `instant`; None if the spell is not its, or none was.

    Polls inside a stretch leave no trace unless something changed. There it is the most that it can be: a stretch has
    a poll at least every gap limit, one at its start and one where the status, or the tracking, began. A log of exact
    changes is evidence of each instant that it covers.
    """
    begun = [known.stretch for known in source.stretches if known.stretch.started <= instant]
    if spell.source != source.id or not begun:
        return None
    latest = begun[-1]
    if latest.last <= instant:
        return instant - latest.last
    if source.exact:
        return 0
    polled = max(latest.started, spell.start, latest.started if since is None else since)
    return min(instant - polled, latest.gap_limit_ms)
