"""What Datasette is told about a history database: descriptions of tables and views, and canned queries."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import yaml

from tests.support.documents import ROOT, table

METADATA: Final = ROOT / "docs" / "datasette" / "metadata.yml"
DATABASE: Final = "zohovoice"
"""Datasette calls a database by the name of its file."""
COMMON: Final = "base AS ("
"""Where the part begins that several queries share, ..."""
COMMON_ENDS: Final = "  WHERE place = 1\n)"
"""... and where it ends."""

_PARAMETER: Final = re.compile(r"(?<=[ (]):([a-z]+)")


@dataclass(frozen=True, slots=True)
class Canned:
    """A canned query."""

    title: str
    description: str
    sql: str


@dataclass(frozen=True, slots=True)
class Described:
    """A table or a view, and what is said of its columns."""

    description: str
    columns: Mapping[str, str]


@cache
def _database() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(METADATA.read_text(encoding="utf-8"))["databases"][DATABASE]
    return found


def canned() -> Mapping[str, Canned]:
    """The canned queries, by the names that stand in their addresses."""
    return {
        name: Canned(query["title"], query["description"], query["sql"])
        for name, query in _database()["queries"].items()
    }


def described() -> Mapping[str, Described]:
    """The tables and views."""
    return {
        name: Described(one["description"], {str(key): str(text) for key, text in one["columns"].items()})
        for name, one in _database()["tables"].items()
    }


def questions() -> str:
    """The canned queries as Markdown."""
    rows = ((f"`{name}`", one.title, ", ".join(parameters(one.sql)) or "nothing") for name, one in canned().items())
    return "\n" + table(("Query", "Question", "Asks for"), rows) + "\n"


def parameters(sql: str) -> tuple[str, ...]:
    """What a query asks for, in the order of its form."""
    return tuple(dict.fromkeys(_PARAMETER.findall(sql)))


def view_columns() -> str:
    """The columns of the views as Markdown, a table for each."""
    parts = []
    for name in ("timeline", "timeline_ms", "now", "seconds_by_day", "transitions"):
        one = described()[name]
        rows: Iterator[tuple[str, ...]] = ((f"`{column}`", text) for column, text in one.columns.items())
        parts.append(f"### {name}\n\n{one.description}\n\n{table(('Column', 'Meaning'), rows)}")
    return "\n" + "\n".join(parts) + "\n"
