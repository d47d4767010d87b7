"""Every rule of grafana/dashboard-linter, on every dashboard; what is excepted is in a table with its reason."""

import copy
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.metrics.families import FAMILY
from grafana.build import DASHBOARDS
from tests.support.grafana import dashboard, variable_query
from tests.support.lint import RULES, expressions, selectors, variables
from tests.support.panels import by_hand, targets
from tests.support.promql import parsed

NAMES: Final = [name.removesuffix(".json") for name in DASHBOARDS]

_FILE: Final = "The history is a file: it has no job and no instance, and the data source says which file it is."
EXCEPTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("history-sqlite", "template-job-rule"): _FILE,
    ("history-sqlite", "template-instance-rule"): _FILE,
}
"""Rules that a dashboard breaks on purpose, with the reason."""

BY_PROMTOOL: Final = {"template-label-promql-rule", "target-promql-rule"}
ABOUT_LOKI: Final = {"target-logql-rule", "target-logql-auto-rule"}
"""No dashboard asks Loki."""

# The list in docs/index.md of the linter, as of June 2026.
PUBLISHED: Final = {
    *("template-datasource-rule", "template-job-rule", "template-instance-rule", "template-label-promql-rule"),
    *("template-on-time-change-reload-rule", "panel-datasource-rule", "panel-title-description-rule"),
    *("panel-units-rule", "panel-no-targets-rule", "target-logql-rule", "target-logql-auto-rule", "target-promql-rule"),
    *("target-rate-interval-rule", "target-job-rule", "target-instance-rule", "target-counter-agg-rule"),
    "uneditable-dashboard",
}


def test_each_published_rule_is_restated() -> None:
    assert {*RULES, *BY_PROMTOOL, *ABOUT_LOKI} == PUBLISHED


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rule", RULES)
def test_a_dashboard_keeps_the_rule(rule: str, name: str) -> None:
    broken = list(RULES[rule](dashboard(name)))
    if (name, rule) in EXCEPTIONS:
        assert broken, "the exception is no longer needed"
    else:
        assert broken == []


@pytest.mark.parametrize("name", NAMES)
def test_the_queries_of_panels_and_variables_parse_in_prometheus(tmp_path: Path, name: str) -> None:
    asked = [each.by_hand() for each in targets(name)]
    if variables(dashboard(name), "datasource")[0]["query"] == "prometheus":
        asked += [by_hand(variable_query(each)[1], name) for each in variables(dashboard(name), "query")]
        assert asked
    assert not [expr for expr in asked if "$" in expr.replace('"$1"', "")], "a variable that nobody fills in"
    if asked:
        checked = parsed(tmp_path, asked)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert f"SUCCESS: {len(asked)} rules found" in checked.stdout


def test_promtool_refuses_a_query_that_does_not_parse(tmp_path: Path) -> None:
    assert parsed(tmp_path, ["sum by (status zohovoice_agents"]).returncode == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_query_asks_only_for_families_that_the_exporter_or_prometheus_has(name: str) -> None:
    asked = {family for _, expr in expressions(dashboard(name)) for family, _ in selectors(expr)}
    histograms = {f"{each}_{part}" for each in FAMILY for part in ("bucket", "sum", "count")}
    prometheus = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}
    process = {each for each in asked if each.startswith(("process_", "python_"))}
    assert asked <= {*FAMILY, *histograms, *prometheus, *process}


@pytest.mark.parametrize("name", NAMES)
def test_no_query_asks_for_the_timestamp_of_each_sample(name: str) -> None:
    """Prometheus before 2.44 reads a series from its start for every step: 100 agents took 5 s for each column."""
    assert [place for place, expr in expressions(dashboard(name)) if re.search(r"timestamp\(\s*\w+\s*\{", expr)] == []


def test_selectors_are_found_with_matchers_and_without() -> None:
    expr = 'sum by (status) (a{x="}",y="1"} and on (job) up) / rate(b_total[5m]) + time() - inf * c:d:e > bool 1e3'
    assert selectors(expr) == [("a", 'x="}",y="1"'), ("up", ""), ("b_total", ""), ("c:d:e", "")]
    assert selectors('label_replace(vector(1), "agent", "$1", "name", "(.+)")') == []


Spoil = Callable[[dict[str, Any]], object]


def _first(board: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = board["panels"][0]
    return found


def _variable(board: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in board["templating"]["list"] if each["name"] == name]
    chosen: dict[str, Any] = found
    return chosen


def _asks(expr: str) -> Spoil:
    return lambda board: _first(board)["targets"][0].update(expr=expr)


MATCHED: Final = '{job=~"$job", instance=~"$instance"}'
SPOILT: Final[list[tuple[str, Spoil]]] = [
    ("template-datasource-rule", lambda board: _variable(board, "datasource").update(label="Prometheus")),
    ("template-datasource-rule", lambda board: board["templating"].update(list=[])),
    ("template-job-rule", lambda board: _variable(board, "job").update(allValue=".*")),
    ("template-job-rule", lambda board: _variable(board, "job").update(name="other")),
    ("template-instance-rule", lambda board: _variable(board, "instance").update(multi=False)),
    ("template-instance-rule", lambda board: _variable(board, "instance").update(datasource={"uid": "abc"})),
    ("template-on-time-change-reload-rule", lambda board: _variable(board, "team").update(refresh=1)),
    ("panel-datasource-rule", lambda board: _first(board).update(datasource={"uid": "abc"})),
    ("panel-title-description-rule", lambda board: _first(board).update(description="")),
    ("panel-title-description-rule", lambda board: _first(board).update(title="")),
    ("panel-units-rule", lambda board: _first(board)["fieldConfig"]["defaults"].update(unit="seconds")),
    ("panel-no-targets-rule", lambda board: _first(board).update(targets=[])),
    ("target-rate-interval-rule", _asks(f"rate(zohovoice_polls_total{MATCHED}[5m])")),
    ("target-rate-interval-rule", _asks(f'rate(zohovoice_polls_total{MATCHED[:-1]}, reason="}}"}}[5m])')),
    ("target-rate-interval-rule", _asks("sum(irate(zohovoice_polls_total [$__interval]))")),
    ("target-job-rule", _asks('zohovoice_up{instance=~"$instance"}')),
    ("target-job-rule", _asks("zohovoice_up")),
    ("target-instance-rule", _asks('zohovoice_up{job=~"$job"}')),
    ("target-instance-rule", _asks('zohovoice_up{job=~"$job", instance="$instance"}')),
    ("target-counter-agg-rule", _asks(f"zohovoice_polls_total{MATCHED}")),
    ("target-counter-agg-rule", _asks(f"max_over_time(zohovoice_polls_total{MATCHED}[5m])")),
    ("target-counter-agg-rule", _asks("sum(zohovoice_polls_total)")),
    ("uneditable-dashboard", lambda board: board.update(editable=True)),
]


@pytest.mark.parametrize(("rule", "spoil"), SPOILT)
def test_a_rule_finds_what_breaks_it(rule: str, spoil: Spoil) -> None:
    board = copy.deepcopy(dashboard("agents-now"))
    spoil(board)
    assert list(RULES[rule](board))


def test_each_rule_has_been_seen_to_find_something() -> None:
    assert {rule for rule, _ in SPOILT} == set(RULES)


def test_an_exception_is_for_a_rule_and_a_dashboard_that_exist() -> None:
    assert {rule for _, rule in EXCEPTIONS} <= set(RULES)
