"""The timeline page of the known day in a browser: what its tests are run on."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from exporter.history.classes import DEFAULT_CLASSES
from exporter.web.reports.client import ReportProcess
from tests.support.clock import FakeClock
from tests.support.pages import Opened, Pages, browser_pages
from tests.support.timelines import DAY, LATER, write_known_day
from tests.support.web import Running, running

ANN = "[aria-label^='Ann,'] > .bar"
CAT = "[aria-label^='Cat,'] > .bar"


@dataclass(frozen=True)
class Rig:
    """A browser, and the known day served to it; one process makes the pages of all tests."""

    pages: Pages
    served: Running
    clock: FakeClock

    @asynccontextmanager
    async def open(self, now: int = LATER, **how: Any) -> AsyncIterator[Opened]:
        """The timeline of the known day as it looks at `now`; `asked` are other parameters."""
        query = urlencode({"date": DAY, "tz": "Europe/Berlin", **how.pop("asked", {})})
        self.clock.step(now - self.clock.now_ms())
        async with self.pages.open(f"http://127.0.0.1:{self.served.port}/timeline?{query}", **how) as opened:
            yield opened

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        self.pages.run(test)


@contextmanager
def rigged(folder: Path, record: Callable[[Path], Path] = write_known_day) -> Iterator[Rig]:
    """A history in `folder` that `record` writes, served, and a browser to look at it; skips where there is none."""
    db = record(folder / "history.db")
    clock = FakeClock(LATER)
    with browser_pages() as pages:
        stack = AsyncExitStack()
        pages.run(stack.__aenter__())
        reports = ReportProcess(db, DEFAULT_CLASSES, clock=clock)
        stack.push_async_callback(reports.close)
        served = pages.run(stack.enter_async_context(running(reports=reports)))
        try:
            yield Rig(pages, served, clock)
        finally:
            pages.run(stack.aclose())


async def told(opened: Opened) -> list[str]:
    """What is shown of the bar that the pointer or the keyboard is at, line by line; nothing if it is not shown."""
    return await opened.texts("#told:not([hidden]) p")


def asked_for(opened: Opened) -> dict[str, str]:
    """The parameters in the address bar."""
    return {name: values[0] for name, values in parse_qs(urlsplit(opened.page.url).query).items()}
