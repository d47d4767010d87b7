"""What the agents' families are made of: one immutable row an agent, changed only when the agent's status does."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exporter.metrics.statuses import StatusLabels, is_unrecognised
from exporter.metrics.text import cleaned, escaped
from exporter.model import AgentId, PollFacts, Status, Tracked, TrackerState


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
        self._rows: Mapping[AgentId, Row] = {}
        self._order: tuple[AgentId, ...] = ()
        self._known_ms = 0
        self._last_received: int | None = None

    def follow(self, facts: PollFacts, state: TrackerState) -> dict[tuple[int, int], int]:
        """Take over the state after a good poll; the changes between labels (by place), with their number."""
        self._known_ms += self._elapsed_ms(facts)
        self._last_received = facts.poll.received
        came_from = {change.agent_id: change.from_status for change in facts.transitions}
        rows: dict[AgentId, Row] = {}
        moves: dict[tuple[int, int], int] = {}
        for agent_id, tracked in state.agents.items():
            row = self._rows.get(agent_id)
            if row is None:
                # The first poll of a process can bring a change from what the history held.
                row = self._first_row(agent_id, tracked, came_from.get(agent_id))
            if row.tracked is not tracked:
                row = self._changed_row(row, tracked, moves)
            rows[agent_id] = row
        if rows.keys() != self._rows.keys():
            self._order = tuple(sorted(rows))
        self._rows = rows
        return moves

    @property
    def unrecognised(self) -> int:
        """How many agents have a status that is not documented."""
        return sum(row.unrecognised for row in self._rows.values())

    def view(self) -> AgentsView:
        """What is to be rendered."""
        return AgentsView(tuple(map(self._rows.__getitem__, self._order)), self.labels.labels, self._known_ms)

    def _elapsed_ms(self, facts: PollFacts) -> int:
        """Known time since the poll before. Never more than since the last one seen here, never negative."""
        if self._last_received is None:
            return 0
        return max(0, min(facts.elapsed_ms, facts.poll.received - self._last_received))

    def _first_row(self, agent_id: AgentId, tracked: Tracked, held: Status | None) -> Row:
        before = tracked if held is None else replace(tracked, status=held)
        place = self.labels.place(before.status)
        return Row(
            label=escaped(cleaned(agent_id)),
            tracked=before,
            team=cleaned(tracked.agent.team),
            place=place,
            held_from_ms=self._known_ms,
            earlier_ms=(),
            changes=0,
            unrecognised=is_unrecognised(before.status),
        )

    def _changed_row(self, row: Row, tracked: Tracked, moves: dict[tuple[int, int], int]) -> Row:
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
            held_from_ms=self._known_ms,
            earlier_ms=tuple(row.credited_ms(self._known_ms, len(self.labels.labels))),
            changes=row.changes + 1,
            unrecognised=is_unrecognised(tracked.status),
        )
