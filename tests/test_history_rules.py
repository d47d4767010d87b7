"""How facts may be read: the edge policies, and gaps that the reader asks to bridge."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.history.algebra import EdgePolicy, Rules, covered_time, intervals, totals
from exporter.history.facts import AgentFacts, HistoryFacts
from exporter.history.window import Window
from exporter.model import AVAILABLE, BUSY, ON_CALL, UNKNOWN, Kind, Poll, Quality, Status
from tests.support.histories import PACE, brute_force, history, polls_and_edges

NOW = 100_000
Case = tuple[list[Poll], tuple[int, ...]]
Row = tuple[int, int, Status, Quality]


def rows(facts: HistoryFacts, agent: AgentFacts, since: int, until: int, rules: Rules) -> list[Row]:
    covered = covered_time(facts, NOW, rules)
    return [(i.start, i.end, i.status, i.quality) for i, _ in intervals(agent, covered, Window(since, until))]


def polls(*readings: tuple[int, int, Status]) -> list[Poll]:
    return [Poll(sent, received, {"1": status}) for sent, received, status in readings]


# Polls sent 4 ms before they were received; Busy is first seen at 20, and the poll before was sent at 6.
ONE_CHANGE = polls((6, 10, AVAILABLE), (16, 20, BUSY), (26, 30, BUSY))


@pytest.mark.parametrize(
    ("policy", "edge"), [(EdgePolicy.SEEN, 20), (EdgePolicy.MIDPOINT, 15), (EdgePolicy.NOT_BEFORE, 10)]
)
def test_a_change_is_put_where_the_edge_policy_says(policy: EdgePolicy, edge: int) -> None:
    # The bracket is (6, 20], but nothing is known before the stretch begins at 10: it is [10, 20] in known time.
    facts = history(ONE_CHANGE)
    expected = [(10, edge, AVAILABLE, Quality.SAMPLED), (edge, 30, BUSY, Quality.SAMPLED)]
    assert rows(facts, facts.agents[0], 0, 30, Rules(policy)) == [row for row in expected if row[0] < row[1]]


def test_the_bounds_of_a_total_are_the_same_by_every_policy() -> None:
    # Available: surely 0 ms (it may have ended right at 10), possibly 10. Busy: surely from 20 to 26, when the last
    # poll was sent, possibly from 10 to 30.
    facts = history(ONE_CHANGE)
    found = {}
    for policy in EdgePolicy:
        by_status = totals(facts.agents[0], covered_time(facts, NOW, Rules(policy)), Window(0, 30))
        found[policy] = {status: (t.least, t.time, t.most) for status, t in by_status.items()}
    assert found == {
        EdgePolicy.SEEN: {AVAILABLE: (0, 10, 10), BUSY: (6, 10, 20)},
        EdgePolicy.MIDPOINT: {AVAILABLE: (0, 5, 10), BUSY: (6, 15, 20)},
        EdgePolicy.NOT_BEFORE: {AVAILABLE: (0, 0, 10), BUSY: (6, 20, 20)},
    }


@settings(max_examples=max(200, settings().max_examples))
@given(polls_and_edges(2), st.sampled_from(EdgePolicy))
def test_every_policy_tiles_keeps_what_is_known_and_stays_within_the_bounds(case: Case, policy: EdgePolicy) -> None:
    taken, (since, until) = case
    facts = history(taken)
    window = Window(since, until)
    for agent in facts.agents:
        found = rows(facts, agent, since, until, Rules(policy))
        by_millisecond = {at: status for start, end, status, _ in found for at in range(start, end)}
        assert len(by_millisecond) == sum(end - start for start, end, _, _ in found), "intervals overlap"
        assert by_millisecond == _placed(taken, agent.agent_id, since, until, policy)
        by_status = totals(agent, covered_time(facts, NOW, Rules(policy)), window)
        assert {s: t.time for s, t in by_status.items() if t.time} == Counter(by_millisecond.values())
        assert all(t.least <= t.time <= t.most for t in by_status.values())
        seen = totals(agent, covered_time(facts, NOW), window)
        assert {s: (t.least, t.most) for s, t in by_status.items()} == {s: (t.least, t.most) for s, t in seen.items()}


def _placed(taken: list[Poll], agent_id: str, since: int, until: int, policy: EdgePolicy) -> dict[int, Status]:
    """By brute force: known time as by `seen`, and in each stretch the edges one after the other."""
    result: dict[int, Status] = {}
    edges: list[tuple[int, Status]] = []
    begun = 0
    for index, poll in enumerate(taken):
        before = taken[index - 1] if index else None
        if agent_id not in poll.readings:
            edges = []
            continue
        status = poll.readings[agent_id]
        goes_on = before is not None and poll.received - before.received <= PACE.gap_limit_ms and edges
        if not goes_on or before is None:
            begun, edges = poll.received, [(poll.received, status)]
        elif before.readings[agent_id] != status:
            lower = max(before.sent, begun)
            middle = (lower + poll.received) // 2
            edges.append(({"seen": poll.received, "midpoint": middle, "not-before": lower}[policy.value], status))
        _paint(result, edges, begun, poll.received)
    return {
        at: result.get(at, UNKNOWN) if moment.status is not None else UNKNOWN
        for at in range(since, until)
        if (moment := brute_force(taken, agent_id, at)) is not None
    }


def _paint(result: dict[int, Status], edges: list[tuple[int, Status]], begun: int, end: int) -> None:
    for at in range(begun, end):
        result[at] = [status for edge, status in edges if edge <= at][-1]


# --- bridging --------------------------------------------------------------------------------------------------------

# Two stretches, 10 to 20 and 120 to 130, Available on both sides of a gap of 100 ms.
ONE_GAP = polls((9, 10, AVAILABLE), (19, 20, AVAILABLE), (119, 120, AVAILABLE), (129, 130, AVAILABLE))


def test_a_gap_between_equal_statuses_is_bridged_when_it_is_short_enough_and_says_so() -> None:
    facts = history(ONE_GAP)
    (agent,) = facts.agents
    assert rows(facts, agent, 0, 130, Rules(bridge_ms=100)) == [
        (10, 20, AVAILABLE, Quality.SAMPLED),
        (20, 120, AVAILABLE, Quality.BRIDGED),
        (120, 130, AVAILABLE, Quality.SAMPLED),
    ]
    assert rows(facts, agent, 0, 130, Rules(bridge_ms=99))[1] == (20, 120, UNKNOWN, Quality.UNKNOWN)


def test_bridged_time_is_counted_apart_is_never_sure_and_makes_one_stay_of_two() -> None:
    facts = history(ONE_GAP)
    found = totals(facts.agents[0], covered_time(facts, NOW, Rules(bridge_ms=100)), Window(0, 130))
    (available,) = found.values()
    # 10 + 100 + 10; sure from 10 until the poll of 20 was sent (19), and from 120 until 129.
    assert (available.time, available.bridged, available.least, available.most) == (120, 100, 18, 120)
    assert available.stays == 1


def test_a_gap_that_is_cut_by_the_window_is_bridged_for_what_lies_outside() -> None:
    facts = history(ONE_GAP)
    assert rows(facts, facts.agents[0], 50, 60, Rules(bridge_ms=100)) == [(50, 60, AVAILABLE, Quality.BRIDGED)]


def test_a_gap_between_different_statuses_stays_unknown() -> None:
    facts = history(polls((9, 10, AVAILABLE), (19, 20, AVAILABLE), (49, 50, BUSY), (59, 60, BUSY)))
    assert (20, 50, UNKNOWN, Quality.UNKNOWN) in rows(facts, facts.agents[0], 0, 60, Rules(bridge_ms=1_000))


def test_a_lone_poll_that_saw_another_status_forbids_the_bridge() -> None:
    # At 60 somebody looked once and saw On Call: the gap from 20 to 100 was not Available throughout.
    seen = polls(
        (9, 10, AVAILABLE), (19, 20, AVAILABLE), (59, 60, ON_CALL), (99, 100, AVAILABLE), (109, 110, AVAILABLE)
    )
    facts = history(seen)
    assert (20, 100, UNKNOWN, Quality.UNKNOWN) in rows(facts, facts.agents[0], 0, 110, Rules(bridge_ms=1_000))


def test_time_in_which_nobody_tracked_the_agent_is_not_bridged() -> None:
    away = Poll(29, 30, {"2": BUSY})
    facts = history([*ONE_GAP[:2], away, *ONE_GAP[2:]])
    assert [row[:3] for row in rows(facts, facts.agents[0], 0, 130, Rules(bridge_ms=1_000))] == [
        (10, 20, AVAILABLE),
        (120, 130, AVAILABLE),
    ]


@settings(max_examples=max(200, settings().max_examples))
@given(polls_and_edges(3), st.integers(1, 80))
def test_bridging_fills_gaps_and_changes_nothing_that_is_known(case: Case, limit: int) -> None:
    taken, (since, middle, until) = case
    facts = history(taken)
    rules = Rules(bridge_ms=limit)
    for agent in facts.agents:
        plain = {at: row for row in rows(facts, agent, since, until, Rules()) for at in range(row[0], row[1])}
        bridged = {at: row for row in rows(facts, agent, since, until, rules) for at in range(row[0], row[1])}
        assert plain.keys() == bridged.keys()
        for at, row in bridged.items():
            if plain[at][2].kind is not Kind.UNKNOWN:
                assert row[2:] == plain[at][2:]
            elif row[3] is Quality.BRIDGED:
                start, end, status, _ = next(r for r in rows(facts, agent, 0, 10_000, rules) if r[0] <= at < r[1])
                assert end - start <= limit
                assert status.kind is not Kind.UNKNOWN
        covered = covered_time(facts, NOW, rules)
        one, other = (totals(agent, covered, part) for part in (Window(since, middle), Window(middle, until)))
        whole = totals(agent, covered, Window(since, until))
        for status in whole:
            for figure in ("time", "least", "most", "bridged", "stays"):
                parts = sum(getattr(part[status], figure) for part in (one, other) if status in part)
                assert parts == getattr(whole[status], figure), (status, figure)
