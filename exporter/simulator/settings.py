"""What a simulated contact centre is made of, and how its server behaves where Zoho's documentation leaves a choice."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from exporter.errors import UsageError

MOST_AGENTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Presence:
    """When the agent at `position` (from 0) is on the roster: [joins, leaves) in ms; None: always was or will be."""

    position: int
    joins: int | None = None
    leaves: int | None = None


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """What the agents' days follow from; equal settings give equal days, on every machine. Raises UsageError."""

    seed: int = 1
    agents: int = 40
    timezone: str = "Europe/Berlin"
    """The IANA zone in which shifts are placed."""
    speed: float = 1.0
    """Simulated seconds in a real one. At 1 simulated time is the wall clock."""
    calls_per_agent_hour: float = 8.0
    """Calls that arrive for each agent at work in an hour of ordinary load. Lower it to make many agents cheaper."""
    shifts_around: int | None = None
    """An instant (ms) in the middle of the working day, all days alike; None: 08:00 to 20:00, weekends thinner."""
    presences: tuple[Presence, ...] = ()
    """Agents who join or leave the roster; all others are always on it."""
    other_users: int = 2
    """Rows of the users endpoint that are no agents: pending users, users without a telephone."""

    def __post_init__(self) -> None:
        if not 1 <= self.agents <= MOST_AGENTS:
            raise UsageError(f"the simulator cannot have {self.agents} agents: give a number from 1 to {MOST_AGENTS}")
        if not 0 < self.speed <= 100_000:
            raise UsageError(f"the simulator cannot run at speed {self.speed:g}: give a number above 0, up to 100000")
        if not 0 <= self.calls_per_agent_hour <= 60:
            raise UsageError(f"{self.calls_per_agent_hour:g} calls per agent and hour make no sense: give 0 to 60")
        if not 0 <= self.other_users <= 1_000:
            raise UsageError(f"the simulator cannot have {self.other_users} users that are no agents: give 0 to 1000")
        for presence in self.presences:
            if not 0 <= presence.position < self.agents:
                raise UsageError(f"there is no agent at position {presence.position}: positions go from 0 to "
                                 f"{self.agents - 1}")  # fmt: skip


class Unseen(Enum):
    """What a supervisor's token gets for an agent whom it does not supervise; no page says which it is."""

    ERROR_ROW = "error"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class RateLock:
    """More than `limit` requests to one URL within `window_s` lock it for `lock_s` (N-CALLS, stated for call logs)."""

    limit: int = 30
    window_s: float = 60.0
    lock_s: float = 600.0
    shape: str = "throttle-400"
    """How a locked URL answers: the name of one of the throttle faults."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server behaves where the documentation leaves a choice."""

    token_lifetime_s: float = 3600.0
    """Of access tokens, in real seconds whatever the simulation's speed."""
    tokens_per_window: int = 10
    """Access tokens per refresh token in `token_window_s` (kaizen-43)."""
    token_window_s: float = 600.0
    unseen: Unseen = Unseen.ERROR_ROW
    override_error_envelope: bool = False
    """True: an override that any agent refused answers ERROR with rows, as N-PUTM; False: SUCCESS, as SEED."""
    application_error_status: int = 200
    """The HTTP status of error envelopes such as "Invalid agent."; documented nowhere."""
    longest_url: int = 8_192
    """Bytes of path and query; a longer one is answered with 414."""
    rate_lock: RateLock | None = None


DEFAULT_SERVER: Final = ServerSettings()
