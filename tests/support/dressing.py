"""Whether an answer fits the panel that shows it: its legend, columns, overrides and units."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.support.panels import Series, Target

_COUNTS: Final = re.compile(r"^(sum|count|min|max|topk)?\b(?!.*(rate|increase|avg|/|quantile))", re.DOTALL)
_YEAR_S: Final = 366 * 86_400
_DAY_MS: Final = 86_400_000
_A_BIT: Final = 1e-9
_CORES: Final = 64


def display_names(target: Target, answer: Sequence[Series]) -> set[str]:
    """What the fields of an answer are called before the panel renames them."""
    if not target.is_table:
        return {target.display_name(series) for series in answer}
    return {"Time", target.value_column, *(label for series in answer for label in series.labels)}


def renamed(panel: Mapping[str, Any], fields: set[str]) -> set[str]:
    """What the fields are called after the panel's transformations, those left out that they hide."""
    for options in _organizers(panel):
        hidden = {name for name, hide in options.get("excludeByName", {}).items() if hide}
        fields = {options.get("renameByName", {}).get(name, name) for name in fields - hidden}
    return fields


def unnamed(panel: Mapping[str, Any], fields: set[str]) -> list[str]:
    """What the panel's transformations and overrides name although no query brings it; `fields` as they come."""
    missing = [
        f"column {name}"
        for options in _organizers(panel)
        for part in ("renameByName", "excludeByName", "indexByName")
        for name in options.get(part, {})
        if name not in fields
    ]
    missing += [f"field {name}" for name in _parted_by(panel) if name not in fields]
    shown = renamed(panel, fields)
    refs = {query["refId"] for query in panel["targets"]}
    for override in panel["fieldConfig"].get("overrides", []):
        matcher = override["matcher"]
        match matcher["id"]:
            case "byName":
                found = matcher["options"] in shown
            case "byRegexp":
                found = any(re.search(matcher["options"].strip("/"), name) for name in shown)
            case "byFrameRefID":
                found = matcher["options"] in refs
            case other:
                raise AssertionError(f"what does the matcher {other} of {panel['title']} match?")
        if not found:
            missing.append(f"override {matcher['options']}")
    return missing


def oddities(target: Target, answer: Sequence[Series], end: float) -> list[str]:
    """What is wrong with labels and values of an answer that is not empty."""
    found = [
        f"no series has the label {label} of the legend"
        for label in target.legend_labels()
        if not any(label in series.labels for series in answer)
    ]
    quantile = "histogram_quantile" in target.raw
    numbers = 0
    for series in answer:
        unit = unit_of(target, series)
        for _, value in series.points:
            if quantile and math.isnan(value):
                continue  # nothing was measured between two scrapes; Grafana draws a hole
            numbers += 1
            if wrong := out_of_range(target, unit, value, end):
                found.append(f"{dict(series.labels)} is {value}: {wrong}")
                break
    return found if numbers else [*found, "all values are NaN"]


def unit_of(target: Target, series: Series) -> str:
    """The unit in which the panel shows the series."""
    unit: str = target.panel["fieldConfig"]["defaults"].get("unit", "none")
    name = target.value_column if target.is_table else target.display_name(series)
    name = next(iter(renamed(target.panel, {name})), name)
    for override in target.panel["fieldConfig"].get("overrides", []):
        matcher = override["matcher"]
        hit = {
            "byName": matcher["options"] == name,
            "byFrameRefID": matcher["options"] == target.query["refId"],
            "byRegexp": matcher["id"] == "byRegexp" and re.search(str(matcher["options"]).strip("/"), name),
        }
        if hit[matcher["id"]]:
            unit = next((each["value"] for each in override["properties"] if each["id"] == "unit"), unit)
    return unit


def out_of_range(target: Target, unit: str, value: float, end: float) -> str:
    """Why a value cannot be right; empty if it can."""
    if not math.isfinite(value):
        return "not finite"
    if value < -_A_BIT:
        return "below 0"
    match unit:
        case "none":
            whole = _COUNTS.match(target.raw) is None or value == int(value)
            return "" if whole and value < 1e9 else "not a whole number"
        case "s" | "dthms":
            return "" if value < _YEAR_S else "longer than a year"
        case "percentunit":
            most = _CORES if "process_cpu" in target.raw else 1 + _A_BIT
            return "" if value <= most else "more than all"
        case "bytes":
            return "" if value < 1e12 else "more than a disk"
        case "cpm":
            return "" if value < 1e6 else "more than can be"
        case _ if unit.startswith("dateTime"):
            return "" if abs(value - end * 1000) < _DAY_MS else "not of these days, in milliseconds"
    raise AssertionError(f"{target.name}: what values may have the unit {unit}?")


def _organizers(panel: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in panel.get("transformations", []):
        match each["id"]:
            case "organize":
                yield each["options"]
            case "merge" | "partitionByValues":
                pass
            case other:
                raise AssertionError(f"what does the transformation {other} of {panel['title']} do?")


def _parted_by(panel: Mapping[str, Any]) -> Iterator[str]:
    """The fields for whose values the panel has a series each."""
    for each in panel.get("transformations", []):
        if each["id"] == "partitionByValues":
            yield from each["options"]["fields"]
