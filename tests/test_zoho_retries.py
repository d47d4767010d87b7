"""Trying again: which error is left when there is no time for another attempt."""

import asyncio
from random import Random

import pytest

from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import ApiError, RequestTimeout, ServerError
from exporter.zoho.retries import with_retries
from tests.support.clock import FakeClock

FAILED = ServerError("failed", Endpoint.STATUSES)
TIMED_OUT = RequestTimeout("timed out", Endpoint.STATUSES)


def tried(*attempts: tuple[float, ApiError], deadline_s: float) -> None:
    """Try attempts that each take so many seconds and fail with that error; waits between them pass too."""
    clock = FakeClock()
    left = iter(attempts)

    async def attempt() -> None:
        seconds, error = next(left)
        clock.pass_time(seconds)
        raise error

    asyncio.run(with_retries(attempt, clock=clock, deadline=clock.monotonic() + deadline_s, random=Random(1)))


def test_an_attempt_that_the_deadline_cuts_off_does_not_hide_why_the_one_before_it_failed() -> None:
    with pytest.raises(ServerError):
        tried((1, FAILED), (9, TIMED_OUT), deadline_s=10)


def test_an_attempt_that_had_its_time_says_why_it_failed() -> None:
    with pytest.raises(RequestTimeout):
        tried((1, FAILED), (5, TIMED_OUT), (1, TIMED_OUT), deadline_s=10)


def test_a_first_attempt_that_the_deadline_cuts_off_timed_out() -> None:
    with pytest.raises(RequestTimeout):
        tried((10, TIMED_OUT), deadline_s=10)
