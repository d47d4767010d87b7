"""The loops of one run of `serve`, started and stopped together: polls, roster, recorder, reloads, web server."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from exporter import __version__
from exporter.clock import Clock
from exporter.metrics.instruments import Instruments
from exporter.model import Roster
from exporter.notify import Notifier
from exporter.poller import Poller
from exporter.recorder import Recorder
from exporter.reloading import Reloader
from exporter.retention import keep_within
from exporter.roster import RosterChoice, RosterKeeper
from exporter.settings import Settings
from exporter.web.access import Access, access, all_loopback
from exporter.web.app import create_app
from exporter.web.edge import REFUSED
from exporter.web.heartbeat import Heartbeat
from exporter.web.protection.security import WebSecurity
from exporter.web.reports.client import ReportProcess
from exporter.web.serving.listen import urls
from exporter.web.serving.server import serve as serve_web
from exporter.web.state import WebState
from exporter.web.updates import Updates
from exporter.zoho.roster import read_roster
from exporter.zoho.session import Session
from exporter.zoho.throttle import lengthened_interval_s

log: Final = logging.getLogger(__name__)

LAST_WRITES_S: Final = 1.5
"""How long a stopping program tries to write what is queued, and then to close the history; SIGTERM must end it within
five seconds."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a program is put together from; each was made and is closed by who runs it."""

    settings: Settings
    clock: Clock
    instruments: Instruments
    recorder: Recorder
    session: Session
    choice: RosterChoice
    security: WebSecurity
    reports: ReportProcess
    notifier: Notifier


class Program:
    """The loops of one run, started and stopped together."""

    def __init__(
        self,
        parts: Parts,
        reread: Callable[[], Settings] | None = None,
        on_first_poll: Callable[[], None] | None = None,
    ) -> None:
        """`reread` gives the settings anew at a reload; without it they stay as they are.

        `on_first_poll` is called once, when a first good poll is shown.
        """
        self._parts = parts
        self._on_first_poll = on_first_poll
        self._updates = Updates()
        settings, recorder, clock = parts.settings, parts.recorder, parts.clock
        self._poller = Poller(
            parts.session.sampler,
            recorder,
            parts.instruments,
            clock,
            state=recorder.resumed,
            resumed_end=recorder.resumed_end,
            interval_s=_interval_for(settings),
            timeout_s=settings.api.timeout_s,
            publish=self._publish,
        )
        self._keeper = RosterKeeper(
            parts.choice,
            lambda deadline: read_roster(parts.session.client, deadline, clock),
            self._poller.use,
            parts.instruments,
            clock,
        )
        self._reloader = Reloader(
            settings,
            parts.choice,
            reread=reread or (lambda: settings),
            web_config=parts.security,
            use=self._use,
            observer=parts.instruments,
            publish=self._publish,
            announced=parts.notifier.reloading,
        )
        if parts.choice.needs_listing and recorder.resumed.agents:
            # Polls need not wait for the roster: those who were tracked are asked for until it says otherwise.
            self._poller.use(Roster({name: tracked.agent for name, tracked in recorder.resumed.agents.items()}, 0))

    async def run(
        self,
        sockets: Sequence[socket.socket],
        stop: asyncio.Event,
        reload_asked: asyncio.Event,
        on_ready: Callable[[tuple[str, ...]], None],
    ) -> None:
        """Serve on `sockets` until `stop` is set, then end all loops in good order.

        Reloads when `reload_asked` is set, and clears it. `on_ready` is told the addresses once they answer.
        """
        await self._publish()
        addresses = urls(sockets, "https" if self._parts.security.tls else "http")
        app = create_app(self._web_state(loopback=all_loopback(sockets)))
        last_writes, last_answers = asyncio.Event(), asyncio.Event()

        def ready() -> None:
            log.info("listening", extra={"fields": {"addresses": ",".join(addresses)}})
            self._parts.notifier.ready()
            on_ready(addresses)

        async with asyncio.TaskGroup() as group:
            group.create_task(
                serve_web(
                    app,
                    sockets,
                    last_answers,
                    ready,
                    tls=self._parts.security.tls,
                    admit=self._parts.security.admit,
                    refused=lambda code: self._parts.instruments.requests.answered(REFUSED, code),
                )
            )
            recording = group.create_task(self._parts.recorder.run(last_writes))
            loops = [
                group.create_task(self._keeper.run(stop)),
                group.create_task(self._poller.run(stop)),
                group.create_task(self._reloader.when_asked(reload_asked, stop)),
                group.create_task(self._parts.security.watch(stop, self._reloader.web_config_reread)),
            ]
            if self._parts.settings.history.retention_ms is not None:
                retention = keep_within(
                    self._parts.settings.history.retention_ms, self._parts.recorder, self._parts.clock, stop
                )
                loops.append(group.create_task(retention))
            await stop.wait()
            log.info("stopping")
            self._parts.notifier.stopping()
            self._updates.close()
            await asyncio.wait(loops)
            self._parts.recorder.polls_have_ended(failing=self._poller.failing)
            last_writes.set()
            last_answers.set()
            await asyncio.wait([recording], timeout=LAST_WRITES_S)
            recording.cancel()

    def _web_state(self, *, loopback: bool) -> WebState:
        web = self._parts.settings.web

        def personal() -> Access:
            return access(web.pages, loopback=loopback, protected=self._parts.security.config.protected)

        return WebState(
            web=web,
            instruments=self._parts.instruments,
            clock=self._parts.clock,
            heartbeat=Heartbeat(self._parts.clock, self._parts.notifier.alive),
            version=__version__,
            updates=self._updates,
            security=self._parts.security,
            access=personal,
            reports=self._parts.reports,
            config_text=lambda: self._reloader.text,
            reload=self._reloader.reload,
        )

    def _use(self, settings: Settings, choice: RosterChoice) -> None:
        """Put in force what a reload can change."""
        self._parts.instruments.use_poll(settings.poll)
        self._poller.use_interval(_interval_for(settings))
        self._keeper.use_choice(choice)

    async def _publish(self) -> None:
        await self._parts.instruments.publish_in_steps(self._parts.clock.now_ms())
        self._updates.tell()
        if self._on_first_poll is not None and self._parts.instruments.ready:
            self._on_first_poll()
            self._on_first_poll = None


def _interval_for(settings: Settings) -> Callable[[int], float]:
    """The seconds between two polls, by the number of agents."""
    return lambda agents: lengthened_interval_s(agents, settings.api, settings.poll.interval_s)
