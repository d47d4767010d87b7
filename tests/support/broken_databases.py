"""Real faults for the database of a running program, and what the simulator's truth says to its reports."""

import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from exporter.simulator.simulation import Simulation
from tests.support.children import Child, child, serve_arguments, serve_environment
from tests.support.cli import run
from tests.support.faulty import Stage
from tests.support.running import RunningExporter

LONGEST_POLL_MS = 500
SLACK_S = 0.005
"""Readings and changes in the same millisecond may come in either order."""

CANNOT_WRITE = "the history cannot be written; polls go on and their facts wait in memory"
WRITES_AGAIN = "the history can be written again"
FAILURES = "zohovoice_history_write_failures_total"
PENDING = "zohovoice_history_pending_transitions"
LOST = "zohovoice_history_lost_transitions_total"
GAPS = "zohovoice_history_gaps_total"
WRITTEN = "zohovoice_history_transitions_written_total"

_GO_ON = """
from exporter.__main__ import main
sys.exit(main())
"""

WITHOUT_PRIVILEGES = f"""
import ctypes, sys
# Root may write in a read-only directory by virtue of its capabilities. They are dropped; an ordinary user has none.
class Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
libc = ctypes.CDLL(None, use_errno=True)
if libc.capset(ctypes.byref(Header(0x20080522, 0)), (ctypes.c_uint32 * 6)()):
    raise OSError(ctypes.get_errno(), "capset")
{_GO_ON}"""
"""The program for which the permissions of files hold, whoever runs the tests."""

WITH_NO_ROOM = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
{_GO_ON}"""
"""The program that no file accepts a byte from."""

_SMALL_DISK = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
user, group = os.geteuid(), os.getegid()
def checked(result):
    if result:
        raise OSError(ctypes.get_errno(), "no file system of its own")
checked(libc.unshare(0x10000000 | 0x00020000))  # CLONE_NEWUSER | CLONE_NEWNS: it goes when the process does
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
checked(libc.mount(b"tmpfs", os.fsencode(os.environ["SMALL_DISK"]), b"tmpfs", 0, b"size=1m"))
"""
WITH_SMALL_DISK = _SMALL_DISK + _GO_ON
"""The program with a file system of a megabyte of its own at $SMALL_DISK."""


def small_disks_can_be_had(directory: Path) -> bool:
    """Whether this machine lets its users mount a file system of their own; most containers do not."""
    command = [sys.executable, "-S", "-c", _SMALL_DISK]
    env = {**os.environ, "SMALL_DISK": str(directory)}
    return subprocess.run(command, env=env, stderr=subprocess.DEVNULL, check=False).returncode == 0


class FileLimit:
    """No file of the process can grow beyond where it is, as under a quota: writing fails (EFBIG)."""

    def __init__(self, program: Child, directory: Path) -> None:
        self._pid = program.process.pid
        self.database = directory / "zohovoice.db"

    def begin(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def end(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def copy(self, into: Path) -> Path:
        return copied(self.database, into)


class FullDisk:
    """The file system of the process is full: writing fails (ENOSPC)."""

    def __init__(self, program: Child, directory: Path) -> None:
        self._root = Path(f"/proc/{program.process.pid}/root{directory}")
        self._filler = self._root / "filler"

    def begin(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            for size in (65_536, 4_096, 1):
                while _grows(file.fileno(), size):
                    pass

    def end(self) -> None:
        self._filler.unlink()

    def copy(self, into: Path) -> Path:
        return copied(self._root / "zohovoice.db", into)


def _grows(descriptor: int, size: int) -> bool:
    try:
        return os.write(descriptor, bytes(size)) > 0
    except OSError:
        return False


def copied(database: Path, into: Path) -> Path:
    """The database and its log as they are on disk, byte for byte; nobody may be writing them."""
    into.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        file = database.with_name(database.name + suffix)
        if file.exists():
            (into / file.name).write_bytes(file.read_bytes())
    return into / database.name


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextmanager
def locked_by_another_process(database: Path) -> Iterator[None]:
    """Somebody has begun to write the database and does not come to an end."""
    command = [sys.executable, "-c", _LOCK, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == "locked\n"
            yield
        finally:
            process.stdin.close()


_DAMAGE = """
import os, sqlite3, sys
path = sys.argv[1]
connection = sqlite3.connect(path, isolation_level=None, timeout=30)
assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
(version,) = connection.execute("PRAGMA user_version").fetchone()
with open(path, "r+b") as file:
    size = os.path.getsize(path)
    for page in range(1, size // 4096):  # all but the first, which tells what the file is
        file.seek(page * 4096)
        file.write(bytes(4096))
# A write that changes nothing, but whose commit makes other programs read the file again.
connection.execute(f"PRAGMA user_version = {version}")
"""


def damage(database: Path) -> None:
    """Another process, or the disk, wipes the pages of a database that is in use, and everybody has to read them again.

    It is a process of its own: to open and close the file in the writer's would drop the writer's locks.
    """
    subprocess.run([sys.executable, "-c", _DAMAGE, str(database)], check=True)


class Row(NamedTuple):
    """A row of `history coverage`; ms. `reason` is None where time is known."""

    start: int
    end: int
    reason: str | None


def coverage(database: Path, since: int, until: int) -> list[Row]:
    """What `history coverage` says of [since, until)."""
    return [
        Row(instant(row["start"]), instant(row["end"]), None if row["covered"] else row["reason"])
        for row in _report("coverage", database, since, until)
    ]


def checked_totals(simulation: Simulation, database: Path, since: int, until: int) -> list[Row]:
    """The coverage, after a look at whether `history summary` agrees with it and with what agents really did.

    The true time of each agent in each status, while somebody was looking, lies between `min_seconds` and
    `max_seconds`; the durations make up the known time, no more and no less. All agents are tracked all the time.
    What changed while the last poll of a stretch was under way no poll of it may have seen.
    """
    rows = coverage(database, since, until)
    known = [row for row in rows if row.reason is None]
    told: defaultdict[str, dict[str, tuple[float, float, float]]] = defaultdict(dict)
    for row in _report("summary", database, since, until):
        told[row["agent_id"]][row["status"]] = row["duration_seconds"], row["min_seconds"], row["max_seconds"]
    assert told.keys() == {agent.agent_id for agent in simulation.agents} or not known
    for agent_id, statuses in told.items():
        statuses.pop("unknown", None)
        total = sum(duration for duration, _, _ in statuses.values())
        assert abs(total - sum(row.end - row.start for row in known) / 1000) < SLACK_S, (agent_id, statuses, rows)
        truth = _true_times(simulation, agent_id, known)
        unseen = [r for r in known if simulation.changes(agent_id, r.end - LONGEST_POLL_MS, r.end)]
        slack = SLACK_S + LONGEST_POLL_MS / 1000 * len(unseen)
        for word in truth.keys() | statuses.keys():
            _, least, most = statuses.get(word, (0.0, 0.0, 0.0))
            assert least - slack <= truth[word] <= most + slack, (agent_id, word, truth[word], statuses, rows)
    return rows


def _true_times(simulation: Simulation, agent_id: str, known: list[Row]) -> defaultdict[str, float]:
    """How many seconds of known time the agent spent in each status."""
    times: defaultdict[str, float] = defaultdict(float)
    for row in known:
        at, word = row.start, simulation.status_at(agent_id, row.start)
        for change in simulation.changes(agent_id, row.start + 1, row.end):
            times[word] += (change.at - at) / 1000
            at, word = change.at, change.to_word
        times[word] += (row.end - at) / 1000
    return times


def _report(name: str, database: Path, since: int, until: int) -> list[dict[str, Any]]:
    window = "--since", _iso(since), "--until", _iso(until)
    done = run("history", name, "--db", str(database), *window, "--tz", "UTC", "--format", "json")
    assert (done.code, done.err) == (0, ""), done.err
    rows: list[dict[str, Any]] = json.loads(done.out)["rows"]
    return rows


def _iso(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="milliseconds")


def instant(text: object) -> int:
    """The milliseconds since 1970 of an ISO time."""
    return round(datetime.fromisoformat(str(text)).timestamp() * 1000)


def reasons(rows: list[Row]) -> list[str | None]:
    """Why time is not known, row by row; None where it is."""
    return [row.reason for row in rows]


def incidents(database: Path) -> list[tuple[str, str]]:
    """Kind and detail of what is noted beside the facts."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT kind, detail FROM incident ORDER BY id").fetchall()


@asynccontextmanager
async def served(stage: Stage, *, code: str = "") -> AsyncIterator[tuple[RunningExporter, Child]]:
    """`serve` as a process of its own, polling the stage's simulator."""
    directory = stage.settings.history.db.parent
    interval = f"{stage.settings.poll.interval_s * 1000:.0f}ms"
    env = {**serve_environment(stage.simulator), "SMALL_DISK": str(directory)}
    async with (
        child(*serve_arguments(directory, interval=interval), env=env, code=code) as program,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        yield RunningExporter(await program.url(), stage.settings, http), program


async def refusal(stage: Stage, code: str = "") -> str:
    """What `serve` says when it does not start because of the database."""
    arguments = serve_arguments(stage.settings.history.db.parent)
    async with child(*arguments, env=serve_environment(stage.simulator), code=code) as program:
        assert await program.ends() == 3, program.log
        await program.until_silent()
        assert program.log.count("\n") == 1
        return program.log
