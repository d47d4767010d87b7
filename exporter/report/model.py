"""A report as a value: what was asked, how sure the answer is, and its rows. No clock, no database, no terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

Cell = str | int | float | bool | None
"""What a row holds: instants and durations as integer milliseconds, shares as a float from 0 to 1; None: not known."""


class ColumnKind(Enum):
    """How the cells of a column are meant; the formats decide how each is written."""

    TEXT = "text"
    INSTANT = "instant"
    """Milliseconds since 1970-01-01 UTC; written as ISO 8601 with the offset of the report's zone."""
    DURATION = "duration"
    """Milliseconds. The column's name ends in `_seconds`: machines read seconds as a number, people `h:mm:ss`."""
    SHARE = "share"
    """0 to 1; people read a percentage."""
    COUNT = "count"
    NUMBER = "number"
    """With a fraction, such as a mean or a rate; people read two digits of it."""
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the rows."""

    name: str
    kind: ColumnKind = ColumnKind.TEXT


@dataclass(frozen=True, slots=True)
class Report:
    """An answer. `meta` is ready for JSON but for instants, which stand under keys that `meta_kinds` marks as such."""

    meta: Mapping[str, object]
    """At least `report`, and for history reports `since`, `until`, `timezone`, `covered_seconds`, `unknown_seconds`."""
    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Cell]]
    meta_kinds: Mapping[str, ColumnKind]
    """The kind of each `meta` value that is an instant or a duration, by key; the others are written as they are."""
    timezone: str = "UTC"
    """The IANA zone that instants are written in."""
