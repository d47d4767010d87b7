"""The picture of `intervals`: how many agents were in each status, a stacked column for each bucket. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Final
from zoneinfo import ZoneInfo

from exporter.report.model import Report
from exporter.report.palette import Look, looks_of
from exporter.report.pictures.axis import TimeAxis, axis_height, drawn_axis
from exporter.report.pictures.frame import (
    amount,
    instant,
    refusal,
    span_text,
    time_axis,
    window_text,
    word,
    words_of,
)
from exporter.report.pictures.svg import (
    HINT_HEIGHT,
    Svg,
    bar,
    hint,
    label,
    length,
    svg,
    tag,
    words,
)
from exporter.report.pictures.texture import Place, filled

LEFT: Final = 50
PLOT: Final = 940
HEIGHT: Final = 240
"""Of the plot, from no agent to the highest mark of the scale."""

_HEAD: Final = 22
_MOST_MARKS: Final = 8
_SEPARATED: Final = 8.0
"""Units from which columns have a line between them."""


@dataclass(slots=True)
class _Bucket:
    start: int
    end: int
    mean: dict[str, float] = field(default_factory=dict)
    """Agents by status."""

    def add(self, status: str, agents: float) -> None:
        self.mean[status] = self.mean.get(status, 0) + agents


def intervals_picture(report: Report) -> Svg:
    """An `<svg>` with a column for each bucket, or a paragraph that says why not.

    A column is as wide as its bucket is long, and as high as agents were tracked in it on average; what is not known
    is hatched and stands on top. The axis of agents begins at 0.
    """
    refused = refusal(report, sum(amount(row, "mean_agents") > 0 for row in report.rows))
    if refused:
        return refused
    looks = looks_of(words_of(report.rows))
    buckets = _buckets(report)
    scale = _scale(max(sum(bucket.mean.values()) for bucket in buckets))
    axis = time_axis(report, LEFT, PLOT)
    ticks = axis.ticks()
    top = HINT_HEIGHT + _HEAD
    bottom = top + HEIGHT
    told = f"Agents by status, {window_text(report)}. A column for each of {len(buckets)} times, unknown on top."
    return svg(
        bottom + axis_height(ticks) + 4,
        told,
        [
            hint(),
            drawn_axis(axis, ticks, top, bottom, above=False),
            _agents_axis(scale, bottom),
            tag(
                "g",
                *(_column(bucket, looks, axis, (bottom, HEIGHT / scale[-1])) for bucket in buckets),
                class_="columns",
            ),
            _outline(buckets, axis, (bottom, HEIGHT / scale[-1])),
        ],
    )


def _buckets(report: Report) -> list[_Bucket]:
    """In order of time. Rows of several groups are added up."""
    found: dict[tuple[int, int], _Bucket] = {}
    for row in report.rows:
        start, end = instant(row, "start") or 0, instant(row, "end") or 0
        found.setdefault((start, end), _Bucket(start, end)).add(word(row), amount(row, "mean_agents"))
    return [found[edges] for edges in sorted(found)]


def _scale(highest: float) -> list[float]:
    """Round numbers from 0 to the first that is not below `highest`, at most nine of them."""
    rough = (highest or 1) / _MOST_MARKS
    magnitude = 10.0 ** floor(log10(rough))
    step = next(magnitude * round_ for round_ in (1, 2, 5, 10) if magnitude * round_ * _MOST_MARKS >= (highest or 1))
    return [number * step for number in range(max(1, ceil(highest / step - 1e-9)) + 1)]


def _agents_axis(scale: list[float], bottom: float) -> Svg:
    parts = [label("agents", LEFT - 8, bottom - HEIGHT - 10, anchor="end")]
    for agents in scale:
        y = bottom - HEIGHT * agents / scale[-1]
        parts.append(tag("path", d=f"M{LEFT} {length(y)}H{LEFT + PLOT}", class_="grid"))
        parts.append(label(f"{agents:.6g}", LEFT - 8, y + 4, anchor="end"))
    return tag("g", *parts, class_="axis", aria_hidden="true")


def _column(bucket: _Bucket, looks: Mapping[str, Look], axis: TimeAxis, base: tuple[float, float]) -> Svg:
    bottom, unit = base
    x = axis.x(bucket.start)
    width = axis.x(bucket.end) - x
    shapes, y = [], bottom
    for status, look in looks.items():
        agents = bucket.mean.get(status, 0)
        if agents:
            height = agents * unit
            y -= height
            told = tag("title", words(f"{status} {_number(agents)}, {_span(bucket, axis.zone)}"))
            shapes.append(filled(look, Place(x, y, width, height), told))
    if width >= _SEPARATED:
        shapes.append(tag("path", d=f"M{length(x + width)} {length(bottom)}V{length(y)}", class_="between"))
    parts = ", ".join(f"{status} {_number(bucket.mean[status])}" for status in looks if bucket.mean.get(status))
    return bar(f"{_span(bucket, axis.zone)}: {parts or 'nobody'}", bottom - HEIGHT, tag("g", *shapes))


def _outline(buckets: list[_Bucket], axis: TimeAxis, base: tuple[float, float]) -> Svg:
    """The edge of all columns together: pale ones have one, and where nobody is tracked there is none."""
    bottom, unit = base
    path, reached, height = "", 0, 0.0
    for bucket in buckets:
        if bucket.start != reached and height:
            path += f"V{length(bottom)}"
        if bucket.start != reached or not path:
            path += f"M{length(axis.x(bucket.start))} {length(bottom)}"
        reached, height = bucket.end, sum(bucket.mean.values()) * unit
        path += f"V{length(bottom - height)}H{length(axis.x(bucket.end))}"
    return tag("path", d=f"{path}V{length(bottom)}", class_="outline")


def _span(bucket: _Bucket, zone: ZoneInfo) -> str:
    return span_text(bucket.start, bucket.end, zone).rpartition(",")[0]


def _number(agents: float) -> str:
    return f"{agents:.2f}".rstrip("0").rstrip(".")
