"""Long work in steps: what comes of it is the same, and the event loop has its turns in between."""

import asyncio
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.agents import AgentSeries
from exporter.model import AVAILABLE, BUSY, KNOWN_STATUSES, Agent, Poll, Status, TrackerState
from exporter.settings import MetricsSettings
from exporter.steps import LIGHT, Steps, at_once, batches, letting_go, taking_turns
from exporter.tracker import NOTHING_TRACKED, LatePoll, Pace, advance, advance_in_steps
from tests.support.metrics import Polled

PACE = Pace.of_interval(1_000)
MANY = {str(number): KNOWN_STATUSES[number % 5] for number in range(5_000)}


def poll(received: int, readings: Mapping[str, Status]) -> Poll:
    return Poll(received - 10, received, readings)


def agents(readings: Mapping[str, Status]) -> dict[str, Agent]:
    return {agent_id: Agent(agent_id) for agent_id in readings}


def counted(steps: Steps[object]) -> int:
    return sum(1 for _ in steps)


def three() -> Steps[str]:
    yield
    yield
    return "done"


def test_the_value_is_the_same_at_once_and_in_turns() -> None:
    assert at_once(three()) == asyncio.run(taking_turns(three())) == "done"


def test_others_have_their_turn_between_two_steps() -> None:
    async def run() -> list[str]:
        seen: list[str] = []

        def work() -> Steps[None]:
            for number in range(3):
                seen.append(f"step {number}")
                yield

        async def other() -> None:
            for number in range(3):
                seen.append(f"other {number}")
                await asyncio.sleep(0)

        await asyncio.gather(taking_turns(work()), other())
        return seen

    assert asyncio.run(run()) == [f"{who} {number}" for number in range(3) for who in ("step", "other")]


@pytest.mark.parametrize("drive", [at_once, lambda steps: asyncio.run(taking_turns(steps))])
def test_an_error_comes_through(drive: object) -> None:
    state, _ = advance(NOTHING_TRACKED, poll(1_000, {"1": BUSY}), agents({"1": BUSY}), PACE)
    assert callable(drive)
    with pytest.raises(LatePoll):
        drive(advance_in_steps(state, poll(1_000, {"1": BUSY}), agents({"1": BUSY}), PACE))


@given(st.lists(st.integers()), st.integers(1, 5))
def test_batches_are_the_things_in_their_order(things: list[int], size: int) -> None:
    found = list(batches(things, size))
    assert [thing for some in found for thing in some] == things
    assert all(len(some) == size for some in found[:-1])
    assert all(found)


def test_no_step_of_publishing_ten_thousand_agents_takes_longer_than_a_few_milliseconds() -> None:
    crews = [{str(number): KNOWN_STATUSES[(number + turn) % 5] for number in range(10_000)} for turn in range(2)]
    described = {number: Agent(number, f"Agent {number}", f"Team {len(number)}") for number in crews[0]}

    def seconds_of_steps() -> list[float]:
        """Of the processor: the first poll finds everybody new, and at the second everybody has changed."""
        polled, took = Polled(MetricsSettings(names=True)), []
        for crew in crews:
            polled.poll(crew, described, publish=False)
            steps = polled.instruments._publish(polled.clock.now_ms())
            done = False
            while not done:
                began = time.thread_time()
                done = next(steps, steps) is steps
                took.append(time.thread_time() - began)
        return took

    # The same steps each time, so that the least of each is what it takes on a machine that does nothing else.
    least = [min(times) for times in zip(*(seconds_of_steps() for _ in range(3)), strict=True)]
    assert len(least) > 500
    # The longest takes 2 ms on the machine that the goal was set on; the rest is for slower ones.
    assert max(least) < 0.005


def test_what_was_shown_before_is_freed_a_little_in_each_step_and_all_of_it() -> None:
    polled = Polled()
    polled.poll(dict.fromkeys(MANY, AVAILABLE))
    before = polled.instruments.exposition
    polled.poll(dict.fromkeys(MANY, BUSY), publish=False)
    after_it_was_replaced = sum(
        polled.instruments.exposition is not before for _ in polled.instruments._publish(polled.clock.now_ms())
    )
    assert after_it_was_replaced >= len(MANY) // LIGHT
    things: list[object] = list(range(2_500))
    assert counted(letting_go(things, LIGHT)) == 3
    assert things == []


def test_to_look_at_many_agents_takes_many_steps() -> None:
    polled = poll(1_000, MANY)
    assert counted(advance_in_steps(NOTHING_TRACKED, polled, agents(MANY), PACE)) >= 5
    state, facts = advance(NOTHING_TRACKED, polled, agents(MANY), PACE)
    assert counted(AgentSeries().follow(facts, state)) >= 20


CREWS = st.lists(
    st.dictionaries(st.integers(0, 30).map(str), st.sampled_from([AVAILABLE, BUSY]), max_size=12), max_size=6
)


@given(CREWS)
def test_whoever_comes_and_goes_the_rows_are_in_order_and_counted(crews: list[dict[str, Status]]) -> None:
    series, state = AgentSeries(), NOTHING_TRACKED
    for turn, crew in enumerate(crews, 1):
        state, facts = advance(state, poll(turn * 1_000, crew), agents(crew), PACE)
        at_once(series.follow(facts, state))
        view = series.view
        assert [row.label for row in view.rows] == sorted(crew)
        places = [series.labels.place(crew[agent_id]) for agent_id in sorted(crew)]
        assert [row.place for row in view.rows] == places
        assert view.counts == {("", place): places.count(place) for place in places}


@given(CREWS)
def test_work_that_is_given_up_in_the_middle_has_changed_nothing(crews: list[dict[str, Status]]) -> None:
    given_up, whole = AgentSeries(), AgentSeries()
    state: TrackerState = NOTHING_TRACKED
    for turn, crew in enumerate(crews, 1):
        state, facts = advance(state, poll(turn * 1_000, crew), agents(crew), PACE)
        before = given_up.view
        steps = given_up.follow(facts, state)
        if next(steps, "over") != "over":
            steps.close()
            assert given_up.view is before
            at_once(given_up.follow(facts, state))
        at_once(whole.follow(facts, state))
        assert given_up.view == whole.view
