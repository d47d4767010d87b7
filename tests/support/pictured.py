"""Reports made by hand for the tests of pictures, and what is read back from a picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

from exporter.report.model import Cell, Column, ColumnKind, Report

SVG: Final = "{http://www.w3.org/2000/svg}"
HOUR: Final = 3_600_000

TIMELINE: Final = (
    *(Column(name) for name in ("agent_id", "name", "status")),
    *(Column(name, ColumnKind.INSTANT) for name in ("start", "end")),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("quality"),
    *(Column(name, ColumnKind.INSTANT) for name in ("start_not_before", "end_not_before")),
    *(Column(name, ColumnKind.FLAG) for name in ("carried_in", "open", "provisional")),
)
SUMMARY: Final = (
    *(Column(name) for name in ("agent_id", "name", "status")),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("share", ColumnKind.SHARE),
    Column("coverage", ColumnKind.SHARE),
    Column("tracked_seconds", ColumnKind.DURATION),
)
INTERVALS: Final = (
    *(Column(name, ColumnKind.INSTANT) for name in ("start", "end")),
    Column("status"),
    Column("agent_seconds", ColumnKind.DURATION),
    Column("mean_agents", ColumnKind.NUMBER),
    *(Column(name, ColumnKind.COUNT) for name in ("peak_agents", "least_agents")),
)
COVERAGE: Final = (
    Column("source"),
    *(Column(name, ColumnKind.INSTANT) for name in ("start", "end")),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("covered", ColumnKind.FLAG),
    Column("reason"),
)


def at(text: str, zone: str = "UTC") -> int:
    """Milliseconds of a local time; the first of two that are called the same."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def report(
    name: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Cell]],
    since: int,
    until: int,
    zone: str = "UTC",
    **meta: object,
) -> Report:
    """A report with the header that all history reports have."""
    told: dict[str, object] = {
        "report": name,
        "since": since,
        "until": until,
        "timezone": zone,
        "agents": 2,
        "covered_seconds": 27 * HOUR,
        "unknown_seconds": 9 * HOUR,
        "coverage": 0.75,
        "edge_policy": "seen",
        "formula": "as the report says",
        "water_mark": None,
        **meta,
    }
    instants = ("since", "until", "asked_since", "water_mark")
    kinds = {key: ColumnKind.INSTANT for key in instants if told.get(key) is not None}
    return Report(told, tuple(columns), rows, kinds | dict.fromkeys(SECONDS, ColumnKind.DURATION), zone)


SECONDS: Final = ("covered_seconds", "unknown_seconds")


def stay(name: str, status: str, start: int, end: int, agent_id: str = "1001", **more: Cell) -> dict[str, Cell]:
    """A row of `timeline` whose edges are exact, unless `more` says otherwise."""
    return {
        "agent_id": agent_id,
        "name": name,
        "status": status,
        "start": start,
        "end": end,
        "duration_seconds": end - start,
        "quality": "unknown" if status == "unknown" else "sampled",
        "start_not_before": start,
        "end_not_before": end,
        "carried_in": False,
        "open": False,
        "provisional": False,
        **more,
    }


@dataclass(frozen=True)
class Bar:
    """What is drawn of one bar, and said of it."""

    title: str
    look: str
    x: float
    y: float
    width: float
    height: float
    hatched: bool
    written: str


def pictures(markup: str) -> list[ElementTree.Element]:
    """The `<svg>` elements of a fragment, which must be well formed, without those of the names beside them."""
    return [one[0] if one.get("class") == "panel" else one for one in ElementTree.fromstring(f"<div>{markup}</div>")]


def names(markup: str) -> list[str]:
    """What the lanes are called beside them, from above."""
    panels = [one for one in ElementTree.fromstring(f"<div>{markup}</div>") if one.get("class") == "panel"]
    return [text.text or "" for panel in panels for text in panel[1].iter(f"{SVG}text")]


def bars(markup: str) -> list[Bar]:
    """Every rectangle with a look, in the order of the document."""
    return [found for picture in pictures(markup) for group in focusable(picture) for found in _bars(group)]


def focusable(picture: ElementTree.Element) -> list[ElementTree.Element]:
    """What the keyboard stops at."""
    return [element for element in picture.iter() if element.get("tabindex") == "0"]


def title(element: ElementTree.Element) -> str:
    """What a screen reader says of it."""
    return (element.findtext(f"{SVG}title") or "").replace("\n", " ")


def _bars(group: ElementTree.Element) -> Iterator[Bar]:
    elements = [element for element in group.iter() if element.get("class") != "outline"]
    for place, element in enumerate(elements):
        if element.tag != f"{SVG}rect":
            continue
        x, y, width, height = (float(element.get(key) or "nan") for key in ("x", "y", "width", "height"))
        after = [e for e in elements[place + 1 :] if e.tag != f"{SVG}title"]
        texture = bool(after) and (after[0].get("class") or "").startswith("texture ")
        written = after[texture] if len(after) > texture else None
        is_word = written is not None and (written.get("class") or "").startswith("word ")
        yield Bar(
            title(group),
            element.get("class") or "",
            x,
            y,
            width,
            height,
            texture,
            (written.text or "") if written is not None and is_word else "",
        )
