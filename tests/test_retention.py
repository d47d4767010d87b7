"""`--history.retention`: old facts are removed while polls go on, and nobody notices but the file."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.cli import parse
from exporter.errors import UsageError
from exporter.history.care.purge import Removed
from exporter.history.transfer.progress import Progress, SilentProgress
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import AVAILABLE, BUSY, Agent, EndReason, Poll
from exporter.retention import keep_within
from exporter.tracker import advance
from tests.support.care import differing, failed, query, reports_on
from tests.support.clock import FakeClock
from tests.support.lives import END, PACE, Step, lives
from tests.support.recording import Rig, play
from tests.support.running import exporting, settings_against, simulated, value

HOUR_MS = 3_600_000
RUN = RunInfo("0.2.0", "host", "boot", 1, 0)


# --- the writer -------------------------------------------------------------------------------------------------------


@settings(max_examples=max(25, settings().max_examples // 4))
@given(lives(restarts=False, steps=False), st.data())
def test_polls_that_are_written_between_the_steps_of_a_purge_lose_nothing(
    life: list[Step], data: st.DataObject
) -> None:
    """A writer that purges, a step for each poll, against one that does not."""
    at = data.draw(st.integers(0, len(life) - 1))
    now = life[at].poll.received
    cut = data.draw(st.integers(0, now))
    with TemporaryDirectory() as directory:
        plain, purged = Path(directory) / "plain.db", Path(directory) / "purged.db"
        for path in (plain, purged):
            writer = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: 3)
            state, steps = writer.resumed, iter(())
            for number, step in enumerate(life):
                people = {agent_id: Agent(agent_id, f"Agent {agent_id}", "") for agent_id in step.poll.readings}
                state, facts = advance(state, step.poll, people, PACE)
                writer.append(facts)
                if number == at and path == purged:
                    steps = writer.purge(cut, now, SilentProgress(), batch=2)
                next(steps, None)
            for _ in steps:
                pass
            writer.close(END, EndReason.SHUTDOWN)
        window = Window(cut, END)
        assert differing(reports_on(plain, window), reports_on(purged, window)) == []
        assert failed(purged) == []


def test_who_was_forgotten_can_come_back(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    state = writer.resumed
    people = {"1": Agent("1", "Ann"), "2": Agent("2", "Ben")}
    for at, readings in ((10, ("1", "2")), (20, ("1",)), (30, ("1",)), (40, ("1",))):
        state, facts = advance(state, Poll(at, at, dict.fromkeys(readings, BUSY)), people, PACE)
        writer.append(facts)
    assert sum(removed.agents for removed in writer.purge(35, 40, SilentProgress())) == 1
    _, facts = advance(state, Poll(50, 50, {"1": BUSY, "2": AVAILABLE}), people, PACE)
    writer.append(facts)
    writer.close(60, EndReason.SHUTDOWN)
    assert query(path, "SELECT agent_id FROM agent ORDER BY agent_id") == [("1",), ("2",)]
    assert failed(path) == []


def test_the_writer_knows_how_far_back_the_history_goes(tmp_path: Path) -> None:
    writer = HistoryWriter.open(tmp_path / "history.db", RUN)
    assert writer.purged_until() is None
    _, facts = advance(writer.resumed, Poll(10, 20, {"1": BUSY}), {"1": Agent("1")}, PACE)
    writer.append(facts)
    assert writer.purged_until() == 20
    list(writer.purge(30, 40, SilentProgress()))
    assert writer.purged_until() == 30
    writer.abandon()


# --- the recorder -----------------------------------------------------------------------------------------------------


def test_the_recorder_purges_between_polls_and_counts_what_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def script(rig: Rig) -> None:
        for second in range(100):
            rig.poll(second * 1_000, AVAILABLE if second % 2 else BUSY)
        await rig.recorder.settled(5)
        purging = asyncio.ensure_future(rig.recorder.purge(50_000, 1_000, asyncio.Event()))
        for second in range(100, 120):
            rig.poll(second * 1_000, AVAILABLE if second % 2 else BUSY)
            await asyncio.sleep(0)
        await purging

    notes = play(path, script)
    # One changes with each poll, the n-th received at n s and 50 ms. Of the first 50 the last is carried into 50 s.
    assert (notes.written, notes.pruned) == (120, 49)
    assert query(path, "SELECT count(*), min(seen) FROM transition") == [(71, 49_050)]
    assert query(path, "SELECT started, begun, last, polls FROM coverage") == [(50_000, 50, 119_050, 120)]
    assert failed(path) == []


def test_too_little_to_be_worth_it_is_left_for_later(tmp_path: Path) -> None:
    async def script(rig: Rig) -> None:
        for second in range(10):
            rig.poll(second * 1_000, AVAILABLE if second % 2 else BUSY)
        await rig.recorder.settled(5)
        await rig.recorder.purge(5_049, 5_000, asyncio.Event())  # the first poll was received at 50 ms
        assert rig.notes.pruned == 0
        await rig.recorder.purge(5_050, 5_000, asyncio.Event())
        assert rig.notes.pruned == 5  # the sixth was seen at that very instant

    play(tmp_path / "history.db", script)


def test_stopping_ends_a_purge_at_once_and_the_next_one_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The long step is the last one: making the totals anew."""
    path, begun = tmp_path / "history.db", threading.Event()

    def endless(connection: object, progress: Progress) -> int:
        begun.set()
        progress.begin("", 1)
        while True:
            progress.advance(0)

    async def script(rig: Rig) -> None:
        for second in range(20):
            rig.poll(second * 1_000, AVAILABLE if second % 2 else BUSY)
        await rig.recorder.settled(5)
        stop = asyncio.Event()
        with monkeypatch.context() as patch:
            patch.setattr("exporter.history.care.purge.rebuild", endless)
            purging = asyncio.ensure_future(rig.recorder.purge(10_000, 1_000, stop))
            while not begun.is_set():
                await asyncio.sleep(0.01)
            stop.set()
            await asyncio.wait_for(purging, 5)
        rig.poll(20_000, BUSY)

    notes = play(path, script)
    assert notes.written == 21
    assert failed(path) == []
    HistoryWriter.open(path, RUN).close(30_000, EndReason.SHUTDOWN)
    assert failed(path) == []


def test_a_purge_that_fails_is_told_and_polls_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "history.db"

    async def script(rig: Rig) -> None:
        for second in range(10):
            rig.poll(second * 1_000, AVAILABLE if second % 2 else BUSY)
        await rig.recorder.settled(5)

        def failing(before: int, now: int, progress: Progress) -> Iterator[Removed]:
            raise OSError("no space left")
            yield Removed()

        rig.writer.purge = failing  # type: ignore[method-assign,assignment] # the fault is put where the disk would put it
        await rig.recorder.purge(5_000, 1_000, asyncio.Event())
        rig.poll(10_000, BUSY)

    assert play(path, script).written == 11
    assert [record.message for record in caplog.records if "purge" in record.message] == [
        "the history could not be purged; it will be tried again"
    ]


def test_serve_purges_while_it_polls(tmp_path: Path) -> None:
    """A retention of half a second, which no flag allows."""

    async def run() -> Path:
        async with simulated() as simulator:
            given = settings_against(simulator, tmp_path, interval_s=0.05)
            given = replace(given, history=replace(given.history, retention_ms=500))
            async with exporting(given) as program:
                await program.until(lambda s: (value(s, "zohovoice_polls_total") or 0) >= 25)
        return given.history.db

    path = asyncio.run(run())
    assert len(query(path, "SELECT 1 FROM purge WHERE kind = 'before'")) >= 2
    whole = "begun IS NULL AND started < last AND started < (SELECT max(before) FROM purge)"
    assert query(path, f"SELECT count(*) FROM coverage WHERE {whole}") == [(0,)], "what is older has been cut"
    assert failed(path) == []


# --- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retention", "step", "wait_s"),
    [
        (HOUR_MS, HOUR_MS // 10, 360.0),
        (240 * HOUR_MS, 24 * HOUR_MS, 3_600.0),
        (24 * 365 * HOUR_MS, 24 * HOUR_MS, 3_600.0),
    ],
)
def test_it_looks_now_and_then_and_purges_by_the_day_or_by_a_tenth(retention: int, step: int, wait_s: float) -> None:
    clock, stop = FakeClock(), asyncio.Event()
    start, asked = clock.now_ms(), list[tuple[int, int]]()

    class Asked:
        async def purge(self, before: int, at_least_ms: int, stop: asyncio.Event) -> None:
            asked.append((before, at_least_ms))
            if len(asked) == 3:
                stop.set()

    asyncio.run(keep_within(retention, Asked(), clock, stop))
    assert asked == [(start - retention + round(n * wait_s * 1000), step) for n in range(3)]


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("1h", HOUR_MS), ("400d", 9_600 * HOUR_MS), ("2y", 17_520 * HOUR_MS)]
)
def test_a_retention_may_be_as_long_as_anyone_likes(text: str, milliseconds: int) -> None:
    assert parse.retention_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["0", "59m", "-1d", "", "1", "for ever"])
def test_a_retention_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse.retention_ms(text)
