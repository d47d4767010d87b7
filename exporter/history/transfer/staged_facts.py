"""The few facts that are compared before two histories come together, read from either of them."""

import sqlite3
from collections import defaultdict

from exporter.history.facts import FOREVER, Description, Period
from exporter.history.transfer.periods import TrackedSpell
from exporter.model import AgentId

# `schema` is "main" or "staged", never what somebody else says.


def read_spells(connection: sqlite3.Connection, schema: str) -> list[TrackedSpell]:
    """All spells of tracking, by agent and lane in order of time; FOREVER for one that goes on."""
    query = (
        f"SELECT agent_id, lane, tracked_from, coalesce(tracked_until, ?), source FROM {schema}.tracking"  # noqa: S608
        f" JOIN {schema}.agent ON agent.id = tracking.agent ORDER BY agent_id, lane, tracked_from"
    )
    return [TrackedSpell(*row) for row in connection.execute(query, (FOREVER,))]


def read_stretches(connection: sqlite3.Connection, schema: str) -> dict[int, list[Period]]:
    """By source: when it was looking, [started, last), in order of time."""
    found: defaultdict[int, list[Period]] = defaultdict(list)
    query = f"SELECT source, started, last FROM {schema}.coverage ORDER BY source, started"  # noqa: S608
    for source, started, last in connection.execute(query):
        found[source].append(Period(started, last))
    return dict(found)


def read_descriptions(connection: sqlite3.Connection, schema: str) -> dict[AgentId, list[Description]]:
    """By agent: all names and teams, of all lanes, in the order in which they count."""
    found: defaultdict[AgentId, list[Description]] = defaultdict(list)
    query = (
        f"SELECT agent_id, valid_from, name, team FROM {schema}.agent_version"  # noqa: S608
        f" JOIN {schema}.agent ON agent.id = agent_version.agent ORDER BY valid_from, lane"
    )
    for agent_id, *description in connection.execute(query):
        found[agent_id].append(Description(*description))
    return dict(found)
