"""What is asked of the process that makes reports, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A report to be made."""

    name: str
    """A key of `exporter.history.reports.REPORTS`."""
    form: str
    """How the answer is written: a key of the worker's table of forms (`json`, `csv`, `page`)."""
    asked: Mapping[str, tuple[str, ...]]
    """The parameters of the query as they were sent, names without dashes; checked where the report is made."""


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
        """The answer; one with status 400 to 503 and a sentence if there is none. Never raises ExporterError."""
        ...
