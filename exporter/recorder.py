"""Hands the facts of each poll to the one database writer, and keeps them while it cannot write."""

import asyncio
import contextlib
import functools
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Final, ParamSpec, Protocol, TypeVar

from exporter.clock import Clock, first_of, utc_text
from exporter.errors import DatabaseError
from exporter.history.writer import HistoryStatistics, HistoryWriter
from exporter.model import Agent, AgentId, EndReason, PollFacts, TrackerState
from exporter.tracker import LatePoll, Pace, advance

P = ParamSpec("P")
R = TypeVar("R")

log: Final = logging.getLogger(__name__)

PENDING_LIMIT: Final = 200_000
"""Facts kept in memory while the database cannot be written; each takes some 200 bytes."""

_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 30.0


class RecorderObserver(Protocol):
    """Who wants to know how the writing goes."""

    def history_written(self, transitions: int, seconds: float) -> None: ...
    def history_write_failed(self) -> None: ...
    def history_pending(self, transitions: int) -> None: ...
    def history_lost(self, transitions: int) -> None: ...
    def history_statistics(self, statistics: HistoryStatistics) -> None: ...


@dataclass(frozen=True, slots=True)
class _Pending:
    facts: PollFacts
    state: TrackerState
    """The state once these facts are written."""

    @property
    def weight(self) -> int:
        return 1 + len(self.facts.transitions)


class Recorder:
    """Writes facts in order, each poll's in one transaction, on a thread of its own; never blocks the event loop.

    A history that cannot be written does not fail a poll. Facts wait in memory, at most `limit` of them; beyond that
    all that wait are given up together and counted, and the next poll is compared with what was last *written*. The
    history then shows a gap where the facts are missing: time that nobody recorded is unknown, never guessed.
    """

    def __init__(
        self,
        writer: HistoryWriter,
        thread: Executor,
        clock: Clock,
        observer: RecorderObserver,
        *,
        limit: int = PENDING_LIMIT,
    ) -> None:
        """`thread` is the single thread that opened `writer`: SQLite connections stay on theirs."""
        self.resumed: Final = writer.resumed
        """What the history knew when it was opened."""
        self.resumed_end: Final = writer.resumed_end
        """Why the latest stretch in it had ended; None for an empty history."""
        self._writer = writer
        self._thread = thread
        self._clock = clock
        self._observer = observer
        self._limit = limit
        self._queue: deque[_Pending] = deque()
        self._weight = 0
        self._written: TrackerState = self.resumed
        self._queued: TrackerState = self.resumed
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._failing_since: float | None = None
        self._in_flight = False
        self._polls_failed = False
        self._gave_up = False
        """Whether polls were given up since the last one that is written or waits."""
        self._refusing = False
        self._refused_step_ms = 0
        """How far the clock stepped with polls that were refused: the next one accepted begins a stretch for it.

        Nobody saw a step between two runs, so it is at least what makes the polls late.
        """
        self._incidents: deque[tuple[int, str, str]] = deque(maxlen=1_000)

    def record(
        self,
        before: TrackerState,
        facts: PollFacts,
        after: TrackerState,
        agents: Mapping[AgentId, Agent],
        pace: Pace,
    ) -> TrackerState:
        """Queue what a poll added when it took the tracker from `before` to `after`.

        Returns the state that the next poll is to be compared with: `after`, unless the history knows otherwise.
        """
        if before is not self._queued:
            # Facts were given up, or polls refused: compare with what the history really knows.
            poll = replace(facts.poll, clock_step_ms=facts.poll.clock_step_ms + self._refused_step_ms)
            try:
                after, facts = advance(self._queued, poll, agents, pace, lost=self._gave_up)
            except LatePoll as late:
                self._refuse(late)
                self._refused_step_ms = min(poll.clock_step_ms, late.received - late.recorded - 1)
                return after
        self._refusing, self._refused_step_ms, self._gave_up = False, 0, False
        if facts.poll.clock_step_ms:
            detail = f"the wall clock stepped by {facts.poll.clock_step_ms} ms, as far as is known"
            self._note(facts.poll.received, "clock step", detail)
        self._append(_Pending(facts, after))
        if self._weight > self._limit:
            self._give_up()
        return after

    def polls_have_ended(self, *, failing: bool) -> None:
        """No poll will follow; `failing` says that the last ones came to nothing."""
        self._polls_failed = failing

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is queued until `stop` is set and nothing is left that can be written."""
        # How much the history holds is worth knowing also before there is anything to write.
        with contextlib.suppress(sqlite3.Error, OSError):
            self._observer.history_statistics(await self._call(self._writer.statistics))
        wait_s = _FIRST_RETRY_S
        while True:
            await self._write_incidents()
            if not self._queue:
                self._idle.set()
                if stop.is_set():
                    return
                await self._wait_for_work(stop)
                continue
            if await self._write(self._queue[0]):
                wait_s = _FIRST_RETRY_S
            elif stop.is_set():
                self._give_up()
            elif self._queue:
                await self._pause(stop, wait_s)
                wait_s = min(wait_s * 2, _LONGEST_RETRY_S)

    async def settled(self, seconds: float) -> None:
        """Wait until nothing is queued, but not longer than `seconds`, and not at all while writing fails."""
        if self._failing_since is not None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return

    async def close(self, reason: EndReason) -> None:
        """End the run in the database and close it; a failure is logged, for the run's facts are already on disk."""
        try:
            await self._call(self._writer.close, self._clock.now_ms(), reason, self._end_of_stretch(reason))
        except (sqlite3.Error, OSError, DatabaseError) as error:
            log.error("the history could not be closed in good order", extra={"fields": {"error": str(error)}})

    def _end_of_stretch(self, reason: EndReason) -> EndReason:
        """Why the latest stretch ended if the run ends now: polls may have come to nothing for a while already."""
        stretch = self._written.stretch
        if self._gave_up:
            return EndReason.NOT_WRITTEN
        silent = stretch is not None and self._clock.now_ms() - stretch.last > stretch.gap_limit_ms
        return EndReason.POLL_FAILURE if silent and self._polls_failed else reason

    def _refuse(self, late: LatePoll) -> None:
        """A poll that falls into the past already written is not recorded; the first of a row is noted."""
        if not self._refusing:
            self._refusing = True
            log.warning(
                "the wall clock was set back: polls are not recorded until it passes the last recorded one",
                extra={"fields": {"received": utc_text(late.received), "recorded": utc_text(late.recorded)}},
            )
            self._note(late.received, "late polls", f"{late}; polls until then are refused")

    def _note(self, at: int, kind: str, detail: str) -> None:
        self._incidents.append((at, kind, detail))
        self._wake.set()

    async def _write_incidents(self) -> None:
        """Incidents are notes beside the facts: one that cannot be written is logged and forgotten."""
        while self._incidents:
            at, kind, detail = self._incidents.popleft()
            try:
                await self._call(self._writer.incident, at, kind, detail)
            except (sqlite3.Error, OSError, DatabaseError) as error:
                fields = {"kind": kind, "detail": detail, "error": str(error)}
                log.warning("an incident was not noted", extra={"fields": fields})

    def _append(self, pending: _Pending) -> None:
        self._queue.append(pending)
        self._weight += pending.weight
        self._queued = pending.state
        self._idle.clear()
        self._wake.set()
        self._report_pending()

    def _give_up(self) -> None:
        """Forget all that waits, and say what is lost and from when to when.

        What the thread is writing at this moment is kept: it may well succeed, and the next facts must follow it.
        """
        kept = [self._queue.popleft()] if self._in_flight else []
        if self._queue:
            first, last = self._queue[0].facts.poll, self._queue[-1].facts.poll
            lost = sum(len(pending.facts.transitions) for pending in self._queue)
            log.error(
                "facts that could not be written are given up; their time will be unknown in the history",
                extra={
                    "fields": {
                        "polls": len(self._queue),
                        "transitions": lost,
                        "first_received": utc_text(first.received),
                        "last_received": utc_text(last.received),
                    }
                },
            )
            self._observer.history_lost(lost)
        self._queue = deque(kept)
        self._weight = sum(pending.weight for pending in kept)
        self._queued = kept[0].state if kept else self._written
        self._gave_up = True
        self._report_pending()

    async def _write(self, pending: _Pending) -> bool:
        started = self._clock.monotonic()
        self._in_flight = True
        try:
            written, statistics = await self._call(_append_and_measure, self._writer, pending.facts)
        except sqlite3.IntegrityError as error:
            # Trying again would fail again, for ever: better a gap in the history than no history from here on.
            self._observer.history_write_failed()
            log.error("the history refuses facts that contradict it", extra={"fields": {"error": str(error)}})
            self._in_flight = False
            self._give_up()
            await self._start_from_the_file()
            return False
        except (sqlite3.Error, OSError, DatabaseError) as error:
            self._observer.history_write_failed()
            if self._failing_since is None:
                self._failing_since = self._clock.monotonic()
                log.error(
                    "the history cannot be written; polls go on and their facts wait in memory",
                    extra={"fields": {"error": str(error)}},
                )
            return False
        finally:
            self._in_flight = False
        self._queue.popleft()
        self._weight -= pending.weight
        self._written = pending.state
        if self._failing_since is not None:
            failed_for_s = round(self._clock.monotonic() - self._failing_since, 3)
            log.info("the history can be written again", extra={"fields": {"failed_for_s": failed_for_s}})
            self._failing_since = None
        self._observer.history_written(written, self._clock.monotonic() - started)
        if statistics is not None:
            self._observer.history_statistics(statistics)
        self._report_pending()
        return True

    async def _start_from_the_file(self) -> None:
        """Compare the next poll with what the file really holds, since it is not what was thought."""
        try:
            state = await self._call(self._writer.reread)
        except (sqlite3.Error, OSError, DatabaseError) as error:
            log.warning("the history could not be read again", extra={"fields": {"error": str(error)}})
            return
        self._written = state
        if not self._queue:
            self._queued = state

    def _report_pending(self) -> None:
        self._observer.history_pending(sum(len(pending.facts.transitions) for pending in self._queue))

    async def _wait_for_work(self, stop: asyncio.Event) -> None:
        self._wake.clear()
        await first_of(self._wake.wait(), stop.wait())

    async def _pause(self, stop: asyncio.Event, seconds: float) -> None:
        await first_of(self._clock.sleep(seconds), stop.wait())

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _append_and_measure(writer: HistoryWriter, facts: PollFacts) -> tuple[int, HistoryStatistics | None]:
    """Runs on the writer's thread. Once `append` has returned the facts are on disk, whatever comes after."""
    written = writer.append(facts)
    try:
        return written, writer.statistics()
    except (sqlite3.Error, OSError):
        return written, None
