"""One look for each status word, the same in every picture and page, on light and on dark ground.

The five words of Zoho are plain colours whose hues colour-blind people can tell apart and whose lightness differs, so
that a black-and-white print keeps them apart too. What is not known is never a plain colour: it is hatched, so that
nobody takes it for a status. Other words are striped; which stripes, the word alone decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final
from zlib import crc32

from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, OFFLINE, ON_BREAK, ON_CALL, UNKNOWN


class Texture(Enum):
    """What is drawn on the ground of a look, to tell it apart without colour."""

    PLAIN = "plain"
    SLANTED = "slanted"
    DOTTED = "dotted"
    CROSSED = "crossed"
    UPRIGHT = "upright"
    LEVEL = "level"


@dataclass(frozen=True, slots=True)
class Shade:
    """The colours of a look on one kind of ground, as `#rrggbb`."""

    fill: str
    ink: str
    """Of text that stands on it: a contrast of at least 4.5 with `fill`."""
    mark: str = ""
    """Of the lines or dots of the texture; "" where it is plain."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a status word is drawn."""

    slug: str
    """Its name in style sheets."""
    texture: Texture
    light: Shade
    dark: Shade


@dataclass(frozen=True, slots=True)
class Ground:
    """The colours of everything that is no status, as `#rrggbb`."""

    paper: str
    ink: str
    faint: str
    """Text of less weight: a contrast of at least 4.5 with `paper`."""
    line: str
    """Lines that carry no meaning, such as a grid."""
    edge: str
    """Outlines that do: a contrast of at least 3 with `paper`."""
    focus: str
    """The ring around what the keyboard is at: a contrast of at least 3 with `paper`."""


LIGHT: Final = Ground("#ffffff", "#1b1f24", "#57606a", "#d0d7de", "#6e7781", "#b3007d")
DARK: Final = Ground("#0d1117", "#e6edf3", "#9aa5b1", "#3a424c", "#8b949e", "#ff8ad8")

_WHITE: Final = "#ffffff"
_BLACK: Final = "#0d1117"


def _plain(slug: str, light: tuple[str, str], dark: tuple[str, str]) -> Look:
    return Look(slug, Texture.PLAIN, Shade(*light), Shade(*dark))


def _hatched(slug: str, texture: Texture, light_mark: str, dark_mark: str) -> Look:
    light = Shade(LIGHT.paper, LIGHT.ink, light_mark)
    return Look(slug, texture, light, Shade(DARK.paper, DARK.ink, dark_mark))


# In the order in which they are stacked, which is that of the dashboards: at work first, not known on top.
_KNOWN: Final = {
    AVAILABLE.word: _plain("available", ("#18ae82", _BLACK), ("#35be95", _BLACK)),
    ON_CALL.word: _plain("on-call", ("#0b4f94", _WHITE), ("#2d72bd", _WHITE)),
    BUSY.word: _plain("busy", ("#edbe00", _BLACK), ("#f7dc5a", _BLACK)),
    ON_BREAK.word: _plain("on-break", ("#c24e00", _WHITE), ("#dc6a22", _BLACK)),
    OFFLINE.word: _plain("offline", ("#d9dee3", _BLACK), ("#3a424c", _WHITE)),
}
_NOT_KNOWN: Final = {
    ABSENT.word: _hatched("absent", Texture.DOTTED, "#59636e", "#d8dee4"),
    ERROR.word: _hatched("error", Texture.CROSSED, "#8e1b3a", "#ff9eaf"),
    UNKNOWN.word: _hatched("unknown", Texture.SLANTED, "#59636e", "#d8dee4"),
}
OTHERS: Final = tuple(
    Look(f"other-{number}", texture, Shade(light, _BLACK, light_mark), Shade(dark, _WHITE, dark_mark))
    for number, (texture, light, light_mark, dark, dark_mark) in enumerate(
        (
            (Texture.UPRIGHT, "#dcc6ee", "#6f3a9c", "#47285f", "#c79be8"),
            (Texture.LEVEL, "#f6c9e0", "#a8326f", "#5c1f40", "#f08fbf"),
            (Texture.UPRIGHT, "#e2d3bf", "#6d4c1d", "#4b3a20", "#d3b27c"),
            (Texture.LEVEL, "#dcc6ee", "#6f3a9c", "#47285f", "#c79be8"),
            (Texture.UPRIGHT, "#f6c9e0", "#a8326f", "#5c1f40", "#f08fbf"),
            (Texture.LEVEL, "#e2d3bf", "#6d4c1d", "#4b3a20", "#d3b27c"),
        ),
        start=1,
    )
)
"""The looks that all other words share."""

_CLASSES: Final = {
    "handling": _KNOWN[ON_CALL.word],
    "available": _KNOWN[AVAILABLE.word],
    "not ready": _KNOWN[ON_BREAK.word],
    "offline": _KNOWN[OFFLINE.word],
    "not known": _NOT_KNOWN[UNKNOWN.word],
}
"""What statuses count as, where a report has classes in their place: the look of the status that stands for it."""
FIXED: Final = {**_KNOWN, **_CLASSES, **_NOT_KNOWN}
"""The looks of the words that have one of their own."""

COVERED: Final = _plain("covered", ("#3d6a8f", _WHITE), ("#7fa8cc", _BLACK))
"""Time in which somebody was looking, whatever the status."""
NOT_COVERED: Final = _NOT_KNOWN[UNKNOWN.word]

LOOKS: Final = (*_KNOWN.values(), *OTHERS, *_NOT_KNOWN.values(), COVERED)
"""Every look that there is."""


def look_of(word: str) -> Look:
    """The look of a status word, `unknown`, `absent` and `error` among them. Two other words may share one."""
    return FIXED.get(word) or OTHERS[_place(word)]


def looks_of(words: Iterable[str]) -> dict[str, Look]:
    """A look for each of `words`, in the order of stacking.

    Words that would share a look are told apart, as long as there are no more than six words beside Zoho's five.
    """
    taken: set[str] = set()
    looks: dict[str, Look] = {}
    for word in in_order(words):
        look = look_of(word)
        if look in OTHERS:
            turned = OTHERS[_place(word) :] + OTHERS[: _place(word)]
            look = next((other for other in turned if other.slug not in taken), look)
            taken.add(look.slug)
        looks[word] = look
    return looks


def in_order(words: Iterable[str]) -> list[str]:
    """Each of `words` once, in the order of stacking: Zoho's, others by alphabet, absent, error, unknown."""

    def place(word: str) -> tuple[int, int, str]:
        look = FIXED.get(word)
        if look is None:
            return 1, 0, word
        return 0 if look.texture is Texture.PLAIN else 2, LOOKS.index(look), word

    return sorted(set(words), key=place)


def _place(word: str) -> int:
    return crc32(word.encode(errors="replace")) % len(OTHERS)
