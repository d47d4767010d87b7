"""Time, passed in so that tests decide what time it is.

asyncio is loaded by who waits: commands that only ask for the time start 20 ms sooner without it.
"""

import time
from collections.abc import Coroutine
from datetime import UTC, datetime
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
        import asyncio

        await asyncio.sleep(max(0.0, seconds))


def utc_text(instant_ms: int) -> str:
    """The instant as RFC 3339 in UTC with milliseconds, as the log writes it: `2026-11-22T14:10:00.250Z`."""
    seconds, milliseconds = divmod(instant_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{milliseconds:03d}Z"


async def first_of(*waits: Coroutine[object, object, object]) -> None:
    """Run `waits` side by side until one of them ends, then cancel the others: how a sleep or a poll ends at shutdown.

    Raises what one of them raised, once all have ended.
    """
    import asyncio

    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
