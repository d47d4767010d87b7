"""Puts the facts of a staged database into the history, in one transaction, so that nothing known is lost.

The rules, all of them checked before anything is written:

* What a source covers of an agent, no other source covers: the staged time must be disjoint from what is there.
* Nothing may come from before the water-mark, or a purge would be undone.
* The recorder may go on with its latest stretch for as long as the gap limit allows; that time is its own.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from exporter.history.checkpoints import rebuild_derived
from exporter.history.connection import transaction
from exporter.history.facts import Period
from exporter.history.runs import RunInfo, begin_run, end_crashed_run, end_run
from exporter.history.schema import RECORDER
from exporter.history.transfer import copy
from exporter.history.transfer.errors import ImportRefused
from exporter.history.transfer.incoming import FileKind
from exporter.history.transfer.periods import by_agent, earliest_overlap
from exporter.history.transfer.progress import Progress
from exporter.history.transfer.settle import settle
from exporter.history.transfer.staged_facts import read_spells, read_stretches
from exporter.model import EndReason

INCIDENT: Final = "import"
"""The kind of the incident that each import notes."""

_FACTS: Final = ("coverage", "tracking", "transition", "agent", "agent_version", "purge")
_EARLIEST: Final = """
SELECT min(at) FROM (
    SELECT min(started) AS at FROM staged.coverage UNION ALL SELECT min(tracked_from) FROM staged.tracking
    UNION ALL SELECT min(seen) FROM staged.transition
)
"""
_RECORDERS_LATEST: Final = "SELECT last, gap_limit_ms FROM coverage WHERE source = 0 ORDER BY started DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where staged facts come from, and who brings them."""

    kind: FileKind
    file: str
    """The file's name, without the folder."""
    sha256: str
    run: RunInfo
    """The import itself; it began at `run.started`, ms."""


class Merged(NamedTuple):
    """What has come into the history."""

    agents: int
    transitions: int
    since: int | None
    """When the first covered time begins; None if there is none."""
    until: int | None
    restored: bool
    """The history held nothing before, and is now as the one that was exported."""


def already_imported(connection: sqlite3.Connection, sha256: str) -> int | None:
    """When a file of these bytes was imported, ms; None if it was not."""
    (at,) = connection.execute(
        "SELECT min(at) FROM ("
        "SELECT imported AS at FROM source WHERE sha256 = ?1"
        " UNION ALL SELECT at FROM incident WHERE kind = ?2 AND instr(detail, ?1))",
        (sha256, INCIDENT),
    ).fetchone()
    return None if at is None else int(at)


def merge(
    connection: sqlite3.Connection, provenance: Provenance, progress: Progress, iso: Callable[[int], str]
) -> Merged:
    """Add the facts of the database that is attached as `staged` to the one that is `main`, or nothing of them.

    `connection` writes the history, under the writer's lock and outside a transaction; `iso` writes instants. Raises
    ImportRefused if a rule forbids it, sqlite3.Error if it cannot be written: then all is as it was.
    """
    with transaction(connection):
        return _merge(connection, provenance, progress, iso)


def _merge(
    connection: sqlite3.Connection, provenance: Provenance, progress: Progress, iso: Callable[[int], str]
) -> Merged:
    end_crashed_run(connection)  # whoever holds the lock knows that nobody else is writing
    restores = provenance.kind is FileKind.EXPORT and _holds_no_facts(connection)
    if not restores:
        settle(connection)
        _refuse_before_water_mark(connection, iso)
        _refuse_overlap(connection, provenance.run.started, iso)
    if provenance.kind is FileKind.EXPORT:
        _copy_export(connection, provenance, progress, restores=restores)
        run = begin_run(connection, provenance.run)
    else:
        run = begin_run(connection, provenance.run)
        copy.add(connection, _origin(provenance, run), progress)
    merged = _counted(connection, restored=restores)
    connection.execute(
        "INSERT INTO incident (at, kind, detail, run) VALUES (?, ?, ?, ?)",
        (provenance.run.started, INCIDENT, _detail(provenance, merged), run),
    )
    end_run(connection, run, provenance.run.started, EndReason.SHUTDOWN, EndReason.SHUTDOWN)
    _rebuild_derived(connection, progress)
    return merged


def _rebuild_derived(connection: sqlite3.Connection, progress: Progress) -> None:
    (transitions,) = connection.execute("SELECT count(*) FROM main.transition").fetchone()
    progress.begin("Adding up", transitions)
    done = 0

    def advanced(number: int, _: int) -> None:
        nonlocal done
        progress.advance(number - done)
        done = number

    rebuild_derived(connection, advanced=advanced)


def _copy_export(connection: sqlite3.Connection, provenance: Provenance, progress: Progress, *, restores: bool) -> None:
    if restores:
        copy.restore(connection, progress)
    else:
        copy.add(connection, _origin(provenance, None), progress)


def _origin(provenance: Provenance, run: int | None) -> copy.Origin:
    imported, program = provenance.run.started, provenance.run.version
    return copy.Origin(provenance.file, provenance.sha256, imported, program, run)


def _holds_no_facts(connection: sqlite3.Connection) -> bool:
    found = [connection.execute(f"SELECT 1 FROM main.{table} LIMIT 1").fetchone() for table in _FACTS]  # noqa: S608 - ours
    imports = connection.execute("SELECT 1 FROM main.source WHERE id <> 0").fetchone()
    return not any(found) and imports is None


def _refuse_before_water_mark(connection: sqlite3.Connection, iso: Callable[[int], str]) -> None:
    (water_mark,) = connection.execute("SELECT max(before) FROM main.purge").fetchone()
    (earliest,) = connection.execute(_EARLIEST).fetchone()
    if water_mark is not None and earliest is not None and earliest < water_mark:
        raise ImportRefused(
            f"the file tells of {iso(earliest)}, and everything before {iso(water_mark)} was purged from this history:"
            " nothing is imported; leave out of the file what is older"
        )


def _refuse_overlap(connection: sqlite3.Connection, now: int, iso: Callable[[int], str]) -> None:
    stretches = read_stretches(connection, "main")
    latest = connection.execute(_RECORDERS_LATEST).fetchone()
    if latest is not None and now - latest[0] <= latest[1]:
        own = stretches[RECORDER]
        own[-1] = Period(own[-1].start, latest[0] + latest[1])
    overlap = earliest_overlap(
        by_agent(read_spells(connection, "staged")),
        read_stretches(connection, "staged"),
        by_agent(read_spells(connection, "main")),
        stretches,
    )
    if overlap is not None:
        raise ImportRefused(
            f"agent {overlap.agent_id} is known from {iso(overlap.start)} to {iso(overlap.end)} already: nothing is"
            " imported; leave that time of the agent out of the file, or import into another database with --db"
        )


def _counted(connection: sqlite3.Connection, *, restored: bool) -> Merged:
    (agents,) = connection.execute("SELECT count(DISTINCT agent_id) FROM staged.agent").fetchone()
    (transitions,) = connection.execute("SELECT count(*) FROM staged.transition").fetchone()
    since, until = connection.execute("SELECT min(started), max(last) FROM staged.coverage").fetchone()
    return Merged(agents, transitions, since, until, restored)


def _detail(provenance: Provenance, merged: Merged) -> str:
    how = "restored from" if merged.restored else "imported"
    return (
        f"{how} the {provenance.kind.value} {provenance.file} (sha256 {provenance.sha256}):"
        f" {merged.agents} agents, {merged.transitions} transitions"
    )
