"""Recording rules and alerts: what is written is what the tables say, and what Prometheus' own promtool makes of it.

The cases of each alert are in tests/data/prometheus_rules/, one file an alert, which promtool runs by itself too.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.metrics.families import FAMILIES, FAMILY
from exporter.metrics.family import Shown, Type
from grafana.alerts import ALERTS, JOB, RUNBOOKS, Alert
from grafana.rules import FILES, FOLDER, RULES, alerts, recording_rules, write_rules
from tests.support.documents import ROOT, anchors, links, read, section
from tests.support.programs import promtool

CASES = Path(__file__).parent / "data" / "prometheus_rules"
EACH_ALERT = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
RUNBOOK_PAGE = ROOT / "docs" / "runbooks.md"
NAMES = re.compile(r"(?<![\w:])(?:zohovoice|process|python)_\w+")
OTHERS = {"process_start_time_seconds"}
"""Of prometheus-client's own collectors."""


def _loaded(text: str) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(text)["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def _cases(name: str) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = yaml.safe_load((CASES / f"{name}.yml").read_text(encoding="utf-8"))["tests"]
    return tests


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
    assert _loaded(recording_rules()) == [{"record": rule.record, "expr": rule.expr} for rule in RULES]


def test_the_text_of_the_alerts_is_read_back_as_the_table() -> None:
    assert _loaded(alerts()) == [
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


@pytest.mark.parametrize("path", sorted(CASES.iterdir()), ids=lambda path: path.stem)
def test_the_cases_of_a_file_come_out_as_they_say(path: Path) -> None:
    tested = subprocess.run([promtool(), "test", "rules", path], capture_output=True, text=True, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_has_a_file_of_cases_and_every_file_an_alert() -> None:
    assert {path.name for path in CASES.iterdir()} == {f"{alert.name}.yml" for alert in ALERTS} | {
        "recording_rules.yml"
    }


@EACH_ALERT
def test_an_alert_has_cases_in_which_it_fires_resolves_and_stays_silent(alert: Alert) -> None:
    seen = set()
    for case in _cases(alert.name):
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
        for case in _cases("recording_rules")
        for check in case["promql_expr_test"]
        if check["exp_samples"]
    }
    assert valued == {rule.record for rule in RULES}


def test_promtool_fails_where_an_alert_does_not_fire_as_expected(tmp_path: Path) -> None:
    text = (CASES / "ZohoVoiceDataStale.yml").read_text(encoding="utf-8")
    path = tmp_path / "wrong.yml"
    path.write_text(text.replace("../../../grafana/prometheus", str(FOLDER)).replace("16m30s", "16m00s"))
    assert subprocess.run([promtool(), "test", "rules", path], capture_output=True, timeout=60).returncode == 1


# --- hours in which nobody is to be woken -----------------------------------------------------------------------------

TARGET = f'job="{JOB}",instance="exporter:10042"'
STATUSES = ("Available", "On Call", "Busy", "On Break", "Offline", "unknown")
NIGHT = {"Offline": "3x239"}
DAY = {"Available": "1x239", "On Call": "1x239", "Offline": "1x239"}


def _series(name: str, values: str, **labels: str) -> dict[str, str]:
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return {f"{name}{{{TARGET}{more}}}": values}


def _hours(agents: Mapping[str, str] = DAY) -> dict[str, str]:
    """Two hours of all that alerts ask for, a sample each 30 seconds; the token is replaced in time, once."""
    world = _series("up", "1x239") | _series("zohovoice_up", "1x239") | _series("process_start_time_seconds", "1x239")
    world |= _series("zohovoice_poll_interval_seconds", "30x239") | _series("zohovoice_poll_backoff_seconds", "0x239")
    world |= _series("zohovoice_last_poll_success_timestamp_seconds", "0+30x239")
    world |= _series("zohovoice_polls_total", "1+1x239") | _series("zohovoice_roster_refreshes_total", "1+0x239")
    world |= _series("zohovoice_oauth_token_expiry_timestamp_seconds", "3600x116 7080x122")
    world |= _series("zohovoice_exporter_config_last_reload_successful", "1x239")
    for name in ("zohovoice_poll_failures_total", "zohovoice_roster_refresh_failures_total"):
        world |= _series(name, "0x239", reason="timeout") | _series(name, "0x239", reason="http_5xx")
    for name in (
        "zohovoice_oauth_token_refresh_failures_total",
        "zohovoice_api_rate_limited_total",
        "zohovoice_unrecognised_status_total",
        "zohovoice_history_write_failures_total",
        "zohovoice_history_lost_transitions_total",
    ):
        world |= _series(name, "0x239")
    for status in STATUSES:
        world |= _series("zohovoice_agents", agents.get(status, "0x239"), status=status)
    return world


ONE_FAILED_POLL = (
    _hours()
    | _series("zohovoice_up", "1x99 0 1x138")
    | _series("zohovoice_poll_failures_total", "0x99 1x139", reason="timeout")
    | _series("zohovoice_last_poll_success_timestamp_seconds", "0+30x99 2970 3030+30x138")
)


def _restarted(world: Mapping[str, str]) -> dict[str, str]:
    """The same hours, with the exporter away from 50 minutes to 52, and without a good poll for a minute more."""
    after = {}
    for series, values in world.items():
        level = values.partition("x")[0].partition("+")[0]
        after[series] = f"{level}x99 stale _x3 {'0' if '_total' in series else level}x135"
    return (
        after
        | _series("up", "1x99 0x3 1x135")
        | _series("process_start_time_seconds", "1x99 stale _x3 3110x135")
        | _series("zohovoice_up", "1x99 stale _x3 0 0 1x133")
        | _series("zohovoice_polls_total", "1+1x99 stale _x3 0 0 1+1x133")
        | _series("zohovoice_roster_refreshes_total", "4x99 stale _x3 1x135")
        | _series("zohovoice_last_poll_success_timestamp_seconds", "0+30x99 stale _x5 3180+30x133")
        | _series("zohovoice_oauth_token_expiry_timestamp_seconds", "3600x99 stale _x3 7080x135")
    )


# Deleted at Zoho at 50 minutes; the list of agents is read a quarter of an hour later.
DEPARTED = _hours({"Available": "2x99 1x139", "On Call": "1x239", "unknown": "0x99 1x29 0x109"})

QUIET = {
    "a night with nobody on shift": _hours(NIGHT),
    "a working day": _hours(),
    "one failed poll": ONE_FAILED_POLL,
    "a restart": _restarted(_hours()),
    "a restart at night": _restarted(_hours(NIGHT)),
    "a departed agent": DEPARTED,
}


@pytest.mark.parametrize("hours", QUIET)
def test_no_alert_at_all_fires_in(hours: str, tmp_path: Path) -> None:
    checks = [
        {"eval_time": f"{minute}m", "alertname": alert.name, "exp_alerts": []}
        for alert in ALERTS
        for minute in range(0, 120, 4)
    ]
    series = [{"series": name, "values": values} for name, values in QUIET[hours].items()]
    test = {"name": hours, "interval": "30s", "input_series": series, "alert_rule_test": checks}
    path = tmp_path / "quiet.yml"
    document = {"rule_files": [str(FOLDER / "zohovoice-alerts.yml")], "evaluation_interval": "30s", "tests": [test]}
    path.write_text(json.dumps(document), encoding="utf-8")
    tested = subprocess.run([promtool(), "test", "rules", path], capture_output=True, text=True, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_quiet_hours_hold_every_family_that_alerts_ask_for() -> None:
    asked = {name for alert in ALERTS for name in NAMES.findall(alert.expr)}
    rare = {"zohovoice_api_retry_after_timestamp_seconds"}  # until Zoho throttles there is none
    held = {series.partition("{")[0] for series in _hours()}
    assert asked - held == rare


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
