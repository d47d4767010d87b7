"""What writing costs on the disk, and what checkpoints add: 10,000 agents, 500 transitions a poll."""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from exporter.history import checkpoints
from exporter.history.schema import CHECKPOINT_EVERY
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import KNOWN_STATUSES, Agent, EndReason, Poll, PollFacts
from exporter.tracker import NOTHING_TRACKED, Pace, advance
from tests.benchmarks.appending import AGENTS, CHANGES
from tests.benchmarks.chunk_server import agent_ids, status_word
from tests.benchmarks.verdicts import Verdicts

_START: Final = 1_763_800_000_000


def polls(number: int) -> Iterator[PollFacts]:
    """The facts of the polls, one after the other: there are too many to keep."""
    agents = {agent_id: Agent(agent_id) for agent_id in agent_ids(AGENTS)}
    words = {status.word: status for status in KNOWN_STATUSES}
    pace, state = Pace.of_interval(15_000), NOTHING_TRACKED
    for turn in range(number):
        sent = _START + turn * 15_000
        readings = {agent_id: words[status_word(place, turn)] for place, agent_id in enumerate(agents)}
        state, facts = advance(state, Poll(sent, sent + 200, readings), agents, pace)
        yield facts


def run(verdicts: Verdicts) -> None:
    """Write until a checkpoint is due, and print what it took."""
    due = CHECKPOINT_EVERY * AGENTS
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # not in memory: what is written is to be counted
        path = Path(folder) / "history.db"
        writer = HistoryWriter.open(path, RunInfo("0", "bench", "", 1, _START))
        appending, slowest, written = 0.0, 0.0, _written()
        for facts in polls(due // CHANGES):
            begun = time.perf_counter()
            writer.append(facts)
            took = time.perf_counter() - begun
            appending, slowest = appending + took, max(slowest, took)
        transitions = writer.statistics().transitions
        writer.close(facts.poll.received, EndReason.SHUTDOWN)
        per_transition = (_written() - written) / transitions
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            (found,) = connection.execute("SELECT count(*) FROM checkpoint").fetchone()
            begun = time.perf_counter()
            checkpoints.rebuild_derived(connection)
            adding = time.perf_counter() - begun
    plain = appending - adding * found
    where = f"written to disk per transition at {CHANGES} a poll"
    print(f"\n{where}: {per_transition:.0f} bytes; {verdicts.goal(per_transition <= 200, 'at most 200', where)}")
    each, added = appending / transitions * 1e6, adding / transitions * 1e6
    print(
        f"appending took {each:.2f} us a transition, {added:.2f} of it ({adding / plain:.2f} times the rest) for ",
        end="",
    )
    print(f"{found} checkpoint after {due:,} transitions of {AGENTS:,} agents; the poll with it took {slowest:.1f} s")


def _written() -> int:
    """Bytes that this process has sent to the disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
