"""What some of Zoho's answers tell beside what was asked: requests that are left, and when agents were last active."""

import asyncio
from pathlib import Path

import pytest

from exporter.metrics.instruments import Instruments
from exporter.metrics.text import Format
from exporter.settings import MetricsSettings, PollSettings
from exporter.zoho.credits import Credits
from exporter.zoho.rows import UsersPage
from exporter.zoho.session import Session
from tests.support.http_script import Reply, Request, ScriptedServer
from tests.support.metrics import START, Polled
from tests.support.running import exporting, settings_against, simulated, value
from tests.support.zoho import Noted, answers, everyone, ready, rows, soon, success, with_session

NAMES = ("7001", "7002")


def asked(tmp_path: Path, **headers: str) -> Noted:
    """The observer, after an answer with these headers."""
    observer = Noted()

    async def ask(session: Session, server: ScriptedServer) -> None:
        assert len(await session.client.statuses(["7001"], soon())) == 1

    with_session(answers(rows(("7001", "Busy")), **headers), ready(tmp_path), ask, observer=observer)
    return observer


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"X_API_CREDITS_REMAINING": "4988"}, Credits(4988, None)),
        ({"x_api_credits_remaining": "0", "x_api_credits_limit": "5000"}, Credits(0, 5000)),
        ({"X_RateLimit_Remaining": "29", "X_RateLimit_Limit": "30"}, Credits(29, 30)),
        ({"X_RateLimit_Remaining": "29", "X_API_CREDITS_REMAINING": "4988"}, Credits(4988, None)),
    ],
)
def test_headers_that_tell_what_is_left_are_read(headers: dict[str, str], told: Credits, tmp_path: Path) -> None:
    assert asked(tmp_path, **headers).credits == [told]


@pytest.mark.parametrize("text", [None, "", "many", "-1", "1.5", "1e3", "9" * 13, "30, 30;w=60", "\u0663".encode()])
def test_an_answer_without_them_or_with_rubbish_in_them_is_as_good_as_any(text: object, tmp_path: Path) -> None:
    headers = {} if text is None else {"X_API_CREDITS_REMAINING": str(text)}
    assert asked(tmp_path, **headers).credits == []


def test_the_error_answers_tell_it_too(tmp_path: Path) -> None:
    observer = Noted()
    told = {"X-API-CREDITS-REMAINING": "7"}
    seen: list[Request] = []

    def handle(request: Request) -> Reply:
        seen.append(request)
        good = everyone()(request)
        assert isinstance(good, Reply)
        return Reply(b"busy", 503, told) if len(seen) == 1 else good

    async def ask(session: Session, server: ScriptedServer) -> None:
        with pytest.raises(Exception, match="503"):
            await session.client.statuses(["7001"], soon())
        await session.client.statuses(["7001"], soon())

    with_session(handle, ready(tmp_path), ask, observer=observer)
    assert observer.credits == [Credits(7, None)]


def test_what_is_left_is_shown_once_it_is_told_and_each_number_by_itself() -> None:
    polled = Polled()
    remaining, limit = "zohovoice_api_credits_remaining", "zohovoice_api_credits_limit"
    assert (polled.value(remaining), polled.value(limit)) == (None, None)
    polled.instruments.credits_told(Credits(remaining=1200))
    polled.publish()
    assert (polled.value(remaining), polled.value(limit)) == (1200, None)
    polled.instruments.credits_told(Credits(remaining=0, limit=5000))
    polled.publish()
    assert (polled.value(remaining), polled.value(limit)) == (0, 5000)


def last_active(value: object, tmp_path: Path) -> int | None:
    body = success(meta={"total": 1}, users=[{"userid": "9001", "agentId": "7001", "lastActiveTime": value}])

    async def ask(session: Session, server: ScriptedServer) -> UsersPage:
        return await session.client.users_page(0, 50, soon())

    (row,) = with_session(answers(body), ready(tmp_path), ask).rows
    assert row.agent is not None
    return row.agent.last_active


@pytest.mark.parametrize("said", [1_700_000_000_000, "1700000000000", 1.7e12])
def test_when_an_agent_was_last_active_is_read_leniently(said: object, tmp_path: Path) -> None:
    assert last_active(said, tmp_path) == 1_700_000_000_000


@pytest.mark.parametrize("said", [None, "", "--", 0, -1, "yesterday", True, [1], {}, 1.5, 10**18, float(10**300)])
def test_rubbish_in_its_place_is_not_known_and_fails_nothing(said: object, tmp_path: Path) -> None:
    assert last_active(said, tmp_path) is None


def test_it_is_shown_of_the_tracked_agents_of_whom_zoho_told_it() -> None:
    polled = Polled(MetricsSettings(last_seen=True))
    from exporter.model import AVAILABLE, BUSY, Roster

    polled.instruments.roster_refreshed(Roster({}, START, last_active={"1": START - 60_500, "9": START}))
    polled.poll({"1": AVAILABLE, "2": BUSY})
    assert polled.by("agent_id", "zohovoice_agent_last_seen_timestamp_seconds") == {"1": START / 1000 - 60.5}
    polled.clock.pass_time(90)
    assert polled.by("agent_id", "zohovoice_agent_last_seen_timestamp_seconds") == {}


def test_it_is_not_shown_unless_asked_for(tmp_path: Path) -> None:
    instruments = Instruments(MetricsSettings(), PollSettings(), "1", "")
    assert b"last_seen" not in instruments.scrape(Format.TEXT, gzip=False).whole

    async def run() -> None:
        async with simulated() as simulator:
            settings = settings_against(simulator, tmp_path)
            async with exporting(settings) as exporter:
                await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
                assert "last_seen" not in await exporter.text()

    asyncio.run(run())


def test_from_the_roster_to_the_scrape(tmp_path: Path) -> None:
    from dataclasses import replace

    async def run() -> None:
        async with simulated() as simulator:
            settings = settings_against(simulator, tmp_path)
            settings = replace(settings, metrics=MetricsSettings(last_seen=True))
            began_s = simulator.simulation.now_ms() / 1000
            async with exporting(settings) as exporter:
                samples = await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            seen = {dict(labels)["agent_id"]: at for (name, labels), at in samples.items() if "_last_seen_" in name}
            assert len(seen) == 12
            for agent in simulator.simulation.agents:
                status = simulator.simulation.status_at(agent.agent_id, round(began_s * 1000))
                assert (seen[agent.agent_id] >= began_s - 1) is (status != "Offline"), status

    asyncio.run(run())
