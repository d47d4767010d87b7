"""Who races for the history: each in a process of its own, warm, asked by lines of JSON.

Run as `python -m tests.benchmarks.history_contenders NAME FOLDER`; it reads questions and writes answers until its
standard input ends. The answers are the same, which the benchmark checks.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from exporter.history.schema import AGENT_BITS
from tests.benchmarks.history_facts import STATUSES

STEP_MS: Final = 900_000
_WORDS: Final = ("Available", "On Call", "Offline", "On Break", "Busy", "absent")

Answer = Any
"""A function that makes it comparable with the answers of the others, outside the time; None: it is not compared."""


class Contender(Protocol):
    """Answers questions on a window [since, until) in ms."""

    def summary(self, since: int, until: int) -> Answer:
        """For each agent the milliseconds in each status."""
        ...

    def at(self, since: int) -> Answer:
        """The status of each agent."""
        ...

    def intervals(self, since: int, until: int) -> Answer:
        """Milliseconds of all agents in each status in each quarter of an hour."""
        ...

    def timeline(self, since: int, until: int, agent: int) -> Answer:
        """How many stays of one agent touch the window, and how long they are in it."""
        ...


class Ours:
    """This program's reader and reports."""

    def __init__(self, folder: Path) -> None:
        from exporter.history.reader import HistoryReader

        self._opened = HistoryReader.open(folder / "history.db")
        self._reader = self._opened.__enter__()
        self._now = 1 << 42

    def summary(self, since: int, until: int) -> Answer:
        from exporter.history.window import Window

        facts = self._reader.totals(Window(since, until), self._now)
        return lambda: {
            int(agent.agent_id) - 40_000: _times({s.word: total.time for s, total in (agent.totals or {}).items()})
            for agent in facts.agents
        }

    def report(self, since: int, until: int) -> Answer:
        """The whole report, with bounds, shares and its header."""
        rows = self._answer("summary", since, until)
        return lambda: len(rows)

    def at(self, since: int) -> Answer:
        rows = self._answer("at", since, since + 1)
        return lambda: {int(row["agent_id"]) - 40_000: _WORDS.index(row["status"]) for row in rows}

    def intervals(self, since: int, until: int) -> Answer:
        rows = self._answer("intervals", since, until)
        return lambda: _by_bucket(
            (row["start"] // STEP_MS, _WORDS.index(row["status"]), row["agent_seconds"])
            for row in rows
            if row["status"] != "unknown"
        )

    def timeline(self, since: int, until: int, agent: int) -> Answer:
        rows = self._answer("timeline", since, until, agents=(str(40_000 + agent),))
        known = [row["duration_seconds"] for row in rows if row["status"] != "unknown"]
        return lambda: [len(known), sum(known)]

    def _answer(self, name: str, since: int, until: int, agents: tuple[str, ...] = ()) -> Sequence[Mapping[str, Any]]:
        from exporter.history.answers import answer
        from exporter.history.filters import Selection
        from exporter.history.question import Question
        from exporter.history.window import Window

        question = Question(Window(since, until), ZoneInfo("UTC"), self._now)
        return list(answer(self._reader, name, question, Selection(agents=agents)).rows)


class SqliteIntervals:
    """A table of closed intervals, the key led by the agent: what serves these questions best in SQLite."""

    def __init__(self, folder: Path) -> None:
        path = folder / "intervals.db"
        self._connection = sqlite3.connect(path)
        if not self._connection.execute("SELECT * FROM sqlite_schema").fetchone():
            _fill(self._connection, folder / "intervals.csv")
        self._connection.execute("CREATE TEMP TABLE bucket (n INTEGER PRIMARY KEY)")

    def summary(self, since: int, until: int) -> Answer:
        sums = ", ".join(
            f'sum(CASE WHEN status = {s} THEN min("end", :until) - max(start, :since) ELSE 0 END)'
            for s in range(STATUSES)
        )
        rows = self._connection.execute(f"SELECT agent.id, {sums} {_TOUCHING} GROUP BY agent.id", _keys(since, until))
        return _result({agent: list(times) for agent, *times in rows})

    def at(self, since: int) -> Answer:
        rows = self._connection.execute(
            "SELECT agent.id, status FROM agent CROSS JOIN interval ON interval.agent = agent.id"
            " AND start = (SELECT max(start) FROM interval WHERE interval.agent = agent.id AND start <= :since)"
            ' WHERE "end" > :since',
            {"since": since},
        )
        return _result(dict(rows.fetchall()))

    def intervals(self, since: int, until: int) -> Answer:
        self._connection.execute("DELETE FROM bucket")
        self._connection.executemany(
            "INSERT INTO bucket VALUES (?)", [(n,) for n in range(since // STEP_MS, (until - 1) // STEP_MS + 1)]
        )
        rows = self._connection.execute(
            f'SELECT n, status, sum(min("end", (n + 1) * {STEP_MS}, :until) - max(start, n * {STEP_MS}, :since))'
            f" {_TOUCHING.replace('CROSS JOIN interval', 'CROSS JOIN interval CROSS JOIN bucket', 1)}"
            f' AND n BETWEEN max(start, :since) / {STEP_MS} AND (min("end", :until) - 1) / {STEP_MS}'
            " GROUP BY n, status",
            _keys(since, until),
        )
        return _result(_by_bucket(rows.fetchall()))

    def timeline(self, since: int, until: int, agent: int) -> Answer:
        rows = self._connection.execute(
            'SELECT max(start, :since), min("end", :until), status FROM interval WHERE agent = :agent'
            ' AND start < :until AND "end" > :since'
            " AND start >= coalesce((SELECT max(start) FROM interval WHERE agent = :agent AND start <= :since), 0)"
            " ORDER BY start",
            _keys(since, until) | {"agent": agent},
        ).fetchall()
        return _result([len(rows), sum(end - start for start, end, _ in rows)])


_TOUCHING: Final = """
FROM agent CROSS JOIN interval ON interval.agent = agent.id AND start < :until AND start >= coalesce(
    (SELECT max(start) FROM interval WHERE interval.agent = agent.id AND start <= :since), 0) AND "end" > :since
"""


class SqliteLead:
    """A window function over the transitions of the very file. It takes gaps for known time: that would cost more."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(f"file:{folder / 'history.db'}?mode=ro", uri=True)

    def summary(self, since: int, until: int) -> Answer:
        sums = ", ".join(
            f'sum(CASE WHEN to_status = {s} THEN "end" - max(start, :since) ELSE 0 END)' for s in range(STATUSES)
        )
        self._connection.execute(
            f"""
            WITH stay AS (
                SELECT agent, to_status, seen AS start, lead(seen, 1, :until) OVER (PARTITION BY agent ORDER BY moment)
                    AS "end" FROM transition WHERE moment < :until << {AGENT_BITS}
            )
            SELECT agent, {sums} FROM stay WHERE "end" > :since GROUP BY agent
            """,
            _keys(since, until),
        ).fetchall()
        return None

    def at(self, since: int) -> Answer:
        """Not asked."""
        return None

    def intervals(self, since: int, until: int) -> Answer:
        """Not asked."""
        return None

    def timeline(self, since: int, until: int, agent: int) -> Answer:
        """Not asked."""
        return None


class Duck:
    """DuckDB on closed intervals, wherever they are."""

    def __init__(self, connection: Any, table: Callable[[int], str]) -> None:
        self._connection = connection
        self._table = table
        """Where it finds them best, for a window of that length."""

    def summary(self, since: int, until: int) -> Answer:
        sums = ", ".join(
            f'coalesce(sum(CASE WHEN status = {s} THEN least("end", $until) - greatest(start, $since) END), 0)::BIGINT'
            for s in range(STATUSES)
        )
        rows = self._fetch(f"SELECT agent, {sums} {self._touching(since, until)} GROUP BY agent", since, until)
        return _result({agent: list(times) for agent, *times in rows})

    def at(self, since: int) -> Answer:
        rows = self._fetch(f"SELECT agent, status {self._touching(since, since + 1)}", since, since + 1)
        return _result(dict(rows))

    def intervals(self, since: int, until: int) -> Answer:
        rows = self._fetch(
            f"""
            WITH part AS (
                SELECT status, greatest(start, $since) AS s, least("end", $until) AS e {self._touching(since, until)}
            ), cut AS (SELECT status, s, e, unnest(range(s // {STEP_MS}, (e - 1) // {STEP_MS} + 1)) AS n FROM part)
            SELECT n, status, sum(least(e, (n + 1) * {STEP_MS}) - greatest(s, n * {STEP_MS}))::BIGINT FROM cut
            GROUP BY n, status
            """,
            since,
            until,
        )
        return _result(_by_bucket(rows))

    def timeline(self, since: int, until: int, agent: int) -> Answer:
        rows = self._fetch(
            f'SELECT greatest(start, $since), least("end", $until), status {self._touching(since, until)}'
            f" AND agent = {agent} ORDER BY start",
            since,
            until,
        )
        return _result([len(rows), sum(end - start for start, end, _ in rows)])

    def _touching(self, since: int, until: int) -> str:
        return f'FROM {self._table(until - since)} WHERE start < $until AND "end" > $since'

    def _fetch(self, sql: str, since: int, until: int) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(sql, _keys(since, until)).fetchall()
        return rows


def _duck_parquet(folder: Path) -> Contender:
    import duckdb

    connection = duckdb.connect()
    source = f"read_csv('{folder}/intervals.csv', columns={{agent: 'INTEGER', start: 'BIGINT', \"end\": 'BIGINT',"
    for name, order in (("by_agent", "agent, start"), ("by_time", "start")):
        path = folder / f"{name}.parquet"
        if not path.exists():
            connection.execute(
                f"COPY (SELECT * FROM {source} status: 'TINYINT'}}) ORDER BY {order})"
                f" TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
            )
    # Sorted by time it passes over what lies outside the window; that beat the order by agent at every length.
    return Duck(connection, lambda _: f"'{folder}/by_time.parquet'")


def _duck_attached(folder: Path) -> Contender:
    import duckdb
    import duckdb_extension_sqlite_scanner as scanner  # type: ignore[import-not-found] # only in a folder of its own

    (extension,) = Path(scanner.__file__).parent.rglob("*.duckdb_extension")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    connection.execute(f"ATTACH '{folder}/intervals.db' AS stored (TYPE sqlite, READ_ONLY)")
    return Duck(connection, lambda _: "stored.interval")


CONTENDERS: Final[Mapping[str, Callable[[Path], Contender]]] = {
    "ours": Ours,
    "sqlite intervals": SqliteIntervals,
    "sqlite LEAD": SqliteLead,
    "DuckDB attached": _duck_attached,
    "DuckDB Parquet": _duck_parquet,
}


def peak_memory() -> int:
    """Bytes. (What getrusage says includes the memory of the process that this one was forked from.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _fill(connection: sqlite3.Connection, path: Path) -> None:
    import csv

    connection.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TEMP TABLE raw (agent, start, ended, status);"
        'CREATE TABLE interval (agent INTEGER, start INTEGER, "end" INTEGER, status INTEGER,'
        " PRIMARY KEY (agent, start)) WITHOUT ROWID; CREATE TABLE agent (id INTEGER PRIMARY KEY);"
    )
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        connection.executemany("INSERT INTO raw VALUES (CAST(? AS INT), CAST(? AS INT), CAST(? AS INT), ?)", rows)
    connection.execute("INSERT INTO interval SELECT agent, start, ended, CAST(status AS INT) FROM raw ORDER BY 1, 2")
    connection.execute("INSERT INTO agent SELECT DISTINCT agent FROM raw ORDER BY 1")
    connection.execute("DROP TABLE raw")
    connection.commit()


def _keys(since: int, until: int) -> dict[str, int]:
    return {"since": since, "until": until}


def _result(value: object) -> Answer:
    return lambda: value


def _times(by_word: Mapping[str, int]) -> list[int]:
    return [by_word.get(word, 0) for word in _WORDS]


def _by_bucket(rows: Iterator[tuple[int, int, int]] | Sequence[tuple[int, int, int]]) -> list[list[int]]:
    return sorted([n, status, time] for n, status, time in rows if time)


@contextmanager
def _timed(cost: dict[str, float]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    cost |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main() -> None:
    """Answer until nobody asks any more; rows are fetched within the time, comparing them is not."""
    contender = CONTENDERS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        compare, cost = question.pop("compare"), dict[str, float]()
        with _timed(cost):
            answer = getattr(contender, question.pop("name"))(**question)
        print(
            json.dumps({**cost, "peak": peak_memory(), "answer": answer() if compare and answer else None}), flush=True
        )


if __name__ == "__main__":
    main()
