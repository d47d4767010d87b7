"""The truth that the simulator tells of itself: exact, consistent, unchanged by what comes later."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import UsageError
from exporter.simulator.overlay import Overlay
from exporter.simulator.planned import PlannedDays
from exporter.simulator.settings import Presence, SimulationSettings
from exporter.simulator.simulation import Change
from tests.support.clock import FakeClock
from tests.support.simulated import NOON, simulation

HOUR = 3_600_000
AGENTS = 7


@dataclass(frozen=True)
class Write:
    """Someone sets a status after so many milliseconds more."""

    after: int
    word: str


writes = st.lists(
    st.builds(
        Write,
        st.integers(0, 3) | st.integers(0, 10 * 60_000) | st.integers(0, 20 * HOUR),
        st.sampled_from(["Available", "Busy", "On Break", "Offline"]),
    ),
    max_size=12,
)


def brute_force(planned: list[Change], start: str, overlay: dict[int, str], instants: list[int]) -> list[str]:
    """The status at each instant by the rule's words: a write holds until the agent's own next planned change."""
    words = []
    for at in instants:
        latest = max((write for write in overlay if write <= at), default=None)
        own = [change for change in planned if change.at <= at]
        if latest is not None and not any(latest < change.at for change in own):
            words.append(overlay[latest])
        else:
            words.append(own[-1].to_word if own else start)
    return words


@given(st.integers(0, AGENTS - 1), writes, st.lists(st.integers(0, 40 * HOUR), max_size=30))
def test_statuses_and_changes_follow_the_rule_and_agree_with_each_other(
    position: int, script: list[Write], offsets: list[int]
) -> None:
    clock = FakeClock(NOON)
    one, untouched = simulation(clock, agents=AGENTS), simulation(agents=AGENTS)
    agent_id = one.agents[position].agent_id
    since, until = NOON - HOUR, NOON + 41 * HOUR
    planned = list(untouched.changes(agent_id, since, until))
    start = untouched.status_at(agent_id, since - 1)
    overlay: dict[int, str] = {}
    for write in script:
        clock.step(write.after)
        one.set_status(agent_id, write.word)
        overlay[clock.now_ms()] = write.word

    edges = [change.at + shift for change in planned for shift in (-1, 0, 1)]
    edges += [at + shift for at in overlay for shift in (-1, 0, 1)]
    instants = sorted({at for at in edges + [NOON + o for o in offsets] if since <= at < until})
    told = [one.status_at(agent_id, at) for at in instants]
    assert told == brute_force(planned, start, overlay, instants)

    changes = one.changes(agent_id, since, until)
    word, replayed = start, []
    for at in instants:
        word = next((change.to_word for change in reversed(changes) if change.at <= at), start)
        replayed.append(word)
    assert replayed == told
    for change in changes:
        assert one.status_at(agent_id, change.at - 1) == change.from_word != change.to_word
        assert one.status_at(agent_id, change.at) == change.to_word


@given(
    st.integers(0, AGENTS - 1),
    writes,
    st.integers(-HOUR, 40 * HOUR),
    st.integers(0, 30 * HOUR),
    st.integers(0, 30 * HOUR),
)
def test_the_changes_of_a_window_are_those_of_its_parts(
    position: int, script: list[Write], offset: int, first: int, second: int
) -> None:
    clock = FakeClock(NOON)
    one = simulation(clock, agents=AGENTS)
    agent_id = one.agents[position].agent_id
    for write in script:
        clock.step(write.after)
        one.set_status(agent_id, write.word)
    since = NOON + offset
    middle, until = since + first, since + first + second
    assert one.changes(agent_id, since, until) == (
        one.changes(agent_id, since, middle) + one.changes(agent_id, middle, until)
    )


@given(st.integers(0, AGENTS - 1), writes)
def test_a_write_changes_nothing_that_lies_before_it(position: int, script: list[Write]) -> None:
    clock = FakeClock(NOON)
    one = simulation(clock, agents=AGENTS)
    agent_id = one.agents[position].agent_id
    for write in script:
        clock.step(write.after + 1)
        now = clock.now_ms()
        before = one.changes(agent_id, NOON - HOUR, now)
        one.set_status(agent_id, write.word)
        assert one.changes(agent_id, NOON - HOUR, now) == before
        assert one.status_at(agent_id, now) == write.word


def test_a_write_holds_until_the_agents_own_next_planned_change_and_no_longer() -> None:
    clock = FakeClock(NOON)
    one = simulation(clock)
    agent = one.agents[5]
    own = one.changes(agent.agent_id, NOON, NOON + 12 * HOUR)
    first, second = own[0], own[1]
    clock.step(first.at + 10 - NOON)
    one.set_status(agent.agent_id, "Offline")
    assert one.status_at(agent.agent_id, second.at - 1) == "Offline"
    assert one.status_at(agent.agent_id, second.at) == second.to_word
    assert one.changes(agent.agent_id, first.at, second.at + 1) == (
        first,
        Change(first.at + 10, first.to_word, "Offline"),
        Change(second.at, "Offline", second.to_word),
    )


def test_a_write_in_the_very_millisecond_of_a_planned_change_holds_against_it() -> None:
    clock = FakeClock(NOON)
    one = simulation(clock)
    agent = one.agents[5]
    first, second = one.changes(agent.agent_id, NOON, NOON + 12 * HOUR)[:2]
    clock.step(first.at - NOON)
    one.set_status(agent.agent_id, "Offline")
    assert one.status_at(agent.agent_id, first.at) == "Offline"
    assert one.status_at(agent.agent_id, second.at - 1) == "Offline"
    assert one.status_at(agent.agent_id, second.at) == second.to_word


def test_a_write_on_a_day_off_holds_over_night_until_the_next_shift_begins() -> None:
    saturday = NOON + 2 * 24 * HOUR
    clock = FakeClock(saturday)
    one = simulation(clock)
    agent = next(a for a in one.agents if not one.changes(a.agent_id, saturday - 9 * HOUR, saturday + 39 * HOUR))
    one.set_status(agent.agent_id, "Available")
    login = one.changes(agent.agent_id, saturday + 1, saturday + 96 * HOUR)
    assert one.status_at(agent.agent_id, saturday + 38 * HOUR) == "Available"
    # The shift begins with Available too: that is no change, and what follows is the agent's own day.
    assert login[0].from_word == "Available"


def test_presence_is_half_open_and_unbounded_where_nothing_is_said() -> None:
    one = simulation(presences=(Presence(3, joins=NOON, leaves=NOON + 1_000), Presence(4, leaves=NOON)))
    ids = [agent.agent_id for agent in one.agents]
    assert [one.present_at(ids[3], NOON + ms) for ms in (-1, 0, 999, 1_000)] == [False, True, True, False]
    assert [one.present_at(ids[4], NOON + ms) for ms in (-1, 0)] == [True, False]
    assert one.present_at(ids[5], 0)
    assert set(one.statuses_at(NOON)) == set(ids) - {ids[4]}


def test_at_speed_one_simulated_time_is_the_wall_clock_also_when_it_steps() -> None:
    clock = FakeClock(NOON)
    one = simulation(clock)
    clock.pass_time(60)
    clock.step(-5_000)
    assert one.now_ms() == NOON + 55_000


def test_faster_simulated_time_follows_the_monotonic_clock() -> None:
    clock = FakeClock(NOON)
    one = simulation(clock, speed=60)
    clock.step(-5_000)
    clock.pass_time(2)
    assert one.now_ms() == NOON + 120_000


def test_an_unknown_agent_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="the simulator has no agent '123'"):
        simulation().status_at("123", NOON)


def test_days_are_kept_within_bounds_and_told_the_same_when_simulated_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.simulator.planned._AGENT_DAYS_KEPT", 10)
    planned = PlannedDays(SimulationSettings(agents=2))
    first = planned.day(NOON)
    for day in range(1, 9):
        planned.day(NOON + day * 24 * HOUR)
    assert len(planned._kept) == 5
    assert planned.day(NOON) is not first
    assert planned.day(NOON) == first


def test_the_oldest_of_very_many_writes_are_forgotten() -> None:
    overlay = Overlay(PlannedDays(SimulationSettings()))
    for at in range(10_050):
        overlay.write(0, NOON + at, "Busy")
    assert len(overlay.instants(0, NOON, NOON + 20_000)) == 10_000
