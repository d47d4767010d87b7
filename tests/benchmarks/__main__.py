"""`make bench`: runs everything, or the parts that are named, and prints the tables."""

import argparse
import platform
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.benchmarks import abuse, appending, history, history_facts, polling, process, rendering
from tests.benchmarks.measure import milliseconds, row
from tests.benchmarks.verdicts import Verdicts
from tests.benchmarks.web import run as web

Part = Callable[[int, Verdicts], None]
"""Runs so many rounds of a comparison, prints its lines and says which goals were met."""


def _polling(rounds: int, verdicts: Verdicts) -> None:
    poll = polling.run(rounds)
    print(
        row(
            "poll 10,000 agents, against bare httpx + json",
            milliseconds(poll.ours),
            milliseconds(poll.plain),
            poll.ratio,
            verdicts.goal(poll.ratio <= 1.5, "at most 1.5", "poll 10,000 agents"),
        )
    )


def _appending(rounds: int, verdicts: Verdicts) -> None:
    append, per_transition = appending.run(rounds)
    print(
        row(
            "append 100 x 500 transitions, bare executemany",
            milliseconds(append.ours),
            milliseconds(append.plain),
            append.ratio,
            verdicts.goal(append.ratio <= 1.5, "at most 1.5", "append transitions"),
        )
    )
    print(row("  bytes grown per transition, WAL included", f"{per_transition:.1f}", "", None, ""))


def _rendering(rounds: int, _: Verdicts) -> None:
    publish, scrapes = rendering.run(rounds)
    print(
        row(
            "render + compress 10,000 agents, both formats",
            milliseconds(publish.ours),
            milliseconds(publish.plain),
            publish.ratio,
            "(plain: text once)",
        )
    )
    print(
        row(
            "100 scrapes with gzip; plain: one scrape",
            milliseconds(scrapes.ours),
            milliseconds(scrapes.plain),
            scrapes.ratio,
            "",
        )
    )


def _process(rounds: int, verdicts: Verdicts) -> None:
    ours, plain, ratio = process.help_start_up(rounds * 3)
    start = verdicts.goal(ratio <= 1.5, "at most 1.5 (wall)", "--help")
    print(row("--help, against python -c 'import click'", f"{ours:.1f} ms", f"{plain:.1f} ms", ratio, start))
    peak, per_poll = process.peak_memory_mb()
    memory = verdicts.goal(peak < 150, "under 150 MB", "serve, 10,000 agents: peak memory")
    print(row("serve, 10,000 agents: peak memory", f"{peak:.0f} MB", "", None, memory))
    print(row("serve, 10,000 agents: CPU per poll", f"{per_poll * 1000:.0f} ms", "", None, ""))


_SHORT: Final[Mapping[str, Part]] = {
    "polling": _polling,
    "appending": _appending,
    "rendering": _rendering,
    "process": _process,
}


def main() -> int:
    """Run the benchmarks in turn; each compares ways of doing the same side by side. 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*_SHORT, "web", "abuse", "history"], help="which ones; default: all", default=[]
    )
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds of each comparison")
    parser.add_argument("--size", choices=history_facts.SIZES, default="year", help="of the history; large takes long")
    parser.add_argument(
        "--duckdb", type=Path, metavar="FOLDER", help="where pip has put what requirements/race.txt names"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="build the history here and leave it")
    given = parser.parse_args()
    parts = given.parts or [*_SHORT, "web", "abuse", "history"]
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {given.rounds} rounds")
    verdicts = Verdicts()
    short = [part for part in _SHORT if part in parts]
    if short:
        print(row("what (CPU / wall)", "ours", "the plain way", None, "aim (ratio of CPU)"))
    for part in short:
        _SHORT[part](given.rounds, verdicts)
    if "web" in parts:
        web.run(verdicts)
    if "abuse" in parts:
        abuse.run(verdicts)
    if "history" in parts:
        history.run(given.size, given.rounds, verdicts, duckdb_1=given.duckdb, keep=given.keep)
    print(f"\n{verdicts.summary()}")
    return 1 if verdicts.missed else 0


if __name__ == "__main__":
    sys.exit(main())
