"""The instants at which samples are written, and the lines of samples over them. Pure.

A series of a year has half a million samples, nearly all of them like the one before: runs of equal values are joined
from prepared texts, at some 20 ns a sample.
"""

from array import array
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import accumulate, groupby
from typing import Final

_PIECE: Final = 2_000
"""Samples made into one text."""


class Grid:
    """Instants `step_ms` apart from `first` on, all before `until` (ms since 1970-01-01 UTC); both are whole seconds.

    They are told by their index, from 0 to `count`, which is not one of them.
    """

    def __init__(self, first: int, until: int, step_ms: int) -> None:
        """`first` must be a multiple of the step."""
        self.first = first
        self.step_ms = step_ms
        self.count = max(0, -((first - until) // step_ms))

    def at_or_after(self, at: int) -> int:
        """The index of the first instant that is not before `at`."""
        return self._inside(-((self.first - at) // self.step_ms))

    def after(self, at: int) -> int:
        """The index of the first instant after `at`."""
        return self._inside((at - self.first) // self.step_ms + 1)

    def at_or_before(self, at: int) -> int:
        """The index of the last instant that is not after `at`; 0 if there is none."""
        return self._inside((at - self.first) // self.step_ms)

    def instant(self, index: int) -> int:
        """That of the index."""
        return self.first + index * self.step_ms

    def flat(self, head: str, value: str, start: int, end: int) -> Iterator[str]:
        """The samples [start, end) of the series `head`, all of the same value."""
        line = f"{head}{value}"
        for i in range(start, end, _PIECE):
            yield line + line.join(self._tails[i : min(i + _PIECE, end)])

    def rising(self, head: str, value_ms: int, start: int, end: int) -> Iterator[str]:
        """The samples [start, end) of the series `head`, in seconds: from `value_ms` on as fast as time goes."""
        step = self.step_ms
        for i in range(start, end, _PIECE):
            tails = self._tails[i : min(i + _PIECE, end)]
            first = value_ms + (i - start) * step
            values = range(first, first + len(tails) * step, step)
            yield "".join([f"{head}{ms / 1000}{tail}" for ms, tail in zip(values, tails, strict=True)])

    def level(self, head: str, values: Iterable[int]) -> Iterator[str]:
        """The samples of the series `head`, of which `values` has one for each instant."""
        start = 0
        for value, run in groupby(values):
            end = start + sum(1 for _ in run)
            yield from self.flat(head, str(value), start, end)
            start = end

    @cached_property
    def _tails(self) -> list[str]:
        """What ends the line of each sample."""
        step = self.step_ms // 1000
        first = self.first // 1000
        return [f" {second}\n" for second in range(first, first + self.count * step, step)]

    def _inside(self, index: int) -> int:
        return min(max(index, 0), self.count)


class Count:
    """How many there are at each instant of a grid, told by the periods [start, end) in which there is one more."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._more = array("i", bytes(array("i").itemsize * (grid.count + 1)))

    def add(self, start: int, end: int) -> None:
        """One more period."""
        self._more[self._grid.at_or_after(start)] += 1
        self._more[self._grid.at_or_after(end)] -= 1

    def add_all(self, other: "Count") -> None:
        """All periods of the other one."""
        self._more = array("i", map(int.__add__, self._more, other._more))

    def values(self) -> Iterator[int]:
        """One for each instant."""
        for value, _ in zip(accumulate(self._more), range(self._grid.count), strict=False):
            yield value
