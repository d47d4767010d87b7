"""Clients that no server likes, for loads that end by themselves."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

HEAD = b"HTTP/1.1\r\nHost: localhost\r\n"

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")

Crowd = list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]


@contextlib.asynccontextmanager
async def crowd(port: int, number: int, sent: bytes = b"") -> AsyncIterator[Crowd]:
    """So many connections, on each of which `sent` was sent; cut at the end."""
    people: Crowd = []
    try:
        for _ in range(number):
            people.append(await asyncio.open_connection("127.0.0.1", port))
        for _, writer in people:
            writer.write(sent)
        yield people
    finally:
        for _, writer in people:
            writer.transport.abort()


async def dribble(people: Crowd, byte: bytes, pause_s: float) -> None:
    """Send one byte on each connection now and then, until cancelled."""
    while True:
        for _, writer in people:
            if not writer.is_closing():
                writer.write(byte)
        await asyncio.sleep(pause_s)


async def statuses(port: int, sent: bytes | Sequence[bytes], *, seconds: float = 5.0) -> list[int]:
    """The statuses of all answers until the server closes; a connection that it cuts is as good."""
    answer = bytearray()
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for some in [sent] if isinstance(sent, bytes) else sent:
                    writer.write(some)
                    await writer.drain()
                while some := await reader.read(1 << 16):
                    answer += some
            finally:
                writer.transport.abort()
    return [int(status) for status in _STATUS.findall(answer)]


@dataclass
class Watch:
    """Scrapes now and then, as Prometheus does, and keeps what it saw."""

    port: int
    path: str = "/metrics"
    seconds: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def run(self, every_s: float) -> None:
        """Scrape until cancelled; each scrape on a kept connection, or a new one if that was closed."""
        began = time.monotonic()
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                while not reader.at_eof():
                    await self._scrape(reader, writer)
                    self.seconds.append(time.monotonic() - began)
                    await asyncio.sleep(every_s)
                    began = time.monotonic()
            except (ConnectionError, asyncio.IncompleteReadError):
                continue  # it was closed while nothing was asked on it, as any server may
            finally:
                # A writer that is forgotten while its connection is open is a warning, and that fails a test: it did
                # whenever the server took the place of this connection for another, and the collector then came by.
                writer.transport.abort()

    async def _scrape(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET %b %bAccept-Encoding: identity\r\n\r\n" % (self.path.encode("ascii"), HEAD))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.bodies.append(await reader.readexactly(length))

    @property
    def slowest(self) -> float:
        """In seconds."""
        return max(self.seconds)


@contextlib.asynccontextmanager
async def watched(port: int, every_s: float = 0.05) -> AsyncIterator[Watch]:
    """Scrapes going on meanwhile; fails if one of them does."""
    watch = Watch(port)
    running = asyncio.ensure_future(watch.run(every_s))
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()
