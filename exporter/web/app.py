"""The routes: metrics, health, readiness and the landing page."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.clock import Clock
from exporter.metrics.instruments import Instruments
from exporter.settings import WebSettings
from exporter.web.heartbeat import Heartbeat
from exporter.web.landing import LandingPage
from exporter.web.negotiation import negotiate
from exporter.web.paths import checked_telemetry_path

log: Final = logging.getLogger(__name__)

HEALTHY_PATH: Final = "/-/healthy"
READY_PATH: Final = "/-/ready"

_NO_STORE: Final = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class WebState:
    """What the routes show."""

    web: WebSettings
    instruments: Instruments
    clock: Clock
    heartbeat: Heartbeat
    version: str


def create_app(state: WebState) -> Starlette:
    """The application. Raises UsageError for a telemetry path that cannot be served."""
    telemetry_path = checked_telemetry_path(state.web.telemetry_path)
    handlers = {telemetry_path: "metrics", HEALTHY_PATH: "healthy", READY_PATH: "ready"}
    routes = [
        Route(telemetry_path, _metrics(state.instruments)),
        Route(HEALTHY_PATH, _healthy(state.heartbeat)),
        Route(READY_PATH, _ready(state.instruments)),
    ]
    if telemetry_path != "/":
        handlers["/"] = "landing"
        routes.append(Route("/", _landing(state)))
    state.instruments.requests.expect(*handlers.values())

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        beating = asyncio.create_task(state.heartbeat.run())
        try:
            yield
        finally:
            beating.cancel()

    app = Starlette(
        routes=routes,
        middleware=[Middleware(_Edge, handlers=handlers, answered=state.instruments.requests.answered)],
        exception_handlers={HTTPException: _refusal(telemetry_path)},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


_Handler = Callable[[Request], Awaitable[Response]]


def _metrics(instruments: Instruments) -> _Handler:
    async def metrics(request: Request) -> Response:
        answer = negotiate(_field(request, "accept"), _field(request, "accept-encoding"))
        headers = {"content-type": answer.content_type, "vary": "Accept, Accept-Encoding"}
        if answer.gzip:
            headers["content-encoding"] = "gzip"
        return Response(instruments.scrape(answer.form, gzip=answer.gzip), headers=headers)

    return metrics


def _healthy(heartbeat: Heartbeat) -> _Handler:
    async def healthy(_: Request) -> Response:
        if heartbeat.fresh:
            return PlainTextResponse("Healthy.\n", headers=_NO_STORE)
        late = f"Not healthy: the event loop has not turned for {heartbeat.age_s:.0f} seconds.\n"
        return PlainTextResponse(late, 503, headers=_NO_STORE)

    return healthy


def _ready(instruments: Instruments) -> _Handler:
    async def ready(_: Request) -> Response:
        if instruments.ready:
            return PlainTextResponse("Ready.\n", headers=_NO_STORE)
        return PlainTextResponse("Not ready: no poll has been complete yet.\n", 503, headers=_NO_STORE)

    return ready


def _landing(state: WebState) -> _Handler:
    page = LandingPage(state.version, state.web.telemetry_path, (HEALTHY_PATH, READY_PATH))

    async def landing(_: Request) -> Response:
        body = page.render(state.instruments.polling, state.clock.now_ms(), fresh=state.instruments.fresh)
        return HTMLResponse(body, headers={"content-security-policy": page.policy} | _NO_STORE)

    return landing


def _refusal(telemetry_path: str) -> Callable[[Request, Exception], Response]:
    """Errors as one sentence. Prometheus shows what it is told, and wants a content type that it knows."""

    def refusal(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = {
            404: f"Nothing is at this path; the metrics are at {telemetry_path}.",
            405: "Only GET and HEAD are answered here.",
        }.get(error.status_code, str(error.detail))
        return PlainTextResponse(f"{sentence}\n", error.status_code, headers=error.headers)

    return refusal


def _field(request: Request, name: str) -> str | None:
    """All fields of a name as one (RFC 9110, 5.3), None if there is none."""
    values = request.headers.getlist(name)
    return ",".join(values) if values else None


class _Edge:
    """Around all routes: counts the answers, and turns what nobody foresaw into a 500 without details."""

    def __init__(self, app: ASGIApp, handlers: dict[str, str], answered: Callable[[str, int], None]) -> None:
        self._app = app
        self._handlers = handlers
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        handler = self._handlers.get(scope["path"], "other")
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
                failed = PlainTextResponse("The exporter failed to answer; its log says why.\n", 500)
                await failed(scope, receive, watched)
