"""The recorder: facts reach the database in order, wait while it cannot be written, and are never half lost."""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.history.writer import HistoryStatistics, HistoryWriter, RunInfo
from exporter.model import AVAILABLE, BUSY, OFFLINE, Agent, EndReason, Poll, PollFacts, Status, TrackerState
from exporter.recorder import Recorder
from exporter.tracker import Pace, advance
from tests.support.clock import FakeClock

PACE = Pace(interval_ms=1_000, gap_limit_ms=2_500)
AGENTS = {"7001": Agent("7001", "Ann")}
RUN = RunInfo(version="0", host="test", boot_id="b", pid=1, started=0)


@dataclass
class Notes:
    """An observer that remembers."""

    written: int = 0
    failed: int = 0
    pending: list[int] = field(default_factory=list)
    lost: int = 0
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


TRANSITIONS = "select from_status, to_status, not_before, seen from transitions order by seen"
COVERAGE = "select started, last, polls, end_reason from coverage order by id"


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


FULL = sqlite3.OperationalError("database or disk is full")


def test_facts_are_written_in_the_order_of_the_polls(tmp_path: Path) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        rig.poll(1_100, BUSY)

    notes = play(tmp_path / "h.db", script)

    assert rows(tmp_path / "h.db", TRANSITIONS) == [
        (None, "Available", None, 150),
        ("Available", "Busy", 100, 1_150),
    ]
    assert rows(tmp_path / "h.db", COVERAGE) == [(150, 1_150, 2, "shutdown")]
    assert (notes.written, notes.lost, notes.pending[-1]) == (2, 0, 0)


def test_how_much_the_history_holds_is_told_before_anything_is_written(tmp_path: Path) -> None:
    async def first_run(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        rig.poll(1_100, BUSY)

    async def second_run(rig: Rig) -> None:
        while not rig.notes.statistics:
            await asyncio.sleep(0)

    play(tmp_path / "h.db", first_run)

    assert play(tmp_path / "h.db", second_run).statistics == [2]


def test_what_cannot_be_written_waits_and_is_written_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def script(rig: Rig) -> None:
        break_writer(rig, 3, FULL)
        rig.poll(100, AVAILABLE)
        rig.poll(1_100, BUSY)

    notes = play(tmp_path / "h.db", script)

    assert rows(tmp_path / "h.db", COVERAGE) == [(150, 1_150, 2, "shutdown")]
    assert (notes.written, notes.failed, notes.lost) == (2, 3, 0)
    assert [record.message for record in caplog.records] == [
        "the history cannot be written; polls go on and their facts wait in memory",
        "the history can be written again",
    ], "each failure's beginning and end, not each repetition"


def test_facts_beyond_the_limit_are_given_up_whole_and_their_time_is_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        await rig.recorder.settled(5)
        append = rig.writer.append
        break_writer(rig, 10_000, FULL)
        # Two units each: a poll and its transition. The third is more than four.
        rig.poll(1_100, BUSY)
        rig.poll(2_100, OFFLINE)
        rig.poll(3_100, BUSY)
        rig.writer.append = append  # type: ignore[method-assign] # the disk has room again
        rig.poll(4_100, AVAILABLE)
        rig.poll(5_100, BUSY)

    notes = play(tmp_path / "h.db", script, limit=4)

    # From the last poll that was written (sent 100, received 150) to the next one (received 4150) nobody recorded.
    assert rows(tmp_path / "h.db", COVERAGE) == [(150, 150, 1, "not written"), (4_150, 5_150, 2, "shutdown")]
    assert rows(tmp_path / "h.db", TRANSITIONS) == [(None, "Available", None, 150), ("Available", "Busy", 4_100, 5_150)]
    assert notes.lost == 3
    (given_up,) = [record for record in caplog.records if "given up" in record.message]
    assert given_up.fields["first_received"] == "1970-01-01T00:00:01.150Z"  # type: ignore[attr-defined]
    assert given_up.fields["last_received"] == "1970-01-01T00:00:03.150Z"  # type: ignore[attr-defined]


def test_what_was_given_up_breaks_the_stretch_however_short_it_took(tmp_path: Path) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        await rig.recorder.settled(5)
        break_writer(rig, 1, sqlite3.IntegrityError("refused"))
        rig.poll(1_100, BUSY)
        await rig.recorder.settled(5)
        # Well within the gap limit of 2500 ms; but Busy was seen between, and is lost.
        rig.poll(1_600, AVAILABLE)

    play(tmp_path / "h.db", script)

    assert rows(tmp_path / "h.db", COVERAGE) == [(150, 150, 1, "not written"), (1_650, 1_650, 1, "shutdown")]


@pytest.mark.parametrize(
    ("failing", "silent_ms", "reason"),
    [(True, 2_500, "shutdown"), (True, 2_501, "poll failure"), (False, 2_501, "shutdown")],
)
def test_a_stretch_that_failing_polls_had_ended_long_before_the_run_did_not_end_by_its_end(
    failing: bool, silent_ms: int, reason: str, tmp_path: Path
) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        rig.clock.step(silent_ms)
        rig.recorder.polls_have_ended(failing=failing)

    play(tmp_path / "h.db", script)

    assert rows(tmp_path / "h.db", COVERAGE) == [(150, 150, 1, reason)]
    assert rows(tmp_path / "h.db", "select ended, end_reason from run") == [(150 + silent_ms, "shutdown")]


def test_facts_that_contradict_the_history_are_given_up_instead_of_blocking_it_for_ever(tmp_path: Path) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        await rig.recorder.settled(5)
        break_writer(rig, 1, sqlite3.IntegrityError("CHECK constraint failed"))
        rig.poll(1_100, BUSY)
        await rig.recorder.settled(5)
        rig.poll(2_100, BUSY)

    notes = play(tmp_path / "h.db", script, limit=100)

    assert notes.lost == 1
    assert rows(tmp_path / "h.db", TRANSITIONS)[-1] == ("Available", "Busy", 100, 2_150)


def test_a_commit_that_was_reported_as_failed_but_done_does_not_stop_the_history(tmp_path: Path) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        await rig.recorder.settled(5)
        append = rig.writer.append

        def done_but_reported_as_refused(facts: PollFacts) -> int:
            append(facts)
            rig.writer.append = append  # type: ignore[method-assign] # once is enough
            raise sqlite3.IntegrityError("refused")

        rig.writer.append = done_but_reported_as_refused  # type: ignore[method-assign] # see above
        rig.poll(1_100, BUSY)
        await rig.recorder.settled(5)
        rig.poll(2_100, OFFLINE)
        await rig.recorder.settled(5)
        rig.poll(3_100, OFFLINE)

    play(tmp_path / "h.db", script, limit=100)

    assert rows(tmp_path / "h.db", TRANSITIONS)[1:] == [
        ("Available", "Busy", 100, 1_150),
        ("Busy", "Offline", 1_100, 2_150),
    ]
    # Whether they were lost was not known, so the time until the next poll is not claimed.
    assert rows(tmp_path / "h.db", COVERAGE) == [(150, 1_150, 2, "not written"), (2_150, 3_150, 2, "shutdown")]


def test_polls_in_the_past_already_written_are_refused_and_noted_once(tmp_path: Path) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(10_000, AVAILABLE)
        # The wall clock is set back by ten seconds: the poller goes on from a state without a stretch.
        for sent, step_ms in ((1_000, -10_000), (2_000, 0)):
            before = TrackerState(rig.state.agents, None)
            after, facts = advance(before, Poll(sent, sent + 50, {"7001": BUSY}, step_ms), AGENTS, PACE)
            rig.state = rig.recorder.record(before, facts, after, AGENTS, PACE)
        rig.poll(11_000, BUSY)

    play(tmp_path / "h.db", script)

    assert rows(tmp_path / "h.db", "select at, kind from incident") == [(1_050, "late polls"), (11_050, "clock step")]
    # The time between is unknown, though it is shorter than the gap limit by the clock's own account.
    assert rows(tmp_path / "h.db", COVERAGE) == [(10_050, 10_050, 1, "clock step"), (11_050, 11_050, 1, "shutdown")]
    # The poll that saw the old status was sent at 10,000 by the old reckoning: 0 by the new one, which `seen` is in.
    assert rows(tmp_path / "h.db", TRANSITIONS)[-1] == ("Available", "Busy", 0, 11_050)


def test_a_clock_that_was_set_back_between_two_runs_leaves_a_gap_and_no_change_is_put_into_it(tmp_path: Path) -> None:
    async def first_run(rig: Rig) -> None:
        rig.poll(10_000, AVAILABLE)

    async def second_run(rig: Rig) -> None:
        # Nobody saw the clock step. Polls are refused until it passes 10,050 again, by then Busy was seen twice.
        for sent in (8_500, 9_500):
            before = TrackerState(rig.state.agents, None)
            after, facts = advance(before, Poll(sent, sent + 50, {"7001": BUSY}), AGENTS, PACE)
            rig.state = rig.recorder.record(before, facts, after, AGENTS, PACE)
        rig.poll(10_500, BUSY)

    play(tmp_path / "h.db", first_run)
    play(tmp_path / "h.db", second_run)

    # By its own account the clock was silent for 500 ms, less than the gap limit.
    assert rows(tmp_path / "h.db", COVERAGE) == [(10_050, 10_050, 1, "clock step"), (10_550, 10_550, 1, "shutdown")]
    # It was set back by at least 1,501 ms: the poll of 10,050 came before the one of 8,550.
    assert rows(tmp_path / "h.db", TRANSITIONS)[-1] == ("Available", "Busy", 8_499, 10_550)


def test_facts_that_cannot_be_written_at_the_end_do_not_keep_the_program_from_ending(tmp_path: Path) -> None:
    async def run() -> Notes:
        with ThreadPoolExecutor(1) as thread:
            rig = Rig(tmp_path / "h.db", thread, limit=100)
            break_writer(rig, 10_000, FULL)
            rig.poll(100, AVAILABLE)
            stop = asyncio.Event()
            stop.set()
            async with asyncio.timeout(5):
                await rig.recorder.run(stop)
            thread.submit(rig.writer.close, 200, EndReason.SHUTDOWN).result()
            return rig.notes

    assert asyncio.run(run()).lost == 1
