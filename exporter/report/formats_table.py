"""A report as a table for people. On a terminal rich colours it and bounds are left out where the width is short;
in a pipe or file it is plain text of whatever width it needs.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TextIO
from zoneinfo import ZoneInfo

from rich.cells import cell_len

from exporter.report.formats import heading, is_number, notes, people_text, telling
from exporter.report.model import Column, Report

_BETWEEN: Final = "  "
_ALWAYS_KEPT: Final = 6
"""So many columns from the left are shown however narrow the terminal is: whom, what, when, how long."""

_STYLES: Final = {
    "available": "green",
    "on call": "cyan",
    "busy": "yellow",
    "on break": "magenta",
    "offline": "bright_black",
    "unknown": "bright_black italic",
    "absent": "bright_black italic",
    "error": "red",
}

Line = Sequence[tuple[str, str]]
"""Pieces of text with their styles."""


def write_table(report: Report, stream: TextIO, *, width: int | None = None) -> None:
    """Draw the report on `stream`, with window, zone, coverage and formula under it.

    `width` is that of the terminal; without it the terminal is asked, or nothing is cut where there is none.
    """
    write, terminal_width = _writer(stream)
    width = width or terminal_width
    zone = ZoneInfo(report.timezone)
    columns = telling(report)
    texts = [
        [people_text(row.get(column.name), column.kind, zone, offset=False) for column in columns]
        for row in report.rows
    ]
    widths = [max(map(cell_len, (heading(column), *(row[i] for row in texts)))) for i, column in enumerate(columns)]
    shown = _fitting(columns, widths, width)
    write([(_padded((heading(columns[i]) for i in shown), shown, columns, widths), "bold")])
    write([("─" * (sum(widths[i] for i in shown) + len(_BETWEEN) * (len(shown) - 1)), "")])
    for row in texts:
        write(_styled(row, shown, columns, widths))
    if not texts:
        write([("no rows", "italic")])
    write([])
    left_out = [heading(columns[i]) for i in range(len(columns)) if i not in shown]
    if left_out:
        write([(f"Not shown, for the terminal is narrow: {', '.join(left_out)}", "dim")])
    for note in notes(report):
        write([(note, "dim")])


def _writer(stream: TextIO) -> tuple[Callable[[Line], None], int | None]:
    if not stream.isatty():

        def plain(line: Line) -> None:
            stream.write("".join(text for text, _ in line).rstrip() + "\n")

        return plain, None
    from rich.console import Console  # only a terminal pays for it
    from rich.text import Text

    # What is printed is a `Text`, so no name is taken for markup, an emoji or a link.
    console = Console(file=stream, markup=False, emoji=False, highlight=False)

    def coloured(line: Line) -> None:
        console.print(Text.assemble(*line), soft_wrap=True)

    return coloured, console.width


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> list[int]:
    """The places of the columns that fit: all bounds go first, then those behind the first ones, from the right."""
    shown = list(range(len(columns)))
    bounds = {
        i for i in shown if columns[i].name.startswith(("min_", "max_")) or columns[i].name.endswith("_not_before")
    }
    later = [{i} for i in reversed(shown[_ALWAYS_KEPT:]) if i not in bounds]
    for dropped in (bounds, *later):
        if width is None or sum(widths[i] for i in shown) + len(_BETWEEN) * (len(shown) - 1) <= width:
            break
        shown = [i for i in shown if i not in dropped]
    return shown


def _styled(row: Sequence[str], shown: Sequence[int], columns: Sequence[Column], widths: Sequence[int]) -> Line:
    pieces: list[tuple[str, str]] = []
    for i in shown:
        if pieces:
            pieces.append((_BETWEEN, ""))
        style = _STYLES.get(row[i].casefold(), "") if columns[i].name.endswith("status") else ""
        pieces.append((_pad(row[i], widths[i], right=is_number(columns[i])), style))
    return pieces


def _padded(texts: Iterable[str], shown: Sequence[int], columns: Sequence[Column], widths: Sequence[int]) -> str:
    return _BETWEEN.join(
        _pad(text, widths[i], right=is_number(columns[i])) for text, i in zip(texts, shown, strict=True)
    )


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks
