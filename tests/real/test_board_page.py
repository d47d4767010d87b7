"""The board in a real Chromium: what is shown and in which order, the choice in the address, and barriers."""

import asyncio
from collections.abc import Iterator
from typing import Literal

import pytest

from exporter.clock import SystemClock
from exporter.model import ABSENT, BUSY, ON_BREAK, ON_CALL, Agent, Kind, Status
from exporter.report.palette import look_of
from tests.support.boards import FIRST, PEOPLE, board, groups, numbers, published
from tests.support.pages import DESKTOP, PHONE, WALL, Opened, Pages, PolledNow, browser_pages
from tests.support.web import running


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with browser_pages() as found:
        yield found


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_whoever_is_in_a_status_for_longest_stands_first_and_the_statuses_in_a_fixed_order(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        await asyncio.sleep(0.01)
        polled.poll(FIRST | {"1": ON_CALL, "2": Status(Kind.REPORTED, "Lunch"), "5": BUSY}, PEOPLE)
        await asyncio.sleep(0.01)
        polled.poll(FIRST | {"1": ON_CALL, "2": ON_CALL, "5": ABSENT, "4": ON_BREAK}, PEOPLE)
        async with board(pages, polled) as (opened, served):
            # Cy Dahl since the first poll, Ann Lee since the second, Bo Chan came back with the third.
            assert list((await groups(opened)).items()) == [
                ("On Call", ["Cy Dahl", "Ann Lee", "Bo Chan"]),
                ("On Break", ["Di Eco"]),
                ("unknown", ["5"]),
            ]
            assert await numbers(opened) == {
                "On Call": "3", "Busy": "0", "Available": "0", "On Break": "1", "unknown": "1", "Offline": "0",
            }  # fmt: skip
            (detail,) = await opened.texts(".group:last-child .more")
            assert detail == "not in Zoho's answer"
            published(polled, served, FIRST | {"4": Status(Kind.REPORTED, "Lunch")}, PEOPLE)
            await opened.until("document.querySelector('#people').innerText.includes('Lunch')")
            assert list(await numbers(opened)) == [
                "On Call", "Busy", "Available", "On Break", "Lunch", "unknown", "Offline",
            ]  # fmt: skip
            assert list(await groups(opened)) == ["On Call", "Available", "Lunch", "unknown"]

    pages.run(check())


@pytest.mark.parametrize("wrong_by_s", [0, 3600, -3600], ids=["right", "an hour ahead", "an hour behind"])
def test_the_time_in_a_status_ticks_by_the_clock_of_the_exporter(wrong_by_s: int, pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with running(polled) as served, pages.open() as opened:
            await opened.page.add_init_script(
                f"const now = Date.now; Date.now = () => now.call(Date) + {wrong_by_s * 1000}"
            )
            await opened.page.goto(f"http://127.0.0.1:{served.port}/board")
            await opened.until("document.querySelectorAll('.person').length === 5")
            # The header of an answer tells the time to a second or two, the end of a poll much better.
            published(polled, served, FIRST | {"3": BUSY}, PEOPLE)
            polled_at = SystemClock().now_ms()
            for seconds in (1, 2):
                await opened.until(
                    "(text) => document.querySelector('.group.busy .time')?.textContent === text", f"0:00:0{seconds}"
                )
                # Never early; late by what a busy machine takes to look.
                assert -0.6 < (SystemClock().now_ms() - polled_at) / 1000 - seconds < 2
            assert len(set(await opened.texts(".group:not(.busy) .time"))) == 1

    pages.run(check())


def test_a_time_that_lies_ahead_is_shown_as_none_at_all(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, _):
            long = await opened.page.evaluate(
                """async () => {
                    const { duration } = await import(document.querySelector('script').src.replace('board', 'clock'));
                    return [-5000, 0, 999, 59_999, 3_600_000, 86_399_000, 86_400_000, 12 * 86_400_000 + 61_000]
                        .map(duration);
                }"""
            )
            assert long == [
                "0:00:00", "0:00:00", "0:00:00", "0:00:59", "1:00:00", "23:59:59", "1d 0:00:00", "12d 0:01:01",
            ]  # fmt: skip

    pages.run(check())


def test_every_word_has_the_look_that_it_has_in_pictures(pages: Pages) -> None:
    words = ["Available", "On Call", "Busy", "On Break", "Offline", "unknown", "absent", "error", "Lunch", "昼休み",
             "é", "constructor", "Wrap-up", "x" * 100, "toString", "a b"]  # fmt: skip

    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, _):
            slugs = await opened.page.evaluate(
                """async (words) => {
                    const { lookOf } = await import(document.querySelector('script').src.replace('board', 'looks'));
                    return words.map(lookOf);
                }""",
                words,
            )
            assert slugs == [look_of(word).slug for word in words]

    pages.run(check())


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</li></ul><script>alert(2)</script>",
    '" onmouseover="alert(3)',
    "{{ 7 * 7 }} ${7 * 7}",
    "&lt;b&gt; &amp;",
    "\u202egnp.exe",
    "__proto__",
    "constructor",
    "a" * 400,
)


def test_hostile_names_teams_and_statuses_are_text_and_nothing_else(pages: Pages) -> None:
    people = {str(place): Agent(str(place), text, text) for place, text in enumerate(HOSTILE)}
    statuses = {str(place): Status(Kind.REPORTED, text[:100]) for place, text in enumerate(HOSTILE)}

    async def check() -> None:
        polled = PolledNow()
        polled.poll(statuses, people)
        async with board(pages, polled, size=PHONE) as (opened, served):
            opened.page.on("dialog", lambda dialog: opened.complaints.append(dialog.message))
            shown = await groups(opened)
            answer = (await served.get("/api/v1/agents")).json()
            assert sorted(name for names in shown.values() for name in names) == sorted(
                row["name"] for row in answer["rows"]
            )
            assert set(shown) == {row["status"] for row in answer["rows"]}
            for selector in ("#people img", "#people script", "main script", "[onerror], [onmouseover]"):
                assert await opened.page.locator(selector).count() == 0
            await opened.page.locator(".chip input").nth(3).check()
            await opened.page.reload()
            await opened.until("document.querySelectorAll('.person').length === 1")
            assert await opened.overflow() == 0
            assert opened.complaints == []

    pages.run(check())


# --- the choice -------------------------------------------------------------------------------------------------------


def test_a_choice_of_teams_and_statuses_stands_in_the_address_and_opens_again_from_it(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, served):
            page = opened.page
            await page.get_by_role("checkbox", name="Sales").check()
            assert await groups(opened) == {"On Call": ["Cy Dahl"], "Available": ["Ann Lee"]}
            # The numbers are those of the chosen teams.
            assert (await numbers(opened))["On Call"] == "1"
            await page.get_by_role("checkbox", name="no team").check()
            await page.get_by_role("checkbox", name="On Call").check()
            assert await groups(opened) == {"On Call": ["Cy Dahl"]}
            assert await opened.texts("#news") == ["1 of 5 agents are shown."]
            assert page.url.endswith("/board?team=&team=Sales&status=On+Call")
            asked = len(opened.requests)
            await page.get_by_role("checkbox", name="On Call").uncheck()
            assert page.url.endswith("/board?team=&team=Sales")
            assert len(opened.requests) == asked, "nothing is loaded for a choice"
            await page.get_by_role("button", name="Show everybody").click()
            assert page.url.endswith("/board")
            assert await page.locator(".person").count() == 5
            assert await opened.focused() == "input On Call"

            await page.goto(f"http://127.0.0.1:{served.port}/board?team=Billing&team=Gone&status=Offline&status=Lunch")
            await opened.until("document.querySelectorAll('.person').length === 1")
            assert await groups(opened) == {"Offline": ["Di Eco"]}
            checked = "[...document.querySelectorAll(':checked')].map((box) => box.value)"
            assert await page.evaluate(checked) == ["Lunch", "Offline", "Billing", "Gone"]
            published(polled, served, FIRST | {"4": BUSY}, PEOPLE)
            await opened.until("!document.querySelector('#nobody').hidden")
            assert await opened.texts("#nobody") == ["Nobody is in this choice now."]
            assert await page.evaluate(checked) == ["Lunch", "Offline", "Billing", "Gone"]
            assert opened.complaints == []

    pages.run(check())


def test_of_many_teams_the_chosen_ones_are_in_view_and_numbers_in_names_count_as_numbers(pages: Pages) -> None:
    people = {str(number): Agent(str(number), f"Agent {number}", f"Team {number}") for number in range(1, 201)}

    async def check() -> None:
        polled = PolledNow()
        polled.poll(dict.fromkeys(people, ON_CALL), people)
        async with board(pages, polled, "?team=Team+150&team=Team+152") as (opened, _):
            assert await groups(opened) == {"On Call": ["Agent 150", "Agent 152"]}
            chosen = opened.page.locator(".chip", has_text="Team 150")
            within = "([chip, box]) => chip.top >= box.top && chip.bottom <= box.bottom"
            boxes = [await one.evaluate("(e) => e.getBoundingClientRect().toJSON()") for one in (
                chosen, opened.page.locator("#teams"))]  # fmt: skip
            assert await opened.page.evaluate(within, boxes)
            await opened.page.get_by_role("button", name="Show everybody").click()
            assert (await groups(opened))["On Call"] == [agent.name for agent in people.values()]
            assert (await opened.texts(".chip .word"))[:3] == ["Team 1", "Team 2", "Team 3"]

    pages.run(check())


def test_the_keyboard_reaches_everything_and_a_poll_does_not_take_the_focus_away(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, served):
            reached = []
            for _ in range(14):
                await opened.page.keyboard.press("Tab")
                reached.append(await opened.focused())
                rings = "(e => getComputedStyle(e.closest('label') ?? e).outlineStyle)(document.activeElement)"
                assert await opened.page.evaluate(rings) == "solid"
            assert reached == [
                "a Skip to the content", "a Exporter", "a Board", "a Timeline",
                "input On Call", "input Busy", "input Available", "input On Break", "input unknown", "input Offline",
                "input", "input Billing", "input Sales", "input Support",
            ]  # fmt: skip
            await opened.page.keyboard.press("Space")
            assert await groups(opened) == {"On Call": ["Bo Chan"]}
            published(polled, served, FIRST | {"2": BUSY}, PEOPLE)
            await opened.until("document.querySelector('#people').innerText.includes('Busy')")
            assert await opened.focused() == "input Support"
            await opened.page.keyboard.press("Tab")
            assert await opened.focused() == "button Show everybody"

    pages.run(check())


# --- for everybody ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP, WALL], ids=["phone", "desktop", "wall"])
def test_axe_finds_no_barrier_and_nothing_sticks_out(
    size: tuple[int, int], scheme: Literal["light", "dark"], pages: Pages
) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST | {"1": Status(Kind.REPORTED, "Lunch")}, PEOPLE)
        async with board(pages, polled, "?team=Sales&team=", size=size, scheme=scheme) as (opened, served):
            assert await opened.violations() == []
            assert await opened.overflow() == 0
            polled.fail()
            served.state.updates.tell()
            await opened.until("document.querySelector('.banner') !== null")
            assert await opened.violations() == []
            assert await opened.overflow() == 0
            assert opened.complaints == []

    pages.run(check())


def test_the_numbers_are_larger_on_a_wall_and_colours_can_be_forced(pages: Pages) -> None:
    async def height(opened: Opened) -> float:
        found: float = await opened.page.evaluate(
            "parseFloat(getComputedStyle(document.querySelector('.tile .count')).fontSize)"
        )
        return found

    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        heights = []
        for size in (PHONE, DESKTOP, WALL):
            async with board(pages, polled, size=size, forced_colors="active") as (opened, _):
                heights.append(await height(opened))
                # What tells statuses apart keeps its colours, and there are words beside it.
                colour = "getComputedStyle(document.querySelector('.tile .swatch')).backgroundColor"
                assert await opened.page.evaluate(colour) == "rgb(11, 79, 148)"
        assert heights[0] >= 40
        assert heights[0] < heights[1] < heights[2]

    pages.run(check())


def test_nothing_is_announced_while_nothing_matters(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, served):
            await opened.page.evaluate(
                """() => {
                    window.announced = 0;
                    const seen = new MutationObserver((changes) => (announced += changes.length));
                    for (const live of document.querySelectorAll('[role=status], [role=alert]')) {
                        seen.observe(live, { childList: true, subtree: true, characterData: true });
                    }
                }"""
            )
            before = await opened.texts(".time")
            published(polled, served, FIRST | {"1": BUSY}, PEOPLE)
            await opened.until("document.querySelector('#people').innerText.includes('Busy')")
            await opened.until("(text) => document.querySelector('.time').textContent !== text", before[0])
            assert await opened.page.evaluate("announced") == 0

    pages.run(check())


def test_a_tick_touches_only_the_times_in_view(pages: Pages) -> None:
    people = {str(place): Agent(str(place), f"Agent {place}", "") for place in range(1000)}

    async def check() -> None:
        polled = PolledNow()
        polled.poll(dict.fromkeys(people, ON_CALL), people)
        async with board(pages, polled) as (opened, _):
            await opened.page.evaluate(
                """() => {
                    window.ticked = 0;
                    new MutationObserver((changes) => (ticked += changes.length))
                        .observe(document.querySelector('#people'), { subtree: true, characterData: true });
                }"""
            )
            last = "document.querySelector('.person:last-child')"
            before = await opened.page.evaluate(f"{last}.querySelector('.time').textContent")
            # Rows are drawn one after the other, so the last can be a second ahead of the first: a tick that still
            # says the second of the last row would leave nothing for the page to mend below.
            await opened.until("(text) => document.querySelector('.time').textContent > text", before)
            assert await opened.page.evaluate("ticked") < 100
            assert await opened.page.evaluate(f"{last}.querySelector('.time').textContent") == before
            # On paper and in what is copied everybody's time is that of the moment.
            await opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
            assert await opened.page.evaluate(f"{last}.querySelector('.time').textContent") != before
            before = await opened.page.evaluate(f"{last}.querySelector('.time').textContent")
            await opened.page.evaluate(f"{last}.scrollIntoView()")
            await opened.until(f"(text) => {last}.querySelector('.time').textContent !== text", before)

    pages.run(check())
