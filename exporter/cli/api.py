"""What the commands share that call Zoho themselves: settings, one session, and the report shape of their answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import SystemRandom
from typing import TYPE_CHECKING, Final, TypeVar

from exporter import __version__, logs
from exporter.clock import SystemClock
from exporter.report.model import Cell, Column, ColumnKind, Report
from exporter.settings import Settings

if TYPE_CHECKING:
    from exporter.zoho.session import Session

R = TypeVar("R")

API_SETTINGS: Final = ("api.*", "auth.*", "db", "log.*")
"""`db` is among them because the token cache lies beside the database by default."""

STATUS_COLUMNS: Final = (Column("agent_id"), Column("name"), Column("status"), Column("error"))


def call_api(settings: Settings, action: "Callable[[Session, float], Awaitable[R]]", *, requests: int = 1) -> R:
    """Run `action` with an open session and a deadline (monotonic seconds) that leaves room for so many requests.

    Raises ApiError.
    """
    from exporter.zoho.observer import SilentObserver
    from exporter.zoho.session import open_session

    async def run() -> R:
        clock = SystemClock()
        observer = SilentObserver()
        async with open_session(
            settings.api,
            settings.auth,
            clock=clock,
            observer=observer,
            version=__version__,
            remember_secret=logs.remember_secret,
        ) as session:
            # A refresh of the token and a retry may come before the answer; a minute's wait for the budget may too.
            return await action(session, clock.monotonic() + settings.api.timeout_s * (4 + 2 * requests) + 60)

    return asyncio.run(run())


async def retried(ask: Callable[[float], Awaitable[R]], deadline: float) -> R:
    """The answer of a read that may be repeated; `deadline` is a value of the monotonic clock. Raises ApiError."""
    from exporter.zoho.retries import with_retries

    return await with_retries(lambda: ask(deadline), clock=SystemClock(), deadline=deadline, random=SystemRandom())


def status_report(
    name: str, rows: Sequence[Mapping[str, Cell]], *, columns: Sequence[Column] = STATUS_COLUMNS, **meta: object
) -> Report:
    """The answer of a command that talks to Zoho; `meta` ending in `_at` is an instant."""
    return Report(
        meta={"report": name, **meta},
        columns=tuple(columns),
        rows=rows,
        meta_kinds={key: ColumnKind.INSTANT for key in meta if key.endswith("_at")},
    )
