"""The poller: when it polls, and what it does when a poll fails. Seconds of a clock that only moves when told to."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from exporter.model import AVAILABLE, BUSY, Agent, AgentId, EndReason, Poll, PollFacts, Roster, Status, TrackerState
from exporter.poller import Poller
from exporter.tracker import NOTHING_TRACKED, Pace
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import ApiError, RateLimited, RequestTimeout
from tests.support.clock import FakeClock
from tests.support.told_in_log import fields_of

ROSTER = Roster({"7001": Agent("7001", "Ann")}, read_at=0)


@dataclass
class ScriptedSampler:
    """Answers each poll with the next outcome of the script; stops the poller when the script is over."""

    clock: FakeClock
    script: list[Status | ApiError]
    takes_s: list[float] = field(default_factory=list)
    meanwhile: Callable[[FakeClock], None] = lambda clock: None
    """Runs while a poll is under way, after it was sent."""
    polled_at: list[float] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def sample(self, agent_ids: tuple[AgentId, ...], deadline: float) -> Poll:
        self.polled_at.append(self.clock.monotonic())
        self.deadlines.append(deadline)
        outcome = self.script.pop(0)
        if not self.script:
            self.stop.set()
        sent, takes_s = self.clock.now_ms(), self.takes_s.pop(0) if self.takes_s else 0.05
        self.meanwhile(self.clock)
        self.clock.pass_time(takes_s)
        if isinstance(outcome, ApiError):
            raise outcome
        return Poll(sent, sent + round(takes_s * 1000), dict.fromkeys(agent_ids, outcome))


@dataclass
class Notebook:
    """Recorder and observer in one: writes down what it is told."""

    facts: list[PollFacts] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    skipped: int = 0
    backoffs: list[float] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)

    def record(
        self, before: TrackerState, facts: PollFacts, after: TrackerState, agents: Mapping[AgentId, Agent], pace: Pace
    ) -> TrackerState:
        self.facts.append(facts)
        return after

    async def settled(self, seconds: float) -> None: ...

    def poll_succeeded(self, poll: Poll, facts: PollFacts, state: TrackerState, duration_s: float) -> None: ...

    def poll_failed(self, reason: str, at_ms: int, duration_s: float) -> None:
        self.failures.append(reason)

    def poll_skipped(self) -> None:
        self.skipped += 1

    def backoff(self, seconds: float) -> None:
        self.backoffs.append(seconds)

    def interval(self, seconds: float) -> None:
        self.intervals.append(seconds)


def play(
    *script: Status | ApiError,
    takes_s: list[float] | None = None,
    interval_s: Callable[[int], float] = lambda agents: 30.0,
    between: Callable[[FakeClock], None] = lambda clock: None,
    meanwhile: Callable[[FakeClock], None] = lambda clock: None,
) -> tuple[ScriptedSampler, Notebook]:
    """Run the poller through the script with a 30 s interval.

    `between` runs when a poll's outcome is shown, `meanwhile` while a poll is under way.
    """

    async def run() -> tuple[ScriptedSampler, Notebook]:
        clock, notes = FakeClock(), Notebook()
        sampler = ScriptedSampler(clock, list(script), takes_s or [], meanwhile)

        async def publish() -> None:
            between(clock)

        poller = Poller(
            sampler,
            notes,
            notes,
            clock,
            state=NOTHING_TRACKED,
            resumed_end=EndReason.SHUTDOWN,
            interval_s=interval_s,
            timeout_s=10.0,
            publish=publish,
        )
        poller.use(ROSTER)
        async with asyncio.timeout(10):
            await poller.run(sampler.stop)
        return sampler, notes

    return asyncio.run(run())


def timeout() -> RequestTimeout:
    return RequestTimeout("asking for statuses took too long", Endpoint.STATUSES)


def test_polls_come_at_a_fixed_rate_whatever_each_one_takes() -> None:
    sampler, notes = play(AVAILABLE, AVAILABLE, AVAILABLE, takes_s=[3.0, 0.5, 29.9])

    assert sampler.polled_at == pytest.approx([1000.0, 1030.0, 1060.0])
    assert notes.skipped == 0


def test_a_poll_that_overruns_makes_the_ticks_it_covers_count_as_skipped() -> None:
    sampler, notes = play(AVAILABLE, AVAILABLE, takes_s=[65.0, 0.1])

    assert sampler.polled_at == pytest.approx([1000.0, 1090.0])
    assert notes.skipped == 2


def test_a_failed_poll_changes_nothing_and_the_next_comes_at_its_time() -> None:
    sampler, notes = play(AVAILABLE, timeout(), timeout(), AVAILABLE)

    assert sampler.polled_at == pytest.approx([1000.0, 1030.0, 1060.0, 1090.0])
    assert notes.failures == ["timeout", "timeout"]
    assert [len(facts.transitions) for facts in notes.facts] == [1, 0]


def test_one_failed_poll_does_not_break_a_stretch_and_two_do() -> None:
    _, one = play(AVAILABLE, timeout(), AVAILABLE)
    assert [facts.begins_stretch for facts in one.facts] == [True, False]

    _, two = play(AVAILABLE, timeout(), timeout(), AVAILABLE)
    assert [facts.previous_ended for facts in two.facts] == [None, EndReason.POLL_FAILURE]


def test_a_throttle_pauses_polls_until_the_instant_it_names_and_each_tick_counts_as_skipped() -> None:
    start = FakeClock().now_ms()
    locked = RateLimited("Zoho asks for a pause", Endpoint.STATUSES, until_ms=start + 100_000)
    sampler, notes = play(locked, AVAILABLE)

    assert sampler.polled_at == pytest.approx([1000.0, 1120.0]), "ticks at 30, 60 and 90 s fall into the lock"
    assert (notes.failures, notes.skipped) == (["rate_limited"], 3)
    assert notes.backoffs[-1] == 0.0


def test_a_wall_clock_that_is_set_back_does_not_lengthen_a_throttle() -> None:
    start = FakeClock().now_ms()
    locked = RateLimited("Zoho asks for a pause", Endpoint.STATUSES, until_ms=start + 100_000)
    sampler, _ = play(locked, AVAILABLE, between=lambda clock: clock.step(-86_400_000))

    assert sampler.polled_at == pytest.approx([1000.0, 1120.0])


def test_a_poll_may_use_its_interval_and_at_least_the_time_of_one_request() -> None:
    slow, _ = play(AVAILABLE)
    assert slow.deadlines == [1030.0]

    fast, _ = play(AVAILABLE, interval_s=lambda agents: 1.0)
    assert fast.deadlines == [1010.0]


def test_an_interval_that_cannot_be_held_is_lengthened_and_said_at_start(caplog: pytest.LogCaptureFixture) -> None:
    sampler, notes = play(AVAILABLE, AVAILABLE, interval_s=lambda agents: 30.0 if agents == 0 else 45.0)

    assert notes.intervals == [45.0]
    assert sampler.polled_at == pytest.approx([1000.0, 1045.0])
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "--api.max-requests-per-minute" in said.message
    assert fields_of(said) == {"agents": 1, "from_s": 30.0, "to_s": 45.0}


def test_a_step_of_the_wall_clock_ends_the_stretch() -> None:
    _, notes = play(AVAILABLE, AVAILABLE, between=lambda clock: clock.step(2_001))

    assert [facts.previous_ended for facts in notes.facts] == [None, EndReason.CLOCK_STEP]
    assert notes.facts[1].poll.clock_step_ms == 2_001


def test_a_drift_within_the_tolerance_is_no_step() -> None:
    _, notes = play(AVAILABLE, AVAILABLE, between=lambda clock: clock.step(-2_000))

    assert [facts.begins_stretch for facts in notes.facts] == [True, False]


def test_a_step_during_a_poll_lies_between_it_and_the_next() -> None:
    """A poll's times are those of the clock that it was sent by, so it still belongs to the stretch before the step."""

    def step_in_the_second_poll(clock: FakeClock) -> None:
        if clock.monotonic() == 1030.0:
            clock.step(10_000)

    _, notes = play(AVAILABLE, AVAILABLE, AVAILABLE, meanwhile=step_in_the_second_poll)

    assert [facts.previous_ended for facts in notes.facts] == [None, None, EndReason.CLOCK_STEP]
    assert [facts.elapsed_ms for facts in notes.facts] == [0, 30_000, 0]


def test_after_the_clock_was_set_back_agents_are_still_shown_and_the_gap_is_told() -> None:
    _, notes = play(AVAILABLE, BUSY, between=lambda clock: clock.step(-3_600_000))

    assert [t.to_status for t in notes.facts[1].transitions] == [BUSY]
    assert (notes.facts[1].elapsed_ms, notes.facts[1].previous_ended) == (0, EndReason.CLOCK_STEP)


def test_a_row_of_failures_is_logged_at_its_beginning_and_its_end_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    play(AVAILABLE, timeout(), timeout(), timeout(), AVAILABLE)

    assert [record.message for record in caplog.records] == ["first good poll", "polls fail", "polls succeed again"]


def test_a_poll_that_hangs_is_given_up_at_once_when_the_program_stops() -> None:
    async def run() -> float:
        class Hanging:
            async def sample(self, agent_ids: tuple[AgentId, ...], deadline: float) -> Poll:
                await asyncio.Event().wait()
                raise AssertionError

        async def publish() -> None: ...

        notes, stop = Notebook(), asyncio.Event()
        poller = Poller(
            Hanging(),
            notes,
            notes,
            FakeClock(),
            state=NOTHING_TRACKED,
            resumed_end=None,
            interval_s=lambda agents: 30.0,
            timeout_s=10.0,
            publish=publish,
        )
        poller.use(ROSTER)
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, stop.set)
        started = loop.time()
        await poller.run(stop)
        return loop.time() - started

    assert asyncio.run(run()) < 2.0
