"""How long a good poll is shown, also when its age is changed meanwhile."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.freshness import Freshness
from tests.support.clock import FakeClock


def fresh(max_age_s: float) -> tuple[Freshness, FakeClock]:
    clock = FakeClock(monotonic=1_000.0)
    return Freshness(clock, max_age_s), clock


def test_without_a_good_poll_there_is_no_end() -> None:
    freshness, _ = fresh(90)
    freshness.allow(30)
    assert freshness.until is None


def test_a_good_poll_is_shown_as_long_as_it_may_be_old() -> None:
    freshness, clock = fresh(90)
    freshness.renew()
    assert freshness.until == 1_090
    clock.pass_time(30)
    freshness.renew()
    assert freshness.until == 1_120


def test_a_longer_age_counts_from_the_poll_and_a_shorter_one_from_now_on() -> None:
    freshness, clock = fresh(90)
    freshness.renew()
    clock.pass_time(50)
    freshness.allow(200)
    assert freshness.until == 1_200
    freshness.allow(20)
    assert freshness.until == 1_070, "20 seconds from now on, and not over since 30 seconds"
    clock.pass_time(10)
    freshness.renew()
    assert freshness.until == 1_080


@given(st.lists(st.integers(min_value=1, max_value=500), min_size=1))
def test_changes_to_and_fro_add_no_time(ages: list[int]) -> None:
    freshness, _ = fresh(90)
    freshness.renew()
    for age in ages:
        freshness.allow(age)
    assert freshness.until == 1_000 + ages[-1]
