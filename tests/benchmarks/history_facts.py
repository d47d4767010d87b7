"""Made-up histories of any size, and the same facts as other people would store them."""

import csv
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.history.checkpoints import rebuild_derived
from exporter.history.opening import open_for_writing
from exporter.history.schema import AGENT_BITS, AGENT_MASK

START: Final = 1_763_769_600_000
"""2025-11-22T00:00:00Z, a midnight."""
DAY_MS: Final = 86_400_000
INTERVAL_MS: Final = 30_000
LATENCY_MS: Final = 200
STATUSES: Final = 6
"""Available, On Call, Offline, On Break, Busy and absent have the ids from 0 on in every database."""
_LEADS_TO: Final = (
    (1,) * 13 + (3,) * 3 + (4,) * 2 + (2,) * 2,
    (0,) * 16 + (4,) * 2 + (3,) + (2,),
    (0,) * 15 + (4,) * 4 + (5,),
    (0,) * 15 + (2,) * 3 + (1,) * 2,
    (0,) * 15 + (3,) * 3 + (1,) * 2,
    (2,) * 20,
)
"""What follows upon each status, in twentieths."""
_BUSY_HOURS: Final = (0,) * 6 + (1, 2) + (4,) * 10 + (3, 2, 1, 1) + (0,) * 2
"""How much goes on in each hour of the day."""
_POLLS_A_STRETCH: Final = 8_760
"""Some three days; then nobody looks for 20 minutes."""
_POLLS_A_GAP: Final = 40

_INSERT: Final = "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (?, ?, ?, ?)"

Row = tuple[int, int, int | None, int | None]
"""moment, to_status, from_status, uncertainty."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much history."""

    agents: int
    days: int
    transitions: int

    @property
    def end(self) -> int:
        """When the last poll was received, ms."""
        return START + (self.days * DAY_MS // INTERVAL_MS - 1) * INTERVAL_MS + LATENCY_MS


SIZES: Final = {
    "small": Size(20, 90, 100_000),
    "year": Size(100, 365, 2_200_000),
    "large": Size(1_000, 182, 10_000_000),
}


@dataclass(slots=True)
class MadeUp:
    """A history in the order of time; everything in it follows from its size."""

    size: Size
    stretches: list[tuple[int, int]]
    """When the first and the last poll of each were received, ms."""

    @staticmethod
    def of(size: Size) -> "MadeUp":
        """The history of that size."""
        polls = size.days * DAY_MS // INTERVAL_MS
        begins = range(0, polls - 1, _POLLS_A_STRETCH + _POLLS_A_GAP)
        return MadeUp(
            size, [(_received(first), _received(min(first + _POLLS_A_STRETCH, polls) - 1)) for first in begins]
        )

    def transitions(self) -> Iterator[list[Row]]:
        """The transitions, in lots: about as many as the size says."""
        random_ = random.Random(10_042).random
        agents, rate, next_status = self.size.agents, self._rate(), _LEADS_TO
        status = [int(random_() * 5) for _ in range(agents)]
        lot: list[Row] = [(START + LATENCY_MS << AGENT_BITS | 1 + a, status[a], None, None) for a in range(agents)]
        due, before = 0.0, START
        for started, last in self.stretches:
            for received in range(started, last + 1, INTERVAL_MS):
                if received == START + LATENCY_MS:
                    continue
                due += rate * _BUSY_HOURS[received % DAY_MS // 3_600_000]
                if due >= 1:
                    moment = received << AGENT_BITS
                    for agent in {int(random_() * agents) for _ in range(int(due))}:
                        was, chance = status[agent], random_()
                        now = next_status[was][int(chance * 20)]
                        status[agent] = now
                        lot.append((moment | 1 + agent, now, was, received - before))
                    due -= int(due)
                before = received - LATENCY_MS
            lot.sort()
            yield lot
            lot = []

    def _rate(self) -> float:
        hours = sum(_BUSY_HOURS) / 24 * self.size.days * DAY_MS / INTERVAL_MS
        return self.size.transitions / hours


class Stays:
    """What people who store closed intervals would have stored."""

    def __init__(self, agents: int) -> None:
        self._status = [0] * (agents + 1)

    def of(self, stretch: tuple[int, int], lot: list[Row]) -> Iterator[tuple[int, int, int, int]]:
        """(agent, start, end, status) of every stay in the next stretch, cut where nobody looked."""
        started, last = stretch
        status, since = self._status, [started] * len(self._status)
        for moment, to_status, _, _ in lot:
            seen, agent = moment >> AGENT_BITS, moment & AGENT_MASK
            if seen > since[agent]:
                yield agent, since[agent], seen, status[agent]
                since[agent] = seen
            status[agent] = to_status
        for agent in range(1, len(since)):
            if since[agent] < last:
                yield agent, since[agent], last, status[agent]


def _received(poll: int) -> int:
    return START + poll * INTERVAL_MS + LATENCY_MS


@dataclass(frozen=True, slots=True)
class Built:
    """What was built, and what it cost."""

    folder: Path
    size: Size
    transitions: int
    facts_bytes: int
    """Of the file without anything derived."""
    all_bytes: int
    rebuilding: float
    """Seconds that checkpoints and running totals took."""


def build(folder: Path, size: Size) -> Built:
    """Write `history.db` into the folder, as the recorder would have, and `intervals.csv` for the others."""
    made_up, path = MadeUp.of(size), folder / "history.db"
    lock, connection = open_for_writing(path, now_ms=START, program="bench", mode=0o600)
    with closing(connection), (folder / "intervals.csv").open("w", newline="") as file:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        _write_people(connection, made_up)
        count, stays, write = 0, Stays(size.agents), csv.writer(file)
        write.writerow(("agent", "start", "end", "status"))
        for stretch, lot in zip(made_up.stretches, made_up.transitions(), strict=True):
            connection.executemany(_INSERT, lot)
            write.writerows(stays.of(stretch, lot))
            count += len(lot)
        connection.execute("COMMIT")
        facts_bytes = _bytes(connection)
        begun = time.perf_counter()
        rebuild_derived(connection)
        rebuilding = time.perf_counter() - begun
        all_bytes = _bytes(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    lock.release()
    return Built(folder, size, count, facts_bytes, all_bytes, rebuilding)


def _write_people(connection: sqlite3.Connection, made_up: MadeUp) -> None:
    """Everything but the transitions."""
    agents = range(1, made_up.size.agents + 1)
    connection.execute("INSERT INTO run VALUES (1, ?, 'bench', '', '', 0, ?, 'shutdown')", (START, made_up.size.end))
    connection.executemany("INSERT INTO agent (id, agent_id) VALUES (?, ?)", [(a, str(40_000 + a)) for a in agents])
    connection.executemany(
        "INSERT INTO agent_version VALUES (?, ?, ?, ?)", [(a, START, f"Agent {a}", f"Team {a % 7}") for a in agents]
    )
    first = START + LATENCY_MS
    connection.executemany("INSERT INTO tracking (agent, tracked_from) VALUES (?, ?)", [(a, first) for a in agents])
    connection.executemany(
        "INSERT INTO coverage (run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms, end_reason)"
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?, 'poll failure')",
        [
            (s - LATENCY_MS, s, e - LATENCY_MS, e, (e - s) // INTERVAL_MS + 1, INTERVAL_MS, INTERVAL_MS * 5 // 2)
            for s, e in made_up.stretches
        ],
    )


def _bytes(connection: sqlite3.Connection) -> int:
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)
