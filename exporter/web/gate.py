"""The gate before personal data."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from exporter.web.access import names_this_machine
from exporter.web.refusals import NO_STORE, refusal
from exporter.web.routing import Endpoint
from exporter.web.state import WebState

_STRANGE_HOST: Final = (
    "This address is served to this machine only, under its loopback names: ask for it as localhost or 127.0.0.1."
)


def personal(state: WebState, endpoint: Endpoint) -> Endpoint:
    """`endpoint`, answered only where personal data may be served; else 403 with the reason."""

    async def guarded(request: Request) -> Response:
        allowed = state.access()
        if not allowed.open:
            return refusal(request.scope["path"], 403, allowed.why_not, NO_STORE)
        if allowed.only_local_names and not names_this_machine(request.headers.get("host")):
            return refusal(request.scope["path"], 403, _STRANGE_HOST, NO_STORE)
        response = await endpoint(request)
        response.headers.update(NO_STORE)
        return response

    return guarded
