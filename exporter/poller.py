"""When to poll, and what to do when a poll fails: fixed rate on the monotonic clock, never two at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from exporter.clock import Clock, first_of
from exporter.model import Agent, AgentId, EndReason, Poll, PollFacts, Roster, TrackerState
from exporter.steps import taking_turns
from exporter.tracker import LatePoll, Pace, advance_in_steps
from exporter.zoho.errors import ApiError, RateLimited

log: Final = logging.getLogger(__name__)

CLOCK_STEP_TOLERANCE_MS: Final = 2_000
"""The wall clock may drift so far from the monotonic one between two polls before it counts as a step."""


class Sampler(Protocol):
    """Takes one complete poll, or raises ApiError; `deadline` is a value of the monotonic clock."""

    async def sample(self, agent_ids: tuple[AgentId, ...], deadline: float) -> Poll: ...


class PollRecorder(Protocol):
    """Where the facts of polls go."""

    def record(
        self,
        before: TrackerState,
        facts: PollFacts,
        after: TrackerState,
        agents: Mapping[AgentId, Agent],
        pace: Pace,
    ) -> TrackerState: ...
    async def settled(self, seconds: float) -> None: ...


class PollObserver(Protocol):
    """Who wants to know how the polls go; durations in seconds, instants in milliseconds UTC."""

    def poll_succeeded(self, poll: Poll, facts: PollFacts, state: TrackerState, duration_s: float) -> None: ...
    def poll_failed(self, reason: str, at_ms: int, duration_s: float) -> None: ...
    def poll_skipped(self) -> None: ...
    def backoff(self, seconds: float) -> None: ...
    def interval(self, seconds: float) -> None: ...


class Poller:
    """Samples the roster's agents at a fixed rate and hands the facts on.

    A poll that overruns its interval makes the ticks that it covers count as skipped, and the next one starts on the
    next tick. A failed poll changes nothing but the counters; the next one comes at its time. Only a lock (a throttle,
    or the token endpoint) makes the poller pause, until the instant that the lock names.

    The interval may change while polls go on. The poll that is under way then is not cut, and the next one comes no
    later than it would have: the stretch before ends with the change, so what lies between the two is unknown.
    """

    def __init__(
        self,
        sampler: Sampler,
        recorder: PollRecorder,
        observer: PollObserver,
        clock: Clock,
        *,
        state: TrackerState,
        resumed_end: EndReason | None,
        interval_s: Callable[[int], float],
        timeout_s: float,
        publish: Callable[[], Awaitable[None]],
    ) -> None:
        """`interval_s` gives the interval at which so many agents can be polled; `publish` shows a poll's outcome."""
        self._sampler = sampler
        self._recorder = recorder
        self._observer = observer
        self._clock = clock
        self._state = state
        self._silence = resumed_end or EndReason.POLL_FAILURE
        self._interval_for = interval_s
        self._timeout_s = timeout_s
        self._publish = publish
        self._roster: Roster | None = None
        self._roster_known = asyncio.Event()
        self._interval_s = interval_s(0)
        self._shortened = asyncio.Event()
        self._tick_at = 0.0
        """The latest tick that a poll was made or given up for, on the monotonic clock."""
        self._counted_to, self._passed_before = 0.0, 0
        """When the interval changed since that tick, and how many ticks had passed by the intervals before."""
        self._locked_until = 0.0
        """On the monotonic clock: a wall clock that is set back must not lengthen a lock."""
        self._offset_ms: int | None = None
        self._failing: _Failing | None = None
        self._ever_succeeded = False

    @property
    def failing(self) -> bool:
        """Whether the latest poll has failed."""
        return self._failing is not None

    def use(self, roster: Roster) -> None:
        """Poll this roster from the next poll on, at the interval that its size allows."""
        self._roster = roster
        self._roster_known.set()
        before, interval_s = self._interval_s, self._interval_for(len(roster.agents))
        if interval_s != before:
            log.warning(
                "the poll interval follows the number of agents, to stay under --api.max-requests-per-minute",
                extra={"fields": {"agents": len(roster.agents), "from_s": before, "to_s": interval_s}},
            )
        self._set_interval(interval_s)

    def use_interval(self, interval_s: Callable[[int], float]) -> None:
        """Poll at the interval that `interval_s` gives for the number of agents; a sleep that is longer ends early."""
        self._interval_for = interval_s
        agents = 0 if self._roster is None else len(self._roster.agents)
        before, now = self._interval_s, interval_s(agents)
        if now != before:
            fields: dict[str, object] = {"from_s": before, "to_s": now}
            if now > interval_s(0):
                log.warning(
                    "the poll interval changes; it is longer than asked, to stay under --api.max-requests-per-minute",
                    extra={"fields": {"agents": agents, **fields}},
                )
            else:
                log.info("the poll interval changes", extra={"fields": fields})
        self._set_interval(now)

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set. A poll that is under way then is given up; nothing of it is kept."""
        await first_of(self._first_roster(), stop.wait())
        tick = self._clock.monotonic()
        while not stop.is_set():
            self._tick_at = self._counted_to = tick
            self._passed_before = 0
            await first_of(self._tick(), stop.wait())
            tick = await self._next_tick(tick, stop)

    async def poll_once(self) -> None:
        """One poll of the present roster, whatever comes of it; public so that tests and the demo can drive it."""
        roster = self._roster
        assert roster is not None, "use() comes before the first poll"
        started = self._clock.monotonic()
        # Before the poll is sent: a step while it is under way comes after its times, so the next poll has to tell it.
        offset_ms = self._clock.now_ms() - round(started * 1000)
        deadline = started + max(self._interval_s, self._timeout_s)
        try:
            poll = await self._sampler.sample(tuple(roster.agents), deadline)
        except ApiError as error:
            self._failed(error, self._clock.monotonic() - started)
        else:
            marked = self._with_clock_step(poll, offset_ms)
            await self._succeeded(marked, roster, self._clock.monotonic() - started)

    async def _first_roster(self) -> None:
        """Wait until it is known whom to poll; what goes wrong meanwhile is shown all the same."""
        while not self._roster_known.is_set():
            await self._publish()
            await first_of(self._roster_known.wait(), self._clock.sleep(self._interval_s))

    async def _tick(self) -> None:
        """A poll, or a skip when a lock is in force; then show it."""
        wait_s = self._locked_until - self._clock.monotonic()
        if wait_s > 0:
            self._observer.poll_skipped()
            self._observer.backoff(wait_s)
        else:
            self._observer.backoff(0.0)
            await self.poll_once()
        await self._publish()

    async def _next_tick(self, tick: float, stop: asyncio.Event) -> float:
        """Sleep to the next tick after `tick` that lies ahead, counting those that have passed; returns it.

        If the interval gets shorter meanwhile, the next tick is counted anew from the latest one that has passed.
        """
        now = self._clock.monotonic()
        missed = self._ticks_until(now)
        for _ in range(self._passed_before + missed - self._ticks_until(self._counted_to)):
            self._observer.poll_skipped()
        passed = tick + missed * self._interval_s
        following = tick + (missed + 1) * self._interval_s
        while not stop.is_set():
            self._shortened.clear()
            await first_of(self._clock.sleep(following - now), self._shortened.wait(), stop.wait())
            if not self._shortened.is_set():
                break
            now = self._clock.monotonic()
            following = min(following, max(now, passed + self._interval_s))
        return following

    def _ticks_until(self, now: float) -> int:
        """How many ticks after the latest have passed by the interval of now."""
        since_s = now - self._tick_at
        passed = max(0, int(since_s / self._interval_s))
        # A tick that is reached exactly now is not missed: it is the next.
        return passed - 1 if passed and since_s == passed * self._interval_s else passed

    def _set_interval(self, interval_s: float) -> None:
        if interval_s != self._interval_s:
            # A poll that hangs misses ticks of both intervals, of each in its time.
            now = self._clock.monotonic()
            self._passed_before += self._ticks_until(now) - self._ticks_until(self._counted_to)
            self._counted_to = now
            if interval_s < self._interval_s:
                self._shortened.set()
            if self._ever_succeeded and self._failing is None:
                # By the old gap limit the silence until the next poll may be too long, but nothing has failed.
                self._silence = EndReason.RECONFIGURED
            self._interval_s = interval_s
        self._observer.interval(interval_s)

    async def _succeeded(self, poll: Poll, roster: Roster, duration_s: float) -> None:
        pace = Pace.of_interval(round(self._interval_s * 1000))
        before = self._state
        # At once, not after the steps: the interval may change while they are made.
        silence, self._silence = self._silence, EndReason.POLL_FAILURE
        try:
            after, facts = await taking_turns(advance_in_steps(before, poll, roster.agents, pace, silence=silence))
        except LatePoll:
            # The wall clock was set back. What agents do now is known all the same, so it is shown; whether it can
            # be recorded is for the recorder to say.
            before = TrackerState(before.agents, None)
            after, facts = await taking_turns(advance_in_steps(before, poll, roster.agents, pace))
            facts = replace(facts, previous_ended=EndReason.CLOCK_STEP)
        self._state = self._recorder.record(before, facts, after, roster.agents, pace)
        self._observer.poll_succeeded(poll, facts, after, duration_s)
        self._log_success(facts, duration_s)
        # The counters of what was written belong to the poll that is shown; but a slow disk must not hold it back.
        await self._recorder.settled(1.0)

    def _failed(self, error: ApiError, duration_s: float) -> None:
        now_ms = self._clock.now_ms()
        if self._ever_succeeded:
            self._silence = EndReason.POLL_FAILURE
        self._observer.poll_failed(error.reason, now_ms, duration_s)
        if isinstance(error, RateLimited) and error.until_ms > now_ms:
            wait_s = (error.until_ms - now_ms) / 1000
            self._locked_until = self._clock.monotonic() + wait_s
            self._observer.backoff(wait_s)
        failing = self._failing = self._failing or _Failing(self._clock.monotonic())
        fields = {"reason": error.reason, "error": str(error)}
        # Two reasons that take turns are no news each time.
        if error.reason not in failing.reasons:
            log.warning("polls fail", extra={"fields": fields})
        else:
            log.debug("poll failed", extra={"fields": fields})
        failing.polls += 1
        failing.reasons.add(error.reason)

    def _log_success(self, facts: PollFacts, duration_s: float) -> None:
        fields: dict[str, object] = {
            "agents": len(facts.poll.readings),
            "transitions": len(facts.transitions),
            "duration_s": round(duration_s, 3),
        }
        log.debug("poll", extra={"fields": fields})
        if self._failing is not None:
            failed_for_s = round(self._clock.monotonic() - self._failing.since, 3)
            more = {"failed_polls": self._failing.polls, "failed_for_s": failed_for_s}
            log.info("polls succeed again", extra={"fields": fields | more})
            self._failing = None
        elif not self._ever_succeeded:
            log.info("first good poll", extra={"fields": fields})
        self._ever_succeeded = True

    def _with_clock_step(self, poll: Poll, offset_ms: int) -> Poll:
        """The poll, marked if the wall clock stepped against the monotonic one since the good poll before.

        `offset_ms`: by how much the wall clock was ahead of the monotonic one when the poll began.
        """
        before, self._offset_ms = self._offset_ms, offset_ms
        if before is None or abs(offset_ms - before) <= CLOCK_STEP_TOLERANCE_MS:
            return poll
        return replace(poll, clock_step_ms=offset_ms - before)


class _Failing:
    """A row of failed polls: since when (monotonic seconds), how many, and why."""

    __slots__ = ("polls", "reasons", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.polls = 0
        self.reasons: set[str] = set()
