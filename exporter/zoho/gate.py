"""What each request to Zoho Voice passes before it is made: the lock of its URL, and the budget of requests."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.clock import Clock
from exporter.zoho.endpoints import Endpoint, Origins
from exporter.zoho.errors import RateLimited
from exporter.zoho.memory import Memory
from exporter.zoho.observer import ApiObserver
from exporter.zoho.throttle import Budget

_log = logging.getLogger(__name__)


class Gate:
    """Shut for a URL while Zoho throttles it; calls during a lock may lengthen it."""

    def __init__(self, memory: Memory, budget: Budget, origins: Origins, clock: Clock, observer: ApiObserver) -> None:
        self._memory = memory
        self._budget = budget
        self._origins = origins
        self._clock = clock
        self._observer = observer

    @asynccontextmanager
    async def request(self, endpoint: Endpoint, deadline: float) -> AsyncIterator[None]:
        """Wait until a request may be made, and make it inside. Raises RateLimited at once when none may in time."""
        self.check(endpoint)
        async with self._budget.request(endpoint, deadline):
            self.check(endpoint)  # it may have been shut meanwhile
            yield

    async def room(self, endpoint: Endpoint, requests: int, deadline: float) -> None:
        """Wait until so many requests can follow each other without waiting. Raises RateLimited as `request` does."""
        self.check(endpoint)
        await self._budget.room(endpoint, requests, deadline)

    def check(self, endpoint: Endpoint) -> None:
        """Raises RateLimited while the endpoint's URL is locked."""
        now = self._clock.now_ms()
        until = self._memory.locked_until(self._origins.url(endpoint), now)
        if until is not None:
            raise _locked(endpoint, until, now)

    def shut(self, endpoint: Endpoint, seconds: float) -> RateLimited:
        """Lock the endpoint's URL for `seconds`, over restarts too; the error says so."""
        now = self._clock.now_ms()
        until = now + round(seconds * 1_000)
        self._memory.lock(self._origins.url(endpoint), until, now)
        self._observer.rate_limited(endpoint, until)
        _log.warning(
            "Zoho throttles: the URL is left alone",
            extra={"fields": {"endpoint": endpoint.value, "seconds": round(seconds)}},
        )
        return _locked(endpoint, until, now)


def _locked(endpoint: Endpoint, until: int, now: int) -> RateLimited:
    return RateLimited(
        f"{endpoint.purpose}: Zoho throttles, so no request is made for {-(-(until - now) // 1_000)} s; "
        "if it comes again, lower --api.max-requests-per-minute or poll less often",
        endpoint,
        until,
    )
