"""The server with a small application of its own, to be talked to in bytes."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.serving.limits import LIMITS, Limits
from exporter.web.serving.listen import ListenAddress, bind
from exporter.web.serving.request_head import Refused
from exporter.web.serving.request_reader import Request, RequestReader
from exporter.web.serving.server import serve


@dataclass
class Echo:
    """Answers with what it was asked; counts what it was asked for."""

    asked: list[str] = field(default_factory=list)
    body: bytes = b""
    """What /big answers."""
    gone: int = 0
    """Streams whose clients went away."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    """What /held waits for."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        message = await receive()
        assert message["type"] == "http.request"
        assert not message["more_body"]
        path = scope["path"]
        self.asked.append(path)
        if path == "/stream":
            await self._stream(receive, send)
            return
        if path == "/held":
            await self.release.wait()
        seen = {
            "method": scope["method"],
            "path": path,
            "query": scope["query_string"].decode("latin-1"),
            "host": [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"],
            "body": message["body"].decode("latin-1"),
        }
        answer = self.body if path == "/big" else json.dumps(seen).encode()
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        waiting = asyncio.ensure_future(receive())
        released = asyncio.ensure_future(self.release.wait())
        await asyncio.wait([waiting, released], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            assert waiting.result() == {"type": "http.disconnect"}
            self.gone += 1
        waiting.cancel()
        released.cancel()
        await send({"type": "http.response.body", "body": b"two"})


@dataclass
class Serving:
    """A server that answers."""

    port: int
    echo: Echo
    refused: list[int]
    """The statuses of what the application was not asked for."""


@contextlib.asynccontextmanager
async def serving(
    limits: Limits = LIMITS,
    *,
    app: ASGIApp | None = None,
    tls: ssl.SSLContext | None = None,
    admit: Callable[[asyncio.BaseTransport], bool] | None = None,
    listener: socket.socket | None = None,
) -> AsyncIterator[Serving]:
    """The server on a free port of loopback, or on `listener`; stopped at the end."""
    sock = listener or bind([ListenAddress("127.0.0.1", 0)])[0]
    port = sock.getsockname()[1] if sock.family != socket.AF_UNIX else 0
    echo, refused = Echo(), list[int]()
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(
        serve(app or echo, [sock], stop, ready.set, tls=tls, admit=admit, refused=refused.append, limits=limits)
    )
    try:
        await asyncio.wait({running, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        yield Serving(port, echo, refused)
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
"""The event loops that the program runs on: the second where it is installed."""


def served(
    test: Callable[[Serving], Awaitable[None]],
    limits: Limits = LIMITS,
    *,
    tls: ssl.SSLContext | None = None,
    loop: str = "uvloop",
) -> None:
    """Run `test` against the server."""

    async def run() -> None:
        async with serving(limits, tls=tls) as server:
            await test(server)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(run())


def answers(received: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Status, header fields (names in lower case) and body of each answer in a row; each must have a length."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, head
        line, *fields = head.decode("ascii").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in fields)}
        length = int(headers.get("content-length", "0"))
        assert len(received) >= length, received
        found.append((int(status), headers, received[:length]))
        received = received[length:]
    return found


def whole(pieces: list[bytes]) -> list[Request | int]:
    """What a reader makes of these bytes: the requests, and the status of the refusal that ends them."""
    reader, found, rest = RequestReader(LIMITS), list[Request | int](), b""
    try:
        for piece in pieces:
            rest = piece
            while rest:
                one, rest = reader.read(rest)
                if one is not None:
                    found.append(one)
    except Refused as refused:
        found.append(refused.status)
    return found


async def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until `holds` says yes."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
