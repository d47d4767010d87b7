"""The pages in a real Chromium, driven by Playwright: opened as people have them, with all complaints collected."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from exporter.clock import SystemClock
from tests.support.clock import HeldClock
from tests.support.metrics import Polled
from tests.support.programs import program

PATIENCE_MS: Final = 10_000
PHONE: Final = (320, 640)
DESKTOP: Final = (1280, 800)
WALL: Final = (3840, 2160)
_ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

BESIDE: Final = """([drawing, scroll]) => {
    const wide = document.querySelector(`${drawing} .wide`);
    wide.scrollLeft = scroll * (wide.scrollWidth - wide.clientWidth);
    wide.scrollIntoView({block: "center"});
    const panel = wide.querySelector(".panel");
    const names = [...panel.querySelectorAll(".names text")];
    const lanes = [...panel.querySelectorAll(".picture:not(.names) > g:not(.axis):has(.bar)")];
    return names.map((name, at) => {
        const box = name.getBoundingClientRect();
        const bar = lanes[at].querySelector(".outline").getBoundingClientRect();
        const middle = (box.top + box.bottom) / 2;
        return {
            name: name.textContent, left: box.left, right: box.right, middle,
            lane: lanes[at].getAttribute("aria-label"), bars: (bar.top + bar.bottom) / 2,
            onTop: panel.querySelector(".names").contains(document.elementFromPoint(box.right - 1, middle)),
        };
    });
}"""
"""A script: scrolls the picture in an element to a share of its way; where the names and the lanes are then."""

_GIVEN_UP: Final = "net::ERR_ABORTED"
"""What a request has come to that the page itself ended, by being left for instance."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Opened:
    """A page, and what the browser had to complain of since it was opened."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, exceptions that nobody caught, requests that failed or were refused."""
    requests: list[str] = field(default_factory=list)
    """Every address that was asked for."""

    async def violations(self) -> list[str]:
        """What axe-core finds: each rule that is broken, with the elements that break it."""
        # Animations are over then: a colour on its way would be measured.
        await self.page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => 0)))")
        found = (await Axe().run(self.page)).response["violations"]
        return [f"{one['id']}: {[node['html'][:200] for node in one['nodes']]}" for one in found]

    async def texts(self, selector: str) -> list[str]:
        """The text of all elements, as it is seen, in one line each."""
        return [" ".join(text.split()) for text in await self.page.locator(selector).all_inner_texts()]

    async def until(self, expression: str, argument: object = None, *, seconds: float = 10) -> None:
        """Wait until a script's expression, or its function of `argument`, is true.

        Asked for from here: Playwright's own waiting evaluates a string in the page, which its policy forbids.
        """
        try:
            async with asyncio.timeout(seconds):
                while not await self.page.evaluate(expression, argument):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"this never came to be: {expression} {await self.texts('body')}") from None

    async def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wide: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wide

    async def focused(self) -> str:
        """What the keyboard is at: its element's name and text or value."""
        text: str = await self.page.evaluate(
            "(e => `${e.localName} ${e.value || e.innerText || e.id}`.trim())(document.activeElement)"
        )
        return text


class Pages:
    """A browser and the event loop that it and the servers of a test module share."""

    def __init__(self, runner: asyncio.Runner, browser: Browser) -> None:
        self._runner = runner
        self._browser = browser

    def run(self, test: Coroutine[Any, Any, T]) -> T:
        """Run a test to its end."""
        return self._runner.run(test)

    @asynccontextmanager
    async def open(
        self,
        url: str = "",
        *,
        size: tuple[int, int] = DESKTOP,
        scheme: Literal["light", "dark"] = "light",
        motion: Literal["no-preference", "reduce"] = "no-preference",
        forced_colors: Literal["active", "none"] = "none",
        javascript: bool = True,
        timezone: str = "UTC",
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Opened]:
        """`url` in a window of its own, with nothing left from other tests; "" leaves it empty."""
        context = await self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            reduced_motion=motion,
            forced_colors=forced_colors,
            java_script_enabled=javascript,
            timezone_id=timezone,
            locale="en-GB",
            extra_http_headers=dict(headers or {}),
        )
        context.set_default_timeout(PATIENCE_MS)
        try:
            opened = Opened(await context.new_page())
            _listen(opened)
            if url:
                await opened.page.goto(url)
            yield opened
        finally:
            await context.close()


class RunningClock(SystemClock, HeldClock):
    """The clocks of this machine, which nobody can move."""

    def __init__(self) -> None:
        HeldClock.__init__(self)

    def pass_time(self, seconds: float) -> None:
        """Time passes by itself."""


class PolledNow(Polled):
    """Polls made by hand at the instant that it is, which is what a browser's clock says too."""

    def __init__(self) -> None:
        super().__init__(clock=RunningClock())


@contextmanager
def browser_pages() -> Iterator[Pages]:
    """A Chromium for the tests of one module; skips them where there is none."""
    chromium = program("chromium", "chromium")
    with asyncio.Runner() as runner:
        playwright = runner.run(async_playwright().start())
        try:
            browser = runner.run(playwright.chromium.launch(executable_path=chromium, args=list(_ARGUMENTS)))
            try:
                yield Pages(runner, browser)
            finally:
                runner.run(browser.close())
        finally:
            runner.run(playwright.stop())


async def screenshot(page: Page, path: Path) -> None:
    """What is in view, as PNG, when nothing moves any more."""
    await page.screenshot(path=path, animations="disabled", caret="hide")


def _listen(opened: Opened) -> None:
    page, complaints = opened.page, opened.complaints
    page.on("console", lambda said: complaints.append(f"console {said.type}: {said.text}"))
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    page.on(
        "requestfailed",
        lambda request: request.failure == _GIVEN_UP or complaints.append(f"failed: {request.url} {request.failure}"),
    )
    page.on("request", lambda request: opened.requests.append(request.url))
