"""How the polls go, as values for people to read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that failed, for people to read; instants in milliseconds UTC."""

    what: str
    reason: str
    first: int
    last: int
    times: int
    """How often it failed for this reason without anything else failing in between."""


@dataclass(frozen=True, slots=True)
class Polling:
    """How the polls go, for people to read; instants in milliseconds UTC, None if it has not happened yet."""

    last: int | None = None
    last_success: int | None = None
    up: bool = False
    """Whether the whole of the last poll worked."""
    failing_since: int | None = None
    """When the first of the polls ended that have failed since the last good one."""
    interval_s: float = 0.0
    """Seconds between the beginnings of two polls, as it is now."""
    agents: int | None = None
    """Agents tracked as of the last good poll."""
    failures: tuple[Failure, ...] = ()
    """The latest ones, the newest first."""
