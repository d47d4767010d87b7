"""The program that `serve` runs: poll loop, roster loop, recorder and web server on one event loop."""

import asyncio
import contextlib
import logging
import os
import platform
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from exporter import __version__, logs
from exporter.clock import Clock, SystemClock, first_of
from exporter.daemon import DaemonThread
from exporter.history.connection import IMPOSSIBLE, impossible
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.metrics.instruments import Instruments
from exporter.model import EndReason, Roster, TrackerState
from exporter.notify import Notifier
from exporter.poller import Poller
from exporter.recorder import Recorder, RecorderObserver
from exporter.reloading import Reloader, roster_choice
from exporter.retention import keep_within
from exporter.roster import RosterChoice, RosterKeeper
from exporter.settings import HistorySettings, Settings
from exporter.settings_text import effective
from exporter.surroundings import NO_SURROUNDINGS, Surroundings
from exporter.web.access import Access, access, all_loopback
from exporter.web.app import create_app
from exporter.web.edge import REFUSED
from exporter.web.heartbeat import Heartbeat
from exporter.web.listen import listeners, urls
from exporter.web.reports.client import ReportProcess
from exporter.web.security import WebSecurity
from exporter.web.server import serve as serve_web
from exporter.web.state import WebState
from exporter.web.updates import Updates
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.roster import read_roster
from exporter.zoho.session import Session, open_session
from exporter.zoho.throttle import WINDOW_S, Budget, lengthened_interval_s, requests_per_poll

log: Final = logging.getLogger(__name__)

_LAST_WRITES_S: Final = 1.5
"""How long a stopping program tries to write what is queued, and then to close the history; SIGTERM must end it within
five seconds."""


def run(settings: Settings, reread: Callable[[], Settings], surroundings: Surroundings = NO_SURROUNDINGS) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. SIGHUP reloads; `reread` gives the settings anew then.

    Raises ExporterError for what is wrong at the start: the database, the addresses, the credentials, the agents file.
    """

    async def main() -> None:
        stop, reload_asked = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        loop.add_signal_handler(signal.SIGHUP, reload_asked.set)
        await serve(settings, stop, reread=reread, reload_asked=reload_asked, surroundings=surroundings)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())
    return 0


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    *,
    clock: Clock | None = None,
    on_ready: Callable[[tuple[str, ...]], None] = lambda urls: None,
    reread: Callable[[], Settings] | None = None,
    reload_asked: asyncio.Event | None = None,
    surroundings: Surroundings = NO_SURROUNDINGS,
) -> None:
    """The same as a coroutine that ends when `stop` is set; `on_ready` is told the addresses once they answer.

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
                program = _Program(
                    settings,
                    clock,
                    instruments,
                    recorder,
                    session,
                    choice,
                    security,
                    reports,
                    reread,
                    surroundings.notifier,
                )
                try:
                    await program.run(sockets, stop, reload_asked or asyncio.Event(), on_ready)
                finally:
                    await reports.close()
    finally:
        for listener in sockets:
            listener.close()


class _Program:
    """The loops of one run, started and stopped together."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        instruments: Instruments,
        recorder: Recorder,
        session: Session,
        choice: RosterChoice,
        security: WebSecurity,
        reports: ReportProcess,
        reread: Callable[[], Settings] | None,
        notifier: Notifier,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._instruments = instruments
        self._recorder = recorder
        self._security = security
        self._updates = Updates()
        self._reports = reports
        self._notifier = notifier
        self._poller = Poller(
            session.sampler,
            recorder,
            instruments,
            clock,
            state=recorder.resumed,
            resumed_end=recorder.resumed_end,
            interval_s=_interval_for(settings),
            timeout_s=settings.api.timeout_s,
            publish=self._publish,
        )
        self._keeper = RosterKeeper(
            choice,
            lambda deadline: read_roster(session.client, deadline, clock),
            self._poller.use,
            instruments,
            clock,
        )
        self._reloader = Reloader(
            settings,
            choice,
            reread=reread or (lambda: settings),
            web_config=security,
            use=self._use,
            observer=instruments,
            publish=self._publish,
            announced=notifier.reloading,
        )
        if choice.needs_listing and recorder.resumed.agents:
            # Polls need not wait for the roster: those who were tracked are asked for until it says otherwise.
            self._poller.use(Roster({name: tracked.agent for name, tracked in recorder.resumed.agents.items()}, 0))

    async def run(
        self,
        sockets: Sequence[socket.socket],
        stop: asyncio.Event,
        reload_asked: asyncio.Event,
        on_ready: Callable[[tuple[str, ...]], None],
    ) -> None:
        await self._publish()
        addresses = urls(sockets, "https" if self._security.tls else "http")
        app = create_app(self._web_state(loopback=all_loopback(sockets)))
        last_writes, last_answers = asyncio.Event(), asyncio.Event()

        def ready() -> None:
            log.info("listening", extra={"fields": {"addresses": ",".join(addresses)}})
            self._notifier.ready()
            on_ready(addresses)

        async with asyncio.TaskGroup() as group:
            group.create_task(
                serve_web(
                    app,
                    sockets,
                    last_answers,
                    ready,
                    tls=self._security.tls,
                    admit=self._security.admit,
                    refused=lambda code: self._instruments.requests.answered(REFUSED, code),
                )
            )
            recording = group.create_task(self._recorder.run(last_writes))
            loops = [
                group.create_task(self._keeper.run(stop)),
                group.create_task(self._poller.run(stop)),
                group.create_task(self._reloader.when_asked(reload_asked, stop)),
                group.create_task(self._security.watch(stop, self._reloader.web_config_reread)),
            ]
            if self._settings.history.retention_ms is not None:
                retention = keep_within(self._settings.history.retention_ms, self._recorder, self._clock, stop)
                loops.append(group.create_task(retention))
            await stop.wait()
            log.info("stopping")
            self._notifier.stopping()
            self._updates.close()
            await asyncio.wait(loops)
            self._recorder.polls_have_ended(failing=self._poller.failing)
            last_writes.set()
            last_answers.set()
            await asyncio.wait([recording], timeout=_LAST_WRITES_S)
            recording.cancel()

    def _web_state(self, *, loopback: bool) -> WebState:
        web = self._settings.web

        def personal() -> Access:
            return access(web.pages, loopback=loopback, protected=self._security.config.protected)

        return WebState(
            web=web,
            instruments=self._instruments,
            clock=self._clock,
            heartbeat=Heartbeat(self._clock, self._notifier.alive),
            version=__version__,
            updates=self._updates,
            security=self._security,
            access=personal,
            reports=self._reports,
            config_text=lambda: self._reloader.text,
            reload=self._reloader.reload,
        )

    def _use(self, settings: Settings, choice: RosterChoice) -> None:
        """Put in force what a reload can change."""
        self._instruments.use_poll(settings.poll)
        self._poller.use_interval(_interval_for(settings))
        self._keeper.use_choice(choice)

    async def _publish(self) -> None:
        await self._instruments.publish_in_steps(self._clock.now_ms())
        self._updates.tell()


def _interval_for(settings: Settings) -> Callable[[int], float]:
    """The seconds between two polls, by the number of agents."""
    return lambda agents: lengthened_interval_s(agents, settings.api, settings.poll.interval_s)


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
                async with asyncio.timeout(_LAST_WRITES_S):
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


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; it answers scrapes in less time, and nothing depends on it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
