"""What Prometheus, probes and operators ask for: metrics, health, readiness, configuration, reload."""

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.errors import ExporterError
from exporter.metrics.instruments import Instruments
from exporter.web.heartbeat import Heartbeat
from exporter.web.refusals import NO_STORE
from exporter.web.routing import Endpoint, Served
from exporter.web.scrapes import scrapes
from exporter.web.state import WebState

HEALTHY_PATH: Final = "/-/healthy"
READY_PATH: Final = "/-/ready"
RELOAD_PATH: Final = "/-/reload"
CONFIG_PATH: Final = "/config"

_NO_LIFECYCLE: Final = "Reloading by HTTP is off: --web.enable-lifecycle turns it on; SIGHUP reloads in any case.\n"


def operations(state: WebState, telemetry_path: str) -> list[Served]:
    """The routes of this room."""
    return [
        Served(telemetry_path, "metrics", scrapes(state.instruments)),
        Served(HEALTHY_PATH, "healthy", _healthy(state.heartbeat)),
        Served(READY_PATH, "ready", _ready(state.instruments)),
        Served(CONFIG_PATH, "config", _config(state)),
        Served(RELOAD_PATH, "reload", _reload(state), ("POST",)),
    ]


def _healthy(heartbeat: Heartbeat) -> Endpoint:
    async def healthy(_: Request) -> Response:
        if heartbeat.fresh:
            return PlainTextResponse("Healthy.\n", headers=NO_STORE)
        late = f"Not healthy: the event loop has not turned for {heartbeat.age_s:.0f} seconds.\n"
        return PlainTextResponse(late, 503, headers=NO_STORE)

    return healthy


def _ready(instruments: Instruments) -> Endpoint:
    async def ready(_: Request) -> Response:
        if instruments.ready:
            return PlainTextResponse("Ready.\n", headers=NO_STORE)
        return PlainTextResponse("Not ready: no poll has been complete yet.\n", 503, headers=NO_STORE)

    return ready


def _config(state: WebState) -> Endpoint:
    async def config(_: Request) -> Response:
        return PlainTextResponse(state.config_text(), headers=NO_STORE)

    return config


def _reload(state: WebState) -> Endpoint:
    """Without --web.enable-lifecycle it answers 403, as Prometheus and its Pushgateway do: 404 would leave people to
    guess whether the path is wrong, the version old, or something switched off."""

    async def reload(_: Request) -> Response:
        if not state.web.enable_lifecycle:
            return PlainTextResponse(_NO_LIFECYCLE, 403, headers=NO_STORE)
        try:
            await state.reload()
        except ExporterError as error:
            return PlainTextResponse(f"Nothing was reloaded: {error}\n", 500, headers=NO_STORE)
        return PlainTextResponse("Reloaded.\n", headers=NO_STORE)

    return reload
