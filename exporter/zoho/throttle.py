"""Throttles: recognising Zoho's, staying below them, and the arithmetic of how often a poll fits.

Zoho documents 30 calls a minute per URL, then a lock of ten minutes, for call logs (N-CALLS); the same is assumed for
every URL. What a lock looks like on the wire is known from other Zoho services only, so every shape is recognised.
"""

import bisect
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from exporter.clock import Clock
from exporter.settings import ApiSettings
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import BudgetSpent

LOCK_S: Final = 600.0
"""How long a URL is left alone when the throttle does not say for how long."""
LONGEST_LOCK_S: Final = 86_400.0
WINDOW_S: Final = 60.0

_SHORTEST_LOCK_S: Final = 1.0
_MARKS: Final = ("THROTTL", "REQUEST_LIMIT_EXCEEDED", "TOO_MANY_REQUESTS", "RATE_LIMIT")
_STATED: Final = re.compile(r"again\s+(?:after|in)\s+([0-9]{1,9})\s*(second|minute|hour)", re.IGNORECASE)
_UNIT_S: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0}
_SECONDS: Final = re.compile(r"\s*[0-9]{1,30}(?:\.[0-9]{1,9})?\s*")


def throttle_seconds(status: int, headers: Mapping[str, str], body: object, now_ms: int) -> float | None:
    """For how many seconds to leave the URL alone, or None when the answer is no throttle.

    A throttle is HTTP 429, or any status with a body that carries one of the known codes. The time is that of
    `Retry-After` (seconds or date, RFC 9110 10.2.3), else the one that the message states, else ten minutes; at least
    a second and at most a day, because it comes from outside. `headers` has lower-case names.
    """
    words = list(texts(body))
    if status != 429 and not any(mark in _folded(word) for word in words for mark in _MARKS if len(word) <= 100):
        return None
    return lock_seconds(headers, body, now_ms)


def lock_seconds(headers: Mapping[str, str], body: object, now_ms: int) -> float:
    """How long a throttle that was recognised lasts; see `throttle_seconds`."""
    stated = _retry_after(headers, now_ms)
    if stated is None:
        stated = next((found for text in texts(body) if (found := _stated(text)) is not None), LOCK_S)
    return min(max(stated, _SHORTEST_LOCK_S), LONGEST_LOCK_S)


def texts(body: object) -> Iterator[str]:
    """The texts of an error body in the places where Zoho's services put codes and messages, numbers as text."""
    for part in _parts(body):
        for key in ("code", "title", "errorCode", "error_code", "error_type", "error", "message", "error_description"):
            value = part.get(key)
            if isinstance(value, str):
                yield value
            elif isinstance(value, int) and not isinstance(value, bool):
                yield str(value)


def _parts(body: object, depth: int = 0) -> Iterator[dict[str, object]]:
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, dict) or depth > 3:
        return
    yield body
    for key in ("error", "errors", "data", "response", "details"):
        yield from _parts(body.get(key), depth + 1)


def _folded(word: str) -> str:
    return word.upper().replace(" ", "_").replace("-", "_")


def _stated(text: str) -> float | None:
    match = _STATED.search(text[:1_000])
    return float(match[1]) * _UNIT_S[match[2].casefold()] if match else None


def _retry_after(headers: Mapping[str, str], now_ms: int) -> float | None:
    text = headers.get("retry-after")
    if text is None:
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    until = _instant_s(text)
    if until is None:
        return None
    # Against the server's own clock where it tells it: ours may be wrong.
    server = _instant_s(headers.get("date", ""))
    seconds = until - (server if server is not None else now_ms / 1_000)
    return seconds if seconds >= 0 else None


def _instant_s(text: str) -> float | None:
    try:
        instant = parsedate_to_datetime(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class Budget:
    """Grants requests so that in no minute more than the maximum go to one URL, retries included.

    Times are those of `clock.monotonic()`; a grant may lie in the future, then the caller is made to wait for it.
    """

    def __init__(self, clock: Clock, max_per_minute: int) -> None:
        self._clock = clock
        self._max = max_per_minute
        self._grants: dict[str, list[float]] = {}

    async def acquire(self, endpoint: Endpoint, deadline: float) -> None:
        """Wait until one more request to the endpoint's URL is within the limit.

        Raises BudgetSpent at once when that is not before `deadline`. Cancelling gives the grant back.
        """
        now = self._clock.monotonic()
        grants = self._recent(endpoint, now)
        slot = now if len(grants) < self._max else max(now, grants[-self._max] + WINDOW_S)
        if slot > now and slot >= deadline:
            raise self._spent(endpoint, slot - now)
        bisect.insort(grants, slot)
        # A sleep may end a little early by the clock that is promised to.
        try:
            while (wait := slot - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
        except BaseException:
            grants.remove(slot)
            raise

    def preload(self, endpoint: Endpoint, count: int, age_s: float) -> None:
        """Count `count` requests that were made `age_s` seconds ago, by a process before this one."""
        now = self._clock.monotonic()
        grants = self._recent(endpoint, now)
        place = bisect.bisect(grants, now - age_s)
        grants[place:place] = [now - age_s] * count

    def _recent(self, endpoint: Endpoint, now: float) -> list[float]:
        # Dropped by age and not by number: a grant that is given back must not uncover a gap behind it.
        grants = self._grants.setdefault(endpoint.path, [])
        del grants[: bisect.bisect(grants, now - WINDOW_S)]
        return grants

    def _spent(self, endpoint: Endpoint, wait_s: float) -> BudgetSpent:
        return BudgetSpent(
            f"{endpoint.purpose}: the limit of {self._max} requests a minute leaves no room for "
            f"{wait_s:.0f} s; raise --api.max-requests-per-minute or poll less often",
            endpoint,
            self._clock.now_ms() + math.ceil(wait_s * 1_000),
        )


def requests_per_poll(agents: int, settings: ApiSettings) -> int:
    """How many requests one poll of so many agents takes when none has to be repeated."""
    return -(-agents // settings.agents_per_request)


def lengthened_interval_s(agents: int, settings: ApiSettings, interval_s: float) -> float:
    """The shortest interval, at least `interval_s`, at which polls stay within the requests a minute.

    Counted in whole polls: a poll sends its requests in one burst, so in any minute there are as many requests as
    whole polls begin in it. (By the average, 16 requests at 30 a minute would fit every 32 s, but two such polls lie
    within a minute and are 32 requests: every poll would be held up for half a minute in its middle.)
    A poll that needs more requests than a minute allows takes whole minutes.
    """
    requests = requests_per_poll(agents, settings)
    limit = settings.max_requests_per_minute
    if requests == 0:
        return interval_s
    if requests <= limit:
        return max(interval_s, WINDOW_S / (limit // requests))
    return max(interval_s, WINDOW_S * -(-requests // limit))
