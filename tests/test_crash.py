"""Killed at any moment, nothing that was shown as written is lost; told to stop, it ends at once and in good order."""

import asyncio
import contextlib
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from exporter.model import KNOWN_STATUSES
from exporter.simulator.faults import Fault, FaultKind
from exporter.simulator.server import RunningSimulator
from exporter.simulator.settings import ServerSettings
from exporter.simulator.simulation import Simulation, SimulationSettings
from tests.support.children import PATIENCE_S, Child, child, serve_arguments
from tests.support.cli import environment
from tests.support.recorded import Database, Recorded, check_laws, read_database
from tests.support.running import parse_samples, simulated, value

MOST_S = 5.0
"""How long a program that is told to stop may take."""

AGENTS = 12
NOTHING = Database([], [], {}, [])


class Shown(NamedTuple):
    """What the last scrape before a kill said; None: nothing yet."""

    written: float = 0.0
    """Transitions of this process."""
    last_good: int | None = None
    """Receipt of the last good poll, ms."""


@pytest.fixture(name="rounds")
def _rounds(pytestconfig: pytest.Config) -> int:
    return 120 if pytestconfig.getoption("--hypothesis-profile") == "thorough" else 12


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def restless(chance: random.Random) -> AsyncIterator[RunningSimulator]:
    """A simulator whose agents change their status some fifty times a second."""
    settings = SimulationSettings(agents=AGENTS, shifts_around=now_ms(), calls_per_agent_hour=60)
    async with simulated(settings, server=ServerSettings(tokens_per_window=1_000)) as simulator:
        changing = asyncio.create_task(_change(simulator.simulation, chance))
        try:
            yield simulator
        finally:
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)


async def _change(simulation: Simulation, chance: random.Random) -> None:
    while True:
        agent = chance.choice(simulation.agents)
        simulation.set_status(agent.agent_id, chance.choice(KNOWN_STATUSES).word)
        await asyncio.sleep(chance.uniform(0.0, 0.04))


def as_left_behind(directory: Path, copies: Path) -> Database:
    """What is on disk, read from a copy, so that the next start finds the files as the kill has left them."""
    copies.mkdir(exist_ok=True)
    for old in copies.iterdir():
        old.unlink()
    for suffix in ("", "-wal"):
        file = directory / f"zohovoice.db{suffix}"
        if file.exists():
            shutil.copy(file, copies)
    copy = copies / "zohovoice.db"
    return read_database(copy) if copy.exists() and has_schema(copy) else NOTHING


def has_schema(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as connection:
        return bool(connection.execute("PRAGMA user_version").fetchone()[0])


def words_in_force(simulation: Simulation, agent_id: str, since: int, until: int) -> set[str]:
    """Every status that the agent really had at some instant of [since, until].

    A write and a reading in the same millisecond may come in either order, so the status before `since` counts too
    where it changed in that very millisecond.
    """
    changes = simulation.changes(agent_id, since, until + 1)
    return {simulation.status_at(agent_id, since - 1 if changes and changes[0].at == since else since)} | {
        change.to_word for change in changes
    }


def check_against_truth(simulation: Simulation, database: Database, new: list[Recorded]) -> None:
    """Each new transition really happened inside its bounds, and the last poll saw what really was."""
    for transition in new:
        if transition.before is None or transition.not_before is None:
            (stretch,) = [s for s in database.stretches if s.started == transition.seen]
            words = words_in_force(simulation, transition.agent_id, stretch.first_sent, stretch.started)
            assert transition.after[1] in words, f"never so: {transition}"
            continue
        changes = simulation.changes(transition.agent_id, transition.not_before, transition.seen + 1)
        assert transition.after[1] in {change.to_word for change in changes}, f"never happened: {transition}"
        assert transition.before[1] in words_in_force(
            simulation, transition.agent_id, transition.not_before, transition.seen
        ), f"never was: {transition}"
        if len(changes) == 1:
            assert (changes[0].from_word, changes[0].to_word) == (transition.before[1], transition.after[1])
    if database.stretches:
        latest = database.stretches[-1]
        for agent_id, word in database.status_at_last_poll().items():
            assert word in words_in_force(simulation, agent_id, latest.last_sent, latest.last), (agent_id, word)


def check_what_is_left(before: Database, after: Database, shown: Shown, killed_at: int) -> None:
    """Nothing lost, nothing twice, and coverage ends at the last good poll."""
    check_laws(after)
    assert after.transitions[: len(before.transitions)] == before.transitions
    assert len(after.transitions) - len(before.transitions) >= shown.written
    if shown.last_good is not None:
        assert after.stretches[-1].last >= shown.last_good
    if after.stretches:
        assert after.stretches[-1].last <= killed_at
    # What the processes before this one have left was found to be a crash, at their last good poll.
    old = len(before.stretches)
    assert [s[:-1] for s in after.stretches[: max(0, old - 1)]] == [s[:-1] for s in before.stretches[:-1]]
    if len(after.runs) > len(before.runs) > 0:
        found = before.runs[-1].started
        if before.stretches and before.stretches[-1].end_reason is None:
            found = before.stretches[-1].last
            assert after.stretches[old - 1] == before.stretches[-1]._replace(end_reason="crash")
        assert after.runs[len(before.runs) - 1] == before.runs[-1]._replace(ended=found, end_reason="crash")
    assert {run.end_reason for run in after.runs[:-1]} <= {"crash"}


async def scraped_until(program: Child, seconds: float, chance: random.Random) -> Shown:
    """Scrape for so long and say what was shown last."""
    url = await program.url()
    shown = Shown()
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    async with httpx.AsyncClient(trust_env=False) as http:
        while loop.time() < until or not shown.written:
            samples = parse_samples((await http.get(f"{url}/metrics")).text)
            good = value(samples, "zohovoice_last_poll_success_timestamp_seconds")
            waiting = value(samples, "zohovoice_history_pending_transitions")
            shown = Shown(
                value(samples, "zohovoice_history_transitions_written_total") or 0.0,
                shown.last_good if good is None or waiting else round(good * 1_000),
            )
            await asyncio.sleep(chance.uniform(0.0, 0.02))
            assert loop.time() < until + PATIENCE_S, f"nothing was ever written: {program.log}"
    return shown


def test_killed_at_any_moment_it_loses_nothing_and_repeats_nothing(tmp_path: Path, rounds: int) -> None:
    chance = random.Random(20_261_122)
    kept = tmp_path / "kept"
    kept.mkdir()

    async def run() -> Database:
        before = NOTHING
        async with restless(chance) as simulator:
            for number in range(rounds):
                async with child(*serve_arguments(kept), env=environment(simulator)) as program:
                    shown = Shown()
                    if number % 4 == 2:  # somewhere on the way to its first poll, or just after it
                        await asyncio.sleep(chance.uniform(0.1, 1.0))
                    else:
                        shown = await scraped_until(program, chance.uniform(0.0, 0.7), chance)
                    await program.kill()
                killed_at = now_ms()
                after = as_left_behind(kept, tmp_path / "copy")
                check_what_is_left(before, after, shown, killed_at)
                new = list(after.transitions[len(before.transitions) :])
                check_against_truth(simulator.simulation, after, new)
                before = after
            async with child(*serve_arguments(kept), env=environment(simulator)) as program:
                await scraped_until(program, 0.2, chance)
                assert (await program.stop())[0] == 0
        return before

    crashed = asyncio.run(run())
    assert len(crashed.runs) >= rounds * 3 // 4
    assert len(crashed.transitions) > AGENTS + rounds * 5
    ended = as_left_behind(kept, tmp_path / "copy")
    check_laws(ended)
    assert [run.end_reason for run in ended.runs] == ["crash"] * len(crashed.runs) + ["shutdown"]
    assert ended.stretches[-1].end_reason == "shutdown"


@pytest.mark.parametrize("suffix", [".lock", "", "-wal", "-shm"])
def test_killed_while_it_makes_the_database_it_starts_again(tmp_path: Path, suffix: str) -> None:
    """The kill comes as soon as the file is there, and a little later."""

    async def run() -> None:
        async with simulated(server=ServerSettings(tokens_per_window=1_000)) as simulator:
            for delay in (0.0, 0.003):
                directory = tmp_path / str(delay)
                directory.mkdir()
                async with child(*serve_arguments(directory), env=environment(simulator)) as program:
                    async with asyncio.timeout(PATIENCE_S):
                        while not (directory / f"zohovoice.db{suffix}").exists():
                            await asyncio.sleep(0)
                    await asyncio.sleep(delay)
                    await program.kill()
            async with child(*serve_arguments(directory), env=environment(simulator)) as program:
                await scraped_until(program, 0.0, random.Random(1))
                assert (await program.stop())[0] == 0
            check_laws(read_database(directory / "zohovoice.db"))

    asyncio.run(run())


Situation = Callable[[RunningSimulator, Child, Path], Awaitable[None]]


def stopped(
    directory: Path, situation: Situation, *, number: signal.Signals = signal.SIGTERM, arguments: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Signal a `serve` that polls, in a situation that `situation` brings about; its exit code and its log."""

    async def run() -> tuple[int, str]:
        async with (
            simulated() as simulator,
            child(*serve_arguments(directory), *arguments, env=environment(simulator)) as program,
        ):
            await scraped_until(program, 0.0, random.Random(1))
            await situation(simulator, program, directory)
            code, seconds = await program.stop(number)
            assert seconds < MOST_S, f"it took {seconds:.1f} s to stop: {program.log}"
            assert "Traceback" not in program.log
            return code, program.log

    return asyncio.run(run())


async def idle(simulator: RunningSimulator, program: Child, directory: Path) -> None:
    """Between two polls."""


def hanging(endpoint: str, *, fault: Fault | None = None) -> Situation:
    """In the middle of a request that is never answered."""

    async def situation(simulator: RunningSimulator, program: Child, directory: Path) -> None:
        simulator.switchboard.set(endpoint, fault or Fault(FaultKind.HANG))
        if endpoint == "token":
            simulator.switchboard.set("statuses", Fault(FaultKind.EXPIRED_TOKEN))
        already = simulator.received.total(endpoint)
        async with asyncio.timeout(PATIENCE_S):
            while simulator.received.total(endpoint) == already:
                await asyncio.sleep(0.01)

    return situation


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("interval", ["30s", "80ms"])
def test_told_to_stop_it_ends_the_run_in_good_order(tmp_path: Path, number: signal.Signals, interval: str) -> None:
    code, log = stopped(tmp_path, idle, number=number, arguments=(f"--poll.interval={interval}",))
    assert code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zohovoice-token.json", "zohovoice.db"]
    database = read_database(tmp_path / "zohovoice.db")
    check_laws(database)
    assert [run.end_reason for run in database.runs] == ["shutdown"]
    assert [stretch.end_reason for stretch in database.stretches][-1] == "shutdown"
    assert log.count("stopping") == 1


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(hanging("statuses"), id="a poll hangs"),
        pytest.param(hanging("statuses", fault=Fault(FaultKind.TRICKLE, seconds=600)), id="a poll trickles in"),
        pytest.param(hanging("statuses", fault=Fault(FaultKind.SERVER_ERROR)), id="a poll is about to be tried again"),
        pytest.param(hanging("token"), id="a token hangs"),
    ],
)
def test_told_to_stop_in_the_middle_of_a_poll_it_gives_the_poll_up(tmp_path: Path, situation: Situation) -> None:
    code, _ = stopped(tmp_path, situation)
    assert code == 0
    database = read_database(tmp_path / "zohovoice.db")
    check_laws(database)
    assert [run.end_reason for run in database.runs] == ["shutdown"]


def test_told_to_stop_while_the_roster_hangs_it_stops(tmp_path: Path) -> None:
    code, _ = stopped(tmp_path, hanging("users"), arguments=("--agents.refresh-interval=200ms",))
    assert code == 0


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program holds the right to write the database."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=PATIENCE_S)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("seconds", [0.3, 3.0])
def test_told_to_stop_while_the_database_is_locked_it_stops_without_its_last_facts(
    tmp_path: Path, seconds: float
) -> None:
    lock = contextlib.ExitStack()

    async def situation(simulator: RunningSimulator, program: Child, directory: Path) -> None:
        lock.enter_context(locked(directory / "zohovoice.db"))
        await asyncio.sleep(seconds)

    with lock:
        code, log = stopped(tmp_path, situation)
    assert code == 0
    assert "the history could not be closed in good order" in log
    database = read_database(tmp_path / "zohovoice.db")
    check_laws(database)
    assert [run.end_reason for run in database.runs] == [None]


def test_told_to_stop_while_it_waits_for_a_locked_database_at_the_start_it_stops(tmp_path: Path) -> None:
    async def run() -> None:
        async with simulated() as simulator:
            arguments, env = serve_arguments(tmp_path), environment(simulator)
            async with child(*arguments, env=env) as program:
                await scraped_until(program, 0.0, random.Random(1))
                assert (await program.stop())[0] == 0
            with locked(tmp_path / "zohovoice.db"):
                async with child(*arguments, env=env) as program:
                    async with asyncio.timeout(PATIENCE_S):
                        while not (tmp_path / "zohovoice.db.lock").exists():
                            await asyncio.sleep(0.01)
                    await asyncio.sleep(0.3)
                    code, seconds = await program.stop()
                    assert code == 0, program.log
                    assert seconds < 2.0

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="silent"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nHost: x\r\n", id="in the middle of a request"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", id="between two requests"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000, id="that does not read its answers"),
    ],
)
def test_told_to_stop_with_a_client_that_keeps_its_connection_it_stops(tmp_path: Path, sent: bytes) -> None:
    async def run() -> None:
        async with (
            simulated() as simulator,
            child(*serve_arguments(tmp_path), env=environment(simulator)) as program,
        ):
            host, port = (await program.url()).removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port), limit=1_024)
            writer.write(sent)
            await asyncio.sleep(0.3)
            code, seconds = await program.stop()
            writer.transport.abort()
            assert (code, seconds < MOST_S) == (0, True), program.log

    asyncio.run(run())


def test_a_second_signal_does_not_disturb_the_stopping(tmp_path: Path) -> None:
    async def situation(simulator: RunningSimulator, program: Child, directory: Path) -> None:
        await hanging("statuses")(simulator, program, directory)
        program.process.send_signal(signal.SIGTERM)
        program.process.send_signal(signal.SIGINT)

    assert stopped(tmp_path, situation)[0] == 0
    assert [run.end_reason for run in read_database(tmp_path / "zohovoice.db").runs] == ["shutdown"]


HANGING_DISK = """
import sys, time
from exporter.history.writer import HistoryWriter
HistoryWriter.append = lambda writer, facts: time.sleep(600)
from exporter.__main__ import main
sys.exit(main())
"""


def test_told_to_stop_while_the_disk_hangs_it_stops(tmp_path: Path) -> None:
    """Also with a client that does not let go: the two waits together stay under five seconds."""

    async def run() -> None:
        async with (
            simulated() as simulator,
            child(*serve_arguments(tmp_path), env=environment(simulator), code=HANGING_DISK) as program,
        ):
            host, port = (await program.url()).removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port), limit=1_024)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000)
            await program.until_logged("first good poll")
            code, seconds = await program.stop()
            writer.transport.abort()
            assert (code, seconds < MOST_S) == (0, True), program.log

    asyncio.run(run())


def demo_arguments(directory: Path, days: int) -> tuple[str, ...]:
    return (
        "demo",
        f"--directory={directory}",
        "--agents=5",
        f"--days={days}",
        "--web.listen-address=127.0.0.1:0",
    )


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_told_to_stop_while_it_fills_the_demo_stops_and_the_next_one_begins_anew(tmp_path: Path, delay: float) -> None:
    async def run() -> None:
        async with child(*demo_arguments(tmp_path, 300)) as demo:
            await demo.until_logged("Recording 300 days")
            await asyncio.sleep(delay)
            code, seconds = await demo.stop()
            assert (code, seconds < MOST_S) == (0, True), demo.log
            assert "Traceback" not in demo.log
        assert not (tmp_path / "zohovoice.db.lock").exists()
        async with child(*demo_arguments(tmp_path, 1)) as demo:
            await demo.until_logged("Three reports to try", stream="out")
            code, seconds = await demo.stop()
            assert (code, seconds < MOST_S) == (0, True), demo.log
            assert "Traceback" not in demo.log

    asyncio.run(run())
    database = read_database(tmp_path / "zohovoice.db")
    check_laws(database)
    assert [run.end_reason for run in database.runs] == ["shutdown", "shutdown"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_it_serves_the_demo_stops_and_the_next_one_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    async def run() -> None:
        for _ in range(2):
            async with child(*demo_arguments(tmp_path, 0)) as demo:
                await demo.until_logged("Three reports to try", stream="out")
                code, seconds = await demo.stop(number)
                assert (code, seconds < MOST_S) == (0, True), demo.log

    asyncio.run(run())
    database = read_database(tmp_path / "zohovoice.db")
    check_laws(database)
    assert {run.end_reason for run in database.runs} == {"shutdown"}
