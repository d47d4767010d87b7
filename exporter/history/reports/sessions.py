"""`sessions`: when agents logged in and out, as far as anybody saw it, and how much of that time they were staffed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from exporter.history.algebra import CoveredTime, covered_time
from exporter.history.buckets import Bucket, days
from exporter.history.facts import AgentFacts, HistoryFacts, Period
from exporter.history.question import Group, Question
from exporter.history.reports.common import header, in_order, kinds_of, share, tally
from exporter.history.reports.grouping import Grouped, grouped
from exporter.history.sessions import Session, sessions_of
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS: Final = (
    Column("agent_id"),
    Column("name"),
    Column("start", ColumnKind.INSTANT),
    Column("end", ColumnKind.INSTANT),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("staffed_seconds", ColumnKind.DURATION),
    Column("unknown_seconds", ColumnKind.DURATION),
    Column("start_not_before", ColumnKind.INSTANT),
    Column("start_not_after", ColumnKind.INSTANT),
    Column("end_not_before", ColumnKind.INSTANT),
    Column("end_not_after", ColumnKind.INSTANT),
    Column("carried_in", ColumnKind.FLAG),
    Column("open", ColumnKind.FLAG),
    Column("coverage", ColumnKind.SHARE),
    Column("provisional", ColumnKind.FLAG),
)
DAY_COLUMNS: Final = (
    Column("agent_id"),
    Column("name"),
    Column("day"),
    Column("first_in", ColumnKind.INSTANT),
    Column("last_out", ColumnKind.INSTANT),
    Column("sessions", ColumnKind.COUNT),
    Column("staffed_seconds", ColumnKind.DURATION),
    Column("unknown_seconds", ColumnKind.DURATION),
    Column("first_in_not_before", ColumnKind.INSTANT),
    Column("last_out_not_before", ColumnKind.INSTANT),
    Column("carried_in", ColumnKind.FLAG),
    Column("open", ColumnKind.FLAG),
    Column("coverage", ColumnKind.SHARE),
    Column("provisional", ColumnKind.FLAG),
)
_FORMULA: Final = (
    "a session, clipped to the window, begins with the first sight of a status that is not {offline} and ends with the "
    "first sight of one that is; unknown, absent and error do not end it and are its unknown time; the true edges lie "
    "between not_before and not_after, as far as anything tells; open: nobody saw it end, so it has no end and lasts "
    "to the last instant known staffed; duration: staffed and unknown time; coverage: the part of it in which a poll "
    "or a log told the status"
)
_DAY_FORMULA: Final = (
    "first_in: first instant of the local day known staffed; last_out: end of the day's last session, empty if it goes "
    "on or nobody saw it end; sessions: those that began on the day; staffed and unknown: the sessions' time on the "
    "day; coverage: known time of the agent's tracked time on the day; {sessions}"
)


def sessions(facts: HistoryFacts, question: Question) -> Report:
    """A row for each session, agent by agent in order of time; with `Group.DAY` one for each agent and local day.

    An agent has a row for each day with tracked time, also without a session. `statuses` and the other groups do not
    matter: a session is about no single status. The name is the one borne at the start of a session, the end of a day.
    """
    covered = covered_time(facts, question.now, question.rules)
    formula = _FORMULA.format(offline=" or ".join(sorted(question.classes.offline)) or "offline")
    if Group.DAY in question.groups:
        per_day = replace(question, groups=frozenset({Group.AGENT, Group.DAY}))
        groups, counted = grouped(facts, covered, per_day)
        meta = header("sessions", facts, question, counted, _DAY_FORMULA.format(sessions=formula))
        return Report(
            meta, DAY_COLUMNS, list(_day_rows(facts, groups, covered, question)), kinds_of(meta), question.zone.key
        )
    meta = header("sessions", facts, question, tally(facts.agents, covered, question.window), formula)
    rows = [row for agent in in_order(facts.agents, question.window.until) for row in _rows(agent, covered, question)]
    return Report(meta, COLUMNS, rows, kinds_of(meta), question.zone.key)


def _rows(agent: AgentFacts, covered: CoveredTime, question: Question) -> Iterator[dict[str, Cell]]:
    for session in sessions_of(agent, covered, question.window, question.classes):
        duration = session.end - session.start
        staffed = _length(session.staffed)
        yield {
            "agent_id": agent.agent_id,
            "name": agent.description_at(session.start).name,
            "start": session.start,
            "end": None if session.open else session.end,
            "duration_seconds": duration,
            "staffed_seconds": staffed,
            "unknown_seconds": duration - staffed,
            "start_not_before": session.start_not_before,
            "start_not_after": session.start_not_after,
            "end_not_before": session.end_not_before,
            "end_not_after": session.end_not_after,
            "carried_in": session.carried_in,
            "open": session.open,
            "coverage": share(staffed - _length(session.bridged), duration),
            "provisional": covered.is_provisional(session.end),
        }


def _length(periods: Iterable[Period]) -> int:
    return sum(end - start for start, end in periods)


def _day_rows(
    facts: HistoryFacts, groups: Sequence[Grouped], covered: CoveredTime, question: Question
) -> Iterator[dict[str, Cell]]:
    calendar = tuple(days(question.window, question.zone))
    found = {agent.agent_id: _by_day(agent, covered, calendar, question) for agent in facts.agents}
    buckets = {day.label: day for day in calendar}
    for group in groups:
        if group.key.agent_id is not None and group.key.day is not None:
            day = buckets[group.key.day]
            yield _day_row(group, day, found[group.key.agent_id].get(day.label, []), covered)


def _by_day(
    agent: AgentFacts, covered: CoveredTime, calendar: Sequence[Bucket], question: Question
) -> dict[str, list[Session]]:
    """The sessions that each day has a part of, by its label."""
    result: defaultdict[str, list[Session]] = defaultdict(list)
    first = 0
    for session in sessions_of(agent, covered, question.window, question.classes):
        while calendar[first].end <= session.start:
            first += 1
        for day in calendar[first:]:
            if day.start >= session.end and day.start > session.start:
                break
            result[day.label].append(session)
    return result


def _day_row(group: Grouped, day: Bucket, found: Sequence[Session], covered: CoveredTime) -> dict[str, Cell]:
    staffed = sum(_inside(period, day) for session in found for period in session.staffed)
    first = found[0] if found and _begins_on(found[0], day) else None
    last = found[-1] if found and _ends_on(found[-1], day) else None
    return {
        "agent_id": group.key.agent_id,
        "name": group.name,
        "day": day.label,
        "first_in": next((start for session in found for start in _starts(session, day)), None),
        "last_out": last.end if last is not None else None,
        "sessions": sum(_begins_on(session, day) for session in found),
        "staffed_seconds": staffed,
        "unknown_seconds": sum(_inside(Period(session.start, session.end), day) for session in found) - staffed,
        "first_in_not_before": first.start_not_before if first is not None else None,
        "last_out_not_before": last.end_not_before if last is not None else None,
        "carried_in": bool(found) and first is None,
        "open": bool(found) and last is None,
        "coverage": share(group.observed, group.tracked),
        "provisional": any(covered.is_provisional(min(session.end, day.end)) for session in found),
    }


def _begins_on(session: Session, day: Bucket) -> bool:
    return session.start >= day.start and not session.carried_in


def _ends_on(session: Session, day: Bucket) -> bool:
    return session.end <= day.end and not session.open


def _starts(session: Session, day: Bucket) -> Iterator[int]:
    """Where the session's staffed time begins that lies on the day; the sight of a lone poll is one without length."""
    for start, end in session.staffed:
        if start < day.end and (end > day.start or start == end == day.start):
            yield max(start, day.start)


def _inside(period: Period, day: Bucket) -> int:
    return max(0, min(period.end, day.end) - max(period.start, day.start))
