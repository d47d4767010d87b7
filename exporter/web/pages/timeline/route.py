"""Where the timeline page is served: it is made in the process that makes reports."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from exporter.errors import UsageError
from exporter.web.api.query import parameters
from exporter.web.api.reports import reply_or_gone, response
from exporter.web.fields import takes_gzip
from exporter.web.gate import personal
from exporter.web.pages.timeline.page import HTML, refused
from exporter.web.pages.timeline.view import Asked
from exporter.web.reports.request import PAGE, ReportReply, ReportRequest
from exporter.web.routing import Served
from exporter.web.state import WebState

TIMELINE_PATH: Final = "/timeline"


def timeline(state: WebState) -> Served:
    """The route of the page."""

    async def show(request: Request) -> Response:
        zipped = takes_gzip(request)
        try:
            asked = parameters(request.scope["query_string"])
        except UsageError as error:
            reply = refused(400, str(error), {})
        else:
            wanted = ReportRequest("timeline", PAGE, asked, gzip=zipped)
            # Who turns the pages fast leaves each before it is made: those would hold up the one that is looked at.
            made = await reply_or_gone(state.reports.ask(wanted), request.receive)
            if made is None:
                return response(None)
            reply = made if made.content_type == HTML else _as_page(made, asked)
        headers = {**dict(reply.headers), "content-type": reply.content_type, "vary": "Accept-Encoding"}
        return Response(reply.body, reply.status, headers)

    return Served(TIMELINE_PATH, "timeline", personal(state, show))


def _as_page(reply: ReportReply, asked: Asked) -> ReportReply:
    """A sentence, which is all there is if no page could be made, as a page with the form on it."""
    page = refused(reply.status, reply.body.decode("utf-8", "replace").strip(), asked)
    return ReportReply(page.status, page.content_type, page.body, (*reply.headers, *page.headers))
