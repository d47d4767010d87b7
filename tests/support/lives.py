"""Lives of a recorder: polls, silences, duplicates, clock steps, restarts, crashes, and what they mean by brute force.

The reference keeps every poll and looks at each millisecond; it shares no code with the tracker, the store or the
algebra.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, ON_BREAK, UNKNOWN, Agent, AgentId, EndReason, Poll, Status
from exporter.tracker import LatePoll, Pace, advance

PACE: Final = Pace(interval_ms=10, gap_limit_ms=25)
AGENTS: Final = ("1", "2", "3")
TEAMS: Final = {"1": "Sales", "2": "Sales", "3": "Support"}
END: Final = 700
"""Later than anything that happens."""

STATUSES: Final = (AVAILABLE, BUSY, ON_BREAK, ABSENT, ERROR)


@dataclass(frozen=True)
class Step:
    """A poll and what happened before it."""

    poll: Poll
    restart: EndReason | None = None
    """The program was ended (SHUTDOWN) or died (CRASH), and started again."""
    twice: bool = False
    """The poll is given to the tracker twice."""


@dataclass(frozen=True)
class Kept:
    """A poll as the reference keeps it."""

    poll: Poll
    begins: bool
    """Nobody was looking right before it: a stretch begins."""


@st.composite
def lives(draw: st.DrawFn, *, longest: int = 14, restarts: bool = True, steps: bool = True) -> list[Step]:
    """Up to `longest` polls within some 600 ms, of agents who come and go."""
    result: list[Step] = []
    received = draw(st.integers(0, 20))
    for _ in range(draw(st.integers(1, longest))):
        pause = draw(st.integers(1, 40) | st.integers(6, 12))
        sent = received + draw(st.integers(0, pause))
        received += pause
        asked = draw(st.sampled_from((AGENTS, AGENTS, AGENTS, ("1", "2"), ("1",), ("2", "3"))))
        readings = {agent_id: draw(st.sampled_from(STATUSES)) for agent_id in asked}
        stepped = draw(st.sampled_from((0, 0, 0, 0, 0, 5_000))) if steps else 0
        restart = draw(st.sampled_from((None, None, None, EndReason.SHUTDOWN, EndReason.CRASH))) if restarts else None
        result.append(Step(Poll(sent, received, readings, stepped), restart, draw(st.booleans())))
    return result


def record(path: Path, life: Sequence[Step], *, finish: bool = True, **options: object) -> list[Kept]:
    """Write the life into the database and return what a reference keeps of it."""
    recorder = _Recorder(path, options)
    try:
        for step in life:
            recorder.take(step)
        if finish:
            recorder.stop(EndReason.SHUTDOWN, END)
    finally:
        recorder.writer.abandon()
    return recorder.kept


class _Recorder:
    def __init__(self, path: Path, options: Mapping[str, object]) -> None:
        self._path, self._options = path, options
        self.kept: list[Kept] = []
        self._start()

    def _start(self) -> None:
        run = RunInfo("0.1.0", "host", "boot", 1, 0)
        self.writer = HistoryWriter.open(self._path, run, **self._options)  # type: ignore[arg-type] # as they are
        self._state, self._ended = self.writer.resumed, self.writer.resumed_end

    def take(self, step: Step) -> None:
        if step.restart is not None:
            self.stop(step.restart, step.poll.sent)
            self._start()
        for _ in range(1 + step.twice):
            self._poll(step.poll)

    def _poll(self, poll: Poll) -> None:
        try:
            self._state, facts = advance(
                self._state, poll, _described(poll), PACE, silence=self._ended or EndReason.POLL_FAILURE
            )
        except LatePoll:
            return
        self.writer.append(facts)
        self._ended = None
        before = self.kept[-1].poll.received if self.kept else None
        silent = before is None or poll.received - before > PACE.gap_limit_ms
        self.kept.append(Kept(poll, silent or bool(poll.clock_step_ms)))

    def stop(self, reason: EndReason, at: int) -> None:
        if reason is EndReason.CRASH:
            self.writer.abandon()
        else:
            self.writer.close(at, reason)


def without_restarts(life: Sequence[Step]) -> list[Step]:
    return [replace(step, restart=None) for step in life]


def status_by_millisecond(kept: Sequence[Kept], agent_id: AgentId, since: int, until: int) -> dict[int, Status]:
    """The status in each millisecond in which the agent is tracked, by the edge policy `seen`."""
    result = {}
    for at in range(since, until):
        status = _status_at(kept, agent_id, at)
        if status is not None:
            result[at] = status
    return result


def _status_at(kept: Sequence[Kept], agent_id: AgentId, at: int) -> Status | None:
    past = [one for one in kept if one.poll.received <= at]
    if not past or agent_id not in past[-1].poll.readings:
        return None
    coming = kept[len(past) :]
    if coming and agent_id not in coming[0].poll.readings:
        return None  # the poll before was the last that asked
    if not coming or coming[0].begins:
        return UNKNOWN
    return past[-1].poll.readings[agent_id]


def _described(poll: Poll) -> Mapping[AgentId, Agent]:
    return {agent_id: Agent(agent_id, f"Agent {agent_id}", TEAMS[agent_id]) for agent_id in poll.readings}
