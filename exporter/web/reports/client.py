"""The process that makes reports, as the event loop sees it.

The calls that wait for pipes and processes are made on a thread of their own: to start a process can take longer than
the event loop may stand still.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter import __version__
from exporter.clock import Clock, SystemClock
from exporter.daemon import DaemonThread
from exporter.history.classes import Classes
from exporter.web.reports import frames
from exporter.web.reports.child import Child
from exporter.web.reports.request import ReportReply, ReportRequest, refused

log: Final = logging.getLogger(__name__)

_PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TZ")
_GRACE_S: Final = 2.0
"""How much longer than its time limit the process gives itself, in case nobody is left to end it."""

_TOO_SLOW: Final = (
    "this report takes longer than the {seconds:g} seconds that one may take and was given up: ask for a shorter "
    "window (since, until), for fewer agents (agent, team), or for longer intervals (step)"
)
_TOO_MANY: Final = "{waiting} reports are waiting to be made, and there can be no more: try again in a moment"
_DIED: Final = "the process that makes reports ended while it made this one; the log of the exporter says why"
_NOT_STARTED: Final = "the process that makes reports could not be started; the log of the exporter says why"
_STOPPING: Final = "the exporter is stopping"


@dataclass(frozen=True, slots=True)
class Limits:
    """What reports may cost."""

    seconds: float = 10.0
    """For one report; the start of the process counts in."""
    waiting: int = 8
    """Reports asked for and not yet answered, the one being made among them."""
    memory_bytes: int = 1 << 30
    """The address space of the process."""
    idle_s: float = 300.0
    """After so long without a request the process ends by itself."""


def environment_for_reports(environment: Mapping[str, str]) -> dict[str, str]:
    """What of a process' environment is needed to make reports; secrets are not."""
    return {name: environment[name] for name in _PASSED_ON if name in environment}


class ReportProcess:
    """Asks a process of its own for reports, one at a time; it is started when the first one is asked for."""

    def __init__(
        self,
        db: Path,
        classes: Classes,
        *,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`environment` is the whole of what the process gets; see `environment_for_reports`."""
        self._db = db
        self._classes = classes
        self._clock: Clock = clock or SystemClock()
        self._environment = dict(environment or {})
        self._limits = limits or Limits()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._closed = False
        self._thread: DaemonThread | None = None
        self._child: Child | None = None
        self._job: _Job | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process; None if there is none."""
        child = self._child
        return child.pid if child is not None and child.alive else None

    async def ask(self, request: ReportRequest) -> ReportReply:
        """See `Reports`. Who stops waiting for the answer gives it up: the process is then ended, if it is at it."""
        if self._waiting >= self._limits.waiting:
            sentence = _TOO_MANY.format(waiting=self._limits.waiting)
            return refused(request.form, 503, sentence, (("retry-after", "5"),))
        self._waiting += 1
        try:
            async with self._turn:
                if self._closed:
                    return refused(request.form, 503, _STOPPING)
                return await self._made(request)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the process; what is being asked for, now and later, is refused."""
        self._closed = True
        if self._job is not None:
            self._job.give_up()
        with contextlib.suppress(TimeoutError):  # not even a killed process ends while a disk hangs
            async with asyncio.timeout(_GRACE_S), self._turn:
                if self._thread is not None:
                    await asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        if self._thread is not None:
            self._thread.shutdown()

    async def _made(self, request: ReportRequest) -> ReportReply:
        task = frames.Task(request, self._db, self._classes, __version__, self._clock.now_ms())
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._answered(frames.task_frame(task))
        except TimeoutError:
            log.warning("a report took too long", extra={"fields": {"report": request.name}})
            return refused(request.form, 504, _TOO_SLOW.format(seconds=self._limits.seconds))
        except frames.Ended:
            return refused(request.form, 503 if self._closed else 500, _STOPPING if self._closed else _DIED)
        except OSError as error:
            log.warning("the process that makes reports could not be started", extra={"fields": {"error": str(error)}})
            return refused(request.form, 503, _NOT_STARTED, (("retry-after", "30"),))

    async def _answered(self, frame: bytes) -> ReportReply:
        """The answer to a request. If this is cancelled the process is ended, which frees the thread."""
        if self._thread is None:
            self._thread = DaemonThread("reports")
        job = self._job = _Job()
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._answer, job, frame)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            job.give_up()
            answer.add_done_callback(_forget)
            raise
        finally:
            self._job = None

    # On the thread

    def _answer(self, job: "_Job", frame: bytes) -> ReportReply:
        reused = self._child is not None
        try:
            return self._exchange(job, frame)
        except frames.Ended:
            self._end()
            if not reused or job.given_up:
                raise
            # It had ended before, because nothing was asked for long or after a report that was too large.
            return self._exchange(job, frame)

    def _exchange(self, job: "_Job", frame: bytes) -> ReportReply:
        if self._child is None:
            limits = self._limits
            arguments = (limits.seconds + _GRACE_S, limits.memory_bytes, limits.idle_s)
            self._child = Child([str(argument) for argument in arguments], self._environment)
        job.waits_for(self._child)
        return self._child.exchange(frame)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Job:
    """A request that is being answered; the event loop and the thread both look at it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self.given_up = False

    def waits_for(self, child: Child) -> None:
        """The thread is going to wait for `child`, which is ended if nobody waits for the answer any more."""
        with self._lock:
            self._child = child
            if self.given_up:
                child.kill()

    def give_up(self) -> None:
        """Nobody waits for the answer any more."""
        with self._lock:
            self.given_up = True
            if self._child is not None:
                self._child.kill()


def _forget(answer: "asyncio.Future[ReportReply]") -> None:
    """What comes of a request that was given up is of no interest."""
    if not answer.cancelled():
        answer.exception()
