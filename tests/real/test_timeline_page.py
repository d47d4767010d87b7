"""The timeline in a real Chromium: a known day from the report process, its bars measured on the screen, and walked."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from tests.support.pages import DESKTOP, PHONE, WALL, Opened
from tests.support.timeline_rig import ANN, CAT, Rig, asked_for, rigged
from tests.support.timelines import DAY, at

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


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rigged(tmp_path_factory.mktemp("timeline")) as made:
        yield made


async def measured(opened: Opened, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await opened.page.evaluate(MEASURED, selector)
    return found


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
            assert await opened.page.locator(".drawn .names").get_by_text("Ann").is_visible()
            assert (await measured(opened, ANN))[1]["fill"] == "rgb(11, 79, 148)"  # as on light ground

    rig.run(test())
