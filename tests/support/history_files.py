"""History databases for tests: polls to write into them, and connections that fail or die at a chosen statement."""

import os
import signal
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import AVAILABLE, BUSY, OFFLINE, ON_CALL, Agent, EndReason, Poll, PollFacts, Status, TrackerState
from exporter.tracker import NOTHING_TRACKED, Pace, advance

START = 1_763_800_000_000
"""2025-11-22T08:26:40Z."""

RUN = RunInfo(version="0.1.0", host="testhost", boot_id="boot", pid=4711, started=START)
PACE = Pace.of_interval(30_000)


def poll(number: int, **readings: Status) -> Poll:
    """The poll of that number: one each 30 s, answered within 200 ms; `a1=BUSY` is the reading of the agent "1"."""
    sent = START + number * 30_000
    return Poll(sent, sent + 200, {name.removeprefix("a"): status for name, status in readings.items()})


def described(polled: Poll, teams: Mapping[str, str] | None = None) -> dict[str, Agent]:
    """The agents of a poll, with names and teams."""
    return {key: Agent(key, f"Agent {key}", (teams or {}).get(key, "Sales")) for key in polled.readings}


def facts_of(polls: Iterable[Poll], state: TrackerState = NOTHING_TRACKED) -> list[PollFacts]:
    """What the tracker makes of the polls."""
    result = []
    for polled in polls:
        state, facts = advance(state, polled, described(polled), PACE)
        result.append(facts)
    return result


THREE_POLLS = (
    poll(1, a1=OFFLINE, a2=BUSY),
    poll(2, a1=AVAILABLE, a2=BUSY),
    poll(3, a1=ON_CALL, a3=Status(BUSY.kind, "Lunch")),
)
"""A change, somebody who leaves, somebody who joins, a word that nobody has heard of."""


class FailingConnection(sqlite3.Connection):
    """Raises sqlite3.OperationalError instead of executing a statement, once `countdown` others have been executed."""

    countdown: int | None = None

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        self._count()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        self._count()
        return super().executemany(sql, parameters)

    def _count(self) -> None:
        if self.countdown is None:
            return
        if self.countdown == 0:
            self.countdown = None
            self.fail()
        else:
            self.countdown -= 1

    def fail(self) -> None:
        raise sqlite3.OperationalError("disk I/O error")


class ReluctantConnection(sqlite3.Connection):
    """Reports that a commit has failed, once, though it is done."""

    reluctant = False

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)
        if sql == "COMMIT" and self.reluctant:
            self.reluctant = False
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


class DyingConnection(FailingConnection):
    """Kills its process instead."""

    def fail(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _write_and_die(path: Path, statements: int) -> None:
    """Write three polls and close, and die at a statement; says how many polls were written as soon as they are."""
    DyingConnection.countdown = statements
    writer = HistoryWriter.open(path, RUN, connection_type=DyingConnection, checkpoint_after=lambda _: 1)
    for number, facts in enumerate(facts_of(THREE_POLLS), start=1):
        writer.append(facts)
        print(number, flush=True)
    writer.close(START + 100_000, EndReason.SHUTDOWN)


def _hold(path: Path) -> None:
    """Be the writer of a database until the standard input ends."""
    writer = HistoryWriter.open(path, RUN)
    print("ready", flush=True)
    sys.stdin.read()
    writer.abandon()


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        _hold(Path(sys.argv[2]))
    else:
        _write_and_die(Path(sys.argv[2]), int(sys.argv[3]))
