"""Hands the facts of each poll to the one database writer, and keeps them while it cannot write."""

import asyncio
import contextlib
import functools
import logging
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Final, ParamSpec, Protocol, TypeVar

from exporter.clock import Clock, first_of, utc_text
from exporter.history.connection import UNUSABLE
from exporter.history.writer import HistoryStatistics, HistoryWriter
from exporter.incidents import Incidents
from exporter.model import Agent, AgentId, EndReason, PollFacts, TrackerState
from exporter.retention import Purge
from exporter.tracker import LatePoll, Pace, advance
from exporter.waiting import Waiting

P = ParamSpec("P")
R = TypeVar("R")

log: Final = logging.getLogger(__name__)

PENDING_LIMIT: Final = 200_000
"""Facts kept in memory while the database cannot be written: a poll is one, and so is each of its transitions.

A poll takes some 500 bytes and a transition 150, so they are 100 MB at the most: 69 days of polls each 30 s in which
nothing happens, or 15 days of 100 agents who each change their status 100 times a day.
"""

_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 30.0


class RecorderObserver(Protocol):
    """Who wants to know how the writing goes."""

    def history_written(self, transitions: int, seconds: float) -> None: ...
    def history_write_failed(self) -> None: ...
    def history_pending(self, transitions: int) -> None: ...
    def history_lost(self, transitions: int) -> None: ...
    def history_gap(self) -> None: ...
    def history_statistics(self, statistics: HistoryStatistics) -> None: ...
    def history_pruned(self, transitions: int) -> None: ...


@dataclass(slots=True)
class _Failing:
    """A row of failed attempts to write: since when (monotonic seconds), and what they said."""

    since: float
    errors: set[str] = field(default_factory=set)


class Recorder:
    """Writes facts in order, each poll's in one transaction, on a thread of its own; never blocks the event loop.

    A history that cannot be written does not fail a poll. Facts wait in memory, at most `limit` of them; beyond that
    all that wait are given up together and counted, and the next poll is compared with what was last *written*. The
    history then shows a gap where the facts are missing: time that nobody recorded is unknown, never guessed. The log
    says at once from when to when that is, and an incident in the history as soon as it can be written.
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
        self._waiting = Waiting(self.resumed)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._failing: _Failing | None = None
        self._flight: asyncio.Future[tuple[int, HistoryStatistics | None]] | None = None
        """The first facts being written at this moment, on the thread."""
        self._polls_failed = False
        self._gave_up = False
        """Whether polls were given up since the last one that is written or waits."""
        self._refusing = False
        self._refused_step_ms = 0
        """How far the clock stepped with polls that were refused: the next one accepted begins a stretch for it.

        Nobody saw a step between two runs, so it is at least what makes the polls late.
        """
        self._incidents = Incidents(self._write_incident)

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
        if before is not self._waiting.queued:
            # Facts were given up, or polls refused: compare with what the history really knows.
            poll = replace(facts.poll, clock_step_ms=facts.poll.clock_step_ms + self._refused_step_ms)
            try:
                after, facts = advance(self._waiting.queued, poll, agents, pace, lost=self._gave_up)
            except LatePoll as late:
                self._refuse(late)
                self._refused_step_ms = min(poll.clock_step_ms, late.received - late.recorded - 1)
                return after
        self._refusing, self._refused_step_ms, self._gave_up = False, 0, False
        if facts.poll.clock_step_ms:
            detail = f"the wall clock stepped by {facts.poll.clock_step_ms} ms, as far as is known"
            self._incidents.note(facts.poll.received, "clock step", detail)
        self._append(facts, after)
        if self._waiting.weight > self._limit:
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
            if self._failing is None:
                if stop.is_set():
                    self._incidents.note_what_was_lost()
                await self._incidents.write()
            if not self._waiting:
                self._idle.set()
                if stop.is_set():
                    return
                await self._wait_for_work(stop)
                continue
            if await self._write(self._waiting.first):
                wait_s = _FIRST_RETRY_S
            elif stop.is_set():
                self._give_up()
            elif self._waiting:
                await self._pause(stop, wait_s)
                wait_s = min(wait_s * 2, _LONGEST_RETRY_S)

    async def purge(self, before: int, at_least_ms: int, stop: asyncio.Event) -> None:
        """Remove what was recorded before the instant `before` (ms) if it reaches back so far before that.

        In steps, between which polls are written, until `stop` is set. A failure is logged.
        """
        if self._failing is None:
            purge = Purge(self._writer, self._call, self._observer.history_pruned)
            await purge.run(before, self._clock.now_ms(), at_least_ms, stop)

    async def settled(self, seconds: float) -> None:
        """Wait until nothing is queued, but not longer than `seconds`, and not at all while writing fails."""
        if self._failing is not None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return

    async def close(self, reason: EndReason) -> None:
        """End the run in the database and close it. A failure is logged, and so is what still waits and is lost."""
        self._give_up()
        try:
            await self._call(self._writer.close, self._clock.now_ms(), reason, self._end_of_stretch(reason))
        except UNUSABLE as error:
            log.error("the history could not be closed in good order", extra={"fields": {"error": str(error)}})
        except asyncio.CancelledError:
            log.error("the history could not be closed in time; the next start will take this run for crashed")
            raise
        finally:
            self._land()
            self._incidents.give_up("the program ends")

    def _end_of_stretch(self, reason: EndReason) -> EndReason:
        """Why the latest stretch ended if the run ends now: polls may have come to nothing for a while already."""
        stretch = self._waiting.written.stretch
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
            self._incidents.note(late.received, "late polls", f"{late}; polls until then are refused")
            self._wake.set()

    def _append(self, facts: PollFacts, after: TrackerState) -> None:
        self._waiting.add(facts, after)
        self._idle.clear()
        self._wake.set()
        self._report_pending()

    def _give_up(self) -> None:
        """Forget all that waits, and say what is lost and from when to when.

        What the thread is writing at this moment is kept: it may well succeed, and the next facts must follow it.
        """
        lost = self._waiting.give_up(but_the_first=self._flight is not None)
        if lost is None:
            return
        log.error(
            "facts that could not be written are given up; their time will be unknown in the history",
            extra={
                "fields": {
                    "polls": lost.polls,
                    "transitions": lost.transitions,
                    "first_received": utc_text(lost.first),
                    "last_received": utc_text(lost.last),
                }
            },
        )
        self._observer.history_lost(lost.transitions)
        self._gave_up = True
        self._incidents.lose(lost)
        self._report_pending()

    def _land(self) -> None:
        """No more is written: what the thread was writing when it was given up is written by now, or it is lost."""
        flight, self._flight = self._flight, None
        if flight is not None and flight.done() and not flight.cancelled() and flight.exception() is None:
            self._waiting.first_is_written()
        self._give_up()

    async def _write(self, facts: PollFacts) -> bool:
        started = self._clock.monotonic()
        flight = self._flight = self._call(_append_and_measure, self._writer, facts)
        # Nobody may be left to ask for it. Who stops waiting must not forget it: the thread goes on.
        flight.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            written, statistics = await asyncio.shield(flight)
        except sqlite3.IntegrityError as error:
            # Trying again would fail again, for ever: better a gap in the history than no history from here on.
            self._observer.history_write_failed()
            log.error("the history refuses facts that contradict it", extra={"fields": {"error": str(error)}})
            self._flight = None
            self._give_up()
            await self._start_from_the_file()
            return False
        except UNUSABLE as error:
            self._flight = None
            self._failed(str(error))
            return False
        self._flight = None
        self._waiting.first_is_written()
        self._succeeded()
        if facts.previous_ended is not None:
            self._observer.history_gap()
        self._observer.history_written(written, self._clock.monotonic() - started)
        if statistics is not None:
            self._observer.history_statistics(statistics)
        self._report_pending()
        return True

    def _failed(self, error: str) -> None:
        """Writing has failed and will be tried again; each cause is news once."""
        self._observer.history_write_failed()
        failing = self._failing = self._failing or _Failing(self._clock.monotonic())
        if error not in failing.errors:
            failing.errors.add(error)
            log.error(
                "the history cannot be written; polls go on and their facts wait in memory",
                extra={"fields": {"error": error}},
            )

    def _succeeded(self) -> None:
        """Facts are written."""
        failing, self._failing = self._failing, None
        if failing is not None:
            fields = {
                "failed_for_s": round(self._clock.monotonic() - failing.since, 3),
                "waiting_polls": len(self._waiting),
            }
            log.info("the history can be written again", extra={"fields": fields})
        self._incidents.note_what_was_lost()

    async def _write_incident(self, at: int, kind: str, detail: str) -> None:
        await self._call(self._writer.incident, at, kind, detail)

    async def _start_from_the_file(self) -> None:
        """Compare the next poll with what the file really holds, since it is not what was thought."""
        try:
            state = await self._call(self._writer.reread)
        except UNUSABLE as error:
            log.warning("the history could not be read again", extra={"fields": {"error": str(error)}})
            return
        self._waiting.found(state)

    def _report_pending(self) -> None:
        self._observer.history_pending(self._waiting.transitions)

    async def _wait_for_work(self, stop: asyncio.Event) -> None:
        self._wake.clear()
        await first_of(self._wake.wait(), stop.wait())

    async def _pause(self, stop: asyncio.Event, seconds: float) -> None:
        await first_of(self._clock.sleep(seconds), stop.wait())

    def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        call = functools.partial(function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._thread, call)


def _append_and_measure(writer: HistoryWriter, facts: PollFacts) -> tuple[int, HistoryStatistics | None]:
    """Runs on the writer's thread. Once `append` has returned the facts are on disk, whatever comes after."""
    written = writer.append(facts)
    try:
        return written, writer.statistics()
    except (sqlite3.Error, OSError):
        return written, None
