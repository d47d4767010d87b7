"""Accepts TLS connections, with a limit for those that are still shaking hands.

asyncio's own servers know of a connection only when its handshake is over, and so does whoever counts them: clients
that never begin one would use up the process' file descriptors, and polls and history need some too.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from exporter.web.serving.limits import Limits

log: Final = logging.getLogger(__name__)

_AT_ONCE: Final = 64
"""Connections accepted in one turn of the loop."""
_NO_DESCRIPTORS_S: Final = 1.0
"""How long nothing is accepted when the system has no more file descriptors."""


class TlsListener:
    """What asyncio's Server is, for one listening socket."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        limits: Limits,
    ) -> None:
        self._sock = sock
        self._protocol = protocol
        self._context = context
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._accepting = True
        self._shaking: dict[asyncio.Task[None], None] = {}
        """Handshakes under way, the oldest first."""
        sock.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accept no more, and give up what is shaking hands."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock.fileno())
            for task in self._shaking:
                task.cancel()

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._accepting = True
            if len(self._shaking) >= self._limits.handshakes:
                next(iter(self._shaking)).cancel()
            task = self._loop.create_task(self._shake(connection))
            self._shaking[task] = None
            task.add_done_callback(self._shaken)

    def _pause(self, error: OSError) -> None:
        if self._accepting:
            self._accepting = False
            log.warning("no connection can be accepted for now", extra={"fields": {"error": error.strerror}})
        self._loop.remove_reader(self._sock.fileno())
        self._loop.call_later(_NO_DESCRIPTORS_S, self._listen)

    def _shaken(self, task: asyncio.Task[None]) -> None:
        del self._shaking[task]

    async def _shake(self, connection: socket.socket) -> None:
        """Hand the connection to a protocol of its own. A failed handshake is the client's matter: nobody needs to read
        of it but who looks for the reason.
        """
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(
                self._protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_s,
                ssl_shutdown_timeout=self._limits.handshake_s,
            )
        except OSError as error:
            log.debug("a TLS handshake failed", extra={"fields": {"error": str(error)}})
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
