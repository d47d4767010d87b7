"""Makes staged facts stand for themselves before they come beside others.

Their recorder will not go on with them: whom it still tracked, it tracked until its last poll. And what a purge has
kept from before its water-mark means something only together with it: coverage that had begun earlier, the transition
that carried a status in. The history that the facts come into has no such water-mark, or an earlier one, so they are
made to begin where they are whole.
"""

import sqlite3
from typing import Final

from exporter.history.schema import AGENT_BITS

_LAST_POLLS: Final = """
UPDATE staged.tracking SET tracked_until = latest.last, until_sent = latest.last_sent
FROM (SELECT source, max(last) AS last, last_sent FROM staged.coverage GROUP BY source) AS latest
WHERE tracked_until IS NULL AND latest.source = tracking.source
"""
_STRETCHES: Final = "DELETE FROM staged.coverage WHERE started < ?"
_WHOLE_STRETCHES: Final = "UPDATE staged.coverage SET begun = NULL WHERE begun IS NOT NULL"
_CUT_SPELLS: Final = """
SELECT agent, tracked_from, coalesce(tracked_until, (SELECT max(last) FROM staged.coverage)), (
    SELECT min(started) FROM staged.coverage WHERE coverage.source = tracking.source
)
FROM staged.tracking WHERE tracked_from < ?
"""
_CARRIED: Final = """
SELECT to_status FROM staged.transition
WHERE agent = ? AND seen >= ? AND seen <= ? ORDER BY moment DESC LIMIT 1
"""
_FORGET_SPELL: Final = "DELETE FROM staged.tracking WHERE agent = ? AND tracked_from = ?"
_MOVE_SPELL: Final = "UPDATE staged.tracking SET tracked_from = ? WHERE agent = ? AND tracked_from = ?"
_FORGET: Final = "DELETE FROM staged.transition WHERE moment <= ? AND agent = ?"
_FIRST: Final = "INSERT INTO staged.transition (moment, to_status) VALUES (?, ?)"


def settle(connection: sqlite3.Connection) -> None:
    """Close what is open in the database that is attached as `staged`, and let it begin at its own water-mark."""
    _begin_at_water_mark(connection)
    connection.execute(_LAST_POLLS)


def _begin_at_water_mark(connection: sqlite3.Connection) -> None:
    """Let the staged facts begin at their own water-mark, if they have one: stretches, spells and first observations.

    A spell that goes on there begins with the first coverage after it, in the status of then.
    """
    (mark,) = connection.execute("SELECT max(before) FROM staged.purge").fetchone()
    if mark is None:
        return
    connection.execute(_STRETCHES, (mark,))
    connection.execute(_WHOLE_STRETCHES)
    for agent, start, until, begins in connection.execute(_CUT_SPELLS, (mark,)).fetchall():
        carried = None if begins is None else connection.execute(_CARRIED, (agent, start, begins)).fetchone()
        if carried is None or begins > until:
            connection.execute(_FORGET_SPELL, (agent, start))
            continue
        connection.execute(_MOVE_SPELL, (begins, agent, start))
        first = begins << AGENT_BITS | agent
        connection.execute(_FORGET, (first, agent))
        connection.execute(_FIRST, (first, carried[0]))
    connection.execute("DELETE FROM staged.transition WHERE moment < ?", (mark << AGENT_BITS,))
