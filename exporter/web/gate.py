"""The gate before personal data."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.web.access import names_this_machine
from exporter.web.routing import Endpoint
from exporter.web.state import WebState

_STRANGE_HOST = (
    "This address is served to this machine only, under its loopback names: ask for it as localhost or 127.0.0.1.\n"
)


def personal(state: WebState, endpoint: Endpoint) -> Endpoint:
    """`endpoint`, answered only where personal data may be served; else 403 with the reason."""

    async def guarded(request: Request) -> Response:
        allowed = state.access()
        if not allowed.open:
            return PlainTextResponse(allowed.why_not + "\n", 403, headers={"cache-control": "no-store"})
        if allowed.only_local_names and not names_this_machine(request.headers.get("host")):
            return PlainTextResponse(_STRANGE_HOST, 403, headers={"cache-control": "no-store"})
        response = await endpoint(request)
        response.headers["cache-control"] = "no-store"
        return response

    return guarded
