"""Reads configuration, agents file and web configuration file anew while the program runs: all of it, or nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final, Protocol

from exporter.agents_file import load_agents_file
from exporter.clock import first_of
from exporter.daemon import DaemonThread
from exporter.errors import ExporterError
from exporter.roster import RosterChoice
from exporter.settings import AgentsSettings, Settings
from exporter.settings_text import as_yaml, changed

log: Final = logging.getLogger(__name__)


class Rereadable(Protocol):
    """The web configuration."""

    def reread(self) -> bool:
        """Put the files in force as they are now; whether they say anything new. Blocks.

        Raises ExporterError, and leaves in force what was, if something is wrong.
        """
        ...


class ReloadObserver(Protocol):
    """Who wants to know how reloads go."""

    def config_loaded(self, *, successful: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """What the files say now."""

    settings: Settings
    in_force: Settings
    """With what takes a restart as it was before."""
    in_force_text: str
    choice: RosterChoice
    news: frozenset[str]
    """The names of the settings that are not what they were, or whose files are not."""


class Reloader:
    """Reloads, of which one is under way and one waits at most, and knows the settings that are in force."""

    def __init__(
        self,
        settings: Settings,
        choice: RosterChoice,
        *,
        reread: Callable[[], Settings],
        web_config: Rereadable,
        use: Callable[[Settings, RosterChoice], None],
        observer: ReloadObserver,
        publish: Callable[[], Awaitable[None]],
        announced: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`reread` blocks, and raises ExporterError. `use` puts poll settings and agents in force and cannot fail.

        `publish` shows what the observer was told. `announced` is entered while a reload is under way.
        """
        self._settings = settings
        self._text = as_yaml(settings)
        self._choice = choice
        self._reread = reread
        self._web_config = web_config
        self._use = use
        self._observer = observer
        self._publish = publish
        self._announced = announced
        self._one_at_a_time = asyncio.Lock()
        self._under_way: set[asyncio.Task[None]] = set()
        self._next: asyncio.Task[None] | None = None
        """The reload that has not begun yet."""
        self._reloaded_well = True
        self._web_config_is_good = True

    @property
    def text(self) -> str:
        """The settings in force as YAML. It is made when they change: a long list of ids takes a while."""
        return self._text

    async def reload(self) -> None:
        """Read everything anew, after the reload that is under way. Whoever asks before it has begun waits for the same
        one: it reads the files as all of them left them.

        Raises ExporterError, which is logged already, if something is wrong; then everything stays as it was.
        """
        if self._next is None or self._next.done():
            self._next = self._started(self._reload_in_turn())
        # Who asked may go away meanwhile: that must not leave half a reload behind.
        await asyncio.shield(self._next)

    async def when_asked(self, asked: asyncio.Event, stop: asyncio.Event) -> None:
        """Reload each time that `asked` is set (SIGHUP), until `stop` is."""
        while not stop.is_set():
            await first_of(asked.wait(), stop.wait())
            if asked.is_set() and not stop.is_set():
                asked.clear()
                await first_of(self._reload_for_nobody(), stop.wait())

    def web_config_reread(self, good: bool) -> None:
        """The web configuration was read anew because its files changed; `good`: and it is in force."""
        self._web_config_is_good = good
        self._started(self._tell_for_nobody())

    async def _reload_for_nobody(self) -> None:
        try:
            await self.reload()
        except Exception:  # noqa: BLE001 - it is logged, and the next reload may do better
            return

    async def _tell_for_nobody(self) -> None:
        try:
            await self._tell()
        except Exception:
            log.exception("the web configuration was reread, but metrics and pages do not tell of it yet")

    def _started(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        def done(task: asyncio.Task[None]) -> None:
            self._under_way.discard(task)
            if not task.cancelled():
                task.exception()  # it is logged, and nobody may be left to ask for it

        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(done)
        return task

    async def _reload_in_turn(self) -> None:
        async with self._one_at_a_time:
            self._next = None
            with self._announced():
                good = False
                try:
                    self._put_in_force(await self._found())
                    good = self._web_config_is_good = True
                except ExporterError as error:
                    log.error(
                        "nothing was reloaded, everything stays as it was", extra={"fields": {"error": str(error)}}
                    )
                    raise
                except Exception:
                    log.exception("nothing was reloaded, everything stays as it was")
                    raise
                finally:
                    self._reloaded_well = good
                    await self._tell()

    async def _found(self) -> _Found:
        thread = DaemonThread("reload")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, self._read)
        finally:
            thread.shutdown()

    def _read(self) -> _Found:
        """Blocks. The web configuration comes last, because it puts itself in force: nothing may fail after it."""
        before = self._settings
        settings = self._reread()
        choice = roster_choice(settings.agents)
        in_force = replace(before, poll=settings.poll, agents=settings.agents)
        news = set(changed(before, in_force))
        if choice.file_agents != self._choice.file_agents:
            news.add("agents.file")
        text = as_yaml(in_force)
        if self._web_config.reread():
            news.add("web.config.file")
        return _Found(settings, in_force, text, choice, frozenset(news))

    def _put_in_force(self, found: _Found) -> None:
        self._settings, self._text, self._choice = found.in_force, found.in_force_text, found.choice
        self._use(found.in_force, found.choice)
        log.info("the configuration was reloaded", extra={"fields": {"changed": ",".join(sorted(found.news))}})
        waiting = changed(found.in_force, found.settings)
        if waiting:
            log.warning(
                "these settings have changed too, and a restart puts them in force",
                extra={"fields": {"settings": ",".join(waiting)}},
            )

    async def _tell(self) -> None:
        self._observer.config_loaded(successful=self._reloaded_well and self._web_config_is_good)
        await self._publish()


def roster_choice(agents: AgentsSettings) -> RosterChoice:
    """Whom the settings and the agents file want to be tracked. Blocks. Raises UsageError for what is wrong in it."""
    return RosterChoice(agents, load_agents_file(agents.file) if agents.file else ())
