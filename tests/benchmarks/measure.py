"""Measuring: two ways of doing the same, in turn, so that a noisy machine is noisy to both."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of CPU (this process, user and system) and of the wall clock: medians over the rounds."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against the plain way; `ratio` is the median of the ratios taken round by round, of CPU time."""

    ours: Cost
    plain: Cost
    ratio: float


def once(work: Callable[[], object]) -> Cost:
    """One run, with the garbage of earlier ones collected before."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def side_by_side(ours: Callable[[], object], plain: Callable[[], object], *, rounds: int) -> Comparison:
    """Run both in turn, `rounds` times after one that is not counted."""
    once(ours), once(plain)
    pairs = [(once(ours), once(plain)) for _ in range(rounds)]
    return Comparison(
        _median([pair[0] for pair in pairs]),
        _median([pair[1] for pair in pairs]),
        statistics.median(mine.cpu / its.cpu for mine, its in pairs),
    )


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(cost.cpu for cost in costs), statistics.median(cost.wall for cost in costs))


def row(what: str, ours: str, plain: str, ratio: float | None, aim: str) -> str:
    """A line of the table."""
    shown = "" if ratio is None else f"{ratio:.2f}"
    return f"{what:<44} {ours:>22} {plain:>22} {shown:>7}  {aim}"


def milliseconds(cost: Cost) -> str:
    """CPU and wall time of one run."""
    return f"{cost.cpu * 1000:.1f} / {cost.wall * 1000:.1f} ms"
