"""The board of polls made by hand, in a real Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from exporter.model import AVAILABLE, ERROR, OFFLINE, ON_CALL, Agent, Status
from tests.support.metrics import Polled
from tests.support.pages import Opened, Pages
from tests.support.web import Running, running

BANNER: Final = ".banner strong"


@asynccontextmanager
async def board(
    pages: Pages, polled: Polled, search: str = "", *, server: dict[str, Any] | None = None, **how: Any
) -> AsyncIterator[tuple[Opened, Running]]:
    """The board of what was polled, once it has its numbers."""
    async with (
        running(polled, **(server or {})) as served,
        pages.open(f"http://127.0.0.1:{served.port}/board{search}", **how) as opened,
    ):
        await opened.until("document.querySelectorAll('.tile').length > 0")
        yield opened, served


def published(polled: Polled, served: Running, statuses: dict[str, Status], agents: dict[str, Agent]) -> None:
    polled.poll(statuses, agents)
    served.state.updates.tell()


PEOPLE: Final = {
    "1": Agent("1", "Ann Lee", "Sales"),
    "2": Agent("2", "Bo Chan", "Support"),
    "3": Agent("3", "Cy Dahl", "Sales"),
    "4": Agent("4", "Di Eco", "Billing"),
    "5": Agent("5", "", ""),
}
FIRST: Final = {"1": AVAILABLE, "2": ON_CALL, "3": ON_CALL, "4": OFFLINE, "5": ERROR}


async def numbers(opened: Opened) -> dict[str, str]:
    """The big numbers."""
    words, counts = await opened.texts(".tile .word"), await opened.texts(".tile .count")
    return dict(zip(words, counts, strict=True))


async def groups(opened: Opened) -> dict[str, list[str]]:
    """The names under each heading, in their order."""
    found: list[tuple[str, list[str]]] = await opened.page.evaluate(
        """[...document.querySelectorAll('.group')].map((group) => [
            group.querySelector('h2 .word').textContent,
            [...group.querySelectorAll('.name')].map((name) => name.textContent),
        ])"""
    )
    return dict(found)
