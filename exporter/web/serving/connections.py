"""All connections of a server: how many there may be, and how long each may take."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from starlette.types import ASGIApp

from exporter.web.serving.connection import Connection, State
from exporter.web.serving.limits import Limits
from exporter.web.serving.request_head import Refused

log: Final = logging.getLogger(__name__)

Admit = Callable[[asyncio.BaseTransport], bool]

_SPARED_S: Final = 1.0
"""A client in the middle of a request is given so long before its connection can be taken away for another."""
_FULL: Final = "There are too many connections; try again."


class Connections:
    """What connections share."""

    def __init__(
        self, app: ASGIApp, limits: Limits, admit: Admit | None = None, refused: Callable[[int], None] | None = None
    ) -> None:
        """`refused` is told the status of each answer that the application was not asked for."""
        self.app = app
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.open: set[Connection] = set()
        self.date = b""
        """The Date field, with its line end; exact to a sweep."""
        self.refused = refused or (lambda status: None)
        self._admit = admit
        self._empty = asyncio.Event()
        self._tell_time()

    def new(self) -> Connection:
        """A connection, before it is made."""
        return Connection(self)

    def enter(self, connection: Connection, transport: asyncio.BaseTransport) -> None:
        """Let a new connection in, if need be in place of the one that has waited longest for its client."""
        if self._admit is not None and not self._admit(transport):
            connection.abort()
            return
        self.open.add(connection)
        if len(self.open) > self.limits.connections:
            waiting = self._longest_waiting(connection)
            if waiting is None:
                connection.refuse(Refused(503, _FULL))
            elif waiting.state in (State.CLOSING, State.ANSWERING):
                waiting.abort()
            else:
                waiting.close()
        if len(self.open) > self.limits.connections + self.limits.leaving:
            self._cut_one_that_leaves()

    def leave(self, connection: Connection) -> None:
        """It is gone."""
        self.open.discard(connection)
        if not self.open:
            self._empty.set()

    async def shut_down(self) -> None:
        """End all connections after the answers at hand; at most as long as the limits say."""
        for connection in tuple(self.open):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.shutdown_s):
                while self.open:
                    self._empty.clear()
                    await self._empty.wait()

    async def sweep(self) -> None:
        """Look at all connections again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.limits.sweep_s)
            self._tell_time()
            now = self.loop.time()
            for connection in tuple(self.open):
                self._check(connection, now)

    def _check(self, connection: Connection, now: float) -> None:
        try:
            connection.check(now)
        except Exception:
            # One that cannot be looked at must not be the end of all time-outs.
            log.exception("a connection could not be looked at, and is cut")
            connection.abort()

    def _cut_one_that_leaves(self) -> None:
        """Clients decide how long a good-bye takes: of TLS ten seconds, or until an answer is taken."""
        leaving = [connection for connection in self.open if connection.state is State.CLOSING]
        if leaving:
            min(leaving, key=lambda connection: connection.since).abort()

    def _longest_waiting(self, new: Connection) -> Connection | None:
        now = self.loop.time()
        waiting = [connection for connection in self.open if connection is not new and _can_go(connection, now)]
        return min(waiting, key=Connection.waits_for_client_since, default=None)

    def _tell_time(self) -> None:
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode("ascii")


def _can_go(connection: Connection, now: float) -> bool:
    return connection.state in (State.NEW, State.IDLE) or now - connection.waits_for_client_since() > _SPARED_S
