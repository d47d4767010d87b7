"""The colours of statuses: whoever cannot tell hues apart, or prints without colour, still tells the statuses apart."""

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest

from exporter.model import KNOWN_STATUSES
from exporter.report.palette import (
    COVERED,
    DARK,
    LIGHT,
    LOOKS,
    NOT_COVERED,
    Ground,
    Look,
    Shade,
    Texture,
    in_order,
    look_of,
    looks_of,
)

ON_BOTH_GROUNDS = pytest.mark.parametrize("ground", [LIGHT, DARK], ids=["light", "dark"])
FIVE = tuple(status.word for status in KNOWN_STATUSES)

# Viewing with full protanopia, deuteranopia and tritanopia: Machado, Oliveira and Fernandes, "A Physiologically-based
# Model for Simulation of Color Vision Deficiency" (2009), severity 1.0, for linear RGB.
VISION = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)


def linear(colour: str) -> list[float]:
    """The light of `#rrggbb`, 0 to 1 (sRGB)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def times(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def luminance(colour: str) -> float:
    return times(TO_XYZ, linear(colour))[1]


def contrast(one: str, other: str) -> float:
    """As WCAG 2 reckons it: 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, vision: str) -> list[float]:
    seen = [min(1.0, max(0.0, part)) for part in times(VISION[vision], linear(colour))]
    x, y, z = (
        part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116
        for part in (a / b for a, b in zip(times(TO_XYZ, seen), WHITE, strict=True))
    )
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def distance(one: str, other: str, vision: str) -> float:
    """CIE 1976: 2.3 is just noticeable, 100 is black from white."""
    pairs = zip(lab(one, vision), lab(other, vision), strict=True)
    return float(sum((a - b) ** 2 for a, b in pairs) ** 0.5)


def shade(look: Look, ground: Ground) -> Shade:
    return look.light if ground is LIGHT else look.dark


def test_black_and_white_are_as_far_apart_as_can_be() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21, abs=0.01)
    assert distance("#000000", "#ffffff", "full") == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(
    ("vision", "least"), [("full", 35), ("protanopia", 20), ("deuteranopia", 20), ("tritanopia", 15)]
)
@ON_BOTH_GROUNDS
def test_the_five_statuses_and_unknown_are_told_apart_by_every_eye(ground: Ground, vision: str, least: float) -> None:
    colours = {word: shade(look_of(word), ground).fill for word in FIVE}
    colours["unknown"] = shade(look_of("unknown"), ground).mark
    near = {
        (one, other): distance(colours[one], colours[other], vision)
        for one, other in combinations(colours, 2)
        if distance(colours[one], colours[other], vision) < least
    }
    assert near == {}


@ON_BOTH_GROUNDS
def test_the_five_statuses_differ_in_lightness_so_that_a_print_without_colour_tells_them_apart(ground: Ground) -> None:
    lightness = sorted(lab(shade(look_of(word), ground).fill, "full")[0] for word in FIVE)
    assert all(lighter - darker >= 9 for darker, lighter in pairwise(lightness))


@ON_BOTH_GROUNDS
def test_text_can_be_read_on_every_look_and_textures_can_be_seen(ground: Ground) -> None:
    for look in LOOKS:
        colours = shade(look, ground)
        assert contrast(colours.fill, colours.ink) >= 4.5, look.slug
        assert bool(colours.mark) == (look.texture is not Texture.PLAIN), look.slug
        if colours.mark:
            assert contrast(colours.fill, colours.mark) >= 3, look.slug


@ON_BOTH_GROUNDS
def test_text_and_edges_can_be_read_on_the_page(ground: Ground) -> None:
    assert all(contrast(text, ground.paper) >= 4.5 for text in (ground.ink, ground.faint))
    assert all(contrast(edge, ground.paper) >= 3 for edge in (ground.edge, ground.focus))


def test_only_what_is_not_known_has_a_hatching_and_each_its_own() -> None:
    not_known = [look_of(word).texture for word in ("unknown", "absent", "error")]
    assert not_known == [Texture.SLANTED, Texture.DOTTED, Texture.CROSSED]
    others = {look_of(word).texture for word in (*FIVE, "Lunch", "Training", "Unknown", "Wrap Up", "Coaching")}
    assert not others & set(not_known)
    assert COVERED.texture is Texture.PLAIN
    assert look_of("unknown") == NOT_COVERED


def test_a_word_has_the_same_look_everywhere_and_none_of_the_five() -> None:
    assert look_of("Lunch") == look_of("Lunch")
    assert looks_of(["Lunch", "Available"])["Lunch"] == look_of("Lunch")
    assert look_of("Lunch") not in map(look_of, FIVE)
    assert look_of("\ud800") in LOOKS


def test_words_of_one_picture_do_not_share_a_look_while_there_are_looks() -> None:
    words = [f"Reason {number}" for number in range(6)]
    assert len(set(looks_of(words).values())) == 6
    assert len(looks_of([*words, "one more"])) == 7


def test_classes_look_like_the_status_that_stands_for_them() -> None:
    looks = looks_of(["handling", "available", "not ready", "offline", "not known"])
    assert looks["handling"] == look_of("On Call")
    assert looks["not known"] == look_of("unknown")
    assert list(looks) == ["available", "handling", "not ready", "offline", "not known"]


def test_statuses_are_stacked_as_on_the_dashboards_with_unknown_on_top() -> None:
    words = ["unknown", "error", "Lunch", "Offline", "absent", "Busy", "On Break", "Available", "On Call", "Admin"]
    assert in_order(words) == [
        "Available", "On Call", "Busy", "On Break", "Offline", "Admin", "Lunch", "absent", "error", "unknown",
    ]  # fmt: skip
