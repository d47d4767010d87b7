"""The reports of the history: pure functions of what was read, each in a module of its own."""

from collections.abc import Callable, Mapping
from typing import Final

from exporter.history.facts import HistoryFacts
from exporter.history.question import Question
from exporter.history.reports.at import at
from exporter.history.reports.coverage import coverage
from exporter.history.reports.intervals import intervals
from exporter.history.reports.long import long
from exporter.history.reports.matrix import matrix
from exporter.history.reports.occupancy import availability, occupancy
from exporter.history.reports.sessions import sessions
from exporter.history.reports.summary import summary
from exporter.history.reports.timeline import timeline
from exporter.history.reports.transitions import transitions
from exporter.report.model import Report

HistoryReport = Callable[[HistoryFacts, Question], Report]
"""How every report is asked for: from facts that were read for the question's window, or a wider one.

Instants and durations in the result are milliseconds.
"""

REPORTS: Final[Mapping[str, HistoryReport]] = {
    "timeline": timeline,
    "summary": summary,
    "at": at,
    "sessions": sessions,
    "intervals": intervals,
    "occupancy": occupancy,
    "availability": availability,
    "transitions": transitions,
    "matrix": matrix,
    "long": long,
    "coverage": coverage,
}
"""By the name of the command."""
