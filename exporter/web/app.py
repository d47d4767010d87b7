"""The application: all routes, and the layers around them."""

from collections.abc import Callable, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from exporter.web.api.events import EVENTS_PATH
from exporter.web.api.routes import api
from exporter.web.concurrency import ConcurrencyLimit
from exporter.web.edge import Edge
from exporter.web.operations import HEALTHY_PATH, READY_PATH, operations
from exporter.web.pages.board import board
from exporter.web.pages.landing import landing
from exporter.web.pages.static import static_files
from exporter.web.pages.timeline.route import timeline
from exporter.web.paths import checked_telemetry_path
from exporter.web.refusals import API, refusal
from exporter.web.router import Router
from exporter.web.state import WebState


def create_app(state: WebState) -> ASGIApp:
    """The application. Raises UsageError for a telemetry path that cannot be served."""
    telemetry_path = checked_telemetry_path(state.web.telemetry_path)
    served = [*operations(state, telemetry_path), *api(state), *static_files(), board(state), timeline(state)]
    if telemetry_path != "/":
        served.append(landing(state, telemetry_path))
    handlers = {route.path: route.handler for route in served}
    state.instruments.requests.expect(*handlers.values())

    router = Router(served, _refused(telemetry_path, list(handlers)), state.heartbeat.run)
    # Behind the login: who may not ask takes no place from those who may.
    exempt = (HEALTHY_PATH, READY_PATH, EVENTS_PATH)
    limited = ConcurrencyLimit(router, state.web.max_requests, exempt, scrapes=(telemetry_path,))
    edge = Edge(state.security.protect(limited), handlers, state.instruments.requests.answered)
    return state.security.with_headers(edge)


def _refused(telemetry_path: str, paths: Sequence[str]) -> Callable[[Request, HTTPException], Response]:
    """Errors as one sentence."""
    apis = ", ".join(path for path in paths if path.startswith(API))

    def answer(request: Request, error: HTTPException) -> Response:
        path = request.scope["path"]
        allowed = (error.headers or {}).get("Allow", "")
        where = f"there are {apis}" if path.startswith(API) else f"the metrics are at {telemetry_path}"
        sentence = {
            404: f"Nothing is at this path; {where}.",
            405: f"This path answers {', '.join(sorted(allowed.split(', ')))} only.",
        }.get(error.status_code, str(error.detail))
        return refusal(path, error.status_code, sentence, error.headers)

    return answer
