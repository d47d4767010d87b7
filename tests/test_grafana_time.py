"""Time in status, shares and breaks over a time range: what the tables of both dashboards about agents answer.

Where agents come or go, the answer is exact to one step of 30 seconds only, and says half a step of someone's time too
much: Prometheus' `increase` extends a series that ends, and moments are counted where lengths are meant.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.grafana import panel
from tests.support.panels import target
from tests.support.promql import GOOD, NAMED, TARGET, credited, evaluate, since, state_set

TIME = "Time in status by agent"
TEAMS = "Time in status by team"
SHARE = "Share of time today"
ALL = "Time of all agents today"
BREAKS = "Longest breaks today"
COLUMNS = dict(zip(("Available", "On Call", "Busy", "On Break", "Offline", "other", "unknown"), "ABCDEFG", strict=True))

NO_TEAM = '{team="–"}'
ANN, BOB = '{agent_id="1",name="Ann",team="Sales"}', '{agent_id="2",name="Bob"}'

# The exporter is down for an hour of two, from 40 m (sample 80) to 100 m (sample 200), and its counters begin anew.
HOUR_DOWN = {
    f"up{{{TARGET}}}": "1x79 0x119 1x40",
    f"zohovoice_up{{{TARGET}}}": "1x79 stale _x119 1x40",
    **since("1", "0x79 stale _x119 6000x40"),
    **credited("1", "On Call", "0+30x79 stale _x119 0+30x40"),
    **credited("1", "Offline", "0x79 stale _x119 0x40"),
}
# Polls fail from 10 m to 20 m of half an hour; the counters go on where they were, with those ten minutes in none.
POLLS_FAIL = {
    f"up{{{TARGET}}}": "1x60",
    f"zohovoice_up{{{TARGET}}}": "1x19 0x19 1x20",
    **since("1", "0x22 stale _x16 0x20"),
    **credited("1", "On Call", "0+30x19 570x2 stale _x16 570+30x20"),
}


def _asked(title: str, column: str, *, minutes: int = 20, **chosen: str) -> str:
    name = "agents-over-time" if title in (TIME, TEAMS) else "agents-now"
    ref = COLUMNS.get(column, column)
    return f"round({target(name, title, ref).by_hand(minutes=minutes, **chosen)}, 0.001)"


def test_time_in_status_is_what_the_counters_say_and_nothing_is_unknown_while_polls_are_good(tmp_path: Path) -> None:
    series = {**GOOD, **NAMED}
    evaluate(
        tmp_path,
        series,
        [
            (_asked(TIME, "On Call"), "20m", [(ANN, 1200)]),
            (_asked(TIME, "Available"), "20m", [(BOB, 1200)]),
            (_asked(TIME, "unknown"), "20m", [(ANN, 0), (BOB, 0)]),
            (_asked(TIME, "other"), "20m", []),
            (_asked(TIME, "On Call", team="Sales"), "20m", [(ANN, 1200)]),
            (_asked(TIME, "unknown", team="Sales"), "20m", [(ANN, 0)]),
            (_asked(TIME, "unknown", agent="2"), "20m", [(BOB, 0)]),
            (_asked(SHARE, "On Call"), "20m", [(ANN, 1)]),
            (_asked(ALL, "On Call"), "20m", [("{}", 1200)]),
            (_asked(ALL, "unknown"), "20m", [("{}", 0)]),
        ],
    )


def test_agents_go_by_id_where_names_are_not_exposed(tmp_path: Path) -> None:
    evaluate(
        tmp_path,
        GOOD,
        [
            (_asked(TIME, "On Call"), "20m", [('{agent_id="1"}', 1200)]),
            (_asked(TIME, "unknown"), "20m", [('{agent_id="1"}', 0), ('{agent_id="2"}', 0)]),
            (_asked(TIME, "On Call", team="Sales"), "20m", []),
            (_asked(TEAMS, "On Call"), "20m", [(NO_TEAM, 1200)]),
            (_asked(SHARE, "Available"), "20m", [('{agent_id="2"}', 1)]),
        ],
    )


def test_an_hour_in_which_the_exporter_was_down_is_unknown_and_the_restart_loses_nothing_else(tmp_path: Path) -> None:
    evaluate(
        tmp_path,
        HOUR_DOWN,
        [
            # From the last poll before, at 39 m 30 s, to the first one after, at 100 m.
            (_asked(TIME, "unknown", minutes=120), "120m", [('{agent_id="1"}', 3630)]),
            (_asked(TIME, "On Call", minutes=120), "120m", [('{agent_id="1"}', 7200 - 3630)]),
            (_asked(TIME, "Offline", minutes=120), "120m", [('{agent_id="1"}', 0)]),
            (_asked(SHARE, "unknown", minutes=120), "120m", [('{agent_id="1"}', 0.504)]),
            (_asked(ALL, "unknown", minutes=120), "120m", [("{}", 3630)]),
        ],
    )


def test_time_in_which_polls_failed_is_unknown(tmp_path: Path) -> None:
    evaluate(
        tmp_path,
        POLLS_FAIL,
        [
            (_asked(TIME, "unknown", minutes=30), "30m", [('{agent_id="1"}', 630)]),
            (_asked(TIME, "On Call", minutes=30), "30m", [('{agent_id="1"}', 1170)]),
        ],
    )


def test_time_in_which_zoho_gave_no_status_is_unknown_too(tmp_path: Path) -> None:
    series = {
        **GOOD,
        **credited("1", "On Call", "0+30x20 600x20"),
        **credited("1", "unknown", "0x20 30+30x19"),
    }
    evaluate(tmp_path, series, [(_asked(TIME, "unknown", agent="1"), "20m", [('{agent_id="1"}', 600)])])


def test_a_status_that_zoho_added_is_in_a_column_of_its_own(tmp_path: Path) -> None:
    series = {**GOOD, **credited("1", "On Call", "0x40"), **credited("1", "Wrap Up", "0+30x40")}
    evaluate(
        tmp_path,
        series,
        [
            (_asked(TIME, "other"), "20m", [('{agent_id="1"}', 1200)]),
            (_asked(TIME, "unknown", agent="1"), "20m", [('{agent_id="1"}', 0)]),
        ],
    )


def test_an_agent_who_joined_has_no_unknown_time_before(tmp_path: Path) -> None:
    joined = {**since("2", "_x20 600x20"), **credited("2", "Available", "_x20 0+30x20")}
    evaluate(
        tmp_path,
        {**GOOD, **joined},
        [
            (_asked(TIME, "Available", agent="2"), "20m", [('{agent_id="2"}', 600)]),
            # 21 of 41 moments are more than half of the 20 minutes: 614.6 s.
            (_asked(TIME, "unknown", agent="2"), "20m", [('{agent_id="2"}', 14.634)]),
            (_asked(SHARE, "Available", agent="2"), "20m", [('{agent_id="2"}', 0.976)]),
        ],
    )


def test_an_agent_who_left_is_still_in_the_table_and_has_no_unknown_time_after(tmp_path: Path) -> None:
    left = {**since("2", "0x20 stale"), **credited("2", "Available", "0+30x20 stale")}
    named = {f'zohovoice_agent_info{{{TARGET},agent_id="2",name="Bob"}}': "1x20 stale"}
    evaluate(
        tmp_path,
        {**GOOD, **NAMED, **left, **named},
        [
            (_asked(TIME, "Available"), "20m", [(BOB, 615)]),
            (_asked(TIME, "unknown"), "20m", [(ANN, 0), (BOB, 0)]),
        ],
    )


def test_before_an_agent_joined_only_the_time_is_unknown_in_which_nobody_could_have_seen_them(tmp_path: Path) -> None:
    """Every other poll fails: 300 s of the ten minutes before, and agents stay exposed all the time."""
    flaky = {
        **GOOD,
        f"zohovoice_up{{{TARGET}}}": "1 0 " * 20 + "1",
        **since("2", "_x20 600x20"),
        **credited("2", "Available", "_x20 0+30x20"),
    }
    evaluate(tmp_path, flaky, [(_asked(TIME, "unknown", agent="2"), "20m", [('{agent_id="2"}', 307.317)])])


def test_an_agent_who_is_renamed_or_changes_team_is_there_once_as_last_known(tmp_path: Path) -> None:
    series = {
        **GOOD,
        f'zohovoice_agent_info{{{TARGET},agent_id="1",name="Ann",team="Sales"}}': "1x19 stale",
        f'zohovoice_agent_info{{{TARGET},agent_id="1",name="Ann Lee",team="Support"}}': "_x20 1x20",
    }
    latest = '{agent_id="1",name="Ann Lee",team="Support"}'
    evaluate(
        tmp_path,
        series,
        [
            (_asked(TIME, "On Call", agent="1"), "20m", [(latest, 1200)]),
            (_asked(TIME, "On Call", team="Support"), "20m", [(latest, 1200)]),
            (_asked(TIME, "On Call", team="Sales"), "20m", []),
            (_asked(TEAMS, "On Call", team="Support"), "20m", [('{team="Support"}', 1200)]),
        ],
    )


def test_an_exporter_that_moved_to_another_address_does_not_double_the_unknown_time(tmp_path: Path) -> None:
    moved = TARGET.replace("exporter", "other")
    series = {
        f"zohovoice_up{{{TARGET}}}": "1x19 stale",
        f"zohovoice_up{{{moved}}}": "_x20 1x20",
        **since("1", "0x19 stale"),
        **since("1", "_x20 0x20", moved),
        **credited("1", "On Call", "0+30x19 stale"),
        **credited("1", "On Call", "_x20 0+30x20", moved),
    }
    # 570 s and 600 s, and half a step that `increase` adds at the end of the first series.
    evaluate(
        tmp_path,
        series,
        [
            (_asked(TIME, "On Call"), "20m", [('{agent_id="1"}', 1185)]),
            (_asked(TIME, "unknown"), "20m", [('{agent_id="1"}', 15)]),
        ],
    )


def test_an_agent_who_moves_from_one_exporter_to_another_is_tracked_by_the_two_in_turn(tmp_path: Path) -> None:
    other = TARGET.replace("exporter", "other")
    series = {
        f"zohovoice_up{{{TARGET}}}": "1x40",
        f"zohovoice_up{{{other}}}": "1x40",
        **since("1", "0x19 stale"),
        **since("1", "_x20 0x20", other),
        **credited("1", "On Call", "0+30x19 stale"),
        **credited("1", "On Call", "_x20 0+30x20", other),
    }
    left = {
        **series,
        **since("1", "_x20 0x10 stale", other),
        **credited("1", "On Call", "_x20 0+30x10 stale", other),
    }
    who = '{agent_id="1"}'
    evaluate(
        tmp_path,
        series,
        [
            (_asked(TIME, "unknown"), "20m", [(who, 15)]),
            (_asked(SHARE, "On Call"), "20m", [(who, round(1185 / 1200, 3))]),
            (_asked(SHARE, "unknown"), "20m", [(who, round(15 / 1200, 3))]),
        ],
    )
    # Half a step is added at the end of either series. Gone in the last 10 of 41 moments.
    evaluate(
        tmp_path,
        left,
        [
            (_asked(TIME, "On Call"), "20m", [(who, 900)]),
            (_asked(TIME, "unknown"), "20m", [(who, round(1200 * 31 / 41 - 900, 3))]),
        ],
    )


def test_who_was_back_filled_without_names_is_there_by_id(tmp_path: Path) -> None:
    series = {
        f"zohovoice_up{{{TARGET}}}": "1x20 0x20",
        **credited("1", "On Call", "0+30x20 600x20"),
        **credited("1", "unknown", "0x20 30+30x19"),
    }
    # A counter tells of nothing before its second sample: the agent joins at the second of 41 moments.
    who, unknown = '{agent_id="1"}', round(1200 * 40 / 41 - 600, 3)
    evaluate(
        tmp_path,
        series,
        [
            (_asked(TIME, "On Call"), "20m", [(who, 600)]),
            (_asked(TIME, "unknown"), "20m", [(who, unknown)]),
            (_asked(TIME, "On Call", team="Sales"), "20m", []),
            (_asked(ALL, "unknown"), "20m", [("{}", unknown)]),
        ],
    )


def test_teams_have_the_time_of_their_agents_together_with_a_row_for_those_without(tmp_path: Path) -> None:
    carl = {
        **since("3", "0x40"),
        **credited("3", "On Call", "0+15x40"),
        f'zohovoice_agent_info{{{TARGET},agent_id="3",name="Carl",team="Sales"}}': "1x40",
    }
    evaluate(
        tmp_path,
        {**GOOD, **NAMED, **carl},
        [
            (_asked(TEAMS, "On Call"), "20m", [('{team="Sales"}', 1800)]),
            (_asked(TEAMS, "Available"), "20m", [(NO_TEAM, 1200)]),
            (_asked(TEAMS, "unknown"), "20m", [('{team="Sales"}', 600), (NO_TEAM, 0)]),
        ],
    )


def test_what_only_agents_without_a_team_did_says_whose_it_is(tmp_path: Path) -> None:
    """Grafana merges the answers of all columns, and one without the label would go into the rows of all teams."""
    series = {**GOOD, **NAMED, **credited("2", "Available", "0x40"), **credited("2", "Wrap Up", "0+30x40")}
    evaluate(tmp_path, series, [(_asked(TEAMS, "other"), "20m", [(NO_TEAM, 1200)])])


def test_the_table_of_agents_counts_their_transitions(tmp_path: Path) -> None:
    changed = {f'zohovoice_agent_status_changes_total{{{TARGET},agent_id="1"}}': "0x9 1x9 2x20"}
    evaluate(tmp_path, {**GOOD, **NAMED, **changed}, [(_asked(TIME, "H"), "20m", [(ANN, 2)])])


# On break from 5 m to 10 m, and again since 15 m.
TWO_BREAKS = {
    **{series: values for series, values in GOOD.items() if 'agent_id="1"' not in series},
    **state_set("1", "Busy"),
    **since("1", "0x9 300x9 600x9 900x10"),
    f'zohovoice_agent_status{{{TARGET},agent_id="1",status="On Break"}}': "0x9 1x9 0x9 1x10",
}


def test_the_longest_break_of_each_agent_is_shown_over_or_not(tmp_path: Path) -> None:
    evaluate(
        tmp_path,
        {**TWO_BREAKS, **NAMED},
        [
            (_asked(BREAKS, "A"), "10m", [(ANN, 270)]),
            (_asked(BREAKS, "A"), "16m", [(ANN, 270)]),
            (_asked(BREAKS, "A"), "20m", [(ANN, 300)]),
            (_asked(BREAKS, "A", agent="2"), "20m", []),
            (_asked(BREAKS, "A", team="Support"), "20m", []),
        ],
    )


def test_a_break_does_not_grow_while_nobody_looks(tmp_path: Path) -> None:
    blind = {**TWO_BREAKS, f"zohovoice_up{{{TARGET}}}": "1x31 0x8"}
    evaluate(tmp_path, blind, [(_asked(BREAKS, "A"), "19m", [('{agent_id="1"}', 270)])])


@pytest.mark.parametrize("title", [SHARE, ALL, BREAKS])
def test_today_is_from_midnight_in_the_dashboards_time_zone(title: str) -> None:
    shown = panel("agents-now", title)
    assert shown["timeFrom"] == "now/d"
    assert "midnight" in shown["description"]
    assert not shown.get("hideTimeOverride")


@pytest.mark.parametrize(
    ("name", "title"), [("agents-now", SHARE), ("agents-over-time", TIME), ("agents-over-time", TEAMS)]
)
def test_each_column_has_the_name_of_its_status(name: str, title: str) -> None:
    (options,) = [each["options"] for each in panel(name, title)["transformations"] if each["id"] == "organize"]
    columns: Mapping[str, str] = options["renameByName"]
    assert {word: columns[f"Value #{ref}"] for word, ref in COLUMNS.items()} == {word: word for word in COLUMNS}
