"""The dashboard "Agents now": how many agents are in which status, who, for how long, and how today went so far.

A status that the last poll did not confirm is not shown: see `grafana.queries`.
"""

from typing import Final

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import piechart, stat, statetimeline, table
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import piechart as pie_models

from grafana.common import (
    COLOURS,
    OTHER_COLOUR,
    OTHER_WORDS,
    columns,
    dressed,
    fixed_colour,
    in_colours,
    legend,
    new_dashboard,
    now,
    now_as_table,
    over_time,
    painted,
    said,
    tooltip,
    unit_of,
)
from grafana.queries import (
    KNOWN_AGENTS,
    LONGEST_BREAKS,
    OLDEST,
    SECONDS_BY_STATUS,
    SECONDS_IN_STATUS,
    STATUS_NUMBER,
    UNKNOWN_AGENTS,
    WORKING,
    named,
    share,
)
from grafana.tables import WHO, by_status, fields, plain

_TODAY: Final = "now/d"
"""Grafana's "Today so far": from midnight in the dashboard's time zone. It holds while the dashboard's own range is
relative; who chooses dates in the past gets those instead."""
_POINTS: Final = 480
"""Steps of what is asked for each agent and status: every open dashboard asks all of it anew twice a minute."""
_TODAY_TEXT: Final = "From midnight in the dashboard's time zone until now; or the dashboard's range if it has dates."


def numbers() -> stat.Panel:
    """A number for each status."""
    panel = dressed(
        stat.Panel(),
        1,
        "Agents by status",
        "Agents in each status at the last poll, of the chosen teams; the choice of agents does not apply. Agents "
        "count as unknown when Zoho gave no status for them, when the last poll failed, or when the exporter cannot be "
        "scraped.",
        unit="none",
        width=18,
        height=4,
    )
    panel.with_target(now("A", KNOWN_AGENTS, "{{status}}")).with_target(now("B", UNKNOWN_AGENTS, "unknown"))
    panel.color_mode(common.BigValueColorMode.BACKGROUND).graph_mode(common.BigValueGraphMode.NONE)
    panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME).justify_mode(common.BigValueJustifyMode.CENTER)
    panel.color_scheme(painted(OTHER_COLOUR))
    for word, colour in COLOURS.items():
        panel.override_by_name(word, [fixed_colour(colour)])
    return panel.no_value("no agents known")


def last_poll() -> stat.Panel:
    """Whether the last poll of every exporter worked."""
    panel = dressed(
        stat.Panel(),
        2,
        "Last poll",
        "Whether the whole of the last poll worked, on every exporter chosen above. Failed also stands for an exporter "
        "that cannot be scraped.",
        unit="none",
        width=3,
        height=4,
    )
    panel.with_target(now("A", WORKING, "last poll"))
    panel.color_mode(common.BigValueColorMode.BACKGROUND).graph_mode(common.BigValueGraphMode.NONE)
    panel.color_scheme(painted(COLOURS["unknown"]))
    words = said({"0": ("failed", COLOURS["unknown"]), "1": ("good", COLOURS["Available"])})
    return panel.mappings(words).no_value("no exporter")


def age_now() -> stat.Panel:
    """How old the oldest last good poll is."""
    panel = dressed(
        stat.Panel(),
        3,
        "Age of the data",
        "Time since the last good poll was received; of several exporters, the longest. Of one that cannot be scraped, "
        "the last that Prometheus knows of.",
        unit="s",
        width=3,
        height=4,
    )
    panel.with_target(now("A", OLDEST, "age"))
    panel.color_mode(common.BigValueColorMode.NONE).graph_mode(common.BigValueGraphMode.NONE)
    return panel.decimals(0).no_value("no good poll")


def agents() -> table.Panel:
    """A row for each agent, longest in their status first."""
    panel = dressed(
        table.Panel(),
        4,
        "Who is in what, and for how long",
        "Each agent's status, when it was first seen, and the time since, to within one poll. It goes on through time "
        "in which nobody looked, if the status is the same after it. While polls fail the status is unknown since the "
        "last good poll, and after --poll.max-age the rows disappear. Names and teams need --metrics.names.",
        unit="none",
        width=12,
        height=16,
    )
    panel.with_target(now_as_table("A", SECONDS_IN_STATUS))
    panel.with_target(now_as_table("B", f"(time() - {SECONDS_IN_STATUS}) * 1000"))
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    columns(panel, fields({"status": "Status", "Value #A": "Time in status", "Value #B": "Since"}))
    background = {"type": "color-background", "mode": "basic"}
    panel.override_by_name(
        "Status",
        [
            dashboard.DynamicConfigValue(id_val="mappings", value=in_colours(COLOURS)),
            dashboard.DynamicConfigValue(id_val="custom.cellOptions", value=background),
        ],
    )
    panel.override_by_name("Time in status", unit_of("dthms"))
    panel.override_by_name("Since", unit_of("dateTimeAsLocalNoDateIfToday"))
    panel.sort_by([parts.TableSortByFieldState().display_name("Time in status").desc(True)])
    return plain(panel)


def timeline() -> statetimeline.Panel:
    """A lane for each agent."""
    panel = dressed(
        statetimeline.Panel(),
        5,
        "Status of each agent over time",
        "A lane for each agent. A hole is time in which nobody was looking. Statuses shorter than a poll or a step of "
        "the graph can be missed.",
        unit="none",
        width=12,
        height=16,
    )
    panel.with_target(over_time("A", STATUS_NUMBER, "{{agent}}"))
    lanes = enumerate([*COLOURS.items(), (OTHER_WORDS, OTHER_COLOUR)], start=1)
    words = said({str(number): word_and_colour for number, word_and_colour in lanes})
    panel.mappings(words).show_value(common.VisibilityMode.NEVER)
    panel.color_scheme(painted(OTHER_COLOUR))  # its own default is a scale of colours, and then it has no legend
    panel.merge_values(True).row_height(0.9).per_page(25).line_width(0).fill_opacity(85)
    return panel.legend(legend()).tooltip(tooltip())


def longest_breaks() -> table.Panel:
    """The ten longest breaks of today."""
    panel = dressed(
        table.Panel(),
        6,
        "Longest breaks today",
        "The longest stay in On Break of each agent, over or not, of the ten with the longest. A break that began "
        "before midnight counts from its beginning; On Break before and after time in which nobody looked is one "
        f"break, with that time in it. To a minute for a day, less exact for more. {_TODAY_TEXT}",
        unit="dthms",
        width=8,
        height=11,
    )
    panel.with_target(now_as_table("A", LONGEST_BREAKS))
    columns(panel, fields({"Value": "Longest break"}))
    panel.sort_by([parts.TableSortByFieldState().display_name("Longest break").desc(True)])
    panel.time_from(_TODAY).interval("1m").max_data_points(1440)
    return plain(panel)


def today() -> piechart.Panel:
    """What all agents together did today."""
    panel = dressed(
        piechart.Panel(),
        7,
        "Time of all agents today",
        "The time of the chosen agents together by status. Unknown is what is left of the time in which they were "
        f"tracked: polls failed, the exporter was down, or Zoho gave no status. {_TODAY_TEXT}",
        unit="dthms",
        width=5,
        height=11,
    )
    for ref, (word, seconds) in zip("ABCDEFG", SECONDS_BY_STATUS.items(), strict=True):
        panel.with_target(now(ref, f"sum({named(seconds)})", word))
        panel.override_by_name(word, [fixed_colour(COLOURS.get(word, OTHER_COLOUR))])
    values = [pie_models.PieChartLegendValues.PERCENT, pie_models.PieChartLegendValues.VALUE]
    shown = piechart.PieChartLegendOptions().display_mode(common.LegendDisplayMode.TABLE).values(values)
    panel.legend(shown.placement(common.LegendPlacement.BOTTOM).show_legend(True).calcs([]))
    panel.pie_type(pie_models.PieChartType.DONUT).tooltip(tooltip())
    return panel.time_from(_TODAY).interval("1m").max_data_points(_POINTS).no_value("no good poll")


def shares_today() -> table.Panel:
    """What part of today each agent was in each status."""
    panel = dressed(
        table.Panel(),
        8,
        "Share of time today",
        "What part of the day each agent was in each status, of the time in which the agent was tracked. Unknown is "
        f"time in which polls failed, the exporter was down, or Zoho gave no status. {_TODAY_TEXT}",
        unit="percentunit",
        width=11,
        height=11,
    )
    by_status(panel, {word: named(share(seconds)) for word, seconds in SECONDS_BY_STATUS.items()}, WHO)
    panel.time_from(_TODAY).interval("1m").max_data_points(_POINTS)
    return panel.decimals(0).min(0).max(1)


def build() -> dashboard.Dashboard:
    """The whole dashboard."""
    board = new_dashboard(
        "zohovoice-agents-now",
        "Zoho Voice / Agents now",
        "How many agents are in which status, who, for how long, and how today went so far.",
    )
    for panel in (
        numbers(),
        last_poll(),
        age_now(),
        agents(),
        timeline(),
        longest_breaks(),
        today(),
        shares_today(),
    ):
        board.with_panel(panel)
    return board.build()
