"""Recording rules and alerts: what is written is what the tables say, and what Prometheus' own promtool makes of it.

The cases of each alert are in tests/data/prometheus_rules/, one file an alert, which promtool runs by itself too.
What all alerts together make of quiet hours is in test_prometheus_quiet_hours.py.
"""

import re
import subprocess
from pathlib import Path

import pytest

from exporter.metrics.families import FAMILIES, FAMILY
from exporter.metrics.family import Shown, Type
from grafana.alerts import ALERTS, RUNBOOKS, Alert
from grafana.queries import LAST_SEEN_AGENTS
from grafana.rules import FILES, FOLDER, REMEMBERED, RULES, alerts, recording_rules, write_rules
from tests.support.documents import ROOT, anchors, fences, links, read, section
from tests.support.programs import promtool
from tests.support.rule_cases import ALERTS_FILE, CASES, cases, judge_alone, loaded

EACH_ALERT = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
RUNBOOK_PAGE = ROOT / "docs" / "runbooks.md"
NAMES = re.compile(r"(?<![\w:])(?:zohovoice|process|python)_\w+")
OTHERS = {"process_start_time_seconds"}
"""Of prometheus-client's own collectors."""


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_the_committed_files_are_what_the_tables_say(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == FILES[name](), "run `make dashboards`"


def test_there_is_no_other_file_and_all_are_written(tmp_path: Path) -> None:
    write_rules(tmp_path / "rules")
    assert (
        {path.name for path in (tmp_path / "rules").iterdir()} == {path.name for path in FOLDER.iterdir()} == set(FILES)
    )


def test_the_text_of_the_rules_is_read_back_as_the_table() -> None:
    assert loaded(recording_rules()) == [{"record": rule.record, "expr": rule.expr} for rule in RULES]


def test_the_text_of_the_alerts_is_read_back_as_the_table() -> None:
    assert loaded(alerts()) == [
        {
            "alert": alert.name,
            "expr": alert.expr,
            "for": alert.hold,
            "labels": {"severity": alert.severity},
            "annotations": {
                "summary": alert.summary,
                "description": alert.description,
                "runbook_url": alert.runbook(),
            },
        }
        for alert in ALERTS
    ]


def test_the_runbooks_can_be_published_elsewhere() -> None:
    elsewhere = "https://wiki.example.com/zohovoice"
    assert alerts(elsewhere).count(f"{elsewhere}#zohovoice") == len(ALERTS)
    head, rules = alerts().split("groups:")
    assert RUNBOOKS in head
    assert head + "groups:" + rules.replace(RUNBOOKS, elsewhere) == alerts(elsewhere)


def test_the_command_of_the_runbooks_rewrites_the_links_and_nothing_else(tmp_path: Path) -> None:
    (command,) = (fence.body for fence in fences(read(RUNBOOK_PAGE), "sh"))
    (tmp_path / "grafana").mkdir()
    write_rules(tmp_path / "grafana" / "prometheus")
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, timeout=30)
    rewritten = read(tmp_path / "grafana" / "prometheus" / "zohovoice-alerts.yml")
    assert rewritten == alerts("https://wiki.example.com/zohovoice")


def test_promtool_finds_no_fault_with_the_files() -> None:
    checked = subprocess.run(
        [promtool(), "check", "rules", "--lint=all", "--lint-fatal", *sorted(FOLDER.iterdir())],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.findall(r"SUCCESS: (\d+) rules found", checked.stdout) == [str(len(ALERTS)), str(len(RULES))]


# --- the tables -------------------------------------------------------------------------------------------------------


def test_rules_are_named_by_level_metric_and_operation() -> None:
    for rule in RULES:
        level, metric, operation = rule.record.split(":")
        assert level in ("job_instance", "job_instance_team")
        assert metric in FAMILY
        assert re.fullmatch("[a-z][a-z0-9_]*", operation)
        assert ("team" in level) == ("by (job, instance, team)" in rule.expr or "job_instance_team:" in rule.expr)


def test_a_rule_needs_only_rules_before_it() -> None:
    known: set[str] = set()
    for rule in RULES:
        assert set(re.findall(r"\w+:\w+:\w+", rule.expr)) <= known
        known.add(rule.record)


def test_rules_remember_agents_for_as_long_as_the_dashboards() -> None:
    (unknown,) = (rule for rule in RULES if rule.record == "job_instance:zohovoice_agents:unknown")
    assert f"[{REMEMBERED}]" in unknown.expr
    assert f"[{REMEMBERED}:" in LAST_SEEN_AGENTS


@EACH_ALERT
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do(alert: Alert) -> None:
    assert re.fullmatch("ZohoVoice[A-Z][A-Za-z]+", alert.name)
    assert alert.severity in ("critical", "warning", "info")
    assert re.fullmatch(r"\d+m", alert.hold)
    assert re.fullmatch(r"[^\n]{1,89}[^.\n]", alert.summary)
    assert re.fullmatch(r".*\. .*\.", alert.description)
    assert "$value" not in alert.summary, "a text that changes with the value is a new notification each time"


def test_rules_and_alerts_ask_only_for_families_that_the_exporter_has() -> None:
    suffixes = {f"{f.name}{end}" for f in FAMILIES if f.type is Type.HISTOGRAM for end in ("_bucket", "_sum", "_count")}
    for expr in (*(rule.expr for rule in RULES), *(alert.expr for alert in ALERTS)):
        named = set(NAMES.findall(expr)) - OTHERS
        assert named <= set(FAMILY) | suffixes, expr
        assert named or "up{" in expr or "job_instance" in expr


def test_no_rule_or_alert_needs_families_that_can_be_switched_off() -> None:
    optional = {
        family.name
        for family in FAMILIES
        if family.shown in (Shown.PER_AGENT, Shown.NAMES, Shown.LAST_SEEN, Shown.AGENT_SECONDS, Shown.EXPORTER)
    }
    for expr in (*(rule.expr for rule in RULES), *(alert.expr for alert in ALERTS)):
        assert not optional & set(NAMES.findall(expr)), expr


# --- what they do -----------------------------------------------------------------------------------------------------


@EACH_ALERT
def test_the_cases_of_an_alert_come_out_as_they_say(alert: Alert, tmp_path: Path) -> None:
    document = cases(alert.name)
    assert document["rule_files"] == [ALERTS_FILE]
    judged = judge_alone(alert.name, document, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("name", ["recording_rules", "recording_rules_over_days", "ZohoVoiceDataStale"])
def test_the_files_of_cases_can_be_given_to_promtool_as_they_are(name: str) -> None:
    judged = subprocess.run(
        [promtool(), "test", "rules", CASES / f"{name}.yml"], capture_output=True, text=True, timeout=60
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_every_alert_has_a_file_of_cases_and_every_file_an_alert() -> None:
    assert {path.name for path in CASES.iterdir()} == {f"{alert.name}.yml" for alert in ALERTS} | {
        "recording_rules.yml",
        "recording_rules_over_days.yml",
    }


@EACH_ALERT
def test_an_alert_has_cases_in_which_it_fires_resolves_and_stays_silent(alert: Alert) -> None:
    seen = set()
    for case in cases(alert.name)["tests"]:
        checks = case["alert_rule_test"]
        assert {check["alertname"] for check in checks} == {alert.name}
        firing = [bool(check["exp_alerts"]) for check in checks]
        assert case["name"].startswith("silent: ") == (not any(firing)), case["name"]
        if not any(firing):
            seen.add("silent")
        elif not firing[0]:
            seen |= {"fires"} if firing[-1] else {"fires", "resolves"}
    assert seen == {"fires", "resolves", "silent"}


def test_every_recording_rule_has_a_case_with_a_value() -> None:
    valued = {
        check["expr"]
        for case in cases("recording_rules")["tests"]
        for check in case["promql_expr_test"]
        if check["exp_samples"]
    }
    assert valued == {rule.record for rule in RULES}


def test_promtool_fails_where_an_alert_does_not_fire_as_expected(tmp_path: Path) -> None:
    document = cases("ZohoVoiceDataStale")
    fires = document["tests"][0]["alert_rule_test"][2]
    fires["eval_time"] = "16m"
    assert judge_alone("ZohoVoiceDataStale", document, tmp_path).returncode == 1


# --- runbooks ---------------------------------------------------------------------------------------------------------


def test_every_alert_has_its_runbook_and_every_runbook_an_alert() -> None:
    headings = re.findall(r"(?m)^## (ZohoVoice\w+)$", read(RUNBOOK_PAGE))
    assert headings == [alert.name for alert in ALERTS]


@EACH_ALERT
def test_a_runbook_is_where_the_alert_points_and_tells_severity_and_what_not_to_do(alert: Alert) -> None:
    path, _, anchor = alert.runbook().partition("#")
    assert ROOT / path == RUNBOOK_PAGE
    assert anchor in anchors(read(RUNBOOK_PAGE))
    text = section(read(RUNBOOK_PAGE), alert.name)
    assert f"*{alert.severity.capitalize()}" in text
    for part in ("**Means.**", "**Look.**", "**Do.**", "**Do not.**"):
        assert part in text


def test_every_metric_in_a_runbook_exists() -> None:
    text = read(RUNBOOK_PAGE)
    records = {rule.record for rule in RULES}
    assert set(re.findall(r"\w+:\w+:\w+", text)) <= records
    assert set(NAMES.findall(text)) - OTHERS <= set(FAMILY)


def test_the_runbooks_can_be_found() -> None:
    assert "docs/runbooks.md" in set(links(read(ROOT / "README.md")))
