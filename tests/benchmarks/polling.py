"""A poll of 10,000 agents against the bare httpx loop that fetches and decodes the same chunks."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from exporter import __version__
from exporter.clock import SystemClock
from exporter.secret import Secret
from exporter.settings import ApiSettings, AuthSettings
from exporter.zoho.observer import SilentObserver
from exporter.zoho.session import open_session
from tests.benchmarks.chunk_server import agent_ids
from tests.benchmarks.measure import Comparison, side_by_side

AGENTS, CHUNK, CONCURRENCY = 10_000, 100, 4


@contextmanager
def chunk_server(agents: int = AGENTS, chunk: int = CHUNK) -> Iterator[str]:
    """The URL of a server of its own process."""
    command = [sys.executable, "-m", "tests.benchmarks.chunk_server", str(agents), str(chunk)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


async def bare_loop(http: httpx.AsyncClient, ids: list[str]) -> int:
    """What anybody would write: fetch each chunk, decode it, look at each row; four at a time."""
    gate = asyncio.Semaphore(CONCURRENCY)
    seen = 0

    async def fetch(chunk: list[str]) -> None:
        nonlocal seen
        async with gate:
            answer = await http.get("/rest/json/zv/api/v2/agents/onlineStatus", params={"agentIds": ",".join(chunk)})
            seen += len(answer.json()["onlineStatus"])

    await asyncio.gather(*(fetch(ids[start : start + CHUNK]) for start in range(0, len(ids), CHUNK)))
    return seen


def run(rounds: int) -> Comparison:
    """Both in one event loop, in turn."""
    ids = agent_ids(AGENTS)
    api = {"max_requests_per_minute": 10**9, "agents_per_request": CHUNK, "concurrency": CONCURRENCY}
    with chunk_server() as url, tempfile.TemporaryDirectory() as directory, asyncio.Runner() as runner:
        auth = AuthSettings(access_token=Secret("1000.bench"), token_cache=Path(directory) / "token.json")
        clock = SystemClock()
        opened = open_session(
            ApiSettings(url=url, accounts_url=url, **api),  # type: ignore[arg-type] # the numbers above
            auth,
            clock=clock,
            observer=SilentObserver(),
            version=__version__,
        )
        session = runner.run(opened.__aenter__())
        http = httpx.AsyncClient(base_url=url, trust_env=False, headers={"authorization": "Zoho-oauthtoken 1000.bench"})

        def ours() -> None:
            poll = runner.run(session.sampler.sample(ids, clock.monotonic() + 60))
            assert len(poll.readings) == AGENTS

        def plain() -> None:
            assert runner.run(bare_loop(http, ids)) == AGENTS

        comparison = side_by_side(ours, plain, rounds=rounds)
        runner.run(http.aclose())
        runner.run(opened.__aexit__(None, None, None))
    return comparison
