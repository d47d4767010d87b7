"""Event-loop lag of the whole program while it polls, commits, renders and is scraped.

Run as `python -m tests.benchmarks.web.lag AGENTS INTERVAL SECONDS`; prints milliseconds: p50, p99, maximum.
Without agents there is no program, only a loop that does nothing: what the machine itself takes.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from exporter import app
from exporter.secret import Secret
from exporter.settings import (
    AgentsSettings,
    ApiSettings,
    AuthSettings,
    HistorySettings,
    MetricsSettings,
    PollSettings,
    Settings,
    WebSettings,
)
from tests.benchmarks.chunk_server import agent_ids
from tests.benchmarks.polling import CHUNK, CONCURRENCY, chunk_server
from tests.benchmarks.web.servers import OPENMETRICS

_TICK_S: Final = 0.001
_SCRAPE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Lag:
    """How much later than asked for the event loop came back from a sleep of a millisecond."""

    median_ms: float
    p99_ms: float
    longest_ms: float
    """Of what is behind the first poll."""
    ticks: int


def measured(agents: int, interval_s: float, seconds: float) -> tuple[Lag, Lag]:
    """The lag of a program in a process of its own, from its second poll on; and meanwhile that of an idle loop."""
    with _process(agents, interval_s, seconds) as busy, _process(0, interval_s, interval_s + seconds) as idle:
        return _said(busy), _said(idle)


def _process(agents: int, interval_s: float, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.web.lag", str(agents), str(interval_s), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _said(process: subprocess.Popen[str]) -> Lag:
    said, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Lag(**json.loads(said))


async def _run(settings: Settings, seconds: float) -> Lag:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()

    def listening(urls: tuple[str, ...]) -> None:
        app.leave_modules_alone(urls)
        ready.set_result(urls)

    serving = asyncio.ensure_future(
        app.serve(settings, stop, on_ready=listening, on_first_poll=app.leave_agents_alone)  # as `serve` itself does
    )
    (url,) = await ready
    # The first poll finds everybody new; it is the others that count.
    await asyncio.sleep(settings.poll.interval_s)
    scraping = await _scraper(url)
    lag = await _ticked(seconds)
    with contextlib.suppress(ProcessLookupError):
        scraping.kill()
    await scraping.wait()
    stop.set()
    await serving
    return lag


async def _ticked(seconds: float) -> Lag:
    late: list[float] = []
    give_up = time.perf_counter() + seconds
    while (before := time.perf_counter()) < give_up:
        await asyncio.sleep(_TICK_S)
        late.append((time.perf_counter() - before - _TICK_S) * 1000)
    late.sort()
    return Lag(late[len(late) // 2], late[len(late) * 99 // 100], late[-1], len(late))


async def _scraper(url: str) -> asyncio.subprocess.Process:
    """Somebody who asks as a Prometheus does, but each second."""
    code = (
        "import httpx, time\n"
        "with httpx.Client(trust_env=False) as http:\n"
        "    while True:\n"
        f"        with http.stream('GET', {url + '/metrics'!r}, headers={{'accept': {OPENMETRICS!r}}}) as answer:\n"
        "            for _ in answer.iter_raw(): pass\n"
        f"        time.sleep({_SCRAPE_S})\n"
    )
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code)


def main() -> None:
    """Measure, and print it as JSON."""
    agents, interval_s, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    lag = _of_the_program(agents, interval_s, seconds) if agents else _run_by_loop(_ticked(seconds))
    print(json.dumps(asdict(lag)))


def _run_by_loop(what: Coroutine[object, object, Lag]) -> Lag:
    with asyncio.Runner(loop_factory=app.loop_factory()) as runner:  # the loop that `serve` would have
        return runner.run(what)


def _of_the_program(agents: int, interval_s: float, seconds: float) -> Lag:
    with chunk_server(agents, CHUNK) as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people = folder / "agents.csv"
        people.write_text("id,name,team\n" + "".join(f"{i},Agent {i},Team {int(i) % 20}\n" for i in agent_ids(agents)))
        settings = Settings(
            api=ApiSettings(
                url=url,
                accounts_url=url,
                max_requests_per_minute=10**6,
                agents_per_request=CHUNK,
                concurrency=CONCURRENCY,
            ),
            auth=AuthSettings(access_token=Secret("1000.bench"), token_cache=folder / "token.json"),
            agents=AgentsSettings(file=people, discover=False),
            poll=PollSettings(interval_s=interval_s, max_age_s=3 * interval_s),
            history=HistorySettings(db=folder / "zohovoice.db"),
            metrics=MetricsSettings(),
            web=WebSettings(listen_addresses=("127.0.0.1:0",)),
        )
        return _run_by_loop(_run(settings, seconds))


if __name__ == "__main__":
    main()
