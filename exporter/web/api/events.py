"""`GET /api/v1/events`: tells when there is something new to be fetched (server-sent events, WHATWG HTML 9.2).

Nothing is queued for a slow reader: who is ready to read again is told the newest state, and none that came before.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.clock import first_of
from exporter.report.formats import json_text
from exporter.web.api.shown import Showing, Shown
from exporter.web.fields import disconnected
from exporter.web.refusals import refusal
from exporter.web.routing import Endpoint
from exporter.web.state import WebState

EVENTS_PATH: Final = "/api/v1/events"

_COMMENT_EVERY_S: Final = 15.0
"""So that no proxy takes the connection for dead, and a reader that is gone is noticed."""
_SHORTEST_WAIT_S: Final = 0.001
_MOST_STREAMS: Final = 100
_AT_ONCE: Final = 20
"""Readers told in one turn of the event loop, some 30 microseconds each: all at once would hold up a scrape."""
_HEADERS: Final = {
    "content-type": "text/event-stream",
    "x-accel-buffering": "no",  # nginx would else hold events back until its buffer is full
}


def events(state: WebState, showing: Showing) -> Endpoint:
    """What answers at `EVENTS_PATH`."""
    streams = _Streams(state, showing)

    async def answer(request: Request) -> Response:
        if request.scope["query_string"]:
            return refusal(request.scope["path"], 400, "this address takes no parameters")
        if request.method == "HEAD":
            return Response(headers=_HEADERS)
        if streams.open >= _MOST_STREAMS:
            sentence = f"{_MOST_STREAMS} event streams are open, and there can be no more: try again later"
            return refusal(request.scope["path"], 503, sentence, {"retry-after": "30"})
        return _EventStream(streams)

    return answer


class _Streams:
    """What all open streams share."""

    def __init__(self, state: WebState, showing: Showing) -> None:
        self._updates = state.updates
        self._clock = state.clock
        self._showing = showing
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.open = 0

    async def messages(self) -> AsyncIterator[bytes]:
        """One stream: ends when nothing more will be told."""
        yield b"retry: 1000\n\n"
        told: Shown | None = None
        comment_at = 0.0
        while not self._updates.closed:
            shown = self._showing.now()
            if shown is not told:
                yield _event(shown)
                told, comment_at = shown, self._clock.monotonic() + _COMMENT_EVERY_S
            elif self._clock.monotonic() >= comment_at:
                yield b": nothing new\n\n"
                comment_at = self._clock.monotonic() + _COMMENT_EVERY_S
            await first_of(self._updates.after(told.version), self._clock.sleep(self._pause_s(told, comment_at)))
            async with self._turns:
                await asyncio.sleep(0)

    def _pause_s(self, told: Shown, comment_at: float) -> float:
        """How long nothing is to be done if no poll ends: until the next comment, or until the agents are too old."""
        pause = comment_at - self._clock.monotonic()
        left = self._showing.seconds_left(told)
        return max(_SHORTEST_WAIT_S, pause if left is None else min(pause, left))


class _EventStream(Response):
    """An answer that goes on until the client leaves or the program stops."""

    def __init__(self, streams: _Streams) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is to be told. A server that cannot send yet makes `send` wait, and with it everything here."""
        self._streams.open += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await first_of(self._tell(send), disconnected(receive))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._streams.open -= 1

    async def _tell(self, send: Send) -> None:
        async for message in self._streams.messages():
            await send({"type": "http.response.body", "body": message, "more_body": True})


def _event(shown: Shown) -> bytes:
    return f"event: poll\nid: {shown.version}\ndata: {json_text(shown.meta())}\n\n".encode()
