"""Runs the application on sockets until told to stop.

uvicorn leads the application through its life and stops in good order; what is said on a connection is our own, because
uvicorn limits neither the size of a head nor the time that it takes (`connection.py`).
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from exporter.web.serving.connections import Admit, Connections
from exporter.web.serving.limits import LIMITS, Limits
from exporter.web.serving.listen import BACKLOG
from exporter.web.serving.tls_listener import TlsListener


class _Listener(Protocol):
    def close(self) -> None: ...


async def serve(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    admit: Admit | None = None,
    refused: Callable[[int], None] | None = None,
    limits: Limits = LIMITS,
) -> None:
    """Serve `app` on bound stream sockets (TCP or unix) until `stop` is set; then finish what is being answered, but in
    a second or so. The sockets are closed at the end.

    `on_ready` is called once connections are accepted. With `tls` all sockets speak TLS. `admit` is asked about each
    connection, after its handshake and before any byte is answered; False cuts it. `refused` is told the status of each
    answer that `app` was not asked for, such as 400 and 431.
    """
    config = uvicorn.Config(
        app,
        loop="none",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        # What goes wrong in the application is logged there, once.
        log_level="critical",
        proxy_headers=False,
    )
    server = _Server(config, Connections(app, limits, admit, refused), tls, stop, on_ready)
    try:
        await server.serve(list(sockets))
    finally:
        server.abandon()


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        connections: Connections,
        tls: ssl.SSLContext | None,
        stop: asyncio.Event,
        on_ready: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._tls = tls
        self._stop = stop
        self._on_ready = on_ready
        self._sweeping: asyncio.Task[None] | None = None
        self._listeners: list[_Listener] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting, and say so."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            self.should_exit = True
            return
        self._listeners = [await self._listener(sock) for sock in sockets or ()]
        self._sweeping = asyncio.create_task(self._connections.sweep())
        self.started = True
        if self._on_ready is not None:
            self._on_ready()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn would look ten times a second."""
        await self._stop.wait()

    async def _listener(self, sock: socket.socket) -> _Listener:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # With Nagle's algorithm the end of a longer answer waits 40 ms for an acknowledgement. Connections inherit
            # this, and asyncio sets it only if it can see that the socket's protocol is TCP.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            return TlsListener(sock, self._connections.new, self._tls, self._connections.limits)
        return await asyncio.get_running_loop().create_server(self._connections.new, sock=sock, backlog=BACKLOG)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: uvicorn would raise them again after it has stopped, and end the program."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is being answered; cut what is not done in time. uvicorn would look ten times a second."""
        for listener in self._listeners:
            listener.close()
        for sock in sockets or ():
            sock.close()
        await self._connections.shut_down()
        self.abandon()
        await self.lifespan.shutdown()

    def abandon(self) -> None:
        """Cut the connections whose clients did not take their answer in time."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._connections.open):
            connection.cancel()
