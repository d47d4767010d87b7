"""The exporter without its loops, in a world with one time for everybody.

Agents go on changing their status between any two looks at a clock, so that what is said of time is really put to the
test.
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
from exporter.settings import ApiSettings, AuthSettings, MetricsSettings, PollSettings
from exporter.simulator.server import RunningSimulator
from exporter.tracker import Pace
from exporter.zoho.roster import read_roster
from exporter.zoho.sampler import Sampler
from exporter.zoho.session import Session, open_session
from tests.support.true_time import ExporterClock, PatientClock, World

INTERVAL_S: Final = 10.0
"""As long as nothing else is configured."""
PENDING: Final = 25
"""Facts that the recorder keeps while it cannot write."""


class Asked(NamedTuple):
    """A poll that came back whole, and when that really was."""

    poll: Poll
    true_sent: int
    true_received: int
    run: int
    faults: frozenset[str]
    """Those that hit a request meanwhile."""
    interval_ms: int
    """How far apart polls were meant to be made when it was over."""

    @property
    def gap_limit_ms(self) -> int:
        """How long the next one may be off, and what this one says is still known: two and a half intervals."""
        return self.interval_ms * 5 // 2


@dataclass
class Log:
    """What has really happened."""

    asked: dict[tuple[int, int], Asked] = field(default_factory=dict)
    """By sent and received; the wall clock may be set, but hardly so that two polls have both alike."""
    written: list[Asked] = field(default_factory=list)
    """Those whose facts the writer has taken, in that order."""
    taken: list[Asked] = field(default_factory=list)
    """Those that the poller has made facts of, which are what scrapes tell of."""
    failed_us: list[int] = field(default_factory=list)
    """When polls had come to nothing, by the true time."""
    changed_us: list[int] = field(default_factory=list)
    """When a reload brought another interval, by the true time."""
    credited: dict[int, Mapping[AgentId, Mapping[str, int]]] = field(default_factory=dict)
    """By run the time in each status that its counters ended with, in ms, of those who were tracked then."""


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
    """The real recorder, with a note of each poll that it is told of; a poll does not wait for it while it waits to try
    again, for no time passes by waiting."""

    def __init__(self, recorder: Recorder, is_waiting: Callable[[], bool], note: Callable[[Poll, Pace], None]) -> None:
        self._recorder = recorder
        self._is_waiting = is_waiting
        self._note = note

    def record(
        self,
        before: TrackerState,
        facts: PollFacts,
        after: TrackerState,
        agents: Mapping[AgentId, Agent],
        pace: Pace,
    ) -> TrackerState:
        self._note(facts.poll, pace)
        return self._recorder.record(before, facts, after, agents, pace)

    async def settled(self, seconds: float) -> None:
        await self._recorder.settled(0.02 if self._is_waiting() else 10.0)


class Exporter:
    """One run of the program: its parts, put together as `serve` does, and driven poll by poll."""

    def __init__(
        self,
        world: World,
        simulator: RunningSimulator,
        directory: Path,
        log: Log,
        number: int,
        choice: RosterChoice,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self._choice = choice
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
        self._has_roster = self._must_read = False

    async def start(self) -> None:
        """Open the history and the session, and read the roster once, as far as that works."""
        run = RunInfo("1", "world", "", self._number, self._clock.now_ms())
        writer = await self._on_thread(
            lambda: HistoryWriter.open(
                self._database, run, connection_type=ImpatientConnection, checkpoint_after=lambda agents: 7
            )
        )
        self._writer = _Writer(writer, self._log)
        choice, interval_s = self._choice, self.interval_s
        settings = PollSettings(interval_s, 3 * interval_s)
        instruments = self._instruments = Instruments(MetricsSettings(), settings, "1", "", clock=self._clock)
        patient = PatientClock(self._world)
        self._recorder = Recorder(cast(HistoryWriter, self._writer), self._thread, patient, instruments, limit=PENDING)
        session = await self._stack.enter_async_context(self._session(instruments))
        self._sampler = Sampler(
            session.client, self._clock, agents_per_request=2, concurrency=1, random=Random(self._number)
        )
        self._poller = Poller(
            self,
            _Recorder(self._recorder, lambda: self.is_waiting, self._note),
            instruments,
            self._clock,
            state=self._recorder.resumed,
            resumed_end=self._recorder.resumed_end,
            interval_s=lambda number: interval_s,
            timeout_s=INTERVAL_S,
            publish=lambda: asyncio.sleep(0),
        )
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

    def reload(self, choice: RosterChoice, interval_s: float) -> None:
        """Go on with these settings, as the program does when it reloads; called between two turns of the loop only."""
        if interval_s != self.interval_s:
            self._log.changed_us.append(self._world.us)
        # The program reads the roster as soon as it is needed again. Here nothing runs beside the polls.
        self._must_read = choice.needs_listing and (self._must_read or not self._choice.needs_listing)
        self.interval_s, self._choice = interval_s, choice
        self._instruments.use_poll(PollSettings(interval_s, 3 * interval_s))
        self._poller.use_interval(lambda number: interval_s)
        self._keeper.use_choice(choice)

    async def poll(self, *, cut_after: int | None = None) -> None:
        """One poll, or a part of one: cancelled at the so-manieth look at a clock."""
        if self._must_read:
            self._must_read = await self._keeper.refresh() is not None
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
        if len(self._log.asked) == before:
            self._log.failed_us.append(self._world.us)

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
            round(self.interval_s * 1_000),
        )
        return poll

    def _note(self, poll: Poll, pace: Pace) -> None:
        """Note at which pace a poll was taken for what it says; a reload may have come after its last answer."""
        asked = self._log.asked[poll.sent, poll.received]
        assert pace.interval_ms in (asked.interval_ms, round(self.interval_s * 1_000))
        asked = asked._replace(interval_ms=pace.interval_ms)
        self._log.asked[poll.sent, poll.received] = asked
        self._log.taken.append(asked)

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
        self._count()
        self._stop.set()
        await self._writing
        await self._recorder.close(EndReason.SHUTDOWN)
        await self._close()

    async def crash(self) -> None:
        """Be gone from one moment to the next. SQLite is told to let go of the file, which no more than tidies it up:
        that a kill loses nothing is for a test with real processes."""
        self._count()
        self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)
        await self._on_thread(self._writer.abandon)
        await self._close()

    async def _close(self) -> None:
        await self.unlock()
        await self._stack.aclose()
        self._thread.shutdown()

    def _count(self) -> None:
        """Note what the counters say in the end."""
        view = self._instruments.publish(0).view
        if view is not None:
            self._log.credited[self._number] = {
                row.label: dict(zip(view.labels, row.credited_ms(view.known_ms, len(view.labels)), strict=True))
                for row in view.rows
            }

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
