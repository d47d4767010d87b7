"""Whom to track: what flags, agents file and Zoho's roster make together, and when the roster is read."""

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from exporter.model import Agent, Roster
from exporter.roster import RosterChoice, RosterKeeper
from exporter.settings import AgentsSettings
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import ApiError, RateLimited, RequestTimeout
from exporter.zoho.roster import RosterListing
from exporter.zoho.rows import RosterRow
from tests.support.clock import FakeClock
from tests.support.told_in_log import fields_of

ANN = RosterRow("7001", "9001", "Ann", "Sales", None)
BEN = RosterRow("7002", "9002", "Ben", "Support", None)
LISTING = RosterListing((ANN, BEN), rows_ignored=3, read_at=1_000)
NOBODY = RosterListing((), rows_ignored=5, read_at=1_000)


def test_everyone_on_the_list_is_tracked_when_agents_are_discovered() -> None:
    roster = RosterChoice(AgentsSettings()).from_listing(LISTING)

    assert roster == Roster({"7001": Agent("7001", "Ann", "Sales"), "7002": Agent("7002", "Ben", "Support")}, 1_000, 3)


def test_those_named_by_id_are_tracked_without_a_list_and_whether_they_are_on_it_or_not() -> None:
    choice = RosterChoice(AgentsSettings(ids=("7002", "7009"), discover=False))

    assert not choice.needs_listing
    assert choice.named(5) == Roster({"7002": Agent("7002"), "7009": Agent("7009")}, 5)
    assert choice.from_listing(LISTING).agents == {"7002": Agent("7002", "Ben", "Support"), "7009": Agent("7009")}


def test_what_the_agents_file_says_of_name_and_team_goes_before_what_zoho_says() -> None:
    choice = RosterChoice(AgentsSettings(), (Agent("7001", "Annie", ""), Agent("7009", "New", "Night")))

    assert choice.from_listing(LISTING).agents == {
        "7001": Agent("7001", "Annie", "Sales"),
        "7002": Agent("7002", "Ben", "Support"),
        "7009": Agent("7009", "New", "Night"),
    }


def test_zuids_become_agent_ids_and_those_that_are_not_on_the_list_are_told(caplog: pytest.LogCaptureFixture) -> None:
    choice = RosterChoice(AgentsSettings(zuids=("9002", "9999"), discover=False))

    assert choice.needs_listing
    assert choice.from_listing(LISTING).agents == {"7002": Agent("7002", "Ben", "Support")}
    (said,) = caplog.records
    assert fields_of(said) == {"zuids": "9999", "rows": 2}


@dataclass
class Rig:
    """A keeper that reads what the script says, and what came of it."""

    script: list[RosterListing | ApiError]
    clock: FakeClock = field(default_factory=FakeClock)
    read_at: list[float] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    refreshed: int = 0
    failed: list[str] = field(default_factory=list)

    def roster_refreshed(self, roster: Roster) -> None:
        self.refreshed += 1

    def roster_failed(self, reason: str) -> None:
        self.failed.append(reason)

    def play(self) -> "Rig":
        async def run() -> None:
            stop = asyncio.Event()

            async def read(deadline: float) -> RosterListing:
                if not self.script:
                    stop.set()
                    await asyncio.Event().wait()  # given up when the keeper stops
                self.read_at.append(self.clock.monotonic() - 1_000)
                outcome = self.script.pop(0)
                if isinstance(outcome, ApiError):
                    raise outcome
                return outcome

            choice = RosterChoice(AgentsSettings(refresh_interval_s=900))
            keeper = RosterKeeper(choice, read, lambda roster: self.used.append(len(roster.agents)), self, self.clock)
            async with asyncio.timeout(10):
                await keeper.run(stop)

        asyncio.run(run())
        return self


def timeout() -> RequestTimeout:
    return RequestTimeout("reading the users took too long", Endpoint.USERS)


def test_the_roster_is_read_at_once_and_then_at_its_own_rate() -> None:
    rig = Rig([LISTING, LISTING, LISTING]).play()

    assert (rig.read_at, rig.used, rig.refreshed) == ([0, 900, 1_800], [2, 2, 2], 3)


def test_after_a_failure_it_is_read_sooner_each_time_later_but_never_later_than_otherwise() -> None:
    rig = Rig([LISTING, *(timeout() for _ in range(9)), LISTING, LISTING]).play()

    waits = [later - earlier for earlier, later in zip(rig.read_at, rig.read_at[1:], strict=False)]
    assert waits == [900, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]
    assert (rig.used, rig.failed) == ([2, 2, 2], ["timeout"] * 9)


def test_a_lock_is_waited_for() -> None:
    locked = RateLimited("Zoho throttles", Endpoint.USERS, FakeClock().now_ms() + 600_000)

    assert Rig([locked, LISTING]).play().read_at == [0, 600]


def test_a_roster_without_anybody_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rig = Rig([NOBODY, NOBODY, LISTING]).play()

    assert rig.used == [0, 0, 2]
    assert [record.message for record in caplog.records] == ["the roster names no agents, so nobody is polled"]
