"""One request being answered: the application's side of a connection (ASGI 3, HTTP)."""

import asyncio
import logging
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Scope

log: Final = logging.getLogger(__name__)

_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}
_BODILESS: Final = (204, 304)
_PIECE: Final = 256 * 1024
"""Larger bodies are handed over in pieces: a client that reads slowly must not cost a copy of a whole one."""
_END_OF_CHUNKS: Final = b"0\r\n\r\n"


class Line(Protocol):
    """What an answer needs of its connection."""

    @property
    def date(self) -> bytes:
        """The Date field, with its line end."""

    def write(self, data: bytes | memoryview) -> None:
        """Send, sooner or later."""

    async def drained(self) -> None:
        """Wait while the client takes less than is sent."""

    @property
    def last(self) -> bool:
        """Whether the connection ends with this answer."""

    def answered(self) -> None:
        """The answer is complete."""

    def abort(self) -> None:
        """Cut the connection: nothing else tells a client that what it has is not whole."""


class Answer:
    """Runs the application on one request, whose body has come whole before."""

    __slots__ = (
        "_asked",
        "_body",
        "_chunked",
        "_head",
        "_held",
        "_held_size",
        "_left",
        "_line",
        "_lost",
        "_scope",
        "_until_close",
        "complete",
    )

    def __init__(self, line: Line, scope: Scope, body: bytes) -> None:
        self._line = line
        self._scope = scope
        self._body: bytes | None = body
        self._head: Message | None = None
        self._chunked = False
        self._until_close = False
        self._left: int | None = None
        """What is still to come of a body whose length was told."""
        self._held: list[bytes] = []
        self._held_size = 0
        self._lost = False
        self._asked: asyncio.Future[None] | None = None
        self.complete = False

    @property
    def endless(self) -> bool:
        """Whether it ends when its client goes: a stream, which has no length, or what takes long to be made, where the
        application waits to be told that nobody wants it any more.
        """
        return self._chunked or self._until_close or (self._asked is not None and not self._asked.done())

    def lost(self) -> None:
        """The connection is gone."""
        self._lost = True
        self._wake()

    async def run(self, app: ASGIApp) -> None:
        """Answer. Whatever the application does, the connection is then usable or cut."""
        try:
            await app(self._scope, self._receive, self._send)
        except Exception:
            log.exception("a request could not be answered", extra={"fields": {"path": self._scope["path"]}})
        finally:
            if not (self.complete or self._lost):
                self._line.abort()

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        while not (self._lost or self.complete):
            self._asked = asyncio.get_running_loop().create_future()
            await self._asked
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._lost:
            return
        if message["type"] == "http.response.start":
            self._head = message
            return
        if self.complete:
            raise RuntimeError("a body was sent after its end")
        body, more = message.get("body", b""), message.get("more_body", False)
        head, self._head = self._head, None
        if head is not None:
            self._held.append(self._start(head, len(body), more=more))
        data = self._framed(body, more=more)
        if len(data) > _PIECE:
            await self._write_in_pieces(data)
        else:
            self._held.append(data)
            self._held_size += len(data)
            # What has a length leaves in one write, head and all: one more would cost a system call, or 40 ms where
            # Nagle's algorithm is on. A stream is sent as it comes.
            if not more or self._left is None or self._held_size > _PIECE:
                self._flush()
        if more:
            await self._line.drained()
        elif not self._lost:
            self.complete = True
            self._wake()
            self._line.answered()

    def _start(self, message: Message, size: int, *, more: bool) -> bytes:
        """The head; decides how the body is told from what comes after it (RFC 9112, section 6)."""
        status = message["status"]
        fields, length = _fields(tuple(map(tuple, message.get("headers", ()))))
        framing = b""
        if self._scope["method"] == "HEAD" or status in _BODILESS:
            pass
        elif length is not None:
            self._left = length
        elif not more:
            self._left = size
            framing = b"content-length: %d\r\n" % size
        elif self._scope["http_version"] == "1.1":
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        else:
            self._until_close = True
        if self._line.last:
            framing += b"connection: close\r\n"
        return b"".join((_STATUS_LINES[status], self._line.date, fields, framing, b"\r\n"))

    def _framed(self, body: bytes, *, more: bool) -> bytes:
        """What is sent of a part of the body."""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk if more else chunk + _END_OF_CHUNKS
        if self._left is None:
            return body if self._until_close else b""
        self._left -= len(body)
        if self._left < 0 or (self._left and not more):
            raise RuntimeError(f"a body and its Content-Length differ by {self._left} bytes")
        return body

    def _flush(self) -> None:
        data = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        if data:
            self._line.write(data)

    async def _write_in_pieces(self, data: bytes) -> None:
        self._flush()
        whole = memoryview(data)
        for begin in range(0, len(data), _PIECE):
            if self._lost:
                return
            self._line.write(whole[begin : begin + _PIECE])
            await self._line.drained()

    def _wake(self) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)


@lru_cache(maxsize=256)
def _fields(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, int | None]:
    """The lines of header fields, and the length that they tell. Most answers have the fields of one before."""
    length = None
    for name, value in fields:
        if name.lower() == b"content-length":
            length = int(value)
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    if lines.count(b"\n") != len(fields) or lines.count(b"\r") != len(fields):
        raise RuntimeError("a header field has a line end in it")
    return lines, length
