"""`matrix`: how often each status changed into each other one, and how often an hour."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.history.algebra import CoveredTime, covered_time
from exporter.history.facts import AgentFacts, HistoryFacts
from exporter.history.question import Group, Question
from exporter.history.reports.changes import SeenChange, is_selected, seen_changes
from exporter.history.reports.common import header, kinds_of, share, status_order
from exporter.history.reports.grouping import Grouped, Key, by_class, grouped, groups_text, key_cells, key_columns
from exporter.history.reports.occupancy import classes_text, staffed_time
from exporter.model import Status
from exporter.report.model import Cell, Column, ColumnKind, Report

_COLUMNS: Final = (
    Column("from_status"),
    Column("to_status"),
    Column("changes", ColumnKind.COUNT),
    Column("through_gap_changes", ColumnKind.COUNT),
    Column("per_staffed_hour", ColumnKind.NUMBER),
    Column("coverage", ColumnKind.SHARE),
)
_FORMULA: Final = (
    "changes: by their edge in the window, those through a gap apart, first observations of an agent in neither; "
    "per_staffed_hour: changes / hours of the row's group in handling, available and not ready, empty where there are "
    "none; coverage: reported time of tracked time of the row's group"
)
_HOUR_MS: Final = 3_600_000


class _Pair(NamedTuple):
    key: Key
    from_status: Status
    to_status: Status


def matrix(facts: HistoryFacts, question: Question) -> Report:
    """A row for each group and pair of statuses between which something changed; `statuses` picks those *into* one.

    Groups may be agents and teams: a change belongs to the team that the agent was in at its edge.
    """
    covered = covered_time(facts, question.now, question.rules)
    groups, counted = grouped(facts, covered, question)
    by_key = {group.key: group for group in groups}
    changes: Counter[_Pair] = Counter()
    through_gap: Counter[_Pair] = Counter()
    for agent in facts.agents:
        for seen in _changes(agent, covered, question):
            pair = _pair(agent, seen, question.groups)
            if pair is None:
                continue
            if pair.key not in by_key:
                by_key[pair.key] = Grouped(pair.key, agent.description_at(seen.edge).name, 0, {})
            (through_gap if seen.through_gap else changes)[pair] += 1
    order = {key: index for index, key in enumerate(by_key)}
    pairs = sorted(
        {*changes, *through_gap},
        key=lambda pair: (order[pair.key], status_order(pair.from_status), status_order(pair.to_status)),
    )
    formula = f"{_FORMULA}; {classes_text(question.classes)}"
    meta = header("matrix", facts, question, counted, formula) | {"by": groups_text(question.groups)}
    rows = [_row(by_key[pair.key], pair, changes[pair], through_gap[pair], question) for pair in pairs]
    return Report(meta, (*key_columns(question.groups), *_COLUMNS), rows, kinds_of(meta), question.zone.key)


def _changes(agent: AgentFacts, covered: CoveredTime, question: Question) -> Iterator[SeenChange]:
    for seen in seen_changes(agent, covered):
        if (
            question.window.since <= seen.edge < question.window.until
            and question.wants(seen.change.to_status)
            and is_selected(agent, seen.edge)
        ):
            yield seen


def _pair(agent: AgentFacts, seen: SeenChange, groups: frozenset[Group]) -> _Pair | None:
    """None: a first observation."""
    if seen.change.from_status is None:
        return None
    key = Key(
        agent_id=agent.agent_id if Group.AGENT in groups else None,
        team=agent.description_at(seen.edge).team if Group.TEAM in groups else None,
    )
    return _Pair(key, seen.change.from_status, seen.change.to_status)


def _row(group: Grouped, pair: _Pair, changes: int, through_gap: int, question: Question) -> dict[str, Cell]:
    staffed = staffed_time(by_class(group, question.classes))
    return {
        **key_cells(group),
        "from_status": pair.from_status.word,
        "to_status": pair.to_status.word,
        "changes": changes,
        "through_gap_changes": through_gap,
        "per_staffed_hour": changes * _HOUR_MS / staffed if staffed else None,
        "coverage": share(group.observed, group.tracked),
    }
