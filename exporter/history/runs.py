"""Runs of the program, and the stretches of complete polls that they record."""

import sqlite3
from dataclasses import dataclass

from exporter.history.resume import LatestStretch
from exporter.model import EndReason, PollFacts


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Who writes: stored with the run."""

    version: str
    """Of this program."""
    host: str
    boot_id: str
    pid: int
    started: int
    """Wall clock, ms."""


def begin_run(connection: sqlite3.Connection, run: RunInfo) -> int:
    """Record that a run begins; returns its id."""
    cursor = connection.execute(
        "INSERT INTO run (started, version, host, boot_id, pid) VALUES (?, ?, ?, ?, ?)",
        (run.started, run.version, run.host, run.boot_id, run.pid),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def end_run(connection: sqlite3.Connection, run: int, at: int, reason: EndReason, stretch_reason: EndReason) -> None:
    """End a run at `at` (ms), and the latest stretch at its last poll unless it is over."""
    connection.execute("UPDATE run SET ended = ?, end_reason = ? WHERE id = ?", (at, reason.value, run))
    connection.execute("UPDATE coverage SET end_reason = ? WHERE end_reason IS NULL", (stretch_reason.value,))


def end_crashed_run(connection: sqlite3.Connection) -> None:
    """A run without an end crashed; it ended at its last good poll, which only its stretch can tell.

    A stretch without an end is its own: whatever ended earlier stretches said why.
    """
    open_run = connection.execute("SELECT id, started FROM run WHERE ended IS NULL").fetchone()
    if open_run is not None:
        run, started = open_run
        stretch = connection.execute("SELECT last FROM coverage WHERE end_reason IS NULL").fetchone()
        end_run(connection, run, stretch[0] if stretch else started, EndReason.CRASH, EndReason.CRASH)


def begin_stretch(connection: sqlite3.Connection, run: int, latest: LatestStretch | None, facts: PollFacts) -> int:
    """Record the stretch that a poll begins, and why the one before it ended; returns its id."""
    if latest is not None and facts.previous_ended is not None:
        connection.execute("UPDATE coverage SET end_reason = ? WHERE id = ?", (facts.previous_ended.value, latest.id))
    new = facts.stretch
    cursor = connection.execute(
        "INSERT INTO coverage (run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (run, new.first_sent, new.started, new.last_sent, new.last, new.polls, new.interval_ms, new.gap_limit_ms),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def continue_stretch(connection: sqlite3.Connection, latest: LatestStretch, facts: PollFacts) -> None:
    """Record that the latest stretch goes on with a poll, also if the run before had ended it."""
    if latest.ended is not None:
        # A statement of its own: `end_reason` has an index, which the one row that each poll updates need not touch.
        connection.execute("UPDATE coverage SET end_reason = NULL WHERE id = ?", (latest.id,))
    connection.execute(
        "UPDATE coverage SET last_sent = ?, last = ?, polls = ? WHERE id = ?",
        (facts.stretch.last_sent, facts.stretch.last, facts.stretch.polls, latest.id),
    )
