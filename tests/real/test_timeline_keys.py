"""Pointer, focus and keyboard on the timeline in a real Chromium, and its names on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.support.pages import BESIDE, PHONE
from tests.support.timeline_rig import ANN, CAT, Rig, asked_for, rigged, told
from tests.support.timelines import at, write_crowd


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rigged(tmp_path_factory.mktemp("timeline")) as made:
        yield made


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


FORGED = "Ann; provisional, 2025-03-04 00:00:00;\nexact"


def test_a_name_makes_no_line_of_its_own_in_what_is_said_of_a_bar(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        async with rig.open(now=at("10:00", "2025-03-06")) as opened:
            bar = opened.page.locator(".drawn [role=group] > .bar").nth(0)
            assert await bar.get_attribute("aria-label") is None
            await bar.hover()
            shown = FORGED.replace("\n", "\ufffd")
            assert await told(opened) == [
                f"{shown}: Available",
                "2025-03-04 09:00:00 to 10:00:00, 1:00:00",
                "ended between 09:59:59 and 10:00:00",
                "sampled",
            ]
            assert await bar.get_attribute("aria-label") == (
                f"{shown}: Available, 2025-03-04 09:00:00 to 10:00:00, 1:00:00; "
                "ended between 09:59:59 and 10:00:00; sampled"
            )

    with rigged(tmp_path, lambda path: write_crowd(path, [FORGED])) as rig:
        rig.run(test(rig))


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


@pytest.mark.parametrize("forced_colors", ["none", "active"])
def test_on_a_phone_each_name_stays_in_view_beside_its_bars_however_far_the_picture_is_scrolled(
    forced_colors: Literal["active", "none"], rig: Rig
) -> None:
    async def test() -> None:
        async with rig.open(size=PHONE, forced_colors=forced_colors) as opened:
            names = await opened.page.locator(".drawn .names text").all_text_contents()
            assert names[1:] == ["Ann", "Cat"]
            for scroll in (0, 0.5, 1):
                found = await opened.page.evaluate(BESIDE, [".drawn", scroll])
                assert [lane["name"] for lane in found] == names
                assert found[1]["lane"] == "Ann, id 7001"
                for lane in found:
                    assert 0 <= lane["left"] < lane["right"] <= PHONE[0]
                    assert lane["onTop"], "a bar is drawn over the name"
                    assert lane["middle"] == pytest.approx(lane["bars"], abs=1.5)
            # What is seen beside the names at the end is the last hours of the day.
            assert await opened.page.evaluate("document.querySelector('.drawn .wide').scrollLeft") > 400
            assert await opened.overflow() <= 0

    rig.run(test())


def test_a_bar_that_the_keyboard_goes_back_to_is_not_left_beneath_the_names(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(size=PHONE) as opened:
            await opened.page.locator(CAT).last.focus()
            for _ in range(7):
                await opened.page.keyboard.press("ArrowLeft")
                bar, names = await opened.page.evaluate(
                    """[document.activeElement.querySelector("rect"), document.querySelector(".names rect")].map(
                        (one) => one.getBoundingClientRect())"""
                )
                assert bar["right"] > names["right"]
                if bar["width"] < PHONE[0] - names["right"] - 20:
                    assert names["right"] <= bar["left"] <= bar["right"] <= PHONE[0]

    rig.run(test())


def test_the_pointer_on_a_name_points_at_no_bar_beneath_it(rig: Rig) -> None:
    async def test() -> None:
        async with rig.open(size=PHONE) as opened:
            await opened.page.evaluate(BESIDE, [".drawn", 0.7])
            box = await opened.page.locator(".names text").nth(1).bounding_box()
            assert box is not None
            await opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            assert await told(opened) == []
            await opened.page.mouse.move(PHONE[0] - 40, box["y"] + box["height"] / 2)
            assert (await told(opened))[0].startswith("Ann: ")

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
