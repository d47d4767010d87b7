"""The program that `demo` runs: the simulator, a few days of recorded history, and `serve` against it."""

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final

from exporter import __version__, app
from exporter.backfill import Past, record_past
from exporter.clock import SystemClock
from exporter.demo_settings import DemoSettings
from exporter.errors import ExporterError, UsageError
from exporter.history.connection import resolve
from exporter.history.lock import WriterLock
from exporter.history.window import machine_zone
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import EndReason
from exporter.settings import (
    ApiSettings,
    AuthSettings,
    HistorySettings,
    MetricsSettings,
    PollSettings,
    Settings,
    WebSettings,
)
from exporter.simulator.faults import Switchboard
from exporter.simulator.server import RunningSimulator, run_simulator
from exporter.simulator.simulation import Simulation, SimulationSettings
from exporter.surroundings import Surroundings
from exporter.web.serving.listen import bind, parse_listen_address

_DB: Final = "zohovoice.db"
_NOTE: Final = "demo.json"
_INTERVAL_S: Final = 15.0
_CALLS_PER_AGENT_HOUR: Final = 6.0
"""So that mostly somebody is available, and now and then nobody."""
_DAY_MS: Final = 86_400_000
_MINUTE_MS: Final = 60_000
_TURNED_OFF: Final = ((27 * 60, 25), (5 * 60, 3))
"""When nobody was looking: (minutes before now, minutes long). A demo without unknown time would not show the point."""


def run(settings: DemoSettings, environment: Mapping[str, str]) -> int:
    """Fill the database unless it is filled, then serve until SIGTERM or SIGINT; returns the exit code.

    `environment` is what the process that makes reports may see.
    """
    told_to_stop = _sigterm_ends()
    for listener in bind([parse_listen_address(address) for address in settings.listen_addresses]):
        listener.close()  # whether the port can be had is better known before the database is filled
    stage = _Stage.prepare(settings)
    if not stage.filled:
        _fill(settings, stage, told_to_stop)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        if not told_to_stop():
            await serve(settings, stage, stop, environment)

    asyncio.run(main())
    return 0


def _sigterm_ends() -> Callable[[], bool]:
    """Let SIGTERM end the program with exit code 0 until a loop takes it over; whether it came is told by the result.

    An exception of a signal handler can get lost: where Python runs a finaliser it is printed and forgotten. So whoever
    works for long looks at the result, too. The way out closes what is being filled; the next demo begins it anew.
    """
    came: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        came.append(number)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    return lambda: bool(came)


@dataclass(frozen=True, slots=True)
class _Stage:
    """What an earlier demo in the same directory has settled, or this one settles."""

    directory: Path
    seed: int
    agents: int
    shifts_around: int
    filled: bool

    @property
    def db(self) -> Path:
        return self.directory / _DB

    @property
    def simulation(self) -> SimulationSettings:
        return SimulationSettings(
            seed=self.seed,
            agents=self.agents,
            timezone=machine_zone(None).key,
            shifts_around=self.shifts_around,
            calls_per_agent_hour=_CALLS_PER_AGENT_HOUR,
        )

    @classmethod
    def prepare(cls, settings: DemoSettings) -> "_Stage":
        """Make the directory, remove what must go, and say what holds. Raises ExporterError if it cannot be used."""
        directory = settings.directory
        try:
            directory.mkdir(mode=0o750 if settings.db_mode & 0o040 else 0o700, parents=True, exist_ok=True)
            kept = None if settings.fresh else cls._kept(directory)
            with _nobody_else(directory):
                # The simulator's tokens do not outlive it.
                (directory / "zohovoice-token.json").unlink(missing_ok=True)
                if kept is None:
                    return cls._anew(settings)
        except OSError as error:
            raise ExporterError(
                f"the demo cannot keep its data in {directory}: {error.strerror}; choose another place with --directory"
            ) from error
        if (kept.seed, kept.agents) != (settings.seed, settings.agents):
            raise UsageError(
                f"the demo in {directory} was made with --seed {kept.seed} and --agents {kept.agents}: "
                "give the same, or begin anew with --fresh"
            )
        return kept

    @classmethod
    def _anew(cls, settings: DemoSettings) -> "_Stage":
        """Remove what an earlier demo left, and say so before the database is made: only what is ours is removed."""
        directory = settings.directory
        if (directory / _DB).exists() and not (directory / _NOTE).exists():
            raise ExporterError(
                f"the database {directory / _DB} was not made by a demo and is left as it is; "
                "choose another place with --directory"
            )
        stage = cls(directory, settings.seed, settings.agents, SystemClock().now_ms(), filled=False)
        stage.settle()
        for name in (_DB, f"{_DB}-wal", f"{_DB}-shm"):
            (directory / name).unlink(missing_ok=True)
        return stage

    @classmethod
    def _kept(cls, directory: Path) -> "_Stage | None":
        """What the directory's last demo settled; None if there was none, or it was interrupted while it filled."""
        if not (directory / _DB).is_file():
            return None
        try:
            stored = json.loads((directory / _NOTE).read_text("utf-8"))
            if not stored.get("filled", True):
                return None
            return cls(directory, int(stored["seed"]), int(stored["agents"]), int(stored["shifts_around"]), filled=True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return None

    def settle(self) -> None:
        """Remember, so that the next demo in this directory goes on with it, or knows that it may begin anew."""
        stored = {
            "seed": self.seed,
            "agents": self.agents,
            "shifts_around": self.shifts_around,
            "filled": self.filled,
        }
        file = self.directory / _NOTE
        file.touch(mode=0o600)
        file.write_text(json.dumps(stored) + "\n", "utf-8")


@contextmanager
def _nobody_else(directory: Path) -> Iterator[None]:
    """Hold the lock of the demo's database, so that what is removed is not being written. Raises DatabaseError."""
    lock = WriterLock.acquire(resolve(directory / _DB))
    try:
        yield
    finally:
        lock.release()


def _fill(settings: DemoSettings, stage: _Stage, told_to_stop: Callable[[], bool]) -> None:
    clock = SystemClock()
    now = clock.now_ms()
    past = Past(
        since=now - settings.days * _DAY_MS,
        until=now,
        interval_ms=round(_INTERVAL_S * 1000),
        off=tuple((now - ago * _MINUTE_MS, now - (ago - length) * _MINUTE_MS) for ago, length in _TURNED_OFF),
    )
    run_info = RunInfo(version=__version__, host="demo", boot_id="", pid=os.getpid(), started=past.since)
    writer = HistoryWriter.open(stage.db, run_info, mode=settings.db_mode)
    try:
        with _progress_bar(settings.days, past.ticks) as show:

            def progress(done: int) -> None:
                if told_to_stop():
                    sys.exit(0)
                show(done)

            simulation = Simulation(stage.simulation, clock)
            state = record_past(simulation, writer, past, seed=settings.seed, progress=progress)
            # While the past was recorded it became longer.
            rest = replace(past, since=past.since + past.ticks * past.interval_ms, until=clock.now_ms())
            record_past(simulation, writer, rest, seed=settings.seed, progress=lambda done: None, state=state)
    finally:
        writer.close(clock.now_ms(), EndReason.SHUTDOWN)
    replace(stage, filled=True).settle()


@contextmanager
def _progress_bar(days: int, ticks: int) -> Iterator[Callable[[int], None]]:
    """Yields a function to be told how many of `ticks` are done; shown on stderr."""
    what = f"Recording {days} {'day' if days == 1 else 'days'} of history"
    if not sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=ticks)
        yield lambda done: bar.update(task, completed=done)


async def serve(settings: DemoSettings, stage: _Stage, stop: asyncio.Event, environment: Mapping[str, str]) -> None:
    """Run the simulator and, against it over HTTP, the same `serve` that a real account gets, until `stop` is set."""
    clock = SystemClock()
    simulation = Simulation(stage.simulation, clock)
    simulation.prepare(clock.now_ms())
    async with run_simulator(simulation, Switchboard(), port=settings.simulator_port) as simulator:
        await app.serve(
            _settings_against(simulator, settings, stage),
            stop,
            clock=clock,
            on_ready=lambda urls: _welcome(urls, simulator, stage, max(1, settings.days)),
            surroundings=Surroundings(environment=environment),
        )


def _settings_against(simulator: RunningSimulator, settings: DemoSettings, stage: _Stage) -> Settings:
    credentials = simulator.credentials
    return Settings(
        api=ApiSettings(url=simulator.url, accounts_url=simulator.url),
        auth=AuthSettings(
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            refresh_token=credentials.admin,
            token_cache=stage.directory / "zohovoice-token.json",
        ),
        poll=PollSettings(interval_s=_INTERVAL_S, max_age_s=3 * _INTERVAL_S),
        history=HistorySettings(db=stage.db, mode=settings.db_mode),
        metrics=MetricsSettings(names=True),
        web=WebSettings(
            listen_addresses=settings.listen_addresses, config_file=settings.web_config_file, pages=settings.pages
        ),
        log=settings.log,
    )


def _welcome(urls: tuple[str, ...], simulator: RunningSimulator, stage: _Stage, days: int) -> None:
    command = _command()
    db = shlex.quote(str(stage.db))
    lines = [
        "",
        f"  board       {urls[0]}/board",
        f"  timeline    {urls[0]}/timeline",
        f"  metrics     {urls[0]}/metrics",
        f"  simulator   {simulator.url}  ({stage.agents} agents, a poll every {_INTERVAL_S:g} s)",
        f"  data        {stage.directory}            (--fresh begins anew)",
        "",
        "Three reports to try in another terminal:",
        "",
        f"  {command} history summary --db {db} --since {days}d --team Sales",
        f"  {command} history at now --db {db}",
        f"  {command} history coverage --db {db} --since {days}d",
        "",
        "Ctrl-C ends the demo.",
    ]
    with suppress(OSError):  # who does not read this can have the demo all the same
        print("\n".join(lines), flush=True)


def _command() -> str:
    """How this program was called, for pasting."""
    called = Path(sys.argv[0])
    return f"{sys.executable} -m exporter" if called.name == "__main__.py" else shlex.quote(str(called))
