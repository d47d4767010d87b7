"""A committed dashboard as data: its panels and variables. What becomes of its queries is in `panels`."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.support import lint

FOLDER: Final = Path(__file__).parents[2] / "grafana"


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
