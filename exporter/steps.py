"""Work in steps of about a millisecond each, between which the event loop may do other things."""

import asyncio
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Pure work that pauses at each `yield`; its value is what the generator returns."""

LIGHT: Final = 1_000
"""How many things make a step if each takes half a microsecond, and at the worst three."""


def at_once(steps: Steps[T]) -> T:
    """The value of `steps`, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: T = done.value
            return value


async def taking_turns(steps: Steps[T]) -> T:
    """The value of `steps`; between any two of them all else that waits on the event loop has its turn.

    What the steps look at must not change meanwhile. If this is cancelled, the rest of the steps is never done.
    """
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: T = done.value
            return value
        await asyncio.sleep(0)


def letting_go(things: list[object], size: int) -> Steps[None]:
    """Empty the list, `size` things in a step: to free what 50,000 agents were shown with takes 6 ms at once."""
    while things:
        del things[-size:]
        yield


def batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """`things` in lists of at most `size`, in their order."""
    rest = iter(things)
    while some := list(islice(rest, size)):
        yield some
