"""A committed dashboard as data, and its queries as Grafana would send them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[2] / "grafana"

EVERYTHING: Final[Mapping[str, str]] = {
    "$__rate_interval": "2m",
    "$job": ".+",
    "$instance": ".+",
    "$team": ".*",
}
"""What Grafana puts in for the variables while "All" is chosen in each."""


@dataclass(frozen=True, slots=True)
class Query:
    """One target of one panel."""

    panel: str
    ref: str
    raw: str
    instant: bool

    def filled(self, **chosen: str) -> str:
        """The expression with the variables filled in; `team="Sales"` chooses one value, the others are "All"."""
        expr = self.raw
        values = {**EVERYTHING, **{f"${name}": value for name, value in chosen.items()}}
        for name in sorted(values, key=len, reverse=True):
            expr = expr.replace(name, values[name])
        return expr


def dashboard(name: str) -> dict[str, Any]:
    """The committed JSON of `grafana/dashboards/<name>.json`."""
    loaded: dict[str, Any] = json.loads((FOLDER / "dashboards" / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def queries(name: str) -> Iterator[Query]:
    """Every query of a dashboard."""
    for panel in dashboard(name)["panels"]:
        for target in panel.get("targets", []):
            yield Query(panel["title"], target["refId"], target["expr"], target.get("instant", False))


def query(name: str, panel: str, ref: str) -> Query:
    """The one query of a dashboard with this panel title and letter."""
    (found,) = [each for each in queries(name) if (each.panel, each.ref) == (panel, ref)]
    return found
