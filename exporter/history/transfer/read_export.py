"""Reads an export back, row by row, and trusts nothing in it."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from exporter.errors import UsageError
from exporter.history.schema import SCHEMA_VERSION
from exporter.history.transfer.format import FORMAT, TABLES, VERSION, Field, Kind, Table
from exporter.history.transfer.incoming import IncomingFile
from exporter.history.transfer.read_polls import decoded
from exporter.model import EndReason, storable
from exporter.quoting import shown

_HASH: Final = re.compile("[0-9a-f]{64}")
_LONGEST_WORD: Final = 100
_END_REASONS: Final = frozenset(reason.value for reason in EndReason)
_BY_NAME: Final = {table.name: table for table in TABLES}
_PLACE: Final = {table.name: place for place, table in enumerate(TABLES)}
_EMPTY: Final = "an export begins with a line that says its format and version"

Value = int | str | None


class ExportedRow(NamedTuple):
    """A row of a table, with its values in the order of the table's fields."""

    line: int
    table: Table
    values: tuple[Value, ...]


def read_export(file: IncomingFile, advance: Callable[[int], None] = lambda _: None) -> Iterator[ExportedRow]:
    """The rows, table by table in the order of `TABLES`.

    Raises UsageError, naming the line, for what cannot stand there; at the end if the footer is missing or counts
    other rows; rows before were yielded then. A newer format is refused at once.
    """
    counts = dict.fromkeys(_BY_NAME, 0)
    place = 0
    begun = ended = False
    number = 0
    for number, text in file.lines(advance):
        try:
            if ended:
                raise UsageError("something stands behind the last line of the export")
            said = decoded(text)
            if not begun:
                _check_header(said)
                begun = True
            elif "end" in said:
                _check_footer(said, counts)
                ended = True
            else:
                table = _table(said, place)
                place = _PLACE[table.name]
                counts[table.name] += 1
                yield ExportedRow(number, table, tuple(_value(said, field) for field in table.fields))
        except UsageError as error:
            raise UsageError(f"{file.at(number)}: {error}") from error
    if not ended:
        raise UsageError(f"{file.at(number)}: the export ends here without its last line: it was cut short")


def _check_header(said: Mapping[str, object]) -> None:
    if said.get("format") != FORMAT:
        raise UsageError(_EMPTY)
    for key, known in (("version", VERSION), ("schema", SCHEMA_VERSION)):
        found = said.get(key)
        if isinstance(found, bool) or not isinstance(found, int):
            raise UsageError(_EMPTY)
        if found > known:
            raise UsageError(
                f"the export was made by a newer version of zohovoice-exporter (its {key} is {found}, this program "
                f"knows {known}): upgrade this program"
            )
    if (said["version"], said["schema"]) != (VERSION, SCHEMA_VERSION):
        raise UsageError(_EMPTY)


def _check_footer(said: Mapping[str, object], counts: Mapping[str, int]) -> None:
    rows = said.get("rows")
    if said.get("end") is not True or not isinstance(rows, dict):
        raise UsageError("the last line of the export must say how many rows there are")
    for name, count in counts.items():
        if rows.get(name) != count:
            raise UsageError(f"the export holds {count} rows of {name} and says that it holds {rows.get(name)}")


def _table(said: Mapping[str, object], place: int) -> Table:
    name = said.get("table")
    if not isinstance(name, str) or name not in _BY_NAME:
        raise UsageError(f"'table' must be one of {', '.join(_BY_NAME)}")
    table = _BY_NAME[name]
    if _PLACE[name] < place:
        raise UsageError(
            f"a row of {name} stands behind rows of {TABLES[place].name}; the order is {', '.join(_BY_NAME)}"
        )
    unknown = said.keys() - {field.name for field in table.fields} - {"table"}
    if unknown:
        raise UsageError(f"{shown(min(unknown))} is no field of {name}")
    return table


def _value(said: Mapping[str, object], field: Field) -> Value:
    if field.name not in said:
        raise UsageError(f"the field '{field.name}' is missing")
    value = said[field.name]
    if value is None and field.nullable:
        return None
    if field.kind in (Kind.NUMBER, Kind.INSTANT):
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= field.most:
            return value
    elif isinstance(value, str):
        text = _text(value, field.kind)
        if text is not None:
            return text
    raise UsageError(f"'{field.name}' must be {field.kind.value}")


def _text(value: str, kind: Kind) -> str | None:
    """The text to be stored; None if it cannot stand there."""
    clean = storable(value)
    if kind is Kind.TEXT:
        return clean
    if kind is Kind.END_REASON:
        return value if value in _END_REASONS else None
    if kind is Kind.HASH:
        return value if _HASH.fullmatch(value) else None
    if kind is Kind.WORD:
        return value if clean == value and len(value) <= _LONGEST_WORD else None
    return value if clean == value and value else None
