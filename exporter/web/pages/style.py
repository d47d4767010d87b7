"""The part of the pages' style sheet that comes from the palette, so that pages and pictures look alike. Pure."""

from typing import Final

from exporter.report.palette import LOOKS, Look, Texture
from exporter.report.pictures import picture_style

_MARKS: Final = {
    Texture.SLANTED: "repeating-linear-gradient(135deg, {mark} 0 2px, transparent 2px 7px)",
    Texture.UPRIGHT: "repeating-linear-gradient(90deg, {mark} 0 2px, transparent 2px 6px)",
    Texture.LEVEL: "repeating-linear-gradient(0deg, {mark} 0 2px, transparent 2px 6px)",
    Texture.DOTTED: "repeating-linear-gradient(90deg, {mark} 0 3px, transparent 3px 6px)",
    Texture.CROSSED: (
        "repeating-linear-gradient(45deg, {mark} 0 2px, transparent 2px 7px), "
        "repeating-linear-gradient(135deg, {mark} 0 2px, transparent 2px 7px)"
    ),
}


def palette_style() -> str:
    """CSS: colours as custom properties, the rules of pictures, and classes for the looks.

    An element with the classes `look` and a look's slug has its colour, and its texture if it has one; in one with
    `group` and a slug, `--bar` is the colour that says most of that look.
    """
    return picture_style() + "\n".join(_rule(look) for look in LOOKS) + "\n"


def _rule(look: Look) -> str:
    rule = f"background-color: var(--{look.slug}); color: var(--{look.slug}-ink);"
    if look.texture is not Texture.PLAIN:
        rule += f" background-image: {_MARKS[look.texture].format(mark=f'var(--{look.slug}-mark)')};"
    bar = f"var(--{look.slug})" if look.texture is Texture.PLAIN else f"var(--{look.slug}-mark)"
    return f".look.{look.slug} {{ {rule} }}\n.group.{look.slug} {{ --bar: {bar}; }}"
