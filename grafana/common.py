"""What all dashboards share: variables, matchers, colours of the statuses, and how a panel is dressed."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import prometheus as prometheus_models

from exporter.metrics.statuses import OTHER
from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, OFFLINE, ON_BREAK, ON_CALL, UNKNOWN
from exporter.report.palette import FIXED, OTHERS, Look

STATUSES: Final = tuple(each.word for each in (AVAILABLE, ON_CALL, BUSY, ON_BREAK, OFFLINE))
"""Zoho's status words, in the order in which they are stacked."""
UNKNOWN_WORD: Final = UNKNOWN.word
OTHER_WORDS: Final = OTHER
"""What panels call all words that have no place of their own, as the metrics call those beyond their limit."""


def _light(colour: str) -> float:
    """The relative luminance of `#rrggbb`, from 0 to 1 (WCAG 2.2)."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _on_any_ground(*colours: str) -> str:
    """Which of `colours` stands out best where it stands out least: on Grafana's light ground, or on its dark one."""
    return max(colours, key=lambda colour: min(1.05 / (_light(colour) + 0.05), (_light(colour) + 0.05) / 0.06))


def _fill(look: Look) -> str:
    return _on_any_ground(look.light.fill, look.dark.fill)


# One file serves Grafana's light and dark theme, and Grafana cannot hatch. So each status gets one of the two colours
# that the palette has for it, and what is not known gets a red that the palette keeps for errors: a grey like that of
# the palette's hatching could be taken for Offline.
_NOT_KNOWN: Final = FIXED[ERROR.word].light.mark

COLOURS: Final[Mapping[str, str]] = {
    **{word: _fill(FIXED[word]) for word in STATUSES},
    UNKNOWN_WORD: _NOT_KNOWN,
}
"""The statuses that are always exported, in the order in which they are stacked, each with its colour."""

HISTORY_COLOURS: Final[Mapping[str, str]] = {**COLOURS, ABSENT.word: _NOT_KNOWN, ERROR.word: _NOT_KNOWN}
"""As `COLOURS`, with the words that only the history has."""

OTHER_COLOUR: Final = _on_any_ground(OTHERS[0].light.mark, OTHERS[0].dark.mark)
"""For `OTHER_WORDS`."""

DATASOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
TARGETS: Final = 'job=~"$job", instance=~"$instance"'
"""Matchers of every query."""
TEAMS: Final = f'{TARGETS}, team=~"$team"'
"""Matchers of a query about teams. A series without the label matches when all teams are chosen, and only then."""
AGENTS: Final = f'{TARGETS}, agent_id=~"$agent"'
"""Matchers of a query about single agents."""


class Dressable(Protocol):
    """What the SDK's panel builders have in common: they are generated, each on its own."""

    def id(self, id_val: int) -> Self: ...
    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: dashboard.DataSourceRef) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...


Panel = TypeVar("Panel", bound=Dressable)


def dressed(
    panel: Panel,
    number: int,
    title: str,
    description: str,
    *,
    unit: str,
    width: int,
    height: int,
    datasource: dashboard.DataSourceRef = DATASOURCE,
) -> Panel:
    """`panel` with what every panel has; `width` and `height` in Grafana's grid units (24 across)."""
    panel.id(number).title(title).description(description).datasource(datasource)
    return panel.unit(unit).span(width).height(height)


def graph(
    number: int,
    title: str,
    description: str,
    *targets: prometheus.Dataquery,
    unit: str,
    width: int = 12,
    height: int = 8,
) -> timeseries.Panel:
    """Lines over time that begin at 0, with a legend below. A hole in the data stays a hole."""
    panel = dressed(timeseries.Panel(), number, title, description, unit=unit, width=width, height=height)
    for target in targets:
        panel.with_target(target)
    panel.min(0).line_width(1).fill_opacity(0).span_nulls(False).show_points(common.VisibilityMode.AUTO)
    return panel.legend(legend()).tooltip(tooltip())


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """`panel` as areas on top of each other in the colours of the statuses."""
    panel.stacking(parts.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    panel.fill_opacity(80).line_width(0).line_interpolation(common.LineInterpolation.STEP_AFTER)
    panel.show_points(common.VisibilityMode.NEVER)
    for word, colour in COLOURS.items():
        panel.override_by_name(word, [fixed_colour(colour)])
    return panel


def legend() -> parts.VizLegendOptions:
    """A line of names below the panel."""
    made = parts.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).calcs([])
    return made.placement(common.LegendPlacement.BOTTOM).show_legend(True)


def tooltip() -> parts.VizTooltipOptions:
    """All series at once, in the order of the panel."""
    return parts.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.NONE)


def columns(panel: table.Panel, shown: Mapping[str, str], hidden: Iterable[str] = ("Time",)) -> table.Panel:
    """`panel` with its fields in the order of `shown`, under the names that it gives them, without those `hidden`."""
    options = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {source: place for place, source in enumerate(shown)},
        "renameByName": dict(shown),
    }
    return panel.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=options))


def over_time(ref: str, expr: str, legend: str) -> prometheus.Dataquery:
    """A query that is evaluated at each step of the dashboard's time range."""
    return prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(legend).range()


def now(ref: str, expr: str, legend: str = "") -> prometheus.Dataquery:
    """A query that is evaluated once, at the end of the dashboard's time range."""
    return prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(legend).instant()


def now_as_table(ref: str, expr: str) -> prometheus.Dataquery:
    """As `now`, with a column for each label."""
    return prometheus.Dataquery().ref_id(ref).expr(expr).instant().format(prometheus_models.PromQueryFormat.TABLE)


def painted(colour: str) -> builders.FieldColor:
    """The colour of whatever no mapping or override paints, and of what a panel says when it has no data."""
    return builders.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(colour)


def fixed_colour(colour: str) -> dashboard.DynamicConfigValue:
    """The property of an override that paints a series in `colour`."""
    return dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def unit_of(unit: str, decimals: int = 0) -> list[dashboard.DynamicConfigValue]:
    """The properties of an override that give a column a unit."""
    return [dashboard.DynamicConfigValue("unit", unit), dashboard.DynamicConfigValue("decimals", decimals)]


def said(words: Mapping[str, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    """Puts a word and a colour in the place of each value."""
    results = {
        value: dashboard.ValueMappingResult(text=word, color=colour, index=index)
        for index, (value, (word, colour)) in enumerate(words.items())
    }
    return [dashboard.ValueMap(results)]


def in_colours(words: Mapping[str, str]) -> list[dashboard.ValueMapping]:
    """Paints each of `words`, where it stands as text, in its colour."""
    return said({word: (word, colour) for word, colour in words.items()})


def _variable(name: str, label: str, query: Mapping[str, object], everything: str, text: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(label)
        .description(text)
        .datasource(DATASOURCE)
        .query(dict(query))
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(everything)
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _label_values(name: str, label: str, series: str, *, everything: str, description: str) -> builders.QueryVariable:
    query = {"query": f"label_values({series}, {name})", "refId": f"{name}-values", "qryType": 1}
    return _variable(name, label, query, everything, description)


# Everybody who was seen in the time range, also those who have left. The label `agent` is the name where names are
# exposed and the id where they are not. Grafana writes each series as {agent="Ann",agent_id="1"}, labels by alphabet.
AGENT_CHOICE: Final = (
    "group by (agent, agent_id) ("
    "label_replace(label_replace("
    f"last_over_time(zohovoice_agent_info{{{TEAMS}}}[$__range])"
    " or on (job, instance, agent_id)"
    f" last_over_time(zohovoice_agent_status_since_timestamp_seconds{{{TEAMS}}}[$__range])"
    ', "agent", "$1", "agent_id", "(.+)"), "agent", "$1", "name", "(.+)"))'
)
AGENT_REGEX: Final = '/\\{agent="(?<text>.*)",agent_id="(?<value>[^"]+)"\\}/'
"""How Grafana gets what it shows and what it puts into queries from one line of `AGENT_CHOICE`'s answer."""


def _agents() -> builders.QueryVariable:
    query = {"query": f"query_result({AGENT_CHOICE})", "refId": "agent-values", "qryType": 3}
    text = "Agents of the chosen teams; by id where the exporter runs without --metrics.names"
    return _variable("agent", "Agent", query, ".+", text).regex(AGENT_REGEX)


def empty_dashboard(uid: str, title: str, description: str) -> builders.Dashboard:
    """A dashboard with the habits of all of ours, without any variable or panel."""
    return (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["zoho-voice"])
        .readonly()
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Zoho Voice")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags(["zoho-voice"])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
    )


def new_dashboard(uid: str, title: str, description: str, *, agents: bool = True) -> builders.Dashboard:
    """A dashboard on Prometheus with its variables, and no panel yet; `agents`: with those for teams and agents too."""
    board = (
        empty_dashboard(uid, title, description)
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            _label_values("job", "Job", "zohovoice_up", everything=".+", description="Prometheus' job of the exporters")
        )
        .with_variable(
            _label_values(
                "instance",
                "Instance",
                'zohovoice_up{job=~"$job"}',
                everything=".+",
                description="The exporters: one for each Zoho Voice account or group of agents",
            )
        )
    )
    if not agents:
        return board
    teams = _label_values(
        "team",
        "Team",
        f"zohovoice_team_agents{{{TARGETS}}}",
        everything=".*",  # not .+, which would leave out agents that have no team
        description="Teams of agents; agents without a team are shown under All only",
    )
    return board.with_variable(teams).with_variable(_agents())
