"""Shapes that are filled with a look. Textures are drawn as lines, so that a print stays sharp and small. Pure.

A pattern element would be shorter, but browsers print each use of one as an image of the whole page.
"""

from collections.abc import Callable, Iterator, Mapping
from math import ceil, floor
from typing import Final, NamedTuple

from exporter.report.palette import Look, Texture
from exporter.report.pictures.svg import Svg, length, tag

_SLANT: Final = 8
"""Units from one slanted line to the next, along the shape. All shapes share one lattice."""
_STRIPE: Final = 6
_ROW: Final = 4
_CAP: Final = 0.7
"""How far the end of a slanted line, which is two units wide, sticks out."""


class Place(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def filled(look: Look, place: Place, *children: Svg) -> Svg:
    """A rectangle in the colours of `look`, with the lines of its texture on it."""
    x, y, width, height = place
    rectangle = tag("rect", *children, x=x, y=y, width=width, height=height, class_=look.slug)
    lines = "".join(_LINES[look.texture](place))
    return rectangle + tag("path", d=lines, class_=f"texture {look.slug}-mark") if lines else rectangle


def bridged(place: Place) -> Svg:
    """Lines over a shape: what it shows is a gap that was bridged, not what was seen."""
    return tag("path", d="".join(_slanted(place)), class_="texture bridged-mark")


def _plain(_: Place) -> Iterator[str]:
    return iter(())


def _slanted(place: Place, *, falling: bool = False) -> Iterator[str]:
    """The parts in `place` of the lines on which x + y (or x - y, where they fall) is a multiple of the distance."""
    inset_x, inset_y = (min(_CAP, side / 4) for side in (place.width, place.height))
    left, right = place.x + inset_x, place.x + place.width - inset_x
    top, bottom = place.y + inset_y, place.y + place.height - inset_y
    sign = -1 if falling else 1
    ends = sorted(sign * y for y in (top, bottom))
    for number in range(ceil((left + ends[0]) / _SLANT), floor((right + ends[1]) / _SLANT) + 1):
        line = number * _SLANT
        start, end = max(left, line - ends[1]), min(right, line - ends[0])
        if start < end:
            start_y, end_y = (sign * (line - x) for x in (start, end))
            yield f"M{length(start)} {length(start_y)}L{length(end)} {length(end_y)}"


def _crossed(place: Place) -> Iterator[str]:
    yield from _slanted(place)
    yield from _slanted(place, falling=True)


def _dotted(place: Place) -> Iterator[str]:
    """Lines that the style sheet breaks into dots."""
    for number in range(ceil((place.y + 1) / _ROW), floor((place.y + place.height - 1) / _ROW) + 1):
        start = place.x + (2.5 if number % 2 else 0)
        if start < place.x + place.width:
            yield f"M{length(start)} {number * _ROW}H{length(place.x + place.width)}"


def _upright(place: Place) -> Iterator[str]:
    for number in range(ceil((place.x + 1) / _STRIPE), floor((place.x + place.width - 1) / _STRIPE) + 1):
        yield f"M{number * _STRIPE} {length(place.y)}v{length(place.height)}"


def _level(place: Place) -> Iterator[str]:
    for number in range(ceil((place.y + 1) / _STRIPE), floor((place.y + place.height - 1) / _STRIPE) + 1):
        yield f"M{length(place.x)} {number * _STRIPE}h{length(place.width)}"


_LINES: Final[Mapping[Texture, Callable[[Place], Iterator[str]]]] = {
    Texture.PLAIN: _plain,
    Texture.SLANTED: _slanted,
    Texture.CROSSED: _crossed,
    Texture.DOTTED: _dotted,
    Texture.UPRIGHT: _upright,
    Texture.LEVEL: _level,
}
