"""The dashboard "History from SQLite": who did what, and when nobody was looking, from the history database itself.

It needs the data source plugin frser-sqlite-datasource and nothing of Prometheus, so it also shows what is older than
Prometheus, with times to the poll. The SQL stands in `history_sql`.
"""

from collections.abc import Mapping
from typing import Final

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard

from grafana import history_sql as sql
from grafana.common import (
    COLOURS,
    HISTORY_COLOURS,
    OTHER_COLOUR,
    OTHER_WORDS,
    UNKNOWN_WORD,
    Panel,
    columns,
    dressed,
    empty_dashboard,
    fixed_colour,
    in_colours,
    legend,
    painted,
    tooltip,
    unit_of,
)
from grafana.history_choices import with_choices
from grafana.sqlite import SOURCE, SqliteQuery

_UNKNOWN: Final = (
    "What nobody saw is unknown; so is what comes after the latest poll, for nobody knows whether the next one will "
    "confirm it."
)


def _table(text: str, *times: str) -> SqliteQuery:
    return SqliteQuery(text, times)


def _series(text: str) -> SqliteQuery:
    """A column `time`, in ascending order, and a series in each other column."""
    return SqliteQuery(text, ("time",), "time series")


def _dressed(
    panel: Panel, number: int, title: str, description: str, *, unit: str, width: int = 24, height: int = 8
) -> Panel:
    return dressed(panel, number, title, description, unit=unit, width=width, height=height, datasource=SOURCE)


def _paint_statuses(panel: stat.Panel | timeseries.Panel) -> None:
    """Paint the column of each status in its colour."""
    for word, colour in {**COLOURS, OTHER_WORDS: OTHER_COLOUR}.items():
        panel.override_by_name(word, [fixed_colour(colour)])


def now() -> stat.Panel:
    """A number for each status, as of now."""
    panel = _dressed(
        stat.Panel(),
        1,
        "Agents by status now",
        "Everyone who is tracked, whatever the time range is. While the exporter is stopped, or its latest poll is too "
        "old to go on, all of them are unknown.",
        unit="none",
        width=16,
        height=4,
    )
    panel.with_target(_table(sql.AGENTS_NOW))
    panel.color_mode(common.BigValueColorMode.BACKGROUND).graph_mode(common.BigValueGraphMode.NONE)
    panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME).justify_mode(common.BigValueJustifyMode.CENTER)
    _paint_statuses(panel)
    return panel.color_scheme(painted(OTHER_COLOUR))


def age() -> stat.Panel:
    """How long ago the latest poll was."""
    panel = _dressed(
        stat.Panel(),
        2,
        "Age of the latest poll",
        "How long ago the latest complete poll was received that is in the database, whatever the time range is.",
        unit="s",
        width=4,
        height=4,
    )
    panel.with_target(_table(sql.AGE)).decimals(0).no_value("no poll")
    return panel.color_mode(common.BigValueColorMode.NONE).graph_mode(common.BigValueGraphMode.NONE)


def coverage() -> stat.Panel:
    """How much of the time range is known."""
    panel = _dressed(
        stat.Panel(),
        3,
        "Coverage",
        "How much of the time that the chosen agents were tracked is known: in a status that Zoho reported. The rest "
        "is unknown, absent or an error.",
        unit="percentunit",
        width=4,
        height=4,
    )
    panel.with_target(_table(sql.COVERAGE)).decimals(1).no_value("nobody tracked")
    return panel.color_mode(common.BigValueColorMode.NONE).graph_mode(common.BigValueGraphMode.NONE)


def _states(panel: statetimeline.Panel, colours: Mapping[str, str]) -> statetimeline.Panel:
    panel.mappings(in_colours(colours)).show_value(common.VisibilityMode.NEVER)
    panel.merge_values(True).row_height(0.9).line_width(0).fill_opacity(85)
    panel.color_scheme(painted(OTHER_COLOUR))
    return panel.legend(legend()).tooltip(parts.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))


def timeline() -> statetimeline.Panel:
    """A lane for each agent."""
    panel = _dressed(
        statetimeline.Panel(),
        4,
        "Status of each agent",
        f"A lane for each agent, with transitions where they were first seen. {_UNKNOWN} Where a lane is empty "
        "the agent was not tracked.",
        unit="none",
        height=14,
    )
    panel.with_target(_table(sql.TIMELINE, "time"))
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="partitionByValues",
            options={"fields": ["agent"], "keepFields": False, "naming": {"asLabels": True}},
        )
    )
    return _states(panel.per_page(25), HISTORY_COLOURS)


def looking() -> statetimeline.Panel:
    """One lane: when the exporter polled, and why not when not."""
    panel = _dressed(
        statetimeline.Panel(),
        5,
        "When the recorder was looking",
        "When polls were complete, and why not when they were not; before the first poll of the database it says so.",
        unit="none",
        height=4,
    )
    panel.with_target(_table(sql.LOOKING, "time"))
    return _states(panel, {"looking": COLOURS["Available"]}).color_scheme(painted(COLOURS[UNKNOWN_WORD]))


def time_in_status() -> table.Panel:
    """A row for each agent."""
    panel = _dressed(
        table.Panel(),
        6,
        "Time in status, by agent",
        f"How long each agent was in each status within the time range. {_UNKNOWN} Other is absent, error "
        "and every word that has no column. Coverage is the part in a status that Zoho reported.",
        unit="dtdurations",
        width=14,
        height=12,
    )
    panel.with_target(_table(sql.TIME_IN_STATUS)).decimals(0)
    panel.override_by_name("coverage", unit_of("percentunit", 1))
    panel.with_transformation(
        dashboard.DataTransformerConfig(id_val="organize", options={"renameByName": {"agent": "Agent", "team": "Team"}})
    )
    return panel.show_header(True).cell_height(common.TableCellHeight.SM).no_value("")


def time_by_day() -> timeseries.Panel:
    """A bar for each day."""
    panel = _dressed(
        timeseries.Panel(),
        7,
        "Time in status, by day",
        f"How long the chosen agents were in each status on each day of UTC, all together. The first and the last day "
        f"are cut off at the time range. {_UNKNOWN}",
        unit="s",
        width=10,
        height=12,
    )
    panel.with_target(_series(sql.TIME_BY_DAY))
    panel.stacking(parts.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(80).line_width(0).min(0)
    _paint_statuses(panel)
    return panel.legend(legend()).tooltip(tooltip())


def long_stays() -> table.Panel:
    """The longest first."""
    panel = _dressed(
        table.Panel(),
        8,
        "Long breaks",
        "Stays in the chosen status that touch the time range and are longer than the minutes chosen above; "
        "whole, also what lies before the time range, and cut off at its end. May have been longer: nobody saw it "
        "begin, or nobody saw it end, or it goes on after the time range.",
        unit="none",
        width=14,
        height=10,
    )
    panel.with_target(_table(sql.LONG_STAYS, "start", "end"))
    panel.override_by_name("duration", unit_of("dtdurations"))
    for name in ("start", "end"):
        panel.override_by_name(name, unit_of("dateTimeAsIso"))
    return panel.show_header(True).cell_height(common.TableCellHeight.SM).no_value("")


def gaps() -> table.Panel:
    """When nobody was looking, and why."""
    panel = _dressed(
        table.Panel(),
        9,
        "Gaps, and why",
        "When nobody was looking between the stretches of complete polls, the newest first: of the recorder and of "
        "each imported file. Without an end it goes on.",
        unit="none",
        width=10,
        height=10,
    )
    panel.with_target(_table(sql.GAPS, "start", "end"))
    panel.override_by_name("duration", unit_of("dtdurations"))
    for name in ("start", "end"):
        panel.override_by_name(name, unit_of("dateTimeAsIso"))
    return panel.show_header(True).cell_height(common.TableCellHeight.SM).no_value("")


def transitions_per_hour() -> timeseries.Panel:
    """A bar for each hour, and how much of it nobody polled."""
    panel = _dressed(
        timeseries.Panel(),
        10,
        "Transitions per hour",
        "How many changes of status of the chosen agents were first seen in each hour of UTC. Red: for how many "
        "minutes of it the recorder did not poll. No bar in an hour in which nobody was looking says nothing.",
        unit="none",
        height=8,
    )
    panel.with_target(_series(sql.TRANSITIONS_PER_HOUR))
    panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(70).line_width(0).min(0).decimals(0)
    panel.override_by_name("transitions", [fixed_colour(COLOURS["On Call"])])
    missing = [
        fixed_colour(COLOURS[UNKNOWN_WORD]),
        dashboard.DynamicConfigValue("unit", "m"),
        dashboard.DynamicConfigValue("max", 60),
        dashboard.DynamicConfigValue("custom.axisPlacement", "right"),
        dashboard.DynamicConfigValue("custom.fillOpacity", 25),
    ]
    panel.override_by_name("minutes without polls", missing)
    return panel.legend(legend()).tooltip(tooltip())


def transitions() -> table.Panel:
    """The newest first, with both bounds."""
    panel = _dressed(
        table.Panel(),
        11,
        "Who changed when",
        "The newest 1,000 transitions within the time range. Each happened after the first time, when the poll before "
        "was sent, and not after the second, when the poll that saw it was received. Where there is no first time "
        "nobody had looked before.",
        unit="none",
        height=12,
    )
    panel.with_target(_table(sql.TRANSITIONS, "not_before", "seen"))
    panel.override_by_name("Within", unit_of("s"))
    names = {
        "not_before": "Not before",
        "seen": "Seen",
        "agent": "Agent",
        "team": "Team",
        "from_status": "From",
        "to_status": "To",
        "uncertainty": "Within",
    }
    coloured = {"type": "color-text"}
    for name in ("From", "To"):
        panel.override_by_name(
            name,
            [
                dashboard.DynamicConfigValue("mappings", in_colours(HISTORY_COLOURS)),
                dashboard.DynamicConfigValue("custom.cellOptions", coloured),
            ],
        )
    for name in ("Not before", "Seen"):
        panel.override_by_name(name, unit_of("dateTimeAsIso"))
    return columns(panel, names, ()).show_header(True).cell_height(common.TableCellHeight.SM).no_value("")


def build() -> dashboard.Dashboard:
    """The whole dashboard."""
    board = empty_dashboard(
        "zohovoice-history-sqlite",
        "Zoho Voice / History from SQLite",
        "Who did what, and when nobody was looking, from the history database.",
    )
    with_choices(board.time("now-24h", "now").refresh("1m"))
    for panel in (now(), age(), coverage(), timeline(), looking(), time_in_status(), time_by_day()):
        board.with_panel(panel)
    for panel in (long_stays(), gaps(), transitions_per_hour(), transitions()):
        board.with_panel(panel)
    return board.build()
