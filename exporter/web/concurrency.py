"""How many requests are answered at once (--web.max-requests)."""

from collections.abc import Container
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.refusals import NO_STORE, refusal

_RETRY: Final = {"retry-after": "1", **NO_STORE}


class ConcurrencyLimit:
    """`app`, asked at most so many things at once; who comes when all places are taken is told so at once.

    A place is taken until the client has taken its answer, all but the last quarter of a megabyte: bodies are what
    memory goes to. Stands behind the login: who may not ask takes no place from those who may.

    Scrapes give their place back as soon as their body is there, because all of them share its bytes; and a quarter of
    the places is theirs alone. Forty clients that took nothing of their answers once kept Prometheus out.
    """

    def __init__(self, app: ASGIApp, most: int, exempt: Container[str], scrapes: Container[str] = ()) -> None:
        """`most`: 0 for no limit. `exempt`: paths that are always answered, and take no place. `scrapes`: paths whose
        bodies are shared.
        """
        self._app = app
        self._most = most
        self._most_others = others(most)
        self._exempt = exempt
        self._scrapes = scrapes
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse to."""
        if not self._most or scope["type"] != "http" or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        scrape = scope["path"] in self._scrapes
        most = self._most if scrape else self._most_others
        if self._taken >= most:
            sentence = f"{most} requests are being answered, which is the most at once (--web.max-requests)."
            await refusal(scope["path"], 503, sentence, _RETRY)(scope, receive, send)
            return
        place = _Place(self)
        try:
            await self._app(scope, receive, place.given_back_at_start(send) if scrape else send)
        finally:
            place.give_back()


def others(most: int) -> int:
    """How many of the places what is no scrape may take: all but a quarter, rounded down."""
    return most - most // 4


class _Place:
    def __init__(self, limit: ConcurrencyLimit) -> None:
        self._limit: ConcurrencyLimit | None = limit
        limit._taken += 1

    def give_back(self) -> None:
        """Once, however often it is called."""
        if self._limit is not None:
            self._limit._taken -= 1
            self._limit = None

    def given_back_at_start(self, send: Send) -> Send:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.give_back()
            await send(message)

        return watched
