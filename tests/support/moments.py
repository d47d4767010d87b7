"""What polls mean, looked at millisecond by millisecond: the reference of the reports, without the algebra."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from exporter.history.algebra import EdgePolicy
from exporter.history.facts import Description, HistoryFacts
from exporter.history.window import Window
from exporter.model import UNKNOWN, AgentId, Poll, Status
from tests.support.histories import brute_force, history, polls_and_edges

ZONE: Final = ZoneInfo("Europe/Berlin")
MIDNIGHT: Final = round(datetime(2026, 6, 1, tzinfo=ZONE).timestamp() * 1000)
"""Where a day, a week and a month begin at once: the first of June 2026 is a Monday."""
BEFORE_MIDNIGHT: Final = 120
"""The polls of a `Case` begin so many milliseconds before it."""
GAP_LIMIT: Final = 25


class Instant(NamedTuple):
    """One millisecond of one tracked agent."""

    at: int
    agent_id: AgentId
    status: Status
    sure: bool
    possible: frozenset[Status]

    @property
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.at // 1000, ZONE)


@dataclass(frozen=True)
class Case:
    """Polls around a midnight, a window, and who was in which team from when on."""

    polls: Sequence[Poll]
    window: Window
    teams: dict[AgentId, tuple[Description, ...]]

    @property
    def facts(self) -> HistoryFacts:
        facts = history(self.polls)
        agents = tuple(replace(agent, descriptions=self.teams[agent.agent_id]) for agent in facts.agents)
        return replace(facts, agents=agents)

    def team(self, agent_id: AgentId, at: int) -> str:
        known = [d.team for d in self.teams[agent_id] if d.since <= at]
        return known[-1] if known else self.teams[agent_id][0].team

    def instants(self) -> Iterator[Instant]:
        """Every millisecond of every agent in the window."""
        for agent_id in sorted({agent_id for poll in self.polls for agent_id in poll.readings}):
            for at in range(self.window.since, self.window.until):
                moment = brute_force(self.polls, agent_id, at, GAP_LIMIT)
                if moment is not None:
                    status = moment.status or UNKNOWN
                    yield Instant(at, agent_id, status, moment.sure, moment.possible or frozenset({status}))

    def joined(self, index: int) -> bool:
        """Whether the poll of that index continues the stretch of the one before."""
        return index > 0 and self.polls[index].received - self.polls[index - 1].received <= GAP_LIMIT

    def changes(self) -> Iterator["PollChange"]:
        """Every pair of polls, one after the other, that asked for an agent and saw two statuses."""
        for index in range(1, len(self.polls)):
            before, after = self.polls[index - 1], self.polls[index]
            for agent_id in sorted(before.readings.keys() & after.readings.keys()):
                if before.readings[agent_id] == after.readings[agent_id]:
                    continue
                known_before = self.joined(index - 1) and agent_id in self.polls[index - 2].readings
                yield PollChange(
                    agent_id,
                    before.readings[agent_id],
                    after.readings[agent_id],
                    before.sent if known_before else before.received,
                    after.received,
                    not self.joined(index),
                )


class PollChange(NamedTuple):
    """A change between two polls."""

    agent_id: AgentId
    before: Status
    after: Status
    lower: int
    seen: int
    through_gap: bool

    def edge(self, policy: EdgePolicy) -> int:
        if self.through_gap or policy is EdgePolicy.SEEN:
            return self.seen
        return self.lower if policy is EdgePolicy.NOT_BEFORE else (self.lower + self.seen) // 2


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Histories whose window most often reaches over midnight."""
    polls, (since, until) = draw(polls_and_edges(2))
    shift = MIDNIGHT - BEFORE_MIDNIGHT
    teams = {
        agent_id: tuple(
            Description(shift + since, f"{agent_id}-{team}", team)
            for since, team in sorted(
                draw(
                    st.dictionaries(
                        st.integers(0, 400), st.sampled_from(("", "Sales", "Support")), min_size=1, max_size=3
                    )
                ).items()
            )
        )
        for agent_id in ("1", "2")
    }
    moved = [Poll(poll.sent + shift, poll.received + shift, poll.readings) for poll in polls]
    return Case(moved, Window(since + shift, until + shift), teams)


KEYS: Final[dict[str, Callable[[Case, Instant], str]]] = {
    "agent": lambda case, instant: instant.agent_id,
    "team": lambda case, instant: case.team(instant.agent_id, instant.at),
    "day": lambda case, instant: f"{instant.local:%Y-%m-%d}",
    "week": lambda case, instant: f"{instant.local:%G-W%V}",
    "month": lambda case, instant: f"{instant.local:%Y-%m}",
}
"""What of an instant is the same in a group, by the name of the group."""
