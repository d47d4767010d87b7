"""Every query of every dashboard, rule and alert, asked of a real Prometheus that scraped exporters for a minute.

Much happened in that minute (see `tests.support.told`), so that every query has something to say. The queries are sent
as Grafana sends them, with "All" chosen and with a value chosen in each variable, over the dashboard's own time range
and over the last five minutes.
"""

import math
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.metrics.statuses import CLOSED
from grafana.alerts import ALERTS, Alert
from grafana.build import DASHBOARDS
from grafana.rules import RULES, RecordingRule
from tests.support.documents import ROOT
from tests.support.dressing import display_names, oddities, unnamed
from tests.support.panels import Looking, Series, Target, read, targets, variables
from tests.support.programs import promtool
from tests.support.told import Told, told
from tests.support.turned import operands, turned

pytestmark = pytest.mark.slow

EMPTY: Final = {
    "exporter-health: Transitions written and waiting D": "tens of thousands of facts must wait before one is given up",
}
"""Queries that have no answer although all is well, and why; by dashboard, panel and letter."""
WAYS: Final = ("all", "all, five minutes", "one of each", "one of each, five minutes")
BOARDS: Final = sorted({each.dashboard for each in targets()})
SHARES: Final = re.compile("ratio|avg|:min$")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with told(tmp_path_factory.mktemp("told")) as happened:
        yield happened


def looking(told: Told, way: str) -> Looking:
    chosen = told.chosen if way.startswith("one") else {}
    return replace(told.everything, chosen=chosen, range_s=300 if "minutes" in way else None)


def answer(told: Told, target: Target, how: Looking) -> list[Series]:
    request = target.request(how)
    return read(told.ask(request.path, request.parameters))


def instant(told: Told, expression: str) -> list[Series]:
    return read(told.ask("/api/v1/query", {"query": expression, "time": f"{told.everything.end:.3f}"}))


def test_no_dashboard_on_prometheus_is_left_out() -> None:
    assert set(BOARDS) <= {name.removesuffix(".json") for name in DASHBOARDS}
    assert {each.name for each in targets()} >= EMPTY.keys()
    left_out = {name for name in DASHBOARDS if name.removesuffix(".json") not in BOARDS}
    assert left_out <= {"history-sqlite.json"}, "it has SQL in place of PromQL"


def test_no_subquery_takes_steps_longer_than_the_minute_that_is_told_of() -> None:
    asked = [each.request(Looking(0.0)).expr for each in targets()]
    steps = [float(step) for expr in asked for step in re.findall(r":([\d.]+)s\]", expr)]
    assert steps
    assert max(steps) <= 60


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("board", BOARDS)
def test_each_query_answers_with_what_its_panel_shows(prometheus: Told, board: str, way: str) -> None:
    how = looking(prometheus, way)
    found = []
    for target in (each for each in targets() if each.dashboard == board):
        series = answer(prometheus, target, how)
        if series:
            found += [f"{target.name}: {oddity}" for oddity in oddities(target, series, how.end)]
        elif target.name not in EMPTY:
            found.append(f"{target.name}: no answer")
        instants = {len(each.points) for each in series} <= {1}
        assert instants or not target.query.get("instant"), target.name
    assert found == []


@pytest.mark.parametrize("board", BOARDS)
def test_what_columns_and_overrides_name_is_there(prometheus: Told, board: str) -> None:
    how = looking(prometheus, "all")
    fields: defaultdict[int, set[str]] = defaultdict(set)
    panels: dict[int, Mapping[str, Any]] = {}
    for target in (each for each in targets() if each.dashboard == board):
        panels[target.panel["id"]] = target.panel
        fields[target.panel["id"]] |= display_names(target, answer(prometheus, target, how))
        if target.name in EMPTY:
            fields[target.panel["id"]].add(target.display_name(Series({}, ())))
    assert {
        panels[number]["title"]: missing for number in panels if (missing := unnamed(panels[number], fields[number]))
    } == {}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variable", list(variables()), ids=lambda each: f"{each.dashboard} {each.name}")
def test_each_variable_offers_what_can_be_chosen(prometheus: Told, variable: Any, way: str) -> None:
    offered = variable.values(looking(prometheus, way), prometheus.ask)
    assert prometheus.chosen[variable.name] in [value for _, value in offered]
    assert all(text and value for text, value in offered)
    assert len({value for _, value in offered}) == len(offered)


def test_the_agent_variable_shows_names_where_there_are_any(prometheus: Told) -> None:
    (variable,) = [each for each in variables() if (each.dashboard, each.name) == ("agents-now", "agent")]
    offered = {value: text for text, value in variable.values(looking(prometheus, "all"), prometheus.ask)}
    first, second = prometheus.said.values()
    # Somebody has left the first of them since, and was there in the time range.
    tracked = {row["agent_id"] for row in first["rows"] + second["rows"]}
    assert len(offered.keys() - tracked - prometheus.gone) == 1
    assert [offered[row["agent_id"]] for row in first["rows"]] == [row["name"] for row in first["rows"]]
    assert [offered[row["agent_id"]] for row in second["rows"]] == [row["agent_id"] for row in second["rows"]]


# ---- rules and alerts


def test_prometheus_evaluates_every_rule_without_an_error(prometheus: Told) -> None:
    groups = prometheus.ask("/api/v1/rules", {})["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {each.record for each in RULES} | {each.name for each in ALERTS}
    assert {(rule["name"], rule["health"], rule.get("lastError", "")) for rule in rules} == {
        (rule["name"], "ok", "") for rule in rules
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.record)
def test_each_recording_rule_records_the_labels_of_its_level(prometheus: Told, rule: RecordingRule) -> None:
    for expression in (rule.record, rule.expr):
        series = instant(prometheus, expression)
        assert series, expression
        level = set(rule.record.split(":")[0].split("_"))
        for each in series:
            # An agent without a team has no label of it in an answer.
            assert each.labels.keys() | ({"team"} & level) == level
            ((_, value),) = each.points
            assert 0 <= value <= 1 if SHARES.search(rule.record) else value == int(value) >= 0, value


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_all_that_an_alert_looks_at_exists_and_goes_together(prometheus: Told, alert: Alert) -> None:
    instant(prometheus, alert.expr)
    for part in operands(alert.expr):
        assert instant(prometheus, part), part
    series = instant(prometheus, turned(alert.expr))
    assert series
    wanted = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    for each in series:
        if "absent(" not in alert.expr:  # such an answer has the labels that are asked for, and is none here
            assert wanted <= each.labels.keys()
        assert all(math.isfinite(value) for _, value in each.points)


# ---- the same as the program itself says


@pytest.mark.parametrize("number", [0, 1], ids=["with names", "without names"])
def test_the_numbers_are_those_of_the_api(prometheus: Told, number: int) -> None:
    instance, said = list(prometheus.said.items())[number]
    how = replace(prometheus.everything, chosen={"instance": instance})
    by_name = {each.name: each for each in targets()}

    def values(name: str, label: str) -> dict[str, float]:
        series = answer(prometheus, by_name[name], how)
        # A graph has those too who have left.
        return {
            each.labels.get(label, ""): each.points[-1][1] for each in series if each.points[-1][0] >= how.end - 0.01
        }

    counts = {entry["status"]: entry["agents"] for entry in said["statuses"]}
    assert values("agents-now: Agents by status A", "status") == {
        status: agents for status, agents in counts.items() if status != "unknown"
    }
    assert values("agents-now: Agents by status B", "") == {"": counts["unknown"]}
    assert values("agents-over-time: Agents by status A", "status") == {
        status: agents for status, agents in counts.items() if status != "unknown"
    }
    table = answer(prometheus, by_name["agents-now: Who is in what, and for how long A"], how)
    assert {each.labels["agent_id"]: each.labels["status"] for each in table} == {
        row["agent_id"]: row["status"] for row in said["rows"]
    }
    since = {row["agent_id"]: datetime.fromisoformat(row["since"]).timestamp() for row in said["rows"]}
    in_status = {each.labels["agent_id"]: each.points[0][1] for each in table}
    assert in_status == pytest.approx({agent: how.end - at for agent, at in since.items()}, abs=0.01)
    lanes = values("agents-now: Status of each agent over time A", "agent_id")
    words = [*("Available", "On Call", "Busy", "On Break", "Offline"), "unknown", "other"]
    assert {agent: words[round(lane) - 1] for agent, lane in lanes.items()} == {
        row["agent_id"]: row["status"] for row in said["rows"]
    }
    recorded = instant(prometheus, f'job_instance:zohovoice_agents:sum{{instance="{instance}"}}')
    assert [each.points for each in recorded] == [((pytest.approx(how.end, abs=0.01), len(said["rows"])),)]


def test_the_agents_of_an_exporter_that_is_away_are_unknown(prometheus: Told) -> None:
    by_name = {each.name: each for each in targets()}
    unknown = sum(
        entry["agents"]
        for said in prometheus.said.values()
        for entry in said["statuses"]
        if entry["status"] == "unknown"
    )
    for board in ("agents-now", "agents-over-time"):
        (found,) = answer(prometheus, by_name[f"{board}: Agents by status B"], looking(prometheus, "all"))
        assert found.points[-1][1] == unknown + len(prometheus.gone)
    (worst,) = answer(prometheus, by_name["exporter-health: Last poll A"], looking(prometheus, "all"))
    assert worst.points[0][1] == 0
    table = answer(prometheus, by_name["agents-now: Who is in what, and for how long A"], looking(prometheus, "all"))
    assert not {each.labels["agent_id"] for each in table} & prometheus.gone


def test_the_leaver_and_the_added_word_are_in_what_looks_back(prometheus: Told) -> None:
    by_name = {each.name: each for each in targets()}
    rows = answer(prometheus, by_name["agents-over-time: Time in status by agent A"], looking(prometheus, "all"))
    tracked = {row["agent_id"] for said in prometheus.said.values() for row in said["rows"]}
    shown = {each.labels["agent_id"] for each in rows}
    assert shown > prometheus.gone
    assert len(shown - tracked - prometheus.gone) == 1
    other = by_name["agents-over-time: Time in status by agent F"]
    assert "Available|" in other.raw
    (hero,) = [each for each in answer(prometheus, other, looking(prometheus, "all")) if each.points[0][1] > 0]
    assert hero.labels["agent_id"] == prometheus.chosen["agent"]
    assert 0.5 < hero.points[0][1] < 15
    assert "Wrap Up" not in CLOSED


# ---- the files as Prometheus gets them


def test_promtool_accepts_the_configuration_of_the_compose_file_with_its_rules(tmp_path: Path) -> None:
    compose = yaml.safe_load((ROOT / "deploy/compose.yml").read_text(encoding="utf-8"))
    inside = tmp_path / "container"
    for volume in compose["services"]["prometheus"]["volumes"]:
        source, place = volume.split(":")[:2]
        if not source.startswith("."):
            continue
        put = inside / place.lstrip("/")
        put.parent.mkdir(parents=True, exist_ok=True)
        here = ROOT / "deploy" / source
        shutil.copytree(here, put) if here.is_dir() else shutil.copy(here, put)
    (flag,) = [each for each in compose["services"]["prometheus"]["command"] if each.startswith("--config.file=")]
    config = inside / flag.removeprefix("--config.file=").lstrip("/")
    # Absolute paths are those of the container.
    config.write_text(re.sub(r"(?m)(^\s*- )(/\S+)", rf"\g<1>{inside}\g<2>", config.read_text(encoding="utf-8")))
    checked = subprocess.run([promtool(), "check", "config", config], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(re.findall(r"SUCCESS: \d+ rules found", checked.stdout)) == 2, checked.stdout
