"""The dashboard "Agents over time": what the chosen time range held, with what nobody saw always in it as unknown."""

from typing import Final

from grafana_foundation_sdk.builders import table, timeseries
from grafana_foundation_sdk.models import dashboard

from grafana.common import (
    AGENTS,
    COLOURS,
    TARGETS,
    dressed,
    fixed_colour,
    graph,
    new_dashboard,
    over_time,
    painted,
    stacked,
    unit_of,
)
from grafana.queries import (
    CHANGES,
    KNOWN_AGENTS,
    LAST_SEEN_AGENTS,
    PER_TARGET,
    SECONDS_BY_STATUS,
    UNKNOWN_AGENTS,
    blind_share,
    by_team,
    named,
    per_exporter,
)
from grafana.tables import WHO, by_status

_QUARTER: Final = "15m"
MEAN_AVAILABLE: Final = f"sum({per_exporter('avg_over_time', 'Available', _QUARTER)})"
LEAST_AVAILABLE: Final = f"sum({per_exporter('min_over_time', 'Available', _QUARTER)})"
# All agents for the time in which nobody looked, and for the rest those for whom Zoho gave no status.
MEAN_UNKNOWN: Final = (
    f"sum({LAST_SEEN_AGENTS} * {PER_TARGET} ({blind_share(_QUARTER)}))"
    f" + (sum({per_exporter('avg_over_time', 'unknown', _QUARTER)}"
    f" * {PER_TARGET} (1 - ({blind_share(_QUARTER)}))) or vector(0))"
)
_LOOKED: Final = f"{PER_TARGET} (max_over_time(zohovoice_up{{{TARGETS}}}[$__rate_interval]) == 1)"


def _per_hour(by: str, series: str) -> str:
    """Transitions an hour, with a hole where nobody looked: a counter that stands still says nothing then."""
    return f"sum{by} ((rate({series}[$__rate_interval]) and {_LOOKED}) * 3600)"


def _bars(word: str) -> list[dashboard.DynamicConfigValue]:
    drawn = {"drawStyle": "bars", "fillOpacity": 60, "lineWidth": 0}
    properties = [dashboard.DynamicConfigValue(f"custom.{name}", value) for name, value in drawn.items()]
    return [*properties, fixed_colour(COLOURS[word])]


def agents_by_status() -> timeseries.Panel:
    """Agents in each status, stacked."""
    panel = graph(
        1,
        "Agents by status",
        "Agents in each status, stacked, so that the height is the number of agents of the chosen teams; the choice of "
        "agents does not apply. Time in which polls failed or the exporter was down is unknown, with as many agents as "
        "were last seen within a week before.",
        over_time("A", KNOWN_AGENTS, "{{status}}"),
        over_time("B", UNKNOWN_AGENTS, "unknown"),
        unit="none",
        width=24,
        height=10,
    )
    return stacked(panel).decimals(0)


def available() -> timeseries.Panel:
    """Mean and least available in each quarter of an hour."""
    panel = graph(
        2,
        "Available agents per 15 minutes",
        "Mean and least number of available agents in the 15 minutes that end at each point, of the time in which "
        "somebody looked. Unknown is the mean number of agents whose status nobody knew: how far to trust the others. "
        "Of several exporters each one's least is added, so the least of all together can be higher.",
        over_time("A", MEAN_AVAILABLE, "mean available"),
        over_time("B", LEAST_AVAILABLE, "least available"),
        over_time("C", MEAN_UNKNOWN, "unknown"),
        unit="none",
    )
    panel.override_by_name("mean available", [fixed_colour(COLOURS["Available"])])
    panel.override_by_name("least available", [fixed_colour(COLOURS["On Call"])])
    panel.override_by_name("unknown", _bars("unknown"))
    return panel.interval(_QUARTER).decimals(1)


def unknown_share() -> timeseries.Panel:
    """How much of the time nobody was looking."""
    panel = graph(
        3,
        "Time in which nobody was looking",
        "Of each exporter, the share of the time in which its last poll had failed or it could not be scraped. All "
        "that this page shows of that time is unknown. A hole is time in which Prometheus itself was down, or after a "
        "week in which it could not scrape the exporter.",
        over_time("A", blind_share("$__rate_interval"), "{{instance}}"),
        unit="percentunit",
    )
    return panel.max(1).fill_opacity(60).color_scheme(painted(COLOURS["unknown"]))


def transitions() -> timeseries.Panel:
    """Transitions of all agents an hour."""
    every = f"zohovoice_agent_status_transitions_total{{{TARGETS}}}"
    panel = graph(
        4,
        "Transitions per hour",
        "Changes of status by the status they led to, as a rate per hour. They are of all agents: the choice of teams "
        "and agents does not apply. A change while nobody was looking is counted when the next good poll sees it, but "
        "not if the exporter or Prometheus was down for it; time in which nobody looked at all is a hole.",
        over_time("A", _per_hour(" by (to_status)", every), "{{to_status}}"),
        unit="none",
    )
    stacked(panel)
    return panel.interval(_QUARTER).decimals(1)


def transitions_of_chosen() -> timeseries.Panel:
    """Transitions of the chosen agents an hour."""
    chosen = f"zohovoice_agent_status_changes_total{{{AGENTS}}}"
    panel = graph(
        5,
        "Transitions per hour of the chosen agents",
        "Changes of status of the agents chosen above, as a rate per hour; the choice of teams does not apply. Time in "
        "which nobody looked at all is a hole.",
        over_time("A", _per_hour("", chosen), "transitions"),
        unit="none",
    )
    return panel.interval(_QUARTER).decimals(1)


def time_of_teams() -> table.Panel:
    """Time in each status, by team."""
    panel = dressed(
        table.Panel(),
        6,
        "Time in status by team",
        "The time of all agents of a team together in the chosen time range, by the team that each agent was in last. "
        "Unknown is what is left of the time in which they were tracked. Teams need --metrics.names; without it there "
        "is one row for everybody.",
        unit="dthms",
        width=24,
        height=7,
    )
    by_status(panel, {word: by_team(seconds) for word, seconds in SECONDS_BY_STATUS.items()}, {"team": "Team"})
    return panel.interval("1m").max_data_points(1440).min(0)


def time_of_agents() -> table.Panel:
    """Time in each status, by agent."""
    panel = dressed(
        table.Panel(),
        7,
        "Time in status by agent",
        "The time of each agent in each status in the chosen time range, to within one poll, those included who have "
        "left since. Unknown is what is left of the time in which the agent was tracked: polls failed, the exporter "
        "was down, or Zoho gave no status. Names and teams need --metrics.names.",
        unit="dthms",
        width=24,
        height=14,
    )
    queries = {word: named(seconds) for word, seconds in SECONDS_BY_STATUS.items()}
    by_status(panel, {**queries, "Transitions": named(CHANGES)}, WHO)
    panel.override_by_name("Transitions", unit_of("none"))
    return panel.interval("1m").max_data_points(1440).min(0)


def build() -> dashboard.Dashboard:
    """The whole dashboard."""
    board = new_dashboard(
        "zohovoice-agents-over-time",
        "Zoho Voice / Agents over time",
        "Agents by status, available agents, time in status and transitions, with what nobody saw as unknown.",
    )
    board.time("now-24h", "now").refresh("1m")
    for panel in (
        agents_by_status(),
        available(),
        unknown_share(),
        transitions(),
        transitions_of_chosen(),
        time_of_teams(),
        time_of_agents(),
    ):
        board.with_panel(panel)
    return board.build()
