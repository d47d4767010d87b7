"""What every picture begins with: the window, the zone, the words of a report, and reasons for not drawing. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from exporter.report.formats import clock_text, people_text
from exporter.report.model import Cell, ColumnKind, Report
from exporter.report.pictures.axis import TimeAxis
from exporter.report.pictures.svg import Svg, fitted, label_width, tag, words

Row = Mapping[str, Cell]

LARGEST: Final = 20_000
"""More bars than this are not drawn: a browser takes seconds for them, and nobody can read them."""


def refusal(report: Report, bars: int) -> Svg:
    """A paragraph that says why there is no picture; "" if there can be one."""
    since, until = window(report)
    if bars > LARGEST:
        return _instead(
            f"The picture is left out, because it would have {bars:,} bars, and {LARGEST:,} are the most that can be "
            "read and shown. Ask for fewer agents, a shorter time or longer steps. Nothing is left out of the table."
        )
    if until <= since:
        return _instead("There is no picture, because the window is empty.")
    return "" if bars else _instead("There is no picture, because there is nothing in the window to draw.")


def _instead(text: str) -> Svg:
    return tag("p", words(text), class_="no-picture")


def window(report: Report) -> tuple[int, int]:
    """[since, until) in milliseconds; both 0 where the report does not say."""
    since, until = report.meta.get("since"), report.meta.get("until")
    return (since, until) if isinstance(since, int) and isinstance(until, int) else (0, 0)


def time_axis(report: Report, left: float, width: float) -> TimeAxis:
    """The axis of the report's window."""
    return TimeAxis(*window(report), ZoneInfo(report.timezone), left, width)


def window_text(report: Report) -> str:
    """The window as people say it, with its zone."""
    zone = ZoneInfo(report.timezone)
    start, end = (people_text(at, ColumnKind.INSTANT, zone) for at in window(report))
    return f"{start} to {end} ({report.timezone})"


def span_text(start: int, end: int, zone: ZoneInfo) -> str:
    """`2025-03-04 09:00:00 to 09:12:30, 0:12:30`: the date of the end only if it is another."""
    first, last = (people_text(at, ColumnKind.INSTANT, zone, offset=False) for at in (start, end))
    return f"{first} to {_without_date_of(first, last)}, {clock_text(end - start)}"


def between_text(start: int, end: int, zone: ZoneInfo) -> str:
    """`between 08:59:30 and 09:00:00`, with dates only if they differ."""
    first, last = (people_text(at, ColumnKind.INSTANT, zone, offset=False) for at in (start, end))
    return f"between {_without_date_of(last, first)} and {_without_date_of(first, last)}"


def _without_date_of(other: str, text: str) -> str:
    return text.partition(" ")[2] if text.partition(" ")[0] == other.partition(" ")[0] else text


def instant(row: Row, name: str) -> int | None:
    """The instant or duration in a cell."""
    value = row.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def amount(row: Row, name: str) -> float:
    """The number in a cell, 0 where it is not known."""
    value = row.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def text(row: Row, name: str) -> str:
    """The text in a cell, "" where there is none."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def word(row: Row) -> str:
    """The status word of a row, or the class that stands in its place."""
    return text(row, "status") or text(row, "class")


def words_of(rows: Iterable[Row]) -> set[str]:
    """The status words or classes of `rows`."""
    return {word(row) for row in rows}


def by_lane(report: Report) -> list[Sequence[Row]]:
    """The rows of each agent, or of each group that rows are made for, in the order in which they first appear."""
    keys = _keys(report)
    lanes: dict[tuple[Cell, ...], list[Row]] = {}
    for row in report.rows:
        lanes.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    return list(lanes.values())


def _keys(report: Report) -> list[str]:
    """The columns that say what a row is about: those before its status, but what follows from them."""
    names = [column.name for column in report.columns]
    end = next((place for place, name in enumerate(names) if name in ("status", "class")), 0)
    return [name for name in names[:end] if name not in ("name", "agents")]


def lane_name(report: Report, rows: Sequence[Row], room: float = 500) -> str:
    """What a lane is called: the name that the agent bears last (or the id of a nameless one), team and time.

    It takes at most `room` units; the agent's name is what gets shorter.
    """
    row = rows[-1]
    keys = _keys(report)
    rest = [text(row, key) or f"no {key}" for key in keys if key != "agent_id"]
    if "agent_id" not in keys:
        return fitted(", ".join(rest) or "total", room)
    after = "".join(f", {part}" for part in rest)
    return fitted(fitted(text(row, "name") or text(row, "agent_id"), room - label_width(after)) + after, room)


def lanes_text(report: Report, first: int, count: int, of: int) -> str:
    """Which lanes a picture shows: the `first`, counted from 1, and those after it."""
    noun = "agent" if _keys(report) == ["agent_id"] else "group"
    if count < of:
        return f"{noun}s {first} to {first + count - 1} of {of}"
    return f"{of} {noun}s" if of > 1 else f"1 {noun}"
