"""Zoho's lock: more than 30 requests to a URL within a minute close it for ten minutes (N-CALLS)."""

from collections import deque
from dataclasses import dataclass, field
from math import ceil, inf

from exporter.clock import Clock
from exporter.simulator.replies import Reply, throttled
from exporter.simulator.settings import RateLock


@dataclass(slots=True)
class _Url:
    requests: deque[float] = field(default_factory=deque)
    locked_until: float = -inf


class UrlLocks:
    """The state of each URL. A URL is a path: methods and parameters share its budget, which is the strict reading."""

    def __init__(self, rule: RateLock | None, clock: Clock) -> None:
        self._rule = rule
        self._clock = clock
        self._urls: dict[str, _Url] = {}

    def refusal(self, path: str) -> Reply | None:
        """Counts a request to a path; a reply if it is not to be served. Those to a locked URL do not count."""
        rule = self._rule
        if rule is None:
            return None
        url, now = self._urls.setdefault(path, _Url()), self._clock.monotonic()
        if now >= url.locked_until:
            while url.requests and url.requests[0] <= now - rule.window_s:
                url.requests.popleft()
            url.requests.append(now)
            if len(url.requests) <= rule.limit:
                return None
            url.locked_until = now + rule.lock_s
            url.requests.clear()
        return throttled(rule.shape, ceil(url.locked_until - now))
