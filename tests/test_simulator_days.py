"""The model of agents' days: repeatable, realistic, whole days one by one."""

from collections import Counter
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import UsageError
from exporter.simulator.days import WORDS, simulate_day
from exporter.simulator.people import make_people
from exporter.simulator.settings import Presence, SimulationSettings
from exporter.simulator.workdays import Workdays
from tests.support.clock import FakeClock
from tests.support.simulated import simulation

HOUR = 3_600_000


def instant(text: str, zone: str = "Europe/Berlin") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


THURSDAY = instant("2025-10-09T12:00")


def counts(at: int, **settings: object) -> Counter[str]:
    return Counter(simulation(FakeClock(at), **settings).statuses_at(at).values())


def test_the_same_seed_gives_the_same_people_and_days() -> None:
    one, other = simulation(seed=7), simulation(seed=7)
    assert one.agents == other.agents
    for agent in one.agents:
        since, until = THURSDAY - 12 * HOUR, THURSDAY + 12 * HOUR
        assert one.changes(agent.agent_id, since, until) == other.changes(agent.agent_id, since, until)


def test_another_seed_gives_other_people_and_days() -> None:
    one, other = simulation(seed=7), simulation(seed=8)
    assert {agent.agent_id for agent in one.agents}.isdisjoint(agent.agent_id for agent in other.agents)
    assert list(one.statuses_at(THURSDAY).values()) != list(other.statuses_at(THURSDAY).values())


def test_a_day_does_not_depend_on_which_days_were_asked_for_before() -> None:
    forwards, backwards = simulation(), simulation()
    days = [THURSDAY + days * 24 * HOUR for days in (-2, -1, 0, 1, 2)]
    told = {at: forwards.statuses_at(at) for at in days}
    assert {at: backwards.statuses_at(at) for at in reversed(days)} == told


def test_ids_have_17_digits_are_all_different_and_the_zuid_is_a_number() -> None:
    people = make_people(SimulationSettings(agents=500))
    ids = [text for agent in people.agents for text in (agent.agent_id, agent.user_id, str(agent.zuid))]
    assert {len(text) for text in ids} == {17}
    assert len(set(ids)) == 1_500
    assert {type(agent.zuid) for agent in people.agents} == {int}


def test_ids_read_as_floats_would_be_mistaken_for_each_other() -> None:
    agents = make_people(SimulationSettings()).agents
    assert len({float(agent.agent_id) for agent in agents}) < len(agents)


def test_names_are_not_all_ascii_and_some_break_careless_writing() -> None:
    names = [agent.name for agent in make_people(SimulationSettings()).agents]
    assert any(not name.isascii() for name in names)
    assert 'Robert "Bob" King' in names
    assert "Smith, Jane" in names


def test_at_night_everybody_is_offline() -> None:
    assert counts(instant("2025-10-09T02:00")) == {"Offline": 40}
    assert counts(instant("2025-10-09T06:00")) == {"Offline": 40}
    assert counts(instant("2025-10-09T23:30")) == {"Offline": 40}


def test_around_noon_of_a_working_day_all_five_statuses_occur() -> None:
    seen: set[str] = set()
    one = simulation()
    for minute in range(120):
        seen |= set(one.statuses_at(THURSDAY + minute * 60_000).values())
    assert seen == set(WORDS)


def test_on_a_weekend_fewer_work_than_on_a_working_day() -> None:
    assert counts(instant("2025-10-11T13:00"))["Offline"] > counts(instant("2025-10-09T13:00"))["Offline"] > 0


def test_there_are_times_at_which_nobody_is_available_and_times_at_which_somebody_is() -> None:
    one = simulation()
    free = ["Available" in one.statuses_at(THURSDAY + s * 1000).values() for s in range(0, 4 * 3_600, 15)]
    assert 0.02 < free.count(False) / len(free) < 0.6


def test_without_calls_nobody_is_ever_on_call() -> None:
    one = simulation(calls_per_agent_hour=0)
    words = {
        word for minute in range(0, 720, 5) for word in one.statuses_at(THURSDAY + (minute - 240) * 60_000).values()
    }
    assert words == {"Offline", "Available", "On Break", "Busy"}


def test_a_call_is_taken_by_an_agent_who_was_available_and_rung_first() -> None:
    one = simulation()
    for agent in one.agents:
        changes = one.changes(agent.agent_id, THURSDAY - 8 * HOUR, THURSDAY + 10 * HOUR)
        for before, change in pairwise(changes):
            if change.to_word == "On Call":
                assert change.from_word == "Available"
                assert change.at - before.at >= 2_000


def test_the_one_who_was_idle_for_longest_takes_the_next_call() -> None:
    one = simulation(agents=12, calls_per_agent_hour=2)
    since, until = THURSDAY, THURSDAY + 2 * HOUR
    taken = sorted((change.at, agent.agent_id) for agent in one.agents
                   for change in one.changes(agent.agent_id, since, until) if change.to_word == "On Call")  # fmt: skip
    assert len(taken) > 10
    overtaken = 0
    for at, taker in taken:
        idle_since = {}
        for agent in one.agents:
            if one.status_at(agent.agent_id, at - 1) == "Available":
                idle_since[agent.agent_id] = one.changes(agent.agent_id, at - 12 * HOUR, at)[-1].at
        # An agent whom another call was ringing at the same time was idle for longer and is free of this one.
        overtaken += idle_since[taker] != min(idle_since.values())
    assert overtaken <= len(taken) * 0.2


def test_within_one_agents_day_instants_rise_and_each_change_is_a_change() -> None:
    day = simulate_day(1, 300, 8.0, Workdays("Europe/Berlin", None).day_at(THURSDAY))
    for times, codes in zip(day.times, day.codes, strict=True):
        assert all(earlier < later for earlier, later in pairwise(times))
        assert all(earlier != later for earlier, later in pairwise(bytes([0]) + codes))
        assert not times or (day.start < times[0] and times[-1] < day.end and WORDS[codes[-1]] == "Offline")


def test_sudden_log_outs_happen_even_out_of_a_call() -> None:
    one = simulation(agents=200)
    pairs = {(change.from_word, change.to_word) for agent in one.agents
             for change in one.changes(agent.agent_id, THURSDAY - 10 * HOUR, THURSDAY + 10 * HOUR)}  # fmt: skip
    assert ("On Call", "Offline") in pairs
    assert ("Offline", "Available") in pairs
    assert ("On Call", "On Break") in pairs


@given(st.integers(0, 4_000_000_000_000), st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu",
       "Australia/Lord_Howe", "Pacific/Apia", "UTC"]), st.none() | st.integers(0, 4_000_000_000_000))  # fmt: skip
def test_working_days_tile_time(at: int, zone: str, around: int | None) -> None:
    workdays = Workdays(zone, around)
    day = workdays.day_at(at)
    assert day.start <= at < day.end
    assert workdays.day_at(day.end).start == day.end
    assert workdays.day_at(day.start - 1).end == day.start


@pytest.mark.parametrize(("date", "hours"), [("2025-03-29", 23), ("2025-10-25", 25), ("2025-10-09", 24)])
def test_a_day_on_which_clocks_are_changed_is_an_hour_shorter_or_longer(date: str, hours: int) -> None:
    # The working day runs from 02:00 to 02:00, so the change falls into its last hour or at its end.
    day = Workdays("Europe/Berlin", None).day_at(instant(f"{date}T12:00"))
    assert day.start == instant(f"{date}T02:00")
    assert (day.end - day.start) / HOUR in {hours, 24}


def test_shifts_follow_local_time_across_a_change_of_clocks() -> None:
    workdays = Workdays("Europe/Berlin", None)
    for date in ("2025-10-25", "2025-10-26", "2025-10-27"):
        day = workdays.day_at(instant(f"{date}T12:00"))
        assert day.at(8 * 60) == instant(f"{date}T08:00")


@pytest.mark.parametrize("hour", range(24))
def test_shifts_can_be_placed_so_that_people_are_at_work_at_a_given_instant(hour: int) -> None:
    at = instant(f"2025-10-12T{hour:02}:20")  # a Sunday
    assert counts(at, shifts_around=at)["Offline"] <= 24
    assert counts(at + 12 * HOUR, shifts_around=at) == {"Offline": 40}


def test_placed_shifts_hold_for_the_days_before_and_after_as_well() -> None:
    at = instant("2025-10-12T03:20")
    for days in (-3, -2, -1, 1, 2):
        assert counts(at + days * 24 * HOUR, shifts_around=at)["Offline"] <= 24


def test_calls_can_be_made_fewer_which_makes_a_day_cheaper() -> None:
    workday = Workdays("Europe/Berlin", None).day_at(THURSDAY)
    busy = simulate_day(1, 1_000, 4.0, workday)
    quiet = simulate_day(1, 1_000, 0.5, workday)
    assert sum(map(len, quiet.times)) < sum(map(len, busy.times)) / 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"agents": 0}, "the simulator cannot have 0 agents: give a number from 1 to 100000"),
        ({"speed": 0}, "the simulator cannot run at speed 0: give a number above 0, up to 100000"),
        ({"speed": float("nan")}, "the simulator cannot run at speed nan: give a number above 0, up to 100000"),
        ({"calls_per_agent_hour": -1}, "-1 calls per agent and hour make no sense: give 0 to 60"),
        ({"presences": (Presence(40),)}, "there is no agent at position 40: positions go from 0 to 39"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        simulation(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="IANA name such as Europe/Berlin"):
        simulation(timezone=zone)
