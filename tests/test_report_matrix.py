"""`matrix`, and what `transitions` says of gaps: by hand on a night, and against every pair of polls."""

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.history.algebra import EdgePolicy, Rules, covered_time
from exporter.history.facts import Change, Description, HistoryFacts, RecordedStretch, Source, Spell
from exporter.history.question import Group, Question
from exporter.history.reports import REPORTS
from exporter.history.reports.changes import seen_changes
from exporter.history.window import Window
from exporter.model import AVAILABLE, BUSY, ON_CALL, EndReason, Quality, Stretch
from exporter.report.model import ColumnKind, Report
from tests.support.histories import agent_facts
from tests.support.moments import ZONE, Case, cases
from tests.support.night import BERLIN, FACTS, NOW, STRETCHES, WINDOW, at

NIGHT = Question(WINDOW, BERLIN, NOW, groups=frozenset())


def asked(facts: HistoryFacts = FACTS, **question: Any) -> Report:
    return REPORTS["matrix"](facts, replace(NIGHT, **question))


def counts(report: Report, *keys: str) -> dict[tuple[object, ...], tuple[object, object]]:
    keys = (*keys, "from_status", "to_status")
    return {tuple(row[key] for key in keys): (row["changes"], row["through_gap_changes"]) for row in report.rows}


def test_changes_are_counted_by_pair_and_those_through_a_gap_apart() -> None:
    # Ann: Available to On Call 23:30 and 01:20, back 23:45, to On Break 00:10, back 01:00. Bob: Offline to Available
    # 00:15, through the gap from Available to On Call, back 01:30. First sights are no changes.
    report = asked()
    assert counts(report) == {
        ("Available", "On Break"): (1, 0),
        ("Available", "On Call"): (2, 1),
        ("On Break", "Available"): (1, 0),
        ("On Call", "Available"): (2, 0),
        ("Offline", "Available"): (1, 0),
    }
    # 170 minutes of Ann and 95 of Bob are staffed: 2 changes in 265 minutes.
    assert {row["per_staffed_hour"] for row in report.rows if row["changes"] == 2} == {2 * 60 / 265}
    assert [column.name for column in report.columns] == [
        "agents", "from_status", "to_status", "changes", "through_gap_changes", "per_staffed_hour", "coverage",
    ]  # fmt: skip
    assert [column.kind for column in report.columns][-2:] == [ColumnKind.NUMBER, ColumnKind.SHARE]
    assert report.rows[0]["agents"] == 2
    assert report.meta["by"] == "total"


def test_agents_and_teams_have_rows_of_their_own() -> None:
    by_agent = asked(groups=frozenset({Group.AGENT}))
    assert counts(by_agent, "name") == {
        ("Ann", "Available", "On Break"): (1, 0),
        ("Ann", "Available", "On Call"): (2, 0),
        ("Ann", "On Break", "Available"): (1, 0),
        ("Ann", "On Call", "Available"): (1, 0),
        ("Bob", "Available", "On Call"): (0, 1),
        ("Bob", "On Call", "Available"): (1, 0),
        ("Bob", "Offline", "Available"): (1, 0),
    }
    assert {row["per_staffed_hour"] for row in by_agent.rows if row["name"] == "Bob"} == {0.0, 60 / 95}
    # Ann left Sales at 00:50.
    by_team = counts(asked(groups=frozenset({Group.TEAM})), "team")
    assert by_team["Sales", "Available", "On Call"] == (1, 0)
    assert by_team["Support", "Available", "On Call"] == (1, 1)


def test_each_row_says_how_much_of_the_time_of_its_group_is_known() -> None:
    # Each has a gap of 10 minutes, Ann in 180 and Bob in 120.
    by_agent = asked(groups=frozenset({Group.AGENT}))
    assert {(row["name"], row["coverage"]) for row in by_agent.rows} == {("Ann", 170 / 180), ("Bob", 110 / 120)}
    assert {row["coverage"] for row in asked().rows} == {280 / 300}


def test_a_bridged_gap_makes_no_row_better_known() -> None:
    # It is 10 minutes long, and nobody was looking.
    bridged = asked(rules=Rules(bridge_ms=10 * 60_000))
    assert {row["coverage"] for row in bridged.rows} == {row["coverage"] for row in asked().rows}


def test_a_change_counts_where_the_edge_policy_puts_it() -> None:
    # Ann's change to On Call was seen at 23:30:00, after a poll that was sent at 23:29:29.
    window = Window(at("23:29"), at("23:29:50"))
    assert asked(window=window).rows == []
    for edges in (EdgePolicy.MIDPOINT, EdgePolicy.NOT_BEFORE):
        assert counts(asked(window=window, rules=Rules(edges))) == {("Available", "On Call"): (1, 0)}
    # No policy moves an edge into a gap: Bob's is where the second stretch begins.
    before = Window(at("00:20"), at("00:40"))
    after = Window(at("00:40"), at("00:45"))
    for edges in EdgePolicy:
        assert asked(window=before, rules=Rules(edges)).rows == []
        assert counts(asked(window=after, rules=Rules(edges))) == {("Available", "On Call"): (0, 1)}


def test_without_staffed_time_there_is_no_rate() -> None:
    # At 00:15 Bob comes from Offline; the window ends with that millisecond.
    facts = replace(FACTS, agents=(FACTS.agents[1],))
    (row,) = asked(facts, window=Window(at("00:10"), at("00:15") + 1)).rows
    assert row["per_staffed_hour"] == 3_600_000.0
    offline = replace(NIGHT.classes, available=frozenset(), offline=frozenset({"Offline", "Available"}))
    (row,) = asked(facts, window=Window(at("00:10"), at("00:15") + 1), classes=offline).rows
    assert (row["changes"], row["per_staffed_hour"]) == (1, None)


def test_a_status_picks_the_changes_into_it() -> None:
    assert {row["to_status"] for row in asked(statuses=frozenset({"On Call"})).rows} == {"On Call"}


def test_a_change_at_the_very_end_of_tracking_is_counted_though_nobody_has_time_there() -> None:
    gone = agent_facts(
        "1", (Description(0, "Ann", ""),), ((0, at("23:30")),), (Change(at("23:30"), at("23:29"), AVAILABLE, BUSY),)
    )
    report = asked(replace(FACTS, agents=(gone,)), window=Window(at("23:30"), at("23:40")))
    (row,) = report.rows
    assert (row["agents"], row["changes"], row["per_staffed_hour"], row["coverage"]) == (0, 1, None, None)


def test_transitions_say_whether_a_gap_hid_them_and_how_they_are_known() -> None:
    report = REPORTS["transitions"](FACTS, NIGHT)
    hidden = {(row["name"], row["seen"]) for row in report.rows if row["through_gap"]}
    assert hidden == {("Bob", at("00:40"))}
    assert {row["quality"] for row in report.rows} == {"sampled"}
    assert [column.name for column in report.columns][-2:] == ["through_gap", "quality"]


def test_a_log_tells_changes_exactly() -> None:
    # Imported beside the recorder: one stretch from 20:00 to 21:00, in which the change is known to the millisecond.
    log = Source(
        1,
        (RecordedStretch(Stretch(at("20:00"), at("20:00"), at("21:00"), at("21:00"), 0, 0, 0), EndReason.NOT_IN_FILE),),
        exact=True,
        file="log.csv",
    )
    changes = (Change(at("20:00"), None, None, BUSY), Change(at("20:30"), at("20:30"), BUSY, ON_CALL))
    ann = replace(
        FACTS.agents[0], spells=(Spell(at("20:00"), at("21:00"), at("21:00"), 1, changes), *FACTS.agents[0].spells)
    )
    facts = replace(FACTS, sources=(*FACTS.sources, log), agents=(ann,))
    window = Window(at("20:00"), at("21:00"))
    rows = REPORTS["transitions"](facts, replace(NIGHT, window=window)).rows
    assert [(row["to_status"], row["quality"], row["through_gap"]) for row in rows] == [
        ("Busy", "exact", False),
        ("On Call", "exact", False),
    ]
    assert rows[1]["uncertainty_seconds"] == 0
    exact = replace(NIGHT, window=window, qualities=frozenset({Quality.EXACT}))
    assert list(REPORTS["transitions"](facts, exact).rows) == list(rows)
    sampled = replace(exact, qualities=frozenset({Quality.SAMPLED}))
    assert REPORTS["transitions"](facts, sampled).rows == []
    # The header counts all the same.
    assert REPORTS["transitions"](facts, sampled).meta == REPORTS["transitions"](facts, exact).meta
    assert counts(asked(facts, window=window)) == {("Busy", "On Call"): (1, 0)}


def test_the_first_poll_of_a_stretch_that_was_not_read_sees_through_a_gap() -> None:
    # The window ends in the gap; of the second stretch only the change is there, because it may have been before 00:35.
    cut = replace(FACTS, sources=(replace(FACTS.sources[0], stretches=STRETCHES[:1]),))
    covered = covered_time(cut, NOW, Rules(EdgePolicy.NOT_BEFORE))
    found = [seen for seen in seen_changes(FACTS.agents[1], covered) if seen.change.to_status == ON_CALL]
    assert [(seen.edge, seen.through_gap, seen.quality) for seen in found] == [(at("00:40"), True, Quality.SAMPLED)]


# --- every pair of polls ----------------------------------------------------------------------------------------------


@given(cases(), st.sets(st.sampled_from(("agent", "team"))).map(sorted), st.sampled_from(EdgePolicy))
def test_the_counts_are_those_of_pairs_of_polls(case: Case, names: list[str], edges: EdgePolicy) -> None:
    expected = Counter[Any]()
    for change in case.changes():
        edge = change.edge(edges)
        if case.window.since <= edge < case.window.until:
            key = {"agent": change.agent_id, "team": case.team(change.agent_id, edge)}
            expected[tuple(key[name] for name in names), change.before.word, change.after.word, change.through_gap] += 1
    question = Question(case.window, ZONE, case.window.until, rules=Rules(edges), groups=frozenset(map(Group, names)))
    found = Counter[Any]()
    for row in REPORTS["matrix"](case.facts, question).rows:
        group = tuple(row["agent_id" if name == "agent" else name] for name in names)
        found[group, row["from_status"], row["to_status"], False] += row["changes"]
        found[group, row["from_status"], row["to_status"], True] += row["through_gap_changes"]
    assert +found == expected


@given(cases())
def test_the_matrix_counts_what_transitions_lists(case: Case) -> None:
    question = Question(case.window, ZONE, case.window.until, groups=frozenset())
    listed = Counter(
        (row["from_status"], row["to_status"], row["through_gap"])
        for row in REPORTS["transitions"](case.facts, question).rows
        if row["from_status"] is not None
    )
    counted = Counter[Any]()
    for row in REPORTS["matrix"](case.facts, question).rows:
        counted[row["from_status"], row["to_status"], False] += row["changes"]
        counted[row["from_status"], row["to_status"], True] += row["through_gap_changes"]
    assert +counted == listed
