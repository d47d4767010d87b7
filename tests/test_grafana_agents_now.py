"""What the panels of the dashboard "Agents now" answer, on series written down by hand."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.grafana import panel
from tests.support.panels import escaped, target
from tests.support.promql import BOTH_DOWN, DOWN, FAILING, GOOD, NAMED, STATUSES, TARGET, evaluate, state_set

NUMBERS = "Agents by status"
TABLE = "Who is in what, and for how long"
TIMELINE = "Status of each agent over time"


def _now(title: str, ref: str, **chosen: str) -> str:
    return target("agents-now", title, ref).by_hand(**chosen)


def test_agents_are_counted_by_status_and_none_is_unknown_while_polls_are_good(tmp_path: Path) -> None:
    rest = [('{status="Busy"}', 0), ('{status="On Break"}', 0), ('{status="Offline"}', 0)]
    both = [('{status="Available"}', 1), ('{status="On Call"}', 1), *rest]
    sales = [('{status="Available"}', 0), ('{status="On Call"}', 1), *rest]
    evaluate(
        tmp_path,
        GOOD,
        [
            (_now(NUMBERS, "A"), "10m", both),
            (_now(NUMBERS, "B"), "10m", [("{}", 0)]),
            (_now(NUMBERS, "A", team="Sales"), "10m", sales),
            (_now(NUMBERS, "A", team="(Sales|Support)"), "10m", sales),
            (_now(NUMBERS, "A", instance="another:10042"), "10m", []),
        ],
    )


@pytest.mark.parametrize("series", [FAILING, DOWN], ids=["polls fail", "exporter down"])
def test_agents_are_unknown_and_never_in_their_last_status_while_nobody_looks(
    tmp_path: Path, series: Mapping[str, str]
) -> None:
    evaluate(
        tmp_path,
        series,
        [
            (_now(NUMBERS, "B"), "9m30s", [("{}", 0)]),
            (_now(NUMBERS, "A"), "10m", []),
            (_now(NUMBERS, "B"), "10m", [("{}", 2)]),
            (_now(NUMBERS, "A"), "15m", []),
            (_now(NUMBERS, "B"), "15m", [("{}", 2)]),
            (_now(NUMBERS, "B", team="Sales"), "15m", [("{}", 1)]),
        ],
    )


def test_what_reads_on_after_a_restart_of_prometheus_is_not_taken_for_the_truth(tmp_path: Path) -> None:
    cases = [
        (_now("Last poll", "A"), "12m30s", [("{}", 0.0)]),
        (_now(NUMBERS, "A"), "12m30s", []),
        (_now(NUMBERS, "B"), "12m30s", [("{}", 2.0)]),
        (_now(NUMBERS, "B", team="Sales"), "12m30s", [("{}", 1.0)]),
        (_now(TABLE, "A"), "12m30s", []),
        (_now(TIMELINE, "A"), "12m30s", []),
    ]
    evaluate(tmp_path, BOTH_DOWN, cases)


def test_agents_of_an_exporter_that_is_no_longer_scraped_at_all_are_not_counted_as_unknown(tmp_path: Path) -> None:
    gone = {**DOWN, f"up{{{TARGET}}}": "1x19 stale"}
    evaluate(tmp_path, gone, [(_now(NUMBERS, "B"), "15m", [])])


def test_an_agent_without_a_status_counts_as_unknown(tmp_path: Path) -> None:
    series = {**GOOD, f'zohovoice_team_agents{{{TARGET},team="Sales",status="unknown"}}': "3x40"}
    evaluate(tmp_path, series, [(_now(NUMBERS, "B"), "10m", [("{}", 3)])])


def test_the_table_shows_ids_time_in_status_and_its_beginning_without_names(tmp_path: Path) -> None:
    ann, bob = '{agent_id="1",status="On Call"}', '{agent_id="2",status="Available"}'
    evaluate(
        tmp_path,
        GOOD,
        [
            (_now(TABLE, "A"), "10m", [(ann, 540), (bob, 600)]),
            (_now(TABLE, "B"), "10m", [(ann, 60_000), (bob, 0)]),
            (_now(TABLE, "A", team="Sales"), "10m", []),
            (_now(TABLE, "A", agent="2"), "10m", [(bob, 600)]),
        ],
    )


def test_the_table_joins_names_and_teams_where_they_are_exposed(tmp_path: Path) -> None:
    ann = '{agent_id="1",name="Ann",status="On Call",team="Sales"}'
    bob = '{agent_id="2",name="Bob",status="Available"}'
    evaluate(
        tmp_path,
        {**GOOD, **NAMED},
        [
            (_now(TABLE, "A"), "10m", [(ann, 540), (bob, 600)]),
            (_now(TABLE, "A", team="Sales"), "10m", [(ann, 540)]),
            (_now(TABLE, "A", team="Sales", agent="2"), "10m", []),
            (_now(TABLE, "A", agent="(1|3)"), "10m", [(ann, 540)]),
        ],
    )


def test_a_team_is_chosen_by_its_name_whatever_characters_that_has(tmp_path: Path) -> None:
    odd, chosen = "O'Neil (a|b) {x} .* $1", escaped("O'Neil (a|b) {x} .* $1")
    named = {
        f'zohovoice_agent_info{{{TARGET},agent_id="1",name="Ann",team="{odd}"}}': "1x40",
        f'zohovoice_agent_info{{{TARGET},agent_id="2",name="Ann",team="O\'Neil a {{x}} b"}}': "1x40",
    }
    ann = f'{{agent_id="1",name="Ann",status="On Call",team="{odd}"}}'
    cases = [(_now(TABLE, "A", team=team), "10m", [(ann, 540.0)]) for team in (chosen, f"({chosen}|Sales)")]
    evaluate(tmp_path, {**GOOD, **named}, cases)


def test_the_table_says_unknown_since_the_last_good_poll_and_then_nothing(tmp_path: Path) -> None:
    ann, bob = '{agent_id="1",status="unknown"}', '{agent_id="2",status="unknown"}'
    evaluate(
        tmp_path,
        FAILING,
        [
            (_now(TABLE, "A"), "10m30s", [(ann, 60), (bob, 60)]),
            (_now(TABLE, "B"), "10m30s", [(ann, 570_000), (bob, 570_000)]),
            (_now(TABLE, "A"), "15m", []),
        ],
    )


def test_the_table_is_sorted_by_time_in_status_the_longest_first() -> None:
    shown = panel("agents-now", TABLE)
    assert shown["options"]["sortBy"] == [{"displayName": "Time in status", "desc": True}]
    (renamed,) = [each["options"] for each in shown["transformations"] if each["id"] == "organize"]
    assert renamed["renameByName"]["Value #A"] == "Time in status"
    assert renamed["renameByName"]["Value #B"] == "Since"


def test_the_timeline_numbers_each_status_and_labels_lanes_with_names_where_there_are_any(tmp_path: Path) -> None:
    named = [('{agent="Ann",agent_id="1"}', 2), ('{agent="Bob",agent_id="2"}', 1)]
    evaluate(tmp_path, {**GOOD, **NAMED}, [(_now(TIMELINE, "A"), "10m", named)])
    plain = [('{agent="1",agent_id="1"}', 2), ('{agent="2",agent_id="2"}', 1)]
    evaluate(tmp_path, GOOD, [(_now(TIMELINE, "A"), "10m", plain), (_now(TIMELINE, "A", agent="1"), "10m", plain[:1])])


@pytest.mark.parametrize("series", [FAILING, DOWN], ids=["polls fail", "exporter down"])
def test_the_timeline_has_a_hole_while_nobody_looks(tmp_path: Path, series: Mapping[str, str]) -> None:
    evaluate(tmp_path, series, [(_now(TIMELINE, "A"), "10m", []), (_now(TIMELINE, "A"), "15m", [])])


@pytest.mark.parametrize(("word", "number"), [*zip(STATUSES, range(1, 7), strict=True), ("Wrap Up", 7)])
def test_the_timelines_number_of_a_status_is_shown_as_its_word(tmp_path: Path, word: str, number: int) -> None:
    series = {f'zohovoice_agent_status{{{TARGET},agent_id="1",status="{word}"}}': "1x40"}
    up = {f"zohovoice_up{{{TARGET}}}": "1x40"}
    evaluate(tmp_path, {**up, **series}, [(_now(TIMELINE, "A"), "10m", [('{agent="1",agent_id="1"}', number)])])
    (mapping,) = panel("agents-now", TIMELINE)["fieldConfig"]["defaults"]["mappings"]
    assert mapping["options"][str(number)]["text"] == (word if word in STATUSES else "other")


def test_one_exporter_of_several_that_is_away_has_no_good_poll_and_the_oldest_data(tmp_path: Path) -> None:
    away = TARGET.replace("exporter", "away")
    unscraped = {
        f"up{{{away}}}": "1x9 0x30",
        f"zohovoice_up{{{away}}}": "1x9 stale",
        f"zohovoice_last_poll_success_timestamp_seconds{{{away}}}": "0+30x9 stale",
    }
    cases = [
        (_now("Last poll", "A"), "4m30s", [("{}", 1.0)]),
        (_now("Last poll", "A"), "15m", [("{}", 0.0)]),
        (_now("Last poll", "A", instance="exporter:10042"), "15m", [("{}", 1.0)]),
        (_now("Age of the data", "A"), "4m30s", [("{}", 0.0)]),
        (_now("Age of the data", "A"), "15m", [("{}", 900 - 270.0)]),
        (_now("Age of the data", "A", instance="exporter:10042"), "15m", [("{}", 0.0)]),
    ]
    evaluate(tmp_path, {**GOOD, **unscraped}, cases)


def test_the_data_of_an_exporter_that_has_polled_in_vain_since_its_start_are_as_old_as_before(tmp_path: Path) -> None:
    restarted = TARGET.replace("exporter", "restarted")
    in_vain = {
        f"up{{{restarted}}}": "1x9 0 1x30",
        f"zohovoice_up{{{restarted}}}": "1x9 stale 0x30",
        f"zohovoice_last_poll_success_timestamp_seconds{{{restarted}}}": "0+30x9 stale",
    }
    evaluate(tmp_path, {**GOOD, **in_vain}, [(_now("Age of the data", "A"), "15m", [("{}", 900 - 270.0)])])


def test_the_last_poll_and_its_age_are_shown(tmp_path: Path) -> None:
    evaluate(
        tmp_path,
        FAILING,
        [
            (_now("Last poll", "A"), "9m30s", [("{}", 1)]),
            (_now("Last poll", "A"), "10m", [("{}", 0)]),
            (_now("Age of the data", "A"), "15m", [("{}", 330)]),
        ],
    )


def test_an_agent_whom_an_exporter_at_another_address_took_over_is_one_agent(tmp_path: Path) -> None:
    moved = TARGET.replace("exporter", "other")
    series = {name.replace(TARGET, moved): "_x20 " + values.replace("x40", "x20") for name, values in GOOD.items()}
    both = {**DOWN, f"up{{{TARGET}}}": "1x19 stale", **series, **state_set("1", "Busy", target=moved)}
    lane = [('{agent="1",agent_id="1"}', 3), ('{agent="2",agent_id="2"}', 1)]
    evaluate(tmp_path, both, [(_now(TIMELINE, "A"), "15m", lane)])
