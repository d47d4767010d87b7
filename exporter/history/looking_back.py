"""How far back, and of whom, more must be read to tell since when a status holds that is carried into a window."""

import sqlite3
from collections import defaultdict
from typing import Final

from exporter.history.facts import FOREVER, HistoryFacts, Period, Spell

_TRACKED_TWICE: Final = """
SELECT agent_id, agent.id, tracked_from, coalesce(tracked_until, :forever)
FROM agent JOIN tracking ON tracking.agent = agent.id
WHERE agent_id IN (SELECT agent_id FROM agent WHERE lane > 0) AND tracked_from < :until
"""
"""The spells of those whom more than one source may have tracked at once."""


def to_look_back_at(connection: sqlite3.Connection, facts: HistoryFacts) -> tuple[int, dict[str, list[int]]]:
    """An instant (ms), and the tracks of agents to be read from there on: nobody if these facts tell it all.

    Those are the agents of whom another source told something after the change that is carried into the window.
    """
    window = facts.window
    tracked: defaultdict[str, list[tuple[int, Period]]] = defaultdict(list)
    for agent_id, track, *period in connection.execute(_TRACKED_TWICE, {"forever": FOREVER, "until": window.until}):
        tracked[agent_id].append((track, Period(*period)))
    since, tracks = window.since, dict[str, list[int]]()
    for agent in facts.agents:
        mine = tracked.get(agent.agent_id, [])
        for spell in agent.spells if mine else ():
            carried = _carried_from(spell)
            others = (period for _, period in mine if period != spell[:2])
            if carried < window.since and any(other.end > carried for other in others):
                since = min(since, carried)
                tracks[agent.agent_id] = sorted({track for track, _ in mine})
    return since, tracks


def _carried_from(spell: Spell) -> int:
    """Since when the status may hold that is carried into the spell."""
    if not spell.changes:
        return FOREVER
    seen, not_before, _, _ = spell.changes[0]
    return seen if not_before is None else max(not_before, spell.start)
