"""Checkpoints: which status each track was in at an instant, and its running totals until then. Derived from the facts.

They may be dropped and made anew at any time, which changes no report, only what it costs. What the numbers mean says
`exporter.history.running`.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.history.connection import transaction
from exporter.history.facts import FOREVER, Spell
from exporter.history.running import NO_MOMENT, Track, fold
from exporter.history.schema import AGENT_BITS, AGENT_MASK, CHECKPOINT_EVERY, CHECKPOINT_LEAST
from exporter.history.sums import difference, nothing, packed, unpacked
from exporter.history.tracks import BEGINNING, begin, latest_checkpoint, read_coverage, read_spells, rows_between
from exporter.history.window import iso_text

_CHECKPOINT: Final = "INSERT INTO checkpoint (taken, transitions) VALUES (?, ?)"
_CARRIED: Final = "INSERT INTO carried (taken, moment) VALUES (?, ?)"
_TOTAL: Final = "INSERT INTO total (taken, agent, sums) VALUES (?, ?, ?)"
_COUNT: Final = "SELECT count(*) FROM transition WHERE moment >= ? AND moment < ?"
_NTH: Final = "SELECT moment FROM transition WHERE moment >= ? AND moment < ? ORDER BY moment LIMIT 1 OFFSET ?"
_LATEST_MOMENT: Final = (1 << 63) - 1


Advanced = Callable[[int, int], None]
"""Told now and then how many transitions are behind, and how many there are."""


def _unseen(done: int, of: int) -> None:
    """Progress that nobody looks at."""


class Checkpoint(NamedTuple):
    """All that is stored of one checkpoint."""

    taken: int
    transitions: int
    carried: list[int]
    totals: dict[int, bytes]
    """By track: its sums, packed."""


def checkpoint_after(tracks: int) -> int:
    """After how many transitions a checkpoint is due while so many tracks are tracked."""
    return max(CHECKPOINT_LEAST, CHECKPOINT_EVERY * tracks)


def write_checkpoint(connection: sqlite3.Connection, taken: int) -> None:
    """Write the checkpoint at `taken`, which is later than the latest one, from that one and what was seen since.

    `taken` is when a transition was seen; everything seen until then is in the file, in the transaction that is open.
    """
    before = latest_checkpoint(connection, taken)
    _, transitions = connection.execute("SELECT * FROM checkpoint WHERE taken = ?", (before,)).fetchone() or (0, 0)
    spells = {
        track: of_track
        for track, of_track in read_spells(connection).items()
        if of_track[-1].end >= before and of_track[0].start <= taken
    }
    tracks = begin(connection, before, spells, read_coverage(connection, before))
    _store(connection, _Replay(connection, tracks, before + 1, transitions).go_to(taken))


def rebuild_derived(
    connection: sqlite3.Connection,
    *,
    advanced: Advanced = _unseen,
    after: Callable[[int], int] = checkpoint_after,
) -> None:
    """Make all checkpoints anew from the facts: in the transaction that is open, or else in one of its own.

    They are at the instants where a writer would have put them: with the poll that makes `after` (of the number of
    tracks then tracked) transitions. Interrupted, it leaves what was there. Raises sqlite3.Error.
    """
    with nullcontext() if connection.in_transaction else transaction(connection):
        for table in ("total", "carried", "checkpoint"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the three names stand above
        replay = _replay(connection)
        (whole,) = connection.execute("SELECT count(*) FROM transition").fetchone()
        for taken in _due(connection, after):
            advanced(replay.transitions, whole)
            _store(connection, replay.go_to(taken))
        advanced(whole, whole)


def are_missing(connection: sqlite3.Connection, after: Callable[[int], int] = checkpoint_after) -> bool:
    """Whether there is no checkpoint though one has surely been due: in a file of version 1, or when a purge was cut
    short."""
    (found,) = connection.execute("SELECT EXISTS (SELECT * FROM checkpoint)").fetchone()
    if found:
        return False
    (tracks,) = connection.execute("SELECT count(*) FROM agent").fetchone()
    return connection.execute(_NTH, (0, _LATEST_MOMENT, after(tracks) - 1)).fetchone() is not None


def compare_derived(connection: sqlite3.Connection, *, advanced: Advanced = _unseen) -> Iterator[str]:
    """What is stored at checkpoints and is not what the facts say: a sentence for each number that is wrong.

    The caller holds a transaction, so that facts and checkpoints are those of one instant. Raises sqlite3.Error.
    """
    replay = _replay(connection)
    (whole,) = connection.execute("SELECT count(*) FROM transition").fetchone()
    names = {
        track: f"agent {agent_id}" + (f" in lane {lane}" if lane else "")
        for track, agent_id, lane in connection.execute("SELECT id, agent_id, lane FROM agent")
    }
    for (taken,) in connection.execute("SELECT taken FROM checkpoint ORDER BY taken").fetchall():
        advanced(replay.transitions, whole)
        yield from _differences(_stored(connection, taken), replay.go_to(taken), names)
    advanced(whole, whole)


class _Replay:
    """The facts in order of time, from one checkpoint to the next."""

    def __init__(
        self, connection: sqlite3.Connection, tracks: Mapping[int, Track], position: int, transitions: int
    ) -> None:
        self._connection = connection
        self._tracks = tracks
        self._position = position
        self.transitions = transitions
        """How many lie behind."""

    def go_to(self, taken: int) -> Checkpoint:
        """The checkpoint at `taken`, which is later than the one before."""
        first, until = self._position, taken + 1
        fold(self._tracks, rows_between(self._connection, first, until))
        (count,) = self._connection.execute(_COUNT, (first << AGENT_BITS, until << AGENT_BITS)).fetchone()
        self.transitions += count
        self._position = until
        carried: list[int] = []
        totals: dict[int, bytes] = {}
        for id_, track in sorted(self._tracks.items()):
            if track.moment == NO_MOMENT or not (track.tracked or track.moment >> AGENT_BITS >= first):
                continue
            track.settle(taken)
            track.tracked = track.is_tracked(taken)
            if track.tracked:
                carried.append(track.moment)
            totals[id_] = packed(track.sums)
        return Checkpoint(taken, self.transitions, sorted(carried), totals)


def _replay(connection: sqlite3.Connection) -> _Replay:
    tracks = begin(connection, BEGINNING, read_spells(connection), read_coverage(connection))
    return _Replay(connection, tracks, 0, 0)


def _due(connection: sqlite3.Connection, after: Callable[[int], int]) -> Iterator[int]:
    """The instants of polls with which a checkpoint is due, in order."""
    position = since = 0
    for end, tracked in _tracked(read_spells(connection).values()):
        behind = min(end << AGENT_BITS, _LATEST_MOMENT)
        while position < behind:
            row = connection.execute(_NTH, (position, behind, max(0, after(tracked) - since - 1))).fetchone()
            if row is None:
                (count,) = connection.execute(_COUNT, (position, behind)).fetchone()
                since, position = since + count, behind
            else:
                taken = row[0] >> AGENT_BITS
                yield taken
                since, position = 0, (taken + 1) << AGENT_BITS


def _tracked(spells: Iterable[list[Spell]]) -> Iterator[tuple[int, int]]:
    """How many tracks are tracked, and until when (not included) that is so; to the end of time."""
    begins = sorted(spell.start for of_track in spells for spell in of_track)
    ends = sorted(spell.end + 1 for of_track in spells for spell in of_track if spell.end < FOREVER)
    for end in (*sorted({*begins, *ends}), FOREVER):
        yield end, bisect_left(begins, end) - bisect_left(ends, end)


def _store(connection: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    taken = checkpoint.taken
    connection.execute(_CHECKPOINT, (taken, checkpoint.transitions))
    connection.executemany(_CARRIED, [(taken, moment) for moment in checkpoint.carried])
    connection.executemany(_TOTAL, [(taken, track, sums) for track, sums in checkpoint.totals.items()])


def _stored(connection: sqlite3.Connection, taken: int) -> Checkpoint:
    (transitions,) = connection.execute("SELECT transitions FROM checkpoint WHERE taken = ?", (taken,)).fetchone()
    carried = connection.execute("SELECT moment FROM carried WHERE taken = ? ORDER BY moment", (taken,))
    totals = connection.execute("SELECT agent, sums FROM total WHERE taken = ?", (taken,))
    return Checkpoint(taken, transitions, [moment for (moment,) in carried], dict(totals.fetchall()))


def _differences(stored: Checkpoint, right: Checkpoint, names: Mapping[int, str]) -> Iterator[str]:
    at = f"the checkpoint of {iso_text(right.taken, ZoneInfo('UTC'))}"
    if stored.transitions != right.transitions:
        yield f"{at} counts {stored.transitions} transitions, the file holds {right.transitions} until then"
    wrong = {moment & AGENT_MASK for moment in {*stored.carried} ^ {*right.carried}}
    if wrong:
        yield f"{at} has the wrong latest transition of {', '.join(names.get(one, str(one)) for one in sorted(wrong))}"
    for track in sorted(stored.totals.keys() | right.totals.keys()):
        found, facts = stored.totals.get(track), right.totals.get(track)
        if found != facts:
            yield f"{at} says of {names.get(track, track)}: {_text(found)}; the facts say: {_text(facts)}"


def _text(sums: bytes | None) -> str:
    if sums is None:
        return "nothing"
    try:
        found = unpacked(sums)
    except ValueError as error:
        return str(error)
    figures = [
        f"status {status} {time} ms (at least {least}, at most {most}) in {stays} stays"
        for status, time, least, most, stays in difference(found, nothing())
    ]
    return ", ".join(figures) or "no time"
