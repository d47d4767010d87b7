"""Tables with a row for each agent or team and a column for each status."""

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common, dashboard

from grafana.common import COLOURS, OTHER_COLOUR, OTHER_WORDS, columns, fixed_colour, now_as_table

WHO: Final[Mapping[str, str]] = {"name": "Name", "team": "Team"}
"""The labels of an agent that come first, and the titles of their columns."""


def fields(values: Mapping[str, str]) -> dict[str, str]:
    """The columns of a table of agents: name and team, then `values`, and the id last."""
    return {**WHO, **values, "agent_id": "Agent id"}


def plain(panel: table.Panel) -> table.Panel:
    """`panel` with a header and low rows. Grafana writes a table's `noValue` into every empty cell, so it has none."""
    return panel.show_header(True).cell_height(common.TableCellHeight.SM)


def by_status(panel: table.Panel, queries: Mapping[str, str], first: Mapping[str, str]) -> table.Panel:
    """Fill `panel` with a column for each of `queries`, which is by its title; a status has a bar in its colour.

    `first` are labels and their titles. A row that one query does not know has an empty cell there. ValueError: there
    are more columns than letters for queries.
    """
    shown = dict(first)
    for ref, (title, expr) in zip(ascii_uppercase[: len(queries)], queries.items(), strict=True):
        panel.with_target(now_as_table(ref, expr))
        shown[f"Value #{ref}"] = title
        if title in COLOURS or title == OTHER_WORDS:
            bar = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
            painted = fixed_colour(COLOURS.get(title, OTHER_COLOUR))
            panel.override_by_name(title, [dashboard.DynamicConfigValue("custom.cellOptions", bar), painted])
    if "name" in first:
        shown["agent_id"] = "Agent id"
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    columns(panel, shown)
    panel.sort_by([parts.TableSortByFieldState().display_name(next(iter(first.values())))])
    return plain(panel)
