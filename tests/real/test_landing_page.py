"""The landing page in a real Chromium: what a person sees, and that nothing is in anybody's way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from exporter.web.access import Access
from tests.support.metrics import Polled
from tests.support.pages import DESKTOP, PHONE, WALL, Pages, browser_pages
from tests.support.running import exporting, settings_against, simulated, value
from tests.support.web import running


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with browser_pages() as found:
        yield found


def test_the_landing_page_says_how_polls_go_and_leads_to_the_board(pages: Pages, tmp_path: Path) -> None:
    async def check() -> None:
        async with simulated() as simulator, exporting(settings_against(simulator, tmp_path)) as exporter:
            await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            async with pages.open(f"{exporter.url}/") as opened:
                assert await opened.texts(".banner") == ["The last poll worked."]
                assert await opened.page.locator("[aria-current=page]").all_inner_texts() == ["Exporter"]
                await opened.page.get_by_role("main").get_by_role("link", name="Board").click()
                await opened.until("document.querySelectorAll('.person').length === 12")
                assert opened.complaints == []

    pages.run(check())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP, WALL], ids=["phone", "desktop", "wall"])
def test_axe_finds_no_barrier_and_nothing_sticks_out(
    size: tuple[int, int], scheme: Literal["light", "dark"], pages: Pages
) -> None:
    async def check() -> None:
        polled = Polled()
        for reason in ("timeout", "http_5xx", "an-unforeseen-reason-with-a-long-name"):
            polled.fail(reason)
        refused = Access(open=False, why_not="A sentence that says why pages are not served. " * 4)
        async with (
            running(polled, access=lambda: refused) as served,
            pages.open(f"http://127.0.0.1:{served.port}/", size=size, scheme=scheme) as opened,
        ):
            assert await opened.page.locator("tbody tr").count() == 3
            assert await opened.violations() == []
            assert await opened.overflow() == 0
            assert opened.complaints == []

    pages.run(check())
