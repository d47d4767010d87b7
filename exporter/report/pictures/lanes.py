"""A lane of the timeline: the stays of one agent as bars, what is said of them, and where changes fell. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from exporter.report.model import Report
from exporter.report.palette import Look
from exporter.report.pictures.axis import TimeAxis
from exporter.report.pictures.frame import Row, between_text, instant, lane_name, span_text, text, word
from exporter.report.pictures.svg import NAME_ROOM, NAMES, Svg, fitted, lane_label, length, tag, written_on
from exporter.report.pictures.texture import Place, bridged, filled

LEFT: Final = NAMES
PLOT: Final = 840
"""35 units for each hour of a day of 24."""
LANE: Final = 26
BAR: Final = 18
PANEL: Final = 20
"""Agents in one picture: so many fit on a printed page. More agents make more pictures, each with its axis."""

_SMALLEST_DOUBT: Final = 3.0
"""Units: a narrower bracket would be a speck; its bar tells it in words all the same."""


def lasting(rows: Sequence[Row]) -> list[Row]:
    """The stays of an agent that have a length."""
    return [row for row in rows if (instant(row, "start") or 0) < (instant(row, "end") or 0)]


def drawn_name(report: Report, rows: Sequence[Row], y: float) -> Svg:
    """What the lane is called whose bars have their upper edge at `y`."""
    return lane_label(lane_name(report, rows, NAME_ROOM), y + 13)


def drawn_lane(report: Report, rows: Sequence[Row], axis: TimeAxis, y: float, bars: Iterable[Svg]) -> Svg:
    """The lane of the agent whom `rows` are about, without its name for the eye.

    `y` is the upper edge of its bars, which are drawn already.
    """
    name = lane_name(report, rows)
    inside = lasting(rows)
    parts = [*bars, _outline(inside, axis, y)]
    doubts = _doubts(inside, axis)
    if doubts:
        line = "".join(f"M{length(start)} {length(y + BAR + 2)}H{length(end)}" for start, end in doubts)
        parts.append(tag("path", d=line, class_="doubt"))
    agent_id = text(rows[-1], "agent_id")
    told = f"{name}, id {agent_id}" if agent_id and agent_id != name else name
    return tag("g", *parts, role="group", aria_label=told)


def drawn_stay(row: Row, look: Look, axis: TimeAxis, y: float) -> Svg:
    """The rectangle of a stay, with the status on it where that fits."""
    start, end = instant(row, "start") or 0, instant(row, "end") or 0
    x = axis.x(start)
    width = axis.x(end) - x
    place = Place(x, y, width, BAR)
    is_bridged = row.get("quality") == "bridged"
    return filled(look, place) + (bridged(place) if is_bridged else written_on(look, (word(row),), x, y + 13, width))


def stay_text(row: Row, zone: ZoneInfo) -> str:
    """All that is known of a stay: who, what, from when to when, how long, and how sure if not from polls as usual."""
    return " ".join(stay_lines(row, zone))


def stay_lines(row: Row, zone: ZoneInfo, *, always_quality: bool = False) -> list[str]:
    """The parts of `stay_text`; with `always_quality` it is said, too, that polls told it."""
    start, end = instant(row, "start") or 0, instant(row, "end") or 0
    parts = [span_text(start, end, zone)]
    for verb, edge in (("began", "start"), ("may have ended" if row.get("open") else "ended", "end")):
        not_before, not_after = _bracket(row, edge)
        if not_before < not_after:
            parts.append(f"{verb} {between_text(not_before, not_after, zone)}")
    if row.get("carried_in"):
        parts.append("began before the window")
    if row.get("open"):
        parts.append("goes on after it" if row.get("carried_in") else "goes on after the window")
    if row.get("quality") in ("exact", "bridged") or (always_quality and row.get("quality") == "sampled"):
        parts.append(text(row, "quality"))
    if row.get("provisional"):
        parts.append("provisional")
    return [f"{who(row)}: {text(row, 'status')},", *(f"{part};" for part in parts[:-1]), parts[-1]]


def who(row: Row) -> str:
    """The name that the agent bore, or the id of a nameless one, not too long to be read."""
    return fitted(text(row, "name") or text(row, "agent_id"), 300)


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
