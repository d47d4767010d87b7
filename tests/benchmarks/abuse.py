"""The whole program under as many requests as it answers, ten seconds long: scrapes, polls and memory meanwhile.

wrk sends them; the program and the simulator run as processes of their own, so all of it shares the machine's cores.
"""

import asyncio
import re
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import row
from tests.benchmarks.verdicts import Verdicts
from tests.support.abuse import HEAD, Watch, statuses, watched
from tests.support.children import Child, child, serve_arguments, serve_environment
from tests.support.running import read_samples, simulated, value

_SECONDS: Final = 10
_INTERVAL_S: Final = 1.0
_CASES: Final = (("/-/healthy", ()), ("/metrics", ("-H", "Accept-Encoding: gzip")), ("/nothing", ()))
_DEMANDED: Final = 10_000
"""Requests a second; fewer show how many the machine answers while it also sends them."""
_MOST_GROWTH: Final = 24_000_000
"""Bytes that the allocator may keep of the connections."""
_RATE: Final = re.compile(r"Requests/sec:\s*([\d.]+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen in one case."""

    path: str
    per_second: float
    """Requests answered."""
    median_s: float
    slowest_s: float
    """Of the scrapes meanwhile."""
    polls: float
    polls_due: float
    skipped: float
    grown_bytes: int

    @property
    def unharmed(self) -> bool:
        """Whether polls stayed on time and memory flat; a scrape that fails ends everything."""
        on_time = abs(self.polls - self.polls_due) < 2 and not self.skipped
        return on_time and self.slowest_s < 1 and self.grown_bytes < _MOST_GROWTH

    def verdict(self, verdicts: Verdicts) -> str:
        """In words."""
        rate = "" if self.per_second >= _DEMANDED else f", though under less than {_DEMANDED:,} requests a second"
        where = f"{_SECONDS} s of load on {self.path}"
        return verdicts.goal(self.unharmed, f"scrapes within 1 s, polls on time, memory flat{rate}", where)


def run(verdicts: Verdicts) -> None:
    """Print a line for each case."""
    wrk = shutil.which("wrk")
    if wrk is None:
        print("abuse: wrk is missing; install the Debian package `wrk`")
        return
    print(row(f"{_SECONDS} s of load, scraped meanwhile", "load answered", "median scrape", None, "polls, memory"))
    for outcome in asyncio.run(_all(wrk)):
        print(
            row(
                f"{outcome.path}, slowest scrape {outcome.slowest_s * 1000:.0f} ms",
                f"{outcome.per_second:,.0f} /s",
                f"{outcome.median_s * 1000:.1f} ms",
                None,
                f"{outcome.polls:.0f} of {outcome.polls_due:.0f} polls, {outcome.skipped:.0f} skipped, "
                f"{outcome.grown_bytes / 1e6:+.1f} MB; {outcome.verdict(verdicts)}",
            )
        )


async def _all(wrk: str) -> list[Outcome]:
    with tempfile.TemporaryDirectory() as directory:
        async with (
            simulated() as simulator,
            child(
                *serve_arguments(directory, interval=f"{_INTERVAL_S:g}s"), env=serve_environment(simulator)
            ) as program,
        ):
            port = int((await program.url()).rpartition(":")[2])
            ready = b"GET /-/ready " + HEAD + b"Connection: close\r\n\r\n"
            while await statuses(port, ready) != [200]:
                await asyncio.sleep(0.1)
            return [await _case(wrk, program, port, path, headers) for path, headers in _CASES]


async def _case(wrk: str, program: Child, port: int, path: str, headers: tuple[str, ...]) -> Outcome:
    before = _resident(program)
    async with watched(port, 0.1) as watch:
        load = await asyncio.create_subprocess_exec(
            *(wrk, "--threads", "1", "--connections", "32", "--duration", f"{_SECONDS}s", *headers),
            f"http://127.0.0.1:{port}{path}",
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await load.communicate()
    found = _RATE.search(said.decode())
    assert found, said
    polls, due, skipped = _polls(watch)
    return Outcome(
        path=path,
        per_second=float(found[1]),
        median_s=statistics.median(watch.seconds),
        slowest_s=watch.slowest,
        polls=polls,
        polls_due=due,
        skipped=skipped,
        grown_bytes=_resident(program) - before,
    )


def _polls(watch: Watch) -> tuple[float, float, float]:
    """How many were made, should have been made, and were skipped, by what the scrapes told."""
    first, last = (read_samples(body.decode()) for body in (watch.bodies[0], watch.bodies[-1]))

    def grown(name: str) -> float:
        return (value(last, name) or 0) - (value(first, name) or 0)

    due = grown("zohovoice_last_poll_timestamp_seconds") / _INTERVAL_S
    return grown("zohovoice_polls_total"), due, grown("zohovoice_polls_skipped_total")


def _resident(program: Child) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{program.process.pid}/status").read_text("ascii"))
    assert found
    return int(found[1]) * 1024
