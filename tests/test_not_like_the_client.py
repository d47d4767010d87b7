"""What the server of prometheus-client gets wrong, one by one, and is right here (metrics-and-web, section 3.2).

What both get right, and what is no matter of scrapes, is in `test_web_app.py` and `test_web_negotiation.py`.
"""

import asyncio
import re
from pathlib import Path

import pytest
from prometheus_client import ProcessCollector

from exporter.metrics.text import Format
from exporter.model import AVAILABLE, KNOWN_STATUSES, Agent, Kind, Status, reported
from exporter.settings import MetricsSettings
from tests.support.faulty import staged
from tests.support.metrics import Polled, read
from tests.support.running import exporting, value
from tests.support.web import IDENTITY, OPENMETRICS, Running, raw, with_server

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def test_a_connection_serves_one_scrape_after_the_other() -> None:
    """The client's server speaks HTTP/1.0 and closes each connection."""

    async def check(server: Running) -> None:
        ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await raw(server.port, [ask, ask, ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert answer.lower().count(b"connection: close") == 1

    with_server(check)


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics/x", "/Metrics", "/favicon.ico", "/metrics%20"])
def test_metrics_are_at_one_path_only(path: str) -> None:
    """The client's server answers with metrics wherever it is asked."""

    async def check(server: Running) -> None:
        answer = await server.get(path)
        assert "zohovoice_up" not in answer.text
        assert answer.status_code == (200 if path == "/" else 404)

    with_server(check)


def test_the_path_does_not_include_what_is_asked_behind_it() -> None:
    async def check(server: Running) -> None:
        assert "zohovoice_up" in (await server.get("/metrics?name[]=python_info&x")).text

    with_server(check)


@pytest.mark.parametrize("headers", [IDENTITY, {"accept-encoding": "gzip"}, OPENMETRICS], ids=["text", "gzip", "OM"])
def test_head_is_answered_as_get_but_for_the_body(headers: dict[str, str]) -> None:
    """The client's server refuses it with 405."""

    async def check(server: Running) -> None:
        head = await server.client.head("/metrics", headers=headers)
        get = await server.client.get("/metrics", headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        of_head, of_get = dict(head.headers), dict(get.headers)
        assert of_head.pop("date") <= of_get.pop("date")
        assert of_head == of_get

    with_server(check)


def test_what_the_answer_depends_on_is_told_to_caches() -> None:
    """The client's server sends no Vary."""

    async def check(server: Running) -> None:
        for headers in (IDENTITY, {"accept-encoding": "gzip"}, OPENMETRICS):
            answer = await server.client.get("/metrics", headers=headers)
            assert answer.headers["vary"] == "Accept, Accept-Encoding"

    with_server(check)


def test_no_answer_tells_what_serves_here_and_in_which_version() -> None:
    """The client's server names its class and the version of Python in `Server`."""

    async def check(server: Running) -> None:
        for sent in (
            b"GET /metrics HTTP/1.1\r\nHost: x",
            b"GET /none HTTP/1.1\r\nHost: x",
            b"BREW / HTTP/1.1\r\nHost: x",
            b"x",
        ):
            head = (await raw(server.port, sent + b"\r\nConnection: close\r\n\r\n")).partition(b"\r\n\r\n")[0]
            assert head.startswith(b"HTTP/1.1 ")
            assert not re.search(rb"^(server|x-powered-by|via):", head, re.M | re.I)
            assert not re.search(rb"python|uvicorn|starlette|wsgi", head, re.I)

    with_server(check)


@pytest.mark.parametrize(
    ("headers", "content_type", "packed"),
    [
        ({"accept": "text/plain;q=1, application/openmetrics-text;version=1.0.0;q=0.1"}, TEXT, False),
        ({"accept-encoding": "gzip;q=0"}, TEXT, False),
        ({"accept": "application/openmetrics-text;version=9.9.9"}, TEXT, False),
        ({"accept": "application/openmetrics-text;version=abc"}, TEXT, False),
    ],
    ids=["q-values", "gzip refused", "unknown version", "no version at all"],
)
def test_the_client_is_given_what_it_asks_for(headers: dict[str, str], content_type: str, packed: bool) -> None:
    """The client's server looks for words in the headers; `version=abc` is a 500 with a traceback."""

    async def check(server: Running) -> None:
        answer = await server.client.get("/metrics", headers=IDENTITY | headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == content_type
        assert ("content-encoding" in answer.headers) is packed

    with_server(check)


def test_a_part_that_cannot_be_made_is_left_out_and_the_rest_is_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One collector that raises makes the client's server answer 500 for everything."""

    def broken(self: ProcessCollector) -> list[object]:
        raise OSError("/proc cannot be read")

    monkeypatch.setattr(ProcessCollector, "collect", broken)
    polled = Polled()
    polled.poll({"1": AVAILABLE})

    async def check(server: Running) -> None:
        for headers in (IDENTITY, OPENMETRICS):
            answer = await server.client.get("/metrics", headers=headers)
            series = read(answer.content, Format.OPENMETRICS if "accept" in headers else Format.TEXT)
            names = {name for name, _ in series}
            assert answer.status_code == 200
            assert {"zohovoice_up", "zohovoice_agent_status", "python_info"} <= names
            assert "zohovoice_exporter_http_requests_total" in names
            assert not any(name.startswith("process_") for name in names)

    with_server(check, polled)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_neither_a_start_nor_a_scrape_asks_zoho(tmp_path: Path) -> None:
    """The client calls collect() when a collector is registered, and again at each scrape."""

    async def run() -> None:
        async with staged(tmp_path, interval_s=60) as stage, exporting(stage.settings) as exporter:
            await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            asked = stage.asked("statuses"), stage.asked("users")
            for _ in range(20):
                await exporter.samples()
            assert (stage.asked("statuses"), stage.asked("users")) == asked

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("half an emoji \ud83d", "half an emoji \ufffd"),
        ("\udc80 the other half", "\ufffd the other half"),
        ("two\rlines", "two lines"),
        ("two\r\nlines", "two \nlines"),
        ("with a \0 in it", "with a \ufffd in it"),
        ('quotes " and \\ and \n', 'quotes " and \\ and \n'),
        ("Zoë 🎧 李", "Zoë 🎧 李"),
    ],
    ids=["lone high surrogate", "lone low surrogate", "CR", "CR LF", "NUL", "what is escaped", "what is fine"],
)
def test_no_name_makes_a_scrape_fail_or_splits_a_line(name: str, shown: str) -> None:
    """A lone surrogate is a UnicodeEncodeError for the client's server, and a CR goes out as it is."""
    polled = Polled(MetricsSettings(names=True))
    polled.poll({"1": AVAILABLE}, {"1": Agent("1", name, name)})

    async def check(server: Running) -> None:
        for headers, form in ((IDENTITY, Format.TEXT), (OPENMETRICS, Format.OPENMETRICS)):
            answer = await server.client.get("/metrics", headers=headers)
            assert answer.status_code == 200
            assert b"\r" not in answer.content
            labels = next(
                dict(labels) for (sample, labels) in read(answer.content, form) if sample.endswith("agent_info")
            )
            assert labels == {"agent_id": "1", "name": shown, "team": shown}

    with_server(check, polled)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /none HTTP/1.1\r\nHost: x\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n", 405),
        (b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n", 403),
        (b"GET /-/ready HTTP/1.1\r\nHost: x\r\n", 503),
        (b"GET /metrics HTTP/9.9\r\nHost: x\r\n", 400),
        (b"no request\r\n", 400),
    ],
)
def test_an_error_has_a_content_type_that_prometheus_knows(sent: bytes, status: int) -> None:
    """Prometheus 3 fails a scrape whose type it does not know, with a message about that and not about the error."""

    async def check(server: Running) -> None:
        answer = await raw(server.port, sent + b"Connection: close\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"content-type: text/plain; charset=utf-8" in head.lower().split(b"\r\n")
        assert b"x-content-type-options: nosniff" in head.lower().split(b"\r\n")
        assert body.endswith(b"\n")
        assert b"Traceback" not in body

    with_server(check)


@pytest.mark.parametrize("status", [reported("Lunch"), Status(Kind.ERROR, "error"), Status(Kind.ABSENT, "absent")])
def test_a_status_that_nobody_foresaw_is_claimed_to_be_no_other(status: Status) -> None:
    """An Enum of the client raises for an unknown state, and leaves a series behind that claims the first one."""
    polled = Polled()
    polled.poll({"1": status})
    by_status = polled.by("status", "zohovoice_agent_status", agent_id="1")
    assert {name for name, number in by_status.items() if number == 1} == {
        "Lunch" if status.kind is Kind.REPORTED else "unknown"
    }
    assert all(by_status[known.word] == 0 for known in KNOWN_STATUSES)
