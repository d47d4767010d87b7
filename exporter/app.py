"""The program that `serve` runs: poll loop, roster loop, recorder and web server on one event loop."""

import asyncio
import contextlib
import gc
import logging
import os
import platform
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from exporter import __version__, descriptors, logs
from exporter.clock import Clock, SystemClock, first_of
from exporter.daemon import DaemonThread
from exporter.history.connection import IMPOSSIBLE, impossible
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.metrics.instruments import Instruments
from exporter.model import EndReason, TrackerState
from exporter.program import LAST_WRITES_S, Parts, Program
from exporter.recorder import Recorder, RecorderObserver
from exporter.reloading import roster_choice
from exporter.settings import HistorySettings, Settings
from exporter.settings_text import effective
from exporter.surroundings import NO_SURROUNDINGS, Surroundings
from exporter.web.protection.security import WebSecurity
from exporter.web.reports.client import ReportProcess
from exporter.web.serving.listen import listeners
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.session import open_session
from exporter.zoho.throttle import WINDOW_S, Budget, requests_per_poll

log: Final = logging.getLogger(__name__)


def run(settings: Settings, reread: Callable[[], Settings], surroundings: Surroundings = NO_SURROUNDINGS) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. SIGHUP reloads; `reread` gives the settings anew then.

    Raises ExporterError for what is wrong at the start: the database, the addresses, the credentials, the agents file.
    """

    descriptors.allow_all()

    async def main() -> None:
        stop, reload_asked = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        loop.add_signal_handler(signal.SIGHUP, reload_asked.set)
        await serve(
            settings,
            stop,
            on_ready=leave_modules_alone,
            on_first_poll=leave_agents_alone,
            reread=reread,
            reload_asked=reload_asked,
            surroundings=surroundings,
        )

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())
    return 0


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    *,
    clock: Clock | None = None,
    on_ready: Callable[[tuple[str, ...]], None] = lambda urls: None,
    on_first_poll: Callable[[], None] = lambda: None,
    reread: Callable[[], Settings] | None = None,
    reload_asked: asyncio.Event | None = None,
    surroundings: Surroundings = NO_SURROUNDINGS,
) -> None:
    """The same as a coroutine that ends when `stop` is set; `on_ready` is told the addresses once they answer,
    and `on_first_poll` is called once a first good poll is shown.

    It reloads when `reload_asked` is set, and forgets then that it was. Without `reread` the settings stay as they are
    and only the files that they name are read anew.
    """
    clock = clock or SystemClock()
    choice = roster_choice(settings.agents)
    security = WebSecurity.load(settings.web.config_file)
    sockets = listeners(settings.web, surroundings.handed)
    try:
        instruments = Instruments(
            settings.metrics,
            settings.poll,
            __version__,
            revision(),
            clock=clock,
            exporter_metrics=not settings.web.disable_exporter_metrics,
        )
        async with _recorder(settings, clock, instruments, stop) as recorder:
            if recorder is None:
                return
            async with open_session(
                settings.api,
                settings.auth,
                clock=clock,
                observer=instruments,
                version=__version__,
                remember_secret=logs.remember_secret,
            ) as session:
                log.info("started", extra={"fields": effective(settings)})
                count_earlier_requests(session.budget, recorder.resumed, settings, clock)
                if session.memory.token is not None:
                    instruments.token_known(session.memory.token.expires_at)
                reports = ReportProcess(
                    settings.history.db, settings.history.classes, clock=clock, environment=surroundings.environment
                )
                parts = Parts(
                    settings, clock, instruments, recorder, session, choice, security, reports, surroundings.notifier
                )
                program = Program(parts, reread, on_first_poll)
                try:
                    await program.run(sockets, stop, reload_asked or asyncio.Event(), on_ready)
                finally:
                    await reports.close()
    finally:
        for listener in sockets:
            listener.close()


def open_history(settings: HistorySettings, run: RunInfo) -> HistoryWriter:
    """Open the history to write it. Raises DatabaseError, also for damage that SQLite does not notice."""
    try:
        return HistoryWriter.open(settings.db, run, mode=settings.mode)
    except IMPOSSIBLE as error:
        raise impossible(error, settings.db) from error


@asynccontextmanager
async def _recorder(
    settings: Settings, clock: Clock, observer: RecorderObserver, stop: asyncio.Event
) -> AsyncIterator[Recorder | None]:
    """Open the history on a thread of its own; end the run in good order afterwards.

    None if `stop` is set while it is not open yet: another program may hold it for seconds.
    """
    thread = DaemonThread("history")
    try:
        run = RunInfo(
            version=__version__,
            host=platform.node(),
            boot_id=_boot_id(),
            pid=os.getpid(),
            started=clock.now_ms(),
        )
        opening = asyncio.get_running_loop().run_in_executor(thread, open_history, settings.history, run)
        await first_of(asyncio.wait([opening]), stop.wait())
        if not opening.done():
            opening.cancel()
            yield None
            return
        recorder = Recorder(opening.result(), thread, clock, observer)
        try:
            yield recorder
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WRITES_S):
                    await recorder.close(EndReason.SHUTDOWN)
    finally:
        thread.shutdown()


def count_earlier_requests(budget: Budget, resumed: TrackerState, settings: Settings, clock: Clock) -> None:
    """Let the requests of a run just before this one count: a program that crashes and starts in a loop polls at each
    start, and must stay within --api.max-requests-per-minute all the same.
    """
    stretch = resumed.stretch
    if stretch is None:
        return
    requests = requests_per_poll(len(resumed.agents), settings.api)
    for polls_ago in range(stretch.polls):
        age_s = (clock.now_ms() - stretch.last_sent + polls_ago * stretch.interval_ms) / 1000
        if not 0 <= age_s < WINDOW_S:
            return
        budget.preload(Endpoint.STATUSES, requests, age_s)


def revision() -> str:
    """The revision that an image or package was built from, if the build left it beside the code; else ""."""
    file = Path(__file__).with_name("REVISION")
    return file.read_text("utf-8").strip() if file.is_file() else ""


def _boot_id() -> str:
    """Linux' id of this boot of the machine; "" elsewhere."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


def leave_modules_alone(_: tuple[str, ...]) -> None:
    """Let the garbage collector pass over what is there when the program serves: modules, which never become garbage.

    To look at them all takes some 15 ms each time, in which the event loop stands still.
    """
    gc.collect()
    gc.freeze()


def leave_agents_alone() -> None:
    """The same for what the first good poll has left: the agents, most of whom stay.

    Measured at 10,000 agents, one in twenty changing: a full collection, of which there is one in some fifty polls,
    takes 4 ms instead of 7. At 50,000 it takes 30 ms either way when all have changed. Nothing is collected before:
    that would take 7 ms, or 26, itself.
    """
    gc.freeze()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; it answers scrapes in less time, and nothing depends on it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
