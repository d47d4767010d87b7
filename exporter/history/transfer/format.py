"""The format of an export: which tables, which fields, and what may stand in them.

NDJSON in UTF-8. The first line is a header, the last one a footer that counts the rows, so that a file that was cut
short is noticed. Each line between them is one row of a table, under the names of its columns (docs/database.md):

    {"format":"zohovoice-exporter history","version":1,"schema":2,"program":"0.2.0","exported":1763800000000}
    {"table":"agent","id":1,"agent_id":"1001","lane":0}
    {"end":true,"rows":{"run":2,"source":1,"agent":1}}
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from exporter.history.schema import AGENT_BITS, AGENT_MASK

FORMAT: Final = "zohovoice-exporter history"
VERSION: Final = 1

LATEST_INSTANT: Final = (1 << 63 - AGENT_BITS) - 2
"""The latest instant that a transition can have, ms."""


class Kind(Enum):
    """What sort of value a field holds."""

    NUMBER = "a whole number that is not negative"
    INSTANT = "milliseconds since 1970"
    TEXT = "text"
    ID = "an agent's id: text that can be printed, and not empty"
    WORD = "a status word: text that can be printed, of at most 100 characters"
    END_REASON = "a reason why a run or a stretch ended"
    HASH = "64 hexadecimal digits"


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a table as it is exported."""

    name: str
    kind: Kind
    nullable: bool = False
    most: int = LATEST_INSTANT
    """The greatest number or instant."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of facts: what is exported of it, in which order."""

    name: str
    fields: tuple[Field, ...]
    order: str

    @property
    def query(self) -> str:
        """All its rows."""
        columns = ", ".join(field.name for field in self.fields)
        return f"SELECT {columns} FROM {self.name} ORDER BY {self.order}"  # noqa: S608 - only names of this module


def _number(name: str, most: int = LATEST_INSTANT) -> Field:
    return Field(name, Kind.NUMBER, most=most)


def _instant(name: str, *, nullable: bool = False) -> Field:
    return Field(name, Kind.INSTANT, nullable)


def _text(name: str, *, nullable: bool = False) -> Field:
    return Field(name, Kind.TEXT, nullable)


_END_REASON: Final = Field("end_reason", Kind.END_REASON, nullable=True)

MOST_STATUSES: Final = 1_000
"""Zoho knows five. Sums of time have a place for each id up to the greatest, so a great id must not be made up."""

TABLES: Final = (
    Table(
        "run",
        (
            _number("id"),
            _instant("started"),
            _text("version"),
            _text("host"),
            _text("boot_id"),
            _number("pid"),
            _instant("ended", nullable=True),
            _END_REASON,
        ),
        "id",
    ),
    Table(
        "source",
        (
            _number("id"),
            _text("kind"),
            _text("file", nullable=True),
            Field("sha256", Kind.HASH, nullable=True),
            _instant("imported", nullable=True),
            _text("program", nullable=True),
        ),
        "id",
    ),
    Table("status", (_number("id", MOST_STATUSES - 1), _number("kind"), Field("word", Kind.WORD)), "id"),
    Table("agent", (_number("id", AGENT_MASK), Field("agent_id", Kind.ID), _number("lane", AGENT_MASK)), "id"),
    Table(
        "agent_version",
        (_number("agent"), _instant("valid_from"), _text("name"), _text("team")),
        "agent, valid_from",
    ),
    Table(
        "coverage",
        (
            _number("id"),
            _number("source"),
            _number("run"),
            _instant("first_sent"),
            _instant("started"),
            _instant("last_sent"),
            _instant("last"),
            _number("polls"),
            _number("interval_ms"),
            _number("gap_limit_ms"),
            _END_REASON,
            _instant("begun", nullable=True),
        ),
        "id",
    ),
    Table(
        "tracking",
        (
            _number("agent"),
            _instant("tracked_from"),
            _instant("tracked_until", nullable=True),
            _instant("until_sent", nullable=True),
            _number("source"),
        ),
        "agent, tracked_from",
    ),
    Table(
        "transition",
        (
            _instant("seen"),
            _number("agent"),
            Field("from_status", Kind.NUMBER, nullable=True),
            _number("to_status"),
            Field("uncertainty", Kind.NUMBER, nullable=True),
        ),
        "moment",
    ),
    Table("incident", (_number("id"), _instant("at"), _text("kind"), _text("detail"), _number("run")), "id"),
    Table(
        "purge",
        (_number("id"), _instant("done"), _text("kind"), _instant("before", nullable=True), _text("program")),
        "id",
    ),
)
"""In the order of the file: what a row refers to stands before it. Derived tables are not exported."""
