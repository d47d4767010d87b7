"""The simulator as a server on loopback: the token endpoint, the Voice API and the control endpoints on one origin."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from exporter.errors import ExporterError, UsageError
from exporter.simulator.api import REVOKE_PATH, ROUTES, Changes, Desk, Endpoint, token_parameters, wrong_method
from exporter.simulator.control import control_routes
from exporter.simulator.delivery import send_reply
from exporter.simulator.faults import Switchboard
from exporter.simulator.oauth import SCOPES, Credentials, TokenDesk, User
from exporter.simulator.ratelock import UrlLocks
from exporter.simulator.received import Received
from exporter.simulator.replies import wrong_url
from exporter.simulator.settings import DEFAULT_SERVER, ServerSettings
from exporter.simulator.simulation import Simulation
from exporter.simulator.uvicorn_server import serving
from exporter.simulator.voice import Voice

_AHEAD_S: Final = 120.0
"""How early the next working day is simulated, in real seconds."""


class ListenError(ExporterError):
    """The simulator cannot listen where it was told to."""


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """A simulator that answers."""

    url: str
    """The origin of both the API and the token endpoint, without a trailing slash."""
    credentials: Credentials
    simulation: Simulation
    switchboard: Switchboard
    received: Received
    tokens: TokenDesk

    def new_code(self, user: User = User.ADMIN, scopes: tuple[str, ...] = SCOPES) -> str:
        """A grant code, good once and for three minutes."""
        return self.tokens.new_code(user, scopes)


@contextlib.asynccontextmanager
async def run_simulator(
    simulation: Simulation,
    switchboard: Switchboard,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    settings: ServerSettings = DEFAULT_SERVER,
) -> AsyncIterator[RunningSimulator]:
    """Run the simulator in the current event loop while the context lasts; port 0 takes a free one.

    It stops within a second, whatever hangs. Raises UsageError for an address that is not loopback, ListenError for
    one that cannot be had.
    """
    listener = _listen(host, port)
    stopping = asyncio.Event()
    tokens = TokenDesk(simulation.settings.seed, simulation.clock, settings)
    changes = Changes(switchboard)
    desk = Desk(
        clock=simulation.clock,
        settings=settings,
        switchboard=switchboard,
        tokens=tokens,
        voice=Voice(simulation, settings),
        locks=UrlLocks(settings.rate_lock, simulation.clock),
        received=Received(),
        changes=changes,
        stopping=stopping,
    )
    try:
        await _in_thread(simulation.prepare, simulation.now_ms())
        async with serving(_app(simulation, desk), listener, stopping):
            ahead = asyncio.create_task(_simulate_ahead(simulation))
            try:
                yield RunningSimulator(
                    _url(listener), tokens.credentials, simulation, switchboard, desk.received, tokens
                )
            finally:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
    finally:
        changes.close()
        listener.close()


async def serve(
    simulation: Simulation,
    switchboard: Switchboard,
    host: str,
    port: int,
    stop: asyncio.Event,
    on_ready: Callable[[RunningSimulator], None],
    *,
    settings: ServerSettings = DEFAULT_SERVER,
) -> None:
    """Run the simulator until `stop` is set; `on_ready` is called once it answers. Raises as `run_simulator` does."""
    async with run_simulator(simulation, switchboard, host=host, port=port, settings=settings) as running:
        on_ready(running)
        await stop.wait()


def _app(simulation: Simulation, desk: Desk) -> Starlette:
    routes = [Route(path, Endpoint(path, desk)) for path in ROUTES]
    revoke = Route(REVOKE_PATH, _Revoke(desk.tokens))
    # The last route takes everything, so that Starlette neither redirects nor answers in a way of its own.
    return Starlette(routes=[*routes, revoke, *control_routes(simulation, desk), Route("/{path:path}", _Nothing())])


class _Nothing:
    """Every path that is none of the others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_reply(send, wrong_url())


class _Revoke:
    """POST /oauth/v2/token/revoke?token=…"""

    def __init__(self, tokens: TokenDesk) -> None:
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method != "POST":
            await send_reply(send, wrong_method("POST"))
            return
        parameters = token_parameters(request, await request.body())
        await send_reply(send, self._tokens.revoke(parameters.get("token", "")))


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket on a loopback address: the simulator hands out credentials to whoever asks."""
    if not 0 <= port <= 65_535:
        raise UsageError(f"the simulator cannot listen on port {port}: give 0 to 65535")
    address = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        loopback = ipaddress.ip_address(address)
    except ValueError as error:
        raise UsageError(f"'{host}' is no address for the simulator: give 127.0.0.1, ::1 or localhost") from error
    if not loopback.is_loopback:
        raise UsageError(f"the simulator listens on loopback only, not on '{host}': give 127.0.0.1 or ::1")
    family = socket.AF_INET6 if loopback.version == 6 else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is spelled out; with it, each answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ListenError(
            f"the simulator cannot listen on {host} port {port} ({error.strerror}): "
            "stop what uses the port, or give another one with --port (of a demo: --simulator.port)"
        ) from error
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


async def _simulate_ahead(simulation: Simulation) -> None:
    """Keeps the coming working day ready: with thousands of agents it takes seconds, which no request should wait."""
    while True:
        await asyncio.sleep(_AHEAD_S / 4)
        await _in_thread(simulation.prepare, simulation.now_ms() + round(_AHEAD_S * 1000 * simulation.settings.speed))


async def _in_thread(work: Callable[[int], None], at_ms: int) -> None:
    """Work in a daemon thread: unlike one of the loop's executor, it keeps nobody from stopping."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            work(at_ms)
        except Exception as failure:  # noqa: BLE001 - it is raised where it is awaited
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, name="simulate-day", daemon=True).start()
    await done
