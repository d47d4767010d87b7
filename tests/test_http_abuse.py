"""The whole program while clients misbehave: scrapes go on, polls stay on time, memory stays flat.

The program runs in a process of its own, so that what it costs is its own, and is not told of anything but its clients.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from exporter.zoho.errors import REASONS
from tests.support.abuse import HEAD, Watch, crowd, dribble, statuses, watched
from tests.support.children import Child, child, serve_arguments, serve_environment
from tests.support.running import read_samples, simulated, value

pytestmark = pytest.mark.slow

_INTERVAL_S = 1.0
"""A poll that takes longer than this is a poll skipped, and a scrape that does fails: one bound for both. Half a second
was too little for a machine that runs other tests too."""
_GROWTH = 24 * 1024 * 1024
"""What the allocator may keep of hundreds of connections; one endless head without a limit takes more than that."""
_GROWTH_AGAIN = 4 * 1024 * 1024
"""The same when all of it is done once more: what was kept is used again, and a kilobyte leaked by each of some
thousand requests would be more."""


@contextlib.asynccontextmanager
async def program(directory: Path) -> AsyncIterator[tuple[Child, int]]:
    """The program and its port; it has polled, and has been asked everything once."""
    async with (
        simulated() as simulator,
        child(
            *serve_arguments(directory, interval=f"{_INTERVAL_S * 1000:.0f}ms"),
            env=serve_environment(simulator),
        ) as started,
    ):
        port = int((await started.url()).rpartition(":")[2])
        for path in (b"/metrics", b"/", b"/board", b"/-/ready", b"/api/v1/agents", b"/nothing"):
            await statuses(port, b"GET " + path + b" " + HEAD + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(10):
            while await statuses(port, b"GET /-/ready " + HEAD + b"Connection: close\r\n\r\n") != [200]:
                await asyncio.sleep(0.02)
        yield started, port


def resident(process: Child) -> int:
    """Its memory in bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.process.pid}/status").read_text("ascii"))
    assert found
    return int(found[1]) * 1024


def descriptors(process: Child) -> int:
    """How many files and sockets it has open."""
    return len(list(Path(f"/proc/{process.process.pid}/fd").iterdir()))


def polls_on_time(watch: Watch) -> None:
    """Polls went on as they should, as the scrapes saw it."""
    first, last = read_samples(watch.bodies[0].decode()), read_samples(watch.bodies[-1].decode())
    assert value(last, "zohovoice_up") == 1
    assert value(last, "zohovoice_polls_skipped_total") == 0
    made = (value(last, "zohovoice_polls_total") or 0) - (value(first, "zohovoice_polls_total") or 0)
    when = "zohovoice_last_poll_timestamp_seconds"
    seconds = (value(last, when) or 0) - (value(first, when) or 0)
    assert made == pytest.approx(seconds / _INTERVAL_S, abs=1)
    assert sum(value(last, "zohovoice_poll_failures_total", reason=reason) or 0 for reason in REASONS) == 0


async def apart(abuse: Callable[[int], Awaitable[None]], port: int) -> None:
    """Abuse it from an event loop of its own, and wait a moment.

    On the one of the simulator and of the scrapes, polls and scrapes were late because the clients were busy.
    """

    async def run() -> None:
        await abuse(port)

    await asyncio.to_thread(lambda: asyncio.run(run()))
    await asyncio.sleep(0.3)


def under(abuse: Callable[[int], Awaitable[None]], directory: Path, *, growth: int = _GROWTH) -> None:
    """Run the program and `abuse` it twice, then check what must hold."""

    async def run() -> None:
        async with program(directory) as (started, port):
            logged = started.log.count("\n")
            memory, files = resident(started), descriptors(started)
            async with watched(port) as watch:
                await apart(abuse, port)
                after_once = resident(started)
                await apart(abuse, port)
            assert len(watch.seconds) > 5
            assert watch.slowest < 1
            polls_on_time(watch)
            after_twice = resident(started)
            assert after_once - memory < growth
            assert after_twice - after_once < _GROWTH_AGAIN
            async with asyncio.timeout(10):
                while descriptors(started) > files + 2:
                    await asyncio.sleep(0.05)
            # Nothing of it is worth a line.
            assert started.log.count("\n") == logged, started.log
            code, seconds = await started.stop()
            assert code == 0
            assert seconds < 5

    asyncio.run(run())


def test_two_hundred_idle_connections(tmp_path: Path) -> None:
    async def abuse(port: int) -> None:
        async with crowd(port, 200), crowd(port, 100, b"GET /-/healthy " + HEAD + b"\r\n"):
            await asyncio.sleep(1)

    under(abuse, tmp_path)


def test_more_connections_than_there_may_be(tmp_path: Path) -> None:
    async def abuse(port: int) -> None:
        for _ in range(3):
            async with crowd(port, 700, b"GET /-/healthy " + HEAD + b"\r\n"):
                await asyncio.sleep(0.2)

    under(abuse, tmp_path)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"GET /metrics " + HEAD + b"X: ", b"a"),
        (b"POST /-/reload " + HEAD + b"Content-Length: 60000\r\n\r\n", b"a"),
        (b"POST /metrics " + HEAD + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n", b"a"),
    ],
    ids=["head", "body", "chunks"],
)
def test_requests_that_come_a_byte_at_a_time(start: bytes, drop: bytes, tmp_path: Path) -> None:
    async def abuse(port: int) -> None:
        async with crowd(port, 200, start) as people:
            dribbling = asyncio.ensure_future(dribble(people, drop, 0.05))
            await asyncio.sleep(1.5)
            dribbling.cancel()

    under(abuse, tmp_path)


def test_clients_that_ask_for_much_and_read_nothing(tmp_path: Path) -> None:
    async def abuse(port: int) -> None:
        async with crowd(port, 100, (b"GET /metrics " + HEAD + b"\r\n") * 100) as people:
            for reader, _ in people:
                reader._transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(1.5)

    under(abuse, tmp_path, growth=2 * _GROWTH)


def test_as_many_requests_as_a_client_can_send(tmp_path: Path) -> None:
    async def abuse(port: int) -> None:
        end = asyncio.get_running_loop().time() + 3

        async def ask(paths: list[bytes]) -> int:
            answered = 0
            while asyncio.get_running_loop().time() < end:
                asked = b"".join(b"GET " + path + b" " + HEAD + b"\r\n" for path in paths * 5)
                last = b"GET /-/healthy " + HEAD + b"Connection: close\r\n\r\n"
                answered += len(await statuses(port, asked + last))
            return answered

        answered = await asyncio.gather(*(ask([b"/-/healthy", b"/metrics", b"/nothing"]) for _ in range(4)))
        assert sum(answered) > 500

    under(abuse, tmp_path)


def test_heads_and_bodies_that_are_too_large(tmp_path: Path) -> None:
    async def abuse(port: int) -> None:
        big = b"a" * 1_000_000
        for sent, status in (
            (b"GET /" + big, 414),
            (b"GET / " + HEAD + b"X: " + big, 431),
            (b"GET / " + HEAD + b"X: y\r\n" * 100_000, 431),
            (b"POST / " + HEAD + b"Content-Length: 1000000\r\n\r\n" + big, 413),
            (b"POST / " + HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n" + big, 413),
            (b"POST / " + HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + big, 413),
        ):
            for found in await asyncio.gather(*(statuses(port, sent) for _ in range(20))):
                assert found in ([status], [])

    under(abuse, tmp_path)


def test_strange_requests(tmp_path: Path) -> None:
    close = b"Connection: close\r\n\r\n"
    cases = [
        *((b"GET " + path + b" " + HEAD + close, {404}) for path in _PATHS_OF_NOTHING),
        *((b"GET " + path + b" " + HEAD + close, {400}) for path in (b"/\0", "/é".encode(), b"/?\xff", b"/\x7f")),
        *((method + b" /metrics " + HEAD + close, {405}) for method in (b"POST", b"PUT", b"DELETE", b"TRACE")),
        *((method + b" /metrics " + HEAD + close, {501}) for method in (b"BREW", b"get", b"CONNECT")),
        (b"GET /metrics HTTP/1.1\r\n\r\n", {400}),
        (b"GET /metrics?" + b"%00" * 1000 + b" " + HEAD + close, {200}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
        (bytes(range(256)) * 20, {400}),
        (b"GET / " + HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
        (b"GET /metrics " + HEAD + b"Accept: " + b"*/*;q=0.5," * 2000 + b"\r\n" + close, {200}),
        (b"GET /metrics " + HEAD + b"Authorization: Basic " + b"=" * 20_000 + b"\r\n" + close, {200}),
    ]

    async def abuse(port: int) -> None:
        for sent, expected in cases:
            assert set(await statuses(port, sent)) == expected, sent[:80]
        everything = b"".join(b"GET " + path + b" " + HEAD + b"\r\n" for path in _PATHS_OF_NOTHING[:-1] * 20)
        found = await statuses(port, everything + b"GET / " + HEAD + close)
        assert found == [404] * (len(_PATHS_OF_NOTHING[:-1]) * 20) + [200]

    under(abuse, tmp_path)


_PATHS_OF_NOTHING = (
    b"/../../etc/passwd",
    b"/..%2f..%2fetc/passwd",
    b"/static/../../../etc/passwd",
    b"/static/%2e%2e/%2e%2e/setup.py",
    b"/static/",
    b"//metrics",
    b"/metrics/",
    b"/metrics%00",
    b"/%00",
    b"/%c3%a9",
    b"/%ff%fe",
    b"/%",
    b"/%zz",
    b"/metrics;a=b",
    b"/-/healthy/..",
    b"/" + b"a/" * 4000,
)
