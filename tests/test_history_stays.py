"""Whole stays, by hand on a night: their edges, what cuts them, and what a bridge makes of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.history.algebra import DEFAULT_RULES, EdgePolicy, Rules, covered_time, intervals, totals
from exporter.history.facts import AgentFacts, Change, HistoryFacts, Period, RecordedStretch, Source, Spell
from exporter.history.stays import Stay, stays
from exporter.history.window import Window
from exporter.model import BUSY, ON_CALL, EndReason, Kind, Stretch
from tests.support.moments import Case, cases
from tests.support.night import ANN, BOB, FACTS, MINUTE, NOW, WINDOW, at


def found(
    agent: AgentFacts = ANN,
    facts: HistoryFacts = FACTS,
    window: Window = WINDOW,
    rules: Rules = DEFAULT_RULES,
    now: int = NOW,
) -> Iterator[Stay]:
    return stays(agent, covered_time(facts, now, rules), window)


def told(stay: Stay) -> tuple[str, int, int, bool, bool]:
    return stay.status.word, stay.start, stay.end, stay.cut_start, stay.cut_end


def test_a_stay_is_cut_where_nobody_saw_it_begin_or_end() -> None:
    assert [told(stay) for stay in found()] == [
        ("Available", at("23:00"), at("23:30"), True, False),
        ("On Call", at("23:30"), at("23:45"), False, False),
        ("Available", at("23:45"), at("00:10"), False, False),
        ("On Break", at("00:10"), at("00:30"), False, True),
        ("On Break", at("00:40"), at("01:00"), True, False),
        ("Available", at("01:00"), at("01:20"), False, False),
        ("On Call", at("01:20"), at("02:00"), False, True),
    ]
    assert [stay.censored for stay in found()] == [True, False, False, True, True, False, True]
    # A change through the gap was not seen to happen either.
    assert [told(stay)[3:] for stay in found(BOB)] == [(True, False), (False, True), (True, False), (False, True)]


def test_both_edges_have_both_bounds() -> None:
    stay = list(found())[1]
    assert (stay.start_not_before, stay.start_not_after) == (at("23:29:29"), at("23:30"))
    assert (stay.end_not_before, stay.end_not_after) == (at("23:44:29"), at("23:45"))
    assert stay.length == 15 * MINUTE


def test_stays_that_touch_the_window_are_whole() -> None:
    # The one from 23:30 ends where the window begins; that from 00:10 begins where it ends.
    assert [told(stay)[:3] for stay in found(window=Window(at("23:45"), at("00:10")))] == [
        ("Available", at("23:45"), at("00:10"))
    ]
    assert [told(stay)[:3] for stay in found(window=Window(at("23:50"), at("23:51")))] == [
        ("Available", at("23:45"), at("00:10"))
    ]
    assert list(found(window=Window(at("00:32"), at("00:38")))) == []


def test_what_is_selected_does_not_matter() -> None:
    ann = replace(ANN, selected=(Period(at("23:50"), at("23:51")),))
    assert list(found(ann)) == list(found())


def test_a_bridged_gap_is_part_of_the_stay() -> None:
    bridged = list(found(rules=Rules(bridge_ms=10 * MINUTE)))
    assert told(bridged[3]) == ("On Break", at("00:10"), at("01:00"), False, False)
    assert len(bridged) == 6
    assert (bridged[3].start_not_before, bridged[3].end_not_before) == (at("00:09:29"), at("00:59:29"))
    # Bridged are the 10 minutes from 00:30 to 00:40. Sure are 00:10 to 00:29:59, when the last poll before the gap was
    # sent, and 00:40 to 00:59:29.
    assert bridged[3].bridged == 10 * MINUTE
    assert bridged[3].least == 19 * MINUTE + 59_000 + 19 * MINUTE + 29_000
    assert {stay.bridged for stay in (*bridged[:3], *bridged[4:])} == {0}
    # A millisecond less is no bridge.
    assert len(list(found(rules=Rules(bridge_ms=10 * MINUTE - 1)))) == 7


@pytest.mark.parametrize(
    ("edges", "start"), [(EdgePolicy.MIDPOINT, "23:29:44.500"), (EdgePolicy.NOT_BEFORE, "23:29:29")]
)
def test_the_edge_policy_places_the_edges(edges: EdgePolicy, start: str) -> None:
    stay = list(found(rules=Rules(edges)))[1]
    assert (stay.start, stay.length) == (at(start), 15 * MINUTE)


def test_a_stay_beyond_the_latest_poll_is_open() -> None:
    sources = (replace(FACTS.sources[0], stretches=(FACTS.stretches[0], replace(FACTS.stretches[1], ended=None))),)
    facts = replace(FACTS, run_open=True, sources=sources)
    *_, last = found(facts=facts, now=at("02:00:30"))
    assert (last.end, last.open, last.cut_end) == (at("02:00:30") + 1, True, True)
    *_, last = found(facts=facts, now=at("02:02"))  # too late for the next poll to go on
    assert (last.end, last.open, last.cut_end) == (at("02:00"), False, True)


def test_a_log_tells_where_stays_begin_and_end() -> None:
    # A log from 20:00 to 21:00: Busy from 20:00, On Call from 20:30, Busy again from 20:45. Where it begins and ends
    # nobody knows what was before and after.
    log = Source(
        1,
        (RecordedStretch(Stretch(at("20:00"), at("20:00"), at("21:00"), at("21:00"), 0, 0, 0), EndReason.NOT_IN_FILE),),
        exact=True,
        file="log.csv",
    )
    changes = (
        Change(at("20:00"), None, None, BUSY),
        Change(at("20:30"), at("20:30"), BUSY, ON_CALL),
        Change(at("20:45"), at("20:45"), ON_CALL, BUSY),
    )
    agent = AgentFacts("1", (), (Spell(at("20:00"), at("21:00"), at("21:00"), 1, changes),))
    facts = replace(FACTS, sources=(*FACTS.sources, log))
    assert [told(stay) for stay in found(agent, facts, Window(at("20:00"), at("21:00")))] == [
        ("Busy", at("20:00"), at("20:30"), True, False),
        ("On Call", at("20:30"), at("20:45"), False, False),
        ("Busy", at("20:45"), at("21:00"), False, True),
    ]


@given(cases(), st.sampled_from(EdgePolicy), st.sampled_from((0, 30, 100)))
def test_stays_are_all_known_time_and_nothing_else(case: Case, edges: EdgePolicy, bridge: int) -> None:
    covered = covered_time(case.facts, case.window.until, Rules(edges, bridge))
    for agent in case.facts.agents:
        mine = list(stays(agent, covered, case.window))
        assert all(one.end <= other.start for one, other in pairwise(mine))
        time = Counter[str]()
        for stay in mine:
            clipped = min(stay.end, case.window.until) - max(stay.start, case.window.since)
            assert clipped > 0
            time[stay.status.word] += clipped
        known = Counter[str]()
        for interval, _ in intervals(agent, covered, case.window):
            if interval.status.kind is not Kind.UNKNOWN:
                known[interval.status.word] += interval.end - interval.start
        assert time == known


@given(cases(), st.sampled_from(EdgePolicy), st.sampled_from((0, 30, 100)))
def test_what_is_sure_and_what_is_bridged_of_all_stays_is_what_totals_say(
    case: Case, edges: EdgePolicy, bridge: int
) -> None:
    always = Window(case.window.since - 10**6, case.window.until + 10**6)
    covered = covered_time(case.facts, case.window.until, Rules(edges, bridge))
    for agent in case.facts.agents:
        everywhere = replace(agent, selected=None)
        of_stays, bridged = Counter[str](), Counter[str]()
        for stay in stays(everywhere, covered, always):
            of_stays[stay.status.word] += stay.least
            bridged[stay.status.word] += stay.bridged
            assert stay.least + stay.bridged <= stay.end_not_after - stay.start_not_before
        sums = {status.word: total for status, total in totals(everywhere, covered, always).items()}
        assert {word: (least, bridged[word]) for word, least in of_stays.items()} == {
            word: (sums[word].least, sums[word].bridged) for word in of_stays
        }
