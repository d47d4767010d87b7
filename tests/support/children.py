"""The program as a process of its own, started from the command line, to be signalled and killed."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from exporter.simulator.server import RunningSimulator
from tests.support.cli import environment

_ADDRESS = re.compile(r'msg"?[=:] ?"?listening"?,? .*?(http://127\.0\.0\.1:\d+)')
PATIENCE_S = 30.0
"""How long a test waits for what must come; on a busy machine a start takes seconds."""


@dataclass
class Child:
    """A process and what it has written so far."""

    process: asyncio.subprocess.Process
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    _wrote: asyncio.Event = field(default_factory=asyncio.Event)
    _silent: bool = False
    """Nothing more will come."""

    @property
    def log(self) -> str:
        return self.err.decode("utf-8", "replace")

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def until_logged(self, text: str, *, stream: str = "err") -> None:
        """Wait until it has written `text` to stderr or stdout."""
        async with asyncio.timeout(PATIENCE_S):
            while text.encode() not in getattr(self, stream):
                assert not self._silent, f"it ended without '{text}': {self.log}"
                await self._next()

    async def url(self) -> str:
        """Where it serves, once it does."""
        async with asyncio.timeout(PATIENCE_S):
            while (found := _ADDRESS.search(self.log)) is None:
                assert not self._silent, f"it ended instead of serving: {self.log}"
                await self._next()
        return found[1]

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.alive:
            self.process.kill()
        await self.process.wait()

    async def ends(self) -> int:
        """The exit code, once it has ended."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Signal it; the exit code, and how many seconds it took to end."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.process.send_signal(number)
        code = await self.ends()
        return code, loop.time() - began

    async def until_silent(self) -> None:
        """Wait until nothing more can come: its end may be known before its last words."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._silent:
                await self._next()

    async def _next(self) -> None:
        self._wrote.clear()
        await self._wrote.wait()

    async def _read(self, stream: asyncio.StreamReader, into: bytearray) -> None:
        while data := await stream.read(65_536):
            into += data
            self._wrote.set()
        self._silent = True
        self._wrote.set()


@asynccontextmanager
async def child(
    *arguments: str, env: Mapping[str, str] | None = None, code: str = "", descriptors: Sequence[int] = ()
) -> AsyncIterator[Child]:
    """`python -m exporter ARGUMENTS`, with no ZOHOVOICE_ variables but those of `env`; killed at the end if it lives.

    `code` is run in place of the module, with the same arguments. `descriptors` stay open in it.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZOHOVOICE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(("-c", code) if code else ("-m", "exporter")),
        *arguments,
        env={**clean, "PYTHONUNBUFFERED": "1", **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=descriptors,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    one = Child(process)
    readers = [
        asyncio.ensure_future(one._read(process.stdout, one.out)),
        asyncio.ensure_future(one._read(process.stderr, one.err)),
    ]
    try:
        yield one
    finally:
        await one.kill()
        await asyncio.gather(*readers)


def serve_arguments(directory: object, *, interval: str = "80ms") -> tuple[str, ...]:
    """`serve` with its files in `directory`, as impatient as a test."""
    return (
        "serve",
        f"--db={directory}/zohovoice.db",
        f"--poll.interval={interval}",
        "--web.listen-address=127.0.0.1:0",
        "--api.max-requests-per-minute=100000",
    )


def serve_environment(simulator: RunningSimulator) -> dict[str, str]:
    """The variables that make it talk to the simulator."""
    return environment(simulator)
