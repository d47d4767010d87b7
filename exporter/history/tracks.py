"""What a fold of running totals begins with, read from the database: spells, coverage, and sums at a checkpoint."""

import json
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

from exporter.history.algebra import Piece
from exporter.history.facts import FOREVER, Spell
from exporter.history.running import Carried, Coverage, Row, Track
from exporter.history.schema import AGENT_BITS, AGENT_MASK
from exporter.history.sums import Sums, nothing, unpacked

BEGINNING: Final = -1
"""In the place of a checkpoint: before the first transition."""

_START: Final = attrgetter("start")
_SPELLS: Final = """
SELECT agent, tracked_from, coalesce(tracked_until, :forever), coalesce(until_sent, tracked_until, :forever), source
FROM tracking ORDER BY agent, tracked_from
"""
_PIECES: Final = """
SELECT source, coalesce(begun, started), last, last_sent FROM coverage
WHERE last >= ? AND last > coalesce(begun, started) ORDER BY source, started
"""
_LATEST: Final = "SELECT coalesce(max(taken), -1) FROM checkpoint WHERE taken <= ?"
_FIRST_AFTER: Final = "SELECT min(taken) FROM checkpoint WHERE taken > ?"
_CARRIED: Final = """
SELECT transition.moment, to_status, from_status, coalesce(uncertainty, 1)
FROM carried CROSS JOIN transition ON transition.moment = carried.moment WHERE taken = ?
"""
_SUMS: Final = "SELECT agent, sums FROM total WHERE taken = ?"
_SUMS_OF_SOME: Final = """
SELECT agent, sums FROM total WHERE taken = ? AND agent IN (SELECT value FROM json_each(?))
"""
_ROWS: Final = """
SELECT moment, to_status, coalesce(uncertainty, 1) FROM transition
WHERE moment >= ? AND moment < ? ORDER BY moment
"""
_ROWS_OF_SOME: Final = """
SELECT moment, to_status, coalesce(uncertainty, 1) FROM transition
WHERE moment >= ? AND moment < ? AND agent IN (SELECT value FROM json_each(?)) ORDER BY moment
"""
_REACHING_BACK: Final = """
SELECT moment, to_status, uncertainty FROM transition
WHERE moment >= ? AND moment < ? AND seen - uncertainty < ? ORDER BY moment
"""
_CUT_BY_A_PURGE: Final = """
SELECT agent, min(moment), from_status FROM transition
WHERE moment < (SELECT max(before) + 1 FROM purge) << 20 GROUP BY agent
"""
"""The first transitions of tracks that may have lost earlier ones. (SQLite takes the bare column from that row.)"""
_LATEST_MOMENT: Final = (1 << 63) - 1


def latest_checkpoint(connection: sqlite3.Connection, at: int) -> int:
    """When the latest checkpoint up to the instant was taken; BEGINNING if there is none."""
    (taken,) = connection.execute(_LATEST, (at,)).fetchone()
    return int(taken)


def read_spells(connection: sqlite3.Connection) -> dict[int, list[Spell]]:
    """The spells of tracking of every track, in order of time, without their changes."""
    spells: defaultdict[int, list[Spell]] = defaultdict(list)
    for track, start, end, end_not_before, source in connection.execute(_SPELLS, {"forever": FOREVER}):
        spells[track].append(Spell(start, end, end_not_before, source, ()))
    return dict(spells)


def read_coverage(connection: sqlite3.Connection, since: int = BEGINNING) -> dict[int, Coverage]:
    """What each source covered: all that did not end before `since`."""
    pieces: defaultdict[int, list[Piece]] = defaultdict(list)
    for source, start, end, end_not_before in connection.execute(_PIECES, (since,)):
        pieces[source].append(Piece(start, end, max(start, end_not_before)))
    return {source: Coverage(of_source) for source, of_source in pieces.items()}


def rows_between(
    connection: sqlite3.Connection, first: int, until: int, some: Sequence[int] | None = None
) -> Iterator[Row]:
    """The transitions seen in [first, until), in order; of the tracks `some`, if that is given."""
    keys = _moment(first), _moment(until)
    if some is None:
        return connection.execute(_ROWS, keys)
    return connection.execute(_ROWS_OF_SOME, (*keys, json.dumps(some)))


def rows_reaching_back(connection: sqlite3.Connection, at: int, seen_until: int) -> Iterator[Row]:
    """The transitions seen in (at, seen_until) that may have happened before `at`, in order."""
    return connection.execute(_REACHING_BACK, (_moment(at + 1), _moment(seen_until), at))


def _moment(at: int) -> int:
    return min(at << AGENT_BITS, _LATEST_MOMENT)


def begin(
    connection: sqlite3.Connection,
    at: int,
    spells: Mapping[int, Sequence[Spell]],
    covered: Mapping[int, Coverage],
    some: Sequence[int] | None = None,
) -> dict[int, Track]:
    """The tracks as they were at the checkpoint `at` (or BEGINNING).

    `spells` has all spells of each track that is wanted: of most tracks of the file, or of `some`. `covered` must
    reach back to the checkpoint.
    """
    into = {} if at == BEGINNING else _carried(connection, at)
    sums = _sums(connection, at, spells, some)
    tracks = {
        track: Track(
            track,
            of_track if of_track[0].end >= at else [spell for spell in of_track if spell.end >= at],
            covered,
            sums[track] if track in sums else nothing(),
            at,
            into.get(track),
        )
        for track, of_track in spells.items()
    }
    if at == BEGINNING:
        for id_, _, status in connection.execute(_CUT_BY_A_PURGE):
            if status is not None and id_ in tracks:
                tracks[id_].come_out_of(status)
    return tracks


def _carried(connection: sqlite3.Connection, at: int) -> dict[int, Carried]:
    return {row[0] & AGENT_MASK: row for row in connection.execute(_CARRIED, (at,))}


def _sums(
    connection: sqlite3.Connection, at: int, spells: Mapping[int, Sequence[Spell]], some: Sequence[int] | None
) -> dict[int, Sums]:
    """What each track had summed up to until `at`: it is stored there, or else where its latest spell had just ended.

    A checkpoint holds the tracks that were tracked at some instant since the one before it.
    """
    if at == BEGINNING:
        return {}
    at_base: defaultdict[int, list[int]] = defaultdict(list)
    for track, of_track in spells.items():
        begun = bisect_right(of_track, at, key=_START)
        if begun:
            ended = of_track[begun - 1].end
            at_base[at if ended >= at else connection.execute(_FIRST_AFTER, (ended,)).fetchone()[0]].append(track)
    sums: dict[int, Sums] = {}
    for base, tracks in at_base.items():
        if base == at and some is None:
            rows = connection.execute(_SUMS, (base,))
        else:
            rows = connection.execute(_SUMS_OF_SOME, (base, json.dumps(tracks)))
        sums |= {track: unpacked(stored) for track, stored in rows}
    return sums
