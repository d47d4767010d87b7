"""What a query costs in steps of the virtual machine of SQLite, the same number on every machine, and on what."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from exporter.history.schema import AGENT_BITS
from tests.support.two_sources import looking_at, write

BEGINNING: Final = 1_000_000_000_000
PAUSE: Final = 30_000
LATER: Final = 1_100_000_000_000
STATUSES: Final = 5
DAY: Final = 200
"""Polls a day, and as many changes: it is a short one."""


def write_changes(path: Path, *, agents: int, each: int, stretches: int) -> None:
    """`each` changes of every agent, all at the same times, in so many stretches, with a checkpoint a day."""
    write(path, [])
    times = [BEGINNING + PAUSE * i for i in range(each)]
    length = each // stretches
    edges = [(times[i], times[i + length - 1]) for i in range(0, each, length)]
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany("INSERT INTO agent (id, agent_id) VALUES (?, ?)", [(a, str(a)) for a in range(agents)])
        connection.executemany(
            "INSERT INTO tracking (agent, tracked_from) VALUES (?, ?)", [(a, BEGINNING) for a in range(agents)]
        )
        connection.executemany(
            "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (?, ?, ?, ?)",
            [
                (at << AGENT_BITS | a, i % STATUSES, (i - 1) % STATUSES if i else None, PAUSE if i else None)
                for i, at in enumerate(times)
                for a in range(agents)
            ],
        )
        connection.executemany("INSERT INTO checkpoint VALUES (?, 0)", [(at,) for at in times[::DAY]])
        connection.executemany(
            "INSERT INTO carried VALUES (?, ?)",
            [(at, at << AGENT_BITS | a) for at in times[::DAY] for a in range(agents)],
        )
        connection.executemany(
            "INSERT INTO coverage (run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms,"
            " end_reason) VALUES (1, ?1, ?1, ?2, ?2, ?3, 30000, 75000, 'crash')",
            [(start, end, length) for start, end in edges],
        )
        connection.commit()


def steps(path: Path, sql: str, **parameters: str) -> int:
    """How many hundred steps the query takes."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    with looking_at(path, LATER) as connection:
        connection.set_progress_handler(count, 100)
        connection.execute(sql, parameters).fetchall()
    return counted
