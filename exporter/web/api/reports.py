"""`GET /api/v1/{timeline,summary,intervals,coverage}`: what the commands of the same names say, as JSON or CSV."""

import asyncio
from collections.abc import Coroutine
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from exporter.errors import UsageError
from exporter.quoting import shown
from exporter.web.api.query import Parameters, parameters
from exporter.web.fields import disconnected, field, takes_gzip
from exporter.web.negotiation import preferred
from exporter.web.refusals import refusal
from exporter.web.reports.request import ReportReply, ReportRequest, Reports
from exporter.web.routing import Endpoint

_FORMS: Final = {"json": "application/json", "csv": "text/csv"}
"""The values of `format`; without it Accept decides."""


def report(reports: Reports, name: str) -> Endpoint:
    """What answers at the path of a report."""

    async def answer(request: Request) -> Response:
        try:
            asked = parameters(request.scope["query_string"])
            form = _form(asked, field(request, b"accept"))
        except UsageError as error:
            return refusal(request.scope["path"], 400, str(error))
        wanted = ReportRequest(name, form, asked, takes_gzip(request))
        return response(await reply_or_gone(reports.ask(wanted), request.receive))

    return answer


async def reply_or_gone(asking: Coroutine[object, object, ReportReply], receive: Receive) -> ReportReply | None:
    """The reply; None, and the question is given up, if the client leaves before it is there."""
    asked, gone = asyncio.ensure_future(asking), asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
        return asked.result() if asked.done() else None
    finally:
        for task in (asked, gone):
            task.cancel()
        await asyncio.wait((asked, gone))


def response(reply: ReportReply | None) -> Response:
    """The reply as it is sent; what becomes of None nobody sees."""
    if reply is None:
        return Response(status_code=503)
    headers = {"vary": "Accept, Accept-Encoding", **dict(reply.headers), "content-type": reply.content_type}
    return Response(reply.body, reply.status, headers)


def _form(asked: Parameters, accept: str) -> str:
    if "format" not in asked:
        media_type = preferred(accept, tuple(_FORMS.values()))
        return next(form for form, type_ in _FORMS.items() if type_ == media_type)
    texts = asked["format"]
    if len(texts) > 1:
        raise UsageError(f"format stands there {len(texts)} times: give it once")
    if texts[0] not in _FORMS:
        raise UsageError(f"format {shown(texts[0])} is none of those there are: give one of {', '.join(_FORMS)}")
    return texts[0]
