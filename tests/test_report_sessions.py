"""`sessions`: when agents logged in and out, worked out by hand and by brute force over the polls.

In the examples a poll is received on every full minute and was sent one second before; the recorder is silent from
12:00 to 12:30 and from 16:00 to 17:00. The window is 07:30 to 17:30.

    Ann  1   Offline, Available 08:00, On Break 10:00, Available 10:15, Offline 11:00, Available 11:30,
             absent 14:00, Busy 14:10, Offline 17:00 (first seen after the silence)
    Bob  2   asked for from 09:00 on, always Available
    Cy   3   Available all the time, no longer asked for at 10:00
    Dee  4   Offline until 12:00, Available 12:30 (after the silence), Offline 12:40
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.history.algebra import EdgePolicy, Rules, covered_time, totals
from exporter.history.classes import DEFAULT_CLASSES, STAFFED, Classes
from exporter.history.question import Group, Question
from exporter.history.reader import HistoryReader
from exporter.history.reports.sessions import DAY_COLUMNS, sessions
from exporter.history.sessions import Session, sessions_of
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import (
    ABSENT,
    AVAILABLE,
    BUSY,
    OFFLINE,
    ON_BREAK,
    ON_CALL,
    UNKNOWN,
    AgentId,
    EndReason,
    Poll,
    Status,
)
from tests.support.documents import ROOT, read
from tests.support.histories import brute_force, history, poll_facts, polls_and_edges
from tests.support.history_files import RUN
from tests.support.minutes import PACE, at, facts_of, polled, question, shown

POLLS = polled(
    {
        "1": [
            ("07:00", OFFLINE),
            ("08:00", AVAILABLE),
            ("10:00", ON_BREAK),
            ("10:15", AVAILABLE),
            ("11:00", OFFLINE),
            ("11:30", AVAILABLE),
            ("14:00", ABSENT),
            ("14:10", BUSY),
            ("17:00", OFFLINE),
        ],
        "2": [("09:00", AVAILABLE)],
        "3": [("07:00", AVAILABLE), ("10:00", None)],
        "4": [("07:00", OFFLINE), ("12:30", AVAILABLE), ("12:40", OFFLINE)],
    },
    "07:00",
    "18:00",
    silent=[("12:00", "12:30"), ("16:00", "17:00")],
)
FACTS = facts_of(POLLS)
ASKED = question("07:30", "17:30")
HOUR, MINUTE = 3_600.0, 60.0
NAMES = ("agent_id", "name")


def test_a_session_lasts_from_the_first_sight_of_a_staffed_status_to_the_first_of_a_logged_out_one() -> None:
    # Ann's second session: 12:00 to 12:30, 14:00 to 14:10 and 16:00 to 17:00 are not known, 100 minutes of 330. She
    # was last seen logged in by the poll of 16:00, sent a second before.
    assert shown(sessions(FACTS, ASKED), without=NAMES)[:2] == [
        {
            "start": "08:00:00",
            "end": "11:00:00",
            "duration_seconds": 3 * HOUR,
            "staffed_seconds": 3 * HOUR,
            "unknown_seconds": 0,
            "start_not_before": "07:58:59",
            "start_not_after": "08:00:00",
            "end_not_before": "10:58:59",
            "end_not_after": "11:00:00",
            "coverage": 1.0,
        },
        {
            "start": "11:30:00",
            "end": "17:00:00",
            "duration_seconds": 330 * MINUTE,
            "staffed_seconds": 230 * MINUTE,
            "unknown_seconds": 100 * MINUTE,
            "start_not_before": "11:28:59",
            "start_not_after": "11:30:00",
            "end_not_before": "15:59:59",
            "end_not_after": "17:00:00",
            "coverage": 230 / 330,
        },
    ]


def test_a_session_that_goes_on_or_whose_end_nobody_saw_is_open_and_has_no_end() -> None:
    # Bob was first seen at 09:00, and nothing tells since when he had been logged in; 90 of his 510 minutes are not
    # known. Cy was last asked for at 09:59.
    assert shown(sessions(FACTS, ASKED), without=NAMES)[2:4] == [
        {
            "start": "09:00:00",
            "end": None,
            "duration_seconds": 510 * MINUTE,
            "staffed_seconds": 420 * MINUTE,
            "unknown_seconds": 90 * MINUTE,
            "start_not_before": None,
            "start_not_after": "09:00:00",
            "end_not_before": "17:30:00",
            "end_not_after": None,
            "open": True,
            "coverage": 420 / 510,
        },
        {
            "start": "07:30:00",
            "end": None,
            "duration_seconds": 149 * MINUTE,
            "staffed_seconds": 149 * MINUTE,
            "unknown_seconds": 0,
            "start_not_before": "07:30:00",
            "start_not_after": "07:30:00",
            "end_not_before": "09:58:59",
            "end_not_after": None,
            "carried_in": True,
            "open": True,
            "coverage": 1.0,
        },
    ]


def test_a_log_in_after_unknown_time_lies_in_a_bracket_that_begins_with_the_last_sight_of_offline() -> None:
    (dee,) = shown(sessions(FACTS, ASKED), without=NAMES)[4:]
    assert (dee["start_not_before"], dee["start"], dee["end"]) == ("11:59:59", "12:30:00", "12:40:00")
    assert (dee["duration_seconds"], dee["unknown_seconds"]) == (10 * MINUTE, 0)


def test_unknown_time_at_the_end_of_the_window_is_no_part_of_a_session() -> None:
    # At 16:30 nobody has looked since 16:00.
    rows = shown(sessions(FACTS, question("15:00", "16:30")), without=NAMES)
    assert [(row["end"], row["duration_seconds"], row["unknown_seconds"], row["open"]) for row in rows] == [
        (None, HOUR, 0, True),
        (None, HOUR, 0, True),
    ]


def test_unknown_time_at_the_start_of_the_window_says_nothing_of_when_a_session_began() -> None:
    # Bob is seen at 12:30; that he was logged in before the silence is not in the window.
    (dee, ann, bob) = sorted(
        shown(sessions(FACTS, question("12:10", "13:00"))), key=lambda row: str(row["agent_id"]), reverse=True
    )[:3]
    for row in (dee, ann, bob):
        assert (row["start"], row["start_not_before"]) == ("12:30:00", None)
        assert "carried_in" not in row


def test_what_counts_as_logged_out_is_the_questions_classes() -> None:
    # With On Break as a way of being logged out Ann's first session is two.
    classes = Classes(not_ready=frozenset({"Busy"}), offline=frozenset({"Offline", "On Break"}))
    report = sessions(FACTS, replace(ASKED, classes=classes))
    assert [(row["start"], row["end"]) for row in shown(report)][:2] == [
        ("08:00:00", "10:00:00"),
        ("10:15:00", "11:00:00"),
    ]
    assert "not Offline or On Break" in str(report.meta["formula"])


def test_bridged_time_is_staffed_time_that_nobody_saw() -> None:
    # A bridge over the half hour at noon adds 30 of Bob's minutes, but no coverage.
    bridged = sessions(FACTS, replace(ASKED, rules=Rules(bridge_ms=30 * 60_000)))
    bob = shown(bridged)[2]
    assert (bob["staffed_seconds"], bob["unknown_seconds"], bob["coverage"]) == (450 * MINUTE, 60 * MINUTE, 420 / 510)


def test_what_a_poll_that_stands_alone_saw_ends_a_session_though_it_proves_no_time() -> None:
    # Between 12:00 and 12:30 one poll came through, at 12:15, and saw Offline.
    polls = polled(
        {"1": [("11:30", AVAILABLE), ("12:15", OFFLINE), ("12:20", AVAILABLE)]},
        "11:30",
        "13:00",
        silent=[("12:00", "12:15"), ("12:15", "12:30")],
    )
    rows = shown(sessions(facts_of(polls), question("11:30", "13:00")), without=NAMES)
    assert [(row["start"], row["end"], row["end_not_before"], row["start_not_before"]) for row in rows] == [
        ("11:30:00", "12:15:00", "11:59:59", None),
        ("12:30:00", None, "12:59:59", "12:15:00"),
    ]
    assert [row["unknown_seconds"] for row in rows] == [15 * MINUTE, 0]


@pytest.mark.parametrize(
    "window", [("07:30", "17:30"), ("11:00", "11:30"), ("12:00", "12:31"), ("12:10", "17:01"), ("16:00", "16:30")]
)
def test_a_reader_of_the_window_knows_all_that_is_needed(tmp_path: Path, window: tuple[str, str]) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    for facts in poll_facts(POLLS, PACE):
        writer.append(facts)
    writer.close(at("18:01"), EndReason.SHUTDOWN)
    asked = question(*window)
    with HistoryReader.open(path) as reader:
        assert sessions(reader.facts(asked.window), asked).rows == sessions(FACTS, asked).rows


def test_the_present_is_provisional() -> None:
    facts = facts_of(polled({"1": [("08:00", AVAILABLE)]}, "08:00", "09:00"), run_open=True)
    (row,) = shown(sessions(facts, question("08:00", "09:00:30", now="09:00:30")), without=NAMES)
    assert (row["end"], row["duration_seconds"], row["open"], row["provisional"]) == (None, HOUR + 30, True, True)


# --- by day -----------------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = polled(
    # Berlin is two hours ahead: logged in from 22:00 on 1 July to 06:00 on 2 July, and from 08:30 to 08:40 on that day.
    {
        "1": [
            ("19:00", OFFLINE),
            ("20:00", AVAILABLE),
            ("02T04:00", OFFLINE),
            ("02T06:30", ON_CALL),
            ("02T06:40", OFFLINE),
        ]
    },
    "19:00",
    "02T23:00",
    silent=[("21:50", "22:10")],
)


def test_by_day_each_agent_has_a_row_for_each_local_day_with_tracked_time() -> None:
    # The silence is from 23:50 to 00:10 in Berlin. 1 July: tracked since 21:00, so 170 of 180 minutes are known.
    # 3 July: tracked until the window ends at 02:00, but nobody looks after 01:00: half of it is known.
    asked = replace(question("12:00", "03T00:00", zone=BERLIN), groups=frozenset({Group.AGENT, Group.DAY}))
    report = sessions(facts_of(NIGHT), asked)
    assert shown(report, without=NAMES) == [
        {
            "day": "2026-07-01",
            "first_in": "22:00:00",
            "last_out": None,
            "sessions": 1,
            "staffed_seconds": 110 * MINUTE,
            "unknown_seconds": 10 * MINUTE,
            "first_in_not_before": "21:58:59",
            "last_out_not_before": None,
            "open": True,
            "coverage": 170 / 180,
        },
        {
            "day": "2026-07-02",
            "first_in": "02T00:10:00",
            "last_out": "02T08:40:00",
            "sessions": 1,
            "staffed_seconds": 360 * MINUTE,
            "unknown_seconds": 10 * MINUTE,
            "first_in_not_before": None,
            "last_out_not_before": "02T08:38:59",
            "carried_in": True,
            "coverage": 1430 / 1440,
        },
        {
            "day": "2026-07-03",
            "first_in": None,
            "last_out": None,
            "sessions": 0,
            "staffed_seconds": 0,
            "unknown_seconds": 0,
            "first_in_not_before": None,
            "last_out_not_before": None,
            "coverage": 0.5,
        },
    ]
    assert "first instant of the local day" in str(report.meta["formula"])


def test_the_fields_of_a_day_are_documented_and_nothing_else() -> None:
    table = (
        read(ROOT / "docs" / "cli.md").partition("\n| Of a day | Meaning |\n| --- | --- |\n")[2].partition("\n\n")[0]
    )
    documented = {name for line in table.splitlines() for name in re.findall("`([a-z_]+)`", line.split(" | ")[0])}
    assert documented == {column.name for column in DAY_COLUMNS} - {"agent_id", "name", "day", "provisional"}


# --- by brute force ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    start: int
    end: int
    is_open: bool
    carried_in: bool
    staffed: int
    start_not_before: int | None
    end_not_before: int
    end_not_after: int | None


WORKING = (AVAILABLE, BUSY)
SOMETIMES_OUT = {ON_CALL: OFFLINE}


def with_log_outs(polls: list[Poll]) -> list[Poll]:
    """The polls, with Offline in place of On Call."""
    return [
        replace(poll, readings={key: SOMETIMES_OUT.get(status, status) for key, status in poll.readings.items()})
        for poll in polls
    ]


def expected(polls: list[Poll], agent_id: AgentId, since: int, until: int) -> Iterator[Expected]:
    """The sessions by looking at every poll and every millisecond."""
    moments = {at: brute_force(polls, agent_id, at) for at in range(since - 1, until)}
    tracked = [at for at in range(since, until) if moments[at] is not None]
    starts = [at for at in tracked if at == since or moments[at - 1] is None]
    ends = [at + 1 for at in tracked if at + 1 == until or moments[at + 1] is None]
    for start, end in zip(starts, ends, strict=True):
        statuses = {at: moment.status or UNKNOWN for at, moment in moments.items() if moment is not None}
        yield from _expected(polls, agent_id, start, end, statuses, is_window_start=start == since)


def _expected(
    polls: list[Poll], agent_id: AgentId, start: int, end: int, statuses: Mapping[int, Status], *, is_window_start: bool
) -> Iterator[Expected]:
    seen = [i for i, poll in enumerate(polls) if start <= poll.received < end and agent_id in poll.readings]
    carrier = max((i for i, poll in enumerate(polls) if poll.received <= start), default=None)
    before = statuses.get(start - 1) if is_window_start else None
    carries = carrier is not None and statuses[start] is not UNKNOWN and before == statuses[start]
    sights = [(start, carrier)] if carries and carrier is not None else []
    sights += [(polls[i].received, i) for i in seen if not (carries and i == carrier)]
    running: list[tuple[int, int]] = []
    out_until: int | None = None
    not_before: int | None = None

    def session(until: int, end_not_after: int | None) -> Expected:
        staffed = [at for at in range(running[0][0], until) if statuses[at] in WORKING]
        return Expected(
            running[0][0],
            until,
            end_not_after is None,
            carries and running[0][0] == start,
            len(staffed),
            start if carries and running[0][0] == start else not_before,
            sure_until(polls, agent_id, running[-1][1], start, end),
            end_not_after,
        )

    for instant, i in sights:
        status = polls[i].readings[agent_id]
        if status in WORKING:
            if not running:
                not_before = out_until
            running.append((instant, i))
        elif status is OFFLINE:
            if running:
                yield session(instant, instant)
            running, out_until = [], sure_until(polls, agent_id, i, start, end)
    if running:
        known = [at + 1 for at in range(running[0][0], end) if statuses[at] in WORKING]
        yield session(max([running[-1][0], *known]), None)


def sure_until(polls: list[Poll], agent_id: AgentId, i: int, start: int, end: int) -> int:
    """Until when the status that the poll `i` saw surely lasted, inside [start, end)."""

    def joined(j: int) -> bool:
        return (
            polls[j].received - polls[j - 1].received <= 25
            and agent_id in polls[j - 1].readings
            and agent_id in polls[j].readings
        )

    status = polls[i].readings[agent_id]
    while i + 1 < len(polls) and joined(i + 1) and polls[i + 1].readings[agent_id] is status:
        i += 1
    is_first = i == 0 or not joined(i)
    return min(max(polls[i].received if is_first else polls[i].sent, start), end)


def found(polls: list[Poll], agent_id: AgentId, since: int, until: int) -> list[Session]:
    facts = history(polls)
    (agent,) = (agent for agent in facts.agents if agent.agent_id == agent_id)
    return list(sessions_of(agent, covered_time(facts, 100_000), Window(since, until), DEFAULT_CLASSES))


@settings(max_examples=max(300, settings().max_examples))
@given(polls_and_edges(2))
def test_sessions_are_what_brute_force_over_the_polls_says(case: tuple[list[Poll], tuple[int, ...]]) -> None:
    polls, (since, until) = with_log_outs(case[0]), case[1]
    for agent_id in sorted({agent_id for poll in polls for agent_id in poll.readings}):
        assert [
            Expected(
                session.start,
                session.end,
                session.open,
                session.carried_in,
                sum(end - start for start, end in session.staffed),
                session.start_not_before,
                session.end_not_before,
                session.end_not_after,
            )
            for session in found(polls, agent_id, since, until)
        ] == list(expected(polls, agent_id, since, until))


@settings(max_examples=max(200, settings().max_examples))
@given(polls_and_edges(2), st.sampled_from(EdgePolicy), st.sampled_from((0, 30, 200)))
def test_all_staffed_time_lies_in_exactly_one_session_whatever_the_rules(
    case: tuple[list[Poll], tuple[int, ...]], edges: EdgePolicy, bridge: int
) -> None:
    polls, (since, until) = with_log_outs(case[0]), case[1]
    facts, window = history(polls), Window(since, until)
    covered = covered_time(facts, 100_000, Rules(edges, bridge))
    for agent in facts.agents:
        listed = list(sessions_of(agent, covered, window, DEFAULT_CLASSES))
        by_status = totals(agent, covered, window)
        staffed = [total for status, total in by_status.items() if DEFAULT_CLASSES.of(status) in STAFFED]
        periods = [period for session in listed for period in session.staffed]
        assert sum(end - start for start, end in periods) == sum(total.time for total in staffed)
        bridged = [period for session in listed for period in session.bridged]
        assert sum(end - start for start, end in bridged) == sum(total.bridged for total in staffed)
        for one, other in pairwise(listed):
            assert one.end <= other.start
        for session in listed:
            assert since <= session.start <= session.end <= until
            assert session.start_not_before is None or session.start_not_before <= session.start
            assert session.end_not_after is None or session.end <= session.end_not_after
            assert session.end_not_before <= session.end or session.open
            assert all(session.start <= start <= end <= session.end for start, end in session.staffed)


MIDNIGHT = at("02T00:00")


@settings(max_examples=max(100, settings().max_examples))
@given(polls_and_edges(2), st.integers(0, 300))
def test_the_days_of_sessions_add_up_to_the_sessions(case: tuple[list[Poll], tuple[int, ...]], early: int) -> None:
    moved = MIDNIGHT - early
    polls = [replace(poll, sent=poll.sent + moved, received=poll.received + moved) for poll in with_log_outs(case[0])]
    since, until = (edge + moved for edge in case[1])
    asked = Question(Window(since, until), ZoneInfo("UTC"), moved + 100_000)
    facts = history(polls)
    whole = sessions(facts, asked).rows
    days = sessions(facts, replace(asked, groups=frozenset({Group.DAY}))).rows
    for column in ("staffed_seconds", "unknown_seconds"):
        assert sum(int(row[column] or 0) for row in days) == sum(int(row[column] or 0) for row in whole)
    assert sum(int(row["sessions"] or 0) for row in days) == sum(not row["carried_in"] for row in whole)
    ends = {row["end"] for row in whole if row["end"] is not None}
    assert {row["last_out"] for row in days if row["last_out"] is not None} <= ends


@pytest.mark.parametrize("groups", [frozenset[Group](), frozenset({Group.DAY})])
def test_a_window_without_anybody_has_no_rows(groups: frozenset[Group]) -> None:
    report = sessions(FACTS, replace(question("02:00", "03:00"), groups=groups))
    assert list(report.rows) == []
    assert (report.meta["agents"], report.meta["coverage"]) == (0, None)
