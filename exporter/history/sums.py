"""What a track has summed up to at an instant, and how that is stored at a checkpoint in a few bytes. Pure."""

import struct
from collections.abc import Iterator
from functools import cache
from operator import sub
from typing import Final

Sums = list[int]
"""Four numbers for each status, at `slot(status)`: milliseconds in the status; how many of them are not sure; how many
more it may have been; and how many stays. One flat list: there are tens of thousands of them."""

NO_STATUS: Final = -1
"""The status of a track before its first transition: what it sums up to is nobody's and is never stored."""

FIGURES: Final = 4
_NARROW, _WIDE, _SPARSE = range(3)
_FORMATS: Final = ("qiii", "qqqq", "qqqqq")
"""Little-endian: the numbers of each status in the order of ids, in few bytes (four hold 24 days of doubt: years, as a
rule) or in many; or, where most ids are another's, the ids with them."""
_LONGEST: Final = 16
"""From how many statuses on only those are stored that have any time."""


Figures = tuple[int, int, int, int, int]
"""Of one status: its id; milliseconds in it, the least and the most that it can have been; and how many stays."""


def slot(status: int) -> int:
    """Where the numbers of a status begin; NO_STATUS is in front."""
    return (status + 1) * FIGURES


def nothing(statuses: int = 6) -> Sums:
    """The sums of a track that has not been in any status, with room for so many."""
    return [0] * slot(statuses)


def grow(sums: Sums, at: int) -> int:
    """Make room for the status at the slot `at`; returns the length."""
    if at >= len(sums):
        sums += [0] * (at + FIGURES - len(sums))
    return len(sums)


def difference(later: Sums, earlier: Sums) -> Iterator[Figures]:
    """What came to the sums between two instants: every status with time, or possible time, in order of ids."""
    grow(earlier, len(later) - FIGURES)
    numbers = list(map(sub, later, earlier))
    for at in range(FIGURES, len(numbers), FIGURES):
        time, doubt, more, stays = numbers[at : at + FIGURES]
        if time or more:
            yield at // FIGURES - 1, time, time - doubt, time + more, stays


def packed(sums: Sums) -> bytes:
    """The sums as bytes; equal sums give equal bytes."""
    end = len(sums)
    while end > FIGURES and not any(sums[end - FIGURES : end]):
        end -= FIGURES
    numbers = sums[FIGURES:end]
    if len(numbers) > _LONGEST * FIGURES:
        found = [
            number
            for at in range(0, len(numbers), FIGURES)
            if any(numbers[at : at + FIGURES])
            for number in (at // FIGURES, *numbers[at : at + FIGURES])
        ]
        return _row(_SPARSE, len(found)).pack(_SPARSE, *found)
    try:
        return _row(_NARROW, len(numbers)).pack(_NARROW, *numbers)
    except struct.error:
        return _row(_WIDE, len(numbers)).pack(_WIDE, *numbers)


def unpacked(stored: bytes) -> Sums:
    """The sums that were packed. Raises ValueError if it cannot be that they were."""
    try:
        width, *numbers = _of_length(stored[0], len(stored)).unpack(stored)
    except (struct.error, IndexError) as error:
        raise ValueError(f"running totals in {len(stored)} bytes") from error
    if width != _SPARSE:
        return [0, 0, 0, 0, *numbers]
    sums = nothing()
    for at in range(0, len(numbers), FIGURES + 1):
        grow(sums, slot(numbers[at]))
        sums[slot(numbers[at]) : slot(numbers[at]) + FIGURES] = numbers[at + 1 : at + 1 + FIGURES]
    return sums


@cache
def _row(width: int, numbers: int) -> struct.Struct:
    return struct.Struct("<B" + _FORMATS[width] * (numbers // len(_FORMATS[width])))


@cache
def _of_length(width: int, length: int) -> struct.Struct:
    one = struct.calcsize(f"<{_FORMATS[width]}")
    return _row(width, length // one * len(_FORMATS[width]))
