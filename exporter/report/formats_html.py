"""A report as one HTML file for people: how sure the answer is, a picture, its legend, and every row as a table.

The file needs nothing else: no script, no font, no image is loaded, and its Content-Security-Policy forbids them.
Text from outside is escaped by the template, and control and direction marks are taken out before.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exporter.errors import UsageError
from exporter.model import storable
from exporter.report.formats import STREAMS, heading, is_number, notes, people_text, telling
from exporter.report.model import Column, ColumnKind, Report
from exporter.report.pictures import PICTURES, legend, picture_style

TITLES: Final[Mapping[str, str]] = {
    "timeline": "Timeline",
    "summary": "Time in status",
    "intervals": "Agents by status over time",
    "coverage": "When somebody was looking",
}
"""What a report with a picture is called at the top of its page."""

_FIRST: Final = 2
_SHORT: Final = 60
_PIECES: Final = 500
"""So many pieces of the template are written at once: a few table rows."""


def html_chunks(report: Report) -> Iterator[str]:
    """The document as a stream, so that no long report is a long text in memory.

    Raises UsageError at once, before the first chunk is asked for, if the report has no picture.
    """
    name = str(report.meta.get("report"))
    if name not in PICTURES:
        raise UsageError(
            f"--format html: there is no picture of {storable(name)}; html is for {_listed(list(PICTURES))}, "
            f"and every report has {_listed(['table', *STREAMS])}"
        )
    pages = Environment(
        loader=PackageLoader("exporter.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = picture_style() + pages.get_template("report.css").render()
    fingerprint = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    columns = telling(report)
    stream = pages.get_template("report.html").stream(
        title=TITLES[name],
        name=name,
        style=Markup(style),  # noqa: S704 - our own constants
        policy=f"default-src 'none'; style-src 'sha256-{fingerprint}'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        notes=_notes(report),
        warning=_warning(report),
        picture=Markup(PICTURES[name](report)),  # noqa: S704 - pictures escape what they are given
        legend=Markup(legend(report)),  # noqa: S704 - as above
        columns=[(heading(column), "number" if is_number(column) else "") for column in columns],
        count=len(report.rows),
        rows=_cells(report, columns),
    )
    stream.enable_buffering(_PIECES)
    return iter(stream)


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _notes(report: Report) -> list[tuple[str, str]]:
    """What was asked and how sure the answer is: the notes under a table as name and text, and what else is known."""
    pairs = [line.partition(": ")[::2] for line in notes(report)]
    told = [(storable(name), storable(text)) for name, text in pairs]
    listed = ((key, value) for key, value in report.meta.items() if isinstance(value, list | tuple) and value)
    more = [(heading(Column(key)).capitalize(), storable(", ".join(map(str, value)))) for key, value in listed]
    # Window and coverage stay in front; behind them the short ones, so that few lines hold them.
    return [*told[:_FIRST], *sorted(told[_FIRST:] + more, key=lambda pair: len(pair[1]) > _SHORT)]


def _warning(report: Report) -> str:
    """What a reader must know before anything else; "" if there is nothing."""
    water_mark, since = report.meta.get("water_mark"), report.meta.get("asked_since", report.meta.get("since"))
    if isinstance(water_mark, int) and isinstance(since, int) and since < water_mark:
        at = people_text(water_mark, ColumnKind.INSTANT, ZoneInfo(report.timezone))
        return f"What was recorded before {at} has been purged: this answer is for what is left."
    return ""


def _cells(report: Report, columns: list[Column]) -> Iterator[list[str]]:
    zone = ZoneInfo(report.timezone)
    for row in report.rows:
        yield [people_text(row.get(column.name), column.kind, zone, offset=False) for column in columns]
