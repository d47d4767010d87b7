"""The interval algebra: laws against brute force over polls, and the edges worked out by hand."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings

from exporter.history.algebra import covered_time, intervals, totals
from exporter.history.facts import FOREVER, AgentFacts, Change, Description, HistoryFacts, Period, RecordedStretch
from exporter.history.instant import status_at
from exporter.history.window import Window
from exporter.model import (
    AVAILABLE,
    BUSY,
    ON_CALL,
    UNKNOWN,
    EndReason,
    Interval,
    Kind,
    Poll,
    Quality,
    Status,
)
from tests.support.histories import Moment, agent_facts, brute_force, history, polls_and_edges, recorder, stretch

END = 500
NOW = 100_000
"""So late that no stretch is extended to it."""
Case = tuple[list[Poll], tuple[int, ...]]


def _totals(facts: HistoryFacts, agent: AgentFacts, since: int, until: int) -> dict[Status, tuple[int, int, int, int]]:
    found = totals(agent, covered_time(facts, NOW), Window(since, until))
    return {status: (t.time, t.least, t.most, t.stays) for status, t in found.items()}


def _intervals(facts: HistoryFacts, agent: AgentFacts, since: int, until: int, now: int = NOW) -> list[Interval]:
    return [interval for interval, _ in intervals(agent, covered_time(facts, now), Window(since, until))]


def _moments(polls: list[Poll], agent: AgentFacts, since: int, until: int) -> dict[int, Moment]:
    found = ((at, brute_force(polls, agent.agent_id, at)) for at in range(since, until))
    return {at: moment for at, moment in found if moment is not None}


@settings(max_examples=max(300, settings().max_examples))
@given(polls_and_edges(2))
def test_intervals_tile_the_tracked_part_of_the_window_and_say_what_brute_force_says(case: Case) -> None:
    polls, (since, until) = case
    facts = history(polls)
    for agent in facts.agents:
        found = _intervals(facts, agent, since, until)
        by_millisecond = {at: i.status for i in found for at in range(i.start, i.end)}
        assert len(by_millisecond) == sum(i.end - i.start for i in found), "intervals overlap"
        moments = _moments(polls, agent, since, until)
        assert by_millisecond == {at: moment.status or UNKNOWN for at, moment in moments.items()}
        for one, other in pairwise(found):
            assert one.end <= other.start
            assert one.end < other.start or (one.status, one.quality) != (other.status, other.quality)
        for i in found:
            assert i.start_not_before <= i.start < i.end
            assert i.start_not_before <= i.end_not_before <= i.end
            assert since <= i.start_not_before
            assert i.quality is (Quality.UNKNOWN if i.status.kind is Kind.UNKNOWN else Quality.SAMPLED)


@settings(max_examples=max(300, settings().max_examples))
@given(polls_and_edges(2))
def test_totals_and_their_bounds_are_what_brute_force_counts(case: Case) -> None:
    polls, (since, until) = case
    facts = history(polls)
    for agent in facts.agents:
        time, least, most = Counter[Status](), Counter[Status](), Counter[Status]()
        for moment in _moments(polls, agent, since, until).values():
            status = moment.status or UNKNOWN
            time[status] += 1
            least[status] += moment.sure
            most.update(moment.possible or {UNKNOWN})
        found = _totals(facts, agent, since, until)
        assert {status: (t, low, high) for status, (t, low, high, _) in found.items()} == {
            status: (time[status], least[status], most[status]) for status in most
        }
        assert all(low <= t <= high <= until - since for t, low, high, _ in found.values())


@settings(max_examples=max(300, settings().max_examples))
@given(polls_and_edges(3))
def test_totals_of_adjoining_windows_add_up_and_so_do_bounds_and_stays(case: Case) -> None:
    polls, (since, middle, until) = case
    facts = history(polls)
    for agent in facts.agents:
        parts = Counter[tuple[Status, int]]()
        for part in (_totals(facts, agent, since, middle), _totals(facts, agent, middle, until)):
            parts.update({(status, index): value for status, row in part.items() for index, value in enumerate(row)})
        whole = _totals(facts, agent, since, until)
        assert {key: value for key, value in parts.items() if value} == {
            (status, index): value for status, row in whole.items() for index, value in enumerate(row) if value
        }


@settings(max_examples=max(300, settings().max_examples))
@given(polls_and_edges(1))
def test_the_status_at_an_instant_is_that_of_the_interval_that_holds_it(case: Case) -> None:
    polls, (at,) = case
    facts = history(polls)
    for agent in facts.agents:
        holding = [i.status for i in _intervals(facts, agent, 0, END) if i.start <= at < i.end]
        found = status_at(agent, covered_time(facts, NOW), at)
        assert ([found[0]] if found is not None else []) == holding


@settings(max_examples=max(300, settings().max_examples))
@given(polls_and_edges(2))
def test_a_further_poll_that_sees_nothing_new_changes_no_interval(case: Case) -> None:
    polls, (since, until) = case
    pairs = [
        index
        for index, (one, other) in enumerate(pairwise(polls))
        if one.readings == other.readings and 1 < other.received - one.received <= 25
    ]
    if not pairs:
        return
    here = pairs[0]
    at = polls[here].received + 1
    if polls[here + 1].sent < at:
        return
    more = [*polls[: here + 1], Poll(polls[here].received, at, polls[here].readings), *polls[here + 1 :]]
    for before, after in zip(history(polls).agents, history(more).agents, strict=True):
        assert _intervals(history(polls), before, since, until) == _intervals(history(more), after, since, until)


def _facts(*agents: AgentFacts, stretches: list[RecordedStretch], run_open: bool = False) -> HistoryFacts:
    return HistoryFacts(Window(0, FOREVER), agents, recorder(*stretches), run_open, None)


def _agent(*changes: Change, tracked: tuple[Period, ...] = (Period(1_000, FOREVER),)) -> AgentFacts:
    return agent_facts("1", (Description(1_000, "Ann", "Sales"),), tracked, changes)


FIRST = Change(1_000, None, None, AVAILABLE)


def test_an_edge_between_two_polls_is_bracketed_and_the_edges_of_a_stretch_are_exact() -> None:
    # Polls sent 10 ms before they were received at 1000, 1030, 1060, 1090. On Call is first seen at 1060, so the
    # change lies between 1020 (the poll before was sent) and 1060. The last poll was sent at 1080: until then On Call
    # is sure, until 1090 it is taken to hold. Nothing is known afterwards.
    agent = _agent(FIRST, Change(1_060, 1_020, AVAILABLE, ON_CALL))
    facts = _facts(agent, stretches=[RecordedStretch(stretch(1_000, 1_090, latency=10), EndReason.CRASH)])
    assert _intervals(facts, agent, 0, 2_000) == [
        Interval("1", 1_000, 1_060, AVAILABLE, Quality.SAMPLED, 1_000, 1_000, 1_020, 1_060),
        Interval("1", 1_060, 1_090, ON_CALL, Quality.SAMPLED, 1_020, 1_060, 1_080, 1_090),
        Interval("1", 1_090, 2_000, UNKNOWN, Quality.UNKNOWN, 1_090, 1_090, 2_000, 2_000),
    ]
    assert _totals(facts, agent, 0, 2_000) == {
        AVAILABLE: (60, 20, 60, 1),
        ON_CALL: (30, 20, 70, 1),
        UNKNOWN: (910, 910, 910, 1),
    }


def test_a_gap_between_equal_statuses_is_unknown_and_does_not_reset_since() -> None:
    agent = _agent(FIRST)
    facts = _facts(
        agent,
        stretches=[
            RecordedStretch(stretch(1_000, 1_100), EndReason.POLL_FAILURE),
            RecordedStretch(stretch(1_300, 1_400), EndReason.SHUTDOWN),
        ],
    )
    assert [(i.start, i.end, i.status) for i in _intervals(facts, agent, 0, 1_400)] == [
        (1_000, 1_100, AVAILABLE),
        (1_100, 1_300, UNKNOWN),
        (1_300, 1_400, AVAILABLE),
    ]
    covered = covered_time(facts, NOW)
    assert status_at(agent, covered, 1_100) == (UNKNOWN, None, Quality.UNKNOWN)
    assert status_at(agent, covered, 1_300) == (AVAILABLE, 1_000, Quality.SAMPLED)
    assert status_at(agent, covered, 999) is None


def test_a_change_through_a_gap_is_bracketed_by_the_start_of_the_stretch_not_by_the_gap() -> None:
    agent = _agent(FIRST, Change(1_300, 1_095, AVAILABLE, BUSY))
    facts = _facts(
        agent,
        stretches=[
            RecordedStretch(stretch(1_000, 1_100, latency=5), EndReason.POLL_FAILURE),
            RecordedStretch(stretch(1_300, 1_400, latency=5), EndReason.SHUTDOWN),
        ],
    )
    assert _totals(facts, agent, 0, 1_400) == {
        AVAILABLE: (100, 95, 100, 1),
        UNKNOWN: (200, 200, 200, 1),
        BUSY: (100, 95, 100, 1),
    }


def test_a_status_that_only_the_last_poll_saw_has_no_time_but_may_have_had_some() -> None:
    # Polls received at 1000, 1030, 1060; Busy is seen by the last one alone. It began after 1025, when the poll before
    # was sent: at most 35 ms of the stretch, and of Available 25 ms are sure.
    agent = _agent(FIRST, Change(1_060, 1_025, AVAILABLE, BUSY))
    facts = _facts(agent, stretches=[RecordedStretch(stretch(1_000, 1_060, latency=5), EndReason.CRASH)])
    assert _totals(facts, agent, 1_000, 1_060) == {AVAILABLE: (60, 25, 60, 1), BUSY: (0, 0, 35, 0)}
    assert [i.status for i in _intervals(facts, agent, 1_000, 1_060)] == [AVAILABLE]


def test_time_that_two_stays_of_one_status_may_both_have_had_is_counted_once() -> None:
    # Polls at 1000, 1030, 1060, 1090, each sent 5 ms earlier; Busy is seen at 1030 only. Available may have lasted
    # until 1030 and begun again at 1025: those 5 ms are not 10, and the whole 90 ms may have been Available but for an
    # instant.
    agent = _agent(FIRST, Change(1_030, 995, AVAILABLE, BUSY), Change(1_060, 1_025, BUSY, AVAILABLE))
    facts = _facts(agent, stretches=[RecordedStretch(stretch(1_000, 1_090, latency=5), EndReason.SHUTDOWN)])
    assert _totals(facts, agent, 1_000, 1_090) == {AVAILABLE: (60, 25, 90, 2), BUSY: (30, 0, 60, 1)}


def test_someone_who_was_not_tracked_is_not_unknown() -> None:
    agent = _agent(FIRST, tracked=(Period(1_000, 1_200), Period(1_500, 1_500)))
    facts = _facts(agent, stretches=[RecordedStretch(stretch(900, 1_100), EndReason.CRASH)])
    assert [(i.start, i.end, i.status) for i in _intervals(facts, agent, 0, 9_000)] == [
        (1_000, 1_100, AVAILABLE),
        (1_100, 1_200, UNKNOWN),
    ]


def test_the_latest_stretch_of_an_open_run_goes_on_until_now_within_the_gap_limit() -> None:
    agent = _agent(FIRST)
    stretches = [RecordedStretch(stretch(1_000, 1_100, latency=5), None)]
    facts = _facts(agent, stretches=stretches, run_open=True)
    assert _intervals(facts, agent, 0, 1_125, now=1_125) == [
        Interval("1", 1_000, 1_125, AVAILABLE, Quality.SAMPLED, 1_000, 1_000, 1_095, 1_125)
    ]
    assert status_at(agent, covered_time(facts, 1_125), 1_125) == (AVAILABLE, 1_000, Quality.SAMPLED)
    assert status_at(agent, covered_time(facts, 1_126), 1_126) == (UNKNOWN, None, Quality.UNKNOWN)
    ended = replace(facts, run_open=False)
    assert status_at(agent, covered_time(ended, 1_125), 1_125) == (UNKNOWN, None, Quality.UNKNOWN)


def test_a_selection_of_times_cuts_intervals_and_counts_only_what_begins_inside() -> None:
    agent = replace(
        _agent(FIRST, Change(1_050, 1_020, AVAILABLE, BUSY)), selected=(Period(1_010, 1_040), Period(1_050, 1_060))
    )
    facts = _facts(agent, stretches=[RecordedStretch(stretch(1_000, 1_090), EndReason.SHUTDOWN)])
    assert [(i.start, i.end, i.status) for i in _intervals(facts, agent, 0, 9_000)] == [
        (1_010, 1_040, AVAILABLE),
        (1_050, 1_060, BUSY),
    ]
    # Busy may have begun at 1020, so up to 20 of the 30 ms up to 1040 may have been Busy; from 1050 it is sure.
    assert _totals(facts, agent, 0, 9_000) == {AVAILABLE: (30, 10, 30, 0), BUSY: (10, 10, 30, 1)}
