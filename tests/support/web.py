"""The web side over real connections, without the loops of `serve`: what is shown comes from polls made by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from exporter.clock import SystemClock
from exporter.settings import WebSettings
from exporter.web.access import Access
from exporter.web.app import create_app
from exporter.web.heartbeat import Heartbeat
from exporter.web.protection.security import WebSecurity
from exporter.web.reports.request import ReportReply, ReportRequest
from exporter.web.serving.listen import ListenAddress, bind, urls
from exporter.web.serving.server import serve
from exporter.web.state import WebState
from exporter.web.updates import Updates
from tests.support.metrics import Polled

OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0"}
IDENTITY = {"accept-encoding": "identity"}


class NoReports:
    """Stands where the process that makes reports would be, in tests that ask for none."""

    async def ask(self, request: ReportRequest) -> ReportReply:
        raise AssertionError(f"nobody was to ask for {request.name}")


async def _no_reload() -> None:
    raise AssertionError("nobody was to reload")


def web_state(polled: Polled, web: WebSettings | None = None, **changes: Any) -> WebState:
    """The state of a program whose polls are made by hand; `changes` are fields of `WebState`."""
    state = WebState(
        web=web or WebSettings(),
        instruments=polled.instruments,
        clock=polled.clock,
        # The heartbeat must beat in real time; what is shown goes by the polls' clock.
        heartbeat=Heartbeat(SystemClock()),
        version="1.2.3",
        updates=Updates(),
        security=WebSecurity.load(None),
        access=lambda: Access(open=True, only_local_names=True),
        reports=NoReports(),
        config_text=lambda: "web: {}\n",
        reload=_no_reload,
    )
    return replace(state, **changes)


@dataclass
class Running:
    """A served application and a client that is connected to it."""

    client: httpx.AsyncClient
    polled: Polled
    port: int
    state: WebState

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@contextlib.asynccontextmanager
async def running(
    polled: Polled | None = None, web: WebSettings | None = None, **changes: Any
) -> AsyncIterator[Running]:
    """The application on a free port of loopback; stopped at the end."""
    polled = polled or Polled()
    state = web_state(polled, web, **changes)
    sockets = bind([ListenAddress("127.0.0.1", 0)])
    (url,) = urls(sockets)
    port = sockets[0].getsockname()[1]
    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(serve(create_app(state), sockets, stop, ready.set))
    try:
        await asyncio.wait_for(ready.wait(), 5)
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
            yield Running(client, polled, port, state)
    finally:
        state.updates.close()
        stop.set()
        await asyncio.wait_for(serving, 5)


def with_server(
    test: Callable[[Running], Awaitable[None]],
    polled: Polled | None = None,
    web: WebSettings | None = None,
    **changes: Any,
) -> None:
    """Run `test` against a served application."""

    async def run() -> None:
        async with running(polled, web, **changes) as server:
            await test(server)

    asyncio.run(run())


async def raw(port: int, sent: bytes | Sequence[bytes], *, seconds: float = 5.0) -> bytes:
    """All that the server answers to these bytes on one connection until it closes it, or until `seconds` are over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for some in [sent] if isinstance(sent, bytes) else sent:
            writer.write(some)
            await writer.drain()
        answer = bytearray()
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while some := await reader.read(1 << 16):
                    answer += some
        return bytes(answer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
