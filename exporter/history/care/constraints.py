"""What the tables of a database must look like, and what each row may hold.

SQLite leaves CHECK constraints out of its own check of a file that is only read, so they are looked at here.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from sqlite_utils import Database

from exporter.history.migrations import migrate

_COMMENT: Final = re.compile(r"--[^\n]*")
_CHECK: Final = re.compile(r"\bCHECK \(")
_SCHEMA: Final = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"


def schema_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Tables, indexes and views of ours that are missing or not as they were made. Others may stand beside them."""
    found = {name: (kind, sql) for kind, name, sql in connection.execute(_SCHEMA)}
    for kind, name, sql in _expected():
        if name not in found:
            yield f"the {kind} {name} is missing"
        elif found[name] != (kind, sql):
            yield f"the {kind} {name} is not as this program makes it"


def row_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Tables that hold a row which their constraints do not allow."""
    for kind, name, sql in _expected():
        rules = conditions(sql) if kind == "table" else []
        if rules:
            allowed = " AND ".join(f"({rule})" for rule in rules)
            query = f"SELECT EXISTS (SELECT * FROM {name} WHERE NOT ({allowed}))"  # noqa: S608 - our own statements
            if connection.execute(query).fetchone()[0]:
                yield f"a row of {name} breaks a constraint of its table"


def conditions(statement: str) -> list[str]:
    """The conditions of all CHECK constraints in a CREATE TABLE statement."""
    text = _COMMENT.sub("", statement)
    found = []
    for match in _CHECK.finditer(text):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        found.append(text[match.end() : end - 1])
    return found


def _expected() -> list[tuple[str, str, str]]:
    """Kind, name and statement of everything that a new database holds."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(Database(connection, recursive_triggers=False, execute_plugins=False), 0, now_ms=0, program="")
        return connection.execute(_SCHEMA).fetchall()
