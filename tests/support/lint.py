"""The rules of grafana/dashboard-linter as functions of a dashboard's JSON; whether PromQL parses is promtool's to say.

They are stricter than the linter's where that costs nothing: they look at panels of every type, and at every selector.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Board = Mapping[str, Any]
Rule = Callable[[Board], Iterator[str]]
"""What is wrong, a sentence each."""

UNITS: Final = {
    *("none", "short", "string", "percentunit", "percent", "bool", "bool_yes_no", "bool_on_off"),
    *("ms", "s", "m", "h", "d", "dthms", "dtdhms", "dtdurations", "dateTimeAsIso", "dateTimeFromNow"),
    *("dateTimeAsLocal", "dateTimeAsLocalNoDateIfToday", "bytes", "decbytes", "Bps"),
    *("cps", "cpm", "ops", "opm", "reqps", "rpm"),
}
"""Those of Grafana's units that a dashboard here may need."""

_MODIFIER: Final = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")
_BRACES: Final = re.compile(r"\{(?:[^}\"]|\"(?:\\.|[^\"\\])*\")*\}")
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{((?:[^}\"]|\"(?:\\.|[^\"\\])*\")*)\}")
_NAME: Final = re.compile(r"(?<![\w$.])[a-zA-Z_:][\w:]*(?!\w*\s*\()\b")
_WORDS: Final = {
    *("and", "or", "unless", "bool", "offset", "inf", "nan"),
    *("by", "on", "without", "ignoring", "group_left", "group_right"),
}


def panels(board: Board) -> Iterator[Mapping[str, Any]]:
    """All panels, those in folded rows included; rows themselves are none."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def expressions(board: Board) -> Iterator[tuple[str, str]]:
    """The PromQL of each target with where it is."""
    for panel in panels(board):
        for target in panel.get("targets", []):
            if "expr" in target:
                yield f"{panel['title']} {target['refId']}", target["expr"]


def selectors(expr: str) -> list[tuple[str, str]]:
    """The family and the matchers of every selector, "" where it has none."""
    rest = _SELECTOR.sub(" ", expr)
    rest = re.sub(r"\[[^\]]*\]", " ", _MODIFIER.sub(" ", re.sub(r"\"(?:\\.|[^\"\\])*\"", " ", rest)))
    naked = [name for name in _NAME.findall(rest) if name.lower() not in _WORDS]
    return [(found[1], found[2]) for found in _SELECTOR.finditer(expr)] + [(name, "") for name in naked]


def variables(board: Board, of_type: str) -> list[Mapping[str, Any]]:
    """The variables of one type."""
    return [each for each in board["templating"]["list"] if each["type"] == of_type]


def template_datasource(board: Board) -> Iterator[str]:
    sources = [(each["name"], each["label"]) for each in variables(board, "datasource")]
    if sources != [("datasource", "Data source")]:
        yield f"one data source variable is to be called datasource, labelled Data source, not {sources}"


def _template(name: str) -> Rule:
    def rule(board: Board) -> Iterator[str]:
        found = [each for each in variables(board, "query") if each["name"] == name]
        if not found:
            yield f"there is no variable {name}"
        for each in found:
            wanted = {"label": name.title(), "multi": True, "allValue": ".+"}
            if {key: each.get(key) for key in wanted} != wanted:
                yield f"{name} is to have {wanted}"
            if each["datasource"]["uid"] != "${datasource}":
                yield f"{name} is to ask the chosen data source"

    return rule


def template_reload(board: Board) -> Iterator[str]:
    for each in variables(board, "query"):
        if each["refresh"] != 2:
            yield f"{each['name']} is to be read anew when the time range changes"


def panel_datasource(board: Board) -> Iterator[str]:
    for panel in panels(board):
        if panel["datasource"]["uid"] != "${datasource}":
            yield f"{panel['title']} is to ask the chosen data source"


def panel_title_description(board: Board) -> Iterator[str]:
    for panel in panels(board):
        if not panel.get("title") or not panel.get("description", "").endswith("."):
            yield f"panel {panel['id']} is to have a title and a description in sentences"


def panel_units(board: Board) -> Iterator[str]:
    for panel in panels(board):
        if (unit := panel["fieldConfig"]["defaults"].get("unit")) not in UNITS:
            yield f"{panel['title']} has the unit {unit}"
        for override in panel["fieldConfig"].get("overrides", []):
            for each in override["properties"]:
                if each["id"] == "unit" and each["value"] not in UNITS:
                    yield f"{panel['title']} has the unit {each['value']}"


def panel_no_targets(board: Board) -> Iterator[str]:
    for panel in panels(board):
        if not panel.get("targets"):
            yield f"{panel['title']} asks nothing"


def target_rate_interval(board: Board) -> Iterator[str]:
    for place, expr in expressions(board):
        for read, over in re.findall(r"\b(i?rate)\(\s*[\w:]*\s*(\[[^]]*\])", _BRACES.sub("", expr)):
            if over != "[$__rate_interval]":
                yield f"{place}: {read} over {over}"


def _target(name: str) -> Rule:
    def rule(board: Board) -> Iterator[str]:
        for place, expr in expressions(board):
            for family, matchers in selectors(expr):
                if f'{name}=~"${name}"' not in matchers:
                    yield f"{place}: {family} is asked for whatever its {name}"

    return rule


def target_counter_agg(board: Board) -> Iterator[str]:
    for place, expr in expressions(board):
        for found in re.finditer(r"(\w*)(\(?)\s*\b(\w+_total)\b(\{[^}]*\})?(\[)?", expr):
            if (found[1], found[5]) not in {("rate", "["), ("irate", "["), ("increase", "[")}:
                yield f"{place}: {found[3]} is a counter"


def uneditable(board: Board) -> Iterator[str]:
    if board["editable"] is not False:
        yield "the dashboard can be edited"


RULES: Final[Mapping[str, Rule]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": _template("job"),
    "template-instance-rule": _template("instance"),
    "template-on-time-change-reload-rule": template_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": _target("job"),
    "target-instance-rule": _target("instance"),
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}
