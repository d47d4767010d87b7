"""What the agents' families are made of: one immutable row an agent, changed only when the agent's status does."""

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from exporter.metrics.statuses import StatusLabels, is_unrecognised
from exporter.metrics.text import cleaned, escaped
from exporter.model import AgentId, PollFacts, Status, Tracked, TrackerState
from exporter.steps import LIGHT, Steps, batches

Moves = dict[tuple[int, int], int]
"""How many agents went from one label to another, both by their place."""

_PIECE: Final = 250
"""Agents followed in one step: a changed one takes some 8 microseconds, and at nine o'clock all of them change."""


@dataclass(frozen=True, slots=True)
class Row:
    """An agent. The time in the present status is not stored but follows from `held_from_ms`."""

    label: str
    """The agent id as it stands between the quotes of a label."""
    tracked: Tracked
    team: str
    """The team as a label's value, not escaped."""
    place: int
    """Which label of `AgentsView.labels` the agent's status has."""
    held_from_ms: int
    """The known time (see `AgentsView`) when the status last changed."""
    earlier_ms: tuple[int, ...]
    """Time credited to each label before that; shorter than the labels if some appeared later."""
    changes: int
    unrecognised: bool
    """Whether the status is a word that is not documented."""

    def credited_ms(self, known_ms: int, labels: int) -> list[int]:
        """Time credited to each of `labels` labels by the known time `known_ms`, in milliseconds."""
        times = list(self.earlier_ms)
        times += (0,) * (labels - len(times))
        times[self.place] += known_ms - self.held_from_ms
        return times


@dataclass(frozen=True, slots=True)
class AgentsView:
    """All agents as of one poll."""

    rows: tuple[Row, ...]
    """Ordered by agent id."""
    labels: tuple[str, ...]
    """The labels of statuses, not escaped."""
    counts: Mapping[tuple[str, int], int]
    """How many agents there are by team and place of their status; none of them is 0."""
    known_ms: int
    """Known time so far: the time between good polls, without gaps, since the process started. The same for all
    agents, so a poll changes the rows of those only whose status changed."""


class AgentSeries:
    """Follows the tracker's states; everything is counted from the first state it is shown.

    It compares states itself and does not trust that the transitions of the facts join up: facts that could not be
    written are given up, and the next ones then repeat what was already seen.
    """

    def __init__(self) -> None:
        self.labels = StatusLabels()
        self._rows: dict[AgentId, Row] = {}
        self._before: dict[AgentId, Row] = {}
        self._order: tuple[AgentId, ...] = ()
        self._view = AgentsView((), self.labels.labels, {}, 0)
        self._last_received: int | None = None
        self._unrecognised = 0

    def follow(self, facts: PollFacts, state: TrackerState) -> Steps[Moves]:
        """Take over the state after a good poll; the changes between labels (by place), with their number.

        Nothing is taken over before the last step.
        """
        known_ms = self._view.known_ms + self._elapsed_ms(facts)
        came_from: dict[AgentId, Status | None] = {}
        for changes in batches(facts.transitions, LIGHT):
            came_from |= {
                change.agent_id: change.from_status for change in changes if change.agent_id not in self._rows
            }
            yield
        rows: dict[AgentId, Row] = {}
        moves: Moves = {}
        new: list[AgentId] = []
        for some in batches(state.agents.items(), _PIECE):
            for agent_id, tracked in some:
                row = self._rows.get(agent_id)
                if row is None:
                    # The first poll of a process can bring a change from what the history held.
                    row = self._first_row(agent_id, tracked, came_from.get(agent_id), known_ms)
                    new.append(agent_id)
                if row.tracked is not tracked:
                    row = self._changed_row(row, tracked, moves, known_ms)
                rows[agent_id] = row
            yield
        order = yield from self._in_order(rows, new)
        ordered: list[Row] = []
        counts: Counter[tuple[str, int]] = Counter()
        unrecognised = 0
        for ids in batches(order, LIGHT):
            run = [rows[agent_id] for agent_id in ids]
            ordered += run
            counts.update([(row.team, row.place) for row in run])
            unrecognised += sum([row.unrecognised for row in run])
            yield
        self._before, self._rows, self._order, self._unrecognised = self._rows, rows, order, unrecognised
        self._last_received = facts.poll.received
        self._view = AgentsView(tuple(ordered), self.labels.labels, counts, known_ms)
        return moves

    def let_go(self) -> Steps[None]:
        """Free what the last `follow` has replaced; to do so at once takes 4 ms at 50,000 agents."""
        while self._before:
            for _ in range(min(len(self._before), LIGHT)):
                self._before.popitem()
            yield

    @property
    def unrecognised(self) -> int:
        """How many agents have a status that is not documented."""
        return self._unrecognised

    @property
    def view(self) -> AgentsView:
        """What is to be rendered."""
        return self._view

    def _in_order(self, rows: Mapping[AgentId, Row], new: list[AgentId]) -> Steps[tuple[AgentId, ...]]:
        """The ids of `rows`, sorted; who was there before is in order already."""
        if not new and len(rows) == len(self._order):
            return self._order
        runs: list[list[AgentId]] = []
        for some in batches(new, LIGHT):
            runs.append(sorted(some))
            yield
        order: list[AgentId] = []
        for some in batches(heapq.merge((old for old in self._order if old in rows), *runs), LIGHT):
            order += some
            yield
        return tuple(order)

    def _elapsed_ms(self, facts: PollFacts) -> int:
        """Known time since the poll before. Never more than since the last one seen here, never negative."""
        if self._last_received is None:
            return 0
        return max(0, min(facts.elapsed_ms, facts.poll.received - self._last_received))

    def _first_row(self, agent_id: AgentId, tracked: Tracked, held: Status | None, known_ms: int) -> Row:
        before = tracked if held is None else replace(tracked, status=held)
        place = self.labels.place(before.status)
        return Row(
            label=escaped(cleaned(agent_id)),
            tracked=before,
            team=cleaned(tracked.agent.team),
            place=place,
            held_from_ms=known_ms,
            earlier_ms=(),
            changes=0,
            unrecognised=is_unrecognised(before.status),
        )

    def _changed_row(self, row: Row, tracked: Tracked, moves: Moves, known_ms: int) -> Row:
        place = self.labels.place(tracked.status)
        team = cleaned(tracked.agent.team)
        if place == row.place:
            return replace(row, tracked=tracked, team=team, unrecognised=is_unrecognised(tracked.status))
        moves[row.place, place] = moves.get((row.place, place), 0) + 1
        return replace(
            row,
            tracked=tracked,
            team=team,
            place=place,
            held_from_ms=known_ms,
            earlier_ms=tuple(row.credited_ms(known_ms, len(self.labels.labels))),
            changes=row.changes + 1,
            unrecognised=is_unrecognised(tracked.status),
        )
