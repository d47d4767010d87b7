"""The whole roster, from pages that may shift while they are read."""

from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Final

from exporter.clock import Clock
from exporter.zoho.client import PAGE_SIZE, VoiceClient
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import RosterIncomplete
from exporter.zoho.retries import with_retries
from exporter.zoho.rows import RosterRow, UserRow, UsersPage

_MOST_READINGS: Final = 3


@dataclass(frozen=True, slots=True)
class RosterListing:
    """Everyone who was an agent at `read_at` (wall clock, UTC milliseconds), and how many users are none."""

    rows: tuple[RosterRow, ...]
    rows_ignored: int
    read_at: int


async def read_roster(
    client: VoiceClient, deadline: float, clock: Clock, *, random: Random | None = None
) -> RosterListing:
    """The roster, when its pages add up: as many users as each page says there are in all.

    Somebody who joins or leaves between two pages shifts the rest, so that a user may be missed; then it is read
    again, at most three times in all. Raises RosterIncomplete, or the ApiError of a page that fails for good.
    """
    chance = random or SystemRandom()
    for _ in range(_MOST_READINGS):
        users = await _read_once(client, deadline, clock, chance)
        if users is not None:
            agents = {user.agent.agent_id: user.agent for user in users if user.agent is not None}
            ignored = sum(user.agent is None for user in users)
            return RosterListing(tuple(agents.values()), ignored, clock.now_ms())
    raise RosterIncomplete(
        f"{Endpoint.USERS.purpose}: the pages do not add up to the number of users that Zoho states, "
        f"also when read {_MOST_READINGS} times; the roster before it stays in use",
        Endpoint.USERS,
    )


async def _read_once(client: VoiceClient, deadline: float, clock: Clock, random: Random) -> list[UserRow] | None:
    """All users, each once, or None when the pages do not add up."""
    users: dict[str, UserRow] = {}
    totals: set[int | None] = set()
    start = 0
    while True:

        async def ask(start: int = start) -> UsersPage:
            return await client.users_page(start, PAGE_SIZE, deadline)

        page = await with_retries(ask, clock=clock, deadline=deadline, random=random)
        totals.add(page.total)
        known = len(users)
        for row in page.rows:
            users.setdefault(row.key, row)
        start += len(page.rows)
        if _is_last(page, len(users), brought=len(users) - known):
            return list(users.values()) if _adds_up(totals, len(users)) else None


def _is_last(page: UsersPage, users: int, brought: int) -> bool:
    # Without new users there is no end in sight: a server that ignores `from` sends the first page for ever.
    if not brought:
        return True
    return len(page.rows) < PAGE_SIZE if page.total is None else users >= page.total


def _adds_up(totals: set[int | None], users: int) -> bool:
    # Nobody at all is never believed, for the token's own user is one: everybody's tracking would end on it.
    return users > 0 and totals in ({users}, {None})
