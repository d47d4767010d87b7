"""Reports on a long history against what a user could do by hand: the same questions, the same facts, side by side."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import history_writing
from tests.benchmarks.history_contenders import CONTENDERS
from tests.benchmarks.history_facts import DAY_MS, SIZES, START, Built, Size, build
from tests.benchmarks.verdicts import Verdicts

OURS: Final = "ours"
_PATIENCE_S: Final = 4.0
"""A contender that has taken so long for one question is not asked again."""
_HOUR: Final = 3_600_000
_SAYING_PEAK: Final = """
import runpy, sys
from tests.benchmarks.history_contenders import peak_memory
try:
    runpy.run_module("exporter", run_name="__main__", alter_sys=True)
finally:
    print(peak_memory(), file=sys.stderr)
"""


class Child:
    """A contender in its process."""

    def __init__(self, name: str, folder: Path, packages: Path | None) -> None:
        """Start it, and wait until it is ready; `packages`: where it finds other versions of packages."""
        environment = dict(os.environ)
        if packages is not None:
            environment["PYTHONPATH"] = f"{packages}{os.pathsep}{Path.cwd()}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.history_contenders", name, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self._read()

    def ask(self, question: Mapping[str, object], *, compare: bool = False) -> dict[str, Any]:
        """Its answer, and what it cost."""
        assert self._process.stdin is not None
        print(json.dumps({**question, "compare": compare}), file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a contender has died: {self._process.args!r}")
        return dict(json.loads(line))


@dataclass
class Race:
    """One question, asked of everyone."""

    title: str
    question: Mapping[str, object]
    names: Sequence[str]
    shows_memory: bool = False
    wall: dict[str, list[float]] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    """Bytes of memory that each has taken at most, so far."""

    def run(self, children: Mapping[str, Child], rounds: int) -> None:
        """Ask everyone in turn, after a first round in which the answers are compared."""
        names = [name for name in self.names if name in children]
        answers = {name: children[name].ask(self.question, compare=True)["answer"] for name in names}
        known = [answer for answer in answers.values() if answer is not None]
        assert all(answer == known[0] for answer in known), f"{self.title}: {answers}"
        for _ in range(rounds):
            for name in names:
                times = self.wall.setdefault(name, [])
                if sum(times) < _PATIENCE_S:
                    answer = children[name].ask(self.question)
                    times.append(answer["wall"])
                    self.peak[name] = answer["peak"]

    def seconds(self, name: str) -> float | None:
        """The median."""
        return statistics.median(self.wall[name]) if name in self.wall else None


def run(size_name: str, rounds: int, verdicts: Verdicts, *, duckdb_1: Path | None, keep: Path | None = None) -> None:
    """Build the history, let everyone race, and print the tables."""
    size = SIZES[size_name]
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="history-bench-")))
        begun = time.perf_counter()
        built = build(folder, size)
        children = {}
        for name in CONTENDERS:
            if name == "DuckDB attached" and duckdb_1 is None:
                print("DuckDB attached to SQLite: left out, its extension needs a folder: see --duckdb")
                continue
            children[name] = Child(name, folder, duckdb_1 if name == "DuckDB attached" else None)
            stack.callback(children[name].close)
        print(f"history: {built.transitions:,} transitions of {size.agents:,} agents in {size.days} days", end="; ")
        print(f"built in {time.perf_counter() - begun:.0f} s, {rounds} rounds, wall time, medians")
        _print_races(children, size, rounds)
        _print_commands(folder, children[OURS], size, rounds)
        _print_plots(children[OURS], size, rounds)
        _print_sizes(built, verdicts)
    history_writing.run(verdicts)


# --- races ------------------------------------------------------------------------------------------------------------


def _print_races(children: Mapping[str, Child], size: Size, rounds: int) -> None:
    others = [name for name in CONTENDERS if name != OURS]
    print(f"\n{'ms; in brackets: times ours':<36} {OURS:>9}", *(f"{name:>21}" for name in others))
    for race in _races(size):
        race.run(children, rounds)
        mine = race.seconds(OURS)
        assert mine is not None
        print(f"{race.title:<36} {mine * 1000:>9.1f}", *(_compared(race.seconds(name), mine) for name in others))
        if race.shows_memory:
            print(f"{'  peak memory until here, MB':<36} {race.peak[OURS] / 1e6:>9.0f}", end=" ")
            print(*(f"{race.peak[name] / 1e6:>12.0f}         " if name in race.peak else " " * 21 for name in others))


def _compared(its: float | None, mine: float) -> str:
    return f"{'':>21}" if its is None else f"{its * 1000:>12.1f} ({its / mine:>5.1f}x)"


def _races(size: Size) -> Iterator[Race]:
    everyone = list(CONTENDERS)
    no_lead = [name for name in everyone if name != "sqlite LEAD"]
    noon = START + size.days // 2 * DAY_MS + 12 * _HOUR + 1_234
    midnight = START + size.days // 2 * DAY_MS
    month = {"since": noon - 15 * DAY_MS, "until": noon + 15 * DAY_MS}
    whole = {"since": START, "until": size.end}
    yield Race("totals per agent, 30 days", {"name": "summary", **month}, everyone)
    yield Race("totals per agent, all of it", {"name": "summary", **whole}, everyone, shows_memory=True)
    yield Race("the summary report, 30 days", {"name": "report", **month}, [OURS])
    yield Race("the summary report, all of it", {"name": "report", **whole}, [OURS])
    yield Race("at an instant", {"name": "at", "since": noon}, no_lead)
    day = {"since": midnight, "until": midnight + DAY_MS}
    yield Race("intervals --step 15m, a day", {"name": "intervals", **day}, no_lead)
    month = {"since": midnight - 15 * DAY_MS, "until": midnight + 15 * DAY_MS}
    yield Race("intervals --step 15m, 30 days", {"name": "intervals", **month}, no_lead)
    yield Race("timeline of one agent, a day", {"name": "timeline", **day, "agent": 7}, no_lead, shows_memory=True)


# --- whole commands ---------------------------------------------------------------------------------------------------


def _print_commands(folder: Path, ours: Child, size: Size, rounds: int) -> None:
    print(f"\n{'whole commands':<36} {'wall':>9} {'less query':>11} {'peak memory':>12}")
    midnight = START + size.days // 2 * DAY_MS
    month = {"since": midnight - 15 * DAY_MS, "until": midnight + 15 * DAY_MS}
    day = {"since": midnight, "until": midnight + DAY_MS}
    for title, question, arguments in (
        ("summary, 30 days", {"name": "report", **month}, ["summary", *_window(month)]),
        ("summary, all of it", {"name": "report", "since": START, "until": size.end},
         ["summary", *_window({"since": START, "until": size.end})]),
        ("at", {"name": "at", "since": midnight}, ["at", _iso(midnight)]),
        ("intervals, a day", {"name": "intervals", **day}, ["intervals", "--step", "15m", *_window(day)]),
        ("intervals, 30 days", {"name": "intervals", **month}, ["intervals", "--step", "15m", *_window(month)]),
        ("timeline of one agent, a day", {"name": "timeline", **day, "agent": 7},
         ["timeline", "--agent", "40007", *_window(day)]),
    ):  # fmt: skip
        walls, extra = [], []
        for _ in range(min(rounds, 5)):
            walls.append(_command(folder, arguments))
            extra.append(walls[-1] - ours.ask(question)["wall"])
        print(
            f"{title:<36} {statistics.median(walls) * 1000:>6.0f} ms {statistics.median(extra) * 1000:>8.0f} ms"
            f" {_command_memory(folder, arguments) / 1e6:>9.0f} MB"
        )


def _command(folder: Path, arguments: Sequence[str]) -> float:
    """Wall time of a command of its own process, its output thrown away."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "exporter", *_history(folder, arguments)], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - begun


def _command_memory(folder: Path, arguments: Sequence[str]) -> int:
    """Bytes that the command takes at most."""
    done = subprocess.run(
        [sys.executable, "-c", _SAYING_PEAK, *_history(folder, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return int(done.stderr.split()[-1])


def _history(folder: Path, arguments: Sequence[str]) -> list[str]:
    return ["history", *arguments, "--db", str(folder / "history.db"), "--tz", "UTC", "--format", "csv"]


def _window(window: Mapping[str, int]) -> list[str]:
    return ["--since", _iso(window["since"]), "--until", _iso(window["until"])]


def _iso(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03}Z"


# --- plots ------------------------------------------------------------------------------------------------------------


def _print_plots(ours: Child, size: Size, rounds: int) -> None:
    end, days = size.end, size.days
    lengths = [length for length in (1, 7, 30, 90, 182, 365) if length <= days]
    middle = START + days * DAY_MS // 2
    print("\ncost of totals by the length of the window")
    _plot(
        ours, rounds, {f"{n} days": (max(START, middle - n * DAY_MS // 2), middle + n * DAY_MS // 2) for n in lengths}
    )
    print("cost of totals of 7 days by how much was recorded before them")
    ages = [days * tenth // 10 for tenth in range(1, 10)]
    _plot(ours, rounds, {f"{n} days": (START + n * DAY_MS, min(end, START + (n + 7) * DAY_MS)) for n in ages})
    print("cost of intervals --step 15m by the length of the window")
    lengths = [length for length in (1, 2, 4, 8) if length <= days]
    _plot(ours, 3, {f"{n} days": (middle, middle + n * DAY_MS) for n in lengths}, "intervals")
    print("cost of intervals --step 15m of a day by how much was recorded before it")
    _plot(ours, 3, {f"{n} days": (START + n * DAY_MS, START + (n + 1) * DAY_MS) for n in ages[::2]}, "intervals")


def _plot(ours: Child, rounds: int, windows: Mapping[str, tuple[int, int]], name: str = "summary") -> None:
    times: dict[str, list[float]] = {title: [] for title in windows}
    for _ in range(rounds):
        for title, (since, until) in windows.items():
            times[title].append(ours.ask({"name": name, "since": since, "until": until})["cpu"])
    medians = {title: statistics.median(found) for title, found in times.items()}
    for title, seconds in medians.items():
        print(f"  {title:>9} {seconds * 1000:>8.1f} ms CPU {'#' * round(40 * seconds / max(medians.values()))}")


def _print_sizes(built: Built, verdicts: Verdicts) -> None:
    facts, everything = (size / built.transitions for size in (built.facts_bytes, built.all_bytes))
    where = "bytes stored per transition"
    print(f"\n{where}: {facts:.1f}; {verdicts.goal(facts <= 20, 'at most 20', where)};", end=" ")
    where = "with everything derived"
    print(f"{where} {everything:.1f}; {verdicts.goal(everything <= 50, 'at most 50', where)}")
    print(f"made checkpoints and totals anew in {built.rebuilding:.1f} s")
