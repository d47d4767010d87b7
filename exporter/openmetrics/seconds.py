"""How long one agent had been in each status at each instant, and what it was called. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from exporter.history.algebra import CoveredTime, intervals
from exporter.history.facts import FOREVER, AgentFacts, Period, union
from exporter.history.window import Window
from exporter.metrics.statuses import CLOSED
from exporter.metrics.text import cleaned
from exporter.openmetrics.families import Labels
from exporter.openmetrics.grid import Grid

LOOK_BACK_MS: Final = 300_000
"""For so long Prometheus takes the last sample of a series for the present one."""


@dataclass(frozen=True, slots=True)
class AgentTime:
    """An agent's time in a window."""

    stays: Mapping[str, Sequence[Period]]
    """By label of the status, in order of time."""
    tracked: tuple[Period, ...]


class Run(NamedTuple):
    """The samples [start, end), the first of which has `value` (ms), rising or not."""

    start: int
    end: int
    value: int
    rising: bool


def agent_time(agent: AgentFacts, covered: CoveredTime, window: Window, labels: Labels) -> AgentTime:
    """The stays of `agent` in `window`, which tile the time in which it was tracked there."""
    stays: defaultdict[str, list[Period]] = defaultdict(list)
    for interval, _ in intervals(agent, covered, window):
        stays[labels.of(interval.status)].append(Period(interval.start, interval.end))
    return AgentTime(stays, tuple(agent.scope(window)))


def counters(
    grid: Grid, time: AgentTime, before: Mapping[str, int], labels: Labels
) -> Iterator[tuple[str, Iterator[Run]]]:
    """By label: runs of samples. `before`: milliseconds by label before the time that `time` tells of.

    The samples of the labels that are always there, and of those that the agent ever had, reach from the last instant
    before the agent was tracked to the first one after: so the first and the last seconds are in them.
    """
    shown = [
        Period(grid.at_or_before(period.start), min(grid.at_or_after(period.end) + 1, grid.count))
        for period in time.tracked
    ]
    indices = union(iter(shown))
    for label in labels.all:
        stays = time.stays.get(label, ())
        if label in CLOSED or stays or before.get(label):
            yield label, _cut(grid, _runs(grid, stays, before.get(label, 0)), indices)


def described(grid: Grid, agent: AgentFacts, tracked: Sequence[Period]) -> Mapping[tuple[str, str], list[Period]]:
    """The samples [start, end) at which the agent had a name and a team, by these two as labels.

    After a change the new ones begin when Prometheus no longer takes the old ones for present: two at once would make
    every query fail that joins with them. (Blocks have no way to say that a series ended.)
    """
    found: defaultdict[tuple[str, str], list[Period]] = defaultdict(list)
    for i, description in enumerate(agent.descriptions):
        since = _next_instant(grid, description.since) + LOOK_BACK_MS if i else -FOREVER
        until = agent.descriptions[i + 1].since if i + 1 < len(agent.descriptions) else FOREVER
        for period in tracked:
            start = grid.at_or_after(max(since, period.start))
            end = grid.at_or_after(min(until, period.end))
            if start < end:
                found[cleaned(description.name), cleaned(description.team)].append(Period(start, end))
    return found


def _next_instant(grid: Grid, at: int) -> int:
    """The first instant of the grid, if it had no end, that is not before `at`."""
    return -(-at // grid.step_ms) * grid.step_ms


def _runs(grid: Grid, stays: Sequence[Period], value: int) -> Iterator[Run]:
    """The counter over the whole grid."""
    done = 0
    for start, end in stays:
        rises, rests = grid.after(start), grid.at_or_after(end)
        if done < rises:
            yield Run(done, rises, value, rising=False)
            done = rises
        if done < rests:
            yield Run(done, rests, value + grid.instant(done) - start, rising=True)
            done = rests
        value += end - start
    if done < grid.count:
        yield Run(done, grid.count, value, rising=False)


def _cut(grid: Grid, runs: Iterator[Run], shown: Sequence[Period]) -> Iterator[Run]:
    """The parts of the runs that are shown."""
    passed = 0
    for run in runs:
        while passed < len(shown) and shown[passed].end <= run.start:
            passed += 1
        for period in islice(shown, passed, None):
            if period.start >= run.end:
                break
            start, end = max(run.start, period.start), min(run.end, period.end)
            gone = (start - run.start) * grid.step_ms if run.rising else 0
            yield Run(start, end, run.value + gone, run.rising)
