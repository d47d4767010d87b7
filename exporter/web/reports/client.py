"""The process that makes reports, as the event loop sees it."""

from pathlib import Path

from exporter.history.classes import Classes
from exporter.web.reports.request import ReportReply, ReportRequest


class ReportProcess:
    """Asks a process of its own for reports; it is started when the first one is asked for."""

    def __init__(self, db: Path, classes: Classes) -> None:
        self._db = db
        self._classes = classes

    async def ask(self, request: ReportRequest) -> ReportReply:
        """See `Reports`."""
        return ReportReply(503, "text/plain; charset=utf-8", b"Not built yet.\n")

    async def close(self) -> None:
        """End the process."""
