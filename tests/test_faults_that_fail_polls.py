"""Faults of the status endpoint that no poll survives: what is shown, recorded and logged until they end."""

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from exporter.model import EndReason
from exporter.simulator.faults import Fault, FaultKind
from tests.support.faulty import (
    BACKOFF,
    FAILURES,
    LAST_SUCCESS,
    ROSTER_FAILURES,
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
from tests.support.http_script import Reply, scripted_server
from tests.support.running import RunningExporter, Samples, exporting, value

FAILING = {
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
    "auth": (
        *(Fault(FaultKind.UNAUTHORIZED, variant=variant) for variant in ("voice", "crm", "projects", "mail", "html")),
        Fault(FaultKind.SCOPE_MISSING),
    ),
    "http_4xx": (
        Fault(FaultKind.CLIENT_ERROR, status=400),
        Fault(FaultKind.CLIENT_ERROR, status=404),
        Fault(FaultKind.CLIENT_ERROR, status=414),
    ),
    "http_5xx": (
        Fault(FaultKind.SERVER_ERROR, status=500),
        Fault(FaultKind.SERVER_ERROR, status=503, retry_after=60),
    ),
    "redirect": (
        Fault(FaultKind.REDIRECT, url="https://voice.example.com/"),
        Fault(FaultKind.REDIRECT, url="/rest/json/zv/api/users", status=307),
    ),
    "too_large": (Fault(FaultKind.HUGE_BODY),),
    "decode": (
        Fault(FaultKind.NOT_JSON),
        Fault(FaultKind.NOT_JSON, text="[" * 100_000),
        Fault(FaultKind.HTML),
        Fault(FaultKind.EMPTY),
        Fault(FaultKind.NO_CONTENT),
        Fault(FaultKind.FALSE_GZIP),
    ),
    "schema": tuple(Fault(FaultKind.WRONG_TYPES, variant=variant) for variant in ("payload", "rows", "fields", "list")),
    "api": (Fault(FaultKind.ERROR_ENVELOPE), Fault(FaultKind.ERROR_ENVELOPE, text="Internal error 1.")),
    "no_status": (
        Fault(FaultKind.MISSING_ROWS, count=12),
        Fault(FaultKind.ERROR_ROWS, count=12),
    ),
}
"""What fails polls of the twelve agents, by the reason that is shown."""

_PAUSE_S: Final = 0.1
"""Between two scrapes of one program, of which several run side by side."""


_TOGETHER: Final = (
    ("timeout",),
    ("connect", "http_5xx", "api"),
    ("decode", "schema"),
    ("auth", "http_4xx", "redirect", "no_status"),
    ("too_large",),
)
"""Reasons whose faults are played side by side, to save time."""


@pytest.mark.parametrize("reasons", _TOGETHER, ids="-".join)
def test_a_fault_that_fails_polls_shows_in_counters_and_a_gap_and_ends_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, reasons: tuple[str, ...]
) -> None:
    caplog.set_level("DEBUG", "exporter")
    wanted = {fault: reason for reason in reasons for fault in FAILING[reason]}
    scenes = {fault: _scene(tmp_path / fault_name(fault), fault, reason) for fault, reason in wanted.items()}
    asyncio.run(side_by_side(scenes))

    assert warnings(caplog, "exporter.poller") == ["polls fail"] * len(wanted), "once for each program"
    assert Counter(line["reason"] for line in logged(caplog, "polls fail")) == Counter(wanted.values())
    ended = logged(caplog, "polls succeed again")
    assert len(ended) == len(wanted)
    assert all(isinstance(line["failed_polls"], int) and line["failed_polls"] >= 2 for line in ended)


async def _scene(directory: Path, fault: Fault, reason: str) -> None:
    directory.mkdir()
    # Short where the fault is a matter of time; long elsewhere, so that a busy machine is not taken for a fault.
    timeout_s = 0.8 if reason == "timeout" else 5.0
    async with staged(directory, timeout_s=timeout_s) as stage:
        async with exporting(stage.settings, clock=stage.clock) as exporter:
            await exporter.until(is_good)
            stage.place("statuses", fault)
            failing = await _failing(stage, exporter, reason)
            stage.clear()
            await exporter.until(
                lambda now: is_good(now) and shown(now).get(failing.agent_id) == failing.word, pause_s=_PAUSE_S
            )
        _assert_recorded(stage, failing)


@dataclass(frozen=True)
class _Failing:
    """What happened while polls failed."""

    last_good: int
    changed_at: int
    agent_id: str
    word: str


async def _failing(stage: Stage, exporter: RunningExporter, reason: str) -> _Failing:
    """Polls fail, long enough for a gap; meanwhile an agent's status changes, unseen."""
    first = await exporter.until(reaches(FAILURES, 1, reason=reason), pause_s=_PAUSE_S)
    last_good = _last_success(first)
    agent_id, changed_at = stage.agents[5], stage.clock.now_ms()
    word = stage.change_status(agent_id)
    gap_limit_ms = 2.5 * stage.settings.poll.interval_s * 1000

    samples = await exporter.until(
        lambda now: (value(now, FAILURES, reason=reason) or 0) >= 2 and stage.clock.now_ms() > last_good + gap_limit_ms
    )
    assert failures(samples).keys() == {reason}
    assert value(samples, UP) == 0
    assert _last_success(samples) == last_good
    assert value(samples, BACKOFF) == 0, "only throttles and the token endpoint make the program back off"
    assert len(shown(samples)) == 12, "the last truth is shown until it is too old"
    assert shown(samples) == stage.recorded()
    assert (await exporter.http.get(exporter.url + "/-/healthy")).status_code == 200

    facts = stage.history()
    assert facts.run_open
    assert facts.stretches[-1].stretch.last == last_good
    assert stage.inventions() == []
    return _Failing(last_good, changed_at, agent_id, word)


def _last_success(samples: Samples) -> int:
    return round((value(samples, LAST_SUCCESS) or 0) * 1000)


def _assert_recorded(stage: Stage, failing: _Failing) -> None:
    """The history has a gap from the last good poll to the next one, and nothing in it."""
    facts = stage.history()
    place = [known.stretch.last for known in facts.stretches].index(failing.last_good)
    before, after = facts.stretches[place : place + 2]
    assert before.ended is EndReason.POLL_FAILURE
    assert after.stretch.started > failing.changed_at
    assert stage.inventions() == []
    for agent in facts.agents:
        assert len(agent.tracked) == 1, "nobody has left or joined"
        assert not [change for change in agent.changes if failing.last_good < change.seen < after.stretch.started]
    (change,) = [
        change
        for agent in facts.agents
        if agent.agent_id == failing.agent_id
        for change in agent.changes
        if change.seen >= after.stretch.started
    ]
    assert change.to_status.word == failing.word
    assert change.not_before == before.stretch.last_sent
    assert change.not_before <= failing.changed_at <= change.seen


def test_faults_that_take_turns_are_logged_once_each(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "exporter")

    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            await exporter.until(is_good)
            for _ in range(5):
                stage.simulator.switchboard.add("statuses", Fault(FaultKind.CLIENT_ERROR), 1)
                stage.simulator.switchboard.add("statuses", Fault(FaultKind.ERROR_ROWS, count=12), 1)
            await exporter.until(lambda now: failures(now) == {"http_4xx": 5, "no_status": 5} and is_good(now))

    asyncio.run(run())
    assert [line["reason"] for line in logged(caplog, "polls fail")] == ["http_4xx", "no_status"]
    assert [line["failed_polls"] for line in logged(caplog, "polls succeed again")] == [10]


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.CLOSE, FaultKind.CLIENT_ERROR])
def test_agents_are_no_longer_shown_once_the_last_good_poll_is_too_old_and_come_back(
    tmp_path: Path, kind: FaultKind
) -> None:
    async def run() -> None:
        async with staged(tmp_path, max_age_s=0.6) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            before = await exporter.until(lambda now: is_good(now) and len(shown(now)) == 12)
            stage.place("statuses", Fault(kind))
            gone = await exporter.until(lambda now: shown(now) == {} and bool(failures(now)))
            assert stage.clock.now_ms() - _last_success(gone) >= 600
            assert value(gone, UP) == 0
            kept = {name for name, _ in gone}
            assert {name for name, _ in before} - kept == {
                "zohovoice_agents",
                "zohovoice_team_agents",
                "zohovoice_agents_over_limit",
                "zohovoice_agent_status",
                "zohovoice_agent_status_since_timestamp_seconds",
                "zohovoice_agent_status_changes_total",
                "zohovoice_agent_status_seconds_total",
                "zohovoice_agent_info",
            }
            stage.clear()
            back = await exporter.until(is_good)
            assert shown(back) == shown(before) == stage.recorded()

    asyncio.run(run())


def test_a_huge_body_is_not_kept_in_memory(tmp_path: Path) -> None:
    async def run() -> None:
        # Each one is 256 MB, and refused at 16.
        async with (
            staged(tmp_path, timeout_s=5.0) as stage,
            exporting(stage.settings, clock=stage.clock) as exporter,
        ):
            await exporter.until(is_good)
            before = _resident_mb()
            stage.place("statuses", Fault(FaultKind.HUGE_BODY))
            most = 0.0
            for polls in range(1, 9):
                await exporter.until(reaches(FAILURES, polls, reason="too_large"))
                most = max(most, _resident_mb())
            assert most - before < 100
            stage.clear()
            await exporter.until(is_good)

    asyncio.run(run())


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1_000_000


def test_a_redirect_to_another_host_is_not_followed_so_no_token_goes_there(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda _: Reply({"code": "200", "status": "SUCCESS", "onlineStatus": []})) as elsewhere,
            staged(tmp_path) as stage,
            exporting(stage.settings, clock=stage.clock) as exporter,
        ):
            await exporter.until(is_good)
            for status in (301, 302, 303, 307, 308):
                before = value(await exporter.samples(), FAILURES, reason="redirect") or 0
                stage.place("*", Fault(FaultKind.REDIRECT, url=f"{elsewhere.url}/v2", status=status))
                await exporter.until(reaches(FAILURES, before + 1, reason="redirect"))
            await exporter.until(reaches(ROSTER_FAILURES, 1, reason="redirect"))
            stage.clear()
            await exporter.until(is_good)
            assert elsewhere.connections == 0

    asyncio.run(run())
