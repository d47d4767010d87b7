"""Stories of what may happen to an exporter, told by hand or at random, and played over real HTTP in one time."""

import asyncio
import itertools
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from hypothesis import strategies as st

from exporter.model import KNOWN_STATUSES, Agent
from exporter.roster import RosterChoice
from exporter.settings import AgentsSettings
from exporter.simulator.faults import Switchboard, parse_fault
from exporter.simulator.server import RunningSimulator, run_simulator
from exporter.simulator.settings import Presence
from exporter.simulator.simulation import Simulation, SimulationSettings
from tests.support.recorded import check_laws, read_database
from tests.support.simulated import NOON
from tests.support.true_time import LONGEST_LOOK_MS, World, ZohoClock
from tests.support.world import INTERVAL_S, Asked, Exporter, Log

AGENTS: Final = 5
WORDS: Final = (*(status.word for status in KNOWN_STATUSES), "Wrap up")

FAULTS: Final = (
    "statuses:expired-token,times=1",
    "statuses:unauthorized,times=1",
    "statuses:unauthorized",
    "statuses:scope-missing",
    "statuses:throttle-429,retry_after=20,times=1",
    "statuses:throttle-400,retry_after=60,times=1",
    "statuses:throttle-200,times=1",
    "statuses:server-error",
    "statuses:server-error,factor=0.75",
    "statuses:server-error,times=2",
    "statuses:client-error",
    "statuses:client-error,factor=0.5",
    "statuses:wrong-types,factor=0.75",
    "statuses:throttle-429,retry_after=15,factor=0.34",
    "statuses:error-envelope",
    "statuses:slow,seconds=0.4",
    "statuses:slow,seconds=4",
    "statuses:slow,seconds=13,factor=0.5",
    "statuses:reset,times=2",
    "statuses:close",
    "statuses:truncated",
    "statuses:not-json",
    "statuses:html,times=1",
    "statuses:empty",
    "statuses:no-content",
    "statuses:false-gzip",
    "statuses:redirect,url=http://127.0.0.1:9/",
    "statuses:wrong-types",
    "statuses:wrong-types,variant=fields",
    "statuses:missing-rows,count=1",
    "statuses:missing-rows,count=2,factor=0.5",
    "statuses:error-rows,count=1",
    "statuses:error-rows,count=2,times=1",
    "statuses:duplicate-rows,count=2",
    "statuses:unknown-status,text=Lunch",
    "statuses:unknown-status,count=2,factor=0.5",
    "statuses:numeric-ids",
    "users:server-error",
    "users:wrong-total",
    "users:missing-rows,count=1",
    "users:duplicate-rows",
    "users:html",
    "token:refused-refresh",
    "token:access-token-limit,times=1",
    "token:server-error",
)
"""Those that answer at once, or late by the world's time. A vendor that contradicts itself is not among them: it has no
truth to be compared with."""
INVENTING: Final = frozenset({"missing-rows", "error-rows", "unknown-status"})
"""Faults that make an answer say what is not so."""


@dataclass(frozen=True)
class Step:
    """Something happens."""

    what: str
    number: int = 0
    text: str = ""
    looks: int | None = None
    """After so many looks at a clock, in the middle of the next poll; None: between two polls."""
    named: tuple[int, ...] | None = None
    """The positions of the agents that are named from now on; None: whoever is on the roster."""


@dataclass(frozen=True)
class Program:
    """A story: what it begins with, and what happens."""

    seed: int
    restlessness: float
    """How probable it is that an agent changes its status between two looks at a clock."""
    presences: tuple[Presence, ...]
    steps: tuple[Step, ...]
    cuts: tuple[float, float]
    """A window within the story, as shares of its length."""


def _steps() -> st.SearchStrategy[Step]:
    looks = st.none() | st.integers(1, 120)
    down = st.sampled_from([1, 2_000, 9_000, 40_000, 700_000])
    named = st.none() | st.none() | st.sampled_from([(0, 1), (1, 2, 3), (4,)])
    pauses = [500, 5_000, 14_500, 15_500, 60_000, 700_000]  # a poll 9.9 s later is within the gap limit, or not
    intervals = [4, 10, 10, 30]  # seconds; the first gives up after 10 s of silence, the last polls within 75 s
    clocks = [-400_000, -30_000, -6_000, -3_000, 3_000, 12_000, 90_000]
    polls = st.builds(Step, st.just("poll"), st.integers(2, 8))
    return st.one_of(
        *[polls] * 5,
        st.builds(Step, st.just("pause"), st.sampled_from(pauses)),
        st.builds(Step, st.just("fault"), st.integers(1, 3), text=st.sampled_from(FAULTS)),
        st.builds(Step, st.just("fault"), st.integers(1, 3), text=st.sampled_from(FAULTS)),
        st.builds(Step, st.just("fault"), text=st.sampled_from(FAULTS)),
        st.builds(Step, st.just("clear")),
        st.builds(Step, st.just("write"), st.integers(0, AGENTS - 1), st.sampled_from(WORDS), looks),
        st.builds(Step, st.just("roster")),
        st.builds(Step, st.just("restart"), down, named=named),
        st.builds(Step, st.just("crash"), down, looks=looks, named=named),
        st.builds(Step, st.just("reload"), st.sampled_from(intervals), looks=looks, named=named),
        st.builds(Step, st.just("set clock"), st.sampled_from(clocks), looks=looks),
        st.builds(Step, st.just("set clock"), st.sampled_from(clocks)),
        st.builds(Step, st.sampled_from(["lock", "unlock"])),
    )


def programs() -> st.SearchStrategy[Program]:
    minute = 60_000
    instants = st.none() | st.integers(0, 10).map(lambda minutes: NOON + minutes * minute)
    return st.builds(
        Program,
        seed=st.integers(0, 2**32),
        restlessness=st.sampled_from([0.0, 0.02, 0.2, 1.0]),
        presences=st.tuples(
            st.builds(Presence, st.just(2), joins=instants), st.builds(Presence, st.just(3), leaves=instants)
        ),
        steps=st.lists(_steps(), min_size=12, max_size=40).map(tuple),
        cuts=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    )


@dataclass
class Story:
    """A program that is being played, and what has come of it."""

    program: Program
    simulator: RunningSimulator
    world: World
    directory: Path
    log: Log = field(default_factory=Log)
    runs: int = 0
    choice: RosterChoice = field(default_factory=lambda: RosterChoice(AgentsSettings()))
    """What is configured now, and the seconds between two polls."""
    interval_s: float = INTERVAL_S

    @property
    def simulation(self) -> Simulation:
        return self.simulator.simulation

    async def play(self) -> None:
        """Everything in order; at the end the program is stopped in good order."""
        chance, words = Random(self.program.seed), itertools.count()

        def live() -> None:
            if chance.random() < self.program.restlessness:
                # Each time a word of its own: who has read it has read it after that and before the next.
                self.simulation.set_status(chance.choice(self.simulation.agents).agent_id, f"Status {next(words)}")

        self.world.on_look = live
        exporter = await self._started()
        for step in self.program.steps:
            exporter = await self._after(step, exporter)
            await exporter.catch_up()
        await exporter.unlock()
        await exporter.end()
        self.world.on_look = lambda: None

    async def _after(self, step: Step, exporter: Exporter) -> Exporter:
        """Let a step happen; the exporter that runs after it."""
        world = self.world
        if step.what == "poll":
            await self._poll(exporter, step.number)
        elif step.what == "pause":
            world.let_pass(step.number)
        elif step.what == "fault":
            placed = parse_fault(step.text)
            self.simulator.switchboard.set(placed.where, placed.fault, placed.times)
            if step.number:
                await self._poll(exporter, step.number)
                self.simulator.switchboard.clear()
        elif step.what == "clear":
            self.simulator.switchboard.clear()
        elif step.what == "roster":
            await exporter.refresh_roster()
        elif step.what == "lock":
            await exporter.lock()
        elif step.what == "unlock":
            await exporter.unlock()
        elif step.what in ("restart", "crash"):
            return await self._anew(step, exporter)
        else:
            await self._meanwhile(step, exporter)
        return exporter

    async def _poll(self, exporter: Exporter, number: int) -> None:
        for _ in range(number):
            self._time_for_a_poll(exporter)
            await exporter.catch_up()  # what waits is written before more comes, else it is chance what is given up
            before = len(self.log.asked)
            await exporter.poll()
            await exporter.catch_up()
            if len(self.log.asked) > before and not exporter.is_waiting:
                latest, written = list(self.log.asked.values())[-1], self.log.written
                late = any(latest.poll.received <= asked.poll.received for asked in written)
                assert late or written[-1] is latest, "nothing was in the way, but the poll was not written"

    def _time_for_a_poll(self, exporter: Exporter) -> None:
        self.world.let_pass(round(exporter.interval_s * 1_000) - 100)

    async def _meanwhile(self, step: Step, exporter: Exporter) -> None:
        """What may happen in the middle of a poll."""

        def act() -> None:
            if step.what == "write":
                self.simulation.set_status(self.simulation.agents[step.number].agent_id, step.text)
            elif step.what == "reload":
                # Not in the middle of what the loop does at this moment, but before it does anything else.
                self.interval_s, self.choice = step.number or self.interval_s, self._listed(step.named)
                asyncio.get_running_loop().call_soon(exporter.reload, self.choice, self.interval_s)
            else:
                self.world.step(step.number)

        if step.looks is None:
            await self._poll(exporter, 1)
            act()
            await asyncio.sleep(0)
            await self._poll(exporter, 2)
            return
        self.world.after_looks(step.looks, act)
        await self._poll(exporter, 1)

    async def _anew(self, step: Step, exporter: Exporter) -> Exporter:
        if step.what == "restart":
            await exporter.end()
        else:
            if step.looks is not None:
                self._time_for_a_poll(exporter)
                await exporter.poll(cut_after=step.looks)
            await exporter.crash()
        self.world.let_pass(step.number)
        ids = tuple(self.simulation.agents[position].agent_id for position in step.named or ())
        self.choice = RosterChoice(AgentsSettings(ids=ids, discover=not ids))
        return await self._started()

    def _listed(self, named: tuple[int, ...] | None) -> RosterChoice:
        """The same as an agents file, which also says what they are called."""
        agents = [self.simulation.agents[position].agent_id for position in named or ()]
        in_file = tuple(Agent(agent_id, f"Name {self.runs}", "Team") for agent_id in agents)
        return RosterChoice(AgentsSettings(discover=not in_file), in_file)

    async def _started(self) -> Exporter:
        self.runs += 1
        if (self.directory / "zohovoice.db").exists():
            check_laws(read_database(self.directory / "zohovoice.db"))
        how = self.choice, self.interval_s
        exporter = Exporter(self.world, self.simulator, self.directory, self.log, self.runs, *how)
        await exporter.start()
        return exporter

    # What is true

    def words(self, agent_id: str, since: int, until: int) -> set[str]:
        """The statuses that the agent really had in [since, until], true instants."""
        changes = self.simulation.changes(agent_id, since + 1, until + 1)
        return {self.simulation.status_at(agent_id, since)} | {change.to_word for change in changes}

    def stepped(self, before: Asked, after: Asked) -> bool:
        """Whether the exporter's clock was set between two polls, or while it looked at its clocks for them."""
        since, until = before.true_sent - 2 * LONGEST_LOOK_MS, after.true_received + 2 * LONGEST_LOOK_MS
        return any(since * 1_000 <= segment.since_us <= until * 1_000 for segment in self.world.segments)

    def told(self, before: Asked, after: Asked) -> bool:
        """Whether the exporter can know by how much its clock was set between two polls.

        Not if it is another process, nor if it happened just between its looks at the two clocks for one of them.
        """
        near = [
            abs(segment.since_us // 1_000 - asked.true_sent) <= 2 * LONGEST_LOOK_MS
            for segment in self.world.segments
            for asked in (before, after)
        ]
        return before.run == after.run and not any(near)

    def apart(self, before: Asked, after: Asked) -> bool:
        """Whether the time between two polls is unknown although both were written: it is too long, or polls are meant
        to be made more often or more rarely now, so that a reading held for another time."""
        return after.poll.received - before.poll.received > before.gap_limit_ms or self.repaced(before, after)

    def repaced(self, before: Asked, after: Asked) -> bool:
        """Whether a reload, or a restart after it, has put another interval in force."""
        return before.interval_ms != after.interval_ms

    def lost(self, before: Asked, after: Asked) -> bool:
        """Whether polls between two that were written were not."""
        return any(before.true_sent < asked.true_sent < after.true_sent for asked in self.log.asked.values())

    def may_say(self, asked: Asked, agent_id: str, word: str) -> bool:
        """Whether a poll may have brought this word for the agent: it was true meanwhile, or a fault has made it up."""
        if word in self.words(agent_id, asked.true_sent, asked.true_received):
            return True
        agent = self.simulation.find(agent_id)
        assert agent is not None
        away = not agent.present_at(asked.true_sent) or not agent.present_at(asked.true_received)
        return bool(asked.faults & INVENTING) or (away and word == "error")


def told_by_hand(
    *steps: tuple[str, int] | tuple[str, int, str] | tuple[str, int, str, int], restlessness: float = 0.2
) -> Program:
    """A story that is told by hand."""
    return Program(1, restlessness, (), tuple(Step(*step) for step in steps), (0.2, 0.7))


async def played(program: Program, directory: Path) -> Story:
    """The program played over real HTTP."""
    world = World(NOON, Random(program.seed))
    clock = ZohoClock(world)
    options = SimulationSettings(
        agents=AGENTS, shifts_around=NOON, calls_per_agent_hour=60, presences=program.presences, seed=program.seed % 50
    )
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(run_simulator(Simulation(options, clock), Switchboard()))
        story = Story(program, simulator, world, directory)
        await story.play()
    return story
