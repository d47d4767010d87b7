"""Throttles in every documented shape, the budget that keeps below them, and how often a poll fits."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import BUSY
from exporter.settings import ApiSettings
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import BudgetSpent, RateLimited
from exporter.zoho.session import Session
from exporter.zoho.throttle import Budget, lengthened_interval_s, requests_per_poll, throttle_seconds
from tests.support.clock import FakeClock
from tests.support.http_script import ScriptedServer, scripted_server
from tests.support.zoho import Noted, answers, failure, ready, rows, session_at, soon, success, with_session

NOW = 1_700_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT


def projects(code: object = 400, message: str = "Try again after 22 minutes.") -> dict[str, object]:
    return {
        "error": {
            "status_code": code,
            "title": "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED",
            "error_type": "OPERATIONAL_VALIDATION_ERROR",
            "details": {"message": f"Cannot execute more than 100 requests per API in 2 minutes. {message}"},
        }
    }


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {}, None, 600.0),
        (429, {"retry-after": "7"}, None, 7.0),
        (429, {"retry-after": " 7.5 "}, None, 7.5),
        (429, {"retry-after": "0"}, None, 1.0),
        (429, {"retry-after": "Tue, 14 Nov 2023 22:15:20 GMT"}, None, 120.0),
        (429, {"retry-after": "Tuesday, 14-Nov-23 22:15:20 GMT"}, None, 120.0),
        (429, {"retry-after": "Tue, 14 Nov 2023 22:15:20 -0000"}, None, 120.0),
        # The server's clock is an hour ahead of ours: its own date counts.
        (429, {"retry-after": "Tue, 14 Nov 2023 23:15:20 GMT", "date": "Tue, 14 Nov 2023 23:13:20 GMT"}, None, 120.0),
        (429, {"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, None, 600.0),
        (429, {"retry-after": "-5"}, None, 600.0),
        (429, {"retry-after": "nan"}, None, 600.0),
        (429, {"retry-after": "inf"}, None, 600.0),
        (429, {"retry-after": "1e9"}, None, 600.0),
        (429, {"retry-after": ""}, None, 600.0),
        (429, {"retry-after": "soon"}, None, 600.0),
        (429, {"retry-after": "9" * 30}, None, 86_400.0),
        (429, {"retry-after": "9" * 5_000}, None, 600.0),
        (429, {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None, 86_400.0),
        (429, {}, {"code": "TOO_MANY_REQUESTS", "message": "Try again after 30 seconds"}, 30.0),
        (200, {}, {"code": "TOO_MANY_REQUESTS", "status": "error"}, 600.0),
        (400, {}, projects(), 1_320.0),
        (200, {}, projects("400"), 1_320.0),
        (400, {}, projects(message="Try again in 1 hour."), 3_600.0),
        (400, {}, projects(message="Try again after 9999999 hours."), 86_400.0),
        (400, {}, projects(message=""), 600.0),
        (400, {"retry-after": "5"}, projects(), 5.0),
        (400, {"retry-after": "never"}, projects(), 1_320.0),
        (400, {}, {"code": "request_limit_exceeded", "message": "You have exceeded the URL throttle limits."}, 600.0),
        (503, {}, {"code": "request_limit_exceeded"}, 600.0),
        (400, {}, {"errors": [{"code": "RATE_LIMIT_EXCEEDED"}]}, 600.0),
    ],
)
def test_a_throttle_says_for_how_long(status: int, headers: dict[str, str], body: object, seconds: float) -> None:
    assert throttle_seconds(status, headers, body, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, success(message="success")),
        (400, failure()),
        (500, failure()),
        (503, None),
        (400, ["text"]),
        (200, {"code": "ZVTL001", "message": "licence limit"}),
        (400, {"error": {"error": {"error": {"error": {"error": {"title": "TOO_MANY_REQUESTS"}}}}}}),
        (400, {"users": [{"name": "TOO_MANY_REQUESTS"}]}),
    ],
)
def test_other_answers_are_no_throttle(status: int, body: object) -> None:
    assert throttle_seconds(status, {"retry-after": "5"}, body, NOW) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "title", "message", "data", "details"]) | st.text(), inner)
    ),
    max_leaves=10,
)


@given(st.integers(100, 599), st.text(max_size=40), json_values)
def test_no_answer_breaks_the_recognition_or_locks_for_longer_than_a_day(status: int, text: str, body: object) -> None:
    seconds = throttle_seconds(status, {"retry-after": text, "date": text}, body, NOW)
    assert seconds is None or 1.0 <= seconds <= 86_400.0


# --- locks ----------------------------------------------------------------------------------------------------------


LOCKED = "/rest/json/zv/api/v2/agents/onlineStatus"


def test_a_throttle_locks_its_url_at_once_and_is_noted_once(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    observer = Noted()

    async def ask(session: Session, server: ScriptedServer) -> None:
        for _ in range(3):
            with pytest.raises(RateLimited, match="no request is made for 1320 s") as caught:
                await session.client.statuses(("7001",), soon(clock))
            assert caught.value.until_ms == NOW + 1_320_000
        assert len(server.requests) == 1
        locks = json.loads((tmp_path / "token.json").read_text())["locks"]
        assert locks == {server.url + LOCKED: NOW + 1_320_000}

    with_session(answers(projects(), 400), ready(tmp_path), ask, clock=clock, observer=observer)
    assert observer.limited == [("statuses", NOW + 1_320_000)]


def test_a_lock_outlives_a_restart_ends_at_its_instant_and_leaves_other_urls_free(tmp_path: Path) -> None:
    clock = FakeClock(NOW)

    async def run() -> None:
        async with scripted_server(answers(rows(("7001", "Busy")))) as server:
            async with session_at(server, ready(tmp_path), clock) as session:
                session.memory.lock(server.url + LOCKED, NOW + 1_320_000, NOW)
            async with session_at(server, ready(tmp_path), clock) as session:
                clock.pass_time(1_319)
                with pytest.raises(RateLimited, match="no request is made for 1 s"):
                    await session.client.statuses(("7001",), soon(clock))
                assert server.requests == []
                await session.client.own_status(soon(clock))
                clock.pass_time(1)
                await session.client.statuses(("7001",), soon(clock))
                assert len(server.requests) == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "status", "headers", "seconds"),
    [(b"", 429, {"Retry_After": "90"}, 90), (projects(), 200, {}, 1_320), (b"<html>", 429, {}, 600)],
)
def test_the_client_takes_a_throttle_as_one_whatever_its_status(
    body: object, status: int, headers: dict[str, str], seconds: int, tmp_path: Path
) -> None:
    clock = FakeClock(NOW)

    async def ask(session: Session, server: ScriptedServer) -> int:
        with pytest.raises(RateLimited) as caught:
            await session.client.override_statuses(("7001",), BUSY, soon(clock))
        return caught.value.until_ms

    assert with_session(answers(body, status, **headers), ready(tmp_path), ask, clock=clock) == NOW + seconds * 1_000


# --- budget ---------------------------------------------------------------------------------------------------------


def acquired(
    clock: FakeClock, budget: Budget, endpoint: Endpoint = Endpoint.STATUSES, within: float = 1e9, takes: float = 0.0
) -> float:
    """When the next request begins; it ends `takes` seconds later."""

    async def request() -> float:
        async with budget.request(endpoint, clock.monotonic() + within):
            began = clock.monotonic()
            clock.pass_time(takes)
            return began

    return asyncio.run(request())


def test_the_budget_makes_the_request_beyond_it_wait_until_the_first_is_a_minute_old() -> None:
    clock = FakeClock(monotonic=1_000.0)
    budget = Budget(clock, 3)
    granted = []
    for _ in range(7):
        granted.append(acquired(clock, budget))
        clock.pass_time(1)
    assert granted == [1_000.0, 1_001.0, 1_002.0, 1_060.0, 1_061.0, 1_062.0, 1_120.0]


def test_a_request_that_cannot_be_made_before_the_deadline_is_refused_at_once() -> None:
    clock = FakeClock(NOW, 1_000.0)
    budget = Budget(clock, 1)
    acquired(clock, budget)
    clock.pass_time(20)
    with pytest.raises(BudgetSpent, match=r"1 requests a minute leaves no room for 40 s; raise --api\.max-") as caught:
        acquired(clock, budget, within=40)
    assert caught.value.until_ms == NOW + 60_000
    assert clock.slept == []
    assert acquired(clock, budget, within=41) == 1_060.0


def test_each_url_has_a_budget_of_its_own_and_endpoints_of_one_url_share_it() -> None:
    clock = FakeClock()
    budget = Budget(clock, 1)
    for endpoint in (Endpoint.STATUSES, Endpoint.USERS, Endpoint.OWN_STATUS):
        assert acquired(clock, budget, endpoint, within=1) == 1_000.0
    with pytest.raises(BudgetSpent):
        acquired(clock, budget, Endpoint.SET_STATUS, within=1)


def test_requests_made_before_a_restart_count() -> None:
    clock = FakeClock(monotonic=1_000.0)
    budget = Budget(clock, 3)
    budget.preload(Endpoint.STATUSES, 2, 50.0)
    budget.preload(Endpoint.STATUSES, 9, 61.0)
    assert [acquired(clock, budget) for _ in range(4)] == [1_000.0, 1_010.0, 1_010.0, 1_060.0]


def test_a_wait_that_is_cancelled_spends_nothing() -> None:
    clock = FakeClock(monotonic=1_000.0)
    budget = Budget(clock, 1)

    class Stopped(BaseException):
        pass

    class Stopping(FakeClock):
        async def sleep(self, seconds: float) -> None:
            raise Stopped

    acquired(clock, budget)
    budget._clock = Stopping(monotonic=1_000.0)
    with pytest.raises(Stopped):
        acquired(clock, budget)
    budget._clock = clock
    assert acquired(clock, budget) == 1_060.0


def test_a_slow_request_counts_until_a_minute_after_its_end_for_it_may_have_arrived_that_late() -> None:
    clock = FakeClock(monotonic=1_000.0)
    budget = Budget(clock, 2)
    acquired(clock, budget, takes=5.0)
    acquired(clock, budget, takes=1.0)

    assert acquired(clock, budget) == 1_065.0
    assert acquired(clock, budget) == 1_066.0


def test_a_poll_waits_for_room_for_all_its_requests_before_its_first() -> None:
    clock = FakeClock(monotonic=1_000.0)
    budget = Budget(clock, 3)
    acquired(clock, budget)
    clock.pass_time(10)
    acquired(clock, budget)

    asyncio.run(budget.room(Endpoint.STATUSES, 1, clock.monotonic() + 1))
    assert clock.monotonic() == 1_010.0
    with pytest.raises(BudgetSpent, match="leaves no room for 50 s"):
        asyncio.run(budget.room(Endpoint.STATUSES, 2, clock.monotonic() + 50))
    asyncio.run(budget.room(Endpoint.STATUSES, 2, clock.monotonic() + 51))
    assert clock.monotonic() == 1_060.0
    # More than fit into a minute is never free at once: then a whole minute's worth must do.
    asyncio.run(budget.room(Endpoint.STATUSES, 9, clock.monotonic() + 61))
    assert clock.monotonic() == 1_070.0


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, 90), st.floats(0, 20), st.floats(0, 1)), min_size=1, max_size=60),
)
def test_in_no_minute_do_more_requests_arrive_than_the_maximum_whenever_they_arrive(
    limit: int, steps: list[tuple[float, float, float]]
) -> None:
    clock = FakeClock(monotonic=0.0)
    budget = Budget(clock, limit)
    arrived: list[float] = []
    for wait, takes, share in steps:
        clock.pass_time(wait)
        arrived.append(acquired(clock, budget, takes=takes) + takes * share)
    for index, at in enumerate(sorted(arrived)[limit:]):
        assert at - sorted(arrived)[index] >= 60.0 - 1e-6


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, 90, allow_nan=False), st.booleans()), min_size=1, max_size=60),
)
def test_in_no_minute_are_there_more_grants_than_the_maximum(limit: int, steps: list[tuple[float, bool]]) -> None:
    clock = FakeClock(monotonic=0.0)
    budget = Budget(clock, limit)
    granted: list[float] = []
    for wait, patient in steps:
        clock.pass_time(wait)
        try:
            granted.append(acquired(clock, budget, within=1e9 if patient else 1.0))
        except BudgetSpent:
            continue
    for index, at in enumerate(granted[limit:]):
        assert at - granted[index] >= 60.0 - 1e-6


def test_many_waiters_at_once_keep_the_limit_and_all_get_through() -> None:
    clock = FakeClock(monotonic=0.0)
    budget = Budget(clock, 2)
    granted: list[float] = []

    async def one() -> None:
        async with budget.request(Endpoint.STATUSES, 1e9):
            granted.append(clock.monotonic())

    async def run() -> None:
        await asyncio.gather(*(one() for _ in range(5)))

    asyncio.run(run())
    assert len(granted) == 5
    assert max(granted) >= 120.0


# --- arithmetic -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agents", "interval", "wanted"),
    [
        (0, 30.0, 30.0),
        (1, 30.0, 30.0),
        (1, 1.0, 2.0),
        (750, 30.0, 30.0),
        (750, 45.0, 45.0),
        (751, 30.0, 60.0),  # two polls of 16 requests in a minute would be 32
        (751, 90.0, 90.0),
        (500, 15.0, 20.0),
        (1_500, 30.0, 60.0),
        (1_501, 30.0, 120.0),
        (10_000, 30.0, 420.0),  # 200 requests: six full minutes and a part of the seventh
    ],
)
def test_the_interval_is_lengthened_until_the_polls_of_any_minute_fit(
    agents: int, interval: float, wanted: float
) -> None:
    assert lengthened_interval_s(agents, ApiSettings(), interval) == wanted


def test_ten_thousand_agents_fit_thirty_seconds_with_the_flags_raised() -> None:
    settings = ApiSettings(max_requests_per_minute=200, agents_per_request=100)
    assert requests_per_poll(10_000, settings) == 100
    assert lengthened_interval_s(10_000, settings, 30.0) == 30.0


@given(st.integers(1, 3_000), st.integers(1, 60), st.integers(1, 100), st.floats(1, 120))
def test_at_the_lengthened_interval_no_request_of_any_poll_has_to_wait(
    agents: int, limit: int, size: int, interval: float
) -> None:
    settings = ApiSettings(max_requests_per_minute=limit, agents_per_request=size)
    requests = requests_per_poll(agents, settings)
    every = lengthened_interval_s(agents, settings, interval)
    assert every >= interval
    # A poll sends at most the limit at once, and what is beyond it a minute later, and so on.
    sent = sorted(poll * every + index // limit * 60.0 for poll in range(3) for index in range(requests))
    for index, at in enumerate(sent[limit:]):
        assert at - sent[index] >= 60.0 - 1e-6
