"""What every form of an answer is made with, in the process that makes reports."""

from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from exporter.history.classes import Classes
from exporter.history.reader import HistoryReader
from exporter.web.reports.request import ReportReply, ReportRequest


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What an answer depends on beside the request and the history."""

    now_ms: int
    """The present: milliseconds UTC, read once for the whole answer."""
    zone: ZoneInfo
    """The machine's zone, for who names none."""
    classes: Classes
    version: str
    """Of this program."""


Form = Callable[[HistoryReader, ReportRequest, WorkerContext], ReportReply]
"""Writes an answer. Raises UsageError for what was asked wrongly, DatabaseError if the history cannot be read."""
