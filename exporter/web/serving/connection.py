"""One HTTP/1.1 connection: requests in order, each answered once it is whole, all within limits of time.

uvicorn's own protocols have no limits. A client that sends its body slowly holds no place among the requests that are
being answered, because the application is asked only when there is nothing more to wait for.
"""

import asyncio
import fcntl
import math
import sys
import termios
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

from starlette.types import ASGIApp

from exporter.web.serving.answer import Answer
from exporter.web.serving.limits import Limits
from exporter.web.serving.request_head import Refused
from exporter.web.serving.request_reader import Phase, Request, RequestReader

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_THROWN_AWAY: Final = 1024 * 1024
"""What a refused client may go on sending before it is cut off."""


class State(Enum):
    """What a connection waits for."""

    NEW = "the first byte"
    IDLE = "the next request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWERING = "the application"
    CLOSING = "the client's good-bye"


_READING: Final = {Phase.HEAD: State.HEAD, Phase.BODY: State.BODY}


class House(Protocol):
    """What a connection needs of those who hold all of them."""

    @property
    def app(self) -> ASGIApp: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def date(self) -> bytes:
        """The Date field, with its line end."""

    @property
    def refused(self) -> Callable[[int], None]:
        """Is told the status of each answer that the application was not asked for."""

    def enter(self, connection: "Connection", transport: asyncio.BaseTransport) -> None:
        """Let a new connection in, or end it."""

    def leave(self, connection: "Connection") -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """Between a transport and the application. Deadlines are looked at by `Connections.sweep`: no timer for each."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._limits = house.limits
        self._loop = house.loop
        self._reader: RequestReader | None = None
        self._transport: asyncio.Transport | None = None
        self._peer: dict[str, Any] = {}
        self._tls = False
        self.state = State.NEW
        self.since = 0.0
        """When it came into its state, in the loop's time."""
        self._deadline = math.inf
        self._answer: Answer | None = None
        self._task: asyncio.Task[None] | None = None
        self._ahead = b""
        self._last = False
        self._paused = False
        self._full: asyncio.Future[None] | None = None
        self._full_since = 0.0
        self._sent = 0
        self._taken = 0
        self._taken_at = 0.0
        self._thrown_away = 0

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask whether it is welcome before any byte is answered."""
        self._transport = cast("asyncio.Transport", transport)  # it is not under uvloop, but does all the same
        self._reader = RequestReader(self._limits)
        self._tls = transport.get_extra_info("sslcontext") is not None
        self._peer = {
            "type": "http",
            "asgi": _ASGI,
            "root_path": "",
            "scheme": "https" if self._tls else "http",
            "client": _address(transport.get_extra_info("peername")),
            "server": _address(transport.get_extra_info("sockname")),
        }
        self._now_in(State.NEW, self._limits.head_s)
        self._taken_at = self.since
        self._house.enter(self, transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget everything."""
        self._house.leave(self)
        self.state = State.CLOSING
        if self._answer is not None:
            self._answer.lost()
        self.resume_writing()
        self._reader = None  # it and its parser hold each other
        self._ahead = b""

    def eof_received(self) -> bool | None:
        """The client sends no more. Whether it still listens cannot be known; what is due is sent."""
        if self.state in (State.HEAD, State.BODY):
            self.refuse(Refused(400, "The request ended in the middle."))
        elif self.state is State.ANSWERING and self._answer is not None and not self._answer.endless:
            self._last = True
            return not self._tls  # TLS has no half-closed connections
        return None

    def data_received(self, data: bytes) -> None:
        """Some bytes, of any part of any number of requests."""
        if self.state is State.ANSWERING or (self.state is State.IDLE and self._full is not None):
            self._keep(data)
        elif self.state is State.CLOSING:
            self._thrown_away += len(data)
            if self._thrown_away > _THROWN_AWAY:
                self.abort()
        else:
            self._read(data)

    def pause_writing(self) -> None:
        """The transport holds enough that the client has not taken."""
        if self._full is None:
            self._full = self._loop.create_future()
            self._full_since = self._loop.time()

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)
        if self.state is State.IDLE:
            self._next()

    # Reading

    def _read(self, data: bytes) -> None:
        reader = self._reader
        assert reader is not None
        try:
            request, rest = reader.read(data)
        except Refused as refused:
            self.refuse(refused)
            return
        if request is not None:
            self._respond(request)
            if rest:
                self._keep(rest)
        elif (reading := _READING.get(reader.phase)) not in (None, self.state):
            assert reading is not None
            self._now_in(reading, self._limits.head_s if reading is State.HEAD else self._limits.body_s)
            if reader.wants_continue:
                self.write(_CONTINUE)

    def _keep(self, data: bytes) -> None:
        """Requests that came before the one at hand is answered."""
        assert self._transport is not None
        self._ahead += data
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if len(self._ahead) > self._limits.ahead_bytes:
            self._ahead = b""
            self._last = True

    def _go_on_reading(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # Answering

    def _respond(self, request: Request) -> None:
        self._now_in(State.ANSWERING, math.inf)
        if request.last:
            self._last = True
        scope = self._peer | request.about
        self._answer = Answer(self, scope, request.body)
        self._task = self._loop.create_task(self._answer.run(self._house.app))

    @property
    def date(self) -> bytes:
        """The Date field, with its line end."""
        return self._house.date

    @property
    def last(self) -> bool:
        """Whether the connection ends with the answer at hand."""
        return self._last

    def write(self, data: bytes | memoryview) -> None:
        """Send, sooner or later."""
        transport = self._transport
        # uvloop raises an error for one that was cut a moment ago.
        if transport is not None and not transport.is_closing():
            self._sent += len(data)
            transport.write(data)

    async def drained(self) -> None:
        """Wait while the client takes less than is sent."""
        if self._full is not None:
            await self._full

    def answered(self) -> None:
        """The answer is complete."""
        self._answer = None
        if self._last:
            self._say_goodbye(unread=self._paused)
            return
        self._now_in(State.IDLE, self._limits.idle_s)
        # Who asks again and again and reads nothing would else be answered into our memory.
        if self._full is None:
            self._next()

    def _next(self) -> None:
        if self._last:
            self._say_goodbye(unread=self._paused)
            return
        self._go_on_reading()
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            self._read(ahead)

    # Ending

    def waits_for_client_since(self) -> float:
        """Since when, in the loop's time, there is nothing to do but wait for what the client does; infinity: there is.

        A client that does not take its answer is waited for, too.
        """
        if self.state is not State.ANSWERING:
            return self.since
        return math.inf if self._full is None else self._full_since

    def refuse(self, refused: Refused) -> None:
        """Answer without asking the application, and end the connection."""
        self._house.refused(refused.status)
        body = f"{refused}\n".encode("ascii", "replace")
        self.write(
            b"HTTP/1.1 %d %b\r\n%bcontent-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b"
            % (refused.status, HTTPStatus(refused.status).phrase.encode("ascii"), self.date, len(body), body)
        )
        self._say_goodbye(unread=True)

    def close(self) -> None:
        """End the connection without a word."""
        self._say_goodbye(unread=False)

    def _say_goodbye(self, *, unread: bool) -> None:
        """Close. With bytes unread the system would tell the client of a fault before it has read the answer, so what
        it still sends is thrown away for a while (RFC 9112, section 9.6).
        """
        assert self._transport is not None
        self._ahead = b""
        self._now_in(State.CLOSING, self._limits.linger_s if unread else self._limits.taken_s)
        if not unread or self._transport.is_closing():
            self._transport.close()
            return
        self._go_on_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def abort(self) -> None:
        """Cut the connection, whatever it is doing."""
        self.state = State.CLOSING
        self._house.leave(self)
        if self._transport is not None:
            self._transport.abort()

    def shutdown(self) -> None:
        """The server stops: end after the answer at hand."""
        self._last = True
        if self.state is not State.ANSWERING:
            self.close()

    def cancel(self) -> None:
        """The server has stopped: end the answer at hand, too."""
        if self._task is not None:
            self._task.cancel()
        self.abort()

    def check(self, now: float) -> None:
        """End what takes too long; `now` is the loop's time."""
        assert self._transport is not None
        unsent = self._transport.get_write_buffer_size()
        taken = self._sent - unsent - (_in_the_kernel(self._transport) if unsent else 0)
        if not unsent or taken >= self._taken + self._limits.taken_bytes:
            self._taken, self._taken_at = taken, now
        elif now > self._taken_at + self._limits.taken_s:
            self.abort()
            return
        if now < self._deadline:
            return
        if self.state is State.CLOSING:
            self.abort()
        elif self.state in (State.HEAD, State.BODY):
            self.refuse(Refused(408, "The request took too long to come."))
        else:
            self.close()

    def _now_in(self, state: State, seconds: float) -> None:
        self.state = state
        self.since = self._loop.time()
        self._deadline = self.since + seconds


def _in_the_kernel(transport: asyncio.Transport) -> int:
    """What the system holds of what was sent, because the client has not acknowledged it. It asks for more only when a
    third of its megabytes is free; a client that takes little by little would look deaf without this.
    """
    sock = transport.get_extra_info("socket")
    try:
        held = fcntl.ioctl(-1 if sock is None else sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):  # it is being closed
        return 0
    return int.from_bytes(held, sys.byteorder)


def _address(name: object) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None
