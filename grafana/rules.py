"""Recording rules as a table of values, and how rules and alerts become files for Prometheus.

In every rule a status that the last poll did not confirm is not counted: while `zohovoice_up` is not 1, or the exporter
cannot be scraped, agents are unknown. Where nothing can be said there is no value, and never a 0.
"""

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grafana.alerts import ALERTS, JOB, RUNBOOKS, Alert

FOLDER: Final = Path(__file__).parent / "prometheus"
REMEMBERED: Final = "7d"
"""For how long agents who are not seen any more count as unknown, in the dashboards too: a week, so that an exporter
that failed before a long weekend is still missed after it."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """One recording rule; `record` is level:metric:operation, the level being the labels that remain."""

    record: str
    expr: str
    meaning: str
    """What a value says; a comment in the file."""


_ON: Final = "on (job, instance)"
# After a restart of Prometheus the series of an exporter that has gone meanwhile read on for five minutes.
_LOOKING: Final = f"{_ON} (zohovoice_up == 1 unless {_ON} up == 0)"
_AT_WORK: Final = 'status!~"Offline|unknown"'
_AVAILABLE: Final = 'status="Available"'


def _agents(matchers: str) -> str:
    return f"sum by (job, instance) (zohovoice_agents{{{matchers}}})\nand {_LOOKING}"


def _team_agents(matchers: str) -> str:
    return f"sum by (job, instance, team) (zohovoice_team_agents{{{matchers}}})\nand {_LOOKING}"


RULES: Final = (
    RecordingRule(
        "job_instance:zohovoice_up:min",
        f'up{{job="{JOB}"}} == 0\nor {_ON} zohovoice_up',
        "1 while the last poll was good, 0 while it was not or the exporter cannot be scraped.",
    ),
    RecordingRule(
        "job_instance:zohovoice_up:avg1h",
        "avg_over_time(job_instance:zohovoice_up:min[1h])",
        "The share of the last hour in which somebody was looking, as far as Prometheus itself was.",
    ),
    RecordingRule("job_instance:zohovoice_agents:sum", _agents(""), "Tracked agents."),
    RecordingRule(
        "job_instance:zohovoice_agents:at_work",
        _agents(_AT_WORK),
        "Agents at work: neither offline nor unknown.",
    ),
    RecordingRule("job_instance:zohovoice_agents:available", _agents(_AVAILABLE), "Agents who can take a call."),
    RecordingRule(
        "job_instance:zohovoice_agents:available_ratio",
        "job_instance:zohovoice_agents:available / (job_instance:zohovoice_agents:at_work > 0)",
        "The share of the agents at work who can take a call; no value while nobody is at work.",
    ),
    RecordingRule(
        "job_instance:zohovoice_agents:unknown",
        '(sum by (job, instance) (zohovoice_agents{status="unknown"}) and ' + _LOOKING + ")\n"
        f"or ((last_over_time(job_instance:zohovoice_agents:sum[{REMEMBERED}])\n"
        f"  and {_ON} job_instance:zohovoice_up:min)\n"
        f"  unless {_LOOKING})",
        "Agents of whom nobody knows what they do: all that were last seen within a week, while nobody is looking.",
    ),
    RecordingRule("job_instance_team:zohovoice_team_agents:sum", _team_agents(""), "Tracked agents of a team."),
    RecordingRule(
        "job_instance_team:zohovoice_team_agents:at_work",
        _team_agents(_AT_WORK),
        "Agents of a team who are at work: neither offline nor unknown.",
    ),
    RecordingRule(
        "job_instance_team:zohovoice_team_agents:available",
        _team_agents(_AVAILABLE),
        "Agents of a team who can take a call.",
    ),
    RecordingRule(
        "job_instance_team:zohovoice_team_agents:available_ratio",
        "job_instance_team:zohovoice_team_agents:available / (job_instance_team:zohovoice_team_agents:at_work > 0)",
        "The share of a team's agents at work who can take a call; no value while nobody is at work.",
    ),
)
"""In the order in which they are evaluated: some need those before them."""

_HEAD: Final = "# Made from {source} by `make dashboards`: change it there.\n"


def _comment(text: str) -> str:
    return textwrap.fill(text, 110, initial_indent="      # ", subsequent_indent="      # ", break_on_hyphens=False)


def _block(expr: str) -> str:
    return "|-\n" + textwrap.indent(expr, " " * 10)


def _group(name: str, rules: Iterable[str]) -> str:
    return f"groups:\n  - name: {name}\n    rules:\n" + "\n".join(rules)


def _recording(rule: RecordingRule) -> str:
    return f"{_comment(rule.meaning)}\n      - record: {rule.record}\n        expr: {_block(rule.expr)}\n"


def _alert(alert: Alert, runbooks: str) -> str:
    annotations = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": alert.runbook(runbooks),
    }
    lines = [
        _comment(alert.reason),
        f"      - alert: {alert.name}",
        f"        expr: {_block(alert.expr)}",
        f"        for: {alert.hold}",
        "        labels:",
        f"          severity: {alert.severity}",
        "        annotations:",
        # A JSON text is a YAML one, whatever stands in it.
        *(f"          {name}: {json.dumps(text, ensure_ascii=False)}" for name, text in annotations.items()),
    ]
    return "\n".join(lines) + "\n"


def recording_rules() -> str:
    """The text of the file of recording rules."""
    return _HEAD.format(source="grafana/rules.py") + _group("zohovoice-rules", map(_recording, RULES))


def alerts(runbooks: str = RUNBOOKS) -> str:
    """The text of the file of alerts, with `runbooks` before the anchor of each alert's runbook."""
    head = _HEAD.format(source="grafana/alerts.py")
    head += (
        f'# The job of the exporters is taken to be "{JOB}". To make the links to the runbooks work, replace\n'
        f"# {RUNBOOKS} in the lines with runbook_url by the address at which you publish that page.\n"
    )
    return head + _group("zohovoice-alerts", (_alert(alert, runbooks) for alert in ALERTS))


FILES: Final[Mapping[str, Callable[[], str]]] = {
    "zohovoice-rules.yml": recording_rules,
    "zohovoice-alerts.yml": alerts,
}


def write_rules(folder: Path = FOLDER) -> None:
    """Write both files."""
    folder.mkdir(exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text(), encoding="utf-8")
