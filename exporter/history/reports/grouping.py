"""Time per group: the agents' time in the window cut by team, local day, week and month, and added up. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.history.algebra import CoveredTime, add_up, tiles, totals
from exporter.history.buckets import Bucket, days, months, weeks
from exporter.history.classes import Class, Classes
from exporter.history.facts import FOREVER, AgentFacts, HistoryFacts, Period, Total
from exporter.history.question import CUTTING, Group, Question
from exporter.history.reports.common import Tally, in_order
from exporter.history.window import Window
from exporter.model import AgentId, Kind, Status
from exporter.report.model import Cell, Column, ColumnKind

_CALENDAR: Final[Mapping[Group, Callable[[Window, ZoneInfo], Iterator[Bucket]]]] = {
    Group.MONTH: months,
    Group.WEEK: weeks,
    Group.DAY: days,
}
_START_NOT_BEFORE: Final = attrgetter("start_not_before")
_END_NOT_AFTER: Final = attrgetter("end_not_after")

TOTAL: Final = "total"
"""What reports call it when everything is one group."""


class Key(NamedTuple):
    """What the time of a group has in common; None: not grouped by that. Days, weeks and months are their labels."""

    agent_id: AgentId | None = None
    team: str | None = None
    month: str | None = None
    week: str | None = None
    day: str | None = None


class KeyedPeriod(NamedTuple):
    """[start, end) of an agent's time that belongs to one group."""

    start: int
    end: int
    key: Key


@dataclass(slots=True)
class Grouped:
    """The time of one group."""

    key: Key
    name: str
    """The agent's, as of the last millisecond of the group's time; "" if the group is not about one agent."""
    agents: int
    """How many have time in it."""
    totals: dict[Status, Total]

    @property
    def tracked(self) -> int:
        """Milliseconds."""
        return sum(total.time for total in self.totals.values())

    @property
    def known(self) -> int:
        """Milliseconds in statuses that Zoho reported, bridged gaps between them included."""
        return sum(total.time for status, total in self.totals.items() if status.kind is Kind.REPORTED)

    @property
    def observed(self) -> int:
        """Milliseconds in statuses that Zoho reported and a poll or a log told: the known part of `tracked`."""
        return sum(t.time - t.bridged for status, t in self.totals.items() if status.kind is Kind.REPORTED)


def grouped(facts: HistoryFacts, covered: CoveredTime, question: Question) -> tuple[list[Grouped], Tally]:
    """The time in the question's window by its groups, and the tally that counts every agent once.

    Sorted by agent, team and time. Groups without time are left out. Classes do not divide groups: see `by_class`.
    """
    found: dict[Key, Grouped] = {}
    counted = Tally()
    cuts = Cuts(question)
    agents = in_order(facts.agents, question.window.until)
    for agent in agents:
        of_agent: dict[Status, Total] = {}
        for key, name, by_status in _of_agent(agent, covered, cuts):
            merge(of_agent, by_status)
            group = found.get(key)
            if group is None:
                group = found[key] = Grouped(key, name, 0, {})
            group.agents += 1
            merge(group.totals, by_status)
        counted.add(of_agent)
    rank = {agent.agent_id: index for index, agent in enumerate(agents)}
    return sorted(found.values(), key=lambda group: _order(group.key, rank)), counted


class Cuts:
    """How the groups of a question cut an agent's time in its window."""

    def __init__(self, question: Question) -> None:
        """The calendar is cut once for all agents."""
        self.question = question
        self._calendar = _calendar(question)
        self._starts = [piece.start for piece in self._calendar]

    @property
    def divide_agents(self) -> bool:
        """Whether the time of one agent may fall into several groups."""
        return bool(self.question.groups & CUTTING)

    def periods(self, agent: AgentFacts) -> Iterator[KeyedPeriod]:
        """The times in scope of `agent` with the groups that they belong to, in order of time."""
        groups = self.question.groups
        agent_id = agent.agent_id if Group.AGENT in groups else None
        for scope in agent.scope(self.question.window):
            for start, end, team in _by_team(agent, scope) if Group.TEAM in groups else ((*scope, None),):
                for piece in self._calendar[bisect_right(self._starts, start) - 1 :]:
                    if piece.start >= end:
                        break
                    key = piece.key._replace(agent_id=agent_id, team=team)
                    yield KeyedPeriod(max(start, piece.start), min(end, piece.end), key)


def merge(into: dict[Status, Total], more: Mapping[Status, Total]) -> None:
    """Add the totals of `more` to `into`, and leave `more` as it is."""
    for status, total in more.items():
        sum_ = into.get(status)
        if sum_ is None:
            sum_ = into[status] = Total()
        _add(sum_, total)


def by_class(group: Grouped, classes: Classes) -> dict[Class, Total]:
    """The totals of the classes: each the sum over its statuses, so its stays are theirs.

    The most that a class can have is no more than all time of the group: the bounds of its statuses overlap.
    """
    found: dict[Class, Total] = {}
    for status, total in group.totals.items():
        _add(found.setdefault(classes.of(status), Total()), total)
    for total in found.values():
        total.most = min(total.most, group.tracked)
    return found


def key_columns(groups: frozenset[Group]) -> tuple[Column, ...]:
    """The columns that say which group a row is about; `agents` counts those of a group that is not one agent's."""
    named = tuple(Column(group.value) for group in (Group.TEAM, *_CALENDAR) if group in groups)
    if Group.AGENT in groups:
        return (Column("agent_id"), Column("name"), *named)
    return (*named, Column("agents", ColumnKind.COUNT))


def key_cells(group: Grouped) -> dict[str, Cell]:
    """The cells of every column that `key_columns` may have."""
    return {**group.key._asdict(), "name": group.name, "agents": group.agents}


def groups_text(groups: frozenset[Group]) -> str:
    """What rows are made for, as `--by` says it."""
    return ", ".join(group.value for group in Group if group in groups) or TOTAL


def _order(key: Key, rank: Mapping[AgentId, int]) -> tuple[int, str, Key]:
    return rank[key.agent_id] if key.agent_id is not None else 0, (key.team or "").casefold(), _sortable(key)


def _sortable(key: Key) -> Key:
    return Key(*(part or "" for part in key))


def _add(into: Total, more: Total) -> None:
    into.time += more.time
    into.least += more.least
    into.most += more.most
    into.stays += more.stays
    into.bridged += more.bridged
    into.provisional = into.provisional or more.provisional


def _of_agent(agent: AgentFacts, covered: CoveredTime, cuts: Cuts) -> Iterator[tuple[Key, str, Mapping[Status, Total]]]:
    """The totals of one agent in each of the groups that it has time in."""
    window = cuts.question.window
    if not cuts.divide_agents:
        by_status = totals(agent, covered, window)
        periods = tuple(agent.scope(window))
        if periods:
            agent_id = agent.agent_id if Group.AGENT in cuts.question.groups else None
            yield Key(agent_id), _name(agent, agent_id, periods[-1].end), by_status
        return
    if agent.totals is not None:
        raise ValueError("ready totals cannot be divided: read the facts without them")
    last: dict[Key, int] = {}
    found: dict[Key, dict[Status, Total]] = {}
    keyed = tuple(cuts.periods(agent))
    if not keyed:
        return
    all_tiles = tuple(tiles(agent, covered, Window(keyed[0].start, keyed[-1].end)))
    for start, end, key in keyed:
        # The one in front is for counting: a stay may have begun with it.
        first = max(0, bisect_right(all_tiles, start, key=_END_NOT_AFTER) - 1)
        behind = bisect_left(all_tiles, end, key=_START_NOT_BEFORE)
        add_up(all_tiles[first:behind], start, end, found.setdefault(key, {}))
        last[key] = end
    for key, by_status in found.items():
        for status, total in by_status.items():
            total.provisional = status.kind is not Kind.UNKNOWN and covered.is_provisional(total.possible_until)
        yield (
            key,
            _name(agent, key.agent_id, last[key]),
            {status: total for status, total in by_status.items() if total.most},
        )


def _name(agent: AgentFacts, agent_id: AgentId | None, end: int) -> str:
    return agent.description_at(end - 1).name if agent_id is not None else ""


def _by_team(agent: AgentFacts, scope: Period) -> Iterator[tuple[int, int, str]]:
    """`scope` cut where the agent changes teams; the first team holds since ever, and "" is one too."""
    if not agent.descriptions:
        yield *scope, ""
    for index, description in enumerate(agent.descriptions):
        since = description.since if index else -FOREVER
        until = agent.descriptions[index + 1].since if index + 1 < len(agent.descriptions) else FOREVER
        start, end = max(since, scope.start), min(until, scope.end)
        if start < end:
            yield start, end, description.team


def _calendar(question: Question) -> tuple[KeyedPeriod, ...]:
    """The question's window cut by its calendar groups."""
    window = question.window
    pieces: Sequence[KeyedPeriod] = (KeyedPeriod(window.since, window.until, Key()),)
    for group, cut in _CALENDAR.items():
        if group in question.groups:
            # Each piece is cut by itself: there are few of them, and a bucket may begin where none of the others does.
            pieces = [
                KeyedPeriod(bucket.start, bucket.end, piece.key._replace(**{group.value: bucket.label}))
                for piece in pieces
                for bucket in cut(Window(piece.start, piece.end), question.zone)
            ]
    return tuple(pieces)
