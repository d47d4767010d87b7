"""The invariants of the history, by their numbers, on the lives that a recorder may lead.

Each life goes through the tracker, the writer, a real database file and the reader. The reference keeps every poll and
looks at each millisecond (`tests/support/lives.py`). Invariants that are about one feature stand with it, under the
same kind of name: 4, 7, 14 and 15 of imports in `test_history_merge_*.py`, 11 in `test_report_intervals.py`, 12 in
`test_history_calendar.py`, 13 in `test_history_purge.py`, 4 of derived
data in `test_history_rebuild.py`.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.errors import DatabaseError
from exporter.history.algebra import DEFAULT_RULES, EdgePolicy, Rules, covered_time, intervals, totals
from exporter.history.facts import HistoryFacts
from exporter.history.instant import status_at
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.window import Window
from exporter.model import Interval, Kind, Poll, Status
from tests.support.history_files import FailingConnection
from tests.support.lives import END, PACE, Kept, Step, lives, record, status_by_millisecond, without_restarts

UTC = ZoneInfo("UTC")
NOW = 100_000
"""So late that no stretch goes on until then."""

few = settings(max_examples=max(20, settings().max_examples // 5))
"""Each example writes database files."""


@contextmanager
def database() -> Iterator[Path]:
    with TemporaryDirectory() as directory:
        yield Path(directory) / "history.db"


def read(path: Path, window: Window) -> HistoryFacts:
    with HistoryReader.open(path) as reader:
        return reader.facts(window)


def timeline(facts: HistoryFacts, window: Window, rules: Rules = DEFAULT_RULES) -> dict[str, list[Interval]]:
    covered = covered_time(facts, NOW, rules)
    return {agent.agent_id: [i for i, _ in intervals(agent, covered, window)] for agent in facts.agents}


def by_millisecond(found: Sequence[Interval]) -> dict[int, Status]:
    return {at: interval.status for interval in found for at in range(interval.start, interval.end)}


def check_against_reference(path: Path, kept: Sequence[Kept], window: Window) -> None:
    """Invariants 1, 2, 8 and 10: what holds of any database at any time."""
    facts = read(path, window)
    found = timeline(facts, window)
    covered = covered_time(facts, NOW)
    for agent in facts.agents:
        mine = found[agent.agent_id]
        assert by_millisecond(mine) == status_by_millisecond(kept, agent.agent_id, window.since, window.until)
        assert len(by_millisecond(mine)) == sum(i.end - i.start for i in mine)
        for one, other in pairwise(mine):
            assert one.end < other.start or (one.status, one.quality) != (other.status, other.quality)
        for i in mine:
            for at in {i.start, i.end - 1}:
                assert (now := status_at(agent, covered, at)) is not None
                assert now[0] == i.status


windows = st.tuples(st.integers(0, END), st.integers(0, END)).map(lambda edges: Window(*sorted(edges)))


@few
@given(lives(), windows)
def test_invariant_1_tiling_intervals_are_disjoint_in_order_and_neighbours_differ(
    life: list[Step], window: Window
) -> None:
    with database() as path:
        record(path, life)
        for found in timeline(read(path, window), window).values():
            for i in found:
                assert window.since <= i.start < i.end <= window.until
            for one, other in pairwise(found):
                assert one.end <= other.start
                assert one.end < other.start or (one.status, one.quality) != (other.status, other.quality)


@few
@given(lives(), windows, st.sampled_from(EdgePolicy), st.sampled_from((0, 30)))
def test_invariant_2_conservation_the_statuses_make_up_the_tracked_time_to_the_millisecond(
    life: list[Step], window: Window, edges: EdgePolicy, bridge_ms: int
) -> None:
    with database() as path:
        kept = record(path, life)
        facts = read(path, Window(0, END))
        question = Question(window, UTC, NOW, rules=Rules(edges, bridge_ms))
        covered = covered_time(facts, NOW, question.rules)
        tracked = 0
        for agent in facts.agents:
            mine = len(status_by_millisecond(kept, agent.agent_id, window.since, window.until))
            assert sum(total.time for total in totals(agent, covered, window).values()) == mine
            tracked += mine
        for name in ("summary", "timeline", "coverage"):
            meta = REPORTS[name](facts, question).meta
            parts = [meta[f"{part}_seconds"] for part in ("covered", "bridged", "unknown")]
            assert meta["tracked_seconds"] == tracked
            assert sum(part for part in parts if isinstance(part, int)) == tracked


@few
@given(lives(), st.lists(st.integers(0, END), min_size=3, max_size=6).map(sorted), st.sampled_from(EdgePolicy))
def test_invariant_3_additivity_adjoining_windows_and_agents_add_up(
    life: list[Step], cuts: list[int], edges: EdgePolicy
) -> None:
    def numbers(path: Path, window: Window) -> Counter[tuple[str, str, str]]:
        """Read for this window alone, as a person would ask."""
        facts = read(path, window)
        covered = covered_time(facts, NOW, Rules(edges))
        found: Counter[tuple[str, str, str]] = Counter()
        for agent in facts.agents:
            for status, total in totals(agent, covered, window).items():
                for figure in ("time", "least", "most", "stays"):
                    found[agent.agent_id, status.word, figure] += getattr(total, figure)
        return found

    with database() as path:
        record(path, life)
        parts = sum((numbers(path, Window(*pair)) for pair in pairwise(cuts)), Counter[tuple[str, str, str]]())
        whole = numbers(path, Window(cuts[0], cuts[-1]))
        if edges is EdgePolicy.SEEN:
            assert +parts == +whole
        else:  # a stay that begins at a cut by one policy may begin before it by another: times add up all the same
            assert {k: v for k, v in (+parts).items() if k[2] != "stays"} == {
                k: v for k, v in (+whole).items() if k[2] != "stays"
            }
        facts = read(path, Window(cuts[0], cuts[-1]))
        meta = REPORTS["summary"](facts, Question(facts.window, UTC, NOW)).meta
        assert meta["tracked_seconds"] == sum(v for (_, _, figure), v in whole.items() if figure == "time")


@few
@given(lives(), windows)
def test_invariant_4_idempotence_a_poll_twice_is_that_poll_once(life: list[Step], window: Window) -> None:
    once = [replace(step, twice=False) for step in life]
    twice = [replace(step, twice=True) for step in life]
    with database() as one, database() as other:
        record(one, once)
        record(other, twice)
        assert timeline(read(one, window), window) == timeline(read(other, window), window)


@few
@given(lives(restarts=False), st.data())
def test_invariant_5_insertion_a_further_poll_changes_nothing_or_narrows_a_bracket(
    life: list[Step], data: st.DataObject
) -> None:
    polls = [step.poll for step in life]
    places = [
        here
        for here, (one, other) in enumerate(pairwise(polls))
        if one.readings.keys() == other.readings.keys()
        and not other.clock_step_ms
        and one.received < other.sent
        and other.received - one.received <= PACE.gap_limit_ms
    ]
    assume(places)
    here = data.draw(st.sampled_from(places))
    before, after = polls[here], polls[here + 1]
    received = data.draw(st.integers(before.received + 1, after.sent))
    seen = {agent_id: data.draw(st.sampled_from((before, after))).readings[agent_id] for agent_id in before.readings}
    further = Step(Poll(data.draw(st.integers(before.received, received)), received, seen))
    with database() as one, database() as other:
        record(one, life)
        record(other, [*life[: here + 1], further, *life[here + 1 :]])
        whole = Window(0, END)
        plain, more = timeline(read(one, whole), whole), timeline(read(other, whole), whole)
        for agent_id in plain:
            if before.readings.get(agent_id) == after.readings.get(agent_id):
                assert more[agent_id] == plain[agent_id]
                continue
            assert len(more[agent_id]) in (len(plain[agent_id]), len(plain[agent_id]) + 1, len(plain[agent_id]) - 1)
            wide = {(i.status, i.start_not_before, i.start_not_after) for i in plain[agent_id]}
            for status, low, high in {(i.status, i.start_not_before, i.start_not_after) for i in more[agent_id]} - wide:
                assert any(status == s and least <= low <= high <= most for s, least, most in wide) or high == received


@few
@given(lives(steps=False), windows)
def test_invariant_6_restart_invariance_a_restart_within_the_gap_limit_leaves_no_trace(
    life: list[Step], window: Window
) -> None:
    with database() as one, database() as other:
        record(one, life)
        record(other, without_restarts(life))
        assert timeline(read(one, window), window) == timeline(read(other, window), window)


@few
@given(lives(), windows)
def test_invariant_8_reference_the_store_says_what_every_poll_kept_would_say(life: list[Step], window: Window) -> None:
    with database() as path:
        check_against_reference(path, record(path, life, checkpoint_after=lambda _: 3), window)


@few
@given(lives(), windows)
def test_invariant_9_brackets_hold_the_edges_and_bounds_hold_the_estimates(life: list[Step], window: Window) -> None:
    with database() as path:
        record(path, life)
        facts = read(path, Window(0, END))
        for change in (change for agent in facts.agents for change in agent.changes):
            assert change.not_before is None or change.not_before < change.seen
        for policy in EdgePolicy:
            covered = covered_time(facts, NOW, Rules(policy))
            for agent in facts.agents:
                for i, _ in intervals(agent, covered, window):
                    assert i.start_not_before <= i.start <= i.start_not_after
                    assert i.end_not_before <= i.end <= i.end_not_after or i.status.kind is not Kind.UNKNOWN
                for total in totals(agent, covered, window).values():
                    assert 0 <= total.least <= total.time <= total.most <= window.length


@few
@given(lives(), st.integers(0, END), st.sampled_from(EdgePolicy))
def test_invariant_10_as_of_an_instant_is_the_interval_that_holds_it(
    life: list[Step], at: int, edges: EdgePolicy
) -> None:
    with database() as path:
        kept = record(path, life)
        whole, instant = read(path, Window(0, END)), read(path, Window(at, at + 1))
        rules = Rules(edges)
        found = timeline(whole, Window(0, END), rules)
        for agent in instant.agents:
            holding = [i.status for i in found[agent.agent_id] if i.start <= at < i.end]
            now = status_at(agent, covered_time(instant, NOW, rules), at)
            assert ([now[0]] if now is not None else []) == holding
            if edges is EdgePolicy.SEEN:
                expected = status_by_millisecond(kept, agent.agent_id, at, at + 1)
                assert holding == list(expected.values())


@few
@given(lives(), windows, st.integers(0, 60))
def test_invariant_15_crash_at_any_statement_the_next_start_knows_what_was_committed_and_no_more(
    life: list[Step], window: Window, statements: int
) -> None:
    with database() as path:
        FailingConnection.countdown = None
        committed: list[Kept] = []
        try:
            for end in range(1, len(life) + 1):
                failing = end == len(life)
                if failing:
                    FailingConnection.countdown = statements
                part = life[end - 1 : end]
                now = record(path, part, finish=False, connection_type=FailingConnection)
                committed.extend(_continued(committed, now))
        except (sqlite3.Error, DatabaseError) as error:
            if "disk I/O error" not in str(error):
                raise
        finally:
            FailingConnection.countdown = None
        if path.exists() and committed:
            record(path, [], finish=False)
            check_against_reference(path, _as_stored(path, committed, life), window)


def _continued(before: Sequence[Kept], now: Sequence[Kept]) -> list[Kept]:
    """What one poll written by a new process means after what was kept."""
    if not before or not now:
        return list(now)
    (one,) = now
    silent = one.poll.received - before[-1].poll.received > PACE.gap_limit_ms
    return [Kept(one.poll, silent or bool(one.poll.clock_step_ms))]


def _as_stored(path: Path, committed: list[Kept], life: Sequence[Step]) -> list[Kept]:
    """What was committed; the last poll of the life too, if the failure came when it was already on disk."""
    with sqlite3.connect(path) as connection:
        (last,) = connection.execute("SELECT max(last) FROM coverage").fetchone()
    assert last in {committed[-1].poll.received, life[-1].poll.received}
    if last != committed[-1].poll.received:
        return [*committed, *_continued(committed, [Kept(life[-1].poll, begins=True)])]
    return committed
