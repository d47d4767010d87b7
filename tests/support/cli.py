"""Runs the command line in this process, exactly as the console script does, and a simulator for it to talk to."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from unittest.mock import patch

from exporter import logs
from exporter.__main__ import main
from exporter.clock import SystemClock
from exporter.simulator.faults import Switchboard
from exporter.simulator.server import RunningSimulator, run_simulator
from exporter.simulator.simulation import Simulation, SimulationSettings


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Undo what `logs.configure` does."""
    root, hook, thread_hook = logging.getLogger(), sys.excepthook, threading.excepthook
    loggers = [root, logging.getLogger("exporter"), *map(logging.getLogger, logs.THEIRS)]
    levels = [logger.level for logger in loggers]
    try:
        yield
    finally:
        root.handlers = [handler for handler in root.handlers if not isinstance(handler, logs.StderrHandler)]
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        sys.excepthook = hook
        threading.excepthook = thread_hook


def run(*arguments: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Done:
    """Run a command with no terminal and no ZOHOVOICE_ variables but those of `env`."""
    out, err = TextIOWrapper(BytesIO(), encoding="utf-8"), TextIOWrapper(BytesIO(), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZOHOVOICE_")}
    with (
        patch.dict(os.environ, {**clean, **(env or {})}, clear=True),
        patch.object(sys, "argv", ["zohovoice-exporter", *arguments]),
        patch.object(sys, "stdin", TextIOWrapper(BytesIO(stdin.encode()), encoding="utf-8")),
        redirect_stdout(out),
        redirect_stderr(err),
        logging_as_it_was(),
    ):
        code = main()
        err.flush()
    return Done(code, _text(out), _text(err))


def _text(stream: TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, BytesIO)
    return buffer.getvalue().decode()


@contextmanager
def simulator(agents: int = 60, seed: int = 1) -> Iterator[RunningSimulator]:
    """A simulator with a loop and a thread of its own."""
    running: list[RunningSimulator] = []
    ready, failure = threading.Event(), []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        simulation = Simulation(SimulationSettings(seed=seed, agents=agents), SystemClock())
        async with run_simulator(simulation, Switchboard()) as started:
            running.append(started)
            ready.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(serve())
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            failure.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        if failure:
            raise failure[0]
        yield running[0]
    finally:
        if running:
            loop.call_soon_threadsafe(stop.set)
        thread.join()


def environment(simulator: RunningSimulator, refresh_token: str | None = None) -> dict[str, str]:
    """The variables that make commands talk to the simulator; without `refresh_token`, as its administrator."""
    credentials = simulator.credentials
    return {
        "ZOHOVOICE_API_URL": simulator.url,
        "ZOHOVOICE_API_ACCOUNTS_URL": simulator.url,
        "ZOHOVOICE_AUTH_CLIENT_ID": credentials.client_id,
        "ZOHOVOICE_AUTH_CLIENT_SECRET": credentials.client_secret.reveal(),
        "ZOHOVOICE_AUTH_REFRESH_TOKEN": refresh_token or credentials.admin.reveal(),
    }
