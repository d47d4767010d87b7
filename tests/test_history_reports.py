"""The reports on a small history whose right answers are worked out by hand.

Polls come every 30 s, are answered within 1 s, and a stretch survives 75 s of silence (2026-07-01, UTC):

    stretch 1   08:00:00 to 08:02:00   ended by a crash
    stretch 2   08:10:00 to 08:12:00   goes on; it is 08:12:20 now

    Ann  1001   tracked from 08:00:00   Available; On Call seen 08:01:00; Available seen 08:11:00
    Bob  1002   tracked from 08:01:00   Busy; absent seen 08:10:00 (through the gap)
    Cleo 1003   tracked 07:00:00 to 07:30:00 only, before the history begins again

Ann and Cleo are in Sales; Bob is in Support until 08:11:00, then in Sales.
The window is 08:00:30 to 08:12:20, 710 s long.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from exporter.errors import UsageError
from exporter.history.facts import (
    FOREVER,
    Change,
    Description,
    HistoryFacts,
    Period,
    RecordedStretch,
)
from exporter.history.filters import Selection, select, status_words
from exporter.history.question import Question
from exporter.history.reports import REPORTS
from exporter.history.window import Window, iso_text
from exporter.model import (
    ABSENT,
    AVAILABLE,
    BUSY,
    ON_CALL,
    EndReason,
    Stretch,
)
from exporter.report.model import ColumnKind, Report
from tests.support.histories import agent_facts, recorder

UTC = ZoneInfo("UTC")


def at(clock: str) -> int:
    return round(datetime.fromisoformat(f"2026-07-01T{clock}+00:00").timestamp() * 1000)


NOW = at("08:12:20")
WINDOW = Window(at("08:00:30"), NOW)
FACTS = HistoryFacts(
    window=Window(0, NOW),
    agents=(
        agent_facts(
            "1002",
            (Description(at("08:01:00"), "Bob", "Support"), Description(at("08:11:00"), "Bob", "Sales")),
            (Period(at("08:01:00"), FOREVER),),
            (
                Change(at("08:01:00"), None, None, BUSY),
                Change(at("08:10:00"), at("08:01:59"), BUSY, ABSENT),
            ),
        ),
        agent_facts(
            "1001",
            (Description(at("08:00:00"), "Ann", "Sales"),),
            (Period(at("08:00:00"), FOREVER),),
            (
                Change(at("08:00:00"), None, None, AVAILABLE),
                Change(at("08:01:00"), at("08:00:29"), AVAILABLE, ON_CALL),
                Change(at("08:11:00"), at("08:10:29"), ON_CALL, AVAILABLE),
            ),
        ),
        agent_facts("1003", (Description(at("07:00:00"), "Cleo", "Sales"),), (), ()),
    ),
    sources=recorder(
        RecordedStretch(
            Stretch(at("07:59:59"), at("08:00:00"), at("08:01:59"), at("08:02:00"), 5, 30_000, 75_000), EndReason.CRASH
        ),
        RecordedStretch(
            Stretch(at("08:09:59"), at("08:10:00"), at("08:11:59"), at("08:12:00"), 5, 30_000, 75_000), None
        ),
    ),
    run_open=True,
    water_mark=None,
    words=frozenset({"Available", "On Call", "Busy", "In Training"}),
)


def shown(report: Report) -> list[dict[str, object]]:
    """The rows with instants as clock times and durations in seconds, and flags that do not hold left out."""
    return [
        {
            column.name: _shown(row[column.name], column.kind)
            for column in report.columns
            if row[column.name] is not False
        }
        for row in report.rows
    ]


def _shown(value: object, kind: ColumnKind) -> object:
    if value is None:
        return None
    if kind is ColumnKind.INSTANT:
        assert isinstance(value, int)
        return iso_text(value, UTC)[11:-6]
    if kind is ColumnKind.DURATION:
        assert isinstance(value, int)
        return value / 1000
    return value


def run(
    name: str,
    window: Window = WINDOW,
    facts: HistoryFacts = FACTS,
    statuses: frozenset[str] | None = None,
    now: int = NOW,
) -> Report:
    return REPORTS[name](facts, Question(window, UTC, now, statuses=statuses))


def chosen(facts: HistoryFacts, selection: Selection) -> HistoryFacts:
    return replace(facts, agents=select(facts.agents, selection))


def seconds(report: Report) -> Mapping[str, object]:
    return {
        key: value / 1000 for key, value in report.meta.items() if key.endswith("_seconds") and isinstance(value, int)
    }


def _timeline_row(
    agent: str, status: str, start: str, end: str, duration: float, not_befores: tuple[str, str], *flags: str
) -> dict[str, object]:
    return {
        "agent_id": agent,
        "name": {"1001": "Ann", "1002": "Bob"}[agent],
        "status": status,
        "start": start,
        "end": end,
        "duration_seconds": duration,
        "quality": "unknown" if status == "unknown" else "sampled",
        "start_not_before": not_befores[0],
        "start_not_after": start,
        "end_not_before": not_befores[1],
        "end_not_after": end,
        **dict.fromkeys(flags, True),
    }


def test_the_timeline_tiles_the_window_with_stays_and_gaps() -> None:
    # Ann's Available may have ended right after 08:00:29, which is before the window: its sure end is the window's
    # start. The last polls of the stretches were sent at 08:01:59 and 08:11:59.
    assert shown(run("timeline")) == [
        _timeline_row("1001", "Available", "08:00:30", "08:01:00", 30, ("08:00:30", "08:00:30"), "carried_in"),
        _timeline_row("1001", "On Call", "08:01:00", "08:02:00", 60, ("08:00:30", "08:01:59")),
        _timeline_row("1001", "unknown", "08:02:00", "08:10:00", 480, ("08:02:00", "08:10:00")),
        _timeline_row("1001", "On Call", "08:10:00", "08:11:00", 60, ("08:10:00", "08:10:29")),
        _timeline_row("1001", "Available", "08:11:00", "08:12:20", 80, ("08:10:29", "08:11:59"), "open", "provisional"),
        _timeline_row("1002", "Busy", "08:01:00", "08:02:00", 60, ("08:01:00", "08:01:59")),
        _timeline_row("1002", "unknown", "08:02:00", "08:10:00", 480, ("08:02:00", "08:10:00")),
        _timeline_row("1002", "absent", "08:10:00", "08:12:20", 140, ("08:10:00", "08:11:59"), "open", "provisional"),
    ]


def test_the_summary_says_time_bounds_shares_and_stays() -> None:
    # Ann, Available: 30 + 80 s; surely 0 (it may have ended before the window) + 59 (08:11:00 to 08:11:59); possibly
    # 30 + 111 (08:10:29 to 08:12:20). On Call: 60 + 60; surely 59 + 29; possibly 90 (from 08:00:30) + 60.
    # Shares are of the 230 s known; 480 s are unknown.
    ann = {"agent_id": "1001", "name": "Ann", "coverage": 230 / 710, "tracked_seconds": 710}
    bob = {"agent_id": "1002", "name": "Bob", "coverage": 60 / 680, "tracked_seconds": 680}

    def row(status: str, time: float, least: float, most: float, share: float | None, stays: int) -> dict[str, object]:
        return {
            "status": status,
            "duration_seconds": time,
            "min_seconds": least,
            "max_seconds": most,
            "share": share,
            "stays": stays,
            "bridged_seconds": 0,
        }

    assert shown(run("summary")) == [
        ann | row("Available", 110, 59, 141, 110 / 230, 1) | {"provisional": True},
        ann | row("On Call", 120, 88, 150, 120 / 230, 2),
        ann | row("unknown", 480, 480, 480, None, 1),
        bob | row("Busy", 60, 59, 60, 1.0, 1),
        bob | row("absent", 140, 119, 140, None, 1) | {"provisional": True},
        bob | row("unknown", 480, 480, 480, None, 1),
    ]


def test_the_header_conserves_the_agents_tracked_time() -> None:
    # Ann 710 s tracked, 230 covered, 480 unknown; Bob 680 tracked, 200 covered (60 Busy, 140 absent), 480 unknown.
    report = run("summary")
    assert seconds(report) == {
        "tracked_seconds": 1390,
        "covered_seconds": 430,
        "known_seconds": 290,
        "bridged_seconds": 0,
        "bridge_limit_seconds": 0,
        "unknown_seconds": 960,
    }
    assert {key: value for key, value in report.meta.items() if not key.endswith("_seconds")} == {
        "report": "summary",
        "since": WINDOW.since,
        "until": WINDOW.until,
        "timezone": "UTC",
        "by": "agent",
        "agents": 2,
        "coverage": 290 / 1390,
        "provisional": True,
        "edge_policy": "seen",
        "formula": report.meta["formula"],
        "water_mark": None,
    }
    assert report.meta_kinds == {
        "since": ColumnKind.INSTANT,
        "until": ColumnKind.INSTANT,
        "tracked_seconds": ColumnKind.DURATION,
        "covered_seconds": ColumnKind.DURATION,
        "known_seconds": ColumnKind.DURATION,
        "bridged_seconds": ColumnKind.DURATION,
        "bridge_limit_seconds": ColumnKind.DURATION,
        "unknown_seconds": ColumnKind.DURATION,
    }
    for name in ("timeline", "transitions", "coverage"):
        assert seconds(run(name)).items() >= seconds(report).items(), name


def test_a_status_filter_leaves_out_rows_and_changes_no_other_number() -> None:
    whole, part = run("summary"), run("summary", statuses=frozenset({"On Call", "unknown"}))
    assert list(part.rows) == [row for row in whole.rows if row["status"] in ("On Call", "unknown")]
    assert part.meta == whole.meta
    assert [row["status"] for row in run("timeline", statuses=frozenset({"absent"})).rows] == ["absent"]
    assert [row["seen"] for row in run("transitions", statuses=frozenset({"absent"})).rows] == [at("08:10:00")]


def test_a_window_without_known_time_has_no_shares() -> None:
    report = run("summary", Window(at("08:02:00"), at("08:10:00")))
    assert [(row["status"], row["share"], row["coverage"]) for row in report.rows] == [("unknown", None, 0.0)] * 2
    assert report.meta["coverage"] == 0.0


def test_a_window_without_anybody_has_no_rows_and_no_coverage() -> None:
    report = run("summary", Window(at("07:40:00"), at("07:50:00")))
    assert report.rows == []
    assert (report.meta["agents"], report.meta["coverage"]) == (0, None)


def _at(clock: str) -> list[dict[str, object]]:
    return shown(run("at", Window(at(clock), at(clock) + 1)))


def test_at_shows_who_is_in_which_status_since_when_and_on_what_evidence() -> None:
    # On Call was first seen at 08:01:00; the gap does not reset it. The poll at 08:10:30 left no trace, so all that
    # is certain is that one was received at 08:10:00, 40 s before.
    assert _at("08:10:40") == [
        {
            "agent_id": "1001",
            "name": "Ann",
            "status": "On Call",
            "since": "08:01:00",
            "quality": "sampled",
            "evidence_age_seconds": 40,
        },
        {
            "agent_id": "1002",
            "name": "Bob",
            "status": "absent",
            "since": "08:10:00",
            "quality": "sampled",
            "evidence_age_seconds": 40,
        },
    ]


def test_at_an_edge_the_new_status_holds_and_a_moment_before_it_the_old() -> None:
    assert [row["status"] for row in _at("08:01:00")] == ["On Call", "Busy"]
    assert [row["status"] for row in _at("08:00:59.999")] == ["Available"]


def test_at_an_instant_in_a_gap_everyone_is_unknown_since_nobody_knows_when() -> None:
    assert _at("08:05:00") == [
        {
            "agent_id": "1001",
            "name": "Ann",
            "status": "unknown",
            "since": None,
            "quality": "unknown",
            "evidence_age_seconds": 180,
        },
        {
            "agent_id": "1002",
            "name": "Bob",
            "status": "unknown",
            "since": None,
            "quality": "unknown",
            "evidence_age_seconds": 180,
        },
    ]


def test_at_the_present_the_evidence_is_as_old_as_the_latest_poll() -> None:
    assert _at("08:12:20")[0] == {
        "agent_id": "1001",
        "name": "Ann",
        "status": "Available",
        "since": "08:11:00",
        "quality": "sampled",
        "evidence_age_seconds": 20,
        "provisional": True,
    }


def test_the_evidence_inside_a_stretch_is_never_older_than_its_gap_limit() -> None:
    # At 08:11:50 the stretch is 110 s old, and so is what was seen of Bob; but it survives only 75 s without a poll.
    # Ann was seen to change at 08:11:00.
    assert [row["evidence_age_seconds"] for row in _at("08:11:50")] == [50, 75]


def test_the_header_of_at_is_that_of_an_instant() -> None:
    report = run("at", Window(at("08:01:30"), at("08:01:30") + 1))
    assert (report.meta["at"], report.meta["since"], report.meta["until"]) == (at("08:01:30"),) * 3
    assert seconds(report) == dict.fromkeys(
        (
            "tracked_seconds",
            "covered_seconds",
            "known_seconds",
            "bridged_seconds",
            "bridge_limit_seconds",
            "unknown_seconds",
        ),
        0,
    )
    assert (report.meta["agents"], report.meta["coverage"]) == (2, 1.0)
    # At 08:10:40 Ann's status is known; Bob is absent, which is no known status.
    assert run("at", Window(at("08:10:40"), at("08:10:40") + 1)).meta["coverage"] == 0.5


def test_transitions_are_the_facts_seen_in_the_window_with_both_bounds() -> None:
    def row(
        agent: str,
        before: str | None,
        after: str,
        not_before: str | None,
        seen: str,
        uncertain: float | None,
        *flags: str,
    ) -> dict[str, object]:
        return {
            "agent_id": agent,
            "from_status": before,
            "to_status": after,
            "not_before": not_before,
            "seen": seen,
            "name": {"1001": "Ann", "1002": "Bob"}[agent],
            "uncertainty_seconds": uncertain,
            "quality": "sampled",
            **dict.fromkeys(flags, True),
        }

    assert shown(run("transitions")) == [
        row("1001", "Available", "On Call", "08:00:29", "08:01:00", 31),
        row("1002", None, "Busy", None, "08:01:00", None),
        row("1002", "Busy", "absent", "08:01:59", "08:10:00", 481, "through_gap"),
        row("1001", "On Call", "Available", "08:10:29", "08:11:00", 31),
    ]
    assert [row["seen"] for row in run("transitions", Window(at("08:01:00"), at("08:10:00"))).rows] == [
        at("08:01:00"),
        at("08:01:00"),
    ]


def test_coverage_tiles_the_window_with_stretches_and_reasons() -> None:
    assert shown(run("coverage", Window(at("07:59:00"), NOW))) == [
        {
            "source": "recorder",
            "start": "07:59:00",
            "end": "08:00:00",
            "duration_seconds": 60,
            "reason": "not recorded yet",
            "polls": None,
        },
        {
            "source": "recorder",
            "start": "08:00:00",
            "end": "08:02:00",
            "duration_seconds": 120,
            "covered": True,
            "reason": None,
            "polls": 5,
        },
        {
            "source": "recorder",
            "start": "08:02:00",
            "end": "08:10:00",
            "duration_seconds": 480,
            "reason": "crash",
            "polls": None,
        },
        {
            "source": "recorder",
            "start": "08:10:00",
            "end": "08:12:20",
            "duration_seconds": 140,
            "covered": True,
            "reason": None,
            "polls": 5,
            "provisional": True,
        },
    ]


def test_coverage_after_the_gap_limit_says_that_no_poll_came() -> None:
    late = at("08:30:00")
    rows = run("coverage", Window(at("08:11:00"), late), now=late).rows
    assert [(row["end"], row["reason"], row["provisional"]) for row in rows] == [
        (at("08:12:00"), None, False),
        (late, "no complete poll since", False),
    ]


def test_gaps_around_a_lone_poll_are_one_if_they_have_one_reason() -> None:
    lone = Stretch(at("08:04:59"), at("08:05:00"), at("08:04:59"), at("08:05:00"), 1, 30_000, 75_000)
    first, second = FACTS.stretches

    def gaps(reason: EndReason) -> list[object]:
        facts = replace(FACTS, sources=recorder(first, RecordedStretch(lone, reason), second))
        return [(row["start"], row["end"], row["reason"]) for row in run("coverage", facts=facts).rows[1:-1]]

    assert gaps(EndReason.CRASH) == [(at("08:02:00"), at("08:10:00"), "crash")]
    assert gaps(EndReason.SHUTDOWN) == [
        (at("08:02:00"), at("08:05:00"), "crash"),
        (at("08:05:00"), at("08:10:00"), "shutdown"),
    ]


def test_a_name_holds_from_the_poll_that_brought_it() -> None:
    bob = FACTS.agents[0]
    assert [bob.description_at(at(clock)).team for clock in ("08:00:00", "08:10:59.999", "08:11:00")] == [
        "Support",
        "Support",
        "Sales",
    ]


def test_a_team_filter_counts_only_the_times_in_the_team() -> None:
    # Bob joined Sales at 08:11:00; from then on he is absent for 80 s, a stay that began before.
    report = run("summary", facts=chosen(FACTS, Selection(teams=("sales",))))
    assert [(row["agent_id"], row["status"], row["duration_seconds"], row["stays"]) for row in report.rows] == [
        ("1001", "Available", 110_000, 1),
        ("1001", "On Call", 120_000, 2),
        ("1001", "unknown", 480_000, 1),
        ("1002", "absent", 80_000, 0),
    ]
    assert report.meta["tracked_seconds"] == 790_000
    seen = run("transitions", facts=chosen(FACTS, Selection(teams=("sales",)))).rows
    assert [row["agent_id"] for row in seen] == ["1001", "1001"]


def test_the_first_team_that_is_known_holds_before_it_was_known() -> None:
    bob = replace(FACTS.agents[0], descriptions=(Description(at("08:10:00"), "Bob", "Support"),))
    selected = chosen(replace(FACTS, agents=(bob,)), Selection(teams=("Support",)))
    assert run("summary", facts=selected).meta["tracked_seconds"] == 680_000


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [(("1001",), ["1001"]), (("ann",), ["1001"]), (("B*", "1001"), ["1002", "1001"]), (("100?",), ["1002", "1001"])],
)
def test_agents_are_selected_by_id_name_or_glob(patterns: tuple[str, ...], expected: list[str]) -> None:
    found = chosen(FACTS, Selection(agents=patterns)).agents
    assert [agent.agent_id for agent in found if agent.tracked] == expected


def test_someone_known_who_was_not_tracked_in_the_window_gives_an_empty_report() -> None:
    assert run("timeline", facts=chosen(FACTS, Selection(agents=("Cleo",)))).rows == []


@pytest.mark.parametrize(
    ("selection", "start"),
    [
        (Selection(agents=("Ann", "Dora")), "--agent 'Dora' matches nobody in this history"),
        (Selection(teams=("Sale",)), "--team 'Sale' matches no team in this history"),
    ],
)
def test_a_pattern_that_matches_nobody_is_refused(selection: Selection, start: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(FACTS, selection)
    assert str(caught.value).startswith(start)


def test_statuses_are_read_however_they_are_spelled() -> None:
    words = status_words(("onbreak", "ON CALL", "Unknown", "absent", "in training"), FACTS)
    assert words == {"On Break", "On Call", "unknown", "absent", "In Training"}


def test_a_status_that_nobody_heard_of_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError) as caught:
        status_words(("Avaliable",), FACTS)
    assert str(caught.value) == (
        "--status 'Avaliable' is no status that this history knows: give one of Available, Busy, On Break, On Call, "
        "Offline, absent, error, unknown, In Training"
    )
