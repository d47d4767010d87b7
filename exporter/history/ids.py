"""The small integers that stand for agents and status words in the transitions."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from exporter.model import AgentId, Kind, Status

K = TypeVar("K")

StatusKey = str | tuple[int, str]
"""A reported word stands for itself: hashing a whole Status for every transition would cost more than writing it."""


def status_key(status: Status) -> StatusKey:
    """What a status is known by in `Ids`."""
    return status.word if status.kind is Kind.REPORTED else (int(status.kind), status.word)


class Ids(dict[K, int]):
    """The ids of a table; asking for one that is missing inserts it, in the transaction that is open.

    When that transaction is rolled back, the ids must be read anew.
    """

    __slots__ = ("_insert",)

    def __init__(self, insert: Callable[[K], int]) -> None:
        """`insert` puts a key into the table and returns its id."""
        super().__init__()
        self._insert = insert

    def __missing__(self, key: K) -> int:
        self[key] = id_ = self._insert(key)
        return id_


def agent_ids(connection: sqlite3.Connection) -> Ids[AgentId]:
    """The ids of the tracks of all agents ever recorded in the recorder's lane, by Zoho's agentId."""

    def insert(agent_id: AgentId) -> int:
        return _inserted(connection.execute("INSERT INTO agent (agent_id) VALUES (?)", (agent_id,)))

    ids = Ids(insert)
    ids.update(connection.execute("SELECT agent_id, id FROM agent WHERE lane = 0"))
    return ids


def status_ids(connection: sqlite3.Connection) -> Ids[StatusKey]:
    """The ids of all statuses ever recorded."""

    def insert(key: StatusKey) -> int:
        kind_and_word = (int(Kind.REPORTED), key) if isinstance(key, str) else key
        return _inserted(connection.execute("INSERT INTO status (kind, word) VALUES (?, ?)", kind_and_word))

    ids = Ids(insert)
    ids.update((status_key(status), id_) for id_, status in statuses(connection).items())
    return ids


def statuses(connection: sqlite3.Connection) -> dict[int, Status]:
    """Every status ever recorded, by its id."""
    rows = connection.execute("SELECT id, kind, word FROM status")
    return {id_: Status(Kind(kind), word) for id_, kind, word in rows}


def _inserted(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid
