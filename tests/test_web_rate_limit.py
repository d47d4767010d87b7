"""`rate_limit` of the web configuration file, by the rules of golang.org/x/time/rate."""

import asyncio
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from exporter.web.config.model import RateLimit, WebConfig
from exporter.web.protection.rate import RateLimited, TokenBucket
from exporter.web.protection.security import WebSecurity
from tests.support.asgi import ask, says
from tests.support.web import Running, with_server

S = 1_000_000_000


def test_as_many_as_the_burst_may_come_at_once_and_then_one_each_interval() -> None:
    bucket = TokenBucket(RateLimit(interval_s=2, burst=3))
    assert [bucket.take(7 * S) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(9 * S - 1)  # two seconds after the first was taken, but for a nanosecond
    assert bucket.take(9 * S)
    assert not bucket.take(9 * S)
    assert [bucket.take(100 * S) for _ in range(4)] == [True, True, True, False]  # full again, and no fuller


def test_what_is_refused_costs_no_token() -> None:
    bucket = TokenBucket(RateLimit(interval_s=1, burst=1))
    assert bucket.take(0)
    assert [bucket.take(tenth * S // 10) for tenth in range(1, 11)] == [False] * 9 + [True]


@pytest.mark.parametrize("burst", [0, -1])
def test_without_a_burst_there_is_never_a_token(burst: int) -> None:
    bucket = TokenBucket(RateLimit(interval_s=1, burst=burst))
    assert not any(bucket.take(second * S) for second in range(100))
    assert bucket.wait_ns(0) is None


def test_a_negative_interval_limits_nothing_even_without_a_burst() -> None:
    bucket = TokenBucket(RateLimit(interval_s=-1, burst=0))
    assert all(bucket.take(0) for _ in range(100))


def test_how_long_the_next_token_takes_is_known() -> None:
    bucket = TokenBucket(RateLimit(interval_s=2, burst=2))
    assert bucket.wait_ns(0) == 0
    assert bucket.take(0)
    assert bucket.take(S)
    # One token is taken at 0 and is back at 2, the other is back at 4.
    assert [bucket.wait_ns(now) for now in (S, 2 * S, 3 * S)] == [S, 0, 0]


class Drops:
    """A bucket by brute force: looks at every nanosecond. Fills up one drop each; a token is `interval` drops."""

    def __init__(self, interval: int, burst: int) -> None:
        self._interval, self._most = interval, interval * burst
        self._drops, self._now = self._most, 0

    def take(self, now: int) -> bool:
        while self._now < now:
            self._now += 1
            self._drops = min(self._most, self._drops + 1)
        if self._drops < self._interval:
            return False
        self._drops -= self._interval
        return True


@given(st.integers(1, 12), st.integers(0, 4), st.lists(st.integers(0, 30), max_size=40))
def test_it_lets_the_same_requests_through_as_a_bucket_filled_drop_by_drop(
    interval: int, burst: int, pauses: list[int]
) -> None:
    bucket, drops, now = TokenBucket(RateLimit(interval / S, burst)), Drops(interval, burst), 0
    for pause in pauses:
        now += pause
        wait = bucket.wait_ns(now)
        taken = bucket.take(now)
        assert taken == drops.take(now)
        assert (wait == 0) == taken


def test_a_request_without_a_token_gets_a_429_that_says_when_to_come_again() -> None:
    async def run() -> None:
        bucket = TokenBucket(RateLimit(interval_s=2.5, burst=1))
        app = RateLimited(says("here"), lambda: bucket, lambda: 0)
        assert (await ask(app)).status == 200
        refused = await ask(app)
        assert refused.status == 429
        assert refused.headers["retry-after"] == "3"  # whole seconds, not too early
        assert refused.headers["content-type"] == "text/plain; charset=utf-8"
        assert refused.text == "Too many requests: the web configuration file sets a rate_limit.\n"

    asyncio.run(run())


def test_a_bucket_that_never_fills_promises_no_time() -> None:
    async def run() -> None:
        bucket = TokenBucket(RateLimit(interval_s=1, burst=0))
        refused = await ask(RateLimited(says("here"), lambda: bucket, lambda: 0))
        assert refused.status == 429
        assert "retry-after" not in refused.headers

    asyncio.run(run())


def test_every_path_takes_from_the_same_bucket_and_refusals_are_counted() -> None:
    config = WebConfig(rate_limit=RateLimit(interval_s=3600, burst=3))

    async def test(server: Running) -> None:
        paths = ("/-/healthy", "/metrics", "/no/such/page", "/metrics")
        assert [(await server.get(path)).status_code for path in paths] == [200, 200, 404, 429]
        server.polled.clock.pass_time(1)
        counted = server.polled.by("code", "zohovoice_exporter_http_requests_total", handler="metrics")
        assert (counted["200"], counted["429"]) == (1, 1)

    with_server(test, security=WebSecurity(None, config))


def test_a_change_of_something_else_does_not_fill_the_bucket() -> None:
    config = WebConfig(rate_limit=RateLimit(interval_s=3600, burst=1))
    configs = [replace(config, headers=(("X-XSS-Protection", "0"),)), replace(config, rate_limit=RateLimit(3600, 2))]

    async def run() -> None:
        security = WebSecurity(Path("web.yml"), config, lambda _: configs.pop(0))
        app = security.protect(says("here"))
        assert [(await ask(app)).status for _ in range(2)] == [200, 429]
        assert security.reread()
        assert (await ask(app)).status == 429
        assert security.reread()
        assert [(await ask(app)).status for _ in range(3)] == [200, 200, 429]

    asyncio.run(run())
