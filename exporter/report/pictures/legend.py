"""What the colours and hatchings of a picture mean. Pure."""

from typing import Final

from exporter.model import ABSENT, ERROR, UNKNOWN
from exporter.report.model import Report
from exporter.report.palette import COVERED, NOT_COVERED, Look, looks_of
from exporter.report.pictures.frame import words_of
from exporter.report.pictures.svg import Svg, tag, words
from exporter.report.pictures.texture import Place, bridged, filled

_MEANINGS: Final = {
    UNKNOWN.word: "nobody was looking",
    ABSENT.word: "asked for, and not in Zoho's answer",
    ERROR.word: "Zoho answered with an error",
}


def legend(report: Report) -> Svg:
    """A list of the looks in the picture of `report` with their words; "" if there is nothing to draw."""
    name = str(report.meta.get("report"))
    if not report.rows:
        return ""
    entries = [_entry(look, _meaning(word)) for word, look in _looks(report, name).items()]
    if any(row.get("quality") == "bridged" or row.get("bridged_seconds") for row in report.rows):
        place = Place(0.5, 0.5, 27, 15)
        entries.append(_item(filled(COVERED, place) + bridged(place), "lines over a colour: a gap that was bridged"))
    if name == "timeline":
        line = tag("path", d="M1 8H27", class_="doubt")
        entries.append(_item(line, "under a bar: the change fell somewhere in this time, if it is more than a moment"))
    return tag("ul", *entries, class_="legend", aria_label="Legend")


def _looks(report: Report, name: str) -> dict[str, Look]:
    if name == "coverage":
        return {"covered: somebody was looking": COVERED, "not covered: nobody was looking": NOT_COVERED}
    return looks_of(words_of(report.rows))


def _meaning(word: str) -> str:
    return f"{word}: {_MEANINGS[word]}" if word in _MEANINGS else word


def _entry(look: Look, text: str) -> Svg:
    swatch = filled(look, Place(0.5, 0.5, 27, 15))
    return _item(swatch + tag("rect", x=0.5, y=0.5, width=27, height=15, class_="outline"), text)


def _item(drawing: Svg, text: str) -> Svg:
    swatch = tag("svg", drawing, class_="picture", viewBox="0 0 28 16", width=28, height=16, aria_hidden="true")
    return tag("li", swatch, tag("span", words(text)))
