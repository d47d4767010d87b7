"""How the polls go, as values for people to read."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

_KEPT: Final = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that failed, for people to read; instants in milliseconds UTC."""

    what: str
    reason: str
    first: int
    last: int
    times: int
    """How often it failed for this reason without anything else failing in between."""


class Failures:
    """The latest ones; one that repeats itself takes one place."""

    def __init__(self) -> None:
        self._kept: deque[Failure] = deque(maxlen=_KEPT)

    def note(self, what: str, reason: str, at_ms: int) -> None:
        """Remember a failure."""
        newest = self._kept[0] if self._kept else None
        if newest is not None and (newest.what, newest.reason) == (what, reason):
            self._kept[0] = replace(newest, last=at_ms, times=newest.times + 1)
        else:
            self._kept.appendleft(Failure(what, reason, at_ms, at_ms, 1))

    @property
    def latest(self) -> tuple[Failure, ...]:
        """The newest first."""
        return tuple(self._kept)


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
