"""Around all routes: counts the answers, and turns what nobody foresaw into a 500 without details."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.refusals import refusal

log: Final = logging.getLogger(__name__)

REFUSED: Final = "other"
"""The handler of what no handler answers."""


def failure(path: str) -> Response:
    """The answer when something failed that nobody foresaw."""
    return refusal(path, 500, "The exporter failed to answer; its log says why.")


class Edge:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, handlers: Mapping[str, str], answered: Callable[[str, int], None]) -> None:
        """`handlers`: path to handler's name; `answered` is told handler and status code of each answer."""
        self._app = app
        self._handlers = handlers
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        handler = self._handlers.get(scope["path"], REFUSED)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._answered(handler, message["status"])
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            log.exception("a request could not be answered", extra={"fields": {"handler": handler}})
            if not started:
                await failure(scope["path"])(scope, receive, watched)
