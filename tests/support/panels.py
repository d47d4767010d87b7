"""The queries of the committed dashboards, filled in and sent as Grafana 11 does it, or filled in for series by hand.

Sources: Grafana's `packages/grafana-prometheus` (escaping, `label_values`, `query_result`) and
`pkg/promlib/models/query.go` (`$__interval`, `$__rate_interval`, `$__range`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support import grafana

TODAY_S: Final = 10 * 3600
"""How long "Today so far" is taken to last: it is ten in the morning, whenever the tests run.

At three in the afternoon the subqueries of some panels take steps of two minutes. `tests.support.told` lasts for one
full minute of the clock, so they had no answer whenever that was an odd one.
"""
_POINTS: Final = 1_000
"""How many points a panel has room for, where it does not say itself: Grafana takes its width in pixels."""
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
# Grafana's own list (packages/grafana-data/src/datetime/rangeutil.ts, roundInterval): below the first, the second.
_STEPS_S: Final = (
    *((0.015, 0.01), (0.035, 0.02), (0.075, 0.05), (0.15, 0.1), (0.35, 0.2), (0.75, 0.5), (1.5, 1), (3.5, 2)),
    *((7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600)),
    *((1_050, 900), (1_500, 1_200), (2_700, 1_800), (5_400, 3_600), (9_000, 7_200), (16_200, 10_800)),
)
_VARIABLE: Final = re.compile(r"\$(\w+)|\$\{(\w+)(?::\w+)?\}|\[\[(\w+)\]\]")
_LABEL_VALUES: Final = re.compile(r"label_values\((?:(.+), *)?(\w+)\)", re.DOTALL)
_QUERY_RESULT: Final = re.compile(r"query_result\((.+)\)", re.DOTALL)
_NAMED_GROUP: Final = re.compile(r"\(\?<(?=\w)")
_LEGEND: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")

Labels = Mapping[str, str]
Data = Callable[[str, Labels], Any]
"""What asks Prometheus' API: path and parameters to the `data` of the answer."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: labels without the name, and (unix time, value), one of them if asked for an instant."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Looking:
    """How somebody looks at a dashboard: until when (unix time), how far back, and what is chosen.

    `chosen` has a value for each variable that is not at "All".
    """

    end: float
    range_s: int | None = None
    """None: the dashboard's own."""
    chosen: Labels = field(default_factory=dict)
    scrape_s: float = 1.0
    """What the data source is told of Prometheus' scrape interval."""


@dataclass(frozen=True, slots=True)
class Request:
    """A query as Prometheus gets it; without a step it is for the instant `end`."""

    expr: str
    start: float
    end: float
    step_s: float | None

    @property
    def path(self) -> str:
        return "/api/v1/query" if self.step_s is None else "/api/v1/query_range"

    @property
    def parameters(self) -> dict[str, str]:
        """Of the API's path. The grid ends with `end`: Grafana's lies on multiples of the step, up to one before."""
        if self.step_s is None:
            return {"query": self.expr, "time": f"{self.end:.3f}"}
        start = self.end - (self.end - self.start) // self.step_s * self.step_s
        return {
            "query": self.expr,
            "start": f"{start:.3f}",
            "end": f"{self.end:.3f}",
            "step": f"{self.step_s:g}",
        }


@dataclass(frozen=True, slots=True)
class Target:
    """One PromQL query of one panel."""

    dashboard: str
    panel: Mapping[str, Any]
    query: Mapping[str, Any]
    default_range_s: int

    @property
    def title(self) -> str:
        """The panel's."""
        title: str = self.panel["title"]
        return title

    @property
    def ref(self) -> str:
        """The query's letter."""
        ref: str = self.query["refId"]
        return ref

    @property
    def name(self) -> str:
        return f"{self.dashboard}: {self.title} {self.ref}"

    @property
    def raw(self) -> str:
        """The expression with its variables."""
        expr: str = self.query["expr"]
        return expr

    @property
    def is_table(self) -> bool:
        return self.query.get("format") == "table"

    @property
    def value_column(self) -> str:
        """What Grafana calls the field that holds the values, in a table."""
        queries = [each for each in self.panel["targets"] if not each.get("hide")]
        return f"Value #{self.ref}" if len(queries) > 1 else "Value"

    def request(self, looking: Looking) -> Request:
        """What is sent for somebody who looks so."""
        range_s = looking.range_s or self.default_range_s
        if since := self.panel.get("timeFrom"):
            assert since == "now/d", f"{self.name}: what does {since} mean?"
            range_s = TODAY_S
        points = self.panel.get("maxDataPoints") or _POINTS
        least_s = seconds(str(self.panel.get("interval") or self.query.get("interval") or looking.scrape_s))
        step_s = max(rounded(range_s / points), least_s)
        values = {**intervals(range_s, step_s, looking.scrape_s), **everything(self.dashboard), **_escaped(looking)}
        step = None if self.query.get("instant") and not self.query.get("range") else step_s
        return Request(filled(self.raw, values), looking.end - range_s, looking.end, step)

    def by_hand(self, *, minutes: int = 20, **chosen: str) -> str:
        """The expression for series written down by hand: see `by_hand`."""
        return by_hand(self.raw, self.dashboard, minutes=minutes, **chosen)

    def display_name(self, series: Series) -> str:
        """What a legend calls the series."""
        legend: str = self.query.get("legendFormat", "")
        return _LEGEND.sub(lambda found: series.labels.get(found[1], ""), legend)

    def legend_labels(self) -> list[str]:
        """The labels that the legend names."""
        return _LEGEND.findall(self.query.get("legendFormat", ""))


def targets(*dashboards: str) -> Iterator[Target]:
    """Every query to Prometheus of these dashboards, or of all that are committed."""
    for name in dashboards or _names():
        range_s = _range_s(name)
        for panel in grafana.panels(name):
            for query in panel.get("targets", []):
                if "expr" in query:
                    yield Target(name, panel, query, range_s)


def target(dashboard: str, title: str, ref: str) -> Target:
    """The one query of a dashboard with this panel title and letter."""
    (found,) = [each for each in targets(dashboard) if (each.title, each.ref) == (title, ref)]
    return found


def _names() -> list[str]:
    return sorted(path.stem for path in (grafana.FOLDER / "dashboards").glob("*.json"))


def _range_s(dashboard: str) -> int:
    return round(seconds(str(grafana.dashboard(dashboard)["time"]["from"]).removeprefix("now-")))


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable whose values a query brings."""

    dashboard: str
    name: str
    definition: str
    regex: str
    default_range_s: int

    def values(self, looking: Looking, data: Data) -> list[tuple[str, str]]:
        """(text, value) of what can be chosen, in order."""
        range_s = looking.range_s or self.default_range_s
        values = {**intervals(range_s, looking.scrape_s, looking.scrape_s), **everything(self.dashboard)}
        wanted = filled(self.definition, {**values, **_escaped(looking)})
        if found := _LABEL_VALUES.fullmatch(wanted):
            window = {"start": f"{looking.end - range_s:.3f}", "end": f"{looking.end:.3f}"}
            return [(text, text) for text in data(f"/api/v1/label/{found[2]}/values", {"match[]": found[1], **window})]
        found = _QUERY_RESULT.fullmatch(wanted)
        assert found, f"{self.dashboard}: what does {wanted} ask for?"
        rows = data("/api/v1/query", {"query": found[1], "time": f"{looking.end:.3f}"})["result"]
        return [pair for row in rows if (pair := self._pair(_line(row)))]

    def _pair(self, line: str) -> tuple[str, str] | None:
        """What the variable's regular expression makes of one line of an answer."""
        if not self.regex:
            return line, line
        found = re.search(_NAMED_GROUP.sub("(?P<", self.regex.strip("/")), line)
        return (found["text"], found["value"]) if found else None


def variables() -> Iterator[Variable]:
    """Every variable of every dashboard that is filled by a query to Prometheus."""
    for name in _names():
        for each in grafana.dashboard(name)["templating"]["list"]:
            if each["type"] == "query" and each["datasource"]["type"] == "prometheus":
                yield Variable(name, each["name"], each["query"]["query"], each.get("regex") or "", _range_s(name))


def everything(dashboard: str) -> dict[str, str]:
    """What stands for each variable of a dashboard while "All" is chosen in it."""
    variables = grafana.dashboard(dashboard)["templating"]["list"]
    return {each["name"]: each["allValue"] for each in variables if each.get("includeAll")}


def intervals(range_s: float, step_s: float, scrape_s: float) -> dict[str, str]:
    """Grafana's own variables."""
    return {
        "__range": f"{range_s:g}s",
        "__range_s": f"{range_s:g}",
        "__range_ms": f"{range_s * 1000:g}",
        "__interval": f"{step_s:g}s",
        "__interval_ms": f"{step_s * 1000:g}",
        "__rate_interval": f"{max(step_s + scrape_s, 4 * scrape_s):g}s",
    }


def filled(text: str, values: Labels) -> str:
    """`text` with its variables replaced; KeyError for one that the dashboard does not have."""

    def put_in(found: re.Match[str]) -> str:
        return values[found[1] or found[2] or found[3]]

    # A dollar sign with a digit is label_replace's.
    return _VARIABLE.sub(lambda found: found[0] if (found[1] or "x")[0].isdigit() else put_in(found), text)


def by_hand(text: str, dashboard: str, *, minutes: int = 20, **chosen: str) -> str:
    """`text` with the variables of a dashboard filled in for series that have a sample each 30 seconds.

    Unlike Grafana it takes a step of 30 seconds and a time range of so many `minutes`, whatever the panel asks for, so
    that answers can be worked out by hand. `team="Sales"` chooses one value, as it stands; the others are at "All".
    """
    return filled(text, {**intervals(60 * minutes, 30, 30), **everything(dashboard), **chosen})


def escaped(value: str) -> str:
    """A chosen value of a variable with several values, within a quoted regular expression of PromQL."""
    return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


def seconds(text: str) -> float:
    """`15m`, `90` or `0.5s` in seconds."""
    return float(text[:-1]) * _UNITS_S[text[-1]] if text[-1] in _UNITS_S else float(text)


def rounded(interval_s: float) -> float:
    """An interval as Grafana rounds it."""
    return next((step for bound, step in _STEPS_S if interval_s < bound), 21_600)


def read(data: Mapping[str, Any]) -> list[Series]:
    """The series of an answer to a query, vector or matrix; a scalar is one without labels."""
    if data["resultType"] == "scalar":
        return [Series({}, (_point(data["result"]),))]
    return [
        Series(
            {name: text for name, text in row["metric"].items() if name != "__name__"},
            tuple(map(_point, row.get("values") or [row["value"]])),
        )
        for row in data["result"]
    ]


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def _line(row: Mapping[str, Any]) -> str:
    labels = dict(row["metric"])
    name = labels.pop("__name__", "")
    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {row['value'][1]} {row['value'][0] * 1000:g}"


def _escaped(looking: Looking) -> dict[str, str]:
    return {name: escaped(value) for name, value in looking.chosen.items()}
