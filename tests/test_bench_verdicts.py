"""What `make bench` says at the end."""

from tests.benchmarks.verdicts import Verdicts


def test_goals_that_were_met_leave_nothing_to_list() -> None:
    verdicts = Verdicts()
    assert verdicts.goal(True, "at most 1.5", "a poll") == "met: at most 1.5"
    assert verdicts.equal(True, "bodies parsed back") == "bodies parsed back equal"
    assert verdicts.missed == []
    assert verdicts.summary() == "All goals were met."


def test_what_was_missed_is_listed_at_the_end_with_what_was_measured() -> None:
    verdicts = Verdicts()
    assert verdicts.goal(False, "at most 1.5", "a poll") == "MISSED: at most 1.5"
    assert verdicts.equal(False, "bodies parsed back") == "bodies parsed back UNEQUAL"
    assert verdicts.goal(True, "under 150 MB") == "met: under 150 MB"
    assert verdicts.summary() == "2 missed:\n  a poll: at most 1.5\n  bodies parsed back: UNEQUAL"
