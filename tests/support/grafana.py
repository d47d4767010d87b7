"""A committed dashboard as data, and its queries as Grafana would send them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support import lint

FOLDER: Final = Path(__file__).parents[2] / "grafana"

EVERYTHING: Final[Mapping[str, str]] = {
    "$__rate_interval": "2m",
    "$__range": "20m",
    "$__range_s": "1200",
    "$__interval": "30s",
    "$job": ".+",
    "$instance": ".+",
    "$team": ".*",
    "$agent": ".+",
}
"""What Grafana puts in for the variables while "All" is chosen in each, and a time range of 20 minutes."""


@dataclass(frozen=True, slots=True)
class Query:
    """One target of one panel."""

    panel: str
    ref: str
    raw: str
    instant: bool

    def filled(self, *, minutes: int = 20, **chosen: str) -> str:
        """The expression with the variables filled in; `team="Sales"` chooses one value, the others are "All".

        `minutes`: the length of the dashboard's time range, or of the panel's own.
        """
        return filled(self.raw, minutes=minutes, **chosen)


def filled(expr: str, *, minutes: int = 20, **chosen: str) -> str:
    """`expr` with the variables filled in, as by `Query.filled`."""
    values = {**EVERYTHING, "$__range": f"{minutes}m", "$__range_s": str(60 * minutes)}
    values |= {f"${name}": value for name, value in chosen.items()}
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(name, values[name])
    return expr


def dashboard(name: str) -> dict[str, Any]:
    """The committed JSON of `grafana/dashboards/<name>.json`."""
    loaded: dict[str, Any] = json.loads((FOLDER / "dashboards" / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def panels(name: str) -> Iterator[dict[str, Any]]:
    """Every panel of a dashboard, those in folded rows included; rows themselves are none."""
    yield from map(dict, lint.panels(dashboard(name)))


def panel(name: str, title: str) -> dict[str, Any]:
    """The one panel of a dashboard with this title."""
    (found,) = [each for each in panels(name) if each["title"] == title]
    return found


def queries(name: str) -> Iterator[Query]:
    """Every query of a dashboard that is PromQL."""
    for each in panels(name):
        for target in each.get("targets", []):
            if "expr" in target:
                yield Query(each["title"], target["refId"], target["expr"], target.get("instant", False))


def query(name: str, panel: str, ref: str) -> Query:
    """The one query of a dashboard with this panel title and letter."""
    (found,) = [each for each in queries(name) if (each.panel, each.ref) == (panel, ref)]
    return found


def variable(name: str, of: str) -> dict[str, Any]:
    """The variable `of` of a dashboard."""
    (found,) = [each for each in dashboard(name)["templating"]["list"] if each["name"] == of]
    return dict(found)


def variable_query(asked: Mapping[str, Any]) -> tuple[str, str]:
    """The function and the PromQL of a variable's query; `label_values` has a label as second argument."""
    found = re.fullmatch(r"(label_values|query_result)\((.+)\)", asked["query"]["query"])
    assert found, asked["query"]
    expr = found[2].rpartition(", ")[0] if found[1] == "label_values" else found[2]
    return found[1], expr
