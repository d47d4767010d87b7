"""How an answer gets onto the connection, with the faults that are a matter of bytes and time."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from exporter.clock import Clock
from exporter.simulator.kinds import Fault, FaultKind
from exporter.simulator.replies import Reply
from exporter.simulator.uvicorn_server import transport_of

_PIECES: Final = 40
_BLOCK: Final = 65_536
_DEFAULT_MEGABYTES: Final = 256
_DEFAULT_SECONDS: Final = 5.0


async def send_reply(send: Send, reply: Reply) -> None:
    """Send an answer as it is."""
    body = reply.encoded()
    await _start(send, reply, None if reply.status == 204 else len(body))
    await send({"type": "http.response.body", "body": body})


async def _start(send: Send, reply: Reply, length: int | None) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    headers.append((b"content-type", reply.content_type.encode()))
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request's connection, and what may end its waiting."""

    scope: Scope
    receive: Receive
    send: Send
    clock: Clock
    stopping: asyncio.Event
    cleared: Callable[[], Awaitable[None]]
    """Returns when the fault that hit this request is no longer on."""

    async def deliver(self, reply: Reply, fault: Fault | None) -> None:
        """Send the reply as the fault, if any, has it."""
        special = _DELIVERIES.get(fault.kind) if fault else None
        if special is None or fault is None:
            await send_reply(self.send, reply)
        else:
            await special(self, reply, fault)

    async def _slow(self, reply: Reply, fault: Fault) -> None:
        if await self._waited(self.clock.sleep(fault.seconds or _DEFAULT_SECONDS)):
            await send_reply(self.send, reply)

    async def _hang(self, reply: Reply, fault: Fault) -> None:
        until = self.clock.sleep(fault.seconds) if fault.seconds else self.cleared()
        if await self._waited(until):
            await send_reply(self.send, reply)

    async def _trickle(self, reply: Reply, fault: Fault) -> None:
        body = reply.encoded()
        await _start(self.send, reply, len(body))
        size = -(-len(body) // _PIECES) or 1
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        for piece in pieces:
            if not await self._waited(self.clock.sleep((fault.seconds or _DEFAULT_SECONDS) / len(pieces))):
                return
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
        await self.send({"type": "http.response.body", "body": b""})

    async def _reset(self, reply: Reply, fault: Fault) -> None:
        """With SO_LINGER at zero seconds the kernel answers the close with RST in place of FIN."""
        transport = transport_of(self.scope)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await self._gone()

    async def _close(self, reply: Reply, fault: Fault) -> None:
        await self._hang_up()

    async def _truncated(self, reply: Reply, fault: Fault) -> None:
        body = reply.encoded()
        await _start(self.send, reply, len(body) + 1_000)
        await self.send({"type": "http.response.body", "body": body[: -(-len(body) // 2)], "more_body": True})
        await self._hang_up()

    async def _false_gzip(self, reply: Reply, fault: Fault) -> None:
        await send_reply(self.send, replace(reply, headers=(*reply.headers, ("Content-Encoding", "gzip"))))

    async def _huge(self, reply: Reply, fault: Fault) -> None:
        """Well-formed JSON all the way, made as it is sent: it takes no memory here."""
        await _start(self.send, replace(reply, status=200), None)
        block = b'{"agentId":"1","onlineStatus":"Available"},' * (_BLOCK // 43)
        await self._block(b'{"code":"200","status":"SUCCESS","onlineStatus":[')
        for _ in range((fault.megabytes or _DEFAULT_MEGABYTES) * 1_000_000 // len(block)):
            if self.stopping.is_set() or transport_of(self.scope).is_closing():
                await self._hang_up()
                return
            await self._block(block)
            await asyncio.sleep(0)
        await self.send({"type": "http.response.body", "body": b"{}]}"})

    async def _block(self, block: bytes) -> None:
        await self.send({"type": "http.response.body", "body": block, "more_body": True})

    async def _hang_up(self) -> None:
        """Close after what was written; then wait until uvicorn knows, which else would complain of a short answer."""
        transport_of(self.scope).close()
        await self._gone()

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def _waited(self, until: Awaitable[None]) -> bool:
        """Wait; False, with the connection closed, if the client hung up first or the server stops."""
        waits = [asyncio.ensure_future(until), asyncio.ensure_future(self._gone()),
                 asyncio.ensure_future(self.stopping.wait())]  # fmt: skip
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            kept = waits[0].done() and not waits[1].done()
        finally:
            for wait in waits:
                wait.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*waits, return_exceptions=True)
        if not kept:
            transport_of(self.scope).abort()
            await self._gone()
        return kept


_Delivery = Callable[[Exchange, Reply, Fault], Any]
_DELIVERIES: Final[dict[FaultKind, _Delivery]] = {
    FaultKind.SLOW: Exchange._slow,
    FaultKind.HANG: Exchange._hang,
    FaultKind.TRICKLE: Exchange._trickle,
    FaultKind.RESET: Exchange._reset,
    FaultKind.CLOSE: Exchange._close,
    FaultKind.TRUNCATED: Exchange._truncated,
    FaultKind.FALSE_GZIP: Exchange._false_gzip,
    FaultKind.HUGE_BODY: Exchange._huge,
}
