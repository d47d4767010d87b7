"""The answer to a scrape."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.metrics.exposition import Body
from exporter.metrics.instruments import Instruments
from exporter.web.fields import field
from exporter.web.negotiation import Answer, negotiate
from exporter.web.routing import Endpoint


def scrapes(instruments: Instruments) -> Endpoint:
    """The endpoint of the metrics."""

    async def metrics(request: Request) -> Response:
        answer = negotiate(field(request, b"accept"), field(request, b"accept-encoding"))
        return Exposed(answer, instruments.scrape(answer.form, gzip=answer.gzip))

    return metrics


class Exposed(Response):
    """A body in pieces: nobody copies them, and a reader that is slow is waited for between two of them."""

    def __init__(self, answer: Answer, body: Body) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = [
            (b"content-type", answer.content_type.encode()),
            (b"vary", b"Accept, Accept-Encoding"),
            (b"content-length", b"%d" % body.length),
        ]
        if answer.gzip:
            self.raw_headers.append((b"content-encoding", b"gzip"))
        self._pieces = body.pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; to HEAD without the body."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        pieces = self._pieces if scope["method"] != "HEAD" else (b"",)
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1]})
