"""Reads the history database for reports: read-only, without the writer's lock, while `serve` goes on writing.

Only SQLite itself opens the file. (A plain open and close of it would drop the locks of a writer in this process.)
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from exporter.errors import DatabaseError
from exporter.history.facts import (
    FOREVER,
    AgentFacts,
    Change,
    Description,
    HistoryFacts,
    RecordedStretch,
    Source,
    Spell,
)
from exporter.history.filters import EVERYBODY, Selection, select
from exporter.history.ids import statuses
from exporter.history.looking_back import to_look_back_at
from exporter.history.reading import (
    connect_read_only,
    explaining_reading,
    fingerprint_at_rest,
    held_still,
    read_transaction,
    readable_file,
)
from exporter.history.schema import AGENT_BITS, AGENT_MASK, EXACT, STATE_AT
from exporter.history.totals_reader import with_totals
from exporter.history.window import Window, after_water_mark
from exporter.model import EndReason, Kind, Status, Stretch

_LATEST: Final = (1 << 63 - AGENT_BITS) - 2
"""The latest instant that a transition can have."""

_AGENTS: Final = "SELECT id, agent_id FROM agent ORDER BY lane, id"
_VERSIONS: Final = """
SELECT agent_id, valid_from, name, team FROM agent_version JOIN agent ON agent.id = agent_version.agent
ORDER BY valid_from, lane
"""
_TRACKING: Final = """
SELECT agent, tracked_from, coalesce(tracked_until, :forever),
    coalesce(until_sent, tracked_until, :forever), source
FROM tracking
WHERE tracked_from < :until AND (tracked_until IS NULL OR tracked_until >= :since)
ORDER BY agent, tracked_from
"""
_SOURCES: Final = "SELECT id, kind = 'log', file FROM source ORDER BY id"
_STRETCHES: Final = """
SELECT first_sent, coalesce(begun, started), last_sent, last, polls, interval_ms, gap_limit_ms, end_reason
FROM coverage WHERE source = :source AND started <= :until AND started >= coalesce(
    (SELECT max(started) FROM coverage WHERE source = :source AND started < :since), :since)
ORDER BY started
"""
_LATEST_RUN: Final = "SELECT end_reason FROM run ORDER BY id DESC LIMIT 1"
_WATER_MARK: Final = "SELECT max(before) FROM purge"
_TRANSITIONS: Final = """
SELECT moment, to_status, from_status, uncertainty FROM transition
WHERE moment >= :first AND moment < :behind ORDER BY moment
"""
_TRANSITIONS_OF_SOME: Final = """
SELECT moment, to_status, from_status, uncertainty FROM transition
WHERE moment >= :first AND moment < :behind AND agent IN (SELECT value FROM json_each(:agents)) ORDER BY moment
"""
_NEXT: Final = """
SELECT moment, to_status, from_status, uncertainty FROM transition
WHERE moment >= :first AND agent IN (SELECT value FROM json_each(:agents)) ORDER BY moment
"""


class HistoryReader:
    """A read-only view of a history database; use it on the thread that opened it."""

    def __init__(self, path: Path) -> None:
        """Use `HistoryReader.open` instead."""
        self._path = path
        self._at_rest = fingerprint_at_rest(path)
        self._connection = connect_read_only(path, immutable=self._at_rest is not None)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["HistoryReader"]:
        """The reader of the database at `path`, until the block ends.

        Raises DatabaseError, naming the file and what to do, if there is none, it cannot be read, is no history
        database, or was made by another version of this program.
        """
        reader = cls(readable_file(path))
        try:
            yield reader
        finally:
            reader._connection.close()

    def facts(
        self,
        window: Window,
        selection: Selection = EVERYBODY,
        *,
        whole_stays: bool = False,
        back_to_changes: bool = False,
    ) -> HistoryFacts:
        """All that reports on `window` need of the agents of `selection`, as of one instant: a poll is in it whole or
        not at all.

        Reads what lies in the window and what is carried into it, not what came before; with `whole_stays` also what
        tells when the stays end that reach beyond it, and with `back_to_changes` what all sources told since the change
        that is carried in, of those of whom another source told something since. A window that begins before the
        water-mark is cut to what is left. Raises UsageError for a selection that matches nobody, DatabaseError if the
        file cannot be read.
        """

        def read() -> HistoryFacts:
            facts = _Reading(self._connection, window).facts(selection, whole_stays=whole_stays)
            return _with_changes_before(self._connection, facts) if back_to_changes else facts

        return self._consistent(read)

    def totals(self, window: Window, now: int, selection: Selection = EVERYBODY) -> HistoryFacts:
        """As `facts`, but agents have the totals of exactly this window in place of changes: what `algebra.totals` adds
        up by the default rules, `now` (ms) deciding how far the latest stretch goes on.

        The cost is a matter of the number of agents, not of the length of the window.
        """
        return self._consistent(
            lambda: with_totals(
                self._connection, _Reading(self._connection, window, with_changes=False).facts(selection), now
            )
        )

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """`one_instant`, for who reads the tables themselves; nothing may be written with the connection."""
        with explaining_reading(self._path), self.one_instant():
            yield self._connection

    @contextmanager
    def one_instant(self) -> Iterator[None]:
        """What this reader reads inside the block is of one instant, that of the first reading; it may be nested.

        Raises DatabaseError if the file cannot be read, at the end also if it did not hold still.
        """
        with read_transaction(self._connection):
            self._read(lambda: self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone())
            yield
        held_still(self._path, self._at_rest)

    def _consistent(self, read: Callable[[], HistoryFacts]) -> HistoryFacts:
        """What `read` finds in one read transaction; once more if the file turns out not to have been at rest."""
        if self._at_rest is not None and not self._connection.in_transaction:
            with suppress(DatabaseError):
                facts = self._read(read)
                held_still(self._path, self._at_rest)
                return facts
            self._at_rest = None
            self._connection.close()
            self._connection = connect_read_only(self._path, immutable=False)
        return self._read(read)

    def _read(self, read: Callable[[], HistoryFacts]) -> HistoryFacts:
        with explaining_reading(self._path), read_transaction(self._connection):
            return read()


class _Reading:
    """One reading of one window inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, window: Window, *, with_changes: bool = True) -> None:
        self._connection = connection
        self._with_changes = with_changes
        self._water_mark = connection.execute(_WATER_MARK).fetchone()[0]
        self._window = window = after_water_mark(window, self._water_mark)
        self._range = {"since": window.since, "until": window.until, "forever": FOREVER}
        self._statuses = statuses(connection)

    def facts(self, selection: Selection, *, whole_stays: bool = False) -> HistoryFacts:
        run = self._connection.execute(_LATEST_RUN).fetchone()
        sources = self.sources()
        return HistoryFacts(
            window=self._window,
            agents=self._agents(sources, selection, whole_stays=whole_stays),
            sources=sources,
            run_open=run is not None and run[0] is None,
            water_mark=self._water_mark,
            words=frozenset(s.word for s in self._statuses.values() if s.kind is Kind.REPORTED),
        )

    def sources(self) -> tuple[Source, ...]:
        run = self._connection.execute(_LATEST_RUN).fetchone()
        run_ended = EndReason(run[0]) if run is not None and run[0] is not None else None
        return tuple(
            Source(id_, self._stretches(id_, run_ended), bool(exact), name)
            for id_, exact, name in self._connection.execute(_SOURCES).fetchall()
        )

    def spells(self, sources: tuple[Source, ...], tracks: Mapping[str, list[int]]) -> dict[str, tuple[Spell, ...]]:
        """The spells of these agents, of whom the tracks are given."""
        found = self._spells(sources, {track for mine in tracks.values() for track in mine}, whole_stays=False)
        return {agent_id: _together(mine, found) for agent_id, mine in tracks.items()}

    def _stretches(self, source: int, run_ended: EndReason | None) -> tuple[RecordedStretch, ...]:
        """Those of the window and the latest before it; one that still goes on ended with its run if that is over."""
        return tuple(
            RecordedStretch(Stretch(*row[:-1]), EndReason(row[-1]) if row[-1] is not None else run_ended)
            for row in self._connection.execute(_STRETCHES, self._range | {"source": source})
        )

    def _agents(
        self, sources: tuple[Source, ...], selection: Selection, *, whole_stays: bool
    ) -> tuple[AgentFacts, ...]:
        tracks: defaultdict[str, list[int]] = defaultdict(list)
        for track, agent_id in self._connection.execute(_AGENTS):
            tracks[agent_id].append(track)
        descriptions: defaultdict[str, list[Description]] = defaultdict(list)
        for agent_id, valid_from, name, team in self._connection.execute(_VERSIONS):
            descriptions[agent_id].append(Description(valid_from, name, team))
        chosen = select(
            tuple(AgentFacts(agent_id, tuple(descriptions.get(agent_id, ())), ()) for agent_id in tracks), selection
        )
        some = None if selection == EVERYBODY else {track for agent in chosen for track in tracks[agent.agent_id]}
        spells = self._spells(sources, some, whole_stays=whole_stays)
        return tuple(
            AgentFacts(agent.agent_id, agent.descriptions, _together(tracks[agent.agent_id], spells), agent.selected)
            for agent in chosen
        )

    def _spells(
        self, sources: tuple[Source, ...], some: set[int] | None, *, whole_stays: bool
    ) -> dict[int, list[Spell]]:
        """By track: the spells that meet the window, with their changes; `some`: of these tracks only."""
        found: defaultdict[int, list[Spell]] = defaultdict(list)
        for track, start, end, end_not_before, source in self._connection.execute(_TRACKING, self._range):
            if some is None or track in some:
                found[track].append(Spell(start, end, end_not_before, source, ()))
        if not self._with_changes:
            return found
        changes = self._changes(found, sources, some)
        if whole_stays:
            self._add_ends(found, sources, changes)
        for track, spells in found.items():
            mine = changes.get(track, [])
            found[track] = [
                spell._replace(changes=tuple(c for c in mine if spell.start <= c.seen <= spell.end))
                if len(spells) > 1
                else spell._replace(changes=tuple(mine))
                for spell in spells
            ]
        return found

    def _changes(
        self, spells: Mapping[int, list[Spell]], sources: tuple[Source, ...], some: set[int] | None
    ) -> dict[int, list[Change]]:
        """The transition carried into the window's start, those in it, and those seen late that may belong to it."""
        since, until = min(self._window.since, _LATEST), min(self._window.until, _LATEST)
        words, changes = self._statuses, defaultdict[int, list[Change]](list)
        for track, moment, to_status, from_status, uncertainty in self._connection.execute(STATE_AT, {"at": since}):
            seen = moment >> AGENT_BITS
            if seen == since or any(spell.start <= since < spell.end for spell in spells.get(track, ())):
                changes[track].append(_change(words, seen, to_status, from_status, uncertainty))
        behind = min(until + _look_ahead(sources, until), _LATEST)
        keys: dict[str, object] = {"first": (since + 1) << AGENT_BITS, "behind": behind << AGENT_BITS}
        if some is not None:
            keys["agents"] = json.dumps(sorted(some))
        sql = _TRANSITIONS if some is None else _TRANSITIONS_OF_SOME
        for moment, to_status, from_status, uncertainty in self._connection.execute(sql, keys):
            seen = moment >> AGENT_BITS
            if seen < until or (uncertainty is not None and seen - uncertainty < until):
                changes[moment & AGENT_MASK].append(_change(words, seen, to_status, from_status, uncertainty))
        return changes

    def _add_ends(
        self, spells: Mapping[int, list[Spell]], sources: tuple[Source, ...], changes: dict[int, list[Change]]
    ) -> None:
        """Add the change that ends the stay which each track is in at the end of the window, where it is covered."""
        until = min(self._window.until, _LATEST)
        covered_until = {
            source.id: max((s.stretch.last for s in source.stretches if s.stretch.started <= until), default=until)
            for source in sources
        }
        open_until = {
            track: min(spell.end, covered_until[spell.source])
            for track, of_track in spells.items()
            for spell in of_track
            if spell.start <= until < min(spell.end, covered_until[spell.source])
            and not (changes.get(track) and changes[track][-1].seen >= until)
        }
        if not open_until:
            return
        last = max(open_until.values())
        keys = {"first": until << AGENT_BITS, "agents": json.dumps(sorted(open_until))}
        for moment, to_status, from_status, uncertainty in self._connection.execute(_NEXT, keys):
            seen, track = moment >> AGENT_BITS, moment & AGENT_MASK
            if seen > last or not open_until:
                return
            if seen <= open_until.pop(track, -1):
                changes[track].append(_change(self._statuses, seen, to_status, from_status, uncertainty))


def _with_changes_before(connection: sqlite3.Connection, facts: HistoryFacts) -> HistoryFacts:
    """See `HistoryReader.facts`. The second reading is of the few whom this concerns, and of all sources' coverage."""
    since, tracks = to_look_back_at(connection, facts)
    if not tracks:
        return facts
    reading = _Reading(connection, replace(facts.window, since=since))
    sources = reading.sources()
    spells = reading.spells(sources, tracks)
    return replace(
        facts,
        agents=tuple(replace(a, spells=spells.get(a.agent_id, a.spells)) for a in facts.agents),
        sources=sources,
    )


def _together(tracks: list[int], spells: Mapping[int, list[Spell]]) -> tuple[Spell, ...]:
    """The spells of all tracks of an agent, in order of their start."""
    if len(tracks) == 1:
        return tuple(spells.get(tracks[0], ()))
    return tuple(sorted(spell for track in tracks for spell in spells.get(track, ())))


def _change(
    words: dict[int, Status], seen: int, to_status: int, from_status: int | None, uncertainty: int | None
) -> Change:
    return Change(
        seen,
        seen - uncertainty + (uncertainty == EXACT) if uncertainty is not None else None,
        words[from_status] if from_status is not None else None,
        words[to_status],
    )


def _look_ahead(sources: tuple[Source, ...], until: int) -> int:
    """How long after `until` a change that may have happened before it can have been seen, in the same stretch.

    The poll that saw the old status was sent before `until`, so it was received less than a gap limit later, and the
    one that saw the new status at most another gap limit after it. The 1 is for the end that does not belong to it.
    """
    return max(
        (2 * s.stretch.gap_limit_ms + 1 for source in sources for s in source.stretches if s.stretch.last >= until),
        default=0,
    )
