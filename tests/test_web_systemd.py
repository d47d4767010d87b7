"""Sockets that systemd hands over, and what it is told. The launcher here does what systemd does before it executes."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from exporter.errors import ExporterError, UsageError
from exporter.notify import Notifier, take_notifier
from exporter.simulator.server import RunningSimulator
from exporter.web.serving.listen import urls
from exporter.web.serving.systemd import Handed, adopt, take_handed
from tests.support.children import Child, child, serve_arguments, serve_environment
from tests.support.running import simulated

_LAUNCH = """
import os, sys
names, number, *rest = sys.argv[1:]
here = [os.dup(int(descriptor)) for descriptor in rest[: int(number)]]
for at, descriptor in enumerate(here):
    os.dup2(descriptor, 3 + at) if descriptor != 3 + at else os.set_inheritable(descriptor, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(here)), "LISTEN_FDNAMES": names}
os.execv(sys.executable, [sys.executable, "-m", "exporter", *rest[int(number) :]])
"""


@asynccontextmanager
async def activated(
    sockets: list[socket.socket],
    *arguments: str,
    names: str = "",
    env: dict[str, str] | None = None,
) -> AsyncIterator[Child]:
    """The program, started as systemd starts it."""
    descriptors = [str(sock.fileno()) for sock in sockets]
    # Far away from 3, 4, 5 …, which the launcher overwrites.
    moved = [os.dup(int(descriptor)) for descriptor in descriptors]
    try:
        numbers = [str(descriptor) for descriptor in moved]
        async with child(
            *(names, str(len(numbers)), *numbers, *arguments), code=_LAUNCH, descriptors=moved, env=env
        ) as started:
            yield started
    finally:
        for descriptor in moved:
            os.close(descriptor)


def listening(host: str = "127.0.0.1") -> socket.socket:
    """A listening TCP socket on a free port."""
    return socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def arguments_for(directory: Path) -> tuple[str, ...]:
    """`serve` on systemd's sockets; the listen address does not count."""
    return (*serve_arguments(directory), "--web.systemd-socket")


async def metrics(client: httpx.AsyncClient, url: str) -> str:
    answer = await client.get(f"{url}/metrics")
    assert answer.status_code == 200
    return answer.text


def test_the_program_serves_on_all_that_it_is_handed_and_leaves_it_usable(tmp_path: Path) -> None:
    async def check() -> None:
        path = str(tmp_path / "socket")
        with listening() as first, listening("::1") as second, socket.socket(socket.AF_UNIX) as third:
            third.bind(path)
            third.listen()
            given = [first, second, third]
            where = urls(given)
            async with simulated() as simulator:
                for _ in range(2):  # the sockets outlive the first one
                    await serves_on(given, simulator, where, path)
            # A client that comes in between waits.
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection("127.0.0.1", first.getsockname()[1])
                writer.write(b"GET /-/healthy HTTP/1.0\r\n\r\n")
                async with (
                    simulated() as simulator,
                    activated(given, *arguments_for(tmp_path), env=serve_environment(simulator)),
                ):
                    assert b"Healthy." in await reader.read()
                writer.close()

    async def serves_on(
        given: list[socket.socket], simulator: RunningSimulator, where: tuple[str, ...], path: str
    ) -> None:
        async with activated(
            given, *arguments_for(tmp_path), names="web:web6:local", env=serve_environment(simulator)
        ) as program:
            await program.until_logged("msg=listening")
            assert f"addresses={','.join(where)}" in program.log.replace('"', "")
            assert where[2] == f"unix:{path}"
            async with httpx.AsyncClient(trust_env=False) as client:
                for url in where[:2]:
                    assert "zohovoice_up" in await metrics(client, url)
            transport = httpx.AsyncHTTPTransport(uds=path)
            async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
                assert "zohovoice_up" in await metrics(client, "http://anything")
            assert (await program.stop())[0] == 0
        assert Path(path).is_socket()

    asyncio.run(check())


def test_with_nothing_handed_over_the_program_says_what_to_do(tmp_path: Path) -> None:
    async def check() -> None:
        async with simulated() as simulator:
            environment = serve_environment(simulator)
            # Meant for another process: that is nothing, too.
            async with child(
                *arguments_for(tmp_path), env={**environment, "LISTEN_PID": "1", "LISTEN_FDS": "1"}
            ) as program:
                assert await program.ends() == 2
                await program.until_silent()
                assert "--web.systemd-socket: systemd handed no socket over; start the socket unit" in program.log
        assert not (tmp_path / "zohovoice.db").exists()

    asyncio.run(check())


def test_sockets_that_nobody_asked_for_are_left_alone_and_told_of(tmp_path: Path) -> None:
    async def check() -> None:
        with listening() as sock:
            async with (
                simulated() as simulator,
                activated([sock], *serve_arguments(tmp_path), env=serve_environment(simulator)) as program,
            ):
                assert await program.url() not in urls([sock])
                assert "which are not used: that takes --web.systemd-socket" in program.log

    asyncio.run(check())


def test_systemd_is_told_of_start_life_reload_and_end(tmp_path: Path) -> None:
    async def check() -> None:
        with listening() as sock, Manager(tmp_path) as manager:
            async with simulated() as simulator:
                environment = serve_environment(simulator) | {
                    "NOTIFY_SOCKET": str(manager.path),
                    "WATCHDOG_USEC": "5000000",
                }
                began = time.monotonic_ns() // 1000
                async with activated([sock], *arguments_for(tmp_path), env=environment) as program:
                    said = [await manager.next(), await manager.next()]
                    assert sorted(said) == ["READY=1", "WATCHDOG=1"]
                    assert await manager.next() == "WATCHDOG=1"
                    program.process.send_signal(1)
                    while (reloading := await manager.next()) == "WATCHDOG=1":
                        pass
                    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
                    assert began < int(reloading.rpartition("=")[2]) <= time.monotonic_ns() // 1000
                    while (ready := await manager.next()) == "WATCHDOG=1":
                        pass
                    assert ready == "READY=1"
                    assert (await program.stop())[0] == 0
                    while (stopping := await manager.next()) == "WATCHDOG=1":
                        pass
                    assert stopping == "STOPPING=1"

    asyncio.run(check())


class Manager:
    """What listens at NOTIFY_SOCKET."""

    def __init__(self, directory: Path, address: str = "") -> None:
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(address or str(self.path))

    def __enter__(self) -> "Manager":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    async def next(self) -> str:
        async with asyncio.timeout(30):
            return (await asyncio.get_running_loop().sock_recv(self.socket, 4096)).decode()

    def now(self) -> list[str]:
        said = []
        while True:
            try:
                said.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return said


def test_the_variables_are_taken_out_of_the_environment() -> None:
    environment = {"LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b", "PATH": "/bin"}
    assert take_handed(environment, 7) == Handed(("a", "b", ""))
    assert environment == {"PATH": "/bin"}
    assert take_handed(environment, 7) == Handed()
    for others in ({"LISTEN_PID": "8", "LISTEN_FDS": "x"}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "x"}):
        environment = dict(others)
        assert take_handed(environment, 7) == Handed()
        assert environment == {}


@pytest.mark.parametrize("number", ["", "-1", "x", "1.0", "٣", "99999"])
def test_a_number_of_sockets_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(ExporterError, match=r"LISTEN_FDS is .*; it must be a number"):
        take_handed({"LISTEN_PID": "7", "LISTEN_FDS": number}, 7)


def test_sockets_are_served_on_and_not_inherited() -> None:
    with listening() as sock:
        descriptor = os.dup(sock.fileno())
        os.set_inheritable(descriptor, True)
        (adopted,) = adopt(Handed(("",)), descriptor)
        with adopted:
            assert not adopted.get_inheritable()
            assert not adopted.getblocking()
            assert adopted.getsockname() == sock.getsockname()


def test_what_cannot_be_served_on_is_refused_and_everything_closed(tmp_path: Path) -> None:
    def datagrams() -> int:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()

    def local_datagrams() -> int:
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()

    def not_listening() -> int:
        return socket.socket().detach()

    def connection() -> int:
        with listening() as sock, socket.create_connection(sock.getsockname()):
            return sock.accept()[0].detach()

    def file() -> int:
        return os.open(tmp_path, os.O_RDONLY)

    cases = [
        (datagrams, "is no TCP and no unix stream socket: use ListenStream="),
        (local_datagrams, "is no TCP and no unix stream socket: use ListenStream="),
        (not_listening, "does not listen: use Accept=no"),
        (connection, "does not listen: use Accept=no"),
        (file, "is no socket"),
    ]
    for make, what in cases:
        good, bad = listening().detach(), make()
        with ExitStack() as closing:
            first = os.dup2(good, 200)
            second = os.dup2(bad, 201)
            closing.callback(os.close, good)
            closing.callback(os.close, bad)
            with pytest.raises(ExporterError, match=f"descriptor 201 \\('web'\\) {what}"):
                adopt(Handed(("", "web")), first)
            for descriptor in (first, second) if make is not file else (first,):
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(descriptor)
            if make is file:
                os.close(second)
    with pytest.raises(ExporterError, match="descriptor 201 is not open"):
        adopt(Handed(("",)), 201)


def test_nothing_handed_over_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"systemctl start NAME\.socket"):
        adopt(Handed())


def test_an_abstract_address_is_told_too(tmp_path: Path) -> None:
    with Manager(tmp_path, f"\0zohovoice-{os.getpid()}") as manager:
        environment = {"NOTIFY_SOCKET": f"@zohovoice-{os.getpid()}", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "7"}
        notifier = take_notifier(environment, 7)
        assert environment == {}
        notifier.ready()
        notifier.alive()
        notifier.close()
        notifier.stopping()
        assert manager.now() == ["READY=1", "WATCHDOG=1"]


def test_a_watchdog_that_is_not_ours_is_not_fed(tmp_path: Path) -> None:
    with Manager(tmp_path) as manager:
        for more in ({}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "8"}, {"WATCHDOG_USEC": "x"}):
            notifier = take_notifier({"NOTIFY_SOCKET": str(manager.path), **more}, 7)
            notifier.alive()
            notifier.close()
        assert manager.now() == []


def test_a_manager_that_is_not_there_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    notifier.ready()
    notifier.ready()
    assert [record.message for record in caplog.records] == ["systemd could not be told"]
    with Notifier("").reloading(), Notifier("vsock:2:1").reloading():
        pass


def test_a_reload_that_fails_is_told_as_ended(tmp_path: Path) -> None:
    with Manager(tmp_path) as manager:
        notifier = Notifier(str(manager.path))
        notifier.ready()
        with pytest.raises(ExporterError), notifier.reloading():
            raise ExporterError("wrong")
        notifier.close()
        assert [state.partition("\n")[0] for state in manager.now()] == ["READY=1", "RELOADING=1", "READY=1"]


def test_a_reload_never_says_that_a_program_serves_which_does_not_yet_or_does_not_any_more(tmp_path: Path) -> None:
    with Manager(tmp_path) as manager:
        notifier = Notifier(str(manager.path))
        with notifier.reloading():
            pass
        assert manager.now() == []
        notifier.ready()
        with notifier.reloading():
            notifier.stopping()
        with notifier.reloading():
            pass
        notifier.close()
        assert [state.partition("\n")[0] for state in manager.now()] == ["READY=1", "RELOADING=1", "STOPPING=1"]
