"""The picture of `timeline`: a lane of coloured bars for each agent over the hours of the window. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from exporter.report.model import Report
from exporter.report.palette import Look, looks_of
from exporter.report.pictures.axis import TimeAxis, axis_height, drawn_axis
from exporter.report.pictures.frame import (
    Row,
    between_text,
    by_lane,
    instant,
    lane_name,
    lanes_text,
    refusal,
    span_text,
    text,
    time_axis,
    window_text,
    word,
    words_of,
)
from exporter.report.pictures.svg import (
    HINT_HEIGHT,
    Svg,
    bar,
    fitted,
    hint,
    label,
    length,
    panels,
    svg,
    tag,
    written_on,
)
from exporter.report.pictures.texture import Place, bridged, filled

LEFT: Final = 150
PLOT: Final = 840
"""35 units for each hour of a day of 24."""
LANE: Final = 26
BAR: Final = 18
PANEL: Final = 20
"""Agents in one picture: so many fit on a printed page. More agents make more pictures, each with its axis."""

_SMALLEST_DOUBT: Final = 3.0
"""Units: a narrower bracket would be a speck; its bar tells it in words all the same."""


def timeline_picture(report: Report) -> Svg:
    """`<svg>` elements with the stays of each agent, at most 20 agents in each; or a paragraph that says why not.

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
    drawn = [
        _lane(report, rows, looks, axis, top + LANE * number + (LANE - BAR) / 2) for number, rows in enumerate(lanes)
    ]
    which = lanes_text(report, first, len(lanes), of)
    told = f"Timeline of {which}, {window_text(report)}. A lane for each agent, a bar for each stay."
    return svg(bottom + 8, told, [hint(), drawn_axis(axis, ticks, top, bottom, above=True), *drawn])


def _lane(report: Report, rows: Sequence[Row], looks: Mapping[str, Look], axis: TimeAxis, y: float) -> Svg:
    name = lane_name(report, rows)
    inside = [row for row in rows if (instant(row, "start") or 0) < (instant(row, "end") or 0)]
    parts = [label(lane_name(report, rows, LEFT - 14), LEFT - 10, y + 13, "lane", anchor="end")]
    parts += [_bar(row, looks[word(row)], axis, y) for row in inside]
    parts.append(_outline(inside, axis, y))
    doubts = _doubts(inside, axis)
    if doubts:
        line = "".join(f"M{length(start)} {length(y + BAR + 2)}H{length(end)}" for start, end in doubts)
        parts.append(tag("path", d=line, class_="doubt"))
    agent_id = text(rows[-1], "agent_id")
    told = f"{name}, id {agent_id}" if agent_id and agent_id != name else name
    return tag("g", *parts, role="group", aria_label=told)


def _bar(row: Row, look: Look, axis: TimeAxis, y: float) -> Svg:
    start, end = instant(row, "start") or 0, instant(row, "end") or 0
    x = axis.x(start)
    width = axis.x(end) - x
    place = Place(x, y, width, BAR)
    is_bridged = row.get("quality") == "bridged"
    over = bridged(place) if is_bridged else written_on(look, (word(row),), x, y + 13, width)
    return bar(_told(row, axis.zone), filled(look, place), over)


def _told(row: Row, zone: ZoneInfo) -> str:
    """All that is known of a stay: who, what, from when to when, how long, and how sure."""
    start, end = instant(row, "start") or 0, instant(row, "end") or 0
    name = fitted(text(row, "name") or text(row, "agent_id"), 300)
    parts = [f"{name}: {text(row, 'status')}, {span_text(start, end, zone)}"]
    for verb, edge in (("began", "start"), ("ended", "end")):
        not_before, not_after = _bracket(row, edge)
        if not_before < not_after:
            parts.append(f"{verb} {between_text(not_before, not_after, zone)}")
    if row.get("carried_in"):
        parts.append("began before the window")
    if row.get("open"):
        parts.append("goes on after it" if row.get("carried_in") else "goes on after the window")
    if row.get("quality") in ("exact", "bridged"):
        parts.append(text(row, "quality"))
    if row.get("provisional"):
        parts.append("provisional")
    return "; ".join(parts)


def _bracket(row: Row, edge: str) -> tuple[int, int]:
    """The earliest and the latest instant at which an edge can have been."""
    at = instant(row, edge) or 0
    not_before, not_after = instant(row, f"{edge}_not_before"), instant(row, f"{edge}_not_after")
    return at if not_before is None else not_before, at if not_after is None else not_after


def _outline(rows: Sequence[Row], axis: TimeAxis, y: float) -> Svg:
    """A frame around each spell of tracked time: pale bars have an edge, and where nobody is tracked there is none."""
    path = "".join(
        f"M{length(axis.x(start))} {length(y)}H{length(axis.x(end))}v{BAR}H{length(axis.x(start))}z"
        for start, end in _spells(rows)
    )
    return tag("path", d=path, class_="outline")


def _spells(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    begun = reached = None
    for row in rows:
        start, end = instant(row, "start"), instant(row, "end")
        if begun is not None and reached is not None and start != reached:
            yield begun, reached
            begun = None
        begun, reached = (start if begun is None else begun), end
    if begun is not None and reached is not None:
        yield begun, reached


def _doubts(rows: Sequence[Row], axis: TimeAxis) -> list[tuple[float, float]]:
    """Where changes fell, as places on the axis; two stays share the change between them."""
    brackets = {_bracket(row, edge) for row in rows for edge in ("start", "end")}
    places = ((axis.x(not_before), axis.x(not_after)) for not_before, not_after in sorted(brackets))
    return [(start, end) for start, end in places if end - start >= _SMALLEST_DOUBT]
