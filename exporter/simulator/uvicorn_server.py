"""uvicorn without its signal handlers, stopped from outside within a second, and with the connection in reach.

`Server.serve()` installs handlers for SIGINT and SIGTERM and raises the signal again when it has stopped: this program
handles signals itself, so `capture_signals` does nothing here. `serve(sockets=…)` is the public way in.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "zohovoice.connection"
_GRACE_S = 0.3
"""How long requests in progress may take to end once the server stops; what is left is cut off."""


class ConnectionProtocol(HttpToolsProtocol):
    """Hands the transport of a request to the application, for faults below HTTP."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}


def transport_of(scope: Scope) -> asyncio.Transport:
    """The connection on which a request came."""
    transport: asyncio.Transport = scope["extensions"][_EXTENSION]["transport"]  # not a subclass of it under uvloop
    return transport


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def cut_off(self) -> None:
        """Close every connection without ado."""
        self.force_exit = True
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Serve `app` on a listening socket while the context lasts; sets `stopping` first when it ends."""
    config = uvicorn.Config(
        app,
        http=ConnectionProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=65,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if running.done():
            await running
        yield
    finally:
        stopping.set()
        server.should_exit = True
        await asyncio.wait({running}, timeout=_GRACE_S)
        if not running.done():
            server.cut_off()
        await running
