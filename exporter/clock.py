"""Time, passed in so that tests decide what time it is."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The two clocks of a machine and the wait between two instants."""

    def now_ms(self) -> int:
        """The wall clock: milliseconds since 1970-01-01 UTC. It may step in either direction."""
        ...

    def monotonic(self) -> float:
        """Seconds since some instant; never steps, so every duration and every deadline is taken from it."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less yields to the event loop once."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
