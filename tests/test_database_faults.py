"""The database fails while `serve` runs: metrics stay fresh and say so, and what is recorded in the end is right.

| Fault | Meanwhile | After it |
| --- | --- | --- |
| disk full, quota | polls go on, facts wait | everything is written |
| locked by another process, longer than anybody waits for a lock | the same | the same |
| any of them for longer than memory holds | what waits is given up, said from when to when | that time is unknown |
| a read-only directory | everything goes on, for the files are open | the next start is refused until it can write |
| damaged pages | polls go on, facts wait, the log names the command that helps | the next start is refused |

What a kill leaves behind is in test_database_left_behind.py, and at any moment in test_crash.py.
"""

import asyncio
import functools
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter import app
from exporter.recorder import Recorder
from exporter.simulator.faults import Fault, FaultKind
from tests.support.broken_databases import (
    CANNOT_WRITE,
    FAILURES,
    GAPS,
    LOST,
    PENDING,
    WITH_SMALL_DISK,
    WITHOUT_PRIVILEGES,
    WRITES_AGAIN,
    WRITTEN,
    FileLimit,
    FullDisk,
    checked_totals,
    copied,
    damage,
    incidents,
    instant,
    locked_by_another_process,
    reasons,
    refusal,
    served,
    small_disks_can_be_had,
)
from tests.support.faulty import LAST_SUCCESS, Stage, is_good, logged, reaches, shown, staged
from tests.support.recording import GIVEN_UP
from tests.support.running import RunningExporter, Samples, exporting, value

INTERVAL_S = 10.0
QUOTA, DISK = "quota", "disk"


async def next_poll(stage: Stage, exporter: RunningExporter) -> Samples:
    """Let the clock leap to the next poll, and see what is shown once it has come."""
    before = value(await exporter.samples(), LAST_SUCCESS)
    assert before is not None
    for _ in range(3):
        stage.clock.leap(INTERVAL_S)
        try:
            return await exporter.until(lambda now: (value(now, LAST_SUCCESS) or 0) > before, seconds=3.0)
        except AssertionError:
            continue  # it leapt before the program slept: that tick was missed
    raise AssertionError("no poll came")


async def polls_with_changes(stage: Stage, exporter: RunningExporter, number: int) -> Samples:
    """So many polls, an agent's status changing before each; every one of them has to be shown at once."""
    assert number > 0
    for place in range(number):
        agent_id = stage.agents[place % len(stage.agents)]
        word = stage.change_status(agent_id)
        samples = await next_poll(stage, exporter)
        assert is_good(samples)
        assert shown(samples)[agent_id] == word
    return samples


async def until_written(stage: Stage, exporter: RunningExporter) -> Samples:
    """Polls, until nothing waits; the writer tries again at least each 30 s."""
    for _ in range(10):
        samples = await next_poll(stage, exporter)
        if not value(samples, PENDING):
            return samples
    raise AssertionError(f"facts still wait: {samples}")


def test_a_lock_held_for_a_minute_delays_the_writing_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A minute of the exporter's clock, and more real seconds than the writer waits for a lock."""
    caplog.set_level("INFO", "exporter")

    async def run() -> None:
        async with staged(tmp_path, interval_s=INTERVAL_S, timeout_s=5.0, began_ago_s=3_600) as stage:
            began, database = stage.clock.now_ms(), stage.settings.history.db
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                await exporter.until(is_good)
                await polls_with_changes(stage, exporter, 1)
                with locked_by_another_process(database):
                    locked_at = stage.clock.now_ms()
                    samples = await polls_with_changes(stage, exporter, 7)
                    assert stage.clock.now_ms() - locked_at > 60_000
                    assert value(samples, PENDING) == 7
                    assert value(samples, WRITTEN) == 13
                    await exporter.until(reaches(FAILURES, 1))
                    samples = await polls_with_changes(stage, exporter, 1)
                    assert value(samples, FAILURES) is not None
                samples = await until_written(stage, exporter)
                assert (value(samples, WRITTEN), value(samples, LOST), value(samples, GAPS)) == (21, 0, 0)
            now = stage.clock.now_ms()
            rows = checked_totals(stage.simulator.simulation, database, began, now)
            # One stretch: nothing of the minute is missing.
            assert reasons(rows) == ["not recorded yet", None, "shutdown"]
            assert rows[1].end - rows[1].start > 60_000
            assert stage.inventions() == []

    asyncio.run(run())
    (failed,) = logged(caplog, CANNOT_WRITE)
    assert f"{tmp_path}/zohovoice.db is locked by another program" in str(failed["error"])
    assert len(logged(caplog, WRITES_AGAIN)) == 1
    assert logged(caplog, GIVEN_UP) == []


def test_what_memory_does_not_hold_is_given_up_and_its_time_is_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "exporter")
    monkeypatch.setattr(app, "Recorder", functools.partial(Recorder, limit=14))

    async def run() -> None:
        async with staged(tmp_path, interval_s=INTERVAL_S, timeout_s=5.0, began_ago_s=3_600) as stage:
            began, database = stage.clock.now_ms(), stage.settings.history.db
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                await exporter.until(is_good)
                samples = await polls_with_changes(stage, exporter, 1)
                last_written = round((value(samples, LAST_SUCCESS) or 0) * 1000)
                with locked_by_another_process(database):
                    # Two facts each, so the eighth is one too many; the first is kept if it is being tried right then.
                    samples = await polls_with_changes(stage, exporter, 9)
                    lost = value(samples, LOST) or 0
                    assert 7 <= lost <= 8
                    assert value(samples, GAPS) == 0, "it is not over yet"
                samples = await until_written(stage, exporter)
                assert (value(samples, GAPS), value(samples, LOST)) == (1, lost)
                samples = await polls_with_changes(stage, exporter, 1)
            rows = checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())
            assert reasons(rows) == ["not recorded yet", None, "not written", None, "shutdown"]
            gap = rows[2]
            (given_up,) = logged(caplog, GIVEN_UP)
            assert given_up["transitions"] == lost
            # The log says from when to when polls are lost; the gap is what lies between their neighbours.
            first, last = instant(given_up["first_received"]), instant(given_up["last_received"])
            assert last_written <= gap.start < first < last < gap.end
            assert incidents(database) == [
                (
                    "not written",
                    f"{given_up['polls']} polls received from {given_up['first_received']} to "
                    f"{given_up['last_received']} and their transitions are lost",
                )
            ]
            assert stage.inventions() == []

    asyncio.run(run())


def shows(agent_id: str, word: str) -> Callable[[Samples], bool]:
    return lambda samples: shown(samples).get(agent_id) == word


@pytest.mark.parametrize("kind", [QUOTA, DISK])
def test_a_full_disk_delays_the_writing_and_loses_nothing(tmp_path: Path, kind: str) -> None:
    """A file system of its own is really filled where this machine lets users mount one; else a quota stands for it."""
    small_disk = kind == DISK and small_disks_can_be_had(tmp_path)
    says = "the disk is full; make room on it" if small_disk else "check the disk, and the quota if there is one"

    async def run() -> None:
        async with staged(tmp_path, interval_s=0.2) as stage:
            began = stage.clock.now_ms()
            async with served(stage, code=WITH_SMALL_DISK if small_disk else "") as (exporter, program):
                disk = (FullDisk if small_disk else FileLimit)(program, tmp_path)
                await exporter.until(lambda now: value(now, WRITTEN) == 12)
                disk.begin()
                for agent_id in stage.agents[:3]:
                    word = stage.change_status(agent_id)
                    samples = await exporter.until(shows(agent_id, word))
                assert value(samples, WRITTEN) == 12
                samples = await exporter.until(reaches(FAILURES, 1))
                assert (value(samples, PENDING), is_good(samples)) == (3, True)
                await program.until_logged(CANNOT_WRITE)
                assert says in program.log
                disk.end()
                samples = await exporter.until(lambda now: value(now, PENDING) == 0)
                assert (value(samples, WRITTEN), value(samples, LOST)) == (15, 0)
                await program.until_logged(WRITES_AGAIN)
                stage.change_status(stage.agents[3])
                await exporter.until(lambda now: value(now, WRITTEN) == 16)
                program.process.send_signal(signal.SIGSTOP)
                database = disk.copy(tmp_path / "copy")
                await program.kill()
            assert "Traceback" not in program.log
            rows = checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())
            # On a busy machine polls may come late and break a stretch; but none was lost.
            assert set(reasons(rows)) <= {"not recorded yet", None, "poll failure", "no complete poll since"}

    asyncio.run(run())


def test_a_disk_that_stays_full_is_said_at_the_end_with_what_is_lost(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path, interval_s=0.2) as stage:
            began, database = stage.clock.now_ms(), stage.settings.history.db
            async with served(stage) as (exporter, program):
                await exporter.until(lambda now: value(now, WRITTEN) == 12)
                FileLimit(program, tmp_path).begin()
                full_at = stage.clock.now_ms()
                stage.change_status(stage.agents[0])
                await exporter.until(lambda now: value(now, PENDING) == 1 and (value(now, FAILURES) or 0) >= 1)
                code, seconds = await program.stop()
                assert (code, seconds < 5.0) == (0, True), program.log
                assert GIVEN_UP in program.log
                assert "the history could not be closed in good order" in program.log
                assert "Traceback" not in program.log
            rows = checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())
            assert rows[-1].reason == "no complete poll since", "the file cannot know more"
            assert rows[-1].start <= full_at
            async with served(stage) as (exporter, program):
                samples = await exporter.until(lambda now: (value(now, WRITTEN) or 0) >= 1)
                assert value(samples, GAPS) == 1
                assert (await program.stop())[0] == 0
            rows = checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())
            assert "crash" in reasons(rows), "the run before could not say that it ended"

    asyncio.run(run())


def test_a_directory_that_becomes_read_only_stops_nothing(tmp_path: Path) -> None:
    """The files are open; but those that come and go can no longer do so: the log, the lock, the token cache."""

    async def run() -> None:
        async with staged(tmp_path, interval_s=0.2) as stage:
            began, database = stage.clock.now_ms(), stage.settings.history.db
            async with served(stage, code=WITHOUT_PRIVILEGES) as (exporter, program):
                await exporter.until(lambda now: value(now, WRITTEN) == 12)
                tmp_path.chmod(0o500)
                stage.place("statuses", Fault(FaultKind.EXPIRED_TOKEN), 1)
                await program.until_logged("token cache cannot be written")
                stage.change_status(stage.agents[0])
                samples = await exporter.until(lambda now: value(now, WRITTEN) == 13)
                assert (value(samples, FAILURES), value(samples, PENDING)) == (0, 0)
                assert (await program.stop())[0] == 0
                assert "history could not" not in program.log
                assert "Traceback" not in program.log
            rows = checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())
            assert rows[-1].reason == "shutdown"
            tmp_path.chmod(0o700)
            async with served(stage, code=WITHOUT_PRIVILEGES) as (exporter, program):
                await exporter.until(is_good)
                assert (await program.stop())[0] == 0
            rows = checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())
            assert reasons(rows)[-1] == "shutdown"

    try:
        asyncio.run(run())
    finally:
        tmp_path.chmod(0o700)


def test_pages_that_are_damaged_while_it_runs_stop_the_writing_only_and_are_never_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "exporter")

    async def run() -> None:
        async with staged(tmp_path, interval_s=INTERVAL_S, timeout_s=5.0, began_ago_s=3_600) as stage:
            began, database = stage.clock.now_ms(), stage.settings.history.db
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                await exporter.until(is_good)
                samples = await polls_with_changes(stage, exporter, 2)
                assert value(samples, PENDING) == 0
                saved_at = stage.clock.now_ms()
                backup = copied(database, tmp_path / "backup")
                damage(database)
                samples = await polls_with_changes(stage, exporter, 4)
                assert (value(samples, PENDING), value(samples, WRITTEN)) == (4, 14)
                await exporter.until(reaches(FAILURES, 1))
            (failed,) = logged(caplog, CANNOT_WRITE)
            assert str(failed["error"]).startswith(f"the history database {database} is damaged (")
            assert f"zohovoice-exporter history check --db {database} " in str(failed["error"])
            (given_up,) = logged(caplog, GIVEN_UP)
            assert (given_up["polls"], given_up["transitions"]) == (4, 4)
            assert instant(given_up["first_received"]) > saved_at

            wiped = database.read_bytes()
            for _ in range(2):
                refused = await refusal(stage)
                assert f"zohovoice-exporter history check --db {database} " in refused
            assert database.read_bytes() == wiped

            copied(backup, tmp_path)
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                await exporter.until(is_good)
                samples = await polls_with_changes(stage, exporter, 1)
                assert value(samples, GAPS) == 1
            rows = checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())
            assert reasons(rows) == ["not recorded yet", None, "crash", None, "shutdown"]
            gap = rows[2]
            assert (
                gap.start
                <= saved_at
                < instant(given_up["first_received"])
                < instant(given_up["last_received"])
                < gap.end
            )
            assert stage.inventions() == []

    asyncio.run(run())
