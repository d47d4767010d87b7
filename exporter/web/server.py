"""Runs the application on sockets until told to stop: uvicorn without its signals, its log and its headers."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Sequence
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_KEEP_ALIVE_S: Final = 75
"""Longer than the usual scrape intervals, so that Prometheus keeps its connection."""
_SHUTDOWN_S: Final = 1


async def serve(
    app: ASGIApp, sockets: Sequence[socket.socket], stop: asyncio.Event, on_ready: Callable[[], None] | None = None
) -> None:
    """Serve `app` on bound `sockets` until `stop` is set; then finish what is being answered, but in a second or so.

    `on_ready` is called once connections are accepted. The sockets are closed at the end.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="none",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        # What goes wrong in the application is logged there, once; a client's rubbish is not worth a line each time.
        log_level="critical",
        access_log=False,
        # Who asks is never taken from a header that anybody can send.
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    for sock in sockets:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Head and body are two writes; with Nagle's algorithm the second waits 40 ms for an acknowledgement.
            # Connections inherit this, and asyncio sets it only if it can see that the socket's protocol is TCP.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = _Server(config, on_ready)
    serving = asyncio.ensure_future(server.serve(list(sockets)))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        try:
            await serving
        finally:
            server.abandon()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting, and say so."""
        await super().startup(sockets)
        if self._on_ready is not None and self.started:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: uvicorn would raise them again after it has stopped, and end the program."""
        yield

    def abandon(self) -> None:
        """Drop the connections whose clients did not take their answer in time."""
        for connection in tuple(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
