"""The picture of `summary`: how each agent's tracked time is divided among the statuses. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from exporter.report.formats import clock_text
from exporter.report.model import Report
from exporter.report.palette import Look, looks_of
from exporter.report.pictures.frame import (
    Row,
    amount,
    by_lane,
    lane_name,
    lanes_text,
    refusal,
    window_text,
    word,
    words_of,
)
from exporter.report.pictures.svg import (
    HINT_HEIGHT,
    NAME_ROOM,
    NAMES,
    WIDTH,
    Svg,
    bar,
    hint,
    label,
    lane_label,
    length,
    panels,
    svg,
    tag,
    with_names,
    words,
    written_on,
)
from exporter.report.pictures.texture import Place, bridged, filled

LEFT: Final = NAMES
PLOT: Final = 760
"""The tracked time of an agent, whatever its length."""
LANE: Final = 28
BAR: Final = 20
PANEL: Final = 20

_AXIS: Final = 22


def summary_picture(report: Report) -> Svg:
    """Pictures with a bar for each agent, at most 20 in each; or a paragraph that says why not.

    A bar is the tracked time, divided by status; what is not known is hatched. Statuses that were not asked for leave
    their room empty, so that what is shown keeps its share.
    """
    refused = refusal(report, len(report.rows))
    if refused:
        return refused
    lanes = by_lane(report)
    looks = looks_of(words_of(report.rows))
    return "".join(
        _panel(report, part, looks, first=number * PANEL + 1, of=len(lanes))
        for number, part in enumerate(panels(lanes, PANEL))
    )


def _panel(report: Report, lanes: Sequence[Sequence[Row]], looks: Mapping[str, Look], *, first: int, of: int) -> Svg:
    top = HINT_HEIGHT + _AXIS
    bottom = top + LANE * len(lanes)
    placed = [(rows, top + LANE * number + (LANE - BAR) / 2) for number, rows in enumerate(lanes)]
    drawn = [_lane(report, rows, looks, y) for rows, y in placed]
    names = [lane_label(lane_name(report, rows, NAME_ROOM), y + 14) for rows, y in placed]
    which = lanes_text(report, first, len(lanes), of)
    told = f"Shares of the tracked time of {which} by status, {window_text(report)}. A bar for each agent."
    return with_names(svg(bottom + 8, told, [hint(), _axis(top, bottom), *drawn]), names, bottom + 8, top)


def _axis(top: float, bottom: float) -> Svg:
    parts = []
    for percent in (0, 25, 50, 75, 100):
        x = LEFT + PLOT * percent / 100
        parts.append(tag("path", d=f"M{length(x)} {length(top)}V{length(bottom)}", class_="grid"))
        parts.append(label(f"{percent} %", x, top - 6, anchor="middle"))
    parts.append(label("known", WIDTH, top - 6, anchor="end"))
    return tag("g", *parts, class_="axis", aria_hidden="true")


def _lane(report: Report, rows: Sequence[Row], looks: Mapping[str, Look], y: float) -> Svg:
    name, tracked = lane_name(report, rows), _tracked(rows)
    ordered = sorted(rows, key=lambda row: list(looks).index(word(row)))
    times = [(row, amount(row, "duration_seconds")) for row in ordered]
    shapes, x = [], float(LEFT)
    for row, time in times:
        if tracked and time:
            width = PLOT * time / tracked
            shapes.append(_segment(row, tracked, looks[word(row)], Place(x, y, width, BAR)))
            x += width
    parts = ", ".join(_part(row, tracked) for row, time in times if time)
    known = rows[0].get("coverage")
    share = f"{known * 100:.1f} %" if isinstance(known, float | int) else ""
    told = f"{name}: {parts or 'no tracked time'}" + (f"; known {share}" if share else "")
    outline = tag("rect", x=LEFT, y=y, width=PLOT, height=BAR, class_="outline")
    return tag(
        "g",
        bar(told, y, tag("g", *shapes, outline)),
        label(share or "–", WIDTH, y + 14, "lane", anchor="end"),
    )


def _segment(row: Row, tracked: float, look: Look, place: Place) -> Svg:
    """The time in one status; what of it is bridged gaps, at its end, has lines over it."""
    time = amount(row, "duration_seconds")
    shapes = filled(look, place, tag("title", words(_part(row, tracked))))
    lined = place.width * amount(row, "bridged_seconds") / time
    if lined:
        shapes += bridged(place._replace(x=place.x + place.width - lined, width=lined))
    wordings = (f"{word(row)} {time / tracked * 100:.0f} %", f"{time / tracked * 100:.0f} %")
    return shapes + written_on(look, wordings, place.x, place.y + 14, place.width - lined)


def _part(row: Row, tracked: float) -> str:
    time, lined = amount(row, "duration_seconds"), amount(row, "bridged_seconds")
    share = f"{time / tracked * 100:.1f} %" + (f", {clock_text(lined)} of it bridged" if lined else "")
    return f"{word(row)} {clock_text(time)} ({share})"


def _tracked(rows: Sequence[Row]) -> float:
    """Milliseconds of tracked time: more than that of `rows` where statuses were left out."""
    return amount(rows[0], "tracked_seconds") or sum(amount(row, "duration_seconds") for row in rows)
