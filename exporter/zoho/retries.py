"""Trying again what may well succeed moments later, within the caller's own deadline."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

from exporter.clock import Clock
from exporter.zoho.errors import ApiError, BudgetSpent, RequestTimeout

MOST_TRIES: Final = 3

_FIRST_WAIT_S: Final = 0.5
_NO_TIME_LEFT_S: Final = 0.001
"""Timers may go off that much early."""

T = TypeVar("T")


async def with_retries(attempt: Callable[[], Awaitable[T]], *, clock: Clock, deadline: float, random: Random) -> T:
    """The value of `attempt`, tried at most three times with a wait of about half a second, then a second, between.

    Raises the last ApiError of an attempt: one that is not retryable at once, and any when the wait, or our own limit
    of requests, would go past `deadline` (monotonic). An attempt that only the deadline has cut off says nothing: then
    the error before it is raised.
    """
    tries = 0
    last: ApiError | None = None
    while True:
        tries += 1
        try:
            return await attempt()
        except BudgetSpent as spent:
            if last is None:
                raise
            raise last from spent
        except ApiError as error:
            if last is not None and isinstance(error, RequestTimeout) and _is_over(deadline, clock):
                raise last from error
            wait = random.uniform(0.5, 1.5) * _FIRST_WAIT_S * 2 ** (tries - 1)
            if not error.retryable or tries == MOST_TRIES or clock.monotonic() + wait >= deadline:
                raise
            last = error
        await clock.sleep(wait)


def _is_over(deadline: float, clock: Clock) -> bool:
    return clock.monotonic() >= deadline - _NO_TIME_LEFT_S
