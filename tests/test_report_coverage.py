"""`coverage` of a history of several sources, and how old the evidence of `at` is there.

In the example a poll is received on every full minute and was sent one second before:

    recorder   08:00 to 09:00, and 10:00 to 11:00; stopped in between and at the end
    old.db     polls that were imported, 06:00 to 06:30 and 07:00 to 07:30
    ivr.csv    a log that told every change from 08:30 to 09:30

    Ann  1   of the recorder: Available; absent 08:50 to 08:55, an error 08:55 to 09:00
    Bob  2   of old.db: Busy, On Break 07:10
    Cy   3   of the log: Available, On Call 09:10:10
"""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings

from exporter.history.facts import Change, Description, HistoryFacts, RecordedStretch, Source
from exporter.history.question import Question
from exporter.history.reports.at import at as at_report
from exporter.history.reports.coverage import coverage
from exporter.history.window import Window
from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, ON_BREAK, ON_CALL, EndReason, Kind, Poll, Stretch
from tests.support.histories import agent_facts, brute_force, history, polls_and_edges
from tests.support.minutes import UTC, at, facts_of, polled, question, shown

MINUTE = 60.0


def stretch(started: str, last: str, ended: EndReason | None) -> RecordedStretch:
    polls = (at(last) - at(started)) // 60_000 + 1
    return RecordedStretch(
        Stretch(at(started) - 1_000, at(started), at(last) - 1_000, at(last), polls, 60_000, 150_000), ended
    )


RECORDER = Source(
    0, (stretch("08:00", "09:00", EndReason.SHUTDOWN), stretch("10:00", "11:00", EndReason.SHUTDOWN)), exact=False
)
OLD = Source(
    1, (stretch("06:00", "06:30", EndReason.CRASH), stretch("07:00", "07:30", EndReason.NOT_IN_FILE)), file="old.db"
)
LOG = Source(2, (stretch("08:30", "09:30", EndReason.NOT_IN_FILE),), exact=True, file="ivr.csv")

ANN = agent_facts(
    "1",
    (Description(at("08:00"), "Ann", ""),),
    ((at("08:00"), at("11:00")),),
    (
        Change(at("08:00"), None, None, AVAILABLE),
        Change(at("08:50"), at("08:48:59"), AVAILABLE, ABSENT),
        Change(at("08:55"), at("08:53:59"), ABSENT, ERROR),
        Change(at("10:00"), at("08:59:59"), ERROR, AVAILABLE),
    ),
)
BOB = agent_facts(
    "2",
    (Description(at("06:00"), "Bob", ""),),
    ((at("06:00"), at("07:30")),),
    (Change(at("06:00"), None, None, BUSY), Change(at("07:10"), at("07:08:59"), BUSY, ON_BREAK)),
    source=1,
)
CY = agent_facts(
    "3",
    (Description(at("08:30"), "Cy", ""),),
    ((at("08:30"), at("09:30")),),
    (Change(at("08:30"), None, None, AVAILABLE), Change(at("09:10:10"), at("09:10:10"), AVAILABLE, ON_CALL)),
    source=2,
)
FACTS = HistoryFacts(
    window=Window(at("05:00"), at("12:00")),
    agents=(ANN, BOB, CY),
    sources=(RECORDER, OLD, LOG),
    run_open=False,
    water_mark=None,
)
ASKED = question("05:30", "11:30")


def rows(facts: HistoryFacts, asked: Question = ASKED) -> list[tuple[object, ...]]:
    return [
        (row["source"], row["start"], row["end"], row["reason"], row["polls"]) for row in shown(coverage(facts, asked))
    ]


def test_the_recorders_rows_tile_the_window_and_those_of_imports_stand_beside() -> None:
    # Nothing is said of an import before its first and after its last stretch. A log counts no polls.
    assert rows(FACTS) == [
        ("recorder", "05:30:00", "08:00:00", "not recorded yet", None),
        ("recorder", "08:00:00", "09:00:00", None, 61),
        ("recorder", "09:00:00", "10:00:00", "shutdown", None),
        ("recorder", "10:00:00", "11:00:00", None, 61),
        ("recorder", "11:00:00", "11:30:00", "shutdown", None),
        ("old.db", "06:00:00", "06:30:00", None, 31),
        ("old.db", "06:30:00", "07:00:00", "crash", None),
        ("old.db", "07:00:00", "07:30:00", None, 31),
        ("ivr.csv", "08:30:00", "09:30:00", None, None),
    ]


def test_a_stretch_before_the_window_tells_why_the_window_begins_in_a_gap() -> None:
    assert [row for row in rows(FACTS, question("06:40", "07:20")) if row[0] == "old.db"] == [
        ("old.db", "06:40:00", "07:00:00", "crash", None),
        ("old.db", "07:00:00", "07:20:00", None, 31),
    ]
    assert [row for row in rows(FACTS, question("07:30", "08:20")) if row[0] != "recorder"] == []


def test_a_recorder_that_never_looked_has_no_row_beside_imports() -> None:
    only_imports = replace(FACTS, sources=(Source(0, ()), OLD))
    assert {row[0] for row in rows(only_imports)} == {"old.db"}
    nothing = replace(FACTS, sources=(Source(0, ()),))
    assert rows(nothing) == [("recorder", "05:30:00", "11:30:00", "not recorded yet", None)]


def test_the_header_says_how_the_agents_time_is_known() -> None:
    # Ann: 180 minutes tracked, 60 of them unknown, 5 absent, 5 an error. Bob: 90, 30 of them unknown. Cy: 60, exactly.
    meta = coverage(FACTS, ASKED).meta
    minutes = {
        key: value / 60_000 for key, value in meta.items() if key.endswith("_seconds") and isinstance(value, int)
    }
    assert minutes == {
        "tracked_seconds": 330,
        "covered_seconds": 240,
        "known_seconds": 230,
        "bridged_seconds": 0,
        "bridge_limit_seconds": 0,
        "unknown_seconds": 90,
        "exact_seconds": 60,
        "sampled_seconds": 180,
        "absent_seconds": 5,
        "error_seconds": 5,
    }
    shares = {key: meta[key] for key in meta if key.endswith("_share")}
    assert shares == {
        "exact_share": 60 / 330,
        "sampled_share": 180 / 330,
        "bridged_share": 0.0,
        "unknown_share": 90 / 330,
    }


def test_a_window_without_anybody_has_no_shares() -> None:
    meta = coverage(FACTS, question("05:00", "05:30")).meta
    assert [meta[key] for key in meta if key.endswith("_share")] == [None] * 4


@settings(max_examples=max(200, settings().max_examples))
@given(polls_and_edges(2))
def test_coverage_counts_what_brute_force_over_the_polls_counts(case: tuple[list[Poll], tuple[int, ...]]) -> None:
    polls, window = case[0], Window(*case[1])
    report = coverage(history(polls), Question(window, UTC, 100_000))
    agents = {agent_id for poll in polls for agent_id in poll.readings}
    moments = [brute_force(polls, key, instant) for key in agents for instant in range(window.since, window.until)]
    statuses = [moment.status for moment in moments if moment is not None]
    kinds = [status.kind if status is not None else None for status in statuses]
    assert [report.meta[f"{name}_seconds"] for name in ("absent", "error", "unknown", "sampled", "exact")] == [
        kinds.count(Kind.ABSENT),
        kinds.count(Kind.ERROR),
        kinds.count(None),
        len(kinds) - kinds.count(None),
        0,
    ]
    # A millisecond is covered if a poll was received then or before, and the next one at most 25 ms after that one.
    covered = set()
    for one, other in pairwise(polls):
        if other.received - one.received <= 25:
            covered.update(range(one.received, other.received))
    found = {}
    for row in report.rows:
        start, end = row["start"], row["end"]
        assert isinstance(start, int)
        assert isinstance(end, int)
        assert row["duration_seconds"] == end - start > 0
        found.update(dict.fromkeys(range(start, end), row["covered"]))
    assert found == {instant: instant in covered for instant in range(window.since, window.until)}
    assert sum(int(row["duration_seconds"] or 0) for row in report.rows) == window.length


# --- the evidence of `at` ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "agent", "status", "age"),
    [
        # Somebody looks: a poll came at the start of the stretch, where the status was first seen, or 150 s ago.
        ("08:01", "1", "Available", 60),
        ("08:30", "1", "Available", 150),
        # Nobody looks: the last poll was at 09:00.
        ("09:20", "1", "unknown", 1200),
        # What Bob was in is known by the import, whatever the recorder did.
        ("07:11", "2", "On Break", 60),
        ("06:45", "2", "unknown", 900),
        # A log tells every instant.
        ("09:05", "3", "Available", 0),
        ("09:10:10", "3", "On Call", 0),
    ],
)
def test_the_evidence_is_that_of_the_source_which_tells_of_the_agent(
    clock: str, agent: str, status: str, age: int
) -> None:
    window = Window(at(clock), at(clock) + 1)
    report = at_report(FACTS, Question(window, UTC, at("31T00:00")))
    assert [(row["status"], row["evidence_age_seconds"]) for row in report.rows if row["agent_id"] == agent] == [
        (status, age * 1000)
    ]


def test_evidence_is_not_older_than_the_tracking_of_the_agent() -> None:
    facts = facts_of(polled({"1": [("08:00", AVAILABLE)], "2": [("08:30", AVAILABLE)]}, "08:00", "09:00"))
    window = Window(at("08:31"), at("08:31") + 1)
    report = at_report(facts, Question(window, UTC, at("31T00:00")))
    assert [row["evidence_age_seconds"] for row in report.rows] == [150_000, 60_000]
