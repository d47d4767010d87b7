"""Whom to track: what was named by flag and file, and what Zoho's roster says, as one `Roster` that is kept fresh."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from exporter.clock import Clock, first_of
from exporter.model import Agent, Roster
from exporter.settings import AgentsSettings
from exporter.zoho.errors import ApiError, RateLimited
from exporter.zoho.roster import RosterListing

log: Final = logging.getLogger(__name__)

_FIRST_RETRY_S: Final = 10.0
_SHORTEST_DEADLINE_S: Final = 120.0
"""How long one reading of the roster may take, where the refresh interval does not allow more: at 30 requests a minute
that is some 3,000 users."""
_FOR_EVER_S: Final = float("inf")


class RosterObserver(Protocol):
    """Who wants to know how the roster fares."""

    def roster_refreshed(self, roster: Roster) -> None: ...
    def roster_failed(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class RosterChoice:
    """Which agents are wanted: those named by flag or file as long as they are named, others as the roster has them."""

    settings: AgentsSettings
    file_agents: tuple[Agent, ...] = ()

    @property
    def needs_listing(self) -> bool:
        """Whether Zoho's roster must be read: to discover agents, or to find the agent ids that belong to zuids."""
        return self.settings.discover or bool(self.settings.zuids)

    def named(self, now_ms: int) -> Roster:
        """The roster of those named by agent id, for when Zoho's is not needed; read at `now_ms`."""
        return Roster(agents={agent.agent_id: agent for agent in self._named_agents()}, read_at=now_ms)

    def from_listing(self, listing: RosterListing) -> Roster:
        """The roster that Zoho's listing and the names given make together.

        What the agents file says of a name or a team goes before what Zoho says.
        """
        listed = {row.agent_id: Agent(row.agent_id, row.name, row.team) for row in listing.rows}
        agents = dict(listed) if self.settings.discover else {}
        by_zuid = {row.zuid: row.agent_id for row in listing.rows if row.zuid}
        unmatched = [zuid for zuid in self.settings.zuids if zuid not in by_zuid]
        if unmatched:
            log.warning(
                "zuids that are not on the roster are not tracked",
                extra={"fields": {"zuids": ",".join(unmatched), "rows": len(listing.rows)}},
            )
        for zuid in self.settings.zuids:
            if zuid in by_zuid:
                agents[by_zuid[zuid]] = listed[by_zuid[zuid]]
        for agent in self._named_agents():
            on_list = listed.get(agent.agent_id, agent)
            agents[agent.agent_id] = Agent(agent.agent_id, agent.name or on_list.name, agent.team or on_list.team)
        last_active = {row.agent_id: row.last_active for row in listing.rows if row.last_active is not None}
        return Roster(agents, listing.read_at, listing.rows_ignored, last_active)

    def _named_agents(self) -> Sequence[Agent]:
        in_file = {agent.agent_id for agent in self.file_agents}
        return [*self.file_agents, *(Agent(agent_id) for agent_id in self.settings.ids if agent_id not in in_file)]


class RosterKeeper:
    """Reads Zoho's roster at its own, slow rate and hands each new one on; a failure keeps the one before in force."""

    def __init__(
        self,
        choice: RosterChoice,
        read: Callable[[float], Awaitable[RosterListing]],
        use: Callable[[Roster], None],
        observer: RosterObserver,
        clock: Clock,
    ) -> None:
        """`read` takes a deadline on the monotonic clock; `use` gets each new roster."""
        self._choice = choice
        self._read = read
        self._use = use
        self._observer = observer
        self._clock = clock
        self._listing: RosterListing | None = None
        """The latest that was read."""
        self._failing: set[str] = set()
        self._nobody = False
        """Whether the latest roster names nobody."""
        self._changed = asyncio.Event()
        """Set when the choice has changed while nobody was reading."""
        self._read_soon = False
        """Whether the choice now asks of the roster what it did not ask before."""

    def use_choice(self, choice: RosterChoice) -> None:
        """Track these agents from the next poll on.

        Zoho's roster is read anew only if the choice asks more of it than before; else what was read last will do, so
        that an agent can be taken off the list also while Zoho is down. A reading that is under way goes on.
        """
        before, self._choice = self._choice, choice
        if choice == before:
            return
        asked = (choice.settings.discover, choice.settings.zuids)
        self._read_soon = asked != (before.settings.discover, before.settings.zuids)
        if not choice.needs_listing:
            self._use(choice.named(self._clock.now_ms()))
        elif self._listing is not None:
            self._hand_on(choice.from_listing(self._listing))
        self._changed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Read the roster now and at each refresh interval until `stop` is set; sooner after a failure.

        A reading that is under way then is given up. Nothing is read while all agents are named by their ids.
        """
        if not self._choice.needs_listing:
            self._use(self._choice.named(self._clock.now_ms()))
        await first_of(self._keep_reading(), stop.wait())

    async def _keep_reading(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            if not self._choice.needs_listing:
                self._changed.clear()
                await self._changed.wait()
                continue
            locked_s = await self.refresh()
            if locked_s is None:
                retry_s = _FIRST_RETRY_S
                await self._pause(0.0, _FOR_EVER_S)
            else:
                await self._pause(locked_s, retry_s)
                retry_s *= 2

    async def _pause(self, at_least_s: float, at_most_s: float) -> None:
        """Wait for the refresh interval or `at_most_s`, whichever is shorter, and as long as a lock lasts in any case.

        A change of the choice may make the wait shorter, or longer.
        """
        began = self._clock.monotonic()
        self._read_soon = False
        while self._choice.needs_listing:
            wanted_s = 0.0 if self._read_soon else min(at_most_s, self._choice.settings.refresh_interval_s)
            left_s = began + max(at_least_s, wanted_s) - self._clock.monotonic()
            self._changed.clear()
            if left_s > 0:
                await first_of(self._clock.sleep(left_s), self._changed.wait())
            if not self._changed.is_set():
                return

    async def refresh(self) -> float | None:
        """Read the roster once. None if that worked, else how many seconds a lock forbids the next try (mostly 0)."""
        try:
            allowed_s = max(_SHORTEST_DEADLINE_S, self._choice.settings.refresh_interval_s)
            listing = await self._read(self._clock.monotonic() + allowed_s)
        except ApiError as error:
            self._observer.roster_failed(error.reason)
            if error.reason not in self._failing:  # two reasons that take turns are no news each time
                fields = {"reason": error.reason, "error": str(error)}
                log.warning("the roster cannot be read; the one before stays in force", extra={"fields": fields})
            self._failing.add(error.reason)
            until_ms = error.until_ms if isinstance(error, RateLimited) else 0
            return max(0.0, (until_ms - self._clock.now_ms()) / 1000)
        self._listing = listing
        roster = self._choice.from_listing(listing)
        if self._failing:
            log.info("the roster can be read again", extra={"fields": {"agents": len(roster.agents)}})
            self._failing.clear()
        self._observer.roster_refreshed(roster)
        self._hand_on(roster)
        return None

    def _hand_on(self, roster: Roster) -> None:
        if not roster.agents and not self._nobody:
            ignored = {"users_that_are_no_agents": roster.rows_ignored}
            log.warning("the roster names no agents, so nobody is polled", extra={"fields": ignored})
        self._nobody = not roster.agents
        self._use(roster)
