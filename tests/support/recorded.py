"""What a history database holds, read with nothing but sqlite3, and the laws that it must obey at every moment."""

import itertools
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Recorded(NamedTuple):
    """A transition; statuses as (kind, word), times in ms."""

    agent_id: str
    before: tuple[int, str] | None
    after: tuple[int, str]
    not_before: int | None
    seen: int


class Spell(NamedTuple):
    """When an agent was tracked; None: it still is."""

    start: int
    until: int | None


class StretchRow(NamedTuple):
    first_sent: int
    started: int
    last_sent: int
    last: int
    polls: int
    gap_limit: int
    end_reason: str | None


class RunRow(NamedTuple):
    started: int
    ended: int | None
    end_reason: str | None
    pid: int


@dataclass(frozen=True, slots=True)
class Database:
    """All facts of a file, in the order in which they were recorded."""

    runs: Sequence[RunRow]
    stretches: Sequence[StretchRow]
    spells: dict[str, list[Spell]]
    transitions: Sequence[Recorded]

    def of_agents(self) -> dict[str, list[Recorded]]:
        """The transitions of each agent, in order of time."""
        found: defaultdict[str, list[Recorded]] = defaultdict(list)
        for transition in self.transitions:
            found[transition.agent_id].append(transition)
        return dict(found)

    def status_at_last_poll(self) -> dict[str, str]:
        """The word that each agent who is tracked was recorded with by the latest poll."""
        return {
            agent_id: transitions[-1].after[1]
            for agent_id, transitions in self.of_agents().items()
            if self.spells[agent_id][-1].until is None
        }


def read_database(path: Path) -> Database:
    """Everything, as of one instant, after SQLite has found nothing wrong with the file."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        _check_checkpoints(connection)
        spells: defaultdict[str, list[Spell]] = defaultdict(list)
        for agent_id, start, until in connection.execute(
            "SELECT agent_id, tracked_from, tracked_until FROM tracking JOIN agent ON agent.id = tracking.agent"
            " ORDER BY tracked_from"
        ):
            spells[agent_id].append(Spell(start, until))
        return Database(
            [RunRow(*row) for row in connection.execute("SELECT started, ended, end_reason, pid FROM run ORDER BY id")],
            [
                StretchRow(*row)
                for row in connection.execute(
                    "SELECT first_sent, started, last_sent, last, polls, gap_limit_ms, end_reason"
                    " FROM coverage ORDER BY id"
                )
            ],
            dict(spells),
            [
                Recorded(agent_id, None if word is None else (kind, word), (to_kind, to_word), not_before, seen)
                for agent_id, kind, word, to_kind, to_word, not_before, seen in connection.execute(
                    "SELECT agent_id, before.kind, before.word, after.kind, after.word, seen - uncertainty, seen"
                    " FROM transition JOIN agent ON agent.id = transition.agent"
                    " JOIN status AS after ON after.id = to_status"
                    " LEFT JOIN status AS before ON before.id = from_status"
                    " ORDER BY moment"
                )
            ],
        )


def check_laws(database: Database) -> None:
    """The invariants of a history that hold whatever happened to the process that wrote it."""
    _check_stretches(database)
    assert all(run.end_reason is not None for run in database.runs[:-1]), "an earlier run has no end"
    for agent_id, transitions in database.of_agents().items():
        _check_spells(database.spells[agent_id], transitions)
    assert set(database.spells) == set(database.of_agents()), "tracked without a first observation"
    for transition in database.transitions:
        assert any(s.started <= transition.seen <= s.last for s in database.stretches), (
            f"outside coverage: {transition}"
        )


def _check_stretches(database: Database) -> None:
    for earlier, later in itertools.pairwise(database.stretches):
        assert earlier.end_reason is not None, f"a stretch goes on though another has begun: {earlier}"
        assert earlier.last < later.started, f"stretches overlap: {earlier}, {later}"
    for stretch in database.stretches:
        assert stretch.last - stretch.started <= (stretch.polls - 1) * stretch.gap_limit, f"too few polls: {stretch}"


def _check_spells(spells: Sequence[Spell], transitions: Sequence[Recorded]) -> None:
    """Each transition belongs to one spell; in a spell each begins where the one before it led to."""
    for earlier, later in itertools.pairwise(spells):
        assert earlier.until is not None, f"two spells at once: {earlier}, {later}"
        assert earlier.until < later.start, f"spells overlap: {earlier}, {later}"
    rest = list(transitions)
    for spell in spells:
        inside = [t for t in rest if spell.start <= t.seen and (spell.until is None or t.seen <= spell.until)]
        rest = [t for t in rest if t not in inside]
        first = inside[0]
        assert (first.before, first.not_before, first.seen) == (None, None, spell.start), f"first of a spell: {first}"
        for before, after in itertools.pairwise(inside):
            assert after.before == before.after, f"the chain is broken: {before}, {after}"
            assert after.before != after.after
            assert before.seen < after.seen
            assert after.not_before is not None
            assert after.not_before < after.seen
    assert not rest, f"recorded while not tracked: {rest}"


def _check_checkpoints(connection: sqlite3.Connection) -> None:
    """Each checkpoint is what its facts say: how many there were, and which one each agent tracked was in."""
    for taken, transitions in connection.execute("SELECT taken, transitions FROM checkpoint").fetchall():
        counted = connection.execute("SELECT count(*) FROM transition WHERE seen <= ?", (taken,)).fetchone()
        assert counted == (transitions,)
        carried = connection.execute("SELECT moment FROM carried WHERE taken = ? ORDER BY moment", (taken,)).fetchall()
        wanted = connection.execute(
            "SELECT max(moment) FROM transition JOIN tracking USING (agent)"
            " WHERE seen <= :taken AND tracked_from <= :taken AND (tracked_until IS NULL OR tracked_until >= :taken)"
            " GROUP BY agent ORDER BY 1",
            {"taken": taken},
        ).fetchall()
        assert carried == wanted
