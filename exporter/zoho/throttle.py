"""Throttles: recognising Zoho's, staying below them, and the arithmetic of how often a poll fits.

Zoho documents 30 calls a minute per URL, then a lock of ten minutes, for call logs (N-CALLS); the same is assumed for
every URL. What a lock looks like on the wire is known from other Zoho services only, so every shape is recognised.
"""

import math
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Requests:
    """The requests to one URL that count: how many are under way, and when the others ended, the earliest first."""

    under_way: int = 0
    ended: deque[float] = field(default_factory=deque)


class Budget:
    """Lets requests pass so that in no minute more than the maximum reach one URL, retries included.

    A request may reach Zoho at any moment between its beginning and its end. So it counts from its beginning until a
    minute after its end: counted from the beginning alone, a slow one and a quick one a minute later could arrive
    within the same minute. Times are those of `clock.monotonic()`.
    """

    def __init__(self, clock: Clock, max_per_minute: int) -> None:
        self._clock = clock
        self._max = max_per_minute
        self._urls: dict[str, _Requests] = {}

    @asynccontextmanager
    async def request(self, endpoint: Endpoint, deadline: float) -> AsyncIterator[None]:
        """Wait until one more request to the endpoint's URL is within the limit; make it inside the context.

        Raises BudgetSpent at once when that is not before `deadline`.
        """
        url = self._url(endpoint)
        await self._wait_for(url, endpoint, 1, deadline)
        url.under_way += 1
        try:
            yield
        finally:
            url.under_way -= 1
            url.ended.append(self._clock.monotonic())

    async def room(self, endpoint: Endpoint, requests: int, deadline: float) -> None:
        """Wait until so many requests to the endpoint's URL (but at most the maximum) can be made without waiting.

        Raises BudgetSpent at once when that is not before `deadline`.
        """
        await self._wait_for(self._url(endpoint), endpoint, min(requests, self._max), deadline)

    def preload(self, endpoint: Endpoint, count: int, age_s: float) -> None:
        """Count `count` requests that ended `age_s` seconds ago, made by a process before this one."""
        url = self._url(endpoint)
        url.ended = deque(sorted([*url.ended, *[self._clock.monotonic() - age_s] * count]))

    def _url(self, endpoint: Endpoint) -> "_Requests":
        return self._urls.setdefault(endpoint.path, _Requests())

    async def _wait_for(self, url: "_Requests", endpoint: Endpoint, places: int, deadline: float) -> None:
        while True:
            now = self._clock.monotonic()
            while url.ended and url.ended[0] <= now - WINDOW_S:
                url.ended.popleft()
            missing = places - (self._max - url.under_way - len(url.ended))
            if missing <= 0:
                return
            # What is under way cannot make room earlier than a minute from now.
            free_at = (url.ended[missing - 1] if missing <= len(url.ended) else now) + WINDOW_S
            if free_at >= deadline:
                raise self._spent(endpoint, free_at - now)
            # Rounding must not leave a wait too short to pass.
            await self._clock.sleep(max(free_at - now, 0.001))

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
