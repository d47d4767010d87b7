"""A log with exact times as a staged database."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter.errors import UsageError
from exporter.history.ids import agent_ids, status_ids, status_key
from exporter.history.runs import RunInfo, begin_run, end_run
from exporter.history.schema import AGENT_BITS, AGENT_MASK, EXACT
from exporter.history.transfer.incoming import IncomingFile
from exporter.history.transfer.read_log import LogRow
from exporter.model import EndReason

_ROWS: Final = """
CREATE TABLE log_row (agent INTEGER, at INTEGER, line INTEGER, status INTEGER, name TEXT, team TEXT) STRICT
"""
_IN_ORDER: Final = "CREATE INDEX log_row_in_order ON log_row (agent, at, line)"

_TWO_AT_ONCE: Final = """
SELECT agent_id, line_before, line FROM (
    SELECT agent, line, at = lag(at) OVER in_order AND status <> lag(status) OVER in_order AS contradicts,
        lag(line) OVER in_order AS line_before
    FROM log_row WINDOW in_order AS (PARTITION BY agent ORDER BY at, line)
) JOIN agent ON agent.id = agent
WHERE contradicts ORDER BY line LIMIT 1
"""

_TRANSITIONS: Final = """
INSERT INTO transition (moment, to_status, from_status, uncertainty)
SELECT at << :bits | agent, status, before, iif(before IS NULL, NULL, :exact)
FROM (SELECT *, lag(status) OVER (PARTITION BY agent ORDER BY at, line) AS before FROM log_row)
WHERE before IS NULL OR before <> status
ORDER BY 1
"""

_SPELLS: Final = """
INSERT INTO tracking (agent, tracked_from, tracked_until, until_sent, source)
SELECT agent, min(at), :until, :until, 0 FROM log_row GROUP BY agent
"""

_STRETCH: Final = """
INSERT INTO coverage
    (source, run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms, end_reason)
VALUES (0, :run, :since, :since, :until, :until, 0, 0, 0, :reason)
"""

_TOLD: Final = """
SELECT agent, at, name, team FROM log_row WHERE name <> '' OR team <> '' ORDER BY agent, at, line
"""


@dataclass(frozen=True, slots=True)
class Covers:
    """From when to when a log tells every change, where it says more than its first and last times do; ms."""

    since: int | None = None
    until: int | None = None


EVERYTHING: Final = Covers()
"""What the rows themselves say."""


def stage_log(
    connection: sqlite3.Connection,
    file: IncomingFile,
    rows: Iterable[LogRow],
    covers: Covers,
    run: RunInfo,
    iso: Callable[[int], str],
) -> None:
    """Write the log into the empty staged database: exact transitions in one stretch without polls.

    An agent's spell of tracking begins with its first row, for nothing is known before it, and ends where the log
    ends. `iso` writes instants in messages. Raises UsageError for rows that contradict each other or `covers`.
    """
    connection.execute(_ROWS)
    connection.execute("UPDATE source SET kind = 'log' WHERE id = 0")
    connection.executemany("INSERT INTO log_row VALUES (?, ?, ?, ?, ?, ?)", _with_ids(connection, file, rows))
    connection.execute(_IN_ORDER)
    contradiction = connection.execute(_TWO_AT_ONCE).fetchone()
    if contradiction is not None:
        agent_id, one, other = contradiction
        raise UsageError(
            f"{file.path}, lines {one} and {other}: agent {agent_id} cannot enter two statuses at the same time"
        )
    since, until = _covered(connection, file, covers, iso)
    run_id = begin_run(connection, run)
    end_run(connection, run_id, run.started, EndReason.SHUTDOWN, EndReason.NOT_IN_FILE)
    connection.execute(_STRETCH, {"run": run_id, "since": since, "until": until, "reason": EndReason.NOT_IN_FILE.value})
    connection.execute(_SPELLS, {"until": until})
    connection.execute(_TRANSITIONS, {"bits": AGENT_BITS, "exact": EXACT})
    connection.executemany(
        "INSERT OR REPLACE INTO agent_version (agent, valid_from, name, team) VALUES (?, ?, ?, ?)",
        list(_descriptions(connection.execute(_TOLD))),
    )
    connection.execute("DROP TABLE log_row")


def _with_ids(
    connection: sqlite3.Connection, file: IncomingFile, rows: Iterable[LogRow]
) -> Iterator[tuple[int, int, int, int, str, str]]:
    agents, statuses = agent_ids(connection), status_ids(connection)
    for row in rows:
        if row.agent_id not in agents and len(agents) == AGENT_MASK:
            raise UsageError(f"{file.at(row.line)}: a history cannot hold more than {AGENT_MASK} agents")
        yield agents[row.agent_id], row.at, row.line, statuses[status_key(row.status)], row.name, row.team


def _covered(
    connection: sqlite3.Connection, file: IncomingFile, covers: Covers, iso: Callable[[int], str]
) -> tuple[int, int]:
    first, last = connection.execute("SELECT min(at), max(at) FROM log_row").fetchone()
    for flag, told, outside in (
        ("--covers-since", covers.since, covers.since is not None and covers.since > first),
        ("--covers-until", covers.until, covers.until is not None and covers.until < last),
    ):
        if outside and told is not None:
            raise UsageError(
                f"{flag} {iso(told)} leaves out rows of {file.path}, which go from {iso(first)} to {iso(last)}: "
                "leave out the flag, or the rows"
            )
    return (first if covers.since is None else covers.since), (last if covers.until is None else covers.until)


def _descriptions(told: Iterable[tuple[int, int, str, str]]) -> Iterator[tuple[int, int, str, str]]:
    """What is new of the agents' names and teams; a cell that is empty tells nothing."""
    before, known = -1, ("", "")
    for agent, at, name, team in told:
        if agent != before:
            before, known = agent, ("", "")
        now = (name or known[0], team or known[1])
        if now != known:
            yield agent, at, *now
            known = now
