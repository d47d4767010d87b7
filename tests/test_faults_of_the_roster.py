"""Faults of the list of users: polls go on with the roster before, nobody leaves and nobody joins by accident."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from exporter.clock import SystemClock
from exporter.history.facts import FOREVER
from exporter.model import OFFLINE
from exporter.simulator.faults import Fault, FaultKind
from exporter.simulator.settings import Presence
from tests.support.faulty import (
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
from tests.support.running import Samples, exporting, value

REFRESHES = "zohovoice_roster_refreshes_total"
IGNORED = "zohovoice_roster_rows_ignored"
POLLS = "zohovoice_polls_total"

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
    "auth": (Fault(FaultKind.UNAUTHORIZED), Fault(FaultKind.SCOPE_MISSING)),
    "http_4xx": (Fault(FaultKind.CLIENT_ERROR),),
    "http_5xx": (Fault(FaultKind.SERVER_ERROR),),
    "redirect": (Fault(FaultKind.REDIRECT, url="https://voice.example.com/"),),
    "too_large": (Fault(FaultKind.HUGE_BODY),),
    "decode": (
        Fault(FaultKind.NOT_JSON),
        Fault(FaultKind.HTML),
        Fault(FaultKind.EMPTY),
        Fault(FaultKind.NO_CONTENT),
        Fault(FaultKind.FALSE_GZIP),
    ),
    "schema": (
        *(Fault(FaultKind.WRONG_TYPES, variant=variant) for variant in ("payload", "rows", "fields", "list")),
        Fault(FaultKind.ERROR_ROWS),
    ),
    "api": (Fault(FaultKind.ERROR_ENVELOPE),),
    "incomplete": (
        Fault(FaultKind.MISSING_ROWS),
        Fault(FaultKind.WRONG_TOTAL, delta=1),
        Fault(FaultKind.WRONG_TOTAL, delta=-1),
        Fault(FaultKind.ROSTER_JOIN),
        Fault(FaultKind.ROSTER_LEAVE),
        Fault(FaultKind.SAME_PAGE),
    ),
}
"""What fails readings of the roster, by the reason that is shown."""

HARMLESS = (
    Fault(FaultKind.DUPLICATE_ROWS, count=5),
    Fault(FaultKind.DUPLICATE_ROWS, count=5, variant="contradicting"),
    Fault(FaultKind.UNKNOWN_STATUS, count=12),
    Fault(FaultKind.NUMERIC_IDS),
    Fault(FaultKind.SLOW, seconds=0.2),
)

_TOGETHER: Final = (
    ("timeout", "connect", "http_5xx", "decode", "schema", "api"),
    ("auth", "http_4xx", "redirect", "too_large", "incomplete"),
)
"""Reasons whose faults are played side by side, because a reading is tried three times, which takes seconds."""

_BETWEEN_PAGES: Final = (FaultKind.ROSTER_JOIN, FaultKind.ROSTER_LEAVE, FaultKind.SAME_PAGE)
_TWO_PAGES: Final = 51
_PAUSE_S: Final = 0.1
"""Between two scrapes of one program, of which several run side by side."""


@pytest.mark.parametrize("reasons", _TOGETHER, ids="-".join)
def test_while_the_roster_cannot_be_read_the_one_before_stays_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, reasons: tuple[str, ...]
) -> None:
    caplog.set_level("DEBUG", "exporter")
    wanted = {fault: reason for reason in reasons for fault in FAILING[reason]}
    scenes = {fault: _scene(tmp_path / fault_name(fault), fault, reason) for fault, reason in wanted.items()}
    asyncio.run(side_by_side(scenes))

    begun = "the roster cannot be read; the one before stays in force"
    assert warnings(caplog, "exporter.roster") == [begun] * len(wanted), "once for each program"
    assert Counter(line["reason"] for line in logged(caplog, begun)) == Counter(wanted.values())
    assert len(logged(caplog, "the roster can be read again")) == len(wanted)
    assert warnings(caplog, "exporter.poller") == []


async def _scene(directory: Path, fault: Fault, reason: str) -> None:
    directory.mkdir()
    agents = _TWO_PAGES if fault.kind in _BETWEEN_PAGES else 12
    timeout_s = 0.6 if reason == "timeout" else 5.0
    async with (
        staged(directory, agents=agents, interval_s=0.5, timeout_s=timeout_s) as stage,
        exporting(stage.settings, clock=stage.clock) as exporter,
    ):
        before = await exporter.until(is_good, pause_s=_PAUSE_S)
        stage.place("users", fault)
        await exporter.until(reaches(ROSTER_FAILURES, 1, reason=reason), pause_s=_PAUSE_S, seconds=20)
        agent_id = stage.agents[5]
        word = stage.change_status(agent_id)
        during = await exporter.until(lambda now: shown(now).get(agent_id) == word, pause_s=_PAUSE_S)
        assert value(during, UP) == 1
        assert failures(during) == {}, "polls do not depend on it"
        assert failures(during, ROSTER_FAILURES).keys() == {reason}
        assert shown(during) == shown(before) | {agent_id: word}
        assert (await exporter.http.get(exporter.url + "/-/healthy")).status_code == 200
        stage.clear()
        await exporter.until(lambda now: _readings(now) > _readings(during), pause_s=_PAUSE_S)
        _assert_nobody_came_or_went(stage, changed=agent_id)


def test_the_first_polls_wait_for_the_roster(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage:
            stage.place("users", Fault(FaultKind.WRONG_TOTAL))
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                during = await exporter.until(reaches(ROSTER_FAILURES, 1, reason="incomplete"))
                assert value(during, UP) == 0
                assert value(during, POLLS) == 0
                assert shown(during) == {}
                assert (await exporter.http.get(exporter.url + "/-/ready")).status_code == 503
                assert (await exporter.http.get(exporter.url + "/-/healthy")).status_code == 200
                assert stage.history().agents == ()
                stage.clear()
                await exporter.until(lambda now: is_good(now) and len(shown(now)) == 12)
                assert stage.inventions() == []

    asyncio.run(run())


def test_after_a_restart_polls_go_on_for_those_who_were_tracked_though_the_roster_cannot_be_read(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage:
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                before = await exporter.until(is_good)
            stage.place("users", Fault(FaultKind.HANG))
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                after = await exporter.until(is_good)
                assert shown(after) == shown(before)
                assert _readings(after) == 0
                _assert_nobody_came_or_went(stage)

    asyncio.run(run())


@pytest.mark.parametrize("kind", [FaultKind.ROSTER_JOIN, FaultKind.ROSTER_LEAVE])
def test_pages_that_shift_while_they_are_read_are_read_again(tmp_path: Path, kind: FaultKind) -> None:
    async def run() -> None:
        async with staged(tmp_path, agents=_TWO_PAGES) as stage:
            stage.place("users", Fault(kind), times=1)
            async with exporting(stage.settings, clock=stage.clock) as exporter:
                samples = await exporter.until(is_good)
                assert failures(samples, ROSTER_FAILURES) == {}
                assert stage.asked("users") >= 4
                _assert_nobody_came_or_went(stage)

    asyncio.run(run())


def test_what_the_roster_says_too_much_or_beside_the_point_changes_nobody(tmp_path: Path) -> None:
    async def scene(directory: Path, fault: Fault) -> None:
        directory.mkdir()
        async with (
            staged(directory, timeout_s=2.0) as stage,
            exporting(stage.settings, clock=stage.clock) as exporter,
        ):
            before = await exporter.until(is_good, pause_s=_PAUSE_S)
            stage.place("users", fault)
            during = await exporter.until(lambda now: _readings(now) >= _readings(before) + 2, pause_s=_PAUSE_S)
            polls = value(during, POLLS) or 0
            during = await exporter.until(reaches(POLLS, polls + 2), pause_s=_PAUSE_S)
            assert failures(during, ROSTER_FAILURES) == failures(during) == {}
            assert shown(during) == shown(before)
            _assert_nobody_came_or_went(stage)
            for agent in stage.history().agents:
                assert len(agent.descriptions) == 1, "nobody has another name or team"

    asyncio.run(side_by_side({fault: scene(tmp_path / fault_name(fault), fault) for fault in HARMLESS}))


def test_users_that_are_no_agents_are_counted_and_not_tracked(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            samples = await exporter.until(is_good)
            assert value(samples, IGNORED) == len(stage.simulator.simulation.others) == 2
            assert sorted(shown(samples)) == sorted(stage.agents)

    asyncio.run(run())


def test_who_joins_is_tracked_from_then_on_and_who_leaves_is_tracked_until_then_and_never_offline(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        soon = SystemClock().now_ms() + 1_500
        async with (
            staged(tmp_path, presences=(Presence(4, leaves=soon), Presence(7, joins=soon))) as stage,
            exporting(stage.settings, clock=stage.clock) as exporter,
        ):
            leaver, joiner = stage.agents[4], stage.agents[7]
            before = await exporter.until(is_good)
            assert leaver in shown(before)
            assert joiner not in shown(before)
            after = await exporter.until(lambda now: joiner in shown(now) and leaver not in shown(now))
            assert failures(after) == failures(after, ROSTER_FAILURES) == {}
            assert not [labels for _, labels in after if ("agent_id", leaver) in labels]

            agents = {agent.agent_id: agent for agent in stage.history().agents}
            (gone,), (come,) = agents[leaver].tracked, agents[joiner].tracked
            assert gone.end != FOREVER
            assert gone.end >= soon - 200
            assert come.start >= soon
            assert come.end == FOREVER
            assert OFFLINE not in [change.to_status for change in agents[leaver].changes[1:]]
            # Between the leaving and the next reading of the roster, Zoho answers with an error row.
            assert stage.inventions(spoilt=[leaver]) == []

    asyncio.run(run())


def test_a_list_of_users_that_takes_no_token_does_not_cost_the_polls_theirs(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage:
            agents = replace(stage.settings.agents, refresh_interval_s=0.1)
            async with exporting(replace(stage.settings, agents=agents), clock=stage.clock) as exporter:
                await exporter.until(is_good)
                stage.place("users", Fault(FaultKind.UNAUTHORIZED))
                during = await exporter.until(reaches(ROSTER_FAILURES, 8, reason="auth"))
                assert failures(during) == {}
                assert failures(during, ROSTER_FAILURES).keys() == {"auth"}
                assert stage.asked("token") == 2, "one refresh, to see whether another token fares better"

    asyncio.run(run())


def _readings(samples: Samples) -> float:
    """How many readings of the roster worked."""
    return (value(samples, REFRESHES) or 0) - sum(failures(samples, ROSTER_FAILURES).values())


def _assert_nobody_came_or_went(stage: Stage, *, changed: str = "") -> None:
    agents = stage.history().agents
    assert sorted(agent.agent_id for agent in agents) == sorted(stage.agents)
    for agent in agents:
        assert [period.end for period in agent.tracked] == [FOREVER]
        assert len(agent.changes) == (2 if agent.agent_id == changed else 1)
    assert stage.inventions() == []
