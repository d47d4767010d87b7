"""One time for everybody, which passes whenever somebody looks at it; and the exporter without its loops, inside it.

Zoho's clock (the simulator's) is right. The exporter's wall clock may be set; its monotonic clock never is. Agents go
on changing their status between any two looks at a clock, so that what is said of time is really put to the test.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, cast

from exporter.history.writer import HistoryWriter, RunInfo
from exporter.metrics.instruments import Instruments
from exporter.model import Agent, AgentId, EndReason, Poll, PollFacts, Roster, TrackerState
from exporter.poller import Poller
from exporter.recorder import Recorder
from exporter.roster import RosterChoice, RosterKeeper
from exporter.settings import AgentsSettings, ApiSettings, AuthSettings, MetricsSettings, PollSettings
from exporter.simulator.server import RunningSimulator
from exporter.tracker import Pace
from exporter.zoho.roster import read_roster
from exporter.zoho.sampler import Sampler
from exporter.zoho.session import Session, open_session

INTERVAL_S: Final = 10.0
GAP_LIMIT_MS: Final = 25_000
PENDING: Final = 25
"""Facts that the recorder keeps while it cannot write."""

_GRAINS_US: Final = (0, 0, 1, 7, 300, 999, 1_400, 20_000)
"""How long it may be between two looks at a clock."""
LONGEST_LOOK_MS: Final = 700


class Segment(NamedTuple):
    """From a true instant on the exporter's wall clock is ahead of the truth by so much."""

    since_us: int
    ahead_ms: int


class World:
    """True time, in microseconds since 1970."""

    def __init__(self, start_ms: int, chance: Random) -> None:
        self.us = self._start_us = start_ms * 1_000
        self.segments = [Segment(0, 0)]
        self.on_look: Callable[[], None] = lambda: None
        """Called at each look: what happens meanwhile."""
        self._chance = chance
        self._countdowns: list[tuple[int, Callable[[], object]]] = []
        self._looking = False
        self._sleepers: list[tuple[int, asyncio.Event]] = []

    @property
    def ahead_ms(self) -> int:
        """How far the exporter's wall clock is ahead now."""
        return self.segments[-1].ahead_ms

    @property
    def sleepers(self) -> int:
        """How many sleep until time has passed of itself."""
        return len(self._sleepers)

    def step(self, by_ms: int) -> None:
        """Set the exporter's wall clock."""
        self.segments.append(Segment(self.us, self.ahead_ms + by_ms))

    def pass_us(self, microseconds: int) -> None:
        self.us += microseconds
        for sleeper in [sleeper for sleeper in self._sleepers if sleeper[0] <= self.us]:
            self._sleepers.remove(sleeper)
            sleeper[1].set()

    def let_pass(self, milliseconds: int) -> None:
        """Let time pass; in it others go on with what they do."""
        for _ in range(8):
            self.pass_us(milliseconds * 125)
            self.look()

    def look(self) -> float:
        """Somebody looks at a clock, and that takes time; the monotonic time in seconds."""
        grain = LONGEST_LOOK_MS * 1_000 if self._chance.random() < 0.004 else self._chance.choice(_GRAINS_US)
        self.pass_us(grain)
        if not self._looking:
            self._looking = True
            try:
                self._count_down()
                self.on_look()
            finally:
                self._looking = False
        return (self.us - self._start_us) / 1e6

    def after_looks(self, number: int, action: Callable[[], object]) -> None:
        """Do something at the so-manieth look from now: in the middle of whatever will be going on."""
        self._countdowns.append((number, action))

    def forget_countdowns(self) -> None:
        self._countdowns.clear()

    async def sleep_until(self, us: int) -> None:
        """Wait until others have made it that late."""
        sleeper = us, asyncio.Event()
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def true_ms(self, wall_ms: int, since_us: int, until_us: int) -> int:
        """The true instant in [since, until] at which the exporter's wall clock has shown `wall_ms`."""
        for segment, after in zip(self.segments, [*self.segments[1:], Segment(until_us + 1, 0)], strict=True):
            true = wall_ms - segment.ahead_ms
            if max(segment.since_us, since_us) // 1_000 <= true <= min(after.since_us, until_us) // 1_000:
                return true
        raise AssertionError(f"the exporter's clock has not shown {wall_ms} between {since_us} and {until_us} us")

    def _count_down(self) -> None:
        due = [action for left, action in self._countdowns if left <= 1]
        self._countdowns = [(left - 1, action) for left, action in self._countdowns if left > 1]
        for action in due:
            action()


class ZohoClock:
    """The simulator's clock. Each look at its wall is a millisecond of its own, so that the order of things is sure."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        self._world.look()
        self._world.pass_us(1_000 - self._world.us % 1_000)
        return self._world.us // 1_000

    def monotonic(self) -> float:
        return self._world.look()

    async def sleep(self, seconds: float) -> None:
        self._world.pass_us(round(max(0.0, seconds) * 1e6))
        await asyncio.sleep(0)


class ExporterClock:
    """The exporter's clocks. Who sleeps makes time pass."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        self._world.look()
        return self._world.us // 1_000 + self._world.ahead_ms

    def monotonic(self) -> float:
        return self._world.look()

    async def sleep(self, seconds: float) -> None:
        self._world.pass_us(round(max(0.0, seconds) * 1e6))
        await asyncio.sleep(0)


class PatientClock:
    """For what runs in the background: looking takes no time, and who sleeps waits until others have made time pass."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        return self._world.us // 1_000 + self._world.ahead_ms

    def monotonic(self) -> float:
        return self._world.us / 1e6

    async def sleep(self, seconds: float) -> None:
        await self._world.sleep_until(self._world.us + round(max(0.0, seconds) * 1e6))


class Asked(NamedTuple):
    """A poll that came back whole, and when that really was."""

    poll: Poll
    true_sent: int
    true_received: int
    run: int
    faults: frozenset[str]
    """Those that hit a request meanwhile."""


@dataclass
class Log:
    """What has really happened."""

    asked: dict[tuple[int, int], Asked] = field(default_factory=dict)
    """By sent and received; the wall clock may be set, but hardly so that two polls have both alike."""
    written: list[Asked] = field(default_factory=list)
    """Those whose facts the writer has taken, in that order."""
    failed: int = 0


class ImpatientConnection(sqlite3.Connection):
    """Does not wait for a lock."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "timeout": 0.0})

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute("SELECT 1" if "busy_timeout" in sql else sql, *parameters)


class _Writer:
    """The real writer, with a note of each poll that it has written."""

    def __init__(self, writer: HistoryWriter, log: Log) -> None:
        self._writer = writer
        self._log = log

    def append(self, facts: PollFacts) -> int:
        written = self._writer.append(facts)
        self._log.written.append(self._log.asked[facts.poll.sent, facts.poll.received])
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


class _Recorder:
    """The real recorder; a poll does not wait for it while it waits to try again, for no time passes by waiting."""

    def __init__(self, recorder: Recorder, is_waiting: Callable[[], bool]) -> None:
        self._recorder = recorder
        self._is_waiting = is_waiting

    def record(
        self,
        before: TrackerState,
        facts: PollFacts,
        after: TrackerState,
        agents: Mapping[AgentId, Agent],
        pace: Pace,
    ) -> TrackerState:
        return self._recorder.record(before, facts, after, agents, pace)

    async def settled(self, seconds: float) -> None:
        await self._recorder.settled(0.02 if self._is_waiting() else 10.0)


class Exporter:
    """One run of the program: its parts, put together as `serve` does, and driven poll by poll."""

    def __init__(self, world: World, simulator: RunningSimulator, directory: Path, log: Log, number: int) -> None:
        self._world = world
        self._simulator = simulator
        self._directory = directory
        self._log = log
        self._number = number
        self._clock = ExporterClock(world)
        self._thread = ThreadPoolExecutor(1)
        self._stack = contextlib.AsyncExitStack()
        self._stop = asyncio.Event()
        self._lock: sqlite3.Connection | None = None
        self._has_roster = False

    async def start(self, agents: AgentsSettings) -> None:
        """Open the history and the session, and read the roster once, as far as that works."""
        run = RunInfo("1", "world", "", self._number, self._clock.now_ms())
        writer = await self._on_thread(
            lambda: HistoryWriter.open(
                self._database, run, connection_type=ImpatientConnection, checkpoint_after=lambda agents: 7
            )
        )
        self._writer = _Writer(writer, self._log)
        instruments = Instruments(
            MetricsSettings(), PollSettings(INTERVAL_S, 3 * INTERVAL_S), "1", "", clock=self._clock
        )
        patient = PatientClock(self._world)
        self._recorder = Recorder(cast(HistoryWriter, self._writer), self._thread, patient, instruments, limit=PENDING)
        session = await self._stack.enter_async_context(self._session(instruments))
        self._sampler = Sampler(
            session.client, self._clock, agents_per_request=2, concurrency=1, random=Random(self._number)
        )
        self._poller = Poller(
            self,
            _Recorder(self._recorder, lambda: self.is_waiting),
            instruments,
            self._clock,
            state=self._recorder.resumed,
            resumed_end=self._recorder.resumed_end,
            interval_s=lambda number: INTERVAL_S,
            timeout_s=INTERVAL_S,
            publish=lambda: asyncio.sleep(0),
        )
        choice = RosterChoice(agents)
        self._keeper = RosterKeeper(
            choice,
            lambda deadline: read_roster(session.client, deadline, self._clock, random=Random(1)),
            self._use,
            instruments,
            self._clock,
        )
        resumed = self._recorder.resumed.agents
        if choice.needs_listing and resumed:
            self._use(Roster({name: tracked.agent for name, tracked in resumed.items()}, 0))
        self._writing = asyncio.create_task(self._recorder.run(self._stop))
        if choice.needs_listing:
            await self._keeper.refresh()
        else:
            self._use(choice.named(self._clock.now_ms()))

    async def refresh_roster(self) -> None:
        await self._keeper.refresh()

    async def poll(self, *, cut_after: int | None = None) -> None:
        """One poll, or a part of one: cancelled at the so-manieth look at a clock."""
        if not self._has_roster:
            await self._keeper.refresh()
            return
        before = len(self._log.asked)
        poll = asyncio.create_task(self._poller.poll_once())
        if cut_after is not None:
            self._world.after_looks(cut_after, poll.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await poll
        self._world.forget_countdowns()
        self._log.failed += len(self._log.asked) == before

    async def sample(self, agent_ids: Sequence[AgentId], deadline: float) -> Poll:
        """The real sampler's poll, noted with the true times of what it says were its bounds."""
        received = self._simulator.received
        began, requests = self._world.us, received.total("statuses")
        poll = await self._sampler.sample(agent_ids, deadline)
        new = received.total("statuses") - requests
        sent = self._world.true_ms(poll.sent, began, self._world.us)
        self._log.asked[poll.sent, poll.received] = Asked(
            poll,
            sent,
            sent + poll.received - poll.sent,
            self._number,
            frozenset(one.fault.value for one in received.requests("statuses")[-new:] if one.fault)
            if new
            else frozenset(),
        )
        return poll

    async def lock(self) -> None:
        """Another program begins to write the database."""
        if self._lock is None:
            self._lock = sqlite3.connect(self._database, isolation_level=None)
            self._lock.execute("BEGIN IMMEDIATE")

    async def unlock(self) -> None:
        """It has ended; what waits is written once the recorder tries again."""
        if self._lock is not None:
            self._lock.execute("ROLLBACK")
            self._lock.close()
            self._lock = None

    @property
    def is_waiting(self) -> bool:
        """Whether facts may wait: the database is locked, or the recorder has not tried again since it was."""
        return self._lock is not None or self._world.sleepers > 0

    async def catch_up(self) -> None:
        """Let the recorder write what it can write now."""
        await asyncio.sleep(0)
        async with asyncio.timeout(10.0):
            while not self.is_waiting and not self._recorder._idle.is_set():
                await asyncio.sleep(0.001)

    async def end(self) -> None:
        """Stop in good order; what cannot be written is given up."""
        self._stop.set()
        await self._writing
        await self._recorder.close(EndReason.SHUTDOWN)
        await self._close()

    async def crash(self) -> None:
        """Be gone from one moment to the next. SQLite is told to let go of the file, which no more than tidies it up:
        that a kill loses nothing is for a test with real processes."""
        self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)
        await self._on_thread(self._writer.abandon)
        await self._close()

    async def _close(self) -> None:
        await self.unlock()
        await self._stack.aclose()
        self._thread.shutdown()

    @property
    def _database(self) -> Path:
        return self._directory / "zohovoice.db"

    def _session(self, instruments: Instruments) -> contextlib.AbstractAsyncContextManager[Session]:
        credentials, url = self._simulator.credentials, self._simulator.url
        api = ApiSettings(url, url, timeout_s=INTERVAL_S, max_requests_per_minute=100_000)
        auth = AuthSettings(
            credentials.client_id,
            credentials.client_secret,
            credentials.admin,
            token_cache=self._directory / "zohovoice-token.json",
        )
        return open_session(api, auth, clock=self._clock, observer=instruments, version="1")

    def _use(self, roster: Roster) -> None:
        self._has_roster = True
        self._poller.use(roster)

    async def _on_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
