"""Trying again what may well succeed moments later, within the caller's own deadline."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

from exporter.clock import Clock
from exporter.zoho.errors import ApiError, BudgetSpent

MOST_TRIES: Final = 3

_FIRST_WAIT_S: Final = 0.5

T = TypeVar("T")


async def with_retries(attempt: Callable[[], Awaitable[T]], *, clock: Clock, deadline: float, random: Random) -> T:
    """The value of `attempt`, tried at most three times with a wait of about half a second, then a second, between.

    Raises the last ApiError of an attempt: one that is not retryable at once, and any when the wait, or our own limit
    of requests, would go past `deadline` (monotonic).
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
            wait = random.uniform(0.5, 1.5) * _FIRST_WAIT_S * 2 ** (tries - 1)
            if not error.retryable or tries == MOST_TRIES or clock.monotonic() + wait >= deadline:
                raise
            last = error
        await clock.sleep(wait)
