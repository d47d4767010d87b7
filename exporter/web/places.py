"""How many requests are answered at once (--web.max-requests)."""

from collections.abc import Container

from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.refusals import refusal

_RETRY: dict[str, str] = {"retry-after": "1", "cache-control": "no-store"}


class Places:
    """`app`, asked at most so many things at once; who comes when all places are taken is told so at once.

    A place is taken until the client has taken its answer, all but the last quarter of a megabyte: bodies are what
    memory goes to. Stands behind the login: who may not ask takes no place from those who may.
    """

    def __init__(self, app: ASGIApp, most: int, exempt: Container[str]) -> None:
        """`most`: 0 for no limit. `exempt`: paths that are always answered, and take no place."""
        self._app = app
        self._most = most
        self._exempt = exempt
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse to."""
        if not self._most or scope["type"] != "http" or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        if self._taken >= self._most:
            sentence = f"{self._most} requests are being answered, which is the most at once (--web.max-requests)."
            await refusal(scope["path"], 503, sentence, _RETRY)(scope, receive, send)
            return
        self._taken += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._taken -= 1
