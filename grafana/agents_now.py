"""The dashboard "Agents now": how many agents are in which status, who, and for how long.

One rule holds in every panel: a status that the last poll did not confirm is not shown. While `zohovoice_up` is not 1
nobody knows what agents do, so they count as unknown, even though the exporter goes on exposing the last good poll
until `--poll.max-age` is over.
"""

from typing import Final

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard

from grafana.common import (
    COLOURS,
    OTHER_COLOUR,
    TARGETS,
    TEAMS,
    dressed,
    fixed_colour,
    new_dashboard,
    now,
    now_as_table,
    over_time,
    status_words,
)

PER_AGENT: Final = "on (job, instance, agent_id)"
PER_TARGET: Final = "on (job, instance)"
LOOKING: Final = f"{PER_TARGET} (zohovoice_up{{{TARGETS}}} == 1)"
NOT_LOOKING: Final = f"{PER_TARGET} (zohovoice_up{{{TARGETS}}} == 0)"
IN_STATUS: Final = f"(zohovoice_agent_status{{{TARGETS}}} == 1)"

KNOWN_AGENTS: Final = f'sum by (status) (zohovoice_team_agents{{{TEAMS}, status!="unknown"}} and {LOOKING})'

# Agents of an exporter that is not looking, or cannot be scraped although it should be: as many as were last seen.
UNSEEN_AGENTS: Final = (
    f"last_over_time(sum by (job, instance) (zohovoice_team_agents{{{TEAMS}}})[1d:1m])"
    f" unless {LOOKING} and {PER_TARGET} up{{{TARGETS}}}"
)
UNKNOWN_AGENTS: Final = (
    f'sum((sum by (job, instance) (zohovoice_team_agents{{{TEAMS}, status="unknown"}}) and {LOOKING})'
    f" or ({UNSEEN_AGENTS}))"
)

# The name and team of each agent. Without --metrics.names there are none, and the agents appear under all teams.
DESCRIPTION: Final = f"(zohovoice_agent_info{{{TEAMS}}} or {PER_AGENT} (zohovoice_agent_status{{{TEAMS}}} == 1))"

SECONDS_IN_STATUS: Final = (
    "max by (agent_id, name, team, status) (("
    f"(time() - zohovoice_agent_status_since_timestamp_seconds{{{TARGETS}}})"
    f" * {PER_AGENT} group_left (status) ({IN_STATUS} and {LOOKING})"
    f' or label_replace({IN_STATUS} and {NOT_LOOKING}, "status", "unknown", "", "")'
    f" * {PER_TARGET} group_left () (time() - zohovoice_last_poll_success_timestamp_seconds{{{TARGETS}}})"
    f") * {PER_AGENT} group_left (name, team) {DESCRIPTION})"
)

_WORDS: Final = "|".join(COLOURS)
# A state timeline wants one series for each agent, whose number says the status: its place in COLOURS, from 1.
_NUMBERED: Final = " or ".join(
    [f'zohovoice_agent_status{{{TARGETS}, status="{word}"}} * {number}' for number, word in enumerate(COLOURS, start=1)]
    + [f'zohovoice_agent_status{{{TARGETS}, status!~"{_WORDS}"}} * {len(COLOURS) + 1}']
)
_NAMED: Final = (
    f'label_replace(label_replace({DESCRIPTION}, "agent", "$1", "agent_id", "(.*)"), "agent", "$1", "name", "(.+)")'
)
STATUS_NUMBER: Final = (
    "max by (agent_id, agent) ("
    f"(max by (job, instance, agent_id) ({_NUMBERED}) and {LOOKING})"
    f" * {PER_AGENT} group_left (agent) {_NAMED})"
)

AGE: Final = f"time() - zohovoice_last_poll_success_timestamp_seconds{{{TARGETS}}}"


def _per_minute(family: str) -> str:
    return f"rate({family}{{{TARGETS}}}[$__rate_interval]) * 60"


def numbers() -> stat.Panel:
    """A number for each status."""
    panel = dressed(
        stat.Panel(),
        1,
        "Agents by status",
        "Agents in each status at the last poll. Agents count as unknown when Zoho gave no status for them, when the "
        "last poll failed, or when the exporter cannot be scraped.",
        unit="none",
        width=18,
        height=4,
    )
    panel.with_target(now("A", KNOWN_AGENTS, "{{status}}")).with_target(now("B", UNKNOWN_AGENTS, "unknown"))
    panel.color_mode(common.BigValueColorMode.BACKGROUND).graph_mode(common.BigValueGraphMode.NONE)
    panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME).justify_mode(common.BigValueJustifyMode.CENTER)
    panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(OTHER_COLOUR))
    for word, colour in COLOURS.items():
        panel.override_by_name(word, [fixed_colour(colour)])
    return panel.no_value("no exporter")


def last_poll() -> stat.Panel:
    """Whether the last poll of every exporter worked."""
    panel = dressed(
        stat.Panel(),
        2,
        "Last poll",
        "Whether the whole of the last poll worked, on every exporter chosen above.",
        unit="none",
        width=3,
        height=4,
    )
    panel.with_target(now("A", f"min(zohovoice_up{{{TARGETS}}})", "last poll"))
    panel.color_mode(common.BigValueColorMode.BACKGROUND).graph_mode(common.BigValueGraphMode.NONE)
    words = {
        "0": dashboard.ValueMappingResult(text="failed", color=COLOURS["unknown"], index=0),
        "1": dashboard.ValueMappingResult(text="good", color=COLOURS["Available"], index=1),
    }
    return panel.mappings([dashboard.ValueMap(words)]).no_value("no exporter")


def age_now() -> stat.Panel:
    """How old the oldest last good poll is."""
    panel = dressed(
        stat.Panel(),
        3,
        "Age of the data",
        "Time since the last good poll began to be true; of several exporters, the oldest.",
        unit="s",
        width=3,
        height=4,
    )
    panel.with_target(now("A", f"max({AGE})", "age"))
    panel.color_mode(common.BigValueColorMode.NONE).graph_mode(common.BigValueGraphMode.NONE)
    return panel.decimals(0).no_value("no good poll")


def over_the_day() -> timeseries.Panel:
    """Agents in each status, stacked."""
    panel = dressed(
        timeseries.Panel(),
        4,
        "Agents by status over time",
        "Agents in each status, stacked, so that the height is the number of agents. Time in which polls failed or the "
        "exporter was down is unknown, with as many agents as were last seen within a day before.",
        unit="none",
        width=24,
        height=9,
    )
    panel.with_target(over_time("A", KNOWN_AGENTS, "{{status}}")).with_target(over_time("B", UNKNOWN_AGENTS, "unknown"))
    panel.stacking(parts.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    panel.fill_opacity(80).line_width(0).line_interpolation(common.LineInterpolation.STEP_AFTER)
    panel.show_points(common.VisibilityMode.NEVER).span_nulls(False).min(0).decimals(0)
    for word, colour in COLOURS.items():
        panel.override_by_name(word, [fixed_colour(colour)])
    return panel.legend(_legend()).tooltip(_tooltip())


def agents() -> table.Panel:
    """A row for each agent, longest in their status first."""
    panel = dressed(
        table.Panel(),
        5,
        "Who is in what, and for how long",
        "Each agent's status and the time since it was first seen, to within one poll. While polls fail the status is "
        "unknown since the last good poll, and after --poll.max-age the rows disappear. Names and teams need "
        "--metrics.names.",
        unit="none",
        width=10,
        height=16,
    )
    panel.with_target(now_as_table("A", SECONDS_IN_STATUS))
    columns = {"name": "Name", "team": "Team", "status": "Status", "Value": "Time in status", "agent_id": "Agent id"}
    order = {source: place for place, source in enumerate(columns)}
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": columns},
        )
    )
    painted = {"type": "color-background", "mode": "basic"}
    panel.override_by_name(
        "Status",
        [
            dashboard.DynamicConfigValue(id_val="mappings", value=status_words()),
            dashboard.DynamicConfigValue(id_val="custom.cellOptions", value=painted),
        ],
    )
    panel.override_by_name(
        "Time in status",
        [dashboard.DynamicConfigValue("unit", "dtdurations"), dashboard.DynamicConfigValue("decimals", 0)],
    )
    panel.sort_by([parts.TableSortByFieldState().display_name("Time in status").desc(True)])
    return panel.show_header(True).cell_height(common.TableCellHeight.SM).no_value("")


def timeline() -> statetimeline.Panel:
    """A lane for each agent."""
    panel = dressed(
        statetimeline.Panel(),
        6,
        "Status of each agent over time",
        "A lane for each agent. A hole is time in which nobody was looking. Statuses shorter than a poll or a step of "
        "the graph can be missed.",
        unit="none",
        width=14,
        height=16,
    )
    panel.with_target(over_time("A", STATUS_NUMBER, "{{agent}}"))
    results = {
        str(number): dashboard.ValueMappingResult(text=word, color=colour, index=number - 1)
        for number, (word, colour) in enumerate([*COLOURS.items(), ("other", OTHER_COLOUR)], start=1)
    }
    panel.mappings([dashboard.ValueMap(results)]).show_value(common.VisibilityMode.NEVER)
    panel.merge_values(True).row_height(0.9).per_page(25).line_width(0).fill_opacity(85)
    return panel.legend(_legend()).tooltip(_tooltip())


def polls() -> timeseries.Panel:
    """Polls and what went wrong with them."""
    panel = dressed(
        timeseries.Panel(),
        7,
        "Polls and failures",
        "Polls a minute, and those of them that failed, by reason. Skipped are polls that were due while the one "
        "before still ran or Zoho had told the exporter to wait.",
        unit="cpm",
        width=12,
        height=8,
    )
    panel.with_target(over_time("A", f"sum({_per_minute('zohovoice_polls_total')})", "polls"))
    failures = f"sum by (reason) ({_per_minute('zohovoice_poll_failures_total')}) > 0"
    panel.with_target(over_time("B", failures, "failed: {{reason}}"))
    panel.with_target(over_time("C", f"sum({_per_minute('zohovoice_polls_skipped_total')})", "skipped"))
    failed = [
        dashboard.DynamicConfigValue("custom.drawStyle", "bars"),
        dashboard.DynamicConfigValue("custom.fillOpacity", 70),
    ]
    panel.override_by_regexp("/^failed/", failed)
    return panel.min(0).line_width(1).fill_opacity(0).legend(_legend()).tooltip(_tooltip())


def age() -> timeseries.Panel:
    """How old the last good poll was, over time."""
    panel = dressed(
        timeseries.Panel(),
        8,
        "Age of the data over time",
        "Time since the last good poll. The dashed line is three poll intervals: above it, polls fail for good.",
        unit="s",
        width=12,
        height=8,
    )
    panel.with_target(over_time("A", AGE, "age, {{instance}}"))
    limit = f"3 * zohovoice_poll_interval_seconds{{{TARGETS}}}"
    panel.with_target(over_time("B", limit, "three intervals, {{instance}}"))
    dashed = [
        dashboard.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
        fixed_colour(COLOURS["unknown"]),
    ]
    panel.override_by_query("B", dashed)
    return panel.min(0).line_width(1).fill_opacity(0).legend(_legend()).tooltip(_tooltip())


def _legend() -> parts.VizLegendOptions:
    legend = parts.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).calcs([])
    return legend.placement(common.LegendPlacement.BOTTOM).show_legend(True)


def _tooltip() -> parts.VizTooltipOptions:
    return parts.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.NONE)


def build() -> dashboard.Dashboard:
    """The whole dashboard."""
    board = new_dashboard(
        "zohovoice-agents-now",
        "Zoho Voice / Agents now",
        "How many agents are in which status, who, and for how long.",
    )
    for panel in (numbers(), last_poll(), age_now(), over_the_day(), agents(), timeline(), polls(), age()):
        board.with_panel(panel)
    return board.build()
