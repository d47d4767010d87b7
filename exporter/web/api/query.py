"""The query of a request as parameters, each a text or several. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from exporter.errors import UsageError
from exporter.quoting import shown

LONGEST: Final = 8_192
"""Bytes of a query."""
MOST_ROWS: Final = 10_000
"""The rows of one page at most."""

_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")

Parameters = Mapping[str, tuple[str, ...]]
"""By name: the texts in the order in which they were sent; never none."""


def parameters(query: bytes) -> dict[str, tuple[str, ...]]:
    """The parameters of a query as it was sent.

    Raises UsageError for a query that is too long, that is not UTF-8 with percent-encoding, or that holds a NUL.
    """
    if len(query) > LONGEST:
        raise UsageError(f"the query is {len(query):,} bytes long, and {LONGEST:,} are the most: ask for less at once")
    try:
        text = query.decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise UsageError("the query is not UTF-8: encode what is not ASCII as UTF-8 with percent signs") from None
    stray = _STRAY_PERCENT.search(text)
    if stray is not None:
        raise UsageError(f"the query has a bare % at {shown(text[stray.start() :])}: write it as %25")
    if "\0" in text or any("\0" in part for pair in pairs for part in pair):
        raise UsageError("the query holds a NUL, which no parameter can hold: leave it out")
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def check_names(asked: Parameters, repeatable: tuple[str, ...], single: tuple[str, ...]) -> None:
    """Raises UsageError for a parameter that there is none of, and for a single one that stands there twice."""
    for name, values in asked.items():
        if name not in repeatable and name not in single:
            known = ", ".join(sorted((*repeatable, *single)))
            raise UsageError(f"{shown(name)} is no parameter here: there are {known}")
        if name in single and len(values) > 1:
            raise UsageError(f"{name} stands there {len(values)} times: give it once")


def page_of(asked: Parameters) -> tuple[int | None, int]:
    """`limit`, None if it is not given, and `offset`. Raises UsageError for what is no such number."""
    limit = _number(asked, "limit", f"a whole number from 1 to {MOST_ROWS:,}", lambda rows: 1 <= rows <= MOST_ROWS)
    offset = _number(asked, "offset", "a whole number of rows to leave out, such as 1000", lambda _: True)
    return limit, offset or 0


def link(path: str, asked: Parameters, **changed: str | int) -> str:
    """The path with the parameters, those of `changed` put in the place of what was asked."""
    pairs = [(name, value) for name, values in asked.items() if name not in changed for value in values]
    return f"{path}?{urlencode([*pairs, *changed.items()])}"


def _number(asked: Parameters, name: str, wanted: str, good: Callable[[int], bool]) -> int | None:
    if name not in asked:
        return None
    (text,) = asked[name]
    if not _NUMBER.fullmatch(text) or not good(int(text)):
        raise UsageError(f"{name} {shown(text)} is not {wanted}")
    return int(text)
