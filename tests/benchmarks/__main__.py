"""`make bench`: runs everything and prints the table."""

import argparse
import platform
import sqlite3

from tests.benchmarks import appending, polling, process, rendering
from tests.benchmarks.measure import milliseconds, row


def main() -> None:
    """Run the benchmarks in turn; each compares two ways side by side."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds of each comparison")
    rounds = parser.parse_args().rounds
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {rounds} rounds; times are CPU / wall")
    print(row("what", "ours", "the plain way", None, "aim (ratio of CPU)"))

    poll = polling.run(rounds)
    print(
        row(
            "poll 10,000 agents, against bare httpx + json",
            milliseconds(poll.ours),
            milliseconds(poll.plain),
            poll.ratio,
            "at most 1.5",
        )
    )

    append, per_transition = appending.run(rounds)
    print(
        row(
            "append 100 x 500 transitions, bare executemany",
            milliseconds(append.ours),
            milliseconds(append.plain),
            append.ratio,
            "at most 1.5",
        )
    )
    print(row("  bytes grown per transition, WAL included", f"{per_transition:.1f}", "", None, ""))

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

    ours, plain, ratio = process.help_start_up(rounds * 3)
    print(
        row(
            "--help, against python -c 'import click'", f"{ours:.1f} ms", f"{plain:.1f} ms", ratio, "at most 1.5 (wall)"
        )
    )

    peak, per_poll = process.peak_memory_mb()
    print(row("serve, 10,000 agents: peak memory", f"{peak:.0f} MB", "", None, "under 150 MB"))
    print(row("serve, 10,000 agents: CPU per poll", f"{per_poll * 1000:.0f} ms", "", None, ""))


if __name__ == "__main__":
    main()
