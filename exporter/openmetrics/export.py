"""`history export --format openmetrics`: the history as samples with timestamps, for `promtool tsdb`.

Families follow each other, and in a family each series is written from its first sample to its last: OpenMetrics
demands that, and it keeps memory small, because the history of a few agents is held at a time.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from itertools import chain
from typing import Final

from exporter.errors import UsageError
from exporter.history.algebra import covered_time, totals
from exporter.history.extent import extent
from exporter.history.facts import AgentFacts, HistoryFacts
from exporter.history.filters import EVERYBODY, Selection
from exporter.history.reader import HistoryReader
from exporter.history.transfer.progress import Progress
from exporter.history.window import Window
from exporter.metrics.family import Family
from exporter.metrics.text import Format, cleaned, escaped, header
from exporter.model import AgentId
from exporter.openmetrics.families import AGENTS, INFO, SECONDS, TEAM_AGENTS, UP, Labels
from exporter.openmetrics.grid import Grid
from exporter.openmetrics.levels import Levels
from exporter.openmetrics.seconds import LOOK_BACK_MS, agent_time, counters, described

DEFAULT_STEP_MS: Final = 60_000
_SECOND_MS: Final = 1_000
_DAY_MS: Final = 86_400_000
_MOST_INSTANTS: Final = 366 * 1_440
"""A year at the default step, which takes some 100 MB of memory."""
_AGENT_DAYS: Final = 2_000
"""Of so many days of one agent the changes are held at once: some 20 MB."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What is to be exported."""

    since: int | None
    """ms since 1970-01-01 UTC; None: the beginning of the history."""
    until: int
    """ms; not included, and not later than `now`. The export ends sooner where the next poll decides what was."""
    now: int
    """ms."""
    job: str
    instance: str
    step_ms: int = DEFAULT_STEP_MS
    per_agent: bool = True
    """Also the time in status of each agent."""
    names: bool = False
    """Also names and teams of the agents."""


def checked_step(step_ms: int, asked: str) -> int:
    """The step. Raises UsageError, with what was asked, unless it is whole seconds that divide a day, 5m at most."""
    if not _SECOND_MS <= step_ms <= LOOK_BACK_MS or step_ms % _SECOND_MS or _DAY_MS % step_ms:
        raise UsageError(
            f"--step {asked} cannot be used: give whole seconds that divide a day and are no more than 5m, because "
            "Prometheus takes a series for ended when it has no sample for five minutes; such as 30s or 1m"
        )
    return step_ms


def openmetrics(reader: HistoryReader, asked: Backfill, progress: Progress) -> Generator[str, None, None]:
    """The text, piece by piece, of one instant; `progress` is told of agents whose time is written.

    Samples lie on the multiples of the step in [since, until), from the last one before the history begins. Close it
    before the reader if it is not read to its end. Raises UsageError for a window with too many samples, DatabaseError
    if the file cannot be read or did not hold still: then the end is missing, without which promtool takes nothing.
    """
    with reader.one_instant():
        yield from _Export(reader, asked, progress).text()
    yield "# EOF\n"


class _Export:
    def __init__(self, reader: HistoryReader, asked: Backfill, progress: Progress) -> None:
        self._reader = reader
        self._asked = asked
        self._progress = progress
        nothing = reader.facts(Window(asked.until, asked.until))
        self._labels = Labels(nothing.words)
        self._until = _settled(nothing, asked.until, asked.now)
        begins, step = _beginning(reader, nothing.water_mark), asked.step_ms
        self._begins = self._until if begins is None else begins
        first = self._begins // step * step
        if asked.since is not None:
            first = max(first, -(-asked.since // step) * step)
        self._grid = Grid(first, self._until, step)
        if self._grid.count > _MOST_INSTANTS:
            raise UsageError(
                f"this window has {self._grid.count:,} instants, and {_MOST_INSTANTS:,} are the most: export it in "
                "parts with --since and --until, which join without a seam, or give a longer --step"
            )

    def text(self) -> Iterator[str]:
        """Everything but the end."""
        if not self._grid.count or self._begins >= self._until:
            return
        levels, ids = self._levels()
        yield header(AGENTS, Format.OPENMETRICS)
        for label, values in levels.totals():
            yield from self._grid.level(self._head(AGENTS, label), values)
        yield header(TEAM_AGENTS, Format.OPENMETRICS)
        for team, label, values in levels.teams():
            yield from self._grid.level(self._head(TEAM_AGENTS, team, label), values)
        yield header(UP, Format.OPENMETRICS)
        yield from self._grid.level(self._head(UP), levels.looking.values())
        if self._asked.per_agent:
            yield header(SECONDS, Format.OPENMETRICS)
            yield from self._seconds(ids)
        if self._asked.names:
            yield header(INFO, Format.OPENMETRICS)
            yield from self._infos(ids)

    def _window(self) -> Window:
        """What is read: nothing from before the history begins, of which the counters of a later part know nothing.

        What lies between the last instant before the first one and that one may end a time of tracking.
        """
        return Window(max(self._begins, self._grid.first - self._asked.step_ms), self._until)

    def _levels(self) -> tuple[Levels, Sequence[AgentId]]:
        """The counts of agents, and who has tracked time; read a day at a time."""
        levels = Levels(self._grid, self._labels)
        ids: set[AgentId] = set()
        whole = self._window()
        days = range(whole.since, whole.until, _DAY_MS)
        self._progress.begin("Counting agents", len(days))
        for start in days:
            window = Window(start, min(start + _DAY_MS, whole.until))
            facts = self._reader.facts(window)
            levels.add(facts, covered_time(facts, self._asked.now), window, self._asked.now)
            ids.update(agent.agent_id for agent in facts.agents if any(True for _ in agent.scope(window)))
            self._progress.advance(1)
        return levels, sorted(ids)

    def _seconds(self, ids: Sequence[AgentId]) -> Iterator[str]:
        grid, labels = self._grid, self._labels
        self._progress.begin("Exporting time in status", len(ids))
        window = self._window()
        before = self._before(window.since)
        for facts, agents in self._some(window, ids):
            covered = covered_time(facts, self._asked.now)
            for agent in agents:
                time = agent_time(agent, covered, window, labels)
                for label, runs in counters(grid, time, before.get(agent.agent_id, {}), labels):
                    head = self._head(SECONDS, agent.agent_id, label)
                    for run in runs:
                        if run.rising:
                            yield from grid.rising(head, run.value, run.start, run.end)
                        else:
                            yield from grid.flat(head, str(run.value / 1000), run.start, run.end)
            self._progress.advance(len(agents))

    def _before(self, at: int) -> Mapping[AgentId, Mapping[str, int]]:
        """Each agent's time until `at` in ms by label, since the history begins."""
        if at <= self._begins:
            return {}
        window = Window(self._begins, at)
        facts = self._reader.totals(window, self._asked.now)
        covered = covered_time(facts, self._asked.now)
        found: dict[AgentId, dict[str, int]] = {}
        for agent in facts.agents:
            mine: dict[str, int] = {}
            for status, total in totals(agent, covered, window).items():
                label = self._labels.of(status)
                mine[label] = mine.get(label, 0) + total.time
            found[agent.agent_id] = mine
        return found

    def _infos(self, ids: Sequence[AgentId]) -> Iterator[str]:
        window = Window(self._grid.first, self._until)
        wanted = set(ids)
        for agent in self._reader.facts(window).agents:
            if agent.agent_id not in wanted:
                continue
            for (name, team), periods in described(self._grid, agent, tuple(agent.scope(window))).items():
                head = self._head(INFO, agent.agent_id, name, team)
                for start, end in periods:
                    yield from self._grid.flat(head, "1", start, end)

    def _some(self, window: Window, ids: Sequence[AgentId]) -> Iterator[tuple[HistoryFacts, list[AgentFacts]]]:
        """The facts of the whole window, of a few agents at a time."""
        at_once = max(1, _AGENT_DAYS * _DAY_MS // window.length)
        for i in range(0, len(ids), at_once):
            wanted = ids[i : i + at_once]
            everybody = len(wanted) == len(ids)
            facts = self._reader.facts(window, EVERYBODY if everybody else Selection(agents=tuple(map(escape, wanted))))
            # Somebody may be called like another one's id.
            found = {agent.agent_id: agent for agent in facts.agents}
            yield facts, [found[agent_id] for agent_id in wanted if agent_id in found]

    def _head(self, family: Family, *values: str) -> str:
        """The series, up to where its value stands; `values` are of the family's labels."""
        target = (("job", self._asked.job), ("instance", self._asked.instance))
        pairs = chain(target, zip(family.labels, values, strict=True))
        text = ",".join(f'{name}="{escaped(cleaned(value))}"' for name, value in pairs)
        return f"{family.name}{{{text}}} "


def _settled(facts: HistoryFacts, until: int, now: int) -> int:
    """Until when the recorder can no longer tell otherwise: its next poll may go on with a stretch that is not old.

    What that poll decides must not have been counted: the counter would fall where a later export goes on.
    """
    if facts.stretches:
        latest = facts.stretches[-1].stretch
        if now - latest.last <= latest.gap_limit_ms:
            return min(until, latest.last)
    return until


def _beginning(reader: HistoryReader, water_mark: int | None) -> int | None:
    begins = extent(reader).begins
    return None if begins is None else max(begins, water_mark or 0)
