"""Reads the totals of a window without reading the window: running totals at its end less those at its start.

The cost is that of two folds, each from the checkpoint before an edge up to it: a matter of the number of agents, not
of the length of the window nor of the age of the database.
"""

import sqlite3
from collections import defaultdict
from dataclasses import replace
from typing import Final

from exporter.history.algebra import covered_time
from exporter.history.facts import FOREVER, AgentFacts, HistoryFacts, RecordedStretch, Source, Total
from exporter.history.ids import statuses
from exporter.history.running import Coverage, Track, clip, fold, unknown_stays
from exporter.history.sums import difference
from exporter.history.tracks import begin, latest_checkpoint, read_spells, rows_between, rows_reaching_back
from exporter.model import UNKNOWN, AgentId, EndReason, Stretch

_STRETCHES: Final = """
SELECT first_sent, coalesce(begun, started), last_sent, last, polls, interval_ms, gap_limit_ms FROM coverage
WHERE source = :source AND last >= :since AND started < :until ORDER BY started
"""
_MOST: Final = 0.5
"""From which part of all tracks on it is cheaper to read the rows of everybody than to look for those of each."""
_OVER: Final = EndReason.POLL_FAILURE
"""For stretches that others follow upon: all that matters is that they are over."""


def with_totals(connection: sqlite3.Connection, facts: HistoryFacts, now: int) -> HistoryFacts:
    """`facts` with the totals of each agent in `facts.window` by the default rules, as `algebra.totals` would add them
    up from the changes: these are not read, and not needed.

    `facts` come from the same read transaction; `now` (ms) decides how far the latest stretch goes on. What agents are
    selected for, if not at all times, is not looked at. Raises sqlite3.Error.
    """
    totals = _Totals(connection, facts, now)
    return replace(facts, agents=tuple(totals.of(agent) for agent in facts.agents))


class _Totals:
    def __init__(self, connection: sqlite3.Connection, facts: HistoryFacts, now: int) -> None:
        self._connection = connection
        self._window = facts.window
        self._statuses = statuses(connection)
        wanted = {agent.agent_id for agent in facts.agents if agent.spells}
        everyone = connection.execute("SELECT id, agent_id FROM agent").fetchall()
        self._tracks = defaultdict[AgentId, list[int]](list)
        spells = read_spells(connection)
        for track, agent_id in everyone:
            if agent_id in wanted and track in spells:
                self._tracks[agent_id].append(track)
        self._spells = {track: spells[track] for of_agent in self._tracks.values() for track in of_agent}
        self._some = None if len(self._spells) > len(everyone) * _MOST else sorted(self._spells)
        bases = latest_checkpoint(connection, self._window.since), latest_checkpoint(connection, self._window.until)
        self._stretches = {source.id: self._with_earlier(source, bases[0]) for source in facts.sources}
        self._covered = covered_time(
            replace(facts, sources=tuple(replace(s, stretches=self._stretches[s.id]) for s in facts.sources)), now
        )
        self._sources = {source: Coverage(pieces) for source, pieces in self._covered.pieces.items()}
        self._before = self._fold(bases[0], self._window.since)
        self._after = self._fold(bases[1], self._window.until)

    def of(self, agent: AgentFacts) -> AgentFacts:
        """The agent with totals."""
        found: dict[int, Total] = {}
        for track in self._tracks.get(agent.agent_id, ()):
            self._add_up(self._before[track], self._after[track], found)
        totals = {self._statuses[status]: total for status, total in found.items()}
        unknown = self._tracked(agent) - sum([total.time for total in totals.values()])
        if unknown:
            stays = unknown_stays(agent.spells, self._sources, self._window.since, self._window.until)
            totals[UNKNOWN] = Total(unknown, unknown, unknown, stays)
        return AgentFacts(agent.agent_id, agent.descriptions, agent.spells, agent.selected, totals)

    def _tracked(self, agent: AgentFacts) -> int:
        """Milliseconds of the window in which the agent is tracked."""
        if len(agent.spells) == 1:
            start, end = agent.spells[0][:2]
            return max(0, min(end, self._window.until) - max(start, self._window.since))
        return sum(end - start for start, end in agent.scope(self._window))

    def _add_up(self, before: Track, after: Track, found: dict[int, Total]) -> None:
        """Add what came to the sums of one track of an agent between the edges of the window."""
        for status, time, least, most, stays in difference(after.sums, before.sums):
            total = found.get(status)
            if total is None:
                found[status] = Total(time, least, most, stays)
            else:
                total.time += time
                total.least += least
                total.most += most
                total.stays += stays
        provisional = self._provisional(after)
        if provisional is not None and provisional in found:
            found[provisional].provisional = True

    def _provisional(self, track: Track) -> int | None:
        """In which status the track is, at the end of the window, beyond the latest poll; None: in none."""
        if self._covered.provisional_from is None:
            return None
        until = self._window.until
        live = track.start < until and track.is_recorded and self._covered.is_provisional(min(track.end, until))
        return track.status if live else None

    def _fold(self, base: int, at: int) -> dict[int, Track]:
        """Every track from the checkpoint `base` to the instant `at`."""
        tracks = begin(self._connection, base, self._spells, self._sources, some=self._some)
        fold(tracks, rows_between(self._connection, base + 1, at + 1, self._some))
        clip(tracks, at, rows_reaching_back(self._connection, at, at + self._look_ahead(at)))
        return tracks

    def _look_ahead(self, at: int) -> int:
        """How long after `at` a change that may have happened before it can have been seen, in the same stretch.

        The poll that saw the old status was sent before `at`, so it was received less than a gap limit later, and the
        one that saw the new status at most another gap limit after it. The 1 is for the end that does not belong to it.
        """
        return 1 + max(
            (
                2 * known.stretch.gap_limit_ms
                for stretches in self._stretches.values()
                for known in stretches
                if known.stretch.started < at <= known.stretch.last
            ),
            default=0,
        )

    def _with_earlier(self, source: Source, base: int) -> tuple[RecordedStretch, ...]:
        """The stretches of the source from the checkpoint on which the window's start is reckoned from."""
        first = source.stretches[0].stretch.started if source.stretches else FOREVER
        rows = self._connection.execute(_STRETCHES, {"source": source.id, "since": base, "until": first})
        return (*(RecordedStretch(Stretch(*row), _OVER) for row in rows), *source.stretches)
