"""A poll of many agents: whole, inside its deadline, inside its budget, or an error; nothing is invented."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, OFFLINE, Kind, Poll, Status
from exporter.settings import ApiSettings
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import (
    ApiError,
    AuthFailed,
    BudgetSpent,
    ClientError,
    ConnectFailed,
    NoStatus,
    NotDecodable,
    RateLimited,
    RequestTimeout,
    ServerError,
    WrongSchema,
)
from exporter.zoho.session import Session
from tests.support.clock import FakeClock
from tests.support.http_script import Fault, Handler, Raw, Reply, Request, ScriptedServer
from tests.support.zoho import Noted, answers, everyone, failure, ready, rows, success, with_session

NOW = 1_700_000_000_000
IDS = tuple(str(7000 + number) for number in range(10))
SMALL = ApiSettings(timeout_s=2.0, agents_per_request=3, concurrency=2)


def sampled(
    handler: Handler,
    folder: Path,
    ids: tuple[str, ...] = IDS,
    *,
    clock: FakeClock | None = None,
    seconds: float = 30.0,
    api: ApiSettings = SMALL,
    requests: list[Request] | None = None,
) -> Poll:
    clock = clock or FakeClock(NOW)

    async def ask(session: Session, server: ScriptedServer) -> Poll:
        try:
            return await session.sampler.sample(ids, clock.monotonic() + seconds)
        finally:
            if requests is not None:
                requests.extend(server.requests)

    return with_session(handler, ready(folder), ask, clock=clock, api=api)


def test_agents_are_asked_for_in_chunks_each_once(tmp_path: Path) -> None:
    requests: list[Request] = []
    poll = sampled(everyone(), tmp_path, requests=requests)
    assert dict(poll.readings) == dict.fromkeys(IDS, AVAILABLE)
    assert tuple(poll.readings) == IDS
    assert sorted(request.ids for request in requests) == [
        ["7000", "7001", "7002"],
        ["7003", "7004", "7005"],
        ["7006", "7007", "7008"],
        ["7009"],
    ]


def test_nobody_to_ask_makes_no_request(tmp_path: Path) -> None:
    requests: list[Request] = []
    assert sampled(everyone(), tmp_path, (), requests=requests) == Poll(NOW, NOW, {})
    assert requests == []


def test_an_id_that_is_asked_for_twice_counts_once(tmp_path: Path) -> None:
    requests: list[Request] = []
    poll = sampled(everyone(), tmp_path, ("7001", "7001"), requests=requests)
    assert dict(poll.readings) == {"7001": AVAILABLE}
    assert [request.ids for request in requests] == [["7001"]]


def test_no_more_requests_are_in_flight_than_allowed(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> int:
        await session.sampler.sample(IDS, time.monotonic() + 10)
        return server.connections

    def slow(request: Request) -> Reply:
        return Reply(rows(*((agent_id, "Busy") for agent_id in request.ids)), delay_s=0.02)

    assert with_session(slow, ready(tmp_path), ask, api=SMALL) == 2


def test_an_agent_is_reported_in_error_or_absent_and_others_are_ignored(tmp_path: Path) -> None:
    body = success(
        onlineStatus=[
            {"agentId": "7000", "onlineStatus": "Offline"},
            {"agentId": "7001", "error": "Invalid agent."},
            {"agentId": 7003, "onlineStatus": "In Training"},
            {"agentId": "8888", "onlineStatus": "Busy"},
        ]
    )
    poll = sampled(answers(body), tmp_path, IDS[:4], api=ApiSettings(timeout_s=2.0))
    assert dict(poll.readings) == {
        "7000": OFFLINE,
        "7001": ERROR,
        "7002": ABSENT,
        "7003": Status(Kind.REPORTED, "In Training"),
    }


def test_a_row_in_the_answer_to_another_chunk_is_ignored(tmp_path: Path) -> None:
    """Every answer claims something of everybody; only what was asked for counts."""

    def handle(request: Request) -> Reply:
        word = "Busy" if "7000" in request.ids else "Available"
        return Reply(rows(*((agent_id, word) for agent_id in IDS)))

    poll = sampled(handle, tmp_path)
    assert [poll.readings[agent_id] for agent_id in IDS] == [BUSY] * 3 + [AVAILABLE] * 7


def test_sent_and_received_enclose_the_requests_also_when_the_wall_clock_steps_back(tmp_path: Path) -> None:
    clock = FakeClock(NOW)

    def handle(request: Request) -> Reply:
        clock.pass_time(0.25)
        clock.step(-3_600_000)
        return Reply(rows(("7000", "Busy")))

    poll = sampled(handle, tmp_path, ("7000",), clock=clock)
    assert (poll.sent, poll.received) == (NOW, NOW + 250)


@pytest.mark.parametrize(
    "body",
    [
        success(onlineStatus=[]),
        success(onlineStatus=[{"agentId": agent_id, "error": "Invalid agent."} for agent_id in IDS]),
        success(onlineStatus=[{"agentId": agent_id} for agent_id in IDS]),
        rows(("9999", "Available")),
    ],
)
def test_a_complete_poll_without_any_status_is_a_failure(body: object, tmp_path: Path) -> None:
    requests: list[Request] = []
    with pytest.raises(NoStatus, match="gave a status for none of 10 agents"):
        sampled(answers(body), tmp_path, requests=requests)
    assert len(requests) == 4  # and it is not tried again


class Failing:
    """Fails the first `times` requests for the chunk of agent 7003, and answers all others."""

    def __init__(self, behaviour: Reply | Raw | Fault, times: int) -> None:
        self.behaviour = behaviour
        self.times = times
        self.asked: Counter[str] = Counter()

    def __call__(self, request: Request) -> Reply | Raw | Fault:
        first = request.ids[0]
        self.asked[first] += 1
        if first == "7003" and self.asked[first] <= self.times:
            return self.behaviour
        return Reply(rows(*((agent_id, "Available") for agent_id in request.ids)))


PASSING: list[tuple[Reply | Raw | Fault, type[ApiError]]] = [
    (Reply(b"", 500), ServerError),
    (Reply(b"<html>", 503), ServerError),
    (Reply(b"<html>"), NotDecodable),
    (Reply({"code": "200"}), WrongSchema),
    (Reply(failure()), ApiError),
    (Fault.RESET, ConnectFailed),
    (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), ConnectFailed),
]


@pytest.mark.parametrize(("behaviour", "kind"), PASSING)
def test_a_chunk_that_fails_is_retried_inside_the_deadline_and_it_alone(
    behaviour: Reply | Raw | Fault, kind: type[ApiError], tmp_path: Path
) -> None:
    clock = FakeClock(NOW)
    handler = Failing(behaviour, 2)
    poll = sampled(handler, tmp_path, clock=clock)
    assert dict(poll.readings) == dict.fromkeys(IDS, AVAILABLE)
    assert handler.asked == {"7000": 1, "7003": 3, "7006": 1, "7009": 1}
    assert len(clock.slept) == 2
    assert 0.25 <= clock.slept[0] <= 0.75
    assert 0.5 <= clock.slept[1] <= 1.5


@pytest.mark.parametrize(("behaviour", "kind"), PASSING)
def test_a_chunk_is_given_up_after_three_tries_and_the_poll_with_it(
    behaviour: Reply | Raw | Fault, kind: type[ApiError], tmp_path: Path
) -> None:
    handler = Failing(behaviour, 99)
    with pytest.raises(kind):
        sampled(handler, tmp_path)
    assert handler.asked["7003"] == 3


def test_a_wait_that_would_end_after_the_deadline_is_not_begun(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    handler = Failing(Reply(b"", 500), 99)
    with pytest.raises(ServerError):
        sampled(handler, tmp_path, clock=clock, seconds=0.2)
    assert handler.asked["7003"] == 1
    assert clock.slept == []


def test_a_retry_that_the_budget_does_not_allow_before_the_deadline_is_not_made(tmp_path: Path) -> None:
    handler = Failing(Reply(b"", 500), 99)
    api = ApiSettings(timeout_s=2.0, agents_per_request=3, concurrency=1, max_requests_per_minute=2)
    requests: list[Request] = []
    with pytest.raises(ServerError):
        sampled(handler, tmp_path, IDS[:6], api=api, requests=requests)
    assert len(requests) == 2


def test_a_poll_that_the_budget_does_not_allow_is_refused_without_a_request_for_its_rest(tmp_path: Path) -> None:
    requests: list[Request] = []
    api = ApiSettings(timeout_s=2.0, agents_per_request=3, concurrency=1, max_requests_per_minute=2)
    with pytest.raises(BudgetSpent):
        sampled(everyone(), tmp_path, api=api, requests=requests)
    assert len(requests) == 2


def test_requests_of_a_process_before_this_one_count(tmp_path: Path) -> None:
    clock = FakeClock(NOW)

    async def ask(session: Session, server: ScriptedServer) -> float:
        session.budget.preload(Endpoint.STATUSES, 30, 45.0)
        await session.sampler.sample(("7000",), clock.monotonic() + 30)
        return clock.monotonic()

    assert with_session(everyone(), ready(tmp_path), ask, clock=clock) == 1_015.0


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(b"", 401), AuthFailed),
        (Reply(b"", 429, {"Retry-After": "60"}), RateLimited),
        (Reply(b"", 404), ClientError),
        (Reply(b"", 302), ApiError),
    ],
)
def test_what_a_retry_would_not_heal_is_not_retried(reply: Reply, kind: type[ApiError], tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    handler = Failing(reply, 99)
    with pytest.raises(kind):
        sampled(handler, tmp_path, clock=clock)
    assert handler.asked["7003"] == 1
    assert clock.slept == []


def test_when_one_chunk_fails_for_good_the_others_are_cancelled(tmp_path: Path) -> None:
    def handle(request: Request) -> Reply | Fault:
        return Reply(b"", 404) if "7003" in request.ids else Fault.HANG

    began = time.monotonic()
    with pytest.raises(ClientError):
        sampled(handle, tmp_path)
    assert time.monotonic() - began < 1.5


def test_a_server_that_hangs_fails_the_poll_at_its_deadline(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> float:
        began = time.monotonic()
        with pytest.raises(RequestTimeout):
            await session.sampler.sample(IDS, began + 0.3)
        return time.monotonic() - began

    assert 0.25 < with_session(lambda _: Fault.HANG, ready(tmp_path), ask, api=SMALL) < 1.5


def test_a_poll_that_hangs_can_be_cancelled_and_the_next_one_works(tmp_path: Path) -> None:
    hanging = True

    def handle(request: Request) -> Reply | Fault:
        return Fault.HANG if hanging else Reply(rows(*((agent_id, "Busy") for agent_id in request.ids)))

    async def ask(session: Session, server: ScriptedServer) -> Poll:
        nonlocal hanging
        task = asyncio.create_task(session.sampler.sample(IDS, time.monotonic() + 60))
        while len(server.requests) < 2:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 0.5
        hanging = False
        return await session.sampler.sample(IDS, time.monotonic() + 60)

    poll = with_session(handle, ready(tmp_path), ask, api=SMALL)
    assert dict(poll.readings) == dict.fromkeys(IDS, BUSY)


def test_every_request_and_retry_is_noted(tmp_path: Path) -> None:
    observer = Noted()

    async def ask(session: Session, server: ScriptedServer) -> None:
        await session.sampler.sample(IDS, clock.monotonic() + 30)

    clock = FakeClock(NOW)
    with_session(Failing(Fault.RESET, 1), ready(tmp_path), ask, clock=clock, observer=observer, api=SMALL)
    assert observer.done == [("statuses", 200)] * 4
    assert observer.failed == [("statuses", "connect")]


class FineClock:
    """Each look takes so many microseconds; the wall shows whole milliseconds."""

    def __init__(self, start_us: int, look_us: int) -> None:
        self.us = start_us
        self._look_us = look_us

    def now_ms(self) -> int:
        self.us += self._look_us
        return self.us // 1_000

    def monotonic(self) -> float:
        self.us += self._look_us
        return (self.us - NOW * 1_000) / 1e6

    async def sleep(self, seconds: float) -> None:
        self.us += round(seconds * 1e6)


@pytest.mark.parametrize("look_us", [1, 40, 130, 700])
def test_a_poll_is_not_sent_after_it_was_answered_nor_received_before(tmp_path: Path, look_us: int) -> None:
    """Not by the fraction of a millisecond either: what changed just before the answer must lie in the poll."""

    async def ask(session: Session, server: ScriptedServer) -> None:
        for fraction in range(0, 1_000, 90):
            clock.us = (NOW + 1_000 * fraction) * 1_000 + fraction
            answered.clear()
            poll = await session.sampler.sample(IDS[:1], clock.monotonic() + 30)
            (at,) = answered
            assert poll.sent <= at <= poll.received <= clock.us // 1_000 + 1

    def handle(request: Request) -> Reply:
        answered.append(clock.us // 1_000)
        return Reply(rows(*((agent_id, "Busy") for agent_id in request.ids)))

    answered: list[int] = []
    clock = FineClock(NOW * 1_000, look_us)
    with_session(handle, ready(tmp_path), ask, clock=clock, api=ApiSettings(max_requests_per_minute=1_000))
