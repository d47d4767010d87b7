"""`rate_limit` of the web configuration file: a token bucket before all answers.

The rules are those of golang.org/x/time/rate.
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.config.model import RateLimit
from exporter.web.refusals import NO_STORE, refusal

_NS_PER_S: Final = 1_000_000_000


class TokenBucket:
    """Holds up to `burst` tokens, as many at the start, and gets one more each `interval_s`; a request takes one.

    Times are whole nanoseconds of a clock that never steps. An interval of zero or less limits nothing, as in Go's
    rate.Every; without a burst there is never a token.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._interval_ns = round(limit.interval_s * _NS_PER_S)
        self._burst = limit.burst
        self._full_at_ns: int | None = None

    def take(self, now_ns: int) -> bool:
        """Take a token if there is one."""
        if self._interval_ns <= 0:
            return True
        if self.wait_ns(now_ns) != 0:
            return False
        self._full_at_ns = self._interval_ns + (now_ns if self._full_at_ns is None else max(now_ns, self._full_at_ns))
        return True

    def wait_ns(self, now_ns: int) -> int | None:
        """How long it is until there is a token; None: for ever."""
        if self._interval_ns <= 0 or (self._full_at_ns is None and self._burst >= 1):
            return 0
        if self._burst < 1 or self._full_at_ns is None:
            return None
        # What is missing is counted as the time until the bucket is full: in whole numbers nothing is rounded away.
        return max(0, self._full_at_ns - now_ns - (self._burst - 1) * self._interval_ns)


class RateLimited:
    """`app`, whose requests take tokens; 429 without one."""

    def __init__(self, app: ASGIApp, bucket: Callable[[], TokenBucket | None], now_ns: Callable[[], int]) -> None:
        """`bucket`: the one in force, None if nothing is limited. `now_ns`: a clock that never steps."""
        self._app = app
        self._bucket = bucket
        self._now_ns = now_ns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        bucket = None if scope["type"] == "lifespan" else self._bucket()
        if bucket is None or bucket.take(now_ns := self._now_ns()):
            await self._app(scope, receive, send)
            return
        headers = dict(NO_STORE)
        wait_ns = bucket.wait_ns(now_ns)
        if wait_ns is not None:
            headers["retry-after"] = str(-(-wait_ns // _NS_PER_S))
        sentence = "Too many requests: the web configuration file sets a rate_limit."
        await refusal(scope["path"], 429, sentence, headers)(scope, receive, send)
