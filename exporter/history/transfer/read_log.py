"""A plain log as CSV: one row for each time that an agent entered a status, exactly then."""

import csv
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.errors import UsageError
from exporter.history.transfer.incoming import IncomingFile
from exporter.history.transfer.times import parse_time
from exporter.history.transfer.words import agent_id_of, status_of
from exporter.model import AgentId, Status, storable
from exporter.quoting import shown

NEEDED: Final = ("agent_id", "time", "status")
ALLOWED: Final = (*NEEDED, "name", "team")
_COLUMNS: Final = "the columns are agent_id, time and status, and if wanted name and team"


class LogRow(NamedTuple):
    """The agent entered the status at the instant `at` (ms), as the row that begins on `line` says."""

    line: int
    agent_id: AgentId
    at: int
    status: Status
    name: str
    """"" if the row does not tell, as `team`."""
    team: str


def read_log(
    file: IncomingFile, zone: ZoneInfo, now: int, advance: Callable[[int], None] = lambda _: None
) -> Iterator[LogRow]:
    """The rows in the order of the file, which may be any. A time without an offset is one of `zone`.

    Raises UsageError, naming line and column, for the first thing that cannot be so; rows before it were yielded then.
    """
    header: list[str] = []
    found = False
    for line, cells in _records(file, advance):
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = _header(file, line, cells)
            continue
        if len(cells) != len(header):
            raise UsageError(
                f"{file.at(line)}: the row has {len(cells)} columns and the header {len(header)}; "
                "put text that holds a comma in double quotes"
            )
        found = True
        yield _row(file, line, dict(zip(header, cells, strict=True)), zone, now)
    if not found:
        raise UsageError(f"cannot import {file.path}: there is no row {'under the header' if header else 'in it'}")


def _records(file: IncomingFile, advance: Callable[[int], None]) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line that it begins on: one may span lines."""
    reader = csv.reader((line.text for line in file.lines(advance)), strict=True)
    begins = 1
    try:
        for cells in reader:
            yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{file.at(begins)}: this is not CSV: {error}") from error


def _header(file: IncomingFile, line: int, cells: list[str]) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    for number, name in enumerate(header, 1):
        if name not in ALLOWED:
            hint = " (columns are parted by commas)" if ";" in name or "\t" in name else ""
            raise UsageError(f"{file.at(line)}: the header names {shown(name)}{hint}; {_COLUMNS}")
        if header.index(name) != number - 1:
            raise UsageError(f"{file.at(line)}: the header names the column '{name}' twice")
    for name in NEEDED:
        if name not in header:
            raise UsageError(f"{file.at(line)}: the header has no column '{name}'; {_COLUMNS}")
    return header


def _row(file: IncomingFile, line: int, fields: Mapping[str, str], zone: ZoneInfo, now: int) -> LogRow:
    column = "agent_id"
    try:
        agent_id = agent_id_of(fields[column])
        column = "time"
        at = parse_time(fields[column], zone, now)
        column = "status"
        status = status_of(fields[column])
    except UsageError as error:
        raise UsageError(f"{file.at(line, column)}: {error}") from error
    return LogRow(
        line, agent_id, at, status, storable(fields.get("name", "").strip()), storable(fields.get("team", "").strip())
    )
