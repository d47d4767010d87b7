"""What the tests of the database's care share: files with a history in them, and all that can be said of one."""

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from exporter.history.algebra import DEFAULT_RULES, Rules
from exporter.history.answers import answer
from exporter.history.care.check import check_file
from exporter.history.care.findings import Result
from exporter.history.filters import EVERYBODY, Selection
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import AVAILABLE, BUSY, OFFLINE, ON_CALL, Agent, EndReason, Poll, Status
from exporter.tracker import Pace, advance

UTC: Final = ZoneInfo("UTC")
START: Final = 1_763_800_000_000
"""2025-11-22T08:26:40Z."""
PACE: Final = Pace.of_interval(30_000)
RUN: Final = RunInfo("0.1.0", "testhost", "boot", 4711, START)
PEOPLE: Final = {
    "1001": Agent("1001", "Ann Schmidt", "Sales"),
    "1002": Agent("1002", "Ben Okafor", "Support"),
    "1003": Agent("1003", "Cleo Silva", "Sales"),
}
Plan = Mapping[int, Mapping[str, Status]]
"""Readings by the second of the poll after `START`; a poll takes 200 ms."""

MORNING: Final[Plan] = {
    0: {"1001": AVAILABLE, "1002": BUSY, "1003": OFFLINE},
    30: {"1001": ON_CALL, "1002": BUSY, "1003": OFFLINE},
    60: {"1001": ON_CALL, "1002": OFFLINE},
    90: {"1001": BUSY, "1002": OFFLINE},
    600: {"1001": AVAILABLE, "1002": OFFLINE},
    630: {"1001": AVAILABLE, "1002": BUSY},
    660: {"1001": BUSY, "1002": AVAILABLE},
}
"""Two stretches, at 0 to 90 s and at 600 to 660 s. Cleo leaves after the poll at 30 s."""


def second(number: float) -> int:
    """The instant at which a poll sent at that second was received."""
    return START + round(number * 1000) + 200


def record(path: Path, plan: Plan = MORNING, *, every: int = 4, end: EndReason | None = EndReason.SHUTDOWN) -> Path:
    """Record the polls in one run; a checkpoint after so many transitions. Without `end` the run dies."""
    writer = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: every)
    state = writer.resumed
    try:
        for at, readings in plan.items():
            poll = Poll(START + at * 1000, second(at), readings)
            state, facts = advance(state, poll, PEOPLE, PACE)
            writer.append(facts)
        if end is not None:
            writer.close(second(max(plan)) + 1_000, end)
    finally:
        writer.abandon()
    return path


def copied(path: Path, to: Path) -> Path:
    """A copy of a database that nobody writes, with its log."""
    for suffix in ("", "-wal"):
        if (log := path.with_name(path.name + suffix)).exists():
            shutil.copy(log, to.with_name(to.name + suffix))
    return to


def query(path: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, parameters).fetchall()


def change(path: Path, *statements: str) -> Path:
    """Do to a database what no program of ours would do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
    return path


MUCH_LATER: Final = 2**41
"""So late that no stretch goes on until then."""
TABLES: Final = (
    "run", "source", "coverage", "status", "agent", "agent_version", "tracking", "transition", "checkpoint", "carried",
    "total", "incident", "purge",
)  # fmt: skip


def contents(path: Path, tables: tuple[str, ...] = TABLES) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables, in the order of their columns."""
    return {table: sorted(query(path, f"SELECT * FROM {table}"), key=repr) for table in tables}


def failed(path: Path) -> list[str]:
    """The checks that fail."""
    return [found.check for found in check_file(path, now_ms=START) if found.result is Result.FAILED]


def reports_on(
    path: Path, window: Window, selection: Selection = EVERYBODY, rules: Rules = DEFAULT_RULES
) -> dict[str, Any]:
    """The header and the rows of every report on the window; not how far back the history goes."""
    found: dict[str, Any] = {}
    with HistoryReader.open(path) as reader:
        for name in REPORTS:
            # Where anything happened: of seventy years there are too many intervals.
            asked = _first_days(window) if name == "intervals" else window
            report = answer(reader, name, Question(asked, UTC, MUCH_LATER, rules=rules), selection)
            meta = {key: value for key, value in report.meta.items() if key not in ("water_mark", "asked_since")}
            found[name] = (meta, [dict(row) for row in report.rows])
    return found


def _first_days(window: Window) -> Window:
    since = min(max(window.since, START), window.until)
    return Window(since, max(since, min(window.until, since + 2 * 86_400_000)))


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Any]:
    """What is not the same in two answers of `reports_on`: of each report what the header and the rows say."""
    found: list[Any] = []
    for name in one.keys() | other.keys():
        (meta, rows), (other_meta, other_rows) = one[name], other[name]
        found += [(name, key, meta[key], other_meta.get(key)) for key in meta if meta[key] != other_meta.get(key)]
        found += [(name, "only here", row) for row in rows if row not in other_rows]
        found += [(name, "only there", row) for row in other_rows if row not in rows]
    return found


class WatchedConnection(sqlite3.Connection):
    """Calls `watch` before each statement."""

    watch: Callable[[], None] | None = None

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if self.watch is not None:
            self.watch()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        if self.watch is not None:
            self.watch()
        return super().executemany(sql, parameters)
