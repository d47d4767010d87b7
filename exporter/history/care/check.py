"""Whether a database is what this program has written: SQLite's own checks, the invariants, the derived data."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.errors import DatabaseError
from exporter.history.care.constraints import row_faults, schema_faults
from exporter.history.care.derived import differences
from exporter.history.care.figures import figures
from exporter.history.care.findings import Finding, Result, counted, judged
from exporter.history.care.invariants import (
    Names,
    SpellRow,
    StretchRow,
    TransitionRow,
    chain_faults,
    source_faults,
    spell_faults,
    stretch_faults,
    tracking_faults,
)
from exporter.history.care.progress import UNSEEN
from exporter.history.care.purge import is_unfinished
from exporter.history.connection import explained, schema_version
from exporter.history.facts import FOREVER
from exporter.history.reading import read_at_one_instant
from exporter.history.schema import SCHEMA_VERSION
from exporter.history.transfer.progress import Progress

DERIVED: Final = "derived data"
"""The one check whose failing says nothing against the facts."""
_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Facts:
    """The small tables; transitions are read one by one."""

    stretches: tuple[StretchRow, ...]
    spells: tuple[SpellRow, ...]
    statuses: frozenset[int]
    names: Names
    water_mark: int | None
    transitions: int


def check_file(path: Path, *, now_ms: int, quick: bool = False, progress: Progress = UNSEEN) -> list[Finding]:
    """Everything that can be said of the file at `path` (see `reading.readable_file`), as of one instant.

    `quick`: SQLite does not compare indexes with their tables. A damaged file is a finding, not an error.
    """

    def work(connection: sqlite3.Connection) -> list[Finding]:
        found = list(findings(connection, path, quick=quick, progress=progress))
        if found[0].result is Result.FAILED:
            return found
        return [*found, *figures(connection, path, now_ms)]

    try:
        return read_at_one_instant(path, work)
    except sqlite3.Error as error:
        return [Finding("schema", Result.FAILED, str(explained(error, path)))]


def findings(
    connection: sqlite3.Connection,
    path: Path,
    *,
    quick: bool = False,
    progress: Progress = UNSEEN,
    derived: bool = True,
) -> Iterator[Finding]:
    """What there is to say against the file that `connection` has open, which is called `path`.

    What makes it senseless to look further ends it: a file that is not ours, or one that SQLite calls damaged.
    """
    try:
        version = schema_version(connection, path)
    except DatabaseError as error:
        yield Finding("schema", Result.FAILED, str(error))
        return
    except sqlite3.Error as error:
        yield Finding("schema", Result.FAILED, str(explained(error, path)))
        return
    if version == 0:
        yield Finding("schema", Result.FAILED, f"{path} is an empty file, no history database")
        return
    yield Finding("schema", Result.OK, f"version {version} of zohovoice-exporter's history")
    progress.begin("Checking the file", 2)
    pragma = "PRAGMA quick_check" if quick else "PRAGMA integrity_check"
    file = judged("file", lambda: _complaints(connection, pragma), "SQLite finds it whole")
    progress.advance(1)
    yield file
    yield judged("references", lambda: _dangling(connection), "every row that another one names is there")
    progress.advance(1)
    if file.result is Result.FAILED:
        yield Finding("facts", Result.INFO, "not checked, for the file is damaged")
    elif version < SCHEMA_VERSION:
        told = f"not checked: made by an older version (this program's schema is {SCHEMA_VERSION})"
        yield Finding("facts", Result.INFO, f"{told}; serve or history rebuild bring it up to date")
    else:
        yield from _of_facts(connection, progress)
        if derived:
            yield judged(DERIVED, lambda: differences(connection, progress), "they are what the facts say")


def _complaints(connection: sqlite3.Connection, pragma: str) -> Iterator[str]:
    for (line,) in connection.execute(pragma):
        if line != "ok":
            yield from str(line).splitlines()


def _dangling(connection: sqlite3.Connection) -> Iterator[str]:
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"a row of {table} names one of {parent} that is not there"


def _of_facts(connection: sqlite3.Connection, progress: Progress) -> Iterator[Finding]:
    yield judged("tables", lambda: schema_faults(connection), "they are as this program makes them")
    yield judged("rows", lambda: row_faults(connection), "none breaks a constraint of its table")
    yield judged("runs", lambda: _open_runs(connection), "at most one has not ended")
    try:
        facts = _read(connection)
    except (sqlite3.Error, TypeError, ValueError) as error:
        yield Finding("facts", Result.FAILED, f"cannot be read: {error}")
        return
    spells, stretches, names = facts.spells, facts.stretches, facts.names
    checks: tuple[tuple[str, Callable[[], Iterable[str]], str], ...] = (
        (
            "coverage",
            lambda: stretch_faults(stretches),
            counted(len(stretches), "stretch", "stretches") + ", none overlaps another",
        ),
        ("tracking", lambda: spell_faults(spells, names), counted(len(spells), "spell") + ", none overlaps another"),
        (
            "tracking ends",
            lambda: tracking_faults(spells, stretches, facts.water_mark, names),
            "all of them begin and end with a poll",
        ),
        ("sources", lambda: source_faults(spells, stretches, names), "nobody is covered twice at the same time"),
        (
            "transitions",
            lambda: chain_faults(
                _transitions(connection, facts.transitions, progress), spells, facts.statuses, facts.water_mark, names
            ),
            counted(facts.transitions, "transition") + ", each comes out of the one before it",
        ),
    )
    for check in checks:
        yield judged(*check)
    if is_unfinished(connection):
        yield Finding("purge", Result.INFO, "one was interrupted: run it again to finish it")


def _open_runs(connection: sqlite3.Connection) -> Iterator[str]:
    (count,) = connection.execute("SELECT count(*) FROM run WHERE ended IS NULL").fetchone()
    if count > 1:
        yield f"{count} runs have not ended"


def _read(connection: sqlite3.Connection) -> _Facts:
    return _Facts(
        stretches=tuple(
            StretchRow(source, int(started), int(last), bool(is_open))
            for source, started, last, is_open in connection.execute(
                "SELECT source, started, last, end_reason IS NULL FROM coverage ORDER BY source, started"
            )
        ),
        spells=tuple(
            SpellRow(track, int(since), int(until), source)
            for track, since, until, source in connection.execute(
                "SELECT agent, tracked_from, coalesce(tracked_until, ?), source FROM tracking", (FOREVER,)
            )
        ),
        statuses=frozenset(status for (status,) in connection.execute("SELECT id FROM status")),
        names=Names(
            {
                track: (agent_id, lane)
                for track, agent_id, lane in connection.execute("SELECT id, agent_id, lane FROM agent")
            }
        ),
        water_mark=connection.execute("SELECT max(before) FROM purge").fetchone()[0],
        transitions=connection.execute("SELECT count(*) FROM transition").fetchone()[0],
    )


def _transitions(connection: sqlite3.Connection, total: int, progress: Progress) -> Iterator[TransitionRow]:
    progress.begin("Checking transitions", total)
    cursor = connection.execute("SELECT moment, to_status, from_status, uncertainty FROM transition ORDER BY moment")
    while rows := cursor.fetchmany(_AT_ONCE):
        progress.advance(len(rows))
        yield from rows
