"""Writing the transitions of polls against bare sqlite3 `executemany` of the same rows into a like table."""

import itertools
import sqlite3
import tempfile
from pathlib import Path

from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import KNOWN_STATUSES, Agent, Poll, PollFacts
from exporter.tracker import NOTHING_TRACKED, Pace, advance
from tests.benchmarks.chunk_server import agent_ids, status_word
from tests.benchmarks.measure import Comparison, side_by_side

AGENTS, CHANGES, POLLS = 10_000, 500, 100
_START = 1_700_000_000_000


def recorded_polls() -> list[PollFacts]:
    """The facts of POLLS polls of AGENTS agents with CHANGES transitions each, after a first that sees them all."""
    agents = {agent_id: Agent(agent_id) for agent_id in agent_ids(AGENTS)}
    words = {status.word: status for status in KNOWN_STATUSES}
    pace, state, facts = Pace.of_interval(15_000), NOTHING_TRACKED, []
    for turn in range(POLLS + 1):
        sent = _START + turn * 15_000
        readings = {agent_id: words[status_word(place, turn)] for place, agent_id in enumerate(agents)}
        state, added = advance(state, Poll(sent, sent + 200, readings), agents, pace)
        facts.append(added)
    assert all(len(added.transitions) == CHANGES for added in facts[1:])
    return facts


def run(rounds: int) -> tuple[Comparison, float]:
    """The comparison, and the bytes of the file per transition."""
    facts = recorded_polls()
    rows = [
        [
            (t.seen, t.agent_id, t.from_status.word, t.to_status.word, t.not_before)
            for t in added.transitions
            if t.from_status
        ]
        for added in facts[1:]
    ]
    number = {agent_id: place for place, agent_id in enumerate(agent_ids(AGENTS))}
    code = {status.word: place for place, status in enumerate(KNOWN_STATUSES)}
    with tempfile.TemporaryDirectory() as directory:
        names = (Path(directory) / f"{place}.db" for place in itertools.count())
        sizes: list[float] = []

        def prepared_writer() -> HistoryWriter:
            writer = HistoryWriter.open(next(names), RunInfo("0", "bench", "", 1, _START))
            writer.append(facts[0])
            return writer

        def prepared_table() -> sqlite3.Connection:
            connection = sqlite3.connect(next(names), isolation_level=None)
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=full")
            connection.execute(
                "create table transition (seen integer, agent integer, from_status integer, to_status integer,"
                " not_before integer, primary key (seen, agent)) without rowid"
            )
            return connection

        writers = iter([prepared_writer() for _ in range(rounds + 1)])
        tables = iter([prepared_table() for _ in range(rounds + 1)])

        def ours() -> None:
            writer = next(writers)
            before = writer.statistics()
            for added in facts[1:]:
                writer.append(added)
            after = writer.statistics()
            grown = after.main_bytes + after.wal_bytes - before.main_bytes - before.wal_bytes
            sizes.append(grown / (after.transitions - before.transitions))

        def plain() -> None:
            connection = next(tables)
            for poll in rows:
                # The ids that the rows need are looked up here too: facts come with names, not numbers.
                numbered = [(seen, number[a], code[f], code[t], before) for seen, a, f, t, before in poll]
                connection.execute("begin immediate")
                connection.executemany("insert into transition values (?, ?, ?, ?, ?)", numbered)
                connection.execute("commit")

        return side_by_side(ours, plain, rounds=rounds), sizes[-1]
