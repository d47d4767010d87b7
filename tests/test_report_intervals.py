"""`intervals`: how many agents were in each status, worked out by hand and by brute force over the polls.

In the example a poll is received on every full minute and was sent one second before; the recorder is silent from
09:20 to 09:25. Steps are quarters of an hour.

    Ann  1   Available, On Call 09:05, Available 09:10
    Bob  2   On Break until 09:10, Available; absent 09:35
    Cy   3   asked for from 09:20 on (before the silence), In Training
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import time
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import UsageError
from exporter.history.algebra import Rules, covered_time, totals
from exporter.history.answers import answer
from exporter.history.concurrency import Course, Spans, together
from exporter.history.facts import HistoryFacts, Period
from exporter.history.filters import Selection, Times, at_times
from exporter.history.question import Group, Question
from exporter.history.reader import HistoryReader
from exporter.history.reports.common import tally
from exporter.history.reports.intervals import chunks, intervals, intervals_in_chunks
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import (
    ABSENT,
    AVAILABLE,
    ERROR,
    KNOWN_STATUSES,
    ON_BREAK,
    ON_CALL,
    UNKNOWN,
    EndReason,
    Kind,
    Poll,
    Status,
)
from exporter.report.model import Cell, Report
from tests.support.histories import brute_force, history, poll_facts, polls_and_edges
from tests.support.history_files import RUN
from tests.support.minutes import PACE, UTC, at, facts_of, polled, question, shown

TRAINING = Status(Kind.REPORTED, "In Training")
POLLS = polled(
    {
        "1": [("08:50", AVAILABLE), ("09:05", ON_CALL), ("09:10", AVAILABLE)],
        "2": [("08:50", ON_BREAK), ("09:10", AVAILABLE), ("09:35", ABSENT)],
        "3": [("09:20", TRAINING)],
    },
    "08:50",
    "09:50",
    silent=[("09:20", "09:25")],
)
FACTS = facts_of(POLLS)
ASKED = question("09:00", "09:45")
MINUTE = 60.0


def row(
    start: str, status: str, minutes: float, peak: int, least: int, fewer: tuple[float, float] | None, coverage: float
) -> dict[str, object]:
    ends = {"09:00:00": "09:15:00", "09:15:00": "09:30:00", "09:30:00": "09:45:00"}
    sure, possible = fewer or (None, None)
    return {
        "start": start,
        "end": ends[start],
        "status": status,
        "agent_seconds": minutes * MINUTE,
        "mean_agents": minutes / 15,
        "peak_agents": peak,
        "least_agents": least,
        "fewer_sure_seconds": sure and sure * MINUTE,
        "fewer_possible_seconds": possible and possible * MINUTE,
        "coverage": coverage,
    }


def test_each_interval_says_how_many_were_in_each_status() -> None:
    # 09:00: Ann is Available for 5 + 5 minutes and Bob for the last 5 of them, so there are two at most and none for 5.
    # 09:15: the two are Available to 09:20 and from 09:25 on, and unknown between, as is Cy, who is tracked since
    #        09:20. Known are 10 of 15 minutes of the two and 5 of Cy's 10: 25 of 40.
    # 09:30: Bob is absent for the last 10 minutes: he may be Available or anything.
    first, second, third = "09:00:00", "09:15:00", "09:30:00"
    assert shown(intervals(FACTS, ASKED)) == [
        row(first, "Available", 15, 2, 0, (5, 5), 1.0),
        row(first, "Busy", 0, 0, 0, (15, 15), 1.0),
        row(first, "On Break", 10, 1, 0, (5, 5), 1.0),
        row(first, "On Call", 5, 1, 0, (10, 10), 1.0),
        row(first, "Offline", 0, 0, 0, (15, 15), 1.0),
        row(first, "unknown", 0, 0, 0, None, 1.0),
        row(second, "Available", 20, 2, 0, (0, 5), 25 / 40),
        row(second, "Busy", 0, 0, 0, (10, 15), 25 / 40),
        row(second, "On Break", 0, 0, 0, (10, 15), 25 / 40),
        row(second, "On Call", 0, 0, 0, (10, 15), 25 / 40),
        row(second, "Offline", 0, 0, 0, (10, 15), 25 / 40),
        row(second, "In Training", 5, 1, 0, (5, 10), 25 / 40),
        row(second, "unknown", 15, 3, 0, None, 25 / 40),
        row(third, "Available", 20, 2, 1, (0, 0), 35 / 45),
        row(third, "Busy", 0, 0, 0, (5, 15), 35 / 45),
        row(third, "On Break", 0, 0, 0, (5, 15), 35 / 45),
        row(third, "On Call", 0, 0, 0, (5, 15), 35 / 45),
        row(third, "Offline", 0, 0, 0, (5, 15), 35 / 45),
        row(third, "In Training", 15, 1, 1, (0, 0), 35 / 45),
        row(third, "absent", 10, 1, 0, None, 35 / 45),
        row(third, "unknown", 0, 0, 0, None, 35 / 45),
    ]


def test_more_may_be_wanted_than_one() -> None:
    # Two Available: not before 09:10, not in the silence; from 09:35 on Bob, absent, may be the second.
    rows = intervals(FACTS, replace(ASKED, fewer_than=2, statuses=frozenset({"Available"}))).rows
    assert [(row["fewer_sure_seconds"], row["fewer_possible_seconds"]) for row in rows] == [
        (600_000, 600_000),
        (0, 300_000),
        (0, 600_000),
    ]


def test_by_class_the_five_classes_have_rows_in_every_interval() -> None:
    # 09:00: Ann is available or handling, Bob not ready for 10 minutes. Nobody is too few while one is on a call.
    report = intervals(FACTS, replace(ASKED, groups=frozenset({Group.CLASS})))
    assert [(row["class"], row["agent_seconds"]) for row in report.rows][:10] == [
        ("handling", 300_000),
        ("available", 900_000),
        ("not ready", 600_000),
        ("offline", 0),
        ("not known", 0),
        ("handling", 0),
        ("available", 1_200_000),
        ("not ready", 300_000),
        ("offline", 0),
        ("not known", 900_000),
    ]
    assert [column.name for column in report.columns][:3] == ["start", "end", "class"]


def test_an_interval_without_anybody_has_no_coverage_and_nobody_is_missing() -> None:
    # Recorded from 08:50 on: of the quarter before, the last 10 minutes are tracked.
    rows = shown(intervals(FACTS, replace(question("08:30", "09:00"), statuses=frozenset({"On Call"}))))
    assert rows == [
        {
            "start": "08:30:00",
            "end": "08:45:00",
            "status": "On Call",
            "agent_seconds": 0,
            "mean_agents": None,
            "peak_agents": None,
            "least_agents": None,
            "fewer_sure_seconds": None,
            "fewer_possible_seconds": None,
            "coverage": None,
        },
        {
            "start": "08:45:00",
            "end": "09:00:00",
            "status": "On Call",
            "agent_seconds": 0,
            "mean_agents": 0.0,
            "peak_agents": 0,
            "least_agents": 0,
            "fewer_sure_seconds": 10 * MINUTE,
            "fewer_possible_seconds": 10 * MINUTE,
            "coverage": 1.0,
        },
    ]


def test_intervals_are_those_of_the_clock_and_clipped_to_the_window() -> None:
    # Kathmandu is 5:45 ahead, so its half hours begin at 15 and 45 minutes past the hour of UTC.
    asked = replace(question("09:10", "09:50", zone=ZoneInfo("Asia/Kathmandu")), step_ms=30 * 60_000)
    report = intervals(FACTS, replace(asked, statuses=frozenset({"Available"})))
    assert [(row["start"], row["end"]) for row in shown(report)] == [
        ("14:55:00", "15:00:00"),
        ("15:00:00", "15:30:00"),
        ("15:30:00", "15:35:00"),
    ]


def test_the_header_counts_the_window_and_says_step_and_limit() -> None:
    meta = intervals(FACTS, ASKED).meta
    assert meta["agents"] == 3
    assert (meta["step_seconds"], meta["fewer_than"]) == (900_000, 1)
    assert (meta["tracked_seconds"], meta["unknown_seconds"]) == (115 * 60_000, 15 * 60_000)
    assert meta["known_seconds"] == 90 * 60_000
    assert "fewer than 1" in str(meta["formula"])


def test_a_step_that_does_not_divide_a_day_is_refused() -> None:
    with pytest.raises(UsageError, match="--step 7m does not divide a day"):
        intervals(FACTS, replace(ASKED, step_ms=7 * 60_000))


def test_only_intervals_that_rest_on_the_present_are_provisional() -> None:
    facts = facts_of(polled({"1": [("08:00", AVAILABLE)]}, "08:00", "09:14"), run_open=True)
    asked = replace(question("08:45", "09:15:30", now="09:15:30"), statuses=frozenset({"Available"}))
    report = intervals(facts, asked)
    assert [row["provisional"] for row in report.rows] == [False, True, True]
    assert report.meta["provisional"] is True


def test_rows_are_a_sequence_like_any_other() -> None:
    rows = intervals(FACTS, ASKED).rows
    assert len(rows) == len(list(rows)) == 21
    assert rows[-1] == rows[20] == list(rows)[-1]
    assert rows[1:3] == list(rows)[1:3]
    with pytest.raises(IndexError):
        rows[21]


# --- read in chunks ---------------------------------------------------------------------------------------------------


def test_chunks_are_cut_where_buckets_end_and_tile_the_window() -> None:
    # Steps of an hour; the window begins at 08:50, so a day is full at 09:00 on the next one.
    window = Window(at("08:50"), at("03T10:00"))
    assert [(chunk.since, chunk.until) for chunk in chunks(window, 3_600_000, UTC)] == [
        (at("08:50"), at("02T09:00")),
        (at("02T09:00"), at("03T09:00")),
        (at("03T09:00"), at("03T10:00")),
    ]
    assert list(chunks(Window(5, 5), 3_600_000, UTC)) == []


@pytest.mark.parametrize("bridge", [0, 10 * 60_000])
@pytest.mark.parametrize("wanted", [None, frozenset({"Available", "absent"})])
def test_a_report_read_in_chunks_is_the_same_as_one_read_at_once(
    tmp_path: Path, bridge: int, wanted: frozenset[str] | None
) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    for facts in poll_facts(POLLS, PACE):
        writer.append(facts)
    writer.close(at("09:51"), EndReason.SHUTDOWN)
    asked = replace(question("08:40", "09:55"), rules=Rules(bridge_ms=bridge), statuses=wanted, step_ms=60_000)
    read: list[Window] = []
    with HistoryReader.open(path) as reader:

        def reading(window: Window) -> HistoryFacts:
            read.append(window)
            return reader.facts(window)

        for quarter in (1, 5, 100):
            whole = intervals(reader.facts(Window(0, at("10:30"))), asked)
            in_chunks = intervals_in_chunks(reading, asked, least_ms=quarter * 900_000)
            assert list(in_chunks.rows) == list(whole.rows)
            assert in_chunks.meta == whole.meta
    assert len(read) == 5 + 1 + 1
    assert intervals_in_chunks(lambda _: FACTS, question("09:00", "09:00")).rows[:] == []


def test_an_answer_is_read_in_chunks_with_everything_that_can_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    for facts in poll_facts(POLLS, PACE, team="Sales"):
        writer.append(facts)
    writer.close(at("09:51"), EndReason.SHUTDOWN)
    asked = question("08:40", "09:55")
    times = Times(weekdays=frozenset({2}), hours=(time(9, 5), time(9, 40)))
    selection = Selection(agents=("Agent 1", "3"), teams=("Sales",))
    with HistoryReader.open(path) as reader:
        report = answer(reader, "intervals", asked, selection, statuses=["available"], times=times)
        facts = at_times(reader.facts(Window(0, at("10:30")), selection), times, asked.window, UTC)
    expected = intervals(facts, replace(asked, statuses=frozenset({"Available"})))
    assert list(report.rows) == list(expected.rows)
    # Ann is Available from 09:10 to 09:40, but for 5 minutes in which nobody looks; at other hours nobody is missed.
    assert [row["agent_seconds"] for row in report.rows] == [0, 0, 300_000, 600_000, 600_000, 0]
    assert [row["fewer_possible_seconds"] for row in report.rows] == [None, None, 300_000, 300_000, 0, None]
    assert report.meta == {**expected.meta, "only_at": times.text}


# --- by brute force ---------------------------------------------------------------------------------------------------

MOVED = at("09:01") - 200
"""Histories of some 400 ms are moved to where a bucket ends."""
NEVER = MOVED + 100_000


def moved(polls: list[Poll]) -> list[Poll]:
    return [replace(poll, sent=poll.sent + MOVED, received=poll.received + MOVED) for poll in polls]


def counted(polls: list[Poll], since: int, until: int) -> Iterator[dict[Status | None, int]]:
    """For each millisecond how many agents are in which status; under None how many are tracked."""
    agents = sorted({agent_id for poll in polls for agent_id in poll.readings})
    for instant in range(since, until):
        found: dict[Status | None, int] = {None: 0}
        for agent_id in agents:
            moment = brute_force(polls, agent_id, instant)
            if moment is not None:
                status = moment.status or UNKNOWN
                found[status] = found.get(status, 0) + 1
                found[None] += 1
        yield found


@settings(max_examples=max(200, settings().max_examples))
@given(polls_and_edges(2), st.integers(1, 2))
def test_invariant_11_concurrency_is_what_counting_agents_in_each_millisecond_says(
    case: tuple[list[Poll], tuple[int, ...]], limit: int
) -> None:
    polls, (since, until) = moved(case[0]), (edge + MOVED for edge in case[1])
    facts = history(polls)
    report = intervals(facts, Question(Window(since, until), UTC, NEVER, step_ms=60_000, fewer_than=limit))
    edges = sorted({since, until, *({at("09:01")} if since < at("09:01") < until else ())})
    expected: list[dict[str, Cell]] = []
    for start, end in pairwise(edges):
        counts = list(counted(polls, start, end))
        for status in (*KNOWN_STATUSES, ABSENT, ERROR, UNKNOWN):
            of_status, anybody = map_of(counts, status), any(map_of(counts, None))
            if status not in (ABSENT, ERROR) or any(of_status):
                expected.append(
                    {
                        "start": start,
                        "end": end,
                        "status": status.word,
                        "agent_seconds": sum(of_status),
                        "mean_agents": sum(of_status) / (end - start) if anybody else None,
                        "peak_agents": max(of_status) if anybody else None,
                        "least_agents": min(of_status) if anybody else None,
                        **too_few(counts, status, limit),
                        "coverage": known_part(counts),
                        "provisional": False,
                    }
                )
    assert list(report.rows) == expected


def map_of(counts: list[dict[Status | None, int]], status: Status | None) -> list[int]:
    return [found.get(status, 0) for found in counts]


def known_part(counts: list[dict[Status | None, int]]) -> float | None:
    tracked = sum(map_of(counts, None))
    known = sum(n for found in counts for status, n in found.items() if status and status.kind is Kind.REPORTED)
    return known / tracked if tracked else None


def too_few(counts: list[dict[Status | None, int]], status: Status, limit: int) -> dict[str, int | None]:
    if status.kind is not Kind.REPORTED or not any(map_of(counts, None)):
        return {"fewer_sure_seconds": None, "fewer_possible_seconds": None}
    tracked = [found for found in counts if found[None]]
    maybe = [sum(n for s, n in found.items() if s and s.kind is not Kind.REPORTED) for found in tracked]
    return {
        "fewer_sure_seconds": sum(
            found.get(status, 0) + more < limit for found, more in zip(tracked, maybe, strict=True)
        ),
        "fewer_possible_seconds": sum(found.get(status, 0) < limit for found in tracked),
    }


def by_status(report: Report) -> dict[Cell, int]:
    result: dict[Cell, int] = {}
    for row in report.rows:
        result[row["status"]] = result.get(row["status"], 0) + int(row["agent_seconds"] or 0)
    return {status: time for status, time in result.items() if time}


@settings(max_examples=max(200, settings().max_examples))
@given(polls_and_edges(3), st.sampled_from((0, 30, 200)))
def test_invariant_11_intervals_add_up_to_the_time_in_each_status(
    case: tuple[list[Poll], tuple[int, ...]], bridge: int
) -> None:
    polls, (since, between, until) = moved(case[0]), (edge + MOVED for edge in case[1])
    facts, rules = history(polls), Rules(bridge_ms=bridge)

    def asked(start: int, end: int) -> Report:
        return intervals(facts, Question(Window(start, end), UTC, NEVER, rules=rules, step_ms=60_000))

    whole = asked(since, until)
    covered = covered_time(facts, NEVER, rules)
    expected: dict[str, int] = {}
    for agent in facts.agents:
        for status, total in totals(agent, covered, Window(since, until)).items():
            if total.time:
                expected[status.word] = expected.get(status.word, 0) + total.time
    assert by_status(whole) == expected
    for row in whole.rows:
        least, mean, peak = (row[f"{name}_agents"] for name in ("least", "mean", "peak"))
        assert float(least or 0) <= float(mean or 0) <= float(peak or 0)
    one, other = by_status(asked(since, between)), by_status(asked(between, until))
    assert {status: one.get(status, 0) + other.get(status, 0) for status in {*one, *other}} == expected
    counted = tally(facts.agents, covered, Window(since, until))
    assert [whole.meta[f"{name}_seconds"] for name in ("tracked", "covered", "known", "bridged")] == [
        counted.tracked,
        counted.covered,
        counted.known,
        counted.bridged,
    ]
    assert (whole.meta["agents"], whole.meta["provisional"]) == (counted.agents, counted.provisional)


# --- counts -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))), st.sets(st.integers(1, 29)), st.integers(0, 3))
def test_the_course_of_a_count_is_what_counting_at_each_instant_says(
    ends: list[tuple[int, int]], inner: set[int], limit: int
) -> None:
    periods = [Period(*sorted(pair)) for pair in ends]
    spans = Spans()
    for start, end in periods:
        spans.add(start, end)
    edges = [0, *sorted(inner), 30]
    course = Course(spans.changes(), edges)
    found = list(zip(course.figures, course.time_below(limit), strict=True))
    counts = [sum(start <= instant < end for start, end in periods) for instant in range(30)]
    for (start, end), (figures, below) in zip(pairwise(edges), found, strict=True):
        of_bucket = counts[start:end]
        assert figures == (sum(of_bucket), max(of_bucket), min(of_bucket))
        assert below == sum(count < limit for count in of_bucket)
    empty = Course(together(course.empty_times()), range(31))
    assert [figures.peak for figures in empty.figures] == [int(not count) for count in counts]
