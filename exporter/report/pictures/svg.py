"""The words that pictures are written in: escaped SVG elements, lengths, and text that fits its place. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Final, TypeVar
from unicodedata import category, east_asian_width

from exporter.model import JOINERS, storable
from exporter.report.palette import Look, Texture

T = TypeVar("T")

Svg = str
"""Markup that is well formed and escaped; everything from outside went through `words` or an attribute."""

WIDTH: Final = 1000
"""Of every picture, in units of its own: the page scales them."""
NAMES: Final = 150
"""Units on the left of a picture with lanes, for what these are called."""

SMALL: Final = 11 / 12
"""Text on bars is that much smaller."""
_ROOMS: Final[Mapping[str, float]] = {
    **dict.fromkeys("ijlI.,:;'!| ", 3.8),
    **dict.fromkeys("frtJ()[]-", 4.8),
    **dict.fromkeys("w", 9.8),
    **dict.fromkeys("mMW@%—…", 12.0),
}
"""Units that a character of a label takes at 12 units of height, in DejaVu Sans: few fonts run wider."""
_ROOM: Final = 7.4
"""Of all others. With one width for every character names in capitals lost their first letters."""
_ROOM_OF_CAPITALS: Final = 9.4
_ROOM_OF_WIDE: Final = 12.6


def words(text: str) -> Svg:
    """Text from anywhere as markup: no control or direction mark is left in it, and nothing that acts."""
    return escape(storable(text))


def length(value: float) -> str:
    """A number of units, exact to a thousandth."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def tag(name: str, *children: Svg, **attributes: str | float) -> Svg:
    """An element. `class_` is `class`, and other `_` in names of attributes are `-`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{words(value) if isinstance(value, str) else length(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def svg(height: float, label: str, children: Iterable[Svg]) -> Svg:
    """A whole picture: `label` is what a screen reader says of it before its parts."""
    return tag(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_="picture",
        viewBox=f"0 0 {WIDTH} {length(height)}",
        width=WIDTH,
        height=height,
        role="group",
        aria_label=label,
    )


def with_names(picture: Svg, names: Iterable[Svg], height: float, top: float) -> Svg:
    """A picture with lanes, and what these are called in an `<svg>` of its own over its left edge.

    So the names stay in view where the page is too narrow and the picture is scrolled; from `top` on they hide what is
    scrolled beneath them. `names` are of `lane_label`: for the eye alone, since each lane is a group with a name.
    """
    # To the left a focus ring would look out; on the right the edge of a bar that begins there is to be seen.
    ground = tag("rect", x=-6, y=top, width=NAMES + 5, height=height - top)
    column = tag(
        "svg",
        ground,
        *names,
        xmlns="http://www.w3.org/2000/svg",
        class_="picture names",
        viewBox=f"0 0 {NAMES} {length(height)}",
        width=NAMES,
        height=height,
        aria_hidden="true",
    )
    return tag("div", picture, column, class_="panel")


def lane_label(text: str, y: float) -> Svg:
    """What a lane is called, on the left of it."""
    return label(text, NAMES - 10, y, "lane", anchor="end")


NAME_ROOM: Final = NAMES - 14
"""Units that a name may take."""


def bar(title: str, top: float, *shapes: Svg) -> Svg:
    """Shapes that belong together: the keyboard stops at them, a screen reader says `title`, and so does the page.

    The ring of the focus goes around the rectangle or the group among them. `top` is their upper edge: on a narrow
    screen the page says the title right above it.
    """
    told = words(title)
    return tag(
        "g",
        f"<title>{told}</title>",
        *shapes,
        # Text of HTML, since that of SVG is one line, however narrow the screen. Elsewhere the style sheet sets `y`.
        f'<foreignObject class="tip" y="{length(top)}"><div>{told}</div></foreignObject>',
        class_="bar",
        tabindex="0",
        role="img",
    )


def roving_bar(told: Sequence[str], *shapes: Svg, reached: bool) -> Svg:
    """As `bar`, for a page whose script moves the focus among the bars of a lane and shows what is said of them.

    The title has the lines `told`, each but the last with its mark at the end. No end of a line is left in names, so
    these cannot make a line. `reached`: the keyboard stops here before the script has moved on.
    """
    return tag(
        "g",
        "<title>" + "\n".join(map(words, told)) + "</title>",
        *shapes,
        class_="bar",
        tabindex="0" if reached else "-1",
        role="img",
    )


def hint() -> Svg:
    """Where the title of the bar that has the focus will stand."""
    return tag(
        "text", "Tab goes from bar to bar and shows its times here.", class_="hint", x=0, y=14, aria_hidden="true"
    )


HINT_HEIGHT: Final = 22


def label(text: str, x: float, y: float, kind: str = "", *, anchor: str = "") -> Svg:
    """Text for the eye alone: what it says is in a title or in the table, too."""
    attributes: dict[str, str | float] = {"class_": kind} if kind else {}
    if anchor:
        attributes["text_anchor"] = anchor
    return tag("text", words(text), x=x, y=y, aria_hidden="true", **attributes)


def written_on(look: Look, wordings: Sequence[str], x: float, y: float, width: float) -> Svg:
    """The first of `wordings` that fits on a shape of `look` which begins at `x`; "" if none does."""
    for wording in wordings:
        if label_width(wording) * SMALL + 2 <= width:
            kind = f"word {look.slug}-ink" if look.texture is Texture.PLAIN else f"word {look.slug}-ink on-texture"
            return label(wording, x + width / 2, y, kind, anchor="middle")
    return ""


def label_width(text: str) -> float:
    """About how many units `text` takes as a label; rather too many than too few."""
    return sum(map(_room_of, text))


@lru_cache(maxsize=1024)  # there are few, and each is asked for in every bar
def _room_of(character: str) -> float:
    if character in _ROOMS:
        return _ROOMS[character]
    kind = category(character)
    if kind in ("Mn", "Me") or character in JOINERS:  # stands above or below another one, or is nothing by itself
        return 0
    if kind == "Zs" and east_asian_width(character) not in "WF":
        return _ROOMS[" "]
    # What else is not printable is drawn as U+FFFD, or is newer than this Python's tables.
    if east_asian_width(character) in "WF" or not character.isprintable():
        return _ROOM_OF_WIDE
    return _ROOM_OF_CAPITALS if kind in ("Lu", "Lt") else _ROOM


@lru_cache(maxsize=1024)  # a name is fitted for each bar that is about it
def fitted(text: str, room: float) -> str:
    """`text`, or as much of its beginning as fits into `room` units with an ellipsis; "" where not even that does."""
    if label_width(text) <= room:
        return text
    kept, left = "", room - label_width("…")
    for character in text:
        left -= label_width(character)
        if left < 0:
            break
        kept += character
    return f"{kept.rstrip()}…" if kept else ""


def panels(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """`items` in parts of at most `size`, so that each fits on a printed page and has its axis near."""
    return [items[start : start + size] for start in range(0, len(items), size)]
