"""The cases of alerts and rules that promtool plays, and how it is asked."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from grafana.rules import alerts
from tests.support.programs import promtool

CASES: Final = Path(__file__).parents[1] / "data" / "prometheus_rules"
ALERTS_FILE: Final = "../../../grafana/prometheus/zohovoice-alerts.yml"
"""What the cases of alerts name as the file with the rules."""


def loaded(text: str) -> list[dict[str, Any]]:
    """The rules of a file that has one group of them."""
    (group,) = yaml.safe_load(text)["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def cases(name: str) -> dict[str, Any]:
    """The file of cases of this name, without `.yml`."""
    document: dict[str, Any] = yaml.safe_load((CASES / f"{name}.yml").read_text(encoding="utf-8"))
    return document


def judge(document: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """What promtool says of cases; `folder` is for its files."""
    path = folder / "cases.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return subprocess.run([promtool(), "test", "rules", path], capture_output=True, text=True, timeout=60)


def judge_alone(name: str, document: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """What promtool says of the cases of an alert when it knows no other one.

    It evaluates all rules of a file at each step, and all of them over two weeks took ten seconds.
    """
    rules = folder / "rules.json"
    own = [rule for rule in loaded(alerts()) if rule["alert"] == name]
    rules.write_text(json.dumps({"groups": [{"name": "alone", "rules": own}]}), encoding="utf-8")
    return judge({**document, "rule_files": [str(rules)]}, folder)
