"""From paths to endpoints: a dictionary, because every path here is exact.

Starlette's own router tries one pattern after the other, and wraps each request in layers for what is not used here:
that alone cost more than a whole scrape does now.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.routing import Served

Refused = Callable[[Request, HTTPException], Response]


class Router:
    """Calls what answers at the path, and runs `background` as long as the application lives."""

    def __init__(
        self, served: Iterable[Served], refused: Refused, background: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        """`refused` makes the answer of an HTTPException: 404, 405, and what an endpoint raises."""
        self._routes = {route.path: (_app(route, refused), _methods(route)) for route in served}
        self._refused = refused
        self._background = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or live."""
        if scope["type"] != "http":
            await self._live(receive, send)
            return
        if scope["path"] == "*":
            # OPTIONS for the server as a whole asks nothing of any path (RFC 9110, section 9.3.7).
            await Response(status_code=204, headers={"allow": "GET, HEAD"})(scope, receive, send)
            return
        route = self._routes.get(scope["path"])
        if route is None:
            error = HTTPException(404)
        elif scope["method"] in route[1]:
            await route[0](scope, receive, send)
            return
        else:
            error = HTTPException(405, headers={"Allow": ", ".join(sorted(route[1]))})
        await self._refused(Request(scope), error)(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        working = asyncio.ensure_future(self._background())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await send({"type": "lifespan.shutdown.complete"})


def _methods(route: Served) -> frozenset[str]:
    return frozenset({*route.methods, "HEAD"} if "GET" in route.methods else route.methods)


def _app(route: Served, refused: Refused) -> ASGIApp:
    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except HTTPException as error:
            response = refused(request, error)
        await response(scope, receive, send)

    return answered
