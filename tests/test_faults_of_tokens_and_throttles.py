"""Faults that make the program wait: of the token endpoint, of the access token, and throttles of each URL."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator.faults import Fault, FaultKind, Label
from exporter.simulator.received import ReceivedRequest
from tests.support.faulty import (
    BACKOFF,
    FAILURES,
    ROSTER_FAILURES,
    SKIPPED,
    UP,
    Stage,
    failures,
    fault_name,
    is_good,
    logged,
    reaches,
    shown,
    side_by_side,
    staged,
    warnings,
)
from tests.support.running import RunningExporter, Samples, exporting, value

POLLS = "zohovoice_polls_total"
REFRESHES = "zohovoice_oauth_token_refreshes_total"
REFRESH_FAILURES = "zohovoice_oauth_token_refresh_failures_total"
RATE_LIMITED = "zohovoice_api_rate_limited_total"
RETRY_AFTER = "zohovoice_api_retry_after_timestamp_seconds"

_PAUSE_S: Final = 0.1
"""Between two scrapes of one program, of which several run side by side."""

_CUT_OFF: Final = {"timeout": 1}
"""What becomes of a poll that is under way when the clock leaps."""

NO_TOKEN = {
    "timeout": (
        Fault(FaultKind.SLOW, seconds=5),
        Fault(FaultKind.TRICKLE, seconds=5),
        Fault(FaultKind.HANG),
    ),
    "connect": (
        Fault(FaultKind.RESET),
        Fault(FaultKind.CLOSE),
        Fault(FaultKind.TRUNCATED),
    ),
    "auth": tuple(
        Fault(FaultKind.REFUSED_REFRESH, text=text) for text in ("invalid_code", "invalid_client", "something new")
    ),
    "http_4xx": (Fault(FaultKind.CLIENT_ERROR),),
    "http_5xx": (Fault(FaultKind.SERVER_ERROR, status=503),),
    "redirect": (Fault(FaultKind.REDIRECT, url="https://accounts.example.com/oauth/v2/token"),),
    "too_large": (Fault(FaultKind.HUGE_BODY),),
    "decode": (
        Fault(FaultKind.NOT_JSON),
        Fault(FaultKind.HTML),
        Fault(FaultKind.EMPTY),
        Fault(FaultKind.NO_CONTENT),
        Fault(FaultKind.FALSE_GZIP),
    ),
    "schema": (Fault(FaultKind.WRONG_TYPES, variant="payload"), Fault(FaultKind.WRONG_TYPES, variant="list")),
    "rate_limited": (
        Fault(FaultKind.ACCESS_TOKEN_LIMIT, status=200),
        Fault(FaultKind.ACCESS_TOKEN_LIMIT, status=400, variant="chinese"),
        Fault(FaultKind.THROTTLE_429),
        Fault(FaultKind.THROTTLE_400),
        Fault(FaultKind.THROTTLE_200),
        Fault(FaultKind.THROTTLE_CLIQ),
    ),
}
"""What keeps a new access token from coming, by the reason that is shown."""

_TOGETHER: Final = (
    ("timeout", "connect", "http_4xx", "http_5xx", "auth"),
    ("redirect", "too_large", "decode", "schema", "rate_limited"),
)
"""Reasons whose faults are played side by side, to save time."""


@pytest.mark.parametrize("reasons", _TOGETHER, ids="-".join)
def test_without_a_new_token_the_old_one_is_used_to_its_end_and_then_polls_fail_until_one_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, reasons: tuple[str, ...]
) -> None:
    caplog.set_level("DEBUG", "exporter")
    wanted = {fault: reason for reason in reasons for fault in NO_TOKEN[reason]}
    scenes = {fault: _outlived_token(tmp_path / fault_name(fault), fault, reason) for fault, reason in wanted.items()}
    asyncio.run(side_by_side(scenes))
    assert len(logged(caplog, "access token not refreshed")) >= len(wanted)
    assert warnings(caplog, "exporter.zoho.oauth") == ["access token not refreshed"] * len(wanted), "not each try"
    begun = [str(line["reason"]) for line in logged(caplog, "polls fail") if line["reason"] not in _CUT_OFF]
    assert sorted(begun) == sorted(reason for reason in wanted.values() if reason not in _CUT_OFF)
    assert len(logged(caplog, "polls succeed again")) >= len(wanted)


async def _outlived_token(directory: Path, fault: Fault, reason: str) -> None:
    directory.mkdir()
    timeout_s = 0.8 if reason == "timeout" else 5.0
    async with (
        staged(directory, interval_s=0.3, timeout_s=timeout_s) as stage,
        exporting(stage.settings, clock=stage.clock) as exporter,
    ):
        await exporter.until(is_good, pause_s=_PAUSE_S)
        first = stage.asked("token")
        stage.place("token", fault)
        stage.clock.leap(3_500)
        old = await exporter.until(reaches(REFRESH_FAILURES, 1), pause_s=_PAUSE_S)
        polls = value(old, POLLS) or 0
        old = await exporter.until(reaches(POLLS, polls + 2), pause_s=_PAUSE_S)
        assert value(old, UP) == 1, "the old token is good for 100 seconds more"
        assert failures(old) in ({}, _CUT_OFF)
        assert stage.asked("token") == first + 1

        stage.clock.leap(150)
        over = await exporter.until(reaches(FAILURES, 1, reason=reason), pause_s=_PAUSE_S)
        assert value(over, UP) == 0
        asked = stage.asked("token")
        assert asked <= first + 2, "a failed refresh is not repeated at once"
        over = await _ticks_more(exporter, 3)
        assert failures(over).keys() - _CUT_OFF.keys() == {reason} - _CUT_OFF.keys()
        assert stage.asked("token") == asked
        assert ((value(over, BACKOFF) or 0) > 0) == (reason == "rate_limited")
        assert (await exporter.http.get(exporter.url + "/-/healthy")).status_code == 200
        assert stage.inventions() == []

        stage.clear()
        stage.clock.leap(600)
        await exporter.until(is_good, pause_s=_PAUSE_S)
        assert stage.asked("token") == asked + 1
        assert stage.inventions() == []


def test_without_any_token_nothing_is_known_and_nothing_recorded(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage:
            stage.place("token", Fault(FaultKind.REFUSED_REFRESH))
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                during = await exporter.until(reaches(ROSTER_FAILURES, 2, reason="auth"))
                assert value(during, UP) == 0
                assert shown(during) == {}
                assert (await exporter.http.get(exporter.url + "/-/ready")).status_code == 503
                assert (await exporter.http.get(exporter.url + "/-/healthy")).status_code == 200
                assert stage.asked("token") == 1, "a refused refresh is repeated after a minute"
                assert stage.history().agents == ()
                stage.clear()
                stage.clock.leap(60)
                await exporter.until(is_good)
                assert stage.asked("token") == 2

    asyncio.run(run())


EXPIRED = Fault(FaultKind.EXPIRED_TOKEN)


@pytest.mark.parametrize("where", ["statuses", "users"])
def test_an_access_token_that_is_refused_is_replaced_once_and_no_poll_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    async def run() -> None:
        async with (
            staged(tmp_path, timeout_s=2.0) as stage,
            exporting(stage.settings, clock=stage.clock) as exporter,
        ):
            before = await exporter.until(is_good)
            stage.place(where, EXPIRED, times=1)
            after = await exporter.until(reaches(REFRESHES, 2))
            polls = value(after, POLLS) or 0
            after = await exporter.until(reaches(POLLS, polls + 3))
            assert failures(after) == failures(after, ROSTER_FAILURES) == {}
            assert shown(after) == shown(before)
            assert stage.asked("token") == 2
            assert stage.inventions() == []

    asyncio.run(run())
    assert warnings(caplog, "exporter.poller") == []


def test_access_tokens_that_expire_at_once_make_no_refresh_storm(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            await exporter.until(is_good)
            for where in ("statuses", "users"):
                stage.place(where, EXPIRED)
            during = await exporter.until(reaches(FAILURES, 10, reason="auth"))
            assert value(during, UP) == 0
            assert stage.asked("token") == 2, "one try with a new token, and then a minute of patience"

            for _ in range(40):
                stage.clock.leap(45)
                await _ticks_more(exporter, 1)
            asked = stage.simulator.received.requests(Label.TOKEN)
            assert 4 <= len(asked) <= 10
            assert _most_in_a_window(asked, 600) <= 5, "half of what Zoho allows"

            stage.clear()
            stage.clock.leap(600)
            await exporter.until(is_good)
            assert stage.inventions() == []

    asyncio.run(run())


def test_restarts_go_on_with_the_same_access_token(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage:
            for _ in range(4):
                async with exporting(stage.settings, clock=stage.clock) as exporter:
                    await exporter.until(is_good)
            assert stage.asked("token") == 1

    asyncio.run(run())


@dataclass(frozen=True)
class Throttle:
    """A throttle and for how many seconds it closes the URL."""

    fault: Fault
    seconds: int


THROTTLES = (
    Throttle(Fault(FaultKind.THROTTLE_429), 600),
    Throttle(Fault(FaultKind.THROTTLE_429, retry_after=3_000), 3_000),
    Throttle(Fault(FaultKind.THROTTLE_400), 600),
    Throttle(Fault(FaultKind.THROTTLE_400, retry_after=120), 120),
    Throttle(Fault(FaultKind.THROTTLE_200), 600),
    Throttle(Fault(FaultKind.THROTTLE_200, retry_after=1_200), 1_200),
    Throttle(Fault(FaultKind.THROTTLE_CLIQ), 600),
)


def test_a_throttle_stops_polls_for_as_long_as_it_says_over_a_restart_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scenes = {throttle.fault: _throttled(tmp_path / fault_name(throttle.fault), throttle) for throttle in THROTTLES}
    asyncio.run(side_by_side(scenes))
    assert len(logged(caplog, "Zoho throttles: the URL is left alone")) == len(THROTTLES)
    assert {line["reason"] for line in logged(caplog, "polls fail")} == {"rate_limited"}
    assert len(logged(caplog, "polls fail")) == 2 * len(THROTTLES), "once for each start of the program"


async def _throttled(directory: Path, throttle: Throttle) -> None:
    directory.mkdir()
    async with staged(directory, interval_s=0.3, timeout_s=2.0) as stage:
        async with exporting(stage.settings, clock=stage.clock) as exporter:
            before = await exporter.until(is_good, pause_s=_PAUSE_S)
            stage.place("statuses", throttle.fault, times=1)
            during = await exporter.until(reaches(FAILURES, 1, reason="rate_limited"))
            assert shown(during) == shown(before), "kept until it is too old"
            assert value(during, RATE_LIMITED) == 1
            assert (value(during, RETRY_AFTER) or 0) - stage.clock.now_ms() / 1000 == pytest.approx(
                throttle.seconds, abs=5
            )
            await _silent(stage, exporter, throttle.seconds)
            assert stage.inventions() == []
        agent_id = stage.agents[5]
        word = stage.change_status(agent_id)
        async with exporting(stage.settings, clock=stage.clock) as exporter:
            await _silent(stage, exporter, throttle.seconds)
            stage.clock.leap(throttle.seconds)
            await exporter.until(lambda now: is_good(now) and agent_id in shown(now), pause_s=_PAUSE_S)
        (changes,) = [agent.changes for agent in stage.history().agents if agent.agent_id == agent_id]
        assert word in [change.to_status.word for change in changes] or throttle.seconds > 60
        assert stage.inventions() == []


async def _silent(stage: Stage, exporter: RunningExporter, seconds: int) -> None:
    """No poll is made while the lock lasts, and it is shown how long that is."""
    during = await exporter.until(reaches(SKIPPED, 1), pause_s=_PAUSE_S)
    asked, skipped = stage.asked("statuses"), value(during, SKIPPED) or 0
    during = await exporter.until(reaches(SKIPPED, skipped + 3), pause_s=_PAUSE_S)
    assert stage.asked("statuses") == asked
    assert value(during, UP) == 0
    assert seconds - 10 < (value(during, BACKOFF) or 0) <= seconds
    assert failures(during) == {"rate_limited": 1}
    assert (await exporter.http.get(exporter.url + "/-/healthy")).status_code == 200


def test_after_a_throttle_of_one_second_polls_go_on_after_one_second(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            before = await exporter.until(is_good)
            stage.place("statuses", Fault(FaultKind.THROTTLE_429, retry_after=1), times=1)
            await exporter.until(reaches(FAILURES, 1, reason="rate_limited"))
            after = await exporter.until(is_good)
            assert shown(after) == shown(before)
            assert value(after, BACKOFF) == 0
            asked = stage.simulator.received.requests(Label.STATUSES)
            throttled = [request.fault for request in asked].index(FaultKind.THROTTLE_429)
            assert asked[throttled + 1].monotonic - asked[throttled].monotonic >= 1
            assert stage.inventions() == []

    asyncio.run(run())


ROSTER_THROTTLES = (
    Fault(FaultKind.THROTTLE_429),
    Fault(FaultKind.THROTTLE_400),
    Fault(FaultKind.THROTTLE_200),
    Fault(FaultKind.THROTTLE_CLIQ),
)


def test_a_throttle_of_the_roster_does_not_stop_the_polls(tmp_path: Path) -> None:
    async def scene(directory: Path, fault: Fault) -> None:
        directory.mkdir()
        async with (
            staged(directory, interval_s=0.3, timeout_s=2.0) as stage,
            exporting(stage.settings, clock=stage.clock) as exporter,
        ):
            before = await exporter.until(is_good, pause_s=_PAUSE_S)
            stage.place("users", fault, times=1)
            during = await exporter.until(reaches(ROSTER_FAILURES, 1, reason="rate_limited"), pause_s=_PAUSE_S)
            asked, polls = stage.asked("users"), value(during, POLLS) or 0
            during = await exporter.until(reaches(POLLS, polls + 4), pause_s=_PAUSE_S)
            assert failures(during) == {}
            assert shown(during) == shown(before)
            assert value(during, BACKOFF) == 0
            assert stage.asked("users") == asked
            stage.clock.leap(600)
            await exporter.until(lambda _: stage.asked("users") > asked, pause_s=_PAUSE_S)
            after = await exporter.until(is_good, pause_s=_PAUSE_S)
            assert failures(after, ROSTER_FAILURES) == {"rate_limited": 1}
            assert stage.inventions() == []

    asyncio.run(side_by_side({fault: scene(tmp_path / fault_name(fault), fault) for fault in ROSTER_THROTTLES}))


def test_the_limit_of_access_tokens_is_remembered_over_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage:
            stage.place("token", Fault(FaultKind.ACCESS_TOKEN_LIMIT), times=1)
            for _ in range(3):
                async with exporting(stage.settings, clock=stage.clock) as exporter:
                    during = await exporter.until(reaches(ROSTER_FAILURES, 1, reason="rate_limited"))
                    assert value(during, UP) == 0
                    assert stage.asked("token") == 1
            stage.clock.leap(600)
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                await exporter.until(is_good)
                assert stage.asked("token") == 2

    asyncio.run(run())


async def _ticks_more(exporter: RunningExporter, ticks: int) -> Samples:
    """Wait until so many more ticks are over, whether a poll was made at them or not."""
    before = _ticks(await exporter.samples())
    return await exporter.until(lambda now: _ticks(now) >= before + ticks, pause_s=0.05)


def _ticks(samples: Samples) -> float:
    return (value(samples, POLLS) or 0) + (value(samples, SKIPPED) or 0)


def _most_in_a_window(requests: Sequence[ReceivedRequest], seconds: float) -> int:
    times = [request.monotonic for request in requests]
    return max(sum(begin <= time < begin + seconds for time in times) for begin in times)
