"""An application behind a web configuration, over real TLS connections on loopback."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.protection.security import WebSecurity
from exporter.web.serving.listen import ListenAddress, bind
from exporter.web.serving.server import serve
from tests.support.asgi import says
from tests.support.certificates import Certificate

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
"""The event loops that the program runs on."""


def run_on(loop: str, coroutine: Coroutine[object, object, None]) -> None:
    """Run to the end on the named loop."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(coroutine)


class Served:
    """What listens."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"https://localhost:{port}"

    async def get(self, context: ssl.SSLContext, path: str = "/") -> httpx.Response:
        """A request on a connection of its own."""
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=10) as client:
            return await client.get(self.url + path)

    async def refuses(self, context: ssl.SSLContext) -> bool:
        """Whether a client with this context gets no byte of an answer."""
        try:
            await self.get(context)
        except httpx.TransportError:
            return True
        return False

    async def serial(self, context: ssl.SSLContext) -> str:
        """The serial number of the server's certificate, as a new connection sees it."""
        async with self.connected(context) as connection:
            return connection.serial

    @asynccontextmanager
    async def connected(self, context: ssl.SSLContext) -> AsyncIterator["Connected"]:
        """A connection that stays."""
        reader, writer = await asyncio.open_connection("localhost", self.port, ssl=context)
        try:
            yield Connected(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Connected:
    """One connection, to ask on again and again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def serial(self) -> str:
        """Of the server's certificate."""
        serial: str = self._writer.get_extra_info("peercert")["serialNumber"]
        return serial

    @property
    def cipher(self) -> tuple[str, str]:
        """OpenSSL's name of the cipher, and the version of TLS."""
        name, _, _ = self._writer.get_extra_info("cipher")
        return name, self._writer.get_extra_info("ssl_object").version()

    async def ask(self) -> bytes:
        """The status line of the answer to a GET."""
        self._writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 5)
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await asyncio.wait_for(self._reader.readexactly(length), 5)
        return head.split(b"\r\n", 1)[0]


@asynccontextmanager
async def serving(security: WebSecurity, app: ASGIApp | None = None) -> AsyncIterator[Served]:
    """`app` as the program would serve it, on a free port; stopped at the end."""
    sockets = bind([ListenAddress("127.0.0.1", 0)])
    port = sockets[0].getsockname()[1]
    stop, ready = asyncio.Event(), asyncio.Event()
    protected = security.with_headers(security.protect(_without_lifespan(app or says("here"))))
    serving = asyncio.create_task(serve(protected, sockets, stop, ready.set, tls=security.tls, admit=security.admit))
    try:
        await asyncio.wait_for(ready.wait(), 5)
        yield Served(port)
    finally:
        stop.set()
        await asyncio.wait_for(serving, 5)


def client_context(ca: Path, certificate: Certificate | None = None) -> ssl.SSLContext:
    """A client that trusts `ca` alone, and shows `certificate` if it is asked for one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    if certificate is not None:
        context.load_cert_chain(*certificate.pair)
    return context


@contextlib.contextmanager
def watching(
    security: WebSecurity, told: Callable[[bool], None] = lambda ok: None, *, every_s: float = 0.03
) -> Iterator[asyncio.Event]:
    """Rereads the files in no time when they change."""
    stop = asyncio.Event()
    task = asyncio.ensure_future(security.watch(stop, told, every_s=every_s))
    try:
        yield stop
    finally:
        stop.set()
        task.add_done_callback(lambda done: done.exception())


def _without_lifespan(app: ASGIApp) -> ASGIApp:
    """An application of one answer knows nothing of a lifespan."""

    async def with_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})

    return with_lifespan
