"""`long`: stays that lasted too long, worked out by hand and by brute force over the polls.

In the example a poll is received on every full minute and was sent one second before; the recorder is silent from
10:20 to 11:00, and at 12:00:30 it is still running. A stay is long beyond 15 minutes.

    Ann  1   Available, On Break 09:00 to 09:20, and 10:00 to 10:15
    Bob  2   Available, On Break 09:50, Available 11:05
    Cy   3   Busy from 07:30 on, Available 08:10
    Dee  4   asked for from 08:30 on, On Break, Available 09:00
    Eve  5   Available, On Break 11:40
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.history.algebra import Rules
from exporter.history.classes import Classes
from exporter.history.filters import Selection, select
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.reports.long import long
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import AVAILABLE, BUSY, ON_BREAK, AgentId, EndReason, Poll, Status
from exporter.report.model import Cell
from tests.support.histories import brute_force, history, poll_facts, polls_and_edges
from tests.support.history_files import RUN
from tests.support.minutes import PACE, UTC, at, facts_of, polled, question, shown

POLLS = polled(
    {
        "1": [
            ("07:00", AVAILABLE),
            ("09:00", ON_BREAK),
            ("09:20", AVAILABLE),
            ("10:00", ON_BREAK),
            ("10:15", AVAILABLE),
        ],
        "2": [("07:00", AVAILABLE), ("09:50", ON_BREAK), ("11:05", AVAILABLE)],
        "3": [("07:00", AVAILABLE), ("07:30", BUSY), ("08:10", AVAILABLE)],
        "4": [("08:30", ON_BREAK), ("09:00", AVAILABLE)],
        "5": [("07:00", AVAILABLE), ("11:40", ON_BREAK)],
    },
    "07:00",
    "12:00",
    silent=[("10:20", "11:00")],
)
FACTS = facts_of(POLLS, run_open=True)
ASKED = question("08:00", "12:00:30", now="12:00:30")
MINUTE = 60.0


def row(agent: str, status: str, start: str, end: str | None, seconds: float, *flags: str) -> dict[str, object]:
    return {
        "agent_id": agent,
        "name": f"Agent {agent}",
        "status": status,
        "start": start,
        "end": end,
        "duration_seconds": seconds,
        "over_seconds": seconds - 15 * MINUTE,
        "bridged_seconds": 0,
        **dict.fromkeys(flags, True),
    }


def test_long_stays_are_those_strictly_longer_than_the_limit_with_bounds() -> None:
    # Ann's break began in (08:58:59, 09:00:00] and ended in (09:18:59, 09:20:00]: 1139 to 1261 seconds. Her other one
    # was 15 minutes long, not longer. Cy was Busy in (07:28:59, 07:30:00] to (08:08:59, 08:10:00], before the window.
    # Bob was last seen on his break at 10:20, by a poll sent at 10:19:59; his 5 minutes from 11:00 on are another stay.
    # Nobody saw Dee's break begin, and Eve's goes on.
    assert shown(long(FACTS, ASKED)) == [
        row("1", "On Break", "09:00:00", "09:20:00", 20 * MINUTE) | {"min_seconds": 1139, "max_seconds": 1261},
        row("2", "On Break", "09:50:00", "10:20:00", 30 * MINUTE, "censored")
        | {"min_seconds": 1799, "max_seconds": None},
        row("3", "Busy", "07:30:00", "08:10:00", 40 * MINUTE, "carried_in")
        | {"min_seconds": 2339, "max_seconds": 2461},
        row("4", "On Break", "08:30:00", "09:00:00", 30 * MINUTE, "censored")
        | {"min_seconds": 1739, "max_seconds": None},
        row("5", "On Break", "11:40:00", None, 20 * MINUTE + 30, "open", "censored", "provisional")
        | {"min_seconds": 1199, "max_seconds": None},
    ]


def test_a_stay_that_touches_the_window_is_shown_whole() -> None:
    rows = shown(long(FACTS, question("08:09", "09:01")))
    assert [(row["agent_id"], row["start"], row["end"]) for row in rows] == [
        ("1", "09:00:00", "09:20:00"),
        ("3", "07:30:00", "08:10:00"),
        ("4", "08:30:00", "09:00:00"),
    ]
    assert [row.get("carried_in") for row in rows] == [None, True, None]
    # At 09:00 the breaks of Ann and Dee begin and end: the one touches the window before it, the other that behind it.
    assert [row["agent_id"] for row in long(FACTS, question("08:30", "09:00")).rows] == ["4"]
    assert [row["agent_id"] for row in long(FACTS, question("09:00", "09:10")).rows] == ["1"]


def test_a_bridged_gap_does_not_end_a_stay() -> None:
    asked = replace(ASKED, rules=Rules(bridge_ms=40 * 60_000))
    bob = shown(long(FACTS, asked))[1]
    assert (bob["start"], bob["end"], bob["duration_seconds"]) == ("09:50:00", "11:05:00", 75 * MINUTE)
    assert "censored" not in bob
    # Nobody was looking from 10:20 to 11:00, so that is not sure. Sure are 09:50:00 to 10:19:59, when the last poll
    # before the gap was sent, and 11:00:00 to 11:03:59. At most it was 09:48:59 to 11:05:00.
    assert (bob["bridged_seconds"], bob["min_seconds"], bob["max_seconds"]) == (40 * MINUTE, 1799 + 239, 4561)


def test_other_statuses_and_limits_can_be_asked_for() -> None:
    asked = replace(ASKED, statuses=frozenset({"Available"}), over_ms=2 * 3_600_000 - 1)
    assert [(row["agent_id"], row["start"]) for row in shown(long(FACTS, asked))] == [
        ("1", "07:00:00"),
        ("2", "07:00:00"),
        ("3", "08:10:00"),
        ("5", "07:00:00"),
    ]
    classes = Classes(not_ready=frozenset({"Busy"}), offline=frozenset({"Offline", "On Break"}))
    report = long(FACTS, replace(ASKED, classes=classes))
    assert [row["agent_id"] for row in report.rows] == ["3"]
    assert report.meta["over_limit_seconds"] == 900_000
    assert "longer than 15m" in str(report.meta["formula"])


def test_a_stay_outside_the_times_that_are_selected_is_left_out() -> None:
    facts = replace(FACTS, agents=select(FACTS.agents, Selection(agents=("Agent 1", "5"))))
    assert [row["agent_id"] for row in long(facts, ASKED).rows] == ["1", "5"]
    nobody = replace(FACTS, agents=tuple(replace(agent, selected=()) for agent in FACTS.agents))
    assert long(nobody, ASKED).rows == []


@pytest.mark.parametrize("window", [("08:09", "09:01"), ("09:05", "09:06"), ("10:05", "10:40"), ("11:55", "12:00:30")])
@pytest.mark.parametrize("bridge", [0, 40 * 60_000])
def test_a_reader_of_the_window_knows_the_whole_stays(tmp_path: Path, window: tuple[str, str], bridge: int) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    for facts in poll_facts(POLLS, PACE):
        writer.append(facts)
    writer.close(at("12:00:30"), EndReason.SHUTDOWN)
    asked = replace(question(*window), rules=Rules(bridge_ms=bridge), over_ms=60_000)
    around = Window(asked.window.since - bridge, asked.window.until + bridge)
    with HistoryReader.open(path) as reader:
        assert long(reader.facts(around, whole_stays=True), asked).rows == long(facts_of(POLLS), asked).rows


# --- by brute force ---------------------------------------------------------------------------------------------------


def expected(polls: list[Poll], agent_id: AgentId, window: Window, over: int) -> Iterator[dict[str, Cell]]:
    """The stays by looking at every poll and every millisecond."""
    moments = [brute_force(polls, agent_id, instant) for instant in range(500)]
    statuses = [moment.status if moment is not None else None for moment in moments] + [None]
    start = 0
    for instant in range(1, 501):
        status = statuses[start]
        if statuses[instant] is status:
            continue
        if status in (BUSY, AVAILABLE) and instant > window.since and start < window.until and instant - start > over:
            yield _expected(polls, agent_id, (start, instant), status, over, window)
        start = instant


def _expected(
    polls: list[Poll], agent_id: AgentId, stay: tuple[int, int], status: Status | None, over: int, window: Window
) -> dict[str, Cell]:
    start, end = stay
    first = next(i for i, poll in enumerate(polls) if poll.received == start)
    behind = next((i for i, poll in enumerate(polls) if poll.received == end), None)
    last = max(i for i, poll in enumerate(polls) if poll.received < end)
    ends_seen = behind is not None and joined(polls, agent_id, behind) and polls[behind].readings[agent_id] != status
    if not ends_seen and behind is not None:
        last = behind  # the last one of a stretch, or the last that asked for the agent
    censored = not joined(polls, agent_id, first) or not ends_seen
    least = max(0, last_sight(polls, agent_id, last) - start)
    return {
        "start": start,
        "end": end,
        "duration_seconds": end - start,
        "min_seconds": least,
        "max_seconds": None if censored else end - last_sight(polls, agent_id, first - 1),
        "over_seconds": end - start - over,
        "bridged_seconds": 0,
        "carried_in": start < window.since,
        "open": False,
        "censored": censored,
        "provisional": False,
        "status": status.word if status else None,
        "agent_id": agent_id,
        "name": f"Agent {agent_id}",
    }


def joined(polls: list[Poll], agent_id: AgentId, i: int) -> bool:
    """Whether the poll before belongs to the same stretch and asked for the agent too, as did this one."""
    if i == 0 or polls[i].received - polls[i - 1].received > 25:
        return False
    return agent_id in polls[i - 1].readings and agent_id in polls[i].readings


def last_sight(polls: list[Poll], agent_id: AgentId, i: int) -> int:
    """Until when what the poll `i` saw was surely so: the first poll of a stretch proves nothing before its receipt."""
    return polls[i].sent if joined(polls, agent_id, i) else polls[i].received


@settings(max_examples=max(200, settings().max_examples))
@given(polls_and_edges(2), st.integers(0, 40))
def test_long_stays_are_what_brute_force_over_the_polls_says(
    case: tuple[list[Poll], tuple[int, ...]], over: int
) -> None:
    polls, window = case[0], Window(*case[1])
    wanted = frozenset({"Busy", "Available"})
    report = long(history(polls), Question(window, UTC, 100_000, statuses=wanted, over_ms=over))
    agents = sorted({agent_id for poll in polls for agent_id in poll.readings})
    in_scope = {
        agent_id: any(brute_force(polls, agent_id, instant) for instant in range(window.since, window.until))
        for agent_id in agents
    }
    assert list(report.rows) == [
        row for agent_id in agents if in_scope[agent_id] for row in expected(polls, agent_id, window, over)
    ]
