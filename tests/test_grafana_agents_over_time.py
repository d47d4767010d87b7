"""What the graphs of the dashboard "Agents over time" answer; its tables are in test_grafana_time.py."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.panels import target
from tests.support.promql import DOWN, FAILING, GOOD, STATUSES, TARGET, evaluate, teams

STACK = "Agents by status"
AVAILABLE = "Available agents per 15 minutes"
BLIND = "Time in which nobody was looking"
TRANSITIONS = "Transitions per hour"
CHANGES = "Transitions per hour of the chosen agents"

MOVES = {
    f'zohovoice_agent_status_transitions_total{{{TARGET},from_status="Busy",to_status="On Call"}}': "0+1x40",
    f'zohovoice_agent_status_transitions_total{{{TARGET},from_status="Available",to_status="On Call"}}': "0+2x40",
    f'zohovoice_agent_status_transitions_total{{{TARGET},from_status="On Call",to_status="Busy"}}': "0x40",
    f'zohovoice_agent_status_changes_total{{{TARGET},agent_id="1"}}': "0+1x40",
    f'zohovoice_agent_status_changes_total{{{TARGET},agent_id="2"}}': "0+2x40",
}


def _asked(title: str, ref: str, **chosen: str) -> str:
    return target("agents-over-time", title, ref).by_hand(**chosen)


def _rounded(title: str, ref: str, **chosen: str) -> str:
    return f"round({_asked(title, ref, **chosen)}, 0.001)"


def _available(values: str) -> dict[str, str]:
    return {
        f'zohovoice_team_agents{{{TARGET},team="",status="{word}"}}': values if word == "Available" else "0x40"
        for word in STATUSES
    }


def test_the_stack_is_as_high_as_there_are_agents(tmp_path: Path) -> None:
    rest = [(f'{{status="{word}"}}', 0) for word in ("Busy", "On Break", "Offline")]
    both = [('{status="Available"}', 1), ('{status="On Call"}', 1), *rest]
    evaluate(tmp_path, GOOD, [(_asked(STACK, "A"), "10m", both), (_asked(STACK, "B"), "10m", [("{}", 0)])])


@pytest.mark.parametrize("series", [FAILING, DOWN], ids=["polls fail", "exporter down"])
def test_agents_are_unknown_in_the_stack_and_never_in_their_last_status_while_nobody_looks(
    tmp_path: Path, series: Mapping[str, str]
) -> None:
    evaluate(
        tmp_path,
        series,
        [
            (_asked(STACK, "B"), "9m30s", [("{}", 0)]),
            (_asked(STACK, "A"), "10m", []),
            (_asked(STACK, "B"), "10m", [("{}", 2)]),
            (_asked(STACK, "A"), "15m", []),
            (_asked(STACK, "B"), "15m", [("{}", 2)]),
            (_asked(STACK, "B", team="Sales"), "15m", [("{}", 1)]),
        ],
    )


def test_an_hour_in_which_the_exporter_is_down_stays_unknown_to_its_end(tmp_path: Path) -> None:
    series = {
        f"up{{{TARGET}}}": "1x19 0x119 1x10",
        f"zohovoice_up{{{TARGET}}}": "1x19 stale _x119 1x10",
        **teams("x19 stale _x119 0x10"),
    }
    evaluate(
        tmp_path,
        series,
        [
            (_asked(STACK, "B"), "69m30s", [("{}", 2)]),
            (_asked(STACK, "A"), "69m30s", []),
            (_asked(STACK, "B"), "70m", [("{}", 0)]),
        ],
    )


def test_an_exporter_that_is_down_over_a_long_weekend_stays_unknown(tmp_path: Path) -> None:
    series = {series: values.replace("0x20", "0x11520") for series, values in DOWN.items()}
    name = f"{{{TARGET}}}"
    evaluate(
        tmp_path,
        series,
        [
            (_asked(STACK, "B"), "4d", [("{}", 2)]),
            (_asked(AVAILABLE, "C"), "4d", [("{}", 2)]),
            (_asked(BLIND, "A"), "4d", [(name, 1)]),
        ],
    )


def test_mean_and_least_available_are_of_the_15_minutes_before(tmp_path: Path) -> None:
    # At 15 m the 31 moments from 0 s on: 3 available in 21 of them, 1 in 10.
    series = {**GOOD, **teams("x40"), **_available("3x20 1x19")}
    evaluate(
        tmp_path,
        series,
        [
            (_rounded(AVAILABLE, "A"), "15m", [("{}", round((3 * 21 + 10) / 31, 3))]),
            (_rounded(AVAILABLE, "B"), "15m", [("{}", 1)]),
            (_rounded(AVAILABLE, "C"), "15m", [("{}", 0)]),
            (_rounded(AVAILABLE, "A"), "9m30s", [("{}", 3)]),
            (_rounded(AVAILABLE, "A", team="Sales"), "15m", [("{}", 0)]),
        ],
    )


@pytest.mark.parametrize("series", [FAILING, DOWN], ids=["polls fail", "exporter down"])
def test_time_in_which_nobody_looked_is_not_in_the_mean_and_is_shown_as_unknown(
    tmp_path: Path, series: Mapping[str, str]
) -> None:
    # 20 of the 31 moments until 15 m are good. Both agents are unknown in the 11 others.
    evaluate(
        tmp_path,
        series,
        [
            (_rounded(AVAILABLE, "A"), "15m", [("{}", 1)]),
            (_rounded(AVAILABLE, "B"), "15m", [("{}", 1)]),
            (_rounded(AVAILABLE, "C"), "15m", [("{}", round(2 * 11 / 31, 3))]),
            (_rounded(AVAILABLE, "C", team="Sales"), "15m", [("{}", round(11 / 31, 3))]),
        ],
    )


def test_when_nobody_looked_all_the_time_there_is_no_mean_and_all_agents_are_unknown(tmp_path: Path) -> None:
    longer = {name: values.replace("0x20", "0x60").replace("570x20", "570x60") for name, values in FAILING.items()}
    evaluate(
        tmp_path,
        {**longer, f"up{{{TARGET}}}": "1x80"},
        [
            (_rounded(AVAILABLE, "A"), "26m", []),
            (_rounded(AVAILABLE, "B"), "26m", []),
            (_rounded(AVAILABLE, "C"), "26m", [("{}", 2)]),
        ],
    )


def test_agents_without_a_status_are_in_the_mean_of_unknown(tmp_path: Path) -> None:
    series = {**GOOD, f'zohovoice_team_agents{{{TARGET},team="Sales",status="unknown"}}': "1x40"}
    evaluate(tmp_path, series, [(_rounded(AVAILABLE, "C"), "15m", [("{}", 1)])])


@pytest.mark.parametrize("series", [FAILING, DOWN], ids=["polls fail", "exporter down"])
def test_the_share_of_time_in_which_nobody_looked_is_always_shown(tmp_path: Path, series: Mapping[str, str]) -> None:
    other = {'up{job="node",instance="node:9100"}': "1x40"}
    evaluate(
        tmp_path,
        {**series, **other},
        [
            (_rounded(BLIND, "A"), "9m30s", [(f"{{{TARGET}}}", 0)]),
            # Two of the five scrapes of two minutes.
            (_rounded(BLIND, "A"), "10m30s", [(f"{{{TARGET}}}", 0.4)]),
            (_rounded(BLIND, "A"), "15m", [(f"{{{TARGET}}}", 1)]),
        ],
    )


def test_transitions_are_per_hour_by_where_they_led(tmp_path: Path) -> None:
    evaluate(
        tmp_path,
        {**GOOD, **MOVES},
        [
            (_rounded(TRANSITIONS, "A"), "10m", [('{to_status="On Call"}', 360), ('{to_status="Busy"}', 0)]),
            (_rounded(CHANGES, "A"), "10m", [("{}", 360)]),
            (_rounded(CHANGES, "A", agent="1"), "10m", [("{}", 120)]),
        ],
    )


def test_a_restart_is_no_transition(tmp_path: Path) -> None:
    name = f'zohovoice_agent_status_transitions_total{{{TARGET},from_status="Busy",to_status="On Call"}}'
    evaluate(
        tmp_path, {**GOOD, name: "7x19 0x20"}, [(_rounded(TRANSITIONS, "A"), "10m30s", [('{to_status="On Call"}', 0)])]
    )


@pytest.mark.parametrize("title", [TRANSITIONS, CHANGES])
def test_counters_that_stand_still_because_nobody_looks_are_a_hole_and_not_no_transitions(
    tmp_path: Path, title: str
) -> None:
    evaluate(tmp_path, {**FAILING, **MOVES}, [(_rounded(title, "A"), "15m", [])])
