"""Makes a database forget a person: everything about them, or only who they were."""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exporter.errors import UsageError
from exporter.history.care.progress import UNSEEN
from exporter.history.care.purge import BATCH
from exporter.history.connection import transaction
from exporter.history.schema import AGENT_BITS, AGENT_MASK
from exporter.history.transfer.progress import Progress
from exporter.model import AgentId
from exporter.quoting import shown

PSEUDONYM: Final = "erased-"
"""What every pseudonym begins with: no agent of Zoho's has such an id."""

_NAMES: Final = """
SELECT DISTINCT agent_id, coalesce(name, '') FROM agent LEFT JOIN agent_version ON agent_version.agent = agent.id
"""
_PERSON: Final = (
    "DELETE FROM tracking WHERE agent = ?",
    "DELETE FROM agent_version WHERE agent = ?",
    "DELETE FROM agent WHERE id = ?",
)
_LATER_WITH_THE_SAME_TEAM: Final = """
DELETE FROM agent_version WHERE agent = ? AND team = (
    SELECT team FROM agent_version AS earlier
    WHERE earlier.agent = agent_version.agent AND earlier.valid_from < agent_version.valid_from
    ORDER BY valid_from DESC LIMIT 1
)
"""


@dataclass(frozen=True, slots=True)
class Erased:
    """What a database knew of a person."""

    transitions: int
    spells: int
    descriptions: int
    still_tracked: bool
    """The recorder asked for them in its latest poll: while they are on the roster it will do so again."""


def find_agent(connection: sqlite3.Connection, wanted: str) -> AgentId:
    """The agent whose id, or a name that they ever had, is `wanted`; case does not matter.

    Raises UsageError if there is none, or more than one: nobody is erased by a pattern.
    """
    return choose_agent(connection.execute(_NAMES), wanted)


def choose_agent(names: Iterable[tuple[AgentId, str]], wanted: str) -> AgentId:
    """The id among `names`, pairs of id and name, that `wanted` means; see `find_agent`."""
    known, folded = list(names), wanted.casefold()
    if any(agent_id == wanted for agent_id, _ in known):
        return wanted
    found = sorted({agent_id for agent_id, name in known if wanted and name.casefold() == folded})
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"--agent {shown(wanted)} is the name of {len(found)} agents ({', '.join(found[:5])}): give the id of one"
        )
    raise UsageError(
        f"--agent {shown(wanted)} is nobody in this history: give one agent's whole id or whole name, no pattern"
    )


def erase_agent(
    connection: sqlite3.Connection,
    agent_id: AgentId,
    *,
    now_ms: int,
    program: str,
    progress: Progress = UNSEEN,
    batch: int = BATCH,
) -> Erased:
    """Remove the agent and all that was ever recorded of them, in all lanes, in one transaction.

    What is derived is adjusted in it. Raises sqlite3.Error.
    """
    with transaction(connection):
        tracks = _tracks(connection, agent_id)
        moments = _moments(connection, set(tracks), progress, batch)
        erased = _known(connection, tracks, len(moments))
        connection.executemany("DELETE FROM transition WHERE moment = ?", [(moment,) for moment in moments])
        _forget_in_derived(connection, tracks, moments)
        for sql in _PERSON:
            connection.executemany(sql, [(track,) for track in tracks])
        _note(connection, "agent", now_ms, program)
    return erased


def pseudonymise_agent(
    connection: sqlite3.Connection, agent_id: AgentId, pseudonym: str, *, now_ms: int, program: str
) -> Erased:
    """Put `pseudonym`, which nobody has yet, in the place of the agent's id and of all their names.

    Teams, spells and transitions stay, and so does every total. Raises sqlite3.Error.
    """
    with transaction(connection):
        tracks = _tracks(connection, agent_id)
        found = _known(connection, tracks, 0)
        connection.execute("UPDATE agent SET agent_id = ? WHERE agent_id = ?", (pseudonym, agent_id))
        for track in tracks:
            connection.execute("UPDATE agent_version SET name = ? WHERE agent = ?", (pseudonym, track))
            connection.execute(_LATER_WITH_THE_SAME_TEAM, (track,))  # when they changed their name is theirs too
        _note(connection, "pseudonym", now_ms, program)
    return found


def _tracks(connection: sqlite3.Connection, agent_id: AgentId) -> list[int]:
    return [track for (track,) in connection.execute("SELECT id FROM agent WHERE agent_id = ?", (agent_id,))]


def _moments(connection: sqlite3.Connection, tracks: set[int], progress: Progress, batch: int) -> list[int]:
    """The keys of all transitions of the tracks, in order: no index knows them, so the whole table is read."""
    (whole,) = connection.execute("SELECT count(*) FROM transition").fetchone()
    moments: list[int] = []
    progress.begin("Looking for transitions", whole)
    start = 0
    while True:
        rows = connection.execute(
            "SELECT moment FROM transition WHERE moment >= ? ORDER BY moment LIMIT ?", (start, batch)
        ).fetchall()
        moments += [moment for (moment,) in rows if moment & AGENT_MASK in tracks]
        progress.advance(len(rows))
        if len(rows) < batch:
            return moments
        start = rows[-1][0] + 1


def _known(connection: sqlite3.Connection, tracks: list[int], transitions: int) -> Erased:
    def count(sql: str) -> int:
        return sum(connection.execute(sql, (track,)).fetchone()[0] for track in tracks)

    return Erased(
        transitions=transitions,
        spells=count("SELECT count(*) FROM tracking WHERE agent = ?"),
        descriptions=count("SELECT count(*) FROM agent_version WHERE agent = ?"),
        still_tracked=count("SELECT count(*) FROM tracking WHERE agent = ? AND tracked_until IS NULL") > 0,
    )


def _forget_in_derived(connection: sqlite3.Connection, tracks: list[int], moments: list[int]) -> None:
    """Totals and carried statuses are each agent's own; only the numbers of transitions are everybody's."""
    connection.executemany("DELETE FROM total WHERE agent = ?", [(track,) for track in tracks])
    connection.executemany("DELETE FROM carried WHERE moment & ? = ?", [(AGENT_MASK, track) for track in tracks])
    taken = [at for (at,) in connection.execute("SELECT taken FROM checkpoint").fetchall()]
    connection.executemany(
        "UPDATE checkpoint SET transitions = transitions - ? WHERE taken = ?",
        [(bisect_right(moments, (at << AGENT_BITS) + AGENT_MASK), at) for at in taken],
    )


def _note(connection: sqlite3.Connection, kind: str, now_ms: int, program: str) -> None:
    """Say that it was done, and not to whom."""
    connection.execute("INSERT INTO purge (done, kind, program) VALUES (?, ?, ?)", (now_ms, kind, program))
