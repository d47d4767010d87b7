"""A log of polls as a staged database: through the same tracker and the same writer as live polls."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from exporter.history.transfer.read_polls import PollLine
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import Agent, EndReason
from exporter.tracker import Pace, advance


class _HastyConnection(sqlite3.Connection):
    """Of a file that can be thrown away at any moment: nothing waits until it is safe on the disk."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql.startswith("PRAGMA synchronous"):
            sql = "PRAGMA synchronous = OFF"
        return super().execute(sql, parameters)


_NEVER: Final = 1 << 62
"""So many transitions before a checkpoint: none is needed on the way."""


def stage_polls(path: Path, polls: Iterable[PollLine], pace: Pace, run: RunInfo) -> None:
    """Write the polls into a new staged database at `path`; those that are not complete are left out.

    A silence that is longer than the pace allows ends a stretch, because the file tells nothing of that time. Names and
    teams stand in no poll, so none are stored.
    """
    writer = HistoryWriter.open(path, run, checkpoint_after=lambda _: _NEVER, connection_type=_HastyConnection)
    try:
        state = writer.resumed
        for _, poll in polls:
            if poll is None:
                continue
            agents = {agent_id: Agent(agent_id) for agent_id in poll.readings}
            state, facts = advance(state, poll, agents, pace, silence=EndReason.NOT_IN_FILE)
            writer.append(facts)
    except BaseException:
        writer.abandon()
        raise
    writer.close(run.started, EndReason.SHUTDOWN, EndReason.NOT_IN_FILE)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM agent_version")
