"""The timeline over HTTP, made by the real report process: compressed, guarded, and a page also where it fails."""

import asyncio
from pathlib import Path

import pytest

from exporter.history.classes import DEFAULT_CLASSES
from exporter.web.access import Access
from exporter.web.reports.client import Limits, ReportProcess
from exporter.web.reports.request import ReportReply, ReportRequest
from tests.support.clock import FakeClock
from tests.support.timelines import (
    DAY,
    LATER,
    sentences,
    shown,
    write_known_day,
)
from tests.support.web import Running, running, with_server


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_known_day(tmp_path_factory.mktemp("timeline") / "history.db")


# --- served -----------------------------------------------------------------------------------------------------------


def test_the_report_process_makes_the_page_and_it_is_sent_compressed(known: Path) -> None:
    reports = ReportProcess(known, DEFAULT_CLASSES, clock=FakeClock(LATER), environment={"TZ": "Europe/Berlin"})

    async def test(served: Running) -> None:
        try:
            zipped = await served.get(f"/timeline?date={DAY}")
            plain = await served.get(f"/timeline?date={DAY}", accept_encoding="identity")
        finally:
            await reports.close()
        assert (zipped.status_code, plain.status_code) == (200, 200)
        assert zipped.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert zipped.text == plain.text == shown(known, date=DAY)
        for reply in (zipped, plain):
            assert reply.headers["vary"] == "Accept-Encoding"
            assert reply.headers["cache-control"] == "no-store"
            assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")

    with_server(test, reports=reports)


def test_where_there_is_no_history_or_no_time_the_page_says_so_and_keeps_the_form(tmp_path: Path, known: Path) -> None:
    async def said(reports: ReportProcess, status: int, wanted: str) -> None:
        async with running(reports=reports) as served:
            try:
                reply = await served.get("/timeline?date=2025-03-04&team=Sales")
            finally:
                await reports.close()
            assert reply.status_code == status
            assert reply.headers["content-type"] == "text/html; charset=utf-8"
            assert any(wanted in sentence for sentence in sentences(reply.text))
            assert 'name="team" value="Sales"' in reply.text
            assert 'name="tz" value=""' in reply.text

    nothing = ReportProcess(tmp_path / "none.db", DEFAULT_CLASSES)
    asyncio.run(said(nothing, 503, "There is no history database at"))
    hurried = ReportProcess(known, DEFAULT_CLASSES, limits=Limits(seconds=0.001))
    asyncio.run(said(hurried, 504, "This report takes longer than the 0.001 seconds that one may take"))


def test_an_address_that_cannot_be_read_is_a_page_too_and_no_report() -> None:
    async def test(served: Running) -> None:
        reply = await served.get("/timeline?date=%zz")
        assert reply.status_code == 400
        assert "The query has a bare % at '%zz': write it as %25." in sentences(reply.text)

    with_server(test)


def test_who_may_not_see_personal_data_sees_no_timeline() -> None:
    async def test(served: Running) -> None:
        reply = await served.get("/timeline")
        assert (reply.status_code, reply.text) == (403, "Not here.\n")

    with_server(test, access=lambda: Access(open=False, why_not="Not here."))


def test_who_leaves_before_the_page_is_made_gives_it_up() -> None:
    asked, given_up = asyncio.Event(), asyncio.Event()

    class Slow:
        async def ask(self, request: ReportRequest) -> ReportReply:
            asked.set()
            try:
                await asyncio.sleep(60)
            finally:
                given_up.set()
            raise AssertionError("nobody waits so long")

    async def test(served: Running) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /timeline HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(5):
            await asked.wait()
            writer.close()
            await writer.wait_closed()
            await given_up.wait()

    with_server(test, reports=Slow())
