"""What is asked of the process that makes reports, and what it answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

PATHS: Final[Mapping[str, str]] = {name: f"/api/v1/{name}" for name in ("timeline", "summary", "intervals", "coverage")}
"""Where the reports are served, by the names of `exporter.history.reports.REPORTS`."""
PAGE: Final = "page"
"""The form that is for people."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A report to be made."""

    name: str
    """A key of `exporter.history.reports.REPORTS`."""
    form: str
    """How the answer is written: a key of the worker's table of forms (`json`, `csv`, `page`)."""
    asked: Mapping[str, tuple[str, ...]]
    """The parameters of the query as they were sent, names without dashes; checked where the report is made."""
    gzip: bool = False
    """Whether a large body is to be compressed; the answer then says so in its headers."""


@dataclass(frozen=True, slots=True)
class ReportReply:
    """A whole answer over HTTP."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Reports(Protocol):
    """Makes reports without blocking the event loop."""

    async def ask(self, request: ReportRequest) -> ReportReply:
        """The answer; one with status 400 to 504 and a sentence if there is none. Never raises ExporterError."""
        ...


def refused(form: str, status: int, sentence: str, headers: tuple[tuple[str, str], ...] = ()) -> ReportReply:
    """Why there is no report, in one sentence: for a page as plain text, else as the JSON of the API."""
    if form == PAGE:
        return ReportReply(status, "text/plain; charset=utf-8", f"{sentence}\n".encode(), headers)
    body = json.dumps({"error": sentence}, ensure_ascii=False, separators=(",", ":"))
    return ReportReply(status, "application/json", body.encode("utf-8", "replace"), headers)
