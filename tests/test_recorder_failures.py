"""Facts that cannot be written wait, in little memory, and are never half lost; what is lost is said."""

import asyncio
import logging
import sqlite3
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.errors import DatabaseError
from exporter.history.writer import HistoryWriter
from exporter.model import AVAILABLE, BUSY, OFFLINE, Agent, Poll, PollFacts, Status
from exporter.tracker import advance
from tests.support.recording import (
    AGENTS,
    COVERAGE,
    FULL,
    GIVEN_UP,
    INCIDENTS,
    PACE,
    TRANSITIONS,
    Rig,
    break_writer,
    play,
    rows,
)
from tests.support.told_in_log import fields_of


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
    assert (notes.lost, notes.gaps) == (3, 1)
    # It could be noted as soon as the first poll after it was written.
    assert rows(tmp_path / "h.db", INCIDENTS) == [
        (
            1_150,
            "not written",
            "3 polls received from 1970-01-01T00:00:01.150Z to 1970-01-01T00:00:03.150Z and their transitions are lost",
        )
    ]
    (given_up,) = [record for record in caplog.records if "given up" in record.message]
    assert fields_of(given_up)["first_received"] == "1970-01-01T00:00:01.150Z"
    assert fields_of(given_up)["last_received"] == "1970-01-01T00:00:03.150Z"


def test_what_is_given_up_again_and_again_is_one_incident(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        await rig.recorder.settled(5)
        append = rig.writer.append
        break_writer(rig, 10_000, FULL)
        for number in range(1, 8):
            rig.poll(number * 1_000 + 100, AVAILABLE)
        rig.writer.append = append  # type: ignore[method-assign] # the disk has room again
        rig.poll(8_100, AVAILABLE)

    notes = play(tmp_path / "h.db", script, limit=2)

    # Three polls are one more than fits: those of 1100, 2100, 3100, then those of 4100, 5100, 6100. That of 7100 waits.
    assert [record.message for record in caplog.records].count(GIVEN_UP) == 2
    assert [(at, kind, str(detail)[:8]) for at, kind, detail in rows(tmp_path / "h.db", INCIDENTS)] == [
        (1_150, "not written", "6 polls ")
    ]
    assert rows(tmp_path / "h.db", COVERAGE) == [(150, 150, 1, "not written"), (7_150, 8_150, 2, "shutdown")]
    assert (notes.lost, notes.gaps) == (0, 1)


def test_a_gap_counts_when_the_stretch_after_it_is_written(tmp_path: Path) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        rig.poll(1_100, AVAILABLE)
        await rig.recorder.settled(5)
        assert rig.notes.gaps == 0
        break_writer(rig, 1, FULL)
        rig.poll(5_100, AVAILABLE)  # 4000 ms of silence; the gap limit is 2500
        while not rig.notes.failed:
            await asyncio.sleep(0)
        assert rig.notes.gaps == 0

    assert play(tmp_path / "h.db", script).gaps == 1


def test_what_waits_takes_little_memory_however_many_agents_there_are(tmp_path: Path) -> None:
    crowd = {str(number): Agent(str(number)) for number in range(1_000)}

    async def script(rig: Rig) -> None:
        break_writer(rig, 10_000, FULL)
        tracemalloc.start()
        try:
            begun = 0
            for number in range(200):
                poll = Poll(number * 1_000, number * 1_000 + 50, dict.fromkeys(crowd, AVAILABLE))
                after, facts = advance(rig.state, poll, crowd, PACE)
                rig.state = rig.recorder.record(rig.state, facts, after, crowd, PACE)
                if number == 99:
                    begun, _ = tracemalloc.get_traced_memory()
            ended, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # A dictionary of 1000 agents alone takes 36 kB.
        assert (ended - begun) / 100 < 2_000, "bytes a poll"
        assert rig.notes.pending[-1] == 1_000
        rig.writer.append = HistoryWriter.append.__get__(rig.writer)  # type: ignore[method-assign] # room again

    play(tmp_path / "h.db", script, limit=2_000)

    assert rows(tmp_path / "h.db", COVERAGE) == [(50, 199_050, 200, "shutdown")]


def test_after_what_was_given_up_the_next_poll_is_compared_with_what_was_written_of_everybody(tmp_path: Path) -> None:
    """Whoever comes, leaves and changes in facts that wait together ends up as if each had been written at once."""
    path = tmp_path / "h.db"
    ann, bea, cem = Agent("7001", "Ann"), Agent("7002", "Bea", "Sales"), Agent("7003", "Cem")

    async def script(rig: Rig) -> None:
        def poll(sent: int, readings: dict[Agent, Status]) -> None:
            agents = {agent.agent_id: agent for agent in readings}
            by_id = {agent.agent_id: status for agent, status in readings.items()}
            after, facts = advance(rig.state, Poll(sent, sent + 50, by_id), agents, PACE)
            rig.state = rig.recorder.record(rig.state, facts, after, agents, PACE)

        break_writer(rig, 1, FULL)
        poll(100, {ann: AVAILABLE, bea: BUSY})
        poll(1_100, {ann: BUSY, bea: BUSY})
        poll(2_100, {replace(bea, team="Support"): BUSY, cem: OFFLINE})
        await rig.recorder.settled(5)
        while rig.notes.pending[-1]:
            await asyncio.sleep(0)
        break_writer(rig, 1, sqlite3.IntegrityError("refused"))
        poll(3_100, {ann: BUSY})
        await rig.recorder.settled(5)
        poll(4_100, {replace(bea, team="Support"): BUSY, cem: AVAILABLE})

    play(path, script)

    # Bea is still the same to the history, Cem has changed, and Ann has left with the poll of 1100.
    assert rows(path, "select agent_id, from_status, to_status, seen from transitions order by seen, agent_id") == [
        ("7001", None, "Available", 150),
        ("7002", None, "Busy", 150),
        ("7001", "Available", "Busy", 1_150),
        ("7003", None, "Offline", 2_150),
        ("7003", "Offline", "Available", 4_150),
    ]
    assert rows(path, COVERAGE) == [(150, 2_150, 3, "not written"), (4_150, 4_150, 1, "shutdown")]
    assert rows(path, "select count(*) from agent_version") == [(4,)]


def test_an_incident_that_cannot_be_written_waits_like_the_facts(tmp_path: Path) -> None:
    async def script(rig: Rig) -> None:
        rig.poll(100, AVAILABLE)
        await rig.recorder.settled(5)
        incident = rig.writer.incident
        failed: list[str] = []

        def failing(at: int, kind: str, detail: str) -> None:
            failed.append(kind)
            raise FULL

        rig.writer.incident = failing  # type: ignore[method-assign] # the fault is put where the disk would put it
        before = rig.state
        after, facts = advance(before, Poll(11_100, 11_150, {"7001": BUSY}, 9_000), AGENTS, PACE)
        rig.state = rig.recorder.record(before, facts, after, AGENTS, PACE)
        while not failed:
            await asyncio.sleep(0)
        rig.writer.incident = incident  # type: ignore[method-assign] # the disk has room again

    play(tmp_path / "h.db", script)

    assert [row[:2] for row in rows(tmp_path / "h.db", INCIDENTS)] == [(11_150, "clock step")]


def test_an_incident_that_the_history_refuses_is_logged_and_forgotten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(rig: Rig) -> None:
        def refusing(at: int, kind: str, detail: str) -> None:
            raise sqlite3.IntegrityError("refused")

        rig.writer.incident = refusing  # type: ignore[method-assign] # a mistake that the schema would find
        after, facts = advance(rig.state, Poll(11_100, 11_150, {"7001": BUSY}, 9_000), AGENTS, PACE)
        rig.state = rig.recorder.record(rig.state, facts, after, AGENTS, PACE)

    play(tmp_path / "h.db", script)

    assert [record.message for record in caplog.records] == ["an incident was not noted"]


@pytest.mark.parametrize(
    "error",
    [ValueError("7 is not a valid Kind"), KeyError(9), TypeError("'int' and 'str'"), OverflowError("too large")],
)
def test_what_a_damaged_file_holds_does_not_end_the_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async def script(rig: Rig) -> None:
        break_writer(rig, 2, error)
        rig.poll(100, AVAILABLE)

    notes = play(tmp_path / "h.db", script)

    assert (notes.written, notes.failed, notes.lost) == (1, 2, 0)
    assert [fields_of(record).get("error") for record in caplog.records] == [str(error)]


def test_each_cause_of_a_failure_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def script(rig: Rig) -> None:
        append = rig.writer.append
        causes = ["locked", "full", "locked", "full", "full"]

        def failing(facts: PollFacts) -> int:
            if causes:
                raise DatabaseError(causes.pop(0))
            return append(facts)

        rig.writer.append = failing  # type: ignore[method-assign] # the fault is put where the disk would put it
        rig.poll(100, AVAILABLE)

    play(tmp_path / "h.db", script)

    assert [fields_of(record).get("error") for record in caplog.records] == ["locked", "full"]


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
