"""The tracker: what one complete poll adds. Instants are small numbers of milliseconds, worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import (
    ABSENT,
    AVAILABLE,
    BUSY,
    ERROR,
    KNOWN_STATUSES,
    OFFLINE,
    Agent,
    EndReason,
    Poll,
    PollFacts,
    Status,
    Stretch,
    Tracked,
    TrackerState,
    Transition,
)
from exporter.tracker import NOTHING_TRACKED, LatePoll, Pace, advance

PACE = Pace(interval_ms=1_000, gap_limit_ms=2_500)
ANN = Agent("7001", "Ann", "Sales")
BEN = Agent("7002", "Ben", "Support")
AGENTS = {"7001": ANN, "7002": BEN}


def poll(sent: int, received: int, **readings: Status) -> Poll:
    """A poll of agents named `a7001=…`."""
    return Poll(sent, received, {name[1:]: status for name, status in readings.items()})


def replay(*polls: Poll, pace: Pace = PACE) -> tuple[TrackerState, list[PollFacts]]:
    state, all_facts = NOTHING_TRACKED, []
    for each in polls:
        state, facts = advance(state, each, AGENTS, pace)
        all_facts.append(facts)
    return state, all_facts


def test_the_first_poll_begins_a_stretch_and_tracks_everyone_it_asked_for() -> None:
    state, (facts,) = replay(poll(100, 150, a7001=AVAILABLE, a7002=OFFLINE))

    assert facts.transitions == (
        Transition("7001", None, AVAILABLE, None, 150),
        Transition("7002", None, OFFLINE, None, 150),
    )
    assert facts.joined == ("7001", "7002")
    assert facts.described == (ANN, BEN)
    assert (facts.begins_stretch, facts.previous_ended, facts.elapsed_ms) == (True, None, 0)
    assert facts.stretch == Stretch(100, 150, 100, 150, 1, 1_000, 2_500)
    assert state.agents == {"7001": Tracked(AVAILABLE, 150, ANN), "7002": Tracked(OFFLINE, 150, BEN)}


def test_a_change_lies_after_the_last_poll_that_saw_the_old_status_was_sent() -> None:
    state, facts = replay(
        poll(100, 150, a7001=AVAILABLE), poll(1_100, 1_150, a7001=AVAILABLE), poll(2_100, 2_150, a7001=BUSY)
    )

    assert facts[1].transitions == ()
    assert facts[2].transitions == (Transition("7001", AVAILABLE, BUSY, 1_100, 2_150),)
    assert facts[2].stretch == Stretch(100, 150, 2_100, 2_150, 3, 1_000, 2_500)
    assert facts[2].elapsed_ms == 1_000
    assert state.agents["7001"].since == 2_150


def test_a_silence_of_exactly_the_gap_limit_does_not_break_a_stretch_and_one_millisecond_more_does() -> None:
    _, held = replay(poll(100, 150, a7001=BUSY), poll(2_600, 2_650, a7001=BUSY))
    assert (held[1].begins_stretch, held[1].elapsed_ms) == (False, 2_500)

    state, broken = replay(poll(100, 150, a7001=BUSY), poll(2_600, 2_651, a7001=BUSY))
    assert (broken[1].begins_stretch, broken[1].elapsed_ms) == (True, 0)
    assert broken[1].previous_ended is EndReason.POLL_FAILURE
    assert broken[1].transitions == (), "the same status on both sides of a gap is no transition"
    assert state.agents["7001"].since == 150, "nor does it begin the status anew"


def test_a_change_across_a_gap_is_bounded_by_the_last_poll_before_it_however_long_ago() -> None:
    _, facts = replay(poll(100, 150, a7001=BUSY), poll(900_000, 900_050, a7001=OFFLINE))

    assert facts[1].transitions == (Transition("7001", BUSY, OFFLINE, 100, 900_050),)


def test_the_silence_after_a_restart_is_blamed_on_what_ended_the_run_before() -> None:
    state, _ = replay(poll(100, 150, a7001=BUSY))
    _, facts = advance(state, poll(9_000, 9_050, a7001=BUSY), AGENTS, PACE, silence=EndReason.CRASH)

    assert facts.previous_ended is EndReason.CRASH


def test_a_clock_step_ends_the_stretch_even_within_the_gap_limit() -> None:
    state, _ = replay(poll(100, 150, a7001=BUSY))
    stepped = replace(poll(1_100, 1_150, a7001=BUSY), clock_step_ms=-2_100)
    _, facts = advance(state, stepped, AGENTS, PACE)

    assert (facts.begins_stretch, facts.previous_ended, facts.elapsed_ms) == (True, EndReason.CLOCK_STEP, 0)


def test_a_change_found_after_the_clock_was_set_back_is_bounded_by_the_clock_of_now() -> None:
    """The old status was last seen at 5,100 by the old clock, which is 2,100 by the new one; the change came later."""
    state, _ = replay(poll(5_100, 5_150, a7001=BUSY))
    stepped = replace(poll(6_100, 6_150, a7001=OFFLINE), clock_step_ms=-3_000)
    _, facts = advance(state, stepped, AGENTS, PACE)

    assert facts.transitions == (Transition("7001", BUSY, OFFLINE, 2_100, 6_150),)


def test_a_change_found_after_the_clock_was_set_forward_is_bounded_by_either_clock() -> None:
    state, _ = replay(poll(5_100, 5_150, a7001=BUSY))
    stepped = replace(poll(9_100, 9_150, a7001=OFFLINE), clock_step_ms=3_000)
    _, facts = advance(state, stepped, AGENTS, PACE)

    assert facts.transitions == (Transition("7001", BUSY, OFFLINE, 5_100, 9_150),)


def test_another_pace_begins_another_stretch() -> None:
    state, _ = replay(poll(100, 150, a7001=BUSY))
    _, facts = advance(state, poll(1_100, 1_150, a7001=BUSY), AGENTS, Pace(2_000, 5_000))

    assert facts.previous_ended is EndReason.RECONFIGURED
    assert facts.stretch == Stretch(1_100, 1_150, 1_100, 1_150, 1, 2_000, 5_000)


@pytest.mark.parametrize("received", [149, 150])
def test_a_poll_that_is_not_later_than_the_latest_is_refused(received: int) -> None:
    state, _ = replay(poll(100, 150, a7001=BUSY))
    with pytest.raises(LatePoll, match=f"received at {received} is not later than the one recorded at 150"):
        advance(state, poll(90, received, a7001=OFFLINE), AGENTS, PACE)


def test_an_agent_that_is_no_longer_asked_for_was_tracked_until_the_last_poll_that_asked() -> None:
    state, facts = replay(poll(100, 150, a7001=BUSY, a7002=BUSY), poll(1_100, 1_150, a7001=BUSY))

    assert facts[1].left == ("7002",)
    assert facts[1].left_before is not None
    assert facts[1].left_before.last == 150
    assert facts[1].transitions == (), "leaving the roster is no change of status"
    assert state.agents.keys() == {"7001"}


def test_an_agent_that_comes_back_is_observed_for_the_first_time_again() -> None:
    _, facts = replay(
        poll(100, 150, a7001=BUSY, a7002=BUSY),
        poll(1_100, 1_150, a7001=BUSY),
        poll(2_100, 2_150, a7001=BUSY, a7002=BUSY),
    )

    assert facts[2].joined == ("7002",)
    assert facts[2].transitions == (Transition("7002", None, BUSY, None, 2_150),)


def test_absent_error_and_offline_are_three_things() -> None:
    _, facts = replay(
        poll(100, 150, a7001=OFFLINE),
        poll(1_100, 1_150, a7001=ABSENT),
        poll(2_100, 2_150, a7001=ERROR),
        poll(3_100, 3_150, a7001=OFFLINE),
    )

    assert [f.transitions[0].to_status for f in facts] == [OFFLINE, ABSENT, ERROR, OFFLINE]


def test_a_renamed_agent_is_described_anew_and_keeps_status_and_since() -> None:
    state, _ = replay(poll(100, 150, a7001=BUSY))
    renamed = Agent("7001", "Ann Smith", "Sales")
    after, facts = advance(state, poll(1_100, 1_150, a7001=BUSY), {"7001": renamed}, PACE)

    assert (facts.described, facts.transitions) == ((renamed,), ())
    assert after.agents["7001"] == Tracked(BUSY, 150, renamed)


def test_an_agent_can_be_renamed_and_change_status_in_the_same_poll() -> None:
    state, _ = replay(poll(100, 150, a7001=BUSY))
    renamed = Agent("7001", "Ann Smith", "Sales")
    after, facts = advance(state, poll(1_100, 1_150, a7001=OFFLINE), {"7001": renamed}, PACE)

    assert facts.described == (renamed,)
    assert facts.transitions == (Transition("7001", BUSY, OFFLINE, 100, 1_150),)
    assert after.agents["7001"] == Tracked(OFFLINE, 1_150, renamed)


def test_the_state_before_is_left_as_it_was() -> None:
    state, _ = replay(poll(100, 150, a7001=BUSY))
    kept = TrackerState(dict(state.agents), state.stretch)
    advance(state, poll(1_100, 1_150, a7001=OFFLINE, a7002=BUSY), AGENTS, PACE)

    assert state == kept


statuses = st.sampled_from((*KNOWN_STATUSES, ABSENT, ERROR))
readings = st.dictionaries(st.sampled_from(["7001", "7002", "7003"]), statuses)
steps = st.lists(st.tuples(st.integers(1, 4_000), st.integers(0, 300), readings), max_size=30)


@given(steps)
def test_the_facts_say_neither_more_nor_less_than_the_polls(steps: list[tuple[int, int, dict[str, Status]]]) -> None:
    """Replaying transitions, joins and leaves alone gives each poll's readings back, with true bounds."""
    agents = {agent_id: Agent(agent_id) for agent_id in ("7001", "7002", "7003")}
    state, now, rebuilt = NOTHING_TRACKED, 0, {}
    previous: Poll | None = None
    for pause, latency, reading in steps:
        now += pause + latency
        current = Poll(now - latency, now, reading)
        state, facts = advance(state, current, agents, PACE)
        for agent_id in facts.left:
            del rebuilt[agent_id]
        for transition in facts.transitions:
            assert rebuilt.get(transition.agent_id) == transition.from_status != transition.to_status
            if transition.from_status is None:
                assert transition.not_before is None
            else:
                assert previous is not None
                assert transition.not_before == previous.sent < transition.seen
            assert transition.seen == current.received
            rebuilt[transition.agent_id] = transition.to_status
        assert rebuilt == reading == {agent_id: tracked.status for agent_id, tracked in state.agents.items()}
        previous = current
