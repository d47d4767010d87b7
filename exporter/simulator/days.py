"""One working day of the contact centre, simulated from its beginning to its end: who was in which status when.

Pure: the day follows from the settings and the date alone. Everyone is Offline at both ends of it, so days can be
simulated one by one, in any order.
"""

import random
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush
from typing import Final

from exporter.model import AVAILABLE, BUSY, OFFLINE, ON_BREAK, ON_CALL
from exporter.simulator.plans import Pause, Plan, plan_of
from exporter.simulator.randomness import seeded
from exporter.simulator.workdays import CLOSING, OPENING, Workday

WORDS: Final = (OFFLINE.word, AVAILABLE.word, BUSY.word, ON_BREAK.word, ON_CALL.word)
_OFFLINE, _AVAILABLE, _BUSY, _ON_BREAK, _ON_CALL = range(len(WORDS))
_CODES: Final = {word: code for code, word in enumerate(WORDS)}

_HOUR: Final = 3_600_000
# Calls an hour against those of ordinary load, by hour since opening. With the three shifts the team is a third, two
# thirds or all of the staff: around the steps of this curve calls outnumber those who could take them.
_CURVE: Final = (0.30, 0.45, 0.80, 0.85, 0.90, 0.95, 1.05, 1.10, 0.75, 0.60, 0.35, 0.20)
_BUSIEST: Final = max(_CURVE)
_RING_S: Final = (2.0, 9.0)
_PATIENCE_S: Final = 60.0
_TALK_S, _TALK_SIGMA, _SHORTEST_CALL_S, _LONGEST_CALL_S = 180.0, 0.8, 5.0, 2_700.0
_WRAP_SHARE: Final = 0.5
_WRAP_S: Final = (15.0, 150.0)


@dataclass(frozen=True, slots=True)
class Day:
    """The changes of all agents on a working day [start, end). Each agent is Offline at `start`."""

    start: int
    end: int
    times: tuple["array[int]", ...]
    """By position: the instants of the agent's changes, rising."""
    codes: tuple[bytes, ...]
    """By position: the index into WORDS of the status that each change leads to."""

    def word_at(self, position: int, at: int) -> str:
        """The status at an instant of the day."""
        index = bisect_right(self.times[position], at)
        return WORDS[self.codes[position][index - 1] if index else _OFFLINE]

    def changes(self, position: int, since: int, until: int) -> list[tuple[int, str]]:
        """Instant and new status of each change in [since, until)."""
        times, codes = self.times[position], self.codes[position]
        first, last = bisect_left(times, since), bisect_left(times, until)
        return [(times[index], WORDS[codes[index]]) for index in range(first, last)]


def simulate_day(seed: int, agents: int, calls_per_agent_hour: float, day: Workday) -> Day:
    """The day as it happens to `agents` agents. Takes some 15 µs a call: seconds for thousands of agents."""
    plans = [plan_of(seed, position, day) for position in range(agents)]
    rng = seeded("calls", seed, day.date.isoformat())
    return _Floor(plans, rng).run(day, _arrivals(rng, plans, calls_per_agent_hour, day))


def _arrivals(rng: random.Random, plans: Sequence[Plan | None], calls_per_agent_hour: float, day: Workday) -> list[int]:
    """When calls come in: a Poisson process whose rate follows the curve, by thinning; some days are busier."""
    staff = sum(plan is not None for plan in plans)
    an_hour = staff * calls_per_agent_hour * rng.uniform(0.8, 1.15)
    opening, closing = day.at(OPENING), day.at(CLOSING)
    arrivals: list[int] = []
    if not an_hour:
        return arrivals
    at = float(opening)
    while True:
        at += rng.expovariate(an_hour * _BUSIEST) * _HOUR
        hour = int((at - opening) // _HOUR)
        if at >= closing or hour >= len(_CURVE):
            return arrivals
        if rng.random() * _BUSIEST < _CURVE[hour]:
            arrivals.append(int(at))


class _Do(IntEnum):
    """What a step of the day is; steps of the same instant run in the order in which they were planned."""

    CALL = 0
    LOG_IN = 1
    LOG_OUT = 2
    PAUSE = 3
    DROP = 4
    COME_BACK = 5
    ANSWER = 6
    HANG_UP = 7
    FREE = 8


_FOLLOWS_UP: Final = _Do.COME_BACK
"""From here on: what ends something, and is stale when the agent has turned to something else since."""


class _Agent:
    """What an agent is doing at the moment."""

    __slots__ = ("code", "codes", "leaving", "pending", "ringing", "times", "turn", "working")

    def __init__(self) -> None:
        self.code = _OFFLINE
        self.times: array[int] = array("q")
        self.codes = bytearray()
        self.turn = 0
        """Counts what the agent has turned to; a step planned for an earlier turn is stale."""
        self.working = False
        """Logged in, or thrown out and about to come back."""
        self.leaving = False
        """The shift ended in the middle of a call."""
        self.ringing = False
        self.pending: deque[Pause] = deque()
        """Pauses that wait for the end of a call."""

    def become(self, code: int, at: int) -> None:
        self.turn += 1
        self.ringing = False
        if code == self.code:
            return
        self.code = code
        if self.times and self.times[-1] == at:  # of two changes in one millisecond only the later is ever seen
            self.times.pop()
            self.codes.pop()
            if (self.codes[-1] if self.codes else _OFFLINE) == code:
                return
        self.times.append(at)
        self.codes.append(code)


class _Floor:
    """The room in which calls come in and agents take them: the one who has been idle for longest takes the next."""

    def __init__(self, plans: Sequence[Plan | None], rng: random.Random) -> None:
        self._plans = plans
        self._rng = rng
        self._agents = [_Agent() for _ in plans]
        self._steps: list[tuple[int, int, _Do, int, int]] = []
        self._planned = 0
        self._idle: deque[tuple[int, int]] = deque()
        self._callers: deque[int] = deque()
        """Until when each waiting caller has patience."""
        self._pauses: dict[int, deque[Pause]] = {}

    def run(self, day: Workday, arrivals: Sequence[int]) -> Day:
        for position, plan in enumerate(self._plans):
            if plan is not None:
                self._prepare(position, plan)
        for at in arrivals:
            self._plan(at, _Do.CALL)
        actions = (
            self._call, self._log_in, self._log_out, self._pause, self._drop,
            self._come_back, self._answer, self._hang_up, self._free,
        )  # fmt: skip
        steps, agents = self._steps, self._agents
        while steps:
            at, _, do, position, turn = heappop(steps)
            if do < _FOLLOWS_UP or agents[position].turn == turn:
                actions[do](position, at)
        return Day(day.start, day.end, tuple(agent.times for agent in agents), tuple(bytes(a.codes) for a in agents))

    def _prepare(self, position: int, plan: Plan) -> None:
        self._pauses[position] = deque(plan.pauses)
        self._plan(plan.login, _Do.LOG_IN, position)
        self._plan(plan.logout, _Do.LOG_OUT, position)
        for pause in plan.pauses:
            self._plan(pause.at, _Do.PAUSE, position)
        for drop in plan.drops:
            self._plan(drop.at, _Do.DROP, position)

    def _plan(self, at: int, do: _Do, position: int = 0) -> None:
        self._planned += 1
        heappush(self._steps, (at, self._planned, do, position, self._agents[position].turn))

    def _log_in(self, position: int, at: int) -> None:
        self._agents[position].working = True
        self._free(position, at)

    def _log_out(self, position: int, at: int) -> None:
        agent = self._agents[position]
        if agent.ringing or agent.code == _ON_CALL:
            agent.leaving = True
            return
        agent.working = False
        agent.become(_OFFLINE, at)

    def _pause(self, position: int, at: int) -> None:
        agent = self._agents[position]
        pause = self._pauses[position].popleft()
        if not agent.working or agent.code == _OFFLINE:
            return
        if agent.code == _AVAILABLE and not agent.ringing:
            self._begin(position, pause, at)
        else:
            agent.pending.append(pause)

    def _begin(self, position: int, pause: Pause, at: int) -> None:
        self._agents[position].become(_CODES[pause.word], at)
        self._plan(at + pause.length, _Do.FREE, position)

    def _drop(self, position: int, at: int) -> None:
        agent = self._agents[position]
        if not agent.working:
            return
        agent.become(_OFFLINE, at)
        plan = self._plans[position]
        assert plan is not None
        length = next(drop.length for drop in plan.drops if drop.at == at)
        self._plan(at + length, _Do.COME_BACK, position)

    def _come_back(self, position: int, at: int) -> None:
        if self._agents[position].working:
            self._free(position, at)

    def _call(self, _: int, at: int) -> None:
        while self._idle:
            position, turn = self._idle.popleft()
            if self._agents[position].turn == turn:
                self._ring(position, at)
                return
        self._callers.append(at + int(self._rng.expovariate(1 / _PATIENCE_S) * 1000))

    def _ring(self, position: int, at: int) -> None:
        """The agent stays Available until the call is answered, but takes no other."""
        agent = self._agents[position]
        agent.turn += 1
        agent.ringing = True
        self._plan(at + self._ms(*_RING_S), _Do.ANSWER, position)

    def _answer(self, position: int, at: int) -> None:
        self._agents[position].become(_ON_CALL, at)
        talk = min(_LONGEST_CALL_S, max(_SHORTEST_CALL_S, self._rng.lognormvariate(0, _TALK_SIGMA) * _TALK_S))
        self._plan(at + int(talk * 1000), _Do.HANG_UP, position)

    def _hang_up(self, position: int, at: int) -> None:
        agent = self._agents[position]
        if not agent.leaving and self._rng.random() < _WRAP_SHARE:
            agent.become(_BUSY, at)
            self._plan(at + self._ms(*_WRAP_S), _Do.FREE, position)
        else:
            self._free(position, at)

    def _free(self, position: int, at: int) -> None:
        """The agent has nothing in hand: goes home, takes the pause that is due, or waits for the next call."""
        agent = self._agents[position]
        if agent.leaving:
            agent.working = False
            agent.become(_OFFLINE, at)
        elif agent.pending:
            self._begin(position, agent.pending.popleft(), at)
        else:
            agent.become(_AVAILABLE, at)
            while self._callers:
                if self._callers.popleft() > at:
                    self._ring(position, at)
                    return
            self._idle.append((position, agent.turn))

    def _ms(self, least_s: float, most_s: float) -> int:
        return int(self._rng.uniform(least_s, most_s) * 1000)
