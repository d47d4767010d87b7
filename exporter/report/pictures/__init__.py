"""The pictures of reports as SVG: pure functions from a `Report` to markup that a page can hold. One style for all."""

from collections.abc import Callable, Mapping
from typing import Final

from exporter.report.model import Report
from exporter.report.pictures.coverage import coverage_picture
from exporter.report.pictures.frame import LARGEST
from exporter.report.pictures.intervals import intervals_picture
from exporter.report.pictures.legend import legend
from exporter.report.pictures.style import picture_style
from exporter.report.pictures.summary import summary_picture
from exporter.report.pictures.svg import Svg
from exporter.report.pictures.timeline import timeline_picture

Picture = Callable[[Report], Svg]
"""Draws a report: `<svg>` elements, or a paragraph that says why there is no picture. There are no ids in it."""

PICTURES: Final[Mapping[str, Picture]] = {
    "timeline": timeline_picture,
    "summary": summary_picture,
    "intervals": intervals_picture,
    "coverage": coverage_picture,
}
"""The reports that have a picture, by name."""

__all__ = [
    "LARGEST",
    "PICTURES",
    "Picture",
    "Svg",
    "coverage_picture",
    "intervals_picture",
    "legend",
    "picture_style",
    "summary_picture",
    "timeline_picture",
]
