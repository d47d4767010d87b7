"""How many requests are answered at once (--web.max-requests)."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.errors import ExporterError
from exporter.settings import WebSettings
from exporter.web.concurrency import ConcurrencyLimit
from exporter.web.config.model import WebConfig
from exporter.web.protection.security import WebSecurity
from exporter.web.reports.request import ReportReply, ReportRequest
from tests.support.serving import Echo, answers, serving, until
from tests.support.web import Running, raw, with_server

PLAIN = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_the_number_of_requests_counts_neither_probes_nor_event_streams() -> None:
    async def check() -> None:
        echo = Echo()
        limited = ConcurrencyLimit(echo, 2, exempt=("/-/healthy", "/stream"))
        async with serving(app=limited) as server:
            held = [asyncio.ensure_future(raw(server.port, LAST.replace(b"last", b"held"))) for _ in range(2)]
            stream = asyncio.ensure_future(raw(server.port, LAST.replace(b"last", b"stream")))
            await until(lambda: sorted(echo.asked) == ["/held", "/held", "/stream"])
            ((status, headers, body),) = answers(await raw(server.port, LAST))
            assert status == 503
            assert headers["retry-after"] == "1"
            assert headers["content-type"] == "text/plain; charset=utf-8"
            assert body == b"2 requests are being answered, which is the most at once (--web.max-requests).\n"
            ((status, _, _),) = answers(await raw(server.port, LAST.replace(b"last", b"-/healthy")))
            assert status == 200
            echo.release.set()
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in await asyncio.gather(*held, stream))
            ((status, _, _),) = answers(await raw(server.port, LAST))
            assert status == 200

    asyncio.run(check())


def test_no_limit_is_no_limit() -> None:
    async def check() -> None:
        echo = Echo()
        async with serving(app=ConcurrencyLimit(echo, 0, exempt=())) as server:
            held = [asyncio.ensure_future(raw(server.port, LAST.replace(b"last", b"held"))) for _ in range(60)]
            await until(lambda: len(echo.asked) == 60)
            echo.release.set()
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in await asyncio.gather(*held))

    asyncio.run(check())


class HeldReports:
    """Makes no report until it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.release = asyncio.Event()

    async def ask(self, request: ReportRequest) -> ReportReply:
        self.asked += 1
        await self.release.wait()
        raise ExporterError("there is no report in this test")


def test_the_application_keeps_to_the_number_of_requests_and_probes_go_on() -> None:
    reports = HeldReports()

    async def check(server: Running) -> None:
        held = asyncio.ensure_future(server.get("/api/v1/coverage"))
        await until(lambda: reports.asked == 1)
        for path, kind in (("/metrics", "text/plain; charset=utf-8"), ("/api/v1/coverage", "application/json")):
            answer = await server.get(path)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == kind
            assert "--web.max-requests" in answer.text
        assert (await server.get("/-/healthy")).status_code == 200
        assert (await server.get("/-/ready")).status_code == 503
        reports.release.set()
        await held
        assert (await server.get("/metrics")).status_code == 200

    with_server(check, web=WebSettings(max_requests=1), reports=reports)


class HeldAtTheLogin(WebSecurity):
    """Lets some wait at the login."""

    waiting = 0

    def protect(self, app: ASGIApp) -> ASGIApp:
        async def protected(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["query_string"] == b"slow":
                self.waiting += 1
                await receive()
                await receive()
            await app(scope, receive, send)

        return protected


def test_who_waits_at_the_login_takes_no_place() -> None:
    security = HeldAtTheLogin(None, WebConfig())

    async def check(server: Running) -> None:
        waiting = [asyncio.ensure_future(raw(server.port, PLAIN.replace(b"plain", b"metrics?slow"))) for _ in range(3)]
        await until(lambda: security.waiting == 3)
        assert (await server.get("/metrics")).status_code == 200
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)

    with_server(check, web=WebSettings(max_requests=1), security=security)
