"""The recorder: facts reach the database in the order of the polls, late polls do not, and it always ends."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exporter.model import AVAILABLE, BUSY, EndReason, Poll, PollFacts, TrackerState
from exporter.tracker import advance
from tests.support.recording import (
    AGENTS,
    COVERAGE,
    FULL,
    GIVEN_UP,
    PACE,
    TRANSITIONS,
    Notes,
    Rig,
    break_writer,
    play,
    rows,
)
from tests.support.told_in_log import fields_of

NOT_CLOSED_IN_TIME = "the history could not be closed in time; the next start will take this run for crashed"


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


def test_what_still_waits_when_the_writing_has_to_end_is_said_to_be_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk hangs: what is being written may get there or not, and of the rest it is sure that it does not."""

    async def run() -> Notes:
        with ThreadPoolExecutor(1) as thread:
            rig = Rig(tmp_path / "h.db", thread, limit=100)
            release = threading.Event()
            append = rig.writer.append

            def hanging(facts: PollFacts) -> int:
                release.wait(10)
                return append(facts)

            rig.writer.append = hanging  # type: ignore[method-assign] # the fault is put where the disk would put it
            writing = asyncio.ensure_future(rig.recorder.run(asyncio.Event()))
            for sent in (100, 1_100, 2_100):
                rig.poll(sent, AVAILABLE)
            while not writing.done():  # until it writes, and then the time is over
                await asyncio.sleep(0.01)
                writing.cancel()
            try:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await rig.recorder.close(EndReason.SHUTDOWN)
            finally:
                release.set()
            thread.submit(rig.writer.close, 3_000, EndReason.SHUTDOWN).result()
            return rig.notes

    asyncio.run(run())

    lost = [fields_of(record) for record in caplog.records if record.message == GIVEN_UP]
    assert [fields["first_received"] for fields in lost] == ["1970-01-01T00:00:01.150Z", "1970-01-01T00:00:00.150Z"]
    assert [fields["polls"] for fields in lost] == [2, 1]
    assert [record.message for record in caplog.records].count(NOT_CLOSED_IN_TIME) == 1


def test_what_the_thread_has_written_after_all_is_not_said_to_be_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        with ThreadPoolExecutor(1) as thread:
            rig = Rig(tmp_path / "h.db", thread, limit=100)
            writing = asyncio.ensure_future(rig.recorder.run(asyncio.Event()))
            rig.poll(100, AVAILABLE)
            while rig.recorder._flight is None:
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
            await rig.recorder.close(EndReason.SHUTDOWN)

    asyncio.run(run())

    assert caplog.records == []
    assert rows(tmp_path / "h.db", COVERAGE) == [(150, 150, 1, "shutdown")]
