"""What a check finds: one line for each thing that was looked at. Pure."""

import sqlite3
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import islice
from typing import Final, NamedTuple

SHOWN: Final = 3
"""So many faults of a kind are told; the others are counted."""
COUNTED: Final = 10_000
"""No more than so many: a damaged file may hold a fault in every row."""


class Result(Enum):
    """How a check came out."""

    OK = "ok"
    FAILED = "failed"
    INFO = "info"
    """A figure, or something that was not checked: no verdict."""


class Finding(NamedTuple):
    """One line of the answer."""

    check: str
    result: Result
    detail: str


def judged(check: str, faults: Callable[[], Iterable[str]], good: str) -> Finding:
    """The finding of a check that yields a sentence for each fault; `good` is said if there is none.

    What a damaged file holds may be anything, so what goes wrong in reading it is a fault like any other.
    """
    try:
        found = list(islice(faults(), COUNTED + 1))
    except sqlite3.Error as error:
        return Finding(check, Result.FAILED, f"cannot be read: {error}")
    except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
        return Finding(check, Result.FAILED, f"holds a value that it cannot hold: {error!r}")
    if not found:
        return Finding(check, Result.OK, good)
    more = len(found) - SHOWN
    shown = "; ".join(found[:SHOWN])
    if more <= 0:
        return Finding(check, Result.FAILED, shown)
    count = f"more than {COUNTED - SHOWN}" if len(found) > COUNTED else str(more)
    return Finding(check, Result.FAILED, f"{shown}; and {count} more")


def counted(count: int, one: str, many: str = "") -> str:
    """Such as `1 spell` and `2 spells`."""
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"
