"""A recorder on a real database, fed as the poller feeds it, and disks that fail."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from exporter.history.writer import HistoryStatistics, HistoryWriter, RunInfo
from exporter.model import Agent, EndReason, Poll, PollFacts, Status, TrackerState
from exporter.recorder import Recorder
from exporter.tracker import Pace, advance
from tests.support.clock import FakeClock

PACE = Pace(interval_ms=1_000, gap_limit_ms=2_500)
AGENTS = {"7001": Agent("7001", "Ann")}
RUN = RunInfo(version="0", host="test", boot_id="b", pid=1, started=0)
TRANSITIONS = "select from_status, to_status, not_before, seen from transitions order by seen"
COVERAGE = "select started, last, polls, end_reason from coverage order by id"
INCIDENTS = "select at, kind, detail from incident order by id"
GIVEN_UP = "facts that could not be written are given up; their time will be unknown in the history"
FULL = sqlite3.OperationalError("database or disk is full")


@dataclass
class Notes:
    """An observer that remembers."""

    written: int = 0
    failed: int = 0
    pending: list[int] = field(default_factory=list)
    lost: int = 0
    gaps: int = 0
    pruned: int = 0
    statistics: list[int] = field(default_factory=list)
    """How many transitions the history was said to hold."""

    def history_written(self, transitions: int, seconds: float) -> None:
        self.written += transitions

    def history_write_failed(self) -> None:
        self.failed += 1

    def history_pending(self, transitions: int) -> None:
        self.pending.append(transitions)

    def history_lost(self, transitions: int) -> None:
        self.lost += transitions

    def history_gap(self) -> None:
        self.gaps += 1

    def history_pruned(self, transitions: int) -> None:
        self.pruned += transitions

    def history_statistics(self, statistics: HistoryStatistics) -> None:
        self.statistics.append(statistics.transitions)


class Rig:
    """A recorder on a real database, fed as the poller feeds it."""

    def __init__(self, path: Path, thread: ThreadPoolExecutor, limit: int) -> None:
        self.notes = Notes()
        self.writer = thread.submit(HistoryWriter.open, path, RUN).result()
        self.clock = FakeClock(now_ms=0)
        self.recorder = Recorder(self.writer, thread, self.clock, self.notes, limit=limit)
        self.state: TrackerState = self.recorder.resumed

    def poll(self, sent: int, status: Status) -> None:
        self.clock.step(sent + 50 - self.clock.now_ms())
        before = self.state
        after, facts = advance(before, Poll(sent, sent + 50, {"7001": status}), AGENTS, PACE)
        self.state = self.recorder.record(before, facts, after, AGENTS, PACE)


def play(path: Path, script: Callable[[Rig], Awaitable[None]], *, limit: int = 1_000) -> Notes:
    """Run `script` while the recorder runs, then stop it in good order."""

    async def run() -> Notes:
        with ThreadPoolExecutor(1) as thread:
            rig = Rig(path, thread, limit)
            stop = asyncio.Event()
            running = asyncio.ensure_future(rig.recorder.run(stop))
            async with asyncio.timeout(10):
                await script(rig)
                while rig.notes.pending and rig.notes.pending[-1]:
                    await asyncio.sleep(0.01)
                await rig.recorder.settled(5)
                stop.set()
                await running
                await rig.recorder.close(EndReason.SHUTDOWN)
            return rig.notes

    return asyncio.run(run())


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def break_writer(rig: Rig, times: int, error: Exception) -> None:
    """Let the next `times` appends fail before anything is written, as a full disk does."""
    append = rig.writer.append
    left = times

    def failing(facts: PollFacts) -> int:
        nonlocal left
        if left > 0:
            left -= 1
            raise error
        return append(facts)

    rig.writer.append = failing  # type: ignore[method-assign] # the fault is put where the disk would put it
