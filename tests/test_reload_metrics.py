"""What a reload does to the metrics: the pair that tells of it, the interval, and how long a good poll is shown."""

from exporter.model import AVAILABLE
from exporter.settings import PollSettings
from tests.support.metrics import START, Polled

GOOD = "zohovoice_exporter_config_last_reload_successful"
AT = "zohovoice_exporter_config_last_reload_success_timestamp_seconds"


def test_the_start_counts_as_a_good_one() -> None:
    polled = Polled()
    assert (polled.value(GOOD), polled.value(AT)) == (1, START / 1000)


def test_a_bad_one_leaves_the_time_of_the_last_good_one() -> None:
    polled = Polled()
    polled.clock.pass_time(60)
    polled.instruments.config_loaded(successful=False)
    polled.publish()
    assert (polled.value(GOOD), polled.value(AT)) == (0, START / 1000)
    polled.instruments.config_loaded(successful=True)
    polled.publish()
    assert (polled.value(GOOD), polled.value(AT)) == (1, START / 1000 + 60)


def fresh_for(polled: Polled) -> float:
    """How many seconds more the agents are shown."""
    until = polled.instruments.exposition.fresh_until
    assert until is not None
    return until - polled.clock.monotonic()


def reload(polled: Polled, poll: PollSettings, interval_s: float | None = None) -> None:
    polled.instruments.use_poll(poll)
    polled.instruments.interval(interval_s or poll.interval_s)
    polled.publish()


def test_a_longer_age_counts_from_the_last_good_poll_which_may_come_back_by_it() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})  # and 30 s pass
    assert fresh_for(polled) == 60
    reload(polled, PollSettings(60.0, 180.0))
    assert fresh_for(polled) == 150
    assert polled.value("zohovoice_poll_interval_seconds") == 60
    polled.clock.pass_time(200)
    assert polled.value("zohovoice_up") == 0
    reload(polled, PollSettings(60.0, 300.0))
    assert fresh_for(polled) == 70
    assert polled.value("zohovoice_up") == 1


def test_a_shorter_age_counts_from_now_but_never_lengthens_the_one_before() -> None:
    polled = Polled()
    reload(polled, PollSettings(300.0, 900.0))
    polled.poll({"1": AVAILABLE})
    polled.clock.pass_time(170)  # the poll was 200 s ago
    reload(polled, PollSettings(10.0, 30.0))
    assert fresh_for(polled) == 30, "a poll will be made at once: until it ends, nobody goes away"
    polled.clock.pass_time(25)
    reload(polled, PollSettings(9.0, 27.0))
    assert fresh_for(polled) == 5


def test_an_age_that_changes_alone_holds_also_where_the_interval_is_lengthened() -> None:
    polled = Polled()
    reload(polled, PollSettings(10.0, 30.0), interval_s=40.0)
    polled.poll({"1": AVAILABLE})
    assert fresh_for(polled) == 4 * 30 - 30
    reload(polled, PollSettings(10.0, 50.0), interval_s=40.0)
    assert fresh_for(polled) == 4 * 50 - 30


def test_an_age_that_goes_to_and_fro_adds_no_time() -> None:
    polled = Polled()
    reload(polled, PollSettings(30.0, 90.0))
    polled.poll({"1": AVAILABLE})  # and 30 s pass
    for _ in range(3):
        reload(polled, PollSettings(3.0, 9.0))
        assert fresh_for(polled) == 9
        reload(polled, PollSettings(30.0, 90.0))
        assert fresh_for(polled) == 60, "90 s after the last good poll"
