"""The board in a real Chromium: how it keeps up with the exporter, and what it says when it cannot."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Route

from exporter.clock import SystemClock
from exporter.model import BUSY, ON_CALL
from exporter.settings import WebSettings
from exporter.simulator.kinds import Fault, FaultKind
from exporter.simulator.simulation import SimulationSettings
from exporter.web.access import Access
from exporter.zoho.errors import REASONS
from tests.support.boards import BANNER, FIRST, PEOPLE, board, groups, numbers, published
from tests.support.pages import Pages, PolledNow, browser_pages
from tests.support.running import exporting, settings_against, simulated, value
from tests.support.web import running

SHOWN = "document.querySelectorAll('.person').length === 12"


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with browser_pages() as found:
        yield found


# --- with the whole program -------------------------------------------------------------------------------------------


def test_a_change_is_on_the_board_within_a_second_of_the_poll_that_saw_it(pages: Pages, tmp_path: Path) -> None:
    async def check() -> None:
        calm = SimulationSettings(agents=12, calls_per_agent_hour=0, shifts_around=SystemClock().now_ms())
        async with (
            simulated(calm) as simulator,
            exporting(settings_against(simulator, tmp_path)) as exporter,
            pages.open(f"{exporter.url}/board") as opened,
        ):
            await opened.until(SHOWN)
            agent = simulator.simulation.agents[4]
            for word in ("Busy", "On Break", "On Call"):
                simulator.simulation.set_status(agent.agent_id, word)
                seen_at: float = await opened.page.evaluate(
                    """([name, word]) => new Promise((done) => {
                        const look = () => {
                            const group = [...document.querySelectorAll('.group')].find(
                                (one) => one.querySelector('.word').textContent === word);
                            const names = [...(group?.querySelectorAll('.name') ?? [])];
                            if (names.some((one) => one.textContent === name)) done(Date.now());
                            else requestAnimationFrame(look);
                        };
                        look();
                    })""",
                    [agent.name, word],
                )
                answer = (await exporter.http.get(f"{exporter.url}/api/v1/agents")).json()
                (row,) = [row for row in answer["rows"] if row["agent_id"] == agent.agent_id]
                assert row["status"] == word
                polled_at: float = await opened.page.evaluate("Date.parse", row["since"])
                assert 0 <= seen_at - polled_at < 1000
            assert opened.complaints == []

    pages.run(check())


def test_numbers_and_agents_are_those_of_the_metrics_and_of_the_api(pages: Pages, tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            simulated() as simulator,
            exporting(settings_against(simulator, tmp_path, interval_s=30)) as exporter,
        ):
            samples = await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            answer = (await exporter.http.get(f"{exporter.url}/api/v1/agents")).json()
            async with pages.open(f"{exporter.url}/board") as opened:
                await opened.until(SHOWN)
                for word, count in (await numbers(opened)).items():
                    assert float(count) == value(samples, "zohovoice_agents", status=word)
                shown = await groups(opened)
                assert sorted((name, word) for word, names in shown.items() for name in names) == sorted(
                    (row["name"], row["status"]) for row in answer["rows"]
                )
                assert opened.complaints == []

    pages.run(check())


def test_the_board_says_when_the_simulator_hangs_and_when_it_is_back(pages: Pages, tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            simulated() as simulator,
            exporting(settings_against(simulator, tmp_path)) as exporter,
            pages.open(f"{exporter.url}/board") as opened,
        ):
            await opened.until(SHOWN)
            assert await opened.texts(BANNER) == []
            simulator.switchboard.set("*", Fault(FaultKind.HANG))
            await opened.until("document.querySelector('.banner')?.innerText.includes('did not answer in time')")
            # An old status is never shown as a present one.
            await opened.until("document.querySelectorAll('.person').length === 0")
            await opened.until("document.querySelector('.banner')?.innerText.includes('is not known')")
            (title,) = await opened.texts(BANNER)
            assert re.fullmatch(
                r"Polls have failed since \d\d:\d\d:\d\d\. Who is in which status now is not known\.", title
            )
            assert await opened.texts("#details") == [
                "Zoho did not answer in time. The next poll that works brings the agents back."
            ]
            assert set((await numbers(opened)).values()) == {"–"}
            assert await opened.violations() == []
            simulator.switchboard.clear()
            await opened.until(SHOWN)
            await opened.until("document.querySelector('.banner') === null")
            assert await opened.texts("#news") == ["Polls work, and the agents are up to date."]
            assert opened.complaints == []

    pages.run(check())


def test_the_board_outlives_a_restart_of_the_exporter(pages: Pages, tmp_path: Path) -> None:
    async def check() -> None:
        async with simulated() as simulator:
            settings = settings_against(simulator, tmp_path)
            async with pages.open() as opened:
                async with exporting(settings) as exporter:
                    await opened.page.goto(f"{exporter.url}/board?team=Support")
                    await opened.until("document.querySelectorAll('.person').length > 0")
                    address = exporter.url.removeprefix("http://")
                await opened.until("document.querySelector('.banner')?.innerText.includes('connection')")
                (title,) = await opened.texts(BANNER)
                assert re.fullmatch(r"The connection to the exporter has been lost since \d\d:\d\d:\d\d\.", title)
                # Nobody is left to say how old it is: the page itself withholds what is too old.
                await opened.until("document.querySelectorAll('.person').length === 0")
                await opened.page.evaluate(
                    """() => {
                        window.alerts = [];
                        const alert = document.querySelector('[role=alert]');
                        new MutationObserver(() => alerts.push(alert.innerText)).observe(alert, { childList: true });
                    }"""
                )
                # Polls may come late on a machine that is busy, which would rightly be read out.
                patient = replace(settings.poll, max_age_s=60.0)
                again = replace(settings, web=WebSettings(listen_addresses=(address,)), poll=patient)
                async with exporting(again):
                    await opened.until("document.querySelectorAll('.person').length > 0", seconds=20)
                    await opened.until("document.querySelector('.banner') === null")
                    # Whoever is there before the first poll is told so.
                    alerts = await opened.page.evaluate("alerts")
                    assert alerts[-1] == "", "all is well"
                    assert {*alerts} <= {"", "No poll has ended yet."}, "nothing else is read out"
                    assert await opened.texts("#news") == ["Polls work, and the agents are up to date."]
                    assert await opened.page.locator("#team-filter :checked").count() == 1
                refused = "net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)"
                assert [one for one in opened.complaints if not re.search(refused, one)] == []

    pages.run(check())


def test_a_board_loads_itself_anew_when_the_exporter_comes_back_as_another_version(pages: Pages) -> None:
    async def newer(route: Route) -> None:
        if route.request.method == "HEAD":
            await route.fulfill(headers={"etag": '"another-version"'})
        else:
            await route.fallback()

    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, served):
            await opened.page.route("**/static/live.js*", newer)
            await opened.page.route("**/api/v1/agents", lambda route: route.abort(), times=1)
            async with opened.page.expect_event("load"):
                published(polled, served, FIRST, PEOPLE)
            await opened.until("document.querySelectorAll('.person').length === 5")

    pages.run(check())


# --- what is read out -------------------------------------------------------------------------------------------------

READ_OUT = """() => {
    window.readOut = [];
    for (const live of document.querySelectorAll('[role=alert], [role=status]')) {
        new MutationObserver(() => readOut.push(live.innerText))
            .observe(live, { childList: true, subtree: true, characterData: true });
    }
}"""
"""Everything that a screen reader is given to say from now on."""


def test_a_proxy_that_lets_answers_through_but_no_events_is_read_out_once_and_not_at_each_try(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, served):
            await opened.page.evaluate(READ_OUT)
            await opened.page.route("**/api/v1/events", lambda route: route.abort())
            await opened.page.route("**/api/v1/agents", lambda route: route.abort(), times=1)
            published(polled, served, FIRST, PEOPLE)  # the page asks, and nothing comes back
            await opened.until("document.querySelector('.banner') !== null")
            (title,) = await opened.texts(BANNER)
            assert re.fullmatch(r"The connection to the exporter has been lost since \d\d:\d\d:\d\d\.", title)
            # Tries go through after that: the details tell how old what is shown is, and the agents are brought up to
            # date; but nothing of it is new for who has heard that the connection is lost.
            for word in (ON_CALL, BUSY):
                before = (await opened.texts("#details"))[0]
                assert re.fullmatch(
                    r"Shown is what was known at \d\d:\d\d:\d\d\. The page tries again by itself\.", before
                )
                await asyncio.sleep(1 - SystemClock().now_ms() % 1000 / 1000)  # so that the times differ
                published(polled, served, FIRST | {"1": word}, PEOPLE)
                await opened.until("(text) => document.querySelector('#details').innerText !== text", before)
                assert "Ann Lee" in (await groups(opened))[word.word]
            assert await opened.texts(BANNER) == [title]
            assert await opened.page.evaluate("readOut") == [title]
            await opened.page.unroute("**/api/v1/events")
            await opened.until("document.querySelector('.banner') === null", seconds=20)
            assert await opened.page.evaluate("readOut") == [title, "", "Polls work, and the agents are up to date."]
            assert await opened.texts("#trouble") == [""]
            assert all("ERR_FAILED" in one for one in opened.complaints), opened.complaints

    pages.run(check())


def test_two_reasons_that_take_turns_are_read_out_once(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, served):
            await opened.page.evaluate(READ_OUT)
            for reason, words in (("timeout", "did not answer in time"), ("tls", "secure")) * 2:
                polled.fail(reason)
                served.state.updates.tell()
                await opened.until("(words) => document.querySelector('#details').innerText.includes(words)", words)
            (said,) = await opened.page.evaluate("readOut")
            assert re.fullmatch(r"Polls have failed since \d\d:\d\d:\d\d\.", said)
            assert await opened.texts(BANNER) == [said]

    pages.run(check())


# --- who may see it ---------------------------------------------------------------------------------------------------


def test_a_board_that_may_no_longer_be_seen_says_why(pages: Pages) -> None:
    async def check() -> None:
        now = [Access(open=True)]
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled, server={"access": lambda: now[0]}) as (opened, served):
            now[0] = Access(open=False, why_not="Pages are turned off.")
            served.state.updates.tell()
            await opened.until("document.querySelector('.banner') !== null")
            assert await opened.texts(".banner") == [
                "The exporter does not let this page see the agents. "
                "Pages are turned off. Reload the page when that has changed."
            ]
            assert all("403" in one for one in opened.complaints), opened.complaints

    pages.run(check())


def test_without_scripts_the_board_says_what_it_needs_and_where_else_to_look(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with (
            running(polled) as served,
            pages.open(f"http://127.0.0.1:{served.port}/board", javascript=False) as opened,
        ):
            assert await opened.page.locator("noscript a").count() == 2
            assert (await opened.texts("noscript strong")) == ["This page needs JavaScript."]
            assert opened.complaints == []

    pages.run(check())


def test_every_reason_of_a_failed_poll_has_words(pages: Pages) -> None:
    async def check() -> None:
        polled = PolledNow()
        polled.poll(FIRST, PEOPLE)
        async with board(pages, polled) as (opened, _):
            said = await opened.page.evaluate(
                """async (reasons) => {
                    const { trouble } = await import(document.querySelector('script').src.replace('board', 'banner'));
                    const since = new Date().toISOString();
                    const failing = { last_poll: since, at: null, failing_since: since, fresh_until: null };
                    return reasons.map((failure) =>
                        trouble({ ...failing, failure }, { state: 'live' }, true, Date.now()).text);
                }""",
                list(REASONS),
            )
            for reason, text in zip(REASONS, said, strict=True):
                assert re.fullmatch(r".*Zoho.*\. The next poll that works brings the agents back\.", text)
                assert reason not in text.split()

    pages.run(check())
