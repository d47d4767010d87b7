"""The formats of a report for machines and documents: CSV, TSV, JSON, newline JSON and Markdown, as streams of text.

Two rules hold in all of them. Instants are ISO 8601 with the offset of the report's zone; durations are numbers of
seconds; shares go from 0 to 1; what is not known is null or empty. And nothing from outside can act: no control
character reaches a terminal, and no text cell of CSV or TSV is taken for a formula by a spreadsheet, because one that
begins with `=`, `+`, `-`, `@` or their full-width forms gets an apostrophe in front.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from io import StringIO
from typing import Final
from zoneinfo import ZoneInfo

from exporter.model import storable
from exporter.report.model import Cell, Column, ColumnKind, Report

JsonValue = object

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SHARE_DIGITS: Final = 6
# What JSON writes as it is although terminals act on it: DEL, the C1 controls, line separators, bidi marks.
_ACTS_ON_TERMINALS: Final = {
    code: f"\\u{code:04x}"
    for code in (*range(0x7F, 0xA0), 0x061C, *range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
_ACTING: Final = re.compile(f"[{''.join(map(chr, _ACTS_ON_TERMINALS))}]")

_encode: Final = json.JSONEncoder(ensure_ascii=False, default=list).encode


def instant_text(milliseconds: int, zone: ZoneInfo) -> str:
    """ISO 8601 with offset; milliseconds only where they are not zero."""
    moment = (_EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone)
    return moment.isoformat(timespec="milliseconds" if milliseconds % 1000 else "seconds")


def seconds_number(milliseconds: float) -> int | float:
    """Seconds: a whole number where they are whole."""
    seconds = milliseconds / 1000
    return int(seconds) if seconds.is_integer() else seconds


def machine_value(value: object, kind: ColumnKind, zone: ZoneInfo) -> JsonValue:
    """A cell or a value of `meta` as JSON holds it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if kind is ColumnKind.INSTANT:
        return instant_text(int(value), zone)
    if kind is ColumnKind.DURATION:
        return seconds_number(value)
    if isinstance(value, float):
        return _number(value, kind)
    return value


def _number(value: float, kind: ColumnKind) -> float | None:
    if value - value != 0:  # JSON has neither NaN nor infinity
        return None
    return round(value, _SHARE_DIGITS) if kind in (ColumnKind.SHARE, ColumnKind.NUMBER) else value


def machine_meta(report: Report) -> dict[str, JsonValue]:
    """`meta`, ready for JSON."""
    zone = ZoneInfo(report.timezone)
    kinds = report.meta_kinds
    return {
        key: machine_value(value, kinds[key], zone) if key in kinds else _plain_meta(value)
        for key, value in report.meta.items()
    }


def _plain_meta(value: object) -> JsonValue:
    return _number(value, ColumnKind.SHARE) if isinstance(value, float) else value


def json_text(value: JsonValue) -> str:
    """`value` as JSON on one line, without a character that a terminal would act on."""
    text = _encode(value)
    # To look is cheaper than to translate, and there is hardly ever anything to be found.
    return text if _ACTING.search(text) is None else text.translate(_ACTS_ON_TERMINALS)


def _machine_rows(report: Report) -> Iterator[dict[str, JsonValue]]:
    zone = ZoneInfo(report.timezone)
    for row in report.rows:
        yield {column.name: machine_value(row.get(column.name), column.kind, zone) for column in report.columns}


def json_chunks(report: Report) -> Iterator[str]:
    """`{"meta": {…}, "rows": […]}`, a row a line, so that it can be written before the last row is known."""
    yield f'{{"meta": {json_text(machine_meta(report))}, "rows": ['
    before = "\n"
    for row in _machine_rows(report):
        yield before + json_text(row)
        before = ",\n"
    yield "\n]}\n"


def ndjson_chunks(report: Report) -> Iterator[str]:
    """One JSON object a row; `meta` is left out."""
    for row in _machine_rows(report):
        yield json_text(row) + "\n"


def csv_chunks(report: Report) -> Iterator[str]:
    """Comma-separated with a header, quoted as in RFC 4180 but with plain line ends; `meta` is left out."""
    return _separated(report, ",")


def tsv_chunks(report: Report) -> Iterator[str]:
    """Tab-separated with a header and no quotes: no cell holds a tab or a line end. `meta` is left out."""
    return _separated(report, "\t")


def _separated(report: Report, delimiter: str) -> Iterator[str]:
    buffer = StringIO(newline="")
    if delimiter == "\t":
        writer = csv.writer(buffer, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
    else:
        writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.name for column in report.columns])
    for row in _machine_rows(report):
        writer.writerow([_spreadsheet_cell(value) for value in row.values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _spreadsheet_cell(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    guarded = f"'{value}" if value.startswith(_FORMULA) else value
    return storable(guarded)


# --- for people -----------------------------------------------------------------------------------------------------


def clock_text(milliseconds: float) -> str:
    """`h:mm:ss`, rounded to the second, half up; machine formats have the milliseconds."""
    seconds = int(abs(milliseconds) + 500) // 1000
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{'-' if milliseconds < 0 and seconds else ''}{hours}:{minute:02}:{second:02}"


def people_text(value: Cell, kind: ColumnKind, zone: ZoneInfo, *, offset: bool = True) -> str:
    """A cell as people read it: `h:mm:ss`, `12.3 %`, local time to the second, yes or no, nothing for not known.

    Without `offset` local times carry it only in the hour that the end of summer time repeats.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return storable(value)
    if kind is ColumnKind.DURATION:
        return clock_text(value)
    if kind is ColumnKind.SHARE:
        return f"{value * 100:.1f} %"
    if kind is ColumnKind.NUMBER:
        return f"{value:.2f}"
    if kind is ColumnKind.INSTANT:
        return _local_text(int(value), zone, offset=offset)
    return str(value)


@lru_cache(maxsize=4096)  # an instant ends a stay and begins the next one
def _local_text(milliseconds: int, zone: ZoneInfo, *, offset: bool) -> str:
    moment = (_EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone)
    repeated = moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()
    shown = moment if offset or repeated else moment.replace(tzinfo=None)
    return shown.isoformat(" ", timespec="seconds")


def telling(report: Report) -> list[Column]:
    """The columns that say anything to people: not flags that are never set, nor what is known of no row."""
    if not report.rows:
        return list(report.columns)
    return [
        column
        for column in report.columns
        if any(row.get(column.name) is not None for row in report.rows)
        and (column.kind is not ColumnKind.FLAG or any(row.get(column.name) for row in report.rows))
    ]


def heading(column: Column) -> str:
    """A column's name for people; the unit goes, because `h:mm:ss` needs none."""
    if column.kind is not ColumnKind.DURATION:
        return column.name.replace("_", " ")
    name = column.name.removesuffix("_seconds")
    return "agent time" if name == "agent" else name.replace("_", " ")


def notes(report: Report) -> list[str]:
    """The lines under a table: window and zone, coverage, and the rest of `meta` that says how to read it."""
    zone = ZoneInfo(report.timezone)
    told = (_window_note(report, zone), _coverage_note(report, zone))
    rest = (_note(report, key, value, zone) for key, value in report.meta.items() if _is_note(key, value))
    return [line for line in (*told, *rest) if line]


def _window_note(report: Report, zone: ZoneInfo) -> str:
    since, until = report.meta.get("since"), report.meta.get("until")
    if not isinstance(since, int) or not isinstance(until, int):
        return ""
    start, end = (people_text(instant, ColumnKind.INSTANT, zone) for instant in (since, until))
    at = report.meta.get("at")
    if isinstance(at, int):
        return f"At: {people_text(at, ColumnKind.INSTANT, zone)} ({report.timezone})"
    if since == until and report.meta.get("asked_since") is not None:
        return f"Window: nothing of it is left: everything before {start} ({report.timezone}) was purged"
    return f"Window: {start} to {end} ({report.timezone}), the end not included"


def _coverage_note(report: Report, zone: ZoneInfo) -> str:
    meta = report.meta
    covered, unknown, coverage = (meta.get(key) for key in ("covered_seconds", "unknown_seconds", "coverage"))
    share = people_text(coverage, ColumnKind.SHARE, zone) if isinstance(coverage, float) else ""
    if meta.get("report") == "at":
        return f"Coverage: {share or 'none'} of the agents"
    if not isinstance(covered, int | float) or not isinstance(unknown, int | float):
        return ""
    share = share or "no tracked time"
    return f"Coverage: {share}; covered {clock_text(covered)}, unknown {clock_text(unknown)}"


_TOLD: Final = ("report", "at", "since", "until", "timezone", "covered_seconds", "unknown_seconds", "coverage")


def _is_note(key: str, value: object) -> bool:
    return key not in _TOLD and value not in (None, False) and not isinstance(value, list | tuple | Mapping)


def _note(report: Report, key: str, value: object, zone: ZoneInfo) -> str:
    kind = report.meta_kinds.get(key, ColumnKind.TEXT)
    cell = value if isinstance(value, str | int | float) else str(value)
    name = heading(Column(key, kind)).capitalize()
    return f"{name}: {people_text(cell, kind, zone)}"


def markdown_chunks(report: Report) -> Iterator[str]:
    """A Markdown table with the notes under it; text is escaped, so no name can be markup."""
    zone = ZoneInfo(report.timezone)
    yield _markdown_row(heading(column) for column in report.columns)
    yield _markdown_row("---:" if is_number(column) else "---" for column in report.columns)
    for row in report.rows:
        yield _markdown_row(
            _markdown_text(people_text(row.get(column.name), column.kind, zone)) for column in report.columns
        )
    for line in notes(report):
        yield f"\n{_markdown_text(line)}\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


_MARKUP: Final = {ord(c): f"\\{c}" for c in "\\`*_[]|~$"} | {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;"}


def _markdown_text(text: str) -> str:
    return text.translate(_MARKUP)


def is_number(column: Column) -> bool:
    """Whether the column is set to the right."""
    return column.kind in (ColumnKind.DURATION, ColumnKind.SHARE, ColumnKind.COUNT, ColumnKind.NUMBER)


STREAMS: Final[Mapping[str, Callable[[Report], Iterator[str]]]] = {
    "csv": csv_chunks,
    "tsv": tsv_chunks,
    "json": json_chunks,
    "ndjson": ndjson_chunks,
    "markdown": markdown_chunks,
}
"""The formats that are plain text, by the name that `--format` takes; `table` is in formats_table."""
