"""The picture of `coverage`: one bar of the window, hatched where nobody was looking. Pure."""

from collections.abc import Sequence
from typing import Final

from exporter.report.model import Report
from exporter.report.palette import COVERED, NOT_COVERED
from exporter.report.pictures.axis import TimeAxis, axis_height, drawn_axis
from exporter.report.pictures.frame import Row, instant, refusal, span_text, text, time_axis, window_text
from exporter.report.pictures.svg import (
    HINT_HEIGHT,
    Svg,
    bar,
    fitted,
    hint,
    label,
    length,
    svg,
    tag,
    written_on,
)
from exporter.report.pictures.texture import Place, filled

LEFT: Final = 150
PLOT: Final = 840
LANE: Final = 46
BAR: Final = 30

_HEAD: Final = 12
"""Units of room above a bar for the marks of gaps that are too short to be seen."""
_SEEN: Final = 6.0
"""Units from which a gap needs no mark."""


def coverage_picture(report: Report) -> Svg:
    """An `<svg>` with covered time plain and gaps hatched, a lane for each source; or a paragraph that says why not.

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
    drawn = [_lane(source, rows, axis, HINT_HEIGHT + LANE * n) for n, (source, rows) in enumerate(lanes.items())]
    axis_drawn = drawn_axis(axis, ticks, HINT_HEIGHT, bottom, above=False)
    return svg(bottom + axis_height(ticks) + 4, told, [hint(), axis_drawn, *drawn])


def _lane(source: str, rows: Sequence[Row], axis: TimeAxis, top: float) -> Svg:
    y = top + _HEAD
    ends = [axis.x(instant(row, edge) or 0) for row in rows for edge in ("start", "end")]
    outline = tag("rect", x=min(ends), y=y, width=max(ends) - min(ends), height=BAR, class_="outline")
    return tag(
        "g",
        label(fitted(source, LEFT - 14), LEFT - 10, y + BAR / 2 + 4, "lane", anchor="end"),
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
    return bar(f"{fitted(source, 300)}: {told}, {span_text(start, end, axis.zone)}{provisional}", *shapes)
