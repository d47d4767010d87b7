"""What `serve` finds when it starts: a directory or a disk that it cannot write, damage, and what a kill has left."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.app import open_history
from exporter.errors import DatabaseError
from exporter.history.writer import HistoryWriter
from exporter.model import EndReason
from exporter.settings import HistorySettings
from tests.support.broken_databases import (
    WITH_NO_ROOM,
    WITHOUT_PRIVILEGES,
    WRITTEN,
    Row,
    checked_totals,
    copied,
    refusal,
    served,
)
from tests.support.children import child
from tests.support.faulty import is_good, reaches, staged
from tests.support.history_files import RUN, START, THREE_POLLS, facts_of
from tests.support.running import exporting, value


def test_in_a_read_only_directory_it_does_not_start_but_reports_do(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path, interval_s=0.2) as stage:
            began, database = stage.clock.now_ms(), stage.settings.history.db
            async with served(stage) as (exporter, program):
                await exporter.until(is_good)
                assert (await program.stop())[0] == 0
            content = database.read_bytes()
            tmp_path.chmod(0o500)
            assert await refusal(stage, WITHOUT_PRIVILEGES) == (
                f"zohovoice-exporter: cannot write the history database {database}: {database}.lock cannot be created"
                " or opened (Permission denied); change the permissions or choose another file with --db\n"
            )
            question = "history", "coverage", f"--db={database}", "--format=csv"
            async with child(*question, code=WITHOUT_PRIVILEGES) as report:
                assert await report.ends() == 0, report.log
            assert database.read_bytes() == content
            checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())

    try:
        asyncio.run(run())
    finally:
        tmp_path.chmod(0o700)


def test_on_a_full_disk_it_does_not_start_and_leaves_the_history_as_it_is(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path, interval_s=0.2) as stage:
            began, database = stage.clock.now_ms(), stage.settings.history.db
            async with served(stage) as (exporter, program):
                await exporter.until(is_good)
                assert (await program.stop())[0] == 0
            content = database.read_bytes()
            assert await refusal(stage, WITH_NO_ROOM) == (
                f"zohovoice-exporter: cannot read or write the history database {database} (disk I/O error);"
                " check the disk, and the quota if there is one\n"
            )
            assert database.read_bytes() == content
            checked_totals(stage.simulator.simulation, database, began, stage.clock.now_ms())

    asyncio.run(run())


@pytest.fixture(name="recorded", scope="module")
def _recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A history of three polls, at rest."""
    path = tmp_path_factory.mktemp("recorded") / "history.db"
    writer = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: 1)
    for facts in facts_of(THREE_POLLS):
        writer.append(facts)
    writer.close(START + 100_000, EndReason.SHUTDOWN)
    return path.read_bytes()


PAGE = 4096


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda page: bytes(PAGE), id="wiped"),
        pytest.param(lambda page: b"\xff" * PAGE, id="set"),
        pytest.param(lambda page: page[: PAGE // 2] + bytes(PAGE // 2), id="half written"),
        pytest.param(lambda page: page[::-1], id="turned round"),
    ],
)
def test_a_damaged_page_is_refused_with_a_sentence_and_left_as_it_is_or_does_not_matter(
    tmp_path: Path, recorded: bytes, damaged: Callable[[bytes], bytes]
) -> None:
    """Each page in turn; some hold nothing yet that a start or the next poll needs."""
    path = tmp_path / "history.db"
    sentences = []
    for start in range(0, len(recorded), PAGE):
        content = recorded[:start] + damaged(recorded[start : start + PAGE]) + recorded[start + PAGE :]
        path.write_bytes(content)
        try:
            open_history(HistorySettings(db=path), RUN).abandon()
        except DatabaseError as error:
            sentences.append(str(error))
            unchanged = path.read_bytes() == content
            assert unchanged, f"page {start // PAGE}"
            assert not path.with_name("history.db.lock").exists()
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert len(sentences) >= 5
    assert all(str(path) in sentence for sentence in sentences)


def _whole(log: Path) -> None:
    """As the kill has left it."""


def _torn(log: Path) -> None:
    """The power went while the last frame was written."""
    log.write_bytes(log.read_bytes()[:-1_000])


def _garbage(log: Path) -> None:
    """What the disk had there before."""
    with log.open("ab") as file:
        file.write(b"\x5a" * 10_000)


def _flipped(log: Path) -> None:
    """A bit has flipped in the middle: all that came after it is lost."""
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)


def _holds(row: Row, known: Row) -> bool:
    return row.reason is None and row.start <= known.start and known.end <= row.end


def test_a_log_left_behind_by_a_kill_is_taken_over_as_far_as_it_is_whole(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path / "killed", interval_s=0.2) as stage:
            simulation = stage.simulator.simulation
            began, database = stage.clock.now_ms(), stage.settings.history.db
            async with exporting(stage.settings) as exporter:  # so that not all there is, is in the log
                await exporter.until(lambda now: value(now, WRITTEN) == 12)
            async with served(stage) as (exporter, program):
                for number, agent_id in enumerate(stage.agents[:3], start=1):
                    stage.change_status(agent_id)
                    await exporter.until(reaches(WRITTEN, number))
                await program.kill()
            killed_at = stage.clock.now_ms()
            assert database.with_name("zohovoice.db-wal").stat().st_size > 0
            await asyncio.sleep(0.6)  # until no report takes the run for one that still goes on
            ends = {}
            for kind in (_whole, _torn, _garbage, _flipped):
                directory = tmp_path / kind.__name__
                copy = copied(database, directory)
                kind(copy.with_name("zohovoice.db-wal"))
                # A report alone sees what the next start will take over, and changes nothing.
                before = checked_totals(simulation, copied(copy, directory / "read"), began, killed_at)
                settings = replace(stage.settings, history=replace(stage.settings.history, db=copy))
                async with exporting(settings) as exporter:
                    await exporter.until(is_good)
                after = checked_totals(simulation, copy, began, stage.clock.now_ms())
                assert all(any(_holds(row, known) for row in after) for known in before if known.reason is None)
                ends[kind] = before[-1].start
                assert replace(stage, settings=settings).inventions() == []
            assert killed_at >= ends[_whole] == ends[_garbage] >= ends[_torn] >= ends[_flipped]
            assert ends[_whole] > ends[_flipped]

    (tmp_path / "killed").mkdir()
    asyncio.run(run())
