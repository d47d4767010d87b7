"""Keeps the history from growing for ever: removes what is older than `--history.retention`, while polls go on."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from exporter.clock import Clock, first_of, utc_text
from exporter.history.care.purge import Removed
from exporter.history.connection import UNUSABLE
from exporter.history.transfer.progress import Progress

log: Final = logging.getLogger(__name__)

_MOST_AT_ONCE_MS: Final = 86_400_000
"""A day: each purge makes all totals anew, which takes seconds for a million transitions."""
_PARTS: Final = 10
"""A short retention is kept to a tenth of it."""
_LONGEST_WAIT_S: Final = 3_600.0


class PurgingWriter(Protocol):
    """What of a writer is needed here."""

    def purge(self, before: int, now: int, progress: Progress) -> Iterator[Removed]: ...
    def purged_until(self) -> int | None: ...


class PurgingRecorder(Protocol):
    """What of a recorder is needed here."""

    async def purge(self, before: int, at_least_ms: int, stop: asyncio.Event) -> None: ...


class Stopped(Exception):
    """The program is about to end: a purge can be finished by the next one."""


async def keep_within(retention_ms: int, recorder: PurgingRecorder, clock: Clock, stop: asyncio.Event) -> None:
    """Purge now and then until `stop` is set: nothing stays that is older than the retention and a day (or a tenth of
    the retention, if that is less)."""
    step_ms = max(1, min(_MOST_AT_ONCE_MS, retention_ms // _PARTS))
    while not stop.is_set():
        await recorder.purge(clock.now_ms() - retention_ms, step_ms, stop)
        await first_of(clock.sleep(min(_LONGEST_WAIT_S, step_ms / 1000)), stop.wait())


class Purge:
    """One purge, whose steps are made on the writer's thread, one call each."""

    def __init__(
        self,
        writer: PurgingWriter,
        call: Callable[..., "asyncio.Future[object]"],
        removed: Callable[[int], None],
    ) -> None:
        """`call` makes a call on the thread; `removed` is told how many transitions each step has removed."""
        self._writer = writer
        self._call = call
        self._removed = removed
        self._halt = threading.Event()

    async def run(self, before: int, now: int, at_least_ms: int, stop: asyncio.Event) -> None:
        """Purge until the instant `before` (ms), if the history reaches back so far before it, or until `stop`."""
        removed = Removed()
        try:
            since = await self._call(self._writer.purged_until)
            if not isinstance(since, int) or before - since < at_least_ms:
                return
            steps = self._writer.purge(before, now, self)
            while isinstance(step := await self._until(self._call(next, steps, None), stop), Removed):
                removed = removed.plus(step)
                self._removed(step.transitions)
        except Stopped:
            return
        except UNUSABLE as error:
            fields = {"before": utc_text(before), "error": str(error)}
            log.warning("the history could not be purged; it will be tried again", extra={"fields": fields})
            return
        fields = {"before": utc_text(before), "transitions": str(removed.transitions)}
        log.info("the history was purged", extra={"fields": fields})

    async def _until(self, step: "asyncio.Future[object]", stop: asyncio.Event) -> object:
        """What the step brings; if `stop` is set meanwhile, it is told to end."""
        await first_of(asyncio.wait([step]), stop.wait())
        if stop.is_set():
            self._halt.set()
        return await step

    def begin(self, what: str, total: int) -> None:
        """Called on the thread, like `advance`: nobody looks at how far it is."""
        self.advance(0)

    def advance(self, amount: int) -> None:
        """End the step if the program is to end."""
        if self._halt.is_set():
            raise Stopped
