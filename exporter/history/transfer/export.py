"""`history export`: every fact of a database as NDJSON, streamed from one read transaction."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from exporter.errors import DatabaseError
from exporter.history.connection import explained
from exporter.history.reader import HistoryReader
from exporter.history.schema import SCHEMA_VERSION
from exporter.history.transfer.format import FORMAT, TABLES, VERSION
from exporter.history.transfer.progress import Progress

_AT_ONCE: Final = 1_000
"""Rows between two words about the progress."""

_encode: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def export_lines(path: Path, *, program: str, now: int, progress: Progress) -> Iterator[str]:
    """The lines of an export of the database at `path`, as it is at one instant: a poll is in it whole or not at all.

    `program` is the version of this program, `now` the time in ms; both stand in the header. Memory does not grow with
    the database. Raises DatabaseError if the file cannot be read, or did not hold still. Of a damaged one, all tables
    are read as far as they can be before it is raised. The footer is missing then, so no import takes the lines for
    the whole.
    """
    counts = dict.fromkeys((table.name for table in TABLES), 0)
    with HistoryReader.open(path) as reader:
        with reader.snapshot() as connection:
            header = {"format": FORMAT, "version": VERSION, "schema": SCHEMA_VERSION}
            yield _line(header | {"program": program, "exported": now})
            failed: dict[str, sqlite3.Error] = {}
            for table in TABLES:
                try:
                    for row in _rows(connection, table.name, table.query, progress):
                        counts[table.name] += 1
                        yield _line({"table": table.name} | row)
                except sqlite3.Error as error:
                    failed[table.name] = error
            if failed:
                raise _incomplete(path, failed, counts)
        yield _line({"end": True, "rows": counts})


def _rows(connection: sqlite3.Connection, table: str, query: str, progress: Progress) -> Iterator[dict[str, object]]:
    (total,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - the name is ours
    progress.begin(f"Exporting {table}", total)
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description]
    while rows := cursor.fetchmany(_AT_ONCE):
        for row in rows:
            yield dict(zip(names, row, strict=True))
        progress.advance(len(rows))


def _incomplete(path: Path, failed: Mapping[str, sqlite3.Error], counts: Mapping[str, int]) -> DatabaseError:
    (error, *_) = failed.values()
    saved = ", ".join(f"{counts[table]} rows of {table}" for table in failed)
    return DatabaseError(f"{explained(error, path)} (the export is not complete: it has {saved})")


def _line(row: Mapping[str, object]) -> str:
    return _encode(row) + "\n"
