"""The timeline for a page: hours or days to zoom to above the lanes, and never more bars than a browser bears. Pure.

Stays too short to be told apart are drawn together. Such a bar has a layer for each status, as high as its share of
the bar's time, so that no status and no gap hides behind another one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.report.formats import clock_text
from exporter.report.model import Report
from exporter.report.palette import Look, looks_of
from exporter.report.pictures.axis import Tick, TimeAxis, axis_height, drawn_axis
from exporter.report.pictures.frame import Row, by_lane, instant, lanes_text, span_text, window_text, word, words_of
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
    stay_lines,
    who,
)
from exporter.report.pictures.svg import SMALL, Svg, label, label_width, panels, roving_bar, svg, tag, with_names
from exporter.report.pictures.texture import Place, filled

MOST_BARS: Final = 8_000
"""Of all lanes together: about 3 MB of markup, which a browser shows within a second."""
_SMALLEST: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Units below which neighbours are drawn together: about pixels of a desk's screen, so that with the first nothing is
lost to the eye. The next ones are for pictures that would have too many bars."""
_STRIP: Final = 24
"""Height of what is zoomed with: a finger needs as much."""

_Bars = Sequence[Sequence[Row]]
"""The stays of an agent as they are drawn."""
_Lane = tuple[Sequence[Row], _Bars]
"""All rows of an agent, and those that have a length."""


class Zoom(NamedTuple):
    """A part of the axis, [start, end), and the address of its own picture."""

    start: int
    end: int
    names: tuple[str, ...]
    """What it is called, the longest first."""
    told: str
    """What the link does, for who cannot see where it stands."""
    href: str
    """"" where nothing is to be seen yet."""
    tick: Tick
    """The mark where it begins; its name stands above it."""


@dataclass(frozen=True, slots=True)
class ZoomableTimeline:
    """The picture."""

    markup: Svg
    """At most 20 agents are in each of the `<svg>` elements; their names lie over its left edge."""
    together_below_ms: int | None
    """Stays shorter than this that follow one another are drawn together; None: each is drawn alone."""


def zoomable_timeline(report: Report, since: int, until: int, zooms: Sequence[Zoom]) -> ZoomableTimeline:
    """The timeline on an axis from `since` to `until`, which may reach beyond the report's window; since < until.

    With `zooms`, in order of time, they are the marks of the axis, and links; else it has the usual marks. The keyboard
    stops once in each lane, at its first bar, and a script moves on from there.
    """
    axis = TimeAxis(since, until, ZoneInfo(report.timezone), LEFT, PLOT)
    lanes = by_lane(report)
    inside = [lasting(rows) for rows in lanes]
    smallest, bars = _few_enough(inside, (until - since) / PLOT)
    frame = _Frame(axis, looks_of(words_of(report.rows)), tuple(zooms))
    drawn = list(zip(lanes, bars, strict=True))
    markup = "".join(
        _panel(report, part, frame, first=number * PANEL + 1, of=len(lanes))
        for number, part in enumerate(panels(drawn, PANEL))
    )
    merged = sum(map(len, bars)) < sum(map(len, inside))
    return ZoomableTimeline(markup, round(smallest) if merged else None)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all panels have in common."""

    axis: TimeAxis
    looks: Mapping[str, Look]
    zooms: tuple[Zoom, ...]


def _panel(report: Report, lanes: Sequence[_Lane], frame: _Frame, *, first: int, of: int) -> Svg:
    ticks = [zoom.tick for zoom in frame.zooms] or frame.axis.ticks()
    strip = axis_height(ticks) if any(any(tick[1:4]) for tick in ticks) else 0
    top = strip + (_STRIP if frame.zooms else 0)
    bottom = top + LANE * len(lanes)
    which = lanes_text(report, first, len(lanes), of)
    told = f"Timeline of {which}, {window_text(report)}. A lane for each agent, a bar for each stay."
    drawn = [
        drawn_axis(frame.axis, ticks, strip, bottom, above=True),
        # What is zoomed with is the same above each panel: the keyboard stops at the first of them only.
        *(_zoom(zoom, frame.axis, strip, again=first > 1) for zoom in frame.zooms),
    ]
    names = []
    for number, (rows, bars) in enumerate(lanes):
        y = top + LANE * number + (LANE - BAR) / 2
        drawn.append(drawn_lane(report, rows, frame.axis, y, _bars(bars, frame, y)))
        names.append(drawn_name(report, rows, y))
    # What is zoomed with goes beneath the names, too: it would be seen without the bars that it stands for.
    return with_names(svg(bottom + 8, told, drawn), names, bottom + 8, strip)


def _zoom(zoom: Zoom, axis: TimeAxis, y: float, *, again: bool) -> Svg:
    x = axis.x(zoom.start)
    width = axis.x(zoom.end) - x
    name = next((name for name in zoom.names if label_width(name) * SMALL + 6 <= width), "")
    parts = [tag("rect", x=x, y=y + 1, width=width, height=_STRIP - 4)]
    if name:
        parts.append(label(name, x + width / 2, y + _STRIP / 2 + 3, anchor="middle"))
    if not zoom.href:
        return tag("g", *parts, class_="zoom", aria_hidden="true")
    if again:
        return tag("a", *parts, class_="zoom", href=zoom.href, tabindex="-1", aria_hidden="true")
    return tag("a", *parts, class_="zoom", href=zoom.href, aria_label=zoom.told)


# --- bars -------------------------------------------------------------------------------------------------------------


def together(rows: Sequence[Row], smallest: float) -> list[list[Row]]:
    """The stays of an agent as they are drawn: each alone, but neighbours that are all shorter than `smallest` ms.

    Those are put together until they are as long as that; so nothing is drawn farther off than twice as much.
    """
    bars: list[list[Row]] = []
    room, reached = 0.0, 0  # what the latest bar may still take in, and where it ends
    for row in rows:
        start, end = _span(row)
        if end - start >= smallest:
            bars.append([row])
            room = 0.0
        elif room > 0 and reached == start:
            bars[-1].append(row)
            room -= end - start
        else:
            bars.append([row])
            room = smallest - (end - start)
        reached = end
    return bars


def _few_enough(lanes: Sequence[Sequence[Row]], unit_ms: float) -> tuple[float, list[list[list[Row]]]]:
    """How short a stay is drawn with its neighbours, in ms, and the bars that this leaves."""
    smallest, bars = 0.0, list[list[list[Row]]]()
    for units in _SMALLEST:
        smallest = units * unit_ms
        bars = [together(rows, smallest) for rows in lanes]
        if sum(map(len, bars)) <= MOST_BARS:
            break
    return smallest, bars


def _bars(bars: _Bars, frame: _Frame, y: float) -> list[Svg]:
    drawn = []
    for number, some in enumerate(bars):
        if len(some) == 1:
            told = stay_lines(some[0], frame.axis.zone, always_quality=True)
            shapes = drawn_stay(some[0], frame.looks[word(some[0])], frame.axis, y)
        else:
            told, shapes = _layers_lines(some, frame), _layers(some, frame, y)
        drawn.append(roving_bar(told, shapes, reached=number == 0))
    return drawn


def _layers(rows: Sequence[Row], frame: _Frame, y: float) -> Svg:
    """A layer for each status, from below in the order of stacking."""
    start, end = _span(rows[0])[0], _span(rows[-1])[1]
    x = frame.axis.x(start)
    width = frame.axis.x(end) - x
    shapes, bottom = [], y + BAR
    for status, time in _times(rows, frame).items():
        height = BAR * time / (end - start)
        bottom -= height
        shapes.append(filled(frame.looks[status], Place(x, bottom, width, height)))
    return tag("g", *shapes)


def _layers_lines(rows: Sequence[Row], frame: _Frame) -> list[str]:
    start, end = _span(rows[0])[0], _span(rows[-1])[1]
    times = ", ".join(f"{status} {clock_text(time)}" for status, time in _times(rows, frame).items())
    lines = [f"{who(rows[-1])}: {len(rows)} stays drawn together,", f"{span_text(start, end, frame.axis.zone)};"]
    return [*lines, f"{times};", "provisional"] if any(row.get("provisional") for row in rows) else [*lines, times]


def _times(rows: Sequence[Row], frame: _Frame) -> dict[str, int]:
    """Milliseconds in each status, in the order of stacking."""
    times = dict.fromkeys(frame.looks, 0)
    for row in rows:
        start, end = _span(row)
        times[word(row)] += end - start
    return {status: time for status, time in times.items() if time}


def _span(row: Row) -> tuple[int, int]:
    return instant(row, "start") or 0, instant(row, "end") or 0
