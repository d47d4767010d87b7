"""The timeline in a real Chromium: a known day from the report process, its bars measured on the screen, and walked."""

import json
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from exporter.history.classes import DEFAULT_CLASSES
from exporter.web.reports.client import ReportProcess
from tests.support.clock import FakeClock
from tests.support.pages import DESKTOP, PHONE, WALL, Opened, Pages, browser_pages
from tests.support.timelines import DAY, LATER, at, write_known_day
from tests.support.web import Running, running

ANN = "[aria-label^='Ann,'] > .bar"
CAT = "[aria-label^='Cat,'] > .bar"
MEASURED = """(selector) => {
    const picture = document.querySelector(".drawn .picture");
    const left = picture.getBoundingClientRect().left, scale = picture.getBoundingClientRect().width / 1000;
    return [...document.querySelectorAll(selector)].map((bar) => {
        const box = bar.querySelector("rect").getBoundingClientRect();
        const lines = bar.querySelector(".texture");
        return {
            look: bar.querySelector("rect").getAttribute("class"),
            from: box.left - left,
            to: box.right - left,
            height: box.height / scale,
            scale,
            fill: getComputedStyle(bar.querySelector("rect")).fill,
            hatched: lines ? getComputedStyle(lines).stroke : null,
            lines: lines ? lines.getTotalLength() : 0,
        };
    });
}"""
HOURS = (
    # Ann's day: look, from, to.
    ("available", 8, 9.5),
    ("on-call", 9.5, 10.25),
    ("busy", 10.25, 12),
    ("unknown", 12, 13),
    ("available", 13, 15),
    ("on-break", 15, 16.5),
    ("offline", 16.5, 17),
    ("unknown", 17, 24),
)


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


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    db = write_known_day(tmp_path_factory.mktemp("timeline") / "history.db")
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


async def measured(opened: Opened, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await opened.page.evaluate(MEASURED, selector)
    return found


async def told(opened: Opened) -> list[str]:
    """What is shown of the bar that the pointer or the keyboard is at, line by line; nothing if it is not shown."""
    return await opened.texts("#told:not([hidden]) p")


def asked_for(opened: Opened) -> dict[str, str]:
    """The parameters in the address bar."""
    return {name: values[0] for name, values in parse_qs(urlsplit(opened.page.url).query).items()}


# --- drawn rightly ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [PHONE, DESKTOP, WALL])
def test_each_bar_stands_on_the_screen_where_its_time_belongs(size: tuple[int, int], rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(size=size) as opened:
            found = await measured(opened, ANN)
            assert [bar["look"] for bar in found] == [look for look, _, _ in HOURS]
            for bar, (_, since, until) in zip(found, HOURS, strict=True):
                # A day begins at 150 of the picture's 1000 units, an hour has 35.
                assert bar["from"] == pytest.approx((150 + 35 * since) * bar["scale"], abs=0.5)
                assert bar["to"] == pytest.approx((150 + 35 * until) * bar["scale"], abs=0.5)
                assert bar["height"] == pytest.approx(18, abs=0.1)
            assert opened.complaints == []
            assert await opened.overflow() <= 0

    rig.run(test())


def test_what_is_not_known_is_hatched_and_never_in_the_colour_of_a_status(rig: Rig) -> None:
    async def test(scheme: Literal["light", "dark"], paper: str, lines: str) -> None:
        async with rig.open(scheme=scheme) as opened:
            found = await measured(opened, ANN)
            gap, rest = found[3], found[7]
            for bar in (gap, rest):
                assert (bar["fill"], bar["hatched"]) == (paper, lines)
                # A unit of width has 3.2 units of lines: they are 8 apart, and 25 long.
                assert bar["lines"] * bar["scale"] > 2.5 * (bar["to"] - bar["from"])
            colours = {bar["fill"] for bar in found if bar["look"] != "unknown"}
            assert len(colours) == 5
            assert paper not in colours
            assert all(bar["hatched"] is None for bar in found if bar["look"] != "unknown")

    rig.run(test("light", "rgb(255, 255, 255)", "rgb(89, 99, 110)"))
    rig.run(test("dark", "rgb(13, 17, 23)", "rgb(216, 222, 228)"))


def test_the_picture_says_the_same_as_the_json_that_it_links_to(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(asked={"agent": "Ann"}) as opened:
            href = await opened.page.get_by_role("link", name="Timeline, JSON").get_attribute("href")
            rows = json.loads((await rig.served.get(f"/{href}")).text)["rows"]
            assert [row["status"] for row in rows] == [
                ("Available", "On Call", "Busy", "unknown", "Available", "On Break", "Offline", "unknown")[number]
                for number in range(8)
            ]
            found = await measured(opened, ANN)
            seconds = [(bar["to"] - bar["from"]) / bar["scale"] / 35 * 3600 for bar in found]
            assert seconds == pytest.approx([row["duration_seconds"] for row in rows], abs=1)
            table = await opened.texts(".sums tbody th, .sums tbody td:nth-child(2)")
            sums = dict(zip(table[::2], table[1::2], strict=True))
            assert sums == {
                "Available": "3:30:00",
                "On Call": "0:45:00",
                "Busy": "1:45:00",
                "On Break": "1:30:00",
                "Offline": "0:30:00",
                "unknown": "8:00:00",
            }

    rig.run(test())


def test_short_stays_are_layers_of_one_bar_as_high_as_their_share(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open() as opened:
            layers = await opened.page.evaluate(
                f"""[...document.querySelectorAll("{CAT}")[1].querySelectorAll("rect")].map((one) =>
                    [one.getAttribute("class"), Number(one.getAttribute("height"))])"""
            )
            assert layers == [["available", 9], ["on-call", 9]]

    rig.run(test())


# --- hover, focus, keyboard -------------------------------------------------------------------------------------------

ON_CALL = [
    "Ann: On Call",
    "2025-03-04 09:30:00 to 10:15:00, 0:45:00",
    "began between 09:29:29 and 09:30:00",
    "ended between 10:14:29 and 10:15:00",
    "sampled",
]


def test_the_pointer_shows_the_bounds_of_a_bar_and_takes_them_away_with_it(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open() as opened:
            await opened.page.locator(ANN).nth(1).hover()
            assert await told(opened) == ON_CALL
            # The text itself can be pointed at, to mark it.
            await opened.page.locator("#told").hover()
            await opened.page.wait_for_timeout(500)
            assert await told(opened) == ON_CALL
            await opened.page.mouse.move(1, 1)
            await opened.page.locator("#told").wait_for(state="hidden")

    rig.run(test())


def test_the_arrow_keys_walk_through_a_lane_and_to_other_agents(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open() as opened:
            press = opened.page.keyboard.press
            await opened.page.locator(ANN).first.focus()
            assert (await told(opened))[0] == "Ann: Available"
            await press("ArrowRight")
            assert await told(opened) == ON_CALL
            await press("End")
            assert (await told(opened))[1] == "2025-03-04 17:00:00 to 2025-03-05 00:00:00, 7:00:00"
            await press("ArrowRight")  # there is nothing behind the last one
            assert (await told(opened))[1] == "2025-03-04 17:00:00 to 2025-03-05 00:00:00, 7:00:00"
            await press("Home")
            await press("ArrowLeft")
            assert (await told(opened))[0] == "Ann: Available"
            for _ in range(2):
                await press("ArrowRight")
            # Busy from 10:15 to 12:00; what Cat did in the middle of it, at 11:07.
            await press("ArrowDown")
            assert (await told(opened))[:2] == ["Cat: Busy", "2025-03-04 10:03:00 to 12:00:00, 1:57:00"]
            await press("ArrowUp")
            assert (await told(opened))[0] == "Ann: Busy"
            await press("Escape")
            assert await told(opened) == []

    rig.run(test())


def test_the_tabulator_stops_once_in_a_lane_where_it_was_left(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open() as opened:
            press = opened.page.keyboard.press
            await opened.page.locator(ANN).first.focus()
            await press("ArrowRight")
            await press("Tab")
            assert (await told(opened))[0] == "Cat: Available"
            await press("Shift+Tab")
            assert await told(opened) == ON_CALL
            stops = await opened.page.locator(".drawn .bar[tabindex='0']").count()
            assert stops == 3

    rig.run(test())


def test_a_bar_that_is_out_of_view_on_a_phone_is_scrolled_to(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(size=PHONE) as opened:
            await opened.page.locator(ANN).first.focus()
            for _ in range(6):
                await opened.page.keyboard.press("ArrowRight")
            (bar,) = await opened.page.evaluate(
                """[document.activeElement.querySelector("rect").getBoundingClientRect()].map((box) =>
                    [box.left, box.right])"""
            )
            assert 0 <= bar[0] <= bar[1] <= PHONE[0]
            box = await opened.page.locator("#told").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE[0]
            assert await opened.overflow() <= 0

    rig.run(test())


def test_without_scripts_each_bar_has_its_title_and_all_ways_are_links(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(javascript=False) as opened:
            assert await opened.page.locator(f"{ANN} > title").count() == 8
            await opened.page.get_by_role("link", name="Zoom to 09:00 to 10:00").click()
            assert asked_for(opened)["hour"] == "09:00"
            await opened.page.get_by_role("link", name="Next hour").click()
            assert asked_for(opened)["hour"] == "10:00"

    rig.run(test())


# --- ways -------------------------------------------------------------------------------------------------------------


def test_a_click_or_the_keyboard_zooms_to_an_hour_and_back(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open() as opened:
            await opened.page.locator("a.zoom").nth(9).click()
            assert asked_for(opened) == {"date": DAY, "hour": "09:00", "tz": "Europe/Berlin"}
            found = await measured(opened, ANN)
            assert [bar["look"] for bar in found] == ["available", "on-call"]
            # Half past nine is the middle of the hour: 150 and half of 840 units.
            assert found[1]["from"] == pytest.approx(570 * found[1]["scale"], abs=0.5)
            await opened.page.get_by_role("link", name="Whole day").click()
            await opened.page.locator("a.zoom").nth(16).focus()
            await opened.page.keyboard.press("Enter")
            await opened.page.wait_for_url("**hour=16:00**")
            await opened.page.get_by_role("link", name="Previous hour").click()
            assert asked_for(opened)["hour"] == "15:00"
            assert await opened.page.title() == "Timeline, Tuesday 2025-03-04, 15:00 to 16:00"
            assert opened.complaints == []

    rig.run(test())


def test_the_form_asks_for_another_day_hour_zone_team_and_agent(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(asked={"date": "2025-03-05"}) as opened:
            page = opened.page
            await page.get_by_label("Date", exact=True).fill(DAY)
            await page.get_by_label("Hour", exact=True).select_option("08:00")
            await page.get_by_role("combobox", name="Time zone").fill("UTC")
            await page.get_by_role("combobox", name="Team").fill("Sales")
            await page.get_by_role("textbox", name="Agent").fill("a*")
            await page.get_by_role("button", name="Show").click()
            assert asked_for(opened) == {"date": DAY, "hour": "08:00", "tz": "UTC", "team": "Sales", "agent": "a*"}
            # 08:00 to 09:00 in UTC is 09:00 to 10:00 in Berlin.
            assert [bar["look"] for bar in await measured(opened, ANN)] == ["available", "on-call"]
            assert await page.get_by_role("combobox", name="Team").input_value() == "Sales"
            assert await page.locator(".drawn [role=group]").count() == 2  # the picture, and Ann's lane in it

    rig.run(test())


def test_what_is_recorded_now_is_drawn_up_to_the_present(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(now=at("14:00")) as opened:
            found = await measured(opened, ANN)
            assert found[-1]["look"] == "available"
            assert found[-1]["to"] == pytest.approx((150 + 35 * 14) * found[-1]["scale"], abs=0.5)
            assert (
                "The day is not over: the picture ends at 14:00. Load the page again to see more."
                in await opened.texts(".notice")
            )

    rig.run(test())


# --- for everybody ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE), ("dark", PHONE)])
@pytest.mark.parametrize("asked", [{}, {"hour": "10:00"}, {"date": "nonsense"}])
def test_axe_finds_no_violation(
    asked: dict[str, str], size: tuple[int, int], scheme: Literal["light", "dark"], rig: Rig
) -> None:
    async def test() -> None:
        async with rig.open(asked=asked, size=size, scheme=scheme) as opened:
            if not asked:
                await opened.page.locator(ANN).first.focus()
            assert await opened.violations() == []
            refused = [one for one in opened.complaints if "400 (Bad Request)" not in one]
            assert refused == []

    rig.run(test())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_where_colours_are_forced_links_look_like_links_and_bars_keep_their_colours(
    scheme: Literal["light", "dark"], rig: Rig
) -> None:
    async def test() -> None:
        async with rig.open(scheme=scheme, forced_colors="active") as opened:
            fill = "(selector) => getComputedStyle(document.querySelector(selector)).fill"
            link = await opened.page.evaluate("getComputedStyle(document.querySelector('.steps a')).color")
            assert await opened.page.evaluate(fill, ".picture a.zoom text") == link
            assert (await measured(opened, ANN))[0]["fill"] != (await measured(opened, ANN))[1]["fill"]
            assert await opened.violations() == []

    rig.run(test())


def test_a_screen_reader_is_told_each_bar_and_not_what_is_for_the_eye_alone(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open() as opened:
            lane = opened.page.get_by_role("group", name="Ann, id 7001")
            assert await lane.get_by_role("img").count() == 8
            spoken = await lane.aria_snapshot()
            assert "Ann: On Call, 2025-03-04 09:30:00 to 10:15:00, 0:45:00" in spoken
            assert await opened.page.get_by_role("link", name="Zoom to").count() == 24

    rig.run(test())


def test_in_print_there_is_the_picture_and_no_form(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(scheme="dark") as opened:
            await opened.page.emulate_media(media="print")
            assert not await opened.page.locator("form.ask").is_visible()
            assert await opened.page.locator(".drawn .picture").first.is_visible()
            assert (await measured(opened, ANN))[1]["fill"] == "rgb(11, 79, 148)"  # as on light ground

    rig.run(test())
