"""The picture of `timeline`: a lane of coloured bars for each agent over the hours of the window. Pure."""

from collections.abc import Mapping, Sequence

from exporter.report.model import Report
from exporter.report.palette import Look, looks_of
from exporter.report.pictures.axis import axis_height, drawn_axis
from exporter.report.pictures.frame import (
    Row,
    by_lane,
    lanes_text,
    refusal,
    time_axis,
    window_text,
    word,
    words_of,
)
from exporter.report.pictures.lanes import (
    BAR,
    LANE,
    LEFT,
    PANEL,
    PLOT,
    drawn_lane,
    drawn_name,
    drawn_stay,
    lasting,
    stay_text,
)
from exporter.report.pictures.svg import HINT_HEIGHT, Svg, bar, hint, panels, svg, with_names


def timeline_picture(report: Report) -> Svg:
    """Pictures of the stays of each agent, at most 20 agents in each; or a paragraph that says why not.

    What is not known is hatched. A line under the bars spans the time in which a change fell, where that is wide
    enough to be seen.
    """
    refused = refusal(report, len(report.rows))
    if refused:
        return refused
    lanes = by_lane(report)
    parts = panels(lanes, PANEL)
    looks = looks_of(words_of(report.rows))
    return "".join(
        _panel(report, part, looks, first=number * PANEL + 1, of=len(lanes)) for number, part in enumerate(parts)
    )


def _panel(report: Report, lanes: Sequence[Sequence[Row]], looks: Mapping[str, Look], *, first: int, of: int) -> Svg:
    axis = time_axis(report, LEFT, PLOT)
    ticks = axis.ticks()
    top = HINT_HEIGHT + axis_height(ticks)
    bottom = top + LANE * len(lanes)
    drawn, names = [], []
    for number, rows in enumerate(lanes):
        y = top + LANE * number + (LANE - BAR) / 2
        bars = [bar(stay_text(row, axis.zone), y, drawn_stay(row, looks[word(row)], axis, y)) for row in lasting(rows)]
        drawn.append(drawn_lane(report, rows, axis, y, bars))
        names.append(drawn_name(report, rows, y))
    which = lanes_text(report, first, len(lanes), of)
    told = f"Timeline of {which}, {window_text(report)}. A lane for each agent, a bar for each stay."
    picture = svg(bottom + 8, told, [hint(), drawn_axis(axis, ticks, top, bottom, above=True), *drawn])
    return with_names(picture, names, bottom + 8, top)
