"""What all dashboards share: variables, matchers, colours of the statuses, and how a panel is dressed."""

from collections.abc import Mapping
from typing import Final, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models import prometheus as prometheus_models

COLOURS: Final[Mapping[str, str]] = {
    "Available": "#56A64B",
    "On Call": "#3274D9",
    "Busy": "#F2CC0C",
    "On Break": "#FF9830",
    "Offline": "#6E7681",
    "unknown": "#C4162A",
}
"""The statuses that are always exported, in the order in which they are stacked, each with its colour."""

OTHER_COLOUR: Final = "#B877D9"
"""For a status word that Zoho adds, where such words share one colour."""

DATASOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
TARGETS: Final = 'job=~"$job", instance=~"$instance"'
"""Matchers of every query."""
TEAMS: Final = f'{TARGETS}, team=~"$team"'
"""Matchers of a query about teams. A series without the label matches when all teams are chosen, and only then."""


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


def dressed(panel: Panel, number: int, title: str, description: str, *, unit: str, width: int, height: int) -> Panel:
    """`panel` with what every panel has; `width` and `height` in Grafana's grid units (24 across)."""
    panel.id(number).title(title).description(description).datasource(DATASOURCE)
    return panel.unit(unit).span(width).height(height)


def over_time(ref: str, expr: str, legend: str) -> prometheus.Dataquery:
    """A query that is evaluated at each step of the dashboard's time range."""
    return prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(legend).range()


def now(ref: str, expr: str, legend: str = "") -> prometheus.Dataquery:
    """A query that is evaluated once, at the end of the dashboard's time range."""
    return prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(legend).instant()


def now_as_table(ref: str, expr: str) -> prometheus.Dataquery:
    """As `now`, with a column for each label."""
    return prometheus.Dataquery().ref_id(ref).expr(expr).instant().format(prometheus_models.PromQueryFormat.TABLE)


def fixed_colour(colour: str) -> dashboard.DynamicConfigValue:
    """The property of an override that paints a series in `colour`."""
    return dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def status_words() -> list[dashboard.ValueMapping]:
    """Paints the always exported status words, where they stand as text, in their colours."""
    results = enumerate(COLOURS.items())
    return [
        dashboard.ValueMap(
            {word: dashboard.ValueMappingResult(color=colour, index=index) for index, (word, colour) in results}
        )
    ]


def _label_values(name: str, label: str, series: str, *, everything: str, description: str) -> builders.QueryVariable:
    query = {"query": f"label_values({series}, {name})", "refId": f"{name}-values", "qryType": 1}
    return (
        builders.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(everything)
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def new_dashboard(uid: str, title: str, description: str) -> builders.Dashboard:
    """A dashboard with the variables and habits of all of ours, and no panel yet."""
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
        .with_variable(
            _label_values(
                "team",
                "Team",
                f"zohovoice_team_agents{{{TARGETS}}}",
                everything=".*",  # not .+, which would leave out agents that have no team
                description="Teams of agents; agents without a team are shown under All only",
            )
        )
    )
