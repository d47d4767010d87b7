"""The dashboards: source and JSON agree, the habits of dashboard-linter, and what each query answers.

Prometheus' own `promtool` parses and evaluates the queries, on series written down here.
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.metrics.families import FAMILY
from grafana.build import DASHBOARDS, FOLDER, rendered
from tests.support.grafana import FOLDER as GRAFANA
from tests.support.grafana import Query, dashboard, queries, query
from tests.support.programs import promtool

NAMES = [name.removesuffix(".json") for name in DASHBOARDS]
PANELS = [pytest.param(panel, id=f"{name}: {panel['title']}") for name in NAMES for panel in dashboard(name)["panels"]]
QUERIES = [pytest.param(each, id=f"{name}: {each.panel} {each.ref}") for name in NAMES for each in queries(name)]

SELECTOR = re.compile(r"\b(zohovoice_\w+|up)(\{[^}]*\})?")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_committed_json_is_what_the_source_builds(name: str) -> None:
    committed = (FOLDER / name).read_text(encoding="utf-8")
    assert committed == rendered(DASHBOARDS[name]()), "run `python -m grafana.build` and commit what it writes"


def test_every_json_file_has_a_source() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(DASHBOARDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_cannot_be_edited_in_grafana_and_has_a_stable_address(name: str) -> None:
    board = dashboard(name)
    assert board["editable"] is False
    assert board["uid"] == f"zohovoice-{name}"
    assert "id" not in board


@pytest.mark.parametrize("name", NAMES)
def test_job_instance_and_team_are_variables_of_the_chosen_data_source(name: str) -> None:
    source, *others = dashboard(name)["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert [(each["name"], each["allValue"]) for each in others] == [("job", ".+"), ("instance", ".+"), ("team", ".*")]
    for each in others:
        assert each["type"] == "query"
        assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert each["multi"] is each["includeAll"] is True
        assert each["refresh"] == 2, "values are read anew when the time range changes"


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name: str) -> None:
    panels = dashboard(name)["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_title_description_unit_and_data_source(panel: Mapping[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]


@pytest.mark.parametrize("each", QUERIES)
def test_a_query_chooses_job_and_instance_in_every_selector(each: Query) -> None:
    for selector in SELECTOR.finditer(each.raw):
        matchers = selector[2] or ""
        assert 'job=~"$job"' in matchers, selector[0]
        assert 'instance=~"$instance"' in matchers, selector[0]


@pytest.mark.parametrize("each", QUERIES)
def test_a_query_asks_only_for_families_that_the_exporter_has(each: Query) -> None:
    names = {selector[1] for selector in SELECTOR.finditer(each.raw)}
    assert names
    assert names <= {*FAMILY, "up"}


@pytest.mark.parametrize("each", QUERIES)
def test_a_counter_is_only_read_through_rate_over_grafanas_own_interval(each: Query) -> None:
    counters = re.findall(r"(\w*)\(?zohovoice_\w+_total\{[^}]*\}(\[[^]]*\])?", each.raw)
    assert all(read == ("rate", "[$__rate_interval]") for read in counters)


def test_every_query_parses_in_prometheus(tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:{number}", "expr": each.filled()}
        for number, each in enumerate(each for name in NAMES for each in queries(name))
    ]
    assert not [rule for rule in rules if "$__" in rule["expr"]]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}), encoding="utf-8")
    checked = subprocess.run([promtool(), "check", "rules", path], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"SUCCESS: {len(rules)} rules found" in checked.stdout


def test_promtool_refuses_a_query_that_does_not_parse(tmp_path: Path) -> None:
    rules = [{"record": "dashboard:0", "expr": "sum by (status zohovoice_agents"}]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}), encoding="utf-8")
    assert subprocess.run([promtool(), "check", "rules", path], capture_output=True, timeout=30).returncode == 1


# Two agents, Ann of Sales and Bob of no team, one sample each 30 seconds, the first at 0 s. Names are not exposed.
# Ann is On Call since 60 s, Bob Available since 0 s. The numbers of polls rise by one each 30 seconds.
TARGET = 'job="zohovoice",instance="exporter:10042"'
STATUSES = ("Available", "On Call", "Busy", "On Break", "Offline", "unknown")


def _state_set(agent_id: str, status: str, values: str = "x40") -> dict[str, str]:
    return {
        f'zohovoice_agent_status{{{TARGET},agent_id="{agent_id}",status="{word}"}}': f"{int(word == status)}{values}"
        for word in STATUSES
    }


def _teams(values: str = "x40") -> dict[str, str]:
    inside = {("Sales", "On Call"): 1, ("", "Available"): 1}
    return {
        f'zohovoice_team_agents{{{TARGET},team="{team}",status="{word}"}}': f"{inside.get((team, word), 0)}{values}"
        for team in ("Sales", "")
        for word in STATUSES
    }


GOOD = {
    f"up{{{TARGET}}}": "1x40",
    f"zohovoice_up{{{TARGET}}}": "1x40",
    f"zohovoice_last_poll_success_timestamp_seconds{{{TARGET}}}": "0+30x40",
    f"zohovoice_poll_interval_seconds{{{TARGET}}}": "30x40",
    f"zohovoice_polls_total{{{TARGET}}}": "0+1x40",
    f"zohovoice_polls_skipped_total{{{TARGET}}}": "0x40",
    f'zohovoice_poll_failures_total{{{TARGET},reason="timeout"}}': "0x40",
    f'zohovoice_agent_status_since_timestamp_seconds{{{TARGET},agent_id="1"}}': "60x40",
    f'zohovoice_agent_status_since_timestamp_seconds{{{TARGET},agent_id="2"}}': "0x40",
    **_state_set("1", "On Call"),
    **_state_set("2", "Available"),
    **_teams(),
}
NAMED = {
    f'zohovoice_agent_info{{{TARGET},agent_id="1",name="Ann",team="Sales"}}': "1x40",
    f'zohovoice_agent_info{{{TARGET},agent_id="2",name="Bob"}}': "1x40",
}
# From 600 s on (sample 20) polls fail: the exporter says so at once, and drops the agents when the maximum age is over.
FAILING = {
    **GOOD,
    f"zohovoice_up{{{TARGET}}}": "1x19 0x20",
    f"zohovoice_last_poll_success_timestamp_seconds{{{TARGET}}}": "0+30x19 570x20",
    f'zohovoice_poll_failures_total{{{TARGET},reason="timeout"}}': "0x19 1+1x20",
    **_state_set("1", "On Call", "x22 stale"),
    **_state_set("2", "Available", "x22 stale"),
    **_teams("x22 stale"),
}
# From 600 s on Prometheus cannot reach the exporter.
DOWN = {series: values.replace("x40", "x19 stale") for series, values in GOOD.items()} | {
    f"up{{{TARGET}}}": "1x19 0x20"
}

Sample = tuple[str, float]


def _evaluate(tmp_path: Path, series: Mapping[str, str], cases: Sequence[tuple[str, str, Sequence[Sample]]]) -> None:
    """Let promtool compare what each expression gives at a time with the samples that it must give, and no others."""
    tests = {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": expr, "eval_time": at, "exp_samples": [{"labels": labels, "value": v} for labels, v in samples]}
            for expr, at, samples in cases
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"evaluation_interval": "30s", "tests": [tests]}), encoding="utf-8")
    tested = subprocess.run([promtool(), "test", "rules", path], capture_output=True, text=True, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def _now(panel: str, ref: str, **chosen: str) -> str:
    return query("agents-now", panel, ref).filled(**chosen)


@pytest.mark.parametrize("panel", ["Agents by status", "Agents by status over time"])
def test_agents_are_counted_by_status_and_none_is_unknown_while_polls_are_good(tmp_path: Path, panel: str) -> None:
    rest = [('{status="Busy"}', 0), ('{status="On Break"}', 0), ('{status="Offline"}', 0)]
    both = [('{status="Available"}', 1), ('{status="On Call"}', 1), *rest]
    sales = [('{status="Available"}', 0), ('{status="On Call"}', 1), *rest]
    _evaluate(
        tmp_path,
        GOOD,
        [
            (_now(panel, "A"), "10m", both),
            (_now(panel, "B"), "10m", [("{}", 0)]),
            (_now(panel, "A", team="Sales"), "10m", sales),
            (_now(panel, "A", team="(Sales|Support)"), "10m", sales),
            (_now(panel, "A", instance="another:10042"), "10m", []),
        ],
    )


@pytest.mark.parametrize("panel", ["Agents by status", "Agents by status over time"])
@pytest.mark.parametrize("series", [FAILING, DOWN], ids=["polls fail", "exporter down"])
def test_agents_are_unknown_and_never_in_their_last_status_while_nobody_looks(
    tmp_path: Path, panel: str, series: Mapping[str, str]
) -> None:
    _evaluate(
        tmp_path,
        series,
        [
            (_now(panel, "B"), "9m30s", [("{}", 0)]),
            (_now(panel, "A"), "10m", []),
            (_now(panel, "B"), "10m", [("{}", 2)]),
            (_now(panel, "A"), "15m", []),
            (_now(panel, "B"), "15m", [("{}", 2)]),
            (_now(panel, "B", team="Sales"), "15m", [("{}", 1)]),
        ],
    )


def test_agents_of_an_exporter_that_is_no_longer_scraped_at_all_are_not_counted_as_unknown(tmp_path: Path) -> None:
    gone = {**DOWN, f"up{{{TARGET}}}": "1x19 stale"}
    _evaluate(tmp_path, gone, [(_now("Agents by status", "B"), "15m", [])])


def test_an_agent_without_a_status_counts_as_unknown(tmp_path: Path) -> None:
    series = {**GOOD, f'zohovoice_team_agents{{{TARGET},team="Sales",status="unknown"}}': "3x40"}
    _evaluate(tmp_path, series, [(_now("Agents by status", "B"), "10m", [("{}", 3)])])


TABLE = "Who is in what, and for how long"


def test_the_table_shows_ids_and_time_in_status_without_names(tmp_path: Path) -> None:
    rows = [('{agent_id="1",status="On Call"}', 540), ('{agent_id="2",status="Available"}', 600)]
    _evaluate(tmp_path, GOOD, [(_now(TABLE, "A"), "10m", rows), (_now(TABLE, "A", team="Sales"), "10m", [])])


def test_the_table_joins_names_and_teams_where_they_are_exposed(tmp_path: Path) -> None:
    ann = '{agent_id="1",name="Ann",status="On Call",team="Sales"}'
    bob = '{agent_id="2",name="Bob",status="Available"}'
    _evaluate(
        tmp_path,
        {**GOOD, **NAMED},
        [
            (_now(TABLE, "A"), "10m", [(ann, 540), (bob, 600)]),
            (_now(TABLE, "A", team="Sales"), "10m", [(ann, 540)]),
        ],
    )


def test_the_table_says_unknown_since_the_last_good_poll_and_then_nothing(tmp_path: Path) -> None:
    rows = [('{agent_id="1",status="unknown"}', 60), ('{agent_id="2",status="unknown"}', 60)]
    _evaluate(tmp_path, FAILING, [(_now(TABLE, "A"), "10m30s", rows), (_now(TABLE, "A"), "15m", [])])


TIMELINE = "Status of each agent over time"


def test_the_timeline_numbers_each_status_and_labels_lanes_with_names_where_there_are_any(tmp_path: Path) -> None:
    named = [('{agent="Ann",agent_id="1"}', 2), ('{agent="Bob",agent_id="2"}', 1)]
    _evaluate(tmp_path, {**GOOD, **NAMED}, [(_now(TIMELINE, "A"), "10m", named)])
    plain = [('{agent="1",agent_id="1"}', 2), ('{agent="2",agent_id="2"}', 1)]
    _evaluate(tmp_path, GOOD, [(_now(TIMELINE, "A"), "10m", plain)])


@pytest.mark.parametrize("series", [FAILING, DOWN], ids=["polls fail", "exporter down"])
def test_the_timeline_has_a_hole_while_nobody_looks(tmp_path: Path, series: Mapping[str, str]) -> None:
    _evaluate(tmp_path, series, [(_now(TIMELINE, "A"), "10m", []), (_now(TIMELINE, "A"), "15m", [])])


@pytest.mark.parametrize(("word", "number"), [*zip(STATUSES, range(1, 7), strict=True), ("Wrap Up", 7)])
def test_the_timelines_number_of_a_status_is_shown_as_its_word(tmp_path: Path, word: str, number: int) -> None:
    series = {f'zohovoice_agent_status{{{TARGET},agent_id="1",status="{word}"}}': "1x40"}
    up = {f"zohovoice_up{{{TARGET}}}": "1x40"}
    _evaluate(tmp_path, {**up, **series}, [(_now(TIMELINE, "A"), "10m", [('{agent="1",agent_id="1"}', number)])])
    (panel,) = [panel for panel in dashboard("agents-now")["panels"] if panel["title"] == TIMELINE]
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert mapping["options"][str(number)]["text"] == (word if word in STATUSES else "other")


def test_polls_failures_and_age_are_read_per_minute_and_in_seconds(tmp_path: Path) -> None:
    _evaluate(
        tmp_path,
        FAILING,
        [
            (_now("Last poll", "A"), "9m30s", [("{}", 1)]),
            (_now("Last poll", "A"), "10m", [("{}", 0)]),
            (_now("Age of the data", "A"), "15m", [("{}", 330)]),
            (_now("Polls and failures", "A"), "9m", [("{}", 2)]),
            (_now("Polls and failures", "B"), "9m", []),
            (_now("Polls and failures", "B"), "15m", [('{reason="timeout"}', 2)]),
            (_now("Polls and failures", "C"), "15m", [("{}", 0)]),
            (_now("Age of the data over time", "A"), "15m", [(f"{{{TARGET}}}", 330)]),
            (_now("Age of the data over time", "B"), "15m", [(f"{{{TARGET}}}", 90)]),
        ],
    )


def test_provisioning_names_the_data_source_and_a_folder_for_the_dashboards() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/zohovoice.yml").read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    readme = (GRAFANA / "README.md").read_text(encoding="utf-8")
    assert provider["options"]["path"] in readme
