"""The picture of `coverage`: one bar of the window, hatched where nobody was looking. Pure."""

from collections.abc import Sequence
from typing import Final

from exporter.report.model import Report
from exporter.report.palette import COVERED, NOT_COVERED
from exporter.report.pictures.axis import TimeAxis, axis_height, drawn_axis
from exporter.report.pictures.frame import Row, instant, refusal, span_text, text, time_axis, window_text
from exporter.report.pictures.svg import (
    HINT_HEIGHT,
    NAME_ROOM,
    NAMES,
    Svg,
    bar,
    fitted,
    hint,
    lane_label,
    length,
    svg,
    tag,
    with_names,
    written_on,
)
from exporter.report.pictures.texture import Place, filled

LEFT: Final = NAMES
PLOT: Final = 840
LANE: Final = 46
BAR: Final = 30

_HEAD: Final = 12
"""Units of room above a bar for the marks of gaps that are too short to be seen."""
_SEEN: Final = 6.0
"""Units from which a gap needs no mark."""


def coverage_picture(report: Report) -> Svg:
    """A picture with covered time plain and gaps hatched, a lane for each source; or a paragraph that says why not.

    A gap says its reason where that fits; a gap that is too short to be seen has a mark above it.
    """
    refused = refusal(report, len(report.rows))
    if refused:
        return refused
    lanes: dict[str, list[Row]] = {}
    for row in report.rows:
        lanes.setdefault(text(row, "source") or "recorder", []).append(row)
    axis = time_axis(report, LEFT, PLOT)
    ticks = axis.ticks()
    bottom = HINT_HEIGHT + LANE * len(lanes)
    gaps = sum(not row.get("covered") for row in report.rows)
    counted = f"{gaps} gap{'s' if gaps != 1 else ''}"
    told = f"Coverage, {window_text(report)}, with {counted}. A bar for each stretch and each gap."
    placed = [(source, rows, HINT_HEIGHT + LANE * number) for number, (source, rows) in enumerate(lanes.items())]
    drawn = [_lane(source, rows, axis, top) for source, rows, top in placed]
    names = [lane_label(fitted(source, NAME_ROOM), top + _HEAD + BAR / 2 + 4) for source, _, top in placed]
    axis_drawn = drawn_axis(axis, ticks, HINT_HEIGHT, bottom, above=False)
    height = bottom + axis_height(ticks) + 4
    return with_names(svg(height, told, [hint(), axis_drawn, *drawn]), names, bottom, HINT_HEIGHT)


def _lane(source: str, rows: Sequence[Row], axis: TimeAxis, top: float) -> Svg:
    y = top + _HEAD
    ends = [axis.x(instant(row, edge) or 0) for row in rows for edge in ("start", "end")]
    outline = tag("rect", x=min(ends), y=y, width=max(ends) - min(ends), height=BAR, class_="outline")
    return tag(
        "g",
        *(_bar(source, row, axis, y) for row in rows),
        outline,
        role="group",
        aria_label=source,
    )


def _bar(source: str, row: Row, axis: TimeAxis, y: float) -> Svg:
    start, end = instant(row, "start") or 0, instant(row, "end") or 0
    x = axis.x(start)
    width = axis.x(end) - x
    covered, reason = bool(row.get("covered")), text(row, "reason")
    look = COVERED if covered else NOT_COVERED
    shapes = [filled(look, Place(x, y, width, BAR))]
    if not covered and width < _SEEN:
        middle = x + width / 2
        shapes.append(tag("path", d=f"M{length(middle)} {length(y - 1)}l-4 -7h8z", class_="mark"))
    wording = "covered" if covered else reason
    shapes.append(written_on(look, (wording,), x, y + BAR / 2 + 4, width))
    told = "covered" if covered else f"not covered, {reason}"
    provisional = "; provisional" if row.get("provisional") else ""
    return bar(f"{fitted(source, 300)}: {told}, {span_text(start, end, axis.zone)}{provisional}", y - _HEAD, *shapes)
