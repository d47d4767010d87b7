"""What a reload does to the roster: whom to track from now on, and when Zoho is asked for it."""

import asyncio
from collections.abc import Awaitable, Callable

from exporter.model import Agent, AgentId, Roster
from exporter.roster import RosterChoice, RosterKeeper
from exporter.settings import AgentsSettings
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import ApiError, RateLimited, RequestTimeout
from exporter.zoho.roster import RosterListing
from exporter.zoho.rows import RosterRow
from tests.support.clock import HeldClock, settle

LISTING = RosterListing(
    (RosterRow("7001", "9001", "Ann", "Sales", None), RosterRow("7002", "9002", "Ben", "Support", None)), 3, 1_000
)
BY_ID = AgentsSettings(ids=("7001",), discover=False)


class Keeping:
    """A keeper at work."""

    def __init__(self, choice: RosterChoice) -> None:
        self.clock = HeldClock()
        self.answer: RosterListing | ApiError = LISTING
        self.read_at: list[int] = []
        self.used: list[set[AgentId]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.keeper = RosterKeeper(
            choice, self._read, lambda roster: self.used.append(set(roster.agents)), self, self.clock
        )

    async def _read(self, deadline: float) -> RosterListing:
        self.read_at.append(round(self.clock.monotonic() - 1000))
        await self.hold.wait()
        if isinstance(self.answer, ApiError):
            raise self.answer
        return self.answer

    def roster_refreshed(self, roster: Roster) -> None: ...
    def roster_failed(self, reason: str) -> None: ...

    async def pass_s(self, seconds: float) -> None:
        self.clock.pass_time(seconds)
        await settle()

    async def use(self, settings: AgentsSettings, *file_agents: Agent) -> None:
        self.keeper.use_choice(RosterChoice(settings, file_agents))
        await settle()


def with_keeper(settings: AgentsSettings, *file_agents: Agent, scene: Callable[[Keeping], Awaitable[None]]) -> Keeping:
    async def run() -> Keeping:
        keeping, stop = Keeping(RosterChoice(settings, file_agents)), asyncio.Event()
        task = asyncio.create_task(keeping.keeper.run(stop))
        await settle()
        await scene(keeping)
        stop.set()
        await task
        return keeping

    return asyncio.run(run())


def test_those_named_by_id_change_at_once_and_nothing_is_read_of_zoho() -> None:
    async def scene(keeping: Keeping) -> None:
        await keeping.use(BY_ID, Agent("7005"))
        await keeping.use(AgentsSettings(ids=("7009",), discover=False))
        await keeping.use(AgentsSettings(ids=("7009",), discover=False))

    keeping = with_keeper(BY_ID, scene=scene)
    assert keeping.used == [{"7001"}, {"7001", "7005"}, {"7009"}]
    assert keeping.read_at == []


def test_a_name_in_the_file_changes_without_the_roster_being_read_again() -> None:
    async def scene(keeping: Keeping) -> None:
        await keeping.use(AgentsSettings(), Agent("7009"))
        await keeping.use(AgentsSettings())

    keeping = with_keeper(AgentsSettings(), scene=scene)
    assert keeping.used == [{"7001", "7002"}, {"7001", "7002", "7009"}, {"7001", "7002"}]
    assert keeping.read_at == [0]


def test_an_agent_can_be_taken_off_the_file_while_zoho_is_down() -> None:
    async def scene(keeping: Keeping) -> None:
        keeping.answer = RequestTimeout("down", Endpoint.USERS)
        await keeping.pass_s(900)
        await keeping.use(AgentsSettings(zuids=("9001",), discover=False))

    keeping = with_keeper(AgentsSettings(zuids=("9001",), discover=False), Agent("7009"), scene=scene)
    assert keeping.used == [{"7001", "7009"}, {"7001"}]


def test_a_zuid_that_is_new_has_the_roster_read_at_once() -> None:
    async def scene(keeping: Keeping) -> None:
        await keeping.pass_s(100)
        await keeping.use(AgentsSettings(zuids=("9001", "9002"), discover=False))
        await keeping.pass_s(899)
        assert keeping.read_at == [0, 100]
        await keeping.pass_s(1)

    keeping = with_keeper(AgentsSettings(zuids=("9001",), discover=False), scene=scene)
    assert keeping.read_at == [0, 100, 1000]
    assert keeping.used[:2] == [{"7001"}, {"7001", "7002"}]


def test_a_refresh_interval_counts_from_the_last_reading() -> None:
    async def scene(keeping: Keeping) -> None:
        await keeping.pass_s(100)
        await keeping.use(AgentsSettings(refresh_interval_s=300))
        await keeping.pass_s(199)
        assert keeping.read_at == [0]
        await keeping.pass_s(1)
        assert keeping.read_at == [0, 300]
        await keeping.pass_s(200)
        await keeping.use(AgentsSettings(refresh_interval_s=60))
        assert keeping.read_at == [0, 300, 500], "a minute is over already"
        await keeping.use(AgentsSettings(refresh_interval_s=1000))
        await keeping.pass_s(999)
        assert len(keeping.read_at) == 3
        await keeping.pass_s(1)

    assert with_keeper(AgentsSettings(), scene=scene).read_at == [0, 300, 500, 1500]


def test_discovery_can_be_turned_on_and_off() -> None:
    async def scene(keeping: Keeping) -> None:
        await keeping.use(AgentsSettings())
        await keeping.use(BY_ID)
        await keeping.pass_s(10_000)
        assert keeping.read_at == [0], "nothing is read that nobody needs"
        await keeping.use(AgentsSettings())

    keeping = with_keeper(BY_ID, scene=scene)
    assert keeping.used == [{"7001"}, {"7001", "7002"}, {"7001"}, {"7001", "7002"}, {"7001", "7002"}]
    assert keeping.read_at == [0, 10_000]


def test_a_reading_under_way_serves_the_choice_that_came_meanwhile() -> None:
    async def scene(keeping: Keeping) -> None:
        keeping.hold.clear()
        await keeping.pass_s(900)
        await keeping.use(AgentsSettings(zuids=("9002",), discover=False))
        keeping.hold.set()
        await settle()

    keeping = with_keeper(AgentsSettings(), scene=scene)
    assert keeping.used == [{"7001", "7002"}, {"7002"}, {"7002"}]
    assert keeping.read_at == [0, 900]


def test_a_lock_is_waited_for_whatever_is_asked_meanwhile() -> None:
    async def scene(keeping: Keeping) -> None:
        keeping.answer = RateLimited("wait", Endpoint.USERS, keeping.clock.now_ms() + 1_500_000)
        await keeping.pass_s(900)
        keeping.answer = LISTING
        await keeping.use(AgentsSettings(zuids=("9002",), discover=False, refresh_interval_s=10))
        await keeping.pass_s(599)
        assert keeping.read_at == [0, 900]
        await keeping.pass_s(1)

    assert with_keeper(AgentsSettings(), scene=scene).read_at == [0, 900, 1500]


def test_before_the_roster_was_ever_read_what_was_polled_stays() -> None:
    async def scene(keeping: Keeping) -> None:
        keeping.answer = RequestTimeout("down", Endpoint.USERS)
        await keeping.use(AgentsSettings(), Agent("7009"))
        assert keeping.used == []
        keeping.answer = LISTING
        keeping.hold.set()
        await settle()

    async def run() -> Keeping:
        keeping, stop = Keeping(RosterChoice(AgentsSettings())), asyncio.Event()
        keeping.hold.clear()
        task = asyncio.create_task(keeping.keeper.run(stop))
        await settle()
        await scene(keeping)
        stop.set()
        await task
        return keeping

    assert asyncio.run(run()).used == [{"7001", "7002", "7009"}]
