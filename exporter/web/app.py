"""The application: all routes, and the layers around them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from exporter.web.edge import Edge
from exporter.web.operations import operations
from exporter.web.pages.landing import landing
from exporter.web.paths import checked_telemetry_path
from exporter.web.state import WebState


def create_app(state: WebState) -> ASGIApp:
    """The application. Raises UsageError for a telemetry path that cannot be served."""
    telemetry_path = checked_telemetry_path(state.web.telemetry_path)
    served = operations(state, telemetry_path)
    if telemetry_path != "/":
        served.append(landing(state, telemetry_path))
    handlers = {route.path: route.handler for route in served}
    state.instruments.requests.expect(*handlers.values())

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        beating = asyncio.create_task(state.heartbeat.run())
        try:
            yield
        finally:
            beating.cancel()

    routes = [Route(route.path, route.endpoint, methods=list(route.methods)) for route in served]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refusal(telemetry_path)}, lifespan=lifespan)
    app.router.redirect_slashes = False
    return Edge(state.security.protect(app), handlers, state.instruments.requests.answered)


def _refusal(telemetry_path: str) -> Callable[[Request, Exception], Response]:
    """Errors as one sentence. Prometheus shows what it is told, and wants a content type that it knows."""

    def refusal(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        allowed = (error.headers or {}).get("Allow", "")
        sentence = {
            404: f"Nothing is at this path; the metrics are at {telemetry_path}.",
            405: f"This path answers {', '.join(sorted(allowed.split(', ')))} only.",
        }.get(error.status_code, str(error.detail))
        return PlainTextResponse(f"{sentence}\n", error.status_code, headers=error.headers)

    return refusal
