"""The process that makes reports, for tests: started for one test, ended with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter.history.classes import DEFAULT_CLASSES
from exporter.web.reports.client import Limits, ReportProcess
from exporter.web.reports.request import ReportRequest
from tests.support.metrics import Polled
from tests.support.web import Running, running

DAY = {"since": ("2025-03-04",), "until": ("2025-03-05",), "tz": ("Europe/Berlin",)}
"""The day of the sample history."""
COVERAGE = ReportRequest("coverage", "json", DAY)
"""A question that costs next to nothing."""
HARD = ReportRequest(
    "intervals", "json", {"since": ("2024-12-28",), "until": ("2025-03-05",), "step": ("1m",), "tz": ("UTC",)}
)
"""One that costs seconds and 60 MB: there are 96,480 minutes in 67 days."""


@asynccontextmanager
async def reporting(
    database: Path, *, environment: Mapping[str, str] | None = None, **limits: Any
) -> AsyncIterator[ReportProcess]:
    """Reports on a database; `limits` are fields of `Limits`."""
    process = ReportProcess(
        database, DEFAULT_CLASSES, environment=environment or {"TZ": "UTC"}, limits=Limits(**limits)
    )
    try:
        yield process
    finally:
        await process.close()


def with_reports(test: Callable[[Running], Awaitable[None]], database: Path, **limits: Any) -> None:
    """Run `test` against a served application that makes reports on a database."""

    async def run() -> None:
        async with reporting(database, **limits) as reports, running(Polled(), reports=reports) as server:
            await test(server)

    asyncio.run(run())
