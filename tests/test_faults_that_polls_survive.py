"""Faults that a poll survives: requests made again in time, and rows that say nothing, too much or strange words."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families

from exporter.history.facts import FOREVER
from exporter.metrics.text import cleaned
from exporter.model import ABSENT, ERROR, KNOWN_STATUSES, Status, reported
from exporter.simulator.damage import HOSTILE_WORDS
from exporter.simulator.faults import Fault, FaultKind, Label
from tests.support.faulty import (
    ROSTER_FAILURES,
    SKIPPED,
    UP,
    failures,
    is_good,
    logged,
    reaches,
    shown,
    staged,
    warnings,
)
from tests.support.running import RunningExporter, exporting, parse_samples, value

POLLS = "zohovoice_polls_total"
UNRECOGNISED = "zohovoice_unrecognised_status_total"

RETRIED = (
    Fault(FaultKind.HANG),
    Fault(FaultKind.SLOW, seconds=5),
    Fault(FaultKind.TRICKLE, seconds=5),
    Fault(FaultKind.RESET),
    Fault(FaultKind.CLOSE),
    Fault(FaultKind.TRUNCATED),
    Fault(FaultKind.SERVER_ERROR, status=500),
    Fault(FaultKind.SERVER_ERROR, status=502),
    Fault(FaultKind.NOT_JSON),
    Fault(FaultKind.HTML),
    Fault(FaultKind.EMPTY),
    Fault(FaultKind.NO_CONTENT),
    Fault(FaultKind.FALSE_GZIP),
    Fault(FaultKind.WRONG_TYPES),
    Fault(FaultKind.ERROR_ENVELOPE),
)


def test_requests_that_fail_once_are_made_again_within_their_poll(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "exporter")

    async def run() -> None:
        async with staged(tmp_path, agents=20, interval_s=4.0, timeout_s=1.0) as stage:
            # A request for each agent, all at once; the first ones to come are met by one fault each.
            api = replace(stage.settings.api, agents_per_request=1, concurrency=20)
            for fault in RETRIED:
                stage.simulator.switchboard.add("statuses", fault, 1)
            async with exporting(replace(stage.settings, api=api), clock=stage.clock) as exporter:
                samples = await exporter.until(reaches(POLLS, 1))
                assert value(samples, UP) == 1
                assert failures(samples) == {}
                assert shown(samples) == stage.recorded()
                assert len(shown(samples)) == 20
            met = [request.fault for request in stage.simulator.received.requests(Label.STATUSES) if request.fault]
            assert sorted(kind.value for kind in met) == sorted(fault.kind.value for fault in RETRIED)
            assert stage.asked("statuses") == 20 + len(RETRIED)
            assert stage.inventions() == []

    asyncio.run(run())
    assert warnings(caplog, "exporter.poller") == []
    assert len(logged(caplog, "poll")) == 1


STRANGE = tuple(
    Fault(kind)
    for kind in (
        FaultKind.MISSING_ROWS,
        FaultKind.ERROR_ROWS,
        FaultKind.DUPLICATE_ROWS,
        FaultKind.UNKNOWN_STATUS,
        FaultKind.NUMERIC_IDS,
    )
)
"""The kinds of answers of which the tests below say what becomes of them."""


def test_slow_answers_make_polls_skip_ticks_but_not_fail_and_never_two_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            staged(tmp_path, timeout_s=2.0) as stage,
            exporting(stage.settings, clock=stage.clock) as exporter,
        ):
            await exporter.until(is_good)
            stage.place("statuses", Fault(FaultKind.SLOW, seconds=0.25))
            slow = await exporter.until(reaches(SKIPPED, 8))
            assert failures(slow) == {}
            assert value(slow, UP) == 1
            began = [
                request.monotonic
                for request in stage.simulator.received.requests(Label.STATUSES)
                if request.fault is FaultKind.SLOW
            ]
            assert all(later - earlier >= 0.25 for earlier, later in pairwise(began))
            stage.clear()
            done = value(slow, POLLS) or 0
            after = await exporter.until(reaches(POLLS, done + 3))
            assert failures(after) == {}
            assert stage.inventions() == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "status"), [(FaultKind.MISSING_ROWS, ABSENT), (FaultKind.ERROR_ROWS, ERROR)], ids=["missing", "error"]
)
def test_an_agent_without_a_status_in_the_answer_is_unknown_not_offline_and_goes_on_being_tracked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: FaultKind, status: Status
) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            before = shown(await exporter.until(is_good))
            agent_id = stage.agents[7]
            stage.place("statuses", Fault(kind, agent=agent_id))
            during = await exporter.until(lambda now: shown(now).get(agent_id) == "unknown")
            assert value(during, UP) == 1
            assert failures(during) == {}
            assert value(during, "zohovoice_agents", status="unknown") == 1
            assert _without(shown(during), agent_id) == _without(before, agent_id)
            stage.clear()
            await exporter.until(lambda now: shown(now) == before)

            (agent,) = [agent for agent in stage.history().agents if agent.agent_id == agent_id]
            _, lost, found = agent.changes
            assert lost.to_status == status
            assert found.from_status == status
            assert lost.from_status == found.to_status == reported(before[agent_id])
            assert [period.end for period in agent.tracked] == [FOREVER]
            assert stage.inventions(spoilt=[agent_id]) == []

    asyncio.run(run())
    assert warnings(caplog, "exporter.poller") == []


def test_rows_that_come_twice_count_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            before = await exporter.until(is_good)
            stage.place("statuses", Fault(FaultKind.DUPLICATE_ROWS, count=12))
            polls = value(before, POLLS) or 0
            during = await exporter.until(reaches(POLLS, polls + 3))
            assert failures(during) == {}
            assert shown(during) == shown(before)
            assert sum(count for (name, _), count in during.items() if name == "zohovoice_agents") == 12
            assert stage.inventions() == []

    asyncio.run(run())


def test_of_two_rows_that_contradict_each_other_the_last_counts_and_no_other_agent_is_touched(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            before = shown(await exporter.until(is_good))
            agent_id = stage.agents[7]
            other = next(status.word for status in KNOWN_STATUSES if status.word != before[agent_id])
            stage.place("statuses", Fault(FaultKind.DUPLICATE_ROWS, agent=agent_id, variant="contradicting"))
            during = await exporter.until(lambda now: shown(now).get(agent_id) == other)
            assert failures(during) == {}
            assert _without(shown(during), agent_id) == _without(before, agent_id)
            stage.clear()
            await exporter.until(lambda now: shown(now) == before)
            assert stage.inventions(spoilt=[agent_id]) == []

    asyncio.run(run())


def test_words_that_zoho_does_not_document_are_shown_recorded_and_logged_once_however_hostile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            before = shown(await exporter.until(is_good))
            stage.place("statuses", Fault(FaultKind.UNKNOWN_STATUS, count=12))
            said = dict(zip(sorted(before, key=stage.agents.index), HOSTILE_WORDS, strict=True))
            # An empty word is none.
            expected = {agent_id: reported(word) if word else ERROR for agent_id, word in said.items()}
            labels = {
                agent_id: cleaned(status.word) if status != ERROR else "unknown"
                for agent_id, status in expected.items()
            }
            during = await exporter.until(lambda now: shown(now) == labels)
            assert value(during, UP) == 1
            assert failures(during) == {}
            assert (value(during, UNRECOGNISED) or 0) >= 11
            assert shown(parse_samples(await exporter.text())) == labels
            assert await _shown_in_openmetrics(exporter) == labels
            assert (await exporter.http.get(exporter.url + "/")).status_code == 200
            await _polls_more(exporter, 3)

            stage.clear()
            await exporter.until(lambda now: shown(now) == before)
            changes = {agent.agent_id: agent.changes[1:] for agent in stage.history().agents}
            assert {agent_id: change[0].to_status for agent_id, change in changes.items()} == expected
            assert {agent_id: change[1].to_status for agent_id, change in changes.items()} == {
                agent_id: reported(word) for agent_id, word in before.items()
            }
            assert stage.inventions(spoilt=stage.agents) == []

    asyncio.run(run())
    words = [line["status"] for line in logged(caplog, "Zoho sent a status that is not documented")]
    assert len(words) == len(set(words)) == 10, "one line for each word; the empty one and `unknown` are no news"


def test_ids_that_come_as_numbers_beyond_the_floats_are_the_same_agents(tmp_path: Path) -> None:
    async def run() -> None:
        async with staged(tmp_path) as stage, exporting(stage.settings, clock=stage.clock) as exporter:
            assert all(int(agent_id) > 2**53 for agent_id in stage.agents)
            before = await exporter.until(is_good)
            for where in ("statuses", "users"):
                stage.place(where, Fault(FaultKind.NUMERIC_IDS))
            rosters = value(before, "zohovoice_roster_refreshes_total") or 0
            during = await exporter.until(reaches("zohovoice_roster_refreshes_total", rosters + 2))
            assert failures(during) == failures(during, ROSTER_FAILURES) == {}
            assert shown(during) == shown(before)
            agent_id = stage.agents[3]
            word = stage.change_status(agent_id)
            await exporter.until(lambda now: shown(now).get(agent_id) == word)
            stage.clear()
            after = await exporter.until(reaches("zohovoice_roster_refreshes_total", rosters + 3))
            assert _without(shown(after), agent_id) == _without(shown(before), agent_id)
            facts = stage.history()
            assert {agent.agent_id: len(agent.changes) for agent in facts.agents} == {
                known: 2 if known == agent_id else 1 for known in stage.agents
            }
            assert stage.inventions() == []

    asyncio.run(run())


async def _polls_more(exporter: RunningExporter, polls: int) -> None:
    done = value(await exporter.samples(), POLLS) or 0
    await exporter.until(reaches(POLLS, done + polls))


async def _shown_in_openmetrics(exporter: RunningExporter) -> dict[str, str]:
    answer = await exporter.http.get(
        exporter.url + "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return {
        sample.labels["agent_id"]: sample.labels["status"]
        for family in openmetrics_families(answer.text)  # type: ignore[no-untyped-call]  # the parser has no types
        for sample in family.samples
        if sample.name == "zohovoice_agent_status" and sample.value
    }


def _without(statuses: dict[str, str], agent_id: str) -> dict[str, str]:
    return {known: word for known, word in statuses.items() if known != agent_id}
