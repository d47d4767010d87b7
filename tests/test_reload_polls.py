"""What a reload does to the polls: seconds of a clock that only moves when told to."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from exporter.model import AVAILABLE, Agent, AgentId, EndReason, Poll, Roster
from exporter.poller import Poller
from exporter.tracker import NOTHING_TRACKED
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import ApiError, RateLimited, RequestTimeout
from tests.support.clock import HeldClock, settle
from tests.support.told_in_log import fields_of
from tests.test_poller import Notebook

ANN, BEN = Agent("7001", "Ann"), Agent("7002", "Ben")
ROSTER = Roster({"7001": ANN}, read_at=0)
SLOW = RequestTimeout("too slow", Endpoint.STATUSES)


@dataclass
class Polls:
    """A poller at work; a poll takes no time unless `hold` is set."""

    clock: HeldClock = field(default_factory=HeldClock)
    notes: Notebook = field(default_factory=Notebook)
    at: list[float] = field(default_factory=list)
    """When polls were sent, in seconds since the beginning."""
    asked: list[tuple[AgentId, ...]] = field(default_factory=list)
    failure: ApiError | None = None
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hold.set()

        async def publish() -> None: ...

        self.poller = Poller(
            self, self.notes, self.notes, self.clock,
            state=NOTHING_TRACKED, resumed_end=EndReason.CRASH, interval_s=lambda agents: 30.0, timeout_s=10.0,
            publish=publish,
        )  # fmt: skip

    async def sample(self, agent_ids: tuple[AgentId, ...], deadline: float) -> Poll:
        sent = self.clock.now_ms()
        self.at.append(self.clock.monotonic() - 1000)
        self.asked.append(agent_ids)
        await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        self.clock.pass_time(0.001)
        return Poll(sent, self.clock.now_ms(), dict.fromkeys(agent_ids, AVAILABLE))

    async def pass_s(self, seconds: float) -> None:
        self.clock.pass_time(seconds)
        await settle()

    def every(self, seconds: float) -> None:
        """Reload with this --poll.interval."""
        self.poller.use_interval(lambda agents: seconds)

    @property
    def ended(self) -> list[EndReason | None]:
        """Why the stretch before each good poll did not go on with it."""
        return [facts.previous_ended for facts in self.notes.facts]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        self.poller.use(ROSTER)
        task = asyncio.create_task(self.poller.run(stop))
        await settle()
        try:
            yield
        finally:
            stop.set()
            self.hold.set()
            await task


def with_polls(scene: Callable[[Polls], Awaitable[None]]) -> Polls:
    """The poller has made its first poll when `scene` begins."""

    async def run() -> Polls:
        polls = Polls()
        async with polls.running():
            await scene(polls)
        return polls

    return asyncio.run(run())


def seconds(polls: Polls) -> list[int]:
    return [round(at) for at in polls.at]


def test_a_longer_sleep_ends_early_and_the_rhythm_goes_on_from_the_last_tick() -> None:
    async def scene(polls: Polls) -> None:
        await polls.pass_s(4)
        polls.every(10)
        await settle()
        assert seconds(polls) == [0], "ten seconds are not over"
        for _ in range(3):
            await polls.pass_s(6 if len(polls.at) == 1 else 10)

    assert seconds(with_polls(scene)) == [0, 10, 20, 30]


def test_where_the_shorter_interval_is_over_already_the_poll_comes_at_once() -> None:
    async def scene(polls: Polls) -> None:
        await polls.pass_s(17)
        polls.every(10)
        await settle()
        await polls.pass_s(10)

    assert seconds(with_polls(scene)) == [0, 17, 27]


def test_before_a_longer_interval_the_poll_comes_that_was_due_so_that_less_time_is_unknown() -> None:
    async def scene(polls: Polls) -> None:
        await polls.pass_s(10)
        polls.every(300)
        await polls.pass_s(20)
        await polls.pass_s(299)
        assert seconds(polls) == [0, 30]
        await polls.pass_s(1)

    polls = with_polls(scene)
    assert seconds(polls) == [0, 30, 330]
    assert polls.ended == [None, EndReason.RECONFIGURED, None]
    assert [facts.stretch.interval_ms for facts in polls.notes.facts] == [30_000, 300_000, 300_000]
    assert [facts.stretch.gap_limit_ms for facts in polls.notes.facts] == [75_000, 750_000, 750_000]
    assert [facts.elapsed_ms for facts in polls.notes.facts] == [0, 0, 300_001], "nothing is counted twice"


def test_a_changed_interval_ends_the_stretch_and_the_same_one_does_not() -> None:
    async def scene(polls: Polls) -> None:
        polls.every(30)
        await polls.pass_s(30)
        polls.every(20)
        await settle()
        await polls.pass_s(20)
        polls.every(20)
        await polls.pass_s(20)

    polls = with_polls(scene)
    assert seconds(polls) == [0, 30, 50, 70]
    assert polls.ended == [None, None, EndReason.RECONFIGURED, None]


def test_a_poll_under_way_is_not_cut_and_already_belongs_to_the_new_pace() -> None:
    async def scene(polls: Polls) -> None:
        polls.hold.clear()
        await polls.pass_s(30)
        assert len(polls.at) == 2
        polls.every(5)
        await polls.pass_s(2)
        assert len(polls.notes.facts) == 1, "the poll still hangs"
        polls.hold.set()
        await settle()
        assert len(polls.notes.facts) == 2
        await polls.pass_s(3)

    polls = with_polls(scene)
    assert seconds(polls) == [0, 30, 35]
    assert polls.ended == [None, EndReason.RECONFIGURED, None]


def test_polls_that_fail_around_the_change_are_why_the_stretch_ended() -> None:
    async def scene(polls: Polls) -> None:
        polls.every(300)
        polls.failure = SLOW
        await polls.pass_s(30)
        polls.failure = None
        await polls.pass_s(300)

    assert with_polls(scene).ended == [None, EndReason.POLL_FAILURE]


def test_a_change_before_the_first_good_poll_does_not_hide_how_the_run_before_ended() -> None:
    async def run() -> Polls:
        polls = Polls(failure=SLOW)
        async with polls.running():
            polls.every(10)
            await settle()
            await polls.pass_s(10)
        return polls

    polls = asyncio.run(run())
    assert polls.poller._silence is EndReason.CRASH


def test_a_lock_holds_whatever_the_interval_becomes() -> None:
    async def scene(polls: Polls) -> None:
        polls.failure = RateLimited("wait", Endpoint.STATUSES, polls.clock.now_ms() + 130_000)
        await polls.pass_s(30)
        polls.failure = None
        polls.every(10)
        await settle()
        for _ in range(12):
            await polls.pass_s(10)

    assert seconds(with_polls(scene)) == [0, 30, 130, 140, 150]


def test_an_interval_that_the_number_of_agents_makes_longer_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter")

    async def scene(polls: Polls) -> None:
        caplog.clear()
        polls.every(20)
        polls.every(20)
        polls.poller.use_interval(lambda agents: 5.0 if not agents else 8.0)

    polls = with_polls(scene)
    said = [(record.levelname, fields_of(record)) for record in caplog.records]
    assert said == [
        ("INFO", {"from_s": 30.0, "to_s": 20}),
        ("WARNING", {"agents": 1, "from_s": 20, "to_s": 8.0}),
    ]
    assert polls.notes.intervals == [30.0, 20, 20, 8.0]


def test_an_agent_who_is_added_joins_at_the_next_poll_and_one_who_is_removed_leaves_at_it() -> None:
    async def scene(polls: Polls) -> None:
        polls.hold.clear()
        await polls.pass_s(30)
        polls.poller.use(Roster({"7002": BEN}, read_at=1))
        polls.hold.set()
        await settle()
        await polls.pass_s(30)

    polls = with_polls(scene)
    assert polls.asked == [("7001",), ("7001",), ("7002",)]
    assert [(facts.joined, facts.left) for facts in polls.notes.facts] == [
        (("7001",), ()),
        ((), ()),
        (("7002",), ("7001",)),
    ]


@pytest.mark.parametrize(
    ("first", "then", "hangs_s", "changes_after_s", "skipped"),
    [(100, 5, 50, 43, 2), (5, 100, 50, 43, 8), (5, 5, 50, 43, 10), (100, 5, 50, 50, 0)],
)
def test_a_poll_that_hangs_skips_the_ticks_that_there_were(
    first: int, then: int, hangs_s: int, changes_after_s: int, skipped: int
) -> None:
    async def scene(polls: Polls) -> None:
        polls.every(first)
        await settle()
        polls.hold.clear()
        while len(polls.at) == 1:
            await polls.pass_s(1)
        await polls.pass_s(changes_after_s)
        polls.every(then)
        await polls.pass_s(hangs_s - changes_after_s)
        polls.hold.set()
        await settle()

    # The one at 50 s has just passed: the poll began a millisecond after its tick.
    assert with_polls(scene).notes.skipped == skipped
