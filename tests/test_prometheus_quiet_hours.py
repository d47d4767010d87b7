"""Hours in which nobody is to be woken, and exporters that must not hide or wake each other.

All alerts are held against all that they ask for at once, as promtool plays it.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from grafana.alerts import ALERTS, JOB, Alert
from grafana.rules import FOLDER
from tests.support.rule_cases import cases, judge, judge_alone

NAMES = re.compile(r"(?<![\w:])(?:zohovoice|process)_\w+")
TARGET = f'job="{JOB}",instance="exporter:10042"'
STATUSES = ("Available", "On Call", "Busy", "On Break", "Offline", "unknown")
NIGHT = {"Offline": "3x239"}
DAY = {"Available": "1x239", "On Call": "1x239", "Offline": "1x239"}
COUNTED = (
    "zohovoice_oauth_token_refresh_failures_total",
    "zohovoice_api_rate_limited_total",
    "zohovoice_unrecognised_status_total",
    "zohovoice_history_write_failures_total",
    "zohovoice_history_lost_transitions_total",
)


def _series(name: str, values: str, **labels: str) -> dict[str, str]:
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return {f"{name}{{{TARGET}{more}}}": values}


# --- hours in which nobody is to be woken -----------------------------------------------------------------------------


def _hours(agents: Mapping[str, str] = DAY) -> dict[str, str]:
    """Two hours of all that alerts ask for, a sample each 30 seconds; the token is replaced in time, once."""
    world = _series("up", "1x239") | _series("zohovoice_up", "1x239") | _series("process_start_time_seconds", "1x239")
    world |= _series("zohovoice_poll_interval_seconds", "30x239") | _series("zohovoice_poll_backoff_seconds", "0x239")
    world |= _series("zohovoice_last_poll_success_timestamp_seconds", "0+30x239")
    world |= _series("zohovoice_polls_total", "1+1x239") | _series("zohovoice_roster_refreshes_total", "1+0x239")
    world |= _series("zohovoice_oauth_token_expiry_timestamp_seconds", "3600x116 7080x122")
    world |= _series("zohovoice_exporter_config_last_reload_successful", "1x239")
    world |= _series("zohovoice_exporter_config_last_reload_success_timestamp_seconds", "0x239")
    world |= _series("zohovoice_history_write_duration_seconds_count", "1+1x239")
    for name in ("zohovoice_poll_failures_total", "zohovoice_roster_refresh_failures_total"):
        for reason in ("timeout", "http_5xx", "auth"):
            world |= _series(name, "0x239", reason=reason)
    for name in COUNTED:
        world |= _series(name, "0x239")
    for status in STATUSES:
        world |= _series("zohovoice_agents", agents.get(status, "0x239"), status=status)
    return world


def _leaps(before: int = 0) -> str:
    """A counter that moves each ten minutes, from `before`."""
    return " ".join(f"{number}x19" for number in range(before, before + 12))


ONE_FAILED_POLL = (
    _hours()
    | _series("zohovoice_up", "1x99 0 1x138")
    | _series("zohovoice_poll_failures_total", "0x99 1x139", reason="timeout")
    | _series("zohovoice_last_poll_success_timestamp_seconds", "0+30x99 2970 3030+30x138")
)
ONE_FAILED_POLL_OF_TEN_MINUTES = (
    _hours()
    | _series("zohovoice_poll_interval_seconds", "600x239")
    | _series("zohovoice_up", "1x99 0x19 1x119")
    | _series("zohovoice_polls_total", _leaps(1))
    | _series("zohovoice_poll_failures_total", "0x99 1x139", reason="timeout")
    | _series(
        "zohovoice_last_poll_success_timestamp_seconds",
        " ".join(f"{600 * (4 if number == 5 else number)}x19" for number in range(12)),
    )
    | _series("zohovoice_history_write_failures_total", "0x119 4x119")
    | _series(
        "zohovoice_history_write_duration_seconds_count", "1x19 2x19 3x19 4x19 5x39 6x19 7x19 8x19 9x19 10x19 11x19"
    )
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
        | _series("zohovoice_history_write_duration_seconds_count", "1+1x99 stale _x3 0 0 1+1x133")
        | _series("zohovoice_roster_refreshes_total", "4x99 stale _x3 1x135")
        | _series("zohovoice_last_poll_success_timestamp_seconds", "0+30x99 stale _x5 3180+30x133")
        | _series("zohovoice_exporter_config_last_reload_success_timestamp_seconds", "0x99 stale _x3 3110x135")
        | _series("zohovoice_oauth_token_expiry_timestamp_seconds", "3600x99 stale _x3 7080x135")
    )


def _prometheus_away(world: Mapping[str, str]) -> dict[str, str]:
    """The same hours, with no sample from 50 minutes to 54 and no mark of staleness: nobody was there to write one."""
    after = dict.fromkeys(world, "")
    for series, values in world.items():
        level, _, step = values.partition("x")[0].partition("+")
        resumed = int(level) + 108 * int(step or 0)
        after[series] = f"{level}+{step or 0}x99 _x8 {resumed}+{step or 0}x131"
    return after | _series("zohovoice_oauth_token_expiry_timestamp_seconds", "3600x99 _x8 7080x131")


# Deleted at Zoho at 50 minutes; the list of agents is read a quarter of an hour later.
DEPARTED = _hours({"Available": "2x99 1x139", "On Call": "1x239", "unknown": "0x99 1x29 0x109"})

QUIET = {
    "a night with nobody on shift": _hours(NIGHT),
    "a working day": _hours(),
    "one failed poll": ONE_FAILED_POLL,
    "one failed poll, and writes that took a while, at polls ten minutes apart": ONE_FAILED_POLL_OF_TEN_MINUTES,
    "polls five seconds apart": _hours() | _series("zohovoice_poll_interval_seconds", "5x239"),
    "a restart": _restarted(_hours()),
    "a restart at night": _restarted(_hours(NIGHT)),
    "a restart of Prometheus": _prometheus_away(_hours()),
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
    rules = str(FOLDER / "zohovoice-alerts.yml")
    judged = judge({"rule_files": [rules], "evaluation_interval": "30s", "tests": [test]}, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_quiet_hours_hold_every_family_that_alerts_ask_for() -> None:
    asked = {name for alert in ALERTS for name in NAMES.findall(alert.expr)}
    rare = {"zohovoice_api_retry_after_timestamp_seconds"}  # until Zoho throttles there is none
    held = {series.partition("{")[0] for series in _hours()}
    assert asked - held == rare


# --- two exporters ----------------------------------------------------------------------------------------------------

UNIT_S = {"s": 1, "m": 60}


def _colleague(step_s: int) -> list[dict[str, str]]:
    """Another exporter of the same job, at which all goes well while a case lasts, a sample each `step_s` seconds."""
    more = 2100 if step_s == 600 else 400
    settled = {
        "zohovoice_last_poll_success_timestamp_seconds": f"0+{step_s}x{more}",
        "zohovoice_polls_total": f"1+1x{more}",
        "zohovoice_history_write_duration_seconds_count": f"1+1x{more}",
        "zohovoice_oauth_token_expiry_timestamp_seconds": f"10000000x{more}",
    }
    world = {}
    for series, values in _hours().items():
        level = values.partition("x")[0].partition("+")[0]
        world[series] = settled.get(series.partition("{")[0], f"{level}x{more}")
    return [{"series": _at("other:10042", series), "values": values} for series, values in world.items()]


def _at(instance: str, series: str) -> str:
    """The series at another instance, with a label that targets have by Prometheus' configuration."""
    return series.replace("exporter:10042", instance).replace("}", ',site="Utrecht"}')


def _told_of(alert: Alert, told: dict[str, dict[str, str]], instance: str) -> None:
    """Expect that it is told of this instance, which is one that `_at` has made."""
    summed = alert.expr.lstrip("(").startswith(("sum by", "absent"))  # and has no other labels than those left
    if not summed:
        told["exp_labels"]["site"] = "Utrecht"
    if "instance" in told["exp_labels"]:
        told["exp_labels"]["instance"] = instance
    for name, text in told["exp_annotations"].items():
        told["exp_annotations"][name] = text.replace("exporter:10042", instance)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_exporter_is_judged_alone_beside_another_and_whatever_labels_targets_have(
    alert: Alert, tmp_path: Path
) -> None:
    document = cases(alert.name)
    for case in document["tests"]:
        for series in case["input_series"]:
            series["series"] = _at("exporter:10042", series["series"])
        length = re.fullmatch(r"(\d+)([sm])", case["interval"])
        assert length
        if alert.name != "ZohoVoiceExporterMissing":  # which is about there being none at all
            case["input_series"] += _colleague(int(length[1]) * UNIT_S[length[2]])
        for told in (told for check in case["alert_rule_test"] for told in check["exp_alerts"]):
            _told_of(alert, told, "exporter:10042")
    judged = judge_alone(alert.name, document, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize(
    "alert", [alert for alert in ALERTS if "absent(" not in alert.expr], ids=lambda alert: alert.name
)
def test_an_exporter_at_which_it_fires_makes_it_fire_for_no_other(alert: Alert, tmp_path: Path) -> None:
    document = cases(alert.name)
    every = document["tests"]
    silent = [case for case in every if case["name"].startswith("silent: ")]
    pairs = [(quiet, case) for quiet in silent for case in every if case not in silent]
    document["tests"] = [
        {
            **case,
            "name": f"{case['name']}, beside {quiet['name']}",
            "input_series": [
                *quiet["input_series"],
                *({**series, "series": _at("other:10042", series["series"])} for series in case["input_series"]),
            ],
        }
        for quiet, case in pairs
        if quiet["interval"] == case["interval"]
    ]
    assert document["tests"]
    document["tests"] = json.loads(json.dumps(document["tests"]))  # each its own: they are changed now
    for told in (
        told for case in document["tests"] for check in case["alert_rule_test"] for told in check["exp_alerts"]
    ):
        _told_of(alert, told, "other:10042")
    judged = judge_alone(alert.name, document, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr
