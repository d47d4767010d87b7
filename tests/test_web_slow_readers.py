"""Clients that ask for much and take little of it: what is left for those who scrape."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from exporter.settings import WebSettings
from exporter.web.concurrency import ConcurrencyLimit, others
from exporter.web.serving.limits import Limits
from tests.support.serving import Serving, answers, served, serving, until
from tests.support.web import raw

BIG = 20_000_000
"""More than the system holds for a client that takes nothing."""


class Bodies:
    """Answers each path with a large body; counts who waits for its client."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.asked += 1
        size = BIG if scope["query_string"] == b"big" else 2
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        self.begun += 1
        await send({"type": "http.response.body", "body": b"x" * size})


@contextlib.asynccontextmanager
async def deaf(port: int, number: int, path: bytes) -> AsyncIterator[None]:
    """So many clients that ask for the path and take nothing of the answer."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as open_ones:
        for _ in range(number):
            sock = open_ones.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        yield


async def status(port: int, path: bytes) -> int:
    ((code, _, _),) = answers(await raw(port, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    return code


@pytest.mark.parametrize(("path", "answered"), [(b"/metrics?big", 8), (b"/timeline?big", 6)])
def test_clients_that_take_nothing_of_their_answers_keep_no_scrape_out(path: bytes, answered: int) -> None:
    async def check() -> None:
        bodies = Bodies()
        limited = ConcurrencyLimit(bodies, 8, exempt=(), scrapes=("/metrics",))
        async with serving(app=limited) as server, deaf(server.port, 8, path):
            await until(lambda: bodies.begun == answered)
            assert await status(server.port, b"/metrics") == 200
            # Of eight places six are for what is no scrape.
            assert await status(server.port, b"/timeline") == (200 if answered == 8 else 503)

    asyncio.run(check())


def test_scrapes_leave_nobody_out_who_takes_his_answer() -> None:
    async def check() -> None:
        bodies = Bodies()
        async with serving(app=ConcurrencyLimit(bodies, 1, exempt=(), scrapes=("/metrics",))) as server:
            for _ in range(3):
                assert await status(server.port, b"/metrics") == 200
                assert await status(server.port, b"/timeline") == 200

    asyncio.run(check())


def test_a_quarter_of_the_places_is_for_scrapes_alone() -> None:
    assert others(WebSettings().max_requests) == 30
    assert [others(most) for most in (1, 3, 4, 7, 8)] == [1, 3, 3, 6, 6]


def test_a_client_that_takes_nothing_gives_its_connection_up_for_one_that_asks() -> None:
    async def check(server: Serving) -> None:
        server.echo.body = b"x" * BIG
        async with deaf(server.port, 4, b"/big"):
            await until(lambda: server.echo.asked == ["/big"] * 4)
            # A client is given a second; whoever comes sooner is told to try again.
            async with asyncio.timeout(10):
                while await status(server.port, b"/plain") == 503:
                    await asyncio.sleep(0.1)
            assert server.refused == [503] * len(server.refused)

    served(check, Limits(connections=4, taken_s=60))


def test_an_answer_that_is_still_being_made_is_not_given_up_for_another() -> None:
    async def check(server: Serving) -> None:
        held = asyncio.ensure_future(raw(server.port, b"GET /held HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
        await until(lambda: server.echo.asked == ["/held"])
        await asyncio.sleep(1.2)  # longer than a client is spared
        assert await status(server.port, b"/plain") == 503
        server.echo.release.set()
        assert (await held).startswith(b"HTTP/1.1 200")

    served(check, Limits(connections=1))
