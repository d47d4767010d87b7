"""What must hold of the facts in an export before they may become history: else totals would be wrong afterwards.

What `history check` asks of a database, and what only matters where facts of another origin are let in.
"""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from exporter.history.care.check import findings
from exporter.history.care.findings import Result
from exporter.history.transfer.progress import Progress

_LATEST: Final = """
SELECT max(at) FROM (
    SELECT max(last) AS at FROM coverage UNION ALL SELECT max(coalesce(tracked_until, tracked_from)) FROM tracking
    UNION ALL SELECT max(before) FROM purge
)
"""
_LOG_WITH_POLLS: Final = """
SELECT started FROM coverage JOIN source ON source.id = coverage.source
WHERE (source.kind = 'log') <> (polls = 0) LIMIT 1
"""
_OPEN_IN_ANOTHER_LANE: Final = """
SELECT agent_id FROM tracking JOIN agent ON agent.id = tracking.agent
WHERE tracked_until IS NULL AND lane <> 0 LIMIT 1
"""


def first_broken_law(
    connection: sqlite3.Connection, path: Path, now: int, iso: Callable[[int], str], progress: Progress
) -> str | None:
    """What is wrong with the facts of the staged database at `path`, in words, or None.

    `now` is the time in ms; `iso` writes instants.
    """
    return next(_broken(connection, path, now, iso, progress), None)


def _broken(
    connection: sqlite3.Connection, path: Path, now: int, iso: Callable[[int], str], progress: Progress
) -> Iterator[str]:
    (latest,) = connection.execute(_LATEST).fetchone()
    if latest is not None and latest > now:
        yield f"it tells of {iso(latest)}, which lies in the future (it is {iso(now)} now)"
    for (started,) in connection.execute(_LOG_WITH_POLLS):
        yield f"the stretch that begins at {iso(started)} counts polls though its source is a log, or none though not"
    for (agent_id,) in connection.execute(_OPEN_IN_ANOTHER_LANE):
        yield f"agent {agent_id} is tracked without an end, and not by the recorder"
    for finding in findings(connection, path, quick=True, progress=progress, derived=False):
        if finding.result is Result.FAILED:
            yield finding.detail
