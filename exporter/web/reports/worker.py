"""What the process that makes reports does with a request: the forms of an answer, and the sentences of errors."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from exporter.clock import utc_text
from exporter.errors import DatabaseError, UsageError
from exporter.history.asking import Circumstances, Understood, understood
from exporter.history.reader import HistoryReader
from exporter.metrics.compress import crc32, gzip_member
from exporter.report.formats import csv_chunks, json_chunks
from exporter.report.model import Report
from exporter.web.api.query import Parameters, link, page_of
from exporter.web.reports import asked
from exporter.web.reports.context import Form, WorkerContext
from exporter.web.reports.frames import Task
from exporter.web.reports.request import PATHS, ReportReply, ReportRequest, refused

log: Final = logging.getLogger(__name__)

ROWS: Final = 1_000
"""The rows of a page if nobody says how many."""
TOO_LARGE: Final = (
    "this report needs more memory than one may have: ask for a shorter window (since, until), for fewer agents "
    "(agent, team), or for longer intervals (step)"
)
_WORTH_PACKING: Final = 1_000


def answered(task: Task, zone: ZoneInfo, forms: Mapping[str, Form] | None = None) -> ReportReply:
    """The answer, also if there is none; `zone` is the machine's. Raises MemoryError only."""
    request = task.request
    context = WorkerContext(task.now_ms, zone, task.classes, task.version)
    try:
        with HistoryReader.open(task.db) as reader:
            reply = (forms or FORMS)[request.form](reader, request, context)
    except UsageError as error:
        return refused(request.form, 400, asked.without_dashes(str(error)))
    except DatabaseError as error:
        return refused(request.form, 503, str(error))
    except MemoryError:
        raise
    except Exception:
        log.exception("a report failed")
        return refused(request.form, 500, "the report failed; the log of the exporter says why")
    return _packed(reply) if request.gzip else reply


def json_form(reader: HistoryReader, request: ReportRequest, context: WorkerContext) -> ReportReply:
    """A page of rows as the command line's `--format json` writes them, with `total`, `limit`, `offset` and `next`
    after all else in `meta`.
    """
    report, paging = _page(reader, request, context)
    report = replace(report, meta={**report.meta, **paging})
    return _reply(request.name, "json", "application/json", json_chunks(report))


def csv_form(reader: HistoryReader, request: ReportRequest, context: WorkerContext) -> ReportReply:
    """The same rows as `--format csv`; where the next ones are stands in the field Link (RFC 8288)."""
    report, paging = _page(reader, request, context)
    reply = _reply(request.name, "csv", "text/csv; charset=utf-8", csv_chunks(report))
    if paging["next"] is None:
        return reply
    return replace(reply, headers=(*reply.headers, ("link", f'<{paging["next"]}>; rel="next"')))


def page_form(reader: HistoryReader, request: ReportRequest, context: WorkerContext) -> ReportReply:
    """The page for people."""
    from exporter.web.pages.timeline import timeline_page  # templates take longer to load than a report to make

    return timeline_page(reader, request, context)


FORMS: Final[Mapping[str, Form]] = {"json": json_form, "csv": csv_form, "page": page_form}
"""How an answer can be written."""


def _page(reader: HistoryReader, request: ReportRequest, context: WorkerContext) -> tuple[Report, dict[str, object]]:
    """The rows of the page that is asked for, and what `meta` says of it."""
    texts = asked.read(request.name, request.asked)
    limit, offset = page_of(request.asked)
    limit = ROWS if limit is None else limit
    meant = understood(texts, Circumstances(context.now_ms, context.zone, context.classes))
    report = meant.answer(reader, request.name)
    total, end = len(report.rows), offset + limit
    paging: dict[str, object] = {
        "total": total,
        "limit": limit,
        "offset": offset,
        "next": _next(request, meant, end) if end < total else None,
    }
    return replace(report, rows=report.rows[offset:end]), paging


def _next(request: ReportRequest, meant: Understood, offset: int) -> str:
    """The address of the rows that follow: of the same window, however late they are fetched."""
    window = meant.question.window
    parameters: Parameters = {name: values for name, values in request.asked.items() if name != "offset"}
    return link(
        PATHS[request.name],
        parameters,
        since=utc_text(window.since),
        until=utc_text(window.until),
        tz=meant.question.zone.key,
        offset=offset,
    )


def _reply(name: str, ending: str, content_type: str, chunks: Iterable[str]) -> ReportReply:
    body = "".join(chunks).encode("utf-8", "replace")
    return ReportReply(200, content_type, body, (("content-disposition", f'inline; filename="{name}.{ending}"'),))


def _packed(reply: ReportReply) -> ReportReply:
    """The reply with its body as one gzip member, if that is worth it."""
    if len(reply.body) < _WORTH_PACKING:
        return reply
    body = gzip_member(b"", crc32(b""), 0, reply.body)
    return replace(reply, body=body, headers=(*reply.headers, ("content-encoding", "gzip")))
