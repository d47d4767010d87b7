"""The statements that carry staged facts over, inside the transaction of `merge`: as they are, or under new ids.

What the staged ids have become stands in temporary tables: `run_of`, `status_of`, `source_of`, `track_of`.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exporter.history.facts import FOREVER, Description, Period, union
from exporter.history.schema import AGENT_BITS, AGENT_MASK, RECORDER
from exporter.history.transfer.errors import ImportRefused
from exporter.history.transfer.lanes import Lanes
from exporter.history.transfer.names import descriptions_to_add
from exporter.history.transfer.periods import TrackedSpell, by_agent, covered
from exporter.history.transfer.progress import Progress
from exporter.history.transfer.staged_facts import read_descriptions, read_spells, read_stretches
from exporter.model import AgentId

_AT_ONCE: Final = 50_000
"""Transitions in one statement: between two of them Ctrl-C is heard."""

_ALWAYS: Final = Period(-FOREVER, FOREVER)

_STRETCHES: Final = """
INSERT INTO main.coverage
    (id, source, run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms, end_reason, begun)
SELECT iif(:verbatim, id, NULL), source_of.target, run_of.target,
    first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms, end_reason, iif(:verbatim, begun, NULL)
FROM staged.coverage JOIN source_of ON source_of.staged = source JOIN run_of ON run_of.staged = run
ORDER BY id
"""
_SPELLS: Final = """
INSERT INTO main.tracking (agent, tracked_from, tracked_until, until_sent, source)
SELECT track_of.target, tracked_from, tracked_until, until_sent, source_of.target
FROM staged.tracking JOIN track_of ON track_of.staged = agent JOIN source_of ON source_of.staged = source
"""
_TRANSITIONS: Final = """
INSERT INTO main.transition (moment, to_status, from_status, uncertainty)
SELECT seen << :bits | track_of.target, after.target, before.target, uncertainty
FROM (SELECT * FROM staged.transition WHERE moment > :after AND moment <= :until)
JOIN track_of ON track_of.staged = agent
JOIN status_of AS after ON after.staged = to_status
LEFT JOIN status_of AS before ON before.staged = from_status
ORDER BY 1
"""
_LAST_OF_THE_NEXT: Final = """
SELECT max(moment), count(*)
FROM (SELECT moment FROM staged.transition WHERE moment > ? ORDER BY moment LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """What `source` says of the file, and which run its stretches are of."""

    file: str
    sha256: str
    imported: int
    program: str
    run: int | None
    """The run (run.id) of the import; None if the file brings its own."""


def restore(connection: sqlite3.Connection, progress: Progress) -> None:
    """Copy a whole history into one that holds no facts. Ids stay what they were, but for runs that are in the way."""
    _add_runs(connection)
    _add_statuses(connection)
    connection.execute("INSERT INTO main.source SELECT * FROM staged.source WHERE id <> ?", (RECORDER,))
    connection.execute("INSERT INTO main.agent SELECT * FROM staged.agent")
    for table in ("source", "agent"):
        same = [(id_, id_) for (id_,) in connection.execute(f"SELECT id FROM staged.{table}")]  # noqa: S608 - our names
        _remember(connection, "track_of" if table == "agent" else "source_of", same)
    for table in ("agent_version", "tracking", "purge"):
        connection.execute(f"INSERT INTO main.{table} SELECT * FROM staged.{table}")  # noqa: S608 - our names
    connection.execute(_STRETCHES, {"verbatim": True})
    _add_incidents(connection)
    _add_transitions(connection, progress)


def add(connection: sqlite3.Connection, origin: Origin, progress: Progress) -> None:
    """Add the facts, which are settled, beside those that are there; the rules of `merge` hold of them already.

    What was purged from the file says nothing of this history, so its water-mark is not taken over.
    """
    if origin.run is None:
        _add_runs(connection)
    else:
        staged = connection.execute("SELECT id FROM staged.run").fetchall()
        _remember(connection, "run_of", [(id_, origin.run) for (id_,) in staged])
    _add_statuses(connection)
    _add_sources(connection, origin)
    descriptions = _new_descriptions(connection)
    _add_tracks(connection)
    connection.execute(_STRETCHES, {"verbatim": False})
    connection.execute(_SPELLS)
    _add_descriptions(connection, descriptions)
    _add_incidents(connection)
    _add_transitions(connection, progress)


def _remember(connection: sqlite3.Connection, table: str, pairs: Iterable[tuple[int, int]]) -> None:
    """Make the temporary table of what staged ids have become."""
    connection.execute(f"CREATE TEMP TABLE {table} (staged INTEGER PRIMARY KEY, target INTEGER NOT NULL)")
    connection.executemany(f"INSERT INTO temp.{table} VALUES (?, ?)", pairs)  # noqa: S608 - our names


def _inserted(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _is_empty(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(f"SELECT 1 FROM main.{table} LIMIT 1").fetchone() is None  # noqa: S608 - our names


def _add_runs(connection: sqlite3.Connection) -> None:
    keep = _is_empty(connection, "run")
    pairs = []
    for id_, *run in connection.execute("SELECT * FROM staged.run ORDER BY id").fetchall():
        values = (id_ if keep else None, *run)
        cursor = connection.execute("INSERT INTO main.run VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        pairs.append((id_, _inserted(cursor)))
    _remember(connection, "run_of", pairs)


def _add_statuses(connection: sqlite3.Connection) -> None:
    known = {(kind, word): id_ for id_, kind, word in connection.execute("SELECT id, kind, word FROM main.status")}
    free, pairs = 1 + max(known.values()), []
    for id_, kind, word in connection.execute("SELECT id, kind, word FROM staged.status ORDER BY id").fetchall():
        target = known.get((kind, word))
        if target is None:
            # One after the other, as the recorder does it, whatever the file says.
            target = free
            connection.execute("INSERT INTO main.status VALUES (?, ?, ?)", (target, kind, word))
            free += 1
        pairs.append((id_, target))
    _remember(connection, "status_of", pairs)


def _add_sources(connection: sqlite3.Connection, origin: Origin) -> None:
    """The file's own source gets the file's name; what was imported into an exported history keeps its own."""
    pairs = []
    for id_, kind, *told in connection.execute("SELECT * FROM staged.source ORDER BY id").fetchall():
        if id_ == RECORDER:
            told = [origin.file, origin.sha256, origin.imported, origin.program]
        cursor = connection.execute("INSERT INTO main.source VALUES (NULL, ?, ?, ?, ?, ?)", (kind, *told))
        pairs.append((id_, _inserted(cursor)))
    _remember(connection, "source_of", pairs)


def _add_tracks(connection: sqlite3.Connection) -> None:
    """Each staged track becomes one of the agent's lanes that has room for all its spells."""
    (recorded_until,) = connection.execute(
        "SELECT max(last) FROM main.coverage WHERE source = ?", (RECORDER,)
    ).fetchone()
    lanes = Lanes(read_spells(connection, "main"), recorded_until)
    spells: dict[tuple[AgentId, int], list[TrackedSpell]] = {}
    for spell in read_spells(connection, "staged"):
        spells.setdefault((spell.agent_id, spell.lane), []).append(spell)
    tracks = {(agent_id, lane): id_ for id_, agent_id, lane in connection.execute("SELECT * FROM main.agent")}
    pairs = []
    for id_, agent_id, lane in connection.execute("SELECT * FROM staged.agent ORDER BY id").fetchall():
        track = agent_id, lanes.take(agent_id, spells.get((agent_id, lane), []))
        if track not in tracks:
            if len(tracks) > AGENT_MASK:
                raise ImportRefused(
                    f"a history cannot hold more than {AGENT_MASK + 1} tracks of agents: nothing is imported"
                )
            tracks[track] = _inserted(connection.execute("INSERT INTO main.agent VALUES (NULL, ?, ?)", track))
        pairs.append((id_, tracks[track]))
    _remember(connection, "track_of", pairs)


def _new_descriptions(connection: sqlite3.Connection) -> dict[AgentId, list[Description]]:
    """What is to be added to the names and teams that are known; call it while none of the staged facts is added."""
    ours, theirs = read_descriptions(connection, "staged"), read_descriptions(connection, "main")
    stretches = read_stretches(connection, "staged")
    spells = by_agent(read_spells(connection, "staged"))
    return {
        agent_id: descriptions_to_add(
            theirs.get(agent_id, ()),
            of_agent,
            union(iter(covered(spells.get(agent_id, ()), stretches, _ALWAYS))),
        )
        for agent_id, of_agent in ours.items()
    }


def _add_descriptions(connection: sqlite3.Connection, descriptions: dict[AgentId, list[Description]]) -> None:
    """On the agent's last track: of two at one instant a reader takes that one."""
    for agent_id, of_agent in descriptions.items():
        (track,) = connection.execute(
            "SELECT id FROM main.agent WHERE agent_id = ? ORDER BY lane DESC LIMIT 1", (agent_id,)
        ).fetchone()
        connection.executemany(
            "INSERT OR REPLACE INTO main.agent_version (agent, valid_from, name, team) VALUES (?, ?, ?, ?)",
            [(track, *description) for description in of_agent],
        )


def _add_incidents(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO main.incident (id, at, kind, detail, run)"
        " SELECT iif(?, id, NULL), at, kind, detail, run_of.target"
        " FROM staged.incident JOIN run_of ON run_of.staged = run ORDER BY id",
        (_is_empty(connection, "incident"),),
    )


def _add_transitions(connection: sqlite3.Connection, progress: Progress) -> None:
    (total,) = connection.execute("SELECT count(*) FROM staged.transition").fetchone()
    progress.begin("Adding transitions", total)
    after = -1
    while True:
        until, number = connection.execute(_LAST_OF_THE_NEXT, (after, _AT_ONCE)).fetchone()
        if not number:
            return
        connection.execute(_TRANSITIONS, {"bits": AGENT_BITS, "after": after, "until": until})
        progress.advance(number)
        after = until
