"""Tells who waits on the event loop that a poll has ended and its outcome is published."""

import asyncio


class Updates:
    """A count of what was published, and a way to wait for the next one. `close` ends all waiting."""

    def __init__(self) -> None:
        self._number = 0
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def number(self) -> int:
        """How many times `tell` was called."""
        return self._number

    @property
    def closed(self) -> bool:
        """Whether the program is stopping: nothing more will be told."""
        return self._closed

    def tell(self) -> None:
        """Something new is published."""
        self._number += 1
        self._wake()

    def close(self) -> None:
        """Let everybody who waits, now and later, return at once."""
        self._closed = True
        self._wake()

    async def after(self, number: int) -> int:
        """Wait until more than `number` was told or this is closed; how much was told by then."""
        while self._number <= number and not self._closed:
            await self._changed.wait()
        return self._number

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
