"""The reports of the history: pure functions of what was read, each in a module of its own."""

from collections.abc import Mapping
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from exporter.history.facts import HistoryFacts
from exporter.history.reports.at import at
from exporter.history.reports.coverage import coverage
from exporter.history.reports.summary import summary
from exporter.history.reports.timeline import timeline
from exporter.history.reports.transitions import transitions
from exporter.history.window import Window
from exporter.report.model import Report


class HistoryReport(Protocol):
    """How every report is asked for."""

    def __call__(
        self, facts: HistoryFacts, window: Window, *, zone: ZoneInfo, now: int, statuses: frozenset[str] | None = None
    ) -> Report:
        """The report on `window`, which lies in the window that `facts` were read for.

        `now` (milliseconds since 1970-01-01 UTC) decides how far the latest stretch goes on; times are written in
        `zone`; `statuses` leaves out rows on other statuses. Instants and durations in the result are milliseconds.
        """
        ...


REPORTS: Final[Mapping[str, HistoryReport]] = {
    "timeline": timeline,
    "summary": summary,
    "at": at,
    "transitions": transitions,
    "coverage": coverage,
}
"""By the name of the command."""
