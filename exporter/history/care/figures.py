"""How large a database is, how far back it goes and how fresh it is: figures for `check`, without a verdict."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from exporter.clock import utc_text
from exporter.durations import format_duration_ms
from exporter.history.care.findings import Finding, Result
from exporter.history.care.purge import oldest
from exporter.history.schema import SCHEMA_VERSION, TABLES


def figures(connection: sqlite3.Connection, path: Path, now_ms: int) -> Iterator[Finding]:
    """The figures of the file `path`, which `connection` has open. What cannot be read has none."""
    main = size(path)
    yield _figure("file size", f"{main} bytes")
    yield _figure("log size", f"{size(path.with_name(path.name + '-wal'))} bytes")
    rows = {}
    for table in sorted(TABLES):
        try:
            (rows[table],) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our own names
        except sqlite3.Error:
            continue
        yield _figure(f"rows of {table}", str(rows[table]))
    if rows.get("transition"):
        yield _figure("bytes per transition", f"{main / rows['transition']:.1f}, with everything in the file")
    try:
        yield from _instants(connection, now_ms)
    except sqlite3.Error:
        return


def size(path: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _instants(connection: sqlite3.Connection, now_ms: int) -> Iterator[Finding]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < SCHEMA_VERSION:
        return
    (mark,) = connection.execute("SELECT max(before) FROM purge").fetchone()
    if mark is not None:
        yield _figure("water-mark", f"{utc_text(mark)}; what was recorded before it was purged")
    first = oldest(connection)
    (last,) = connection.execute("SELECT max(last) FROM coverage WHERE source = 0").fetchone()
    if first is not None:
        yield _figure("oldest fact", utc_text(first))
    if last is not None:
        behind = format_duration_ms(round(abs(now_ms - last), -3))
        yield _figure("newest poll", f"{utc_text(last)}, {behind} {'ago' if last <= now_ms else 'ahead of this clock'}")


def _figure(check: str, detail: str) -> Finding:
    return Finding(check, Result.INFO, detail)
