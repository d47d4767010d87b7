"""What a history database says about where the run before left off: read once, when the writer opens it."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from exporter.history.connection import damaged
from exporter.history.ids import Ids, StatusKey, agent_ids, status_ids, statuses
from exporter.history.schema import AGENT_BITS, RECORDER, STATE_AT
from exporter.model import Agent, AgentId, EndReason, Stretch, Tracked, TrackerState


@dataclass(frozen=True, slots=True)
class LatestStretch:
    """The latest stretch of coverage, which may be over."""

    id: int
    stretch: Stretch
    ended: EndReason | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many transitions the file holds, and when the first and the last were seen (None without any); ms."""

    transitions: int = 0
    since_checkpoint: int = 0
    oldest: int | None = None
    newest: int | None = None

    def plus(self, transitions: int, seen: int, *, checkpoint: bool) -> "Tally":
        """The tally after a poll, received at `seen`, that brought so many transitions."""
        since = 0 if checkpoint else self.since_checkpoint + transitions
        if not transitions:
            return Tally(self.transitions, since, self.oldest, self.newest)
        return Tally(self.transitions + transitions, since, seen if self.oldest is None else self.oldest, seen)


@dataclass(slots=True)
class Knowledge:
    """What the writer keeps in memory about the file, so that a poll is written without reading."""

    latest: LatestStretch | None
    moments: dict[int, int]
    """For each agent tracked now (agent.id) the moment of the transition into its status."""
    tally: Tally
    agents: Ids[AgentId]
    statuses: Ids[StatusKey]


def read_knowledge(connection: sqlite3.Connection, path: Path) -> tuple[TrackerState, Knowledge]:
    """All that the tracker and the writer go on from; call it inside a transaction.

    Raises DatabaseError if the file contradicts itself, sqlite3.Error if it cannot be read.
    """
    latest = _latest_stretch(connection)
    state, moments = _state(connection, latest, path)
    return state, Knowledge(latest, moments, _tally(connection), agent_ids(connection), status_ids(connection))


def _latest_stretch(connection: sqlite3.Connection) -> LatestStretch | None:
    """The recorder's stretch that a restart may continue; None before the first poll."""
    row = connection.execute(
        "SELECT id, end_reason, first_sent, coalesce(begun, started), last_sent, last, polls, interval_ms, gap_limit_ms"
        " FROM coverage WHERE source = ? ORDER BY started DESC LIMIT 1",
        (RECORDER,),
    ).fetchone()
    if row is None:
        return None
    id_, ended, *stretch = row
    return LatestStretch(id_, Stretch(*stretch), EndReason(ended) if ended is not None else None)


def _state(
    connection: sqlite3.Connection, latest: LatestStretch | None, path: Path
) -> tuple[TrackerState, dict[int, int]]:
    """Who is tracked and in which status, and for each of them (agent.id) the moment of the transition into it.

    Reads the latest checkpoint and what came after it, so that the cost does not grow with the age of the database.
    """
    if latest is None:
        return TrackerState({}, None), {}
    words = statuses(connection)
    into = {row[0]: row for row in connection.execute(STATE_AT, {"at": latest.stretch.last})}
    agents: dict[AgentId, Tracked] = {}
    moments: dict[int, int] = {}
    for id_, agent in _tracked_now(connection):
        if id_ not in into:
            raise damaged(path, f"the status of agent {agent.agent_id} is missing")
        _, moment, to_status, _, _ = into[id_]
        agents[agent.agent_id] = Tracked(words[to_status], moment >> AGENT_BITS, agent)
        moments[id_] = moment
    return TrackerState(agents, latest.stretch), moments


def _tracked_now(connection: sqlite3.Connection) -> list[tuple[int, Agent]]:
    rows = connection.execute(
        "SELECT agent.id, agent.agent_id, max(valid_from), name, team"
        " FROM tracking JOIN agent ON agent.id = tracking.agent"
        " LEFT JOIN agent_version ON agent_version.agent = agent.id"
        " WHERE tracked_until IS NULL GROUP BY agent.id"
    )
    return [(id_, Agent(agent_id, name or "", team or "")) for id_, agent_id, _, name, team in rows]


def _tally(connection: sqlite3.Connection) -> Tally:
    """Counted from the latest checkpoint on, which knows how many there were before it."""
    checkpoint = connection.execute("SELECT taken, transitions FROM checkpoint ORDER BY taken DESC LIMIT 1").fetchone()
    taken, before = checkpoint or (-1, 0)
    (since,) = connection.execute(
        "SELECT count(*) FROM transition WHERE moment >= ?", ((taken + 1) << AGENT_BITS,)
    ).fetchone()
    # One query for each end: asked for both at once, SQLite would read the whole table.
    (first,) = connection.execute("SELECT min(moment) FROM transition").fetchone()
    (last,) = connection.execute("SELECT max(moment) FROM transition").fetchone()
    return Tally(
        transitions=before + since,
        since_checkpoint=since,
        oldest=None if first is None else first >> AGENT_BITS,
        newest=None if last is None else last >> AGENT_BITS,
    )
