"""Series written down by hand, and what Prometheus' own `promtool` says that an expression makes of them."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from tests.support.programs import promtool

TARGET: Final = 'job="zohovoice",instance="exporter:10042"'
STATUSES: Final = ("Available", "On Call", "Busy", "On Break", "Offline", "unknown")

Sample = tuple[str, float]
Case = tuple[str, str, Sequence[Sample]]
"""An expression, the time at which it is evaluated, and the samples that it must give, and no others."""


def evaluate(tmp_path: Path, series: Mapping[str, str], cases: Sequence[Case]) -> None:
    """Let promtool compare what each expression gives with what it must; one sample each 30 seconds from 0 s."""
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


def parsed(tmp_path: Path, expressions: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """What promtool says of the grammar and types of expressions."""
    rules = [{"record": f"expression:{number}", "expr": expr} for number, expr in enumerate(expressions)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}), encoding="utf-8")
    return subprocess.run([promtool(), "check", "rules", path], capture_output=True, text=True, timeout=30)


def state_set(agent_id: str, status: str, values: str = "x40", target: str = TARGET) -> dict[str, str]:
    """An agent who is in `status` all the time."""
    return {
        f'zohovoice_agent_status{{{target},agent_id="{agent_id}",status="{word}"}}': f"{int(word == status)}{values}"
        for word in STATUSES
    }


def teams(values: str = "x40") -> dict[str, str]:
    """One agent of Sales in On Call, and one of no team in Available."""
    inside = {("Sales", "On Call"): 1, ("", "Available"): 1}
    return {
        f'zohovoice_team_agents{{{TARGET},team="{team}",status="{word}"}}': f"{inside.get((team, word), 0)}{values}"
        for team in ("Sales", "")
        for word in STATUSES
    }


def since(agent_id: str, values: str, target: str = TARGET) -> dict[str, str]:
    """When an agent's status began."""
    return {f'zohovoice_agent_status_since_timestamp_seconds{{{target},agent_id="{agent_id}"}}': values}


def credited(agent_id: str, status: str, values: str, target: str = TARGET) -> dict[str, str]:
    """The time credited to one status of an agent."""
    return {f'zohovoice_agent_status_seconds_total{{{target},agent_id="{agent_id}",status="{status}"}}': values}


# Two agents, Ann of Sales and Bob of no team. Names are not exposed. Ann is On Call since 60 s, Bob Available since
# 0 s. The numbers of polls rise by one each 30 seconds, and all time is credited.
GOOD: Final = {
    f"up{{{TARGET}}}": "1x40",
    f"zohovoice_up{{{TARGET}}}": "1x40",
    f"zohovoice_last_poll_success_timestamp_seconds{{{TARGET}}}": "0+30x40",
    f"zohovoice_poll_interval_seconds{{{TARGET}}}": "30x40",
    f"zohovoice_polls_total{{{TARGET}}}": "0+1x40",
    f"zohovoice_polls_skipped_total{{{TARGET}}}": "0x40",
    f'zohovoice_poll_failures_total{{{TARGET},reason="timeout"}}': "0x40",
    **since("1", "60x40"),
    **since("2", "0x40"),
    **state_set("1", "On Call"),
    **state_set("2", "Available"),
    **credited("1", "On Call", "0+30x40"),
    **credited("2", "Available", "0+30x40"),
    **teams(),
}
NAMED: Final = {
    f'zohovoice_agent_info{{{TARGET},agent_id="1",name="Ann",team="Sales"}}': "1x40",
    f'zohovoice_agent_info{{{TARGET},agent_id="2",name="Bob"}}': "1x40",
}
# From 600 s on (sample 20) polls fail: the exporter says so at once, and drops the agents when the maximum age is over.
FAILING: Final = {
    **GOOD,
    f"zohovoice_up{{{TARGET}}}": "1x19 0x20",
    f"zohovoice_last_poll_success_timestamp_seconds{{{TARGET}}}": "0+30x19 570x20",
    f'zohovoice_poll_failures_total{{{TARGET},reason="timeout"}}': "0x19 1+1x20",
    **since("1", "60x22 stale"),
    **since("2", "0x22 stale"),
    **credited("1", "On Call", "0+30x19 570x2 stale"),
    **credited("2", "Available", "0+30x19 570x2 stale"),
    **state_set("1", "On Call", "x22 stale"),
    **state_set("2", "Available", "x22 stale"),
    **teams("x22 stale"),
}
# From 600 s on Prometheus cannot reach the exporter.
DOWN: Final = {series: values.replace("x40", "x19 stale") for series, values in GOOD.items()} | {
    f"up{{{TARGET}}}": "1x19 0x20"
}
# From 600 s on Prometheus itself is away, for two minutes, and then cannot reach the exporter. It does not know what it
# scraped in its life before, so nothing says that those series have ended, and they read on for five minutes.
BOTH_DOWN: Final = {series: values.replace("x40", "x19") for series, values in GOOD.items()} | {
    f"up{{{TARGET}}}": "1x19 _x4 0x16"
}
