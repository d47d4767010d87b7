"""The HTTP side over real connections: routes, headers, negotiation, and what goes on while polls swap the body."""

import asyncio
import gzip
import re
import signal
import socket
import statistics
import time

import httpx
import pytest

from exporter.errors import UsageError
from exporter.metrics.text import Format
from exporter.model import AVAILABLE, BUSY, Agent
from exporter.settings import MetricsSettings, WebSettings
from exporter.web.api.routes import api
from exporter.web.app import create_app
from exporter.web.heartbeat import Heartbeat
from exporter.web.operations import operations
from exporter.web.pages.board import board
from exporter.web.pages.static import static_files
from exporter.web.pages.timeline.route import timeline
from exporter.web.paths import can_be_served, checked_telemetry_path
from tests.support.clock import FakeClock
from tests.support.documents import ROOT, section
from tests.support.metrics import Polled, read
from tests.support.web import IDENTITY, OPENMETRICS, Running, running, web_state, with_server


def test_metrics_are_served_in_both_formats_plain_and_packed() -> None:
    polled = Polled(MetricsSettings(names=True))
    polled.poll({"1": AVAILABLE}, {"1": Agent("1", "Zoë 🎧", "Süd")})

    async def check(server: Running) -> None:
        for headers, kind in (
            ({}, "text/plain; version=0.0.4; charset=utf-8"),
            (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
        ):
            plain = await server.client.get("/metrics", headers=headers | IDENTITY)
            packed = await server.client.get("/metrics", headers=headers | {"accept-encoding": "gzip"})
            for answer in (plain, packed):
                assert answer.status_code == 200
                assert answer.headers["content-type"] == kind
                assert answer.headers["vary"] == "Accept, Accept-Encoding"
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "server" not in answer.headers
                assert "date" in answer.headers
            assert "content-encoding" not in plain.headers
            assert packed.headers["content-encoding"] == "gzip"
            assert int(packed.headers["content-length"]) < len(plain.content)
            own = [line for line in plain.text.splitlines() if line.startswith("zohovoice_agent")]
            assert own == [line for line in packed.text.splitlines() if line.startswith("zohovoice_agent")]
            assert 'zohovoice_agent_info{agent_id="1",name="Zoë 🎧",team="Süd"} 1' in own

    with_server(check, polled)


def test_several_accept_fields_count_as_one() -> None:
    async def check(server: Running) -> None:
        fields = [("accept", "text/plain;q=0.5"), ("accept", "application/openmetrics-text")]
        answer = await server.client.get("/metrics", headers=fields)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")

    with_server(check)


def test_head_has_the_headers_of_get_and_no_body() -> None:
    async def check(server: Running) -> None:
        for path in ("/metrics", "/", "/-/healthy"):
            answer = await server.client.head(path)
            assert answer.status_code == 200
            assert int(answer.headers["content-length"]) > 0
            assert answer.content == b""

    with_server(check)


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/nothing", 404, "Nothing is at this path; the metrics are at /metrics.\n"),
        ("GET", "/metrics/", 404, "Nothing is at this path; the metrics are at /metrics.\n"),
        ("GET", "/%00/..%2f", 404, "Nothing is at this path; the metrics are at /metrics.\n"),
        ("POST", "/metrics", 405, "This path answers GET, HEAD only.\n"),
        ("DELETE", "/", 405, "This path answers GET, HEAD only.\n"),
    ],
)
def test_what_is_not_there_is_refused_in_plain_text(method: str, path: str, status: int, sentence: str) -> None:
    async def check(server: Running) -> None:
        answer = await server.client.request(method, path)
        assert answer.status_code == status
        assert answer.text == sentence
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        if status == 405:
            assert {"GET", "HEAD"} == set(answer.headers["allow"].split(", "))

    with_server(check)


def test_ready_says_no_until_a_poll_was_complete_and_yes_for_ever_after() -> None:
    async def check(server: Running) -> None:
        answer = await server.get("/-/ready")
        assert (answer.status_code, answer.text) == (503, "Not ready: no poll has been complete yet.\n")
        server.polled.fail()
        assert (await server.get("/-/ready")).status_code == 503
        server.polled.poll({"1": AVAILABLE})
        answer = await server.get("/-/ready")
        assert (answer.status_code, answer.text) == (200, "Ready.\n")
        for _ in range(9):
            server.polled.fail()
        assert (await server.get("/-/ready")).status_code == 200
        assert (await server.get("/-/healthy")).text == "Healthy.\n"

    with_server(check)


def test_healthy_says_no_when_the_heart_does_not_beat() -> None:
    async def check() -> None:
        polled, clock = Polled(), FakeClock()
        app = create_app(web_state(polled, clock=clock, heartbeat=Heartbeat(clock)))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://exporter.example.test"
        ) as client:
            clock.pass_time(9.9)
            assert (await client.get("/-/healthy")).status_code == 200
            clock.pass_time(0.1)
            answer = await client.get("/-/healthy")
            assert answer.status_code == 503
            assert answer.text == "Not healthy: the event loop has not turned for 10 seconds.\n"

    asyncio.run(check())


def test_the_heart_beats_while_the_server_runs() -> None:
    async def check() -> None:
        clock = FakeClock()
        heartbeat = Heartbeat(clock)
        clock.pass_time(60)
        assert not heartbeat.fresh
        beating = asyncio.create_task(heartbeat.run())
        await asyncio.sleep(0)
        assert heartbeat.fresh
        beating.cancel()

    asyncio.run(check())


def test_each_answer_is_counted_by_what_gave_it() -> None:
    async def check(server: Running) -> None:
        for path in ("/metrics", "/metrics", "/", "/-/ready", "/nothing", "/nothing-else"):
            await server.get(path)
        await server.client.post("/metrics")
        server.polled.clock.pass_time(1)  # the counts are shown as they were at most a second ago
        counts = {
            (dict(labels)["handler"], dict(labels)["code"]): value
            for (name, labels), value in server.polled.series.items()
            if name == "zohovoice_exporter_http_requests_total" and (value or dict(labels)["handler"] == "healthy")
        }
        assert counts == {
            ("metrics", "200"): 2,
            ("metrics", "405"): 1,
            ("healthy", "200"): 0,
            ("ready", "503"): 1,
            ("landing", "200"): 1,
            ("other", "404"): 2,
        }

    with_server(check)


def test_another_telemetry_path_is_honoured() -> None:
    async def check(server: Running) -> None:
        assert (await server.get("/zoho/voice-1.x")).text.startswith("# HELP")
        assert (await server.get("/metrics")).status_code == 404
        assert 'href="zoho/voice-1.x"' in (await server.get("/")).text

    with_server(check, web=WebSettings(telemetry_path="/zoho/voice-1.x"))


def test_metrics_at_the_root_leave_no_room_for_a_landing_page() -> None:
    async def check(server: Running) -> None:
        assert (await server.get("/")).headers["content-type"].startswith("text/plain; version=0.0.4")
        assert (await server.get("/-/healthy")).status_code == 200

    with_server(check, web=WebSettings(telemetry_path="/"))


@pytest.mark.parametrize("path", ["", "metrics", "/-/ready", "/-", "//", "/a//b", "/a/", "/{x}", "/a?b", "/../a", "/é"])
def test_a_telemetry_path_that_cannot_be_served_is_refused_by_its_flag(path: str) -> None:
    with pytest.raises(UsageError, match=r"^--web\.telemetry-path '"):
        checked_telemetry_path(path)


def test_no_telemetry_path_hides_another_route_and_every_route_is_documented() -> None:
    state = web_state(Polled())
    served = [*operations(state, "/metrics"), *api(state), *static_files(), board(state), timeline(state)]
    table = section((ROOT / "docs" / "web.md").read_text("utf-8"), "Endpoints")
    documented = [path.removesuffix("…") for path in re.findall(r"`(/[^` ]*)`", table)]
    for route in served:
        if route.path != "/metrics":
            assert not can_be_served(route.path), route.path
        assert any(
            route.path == path or (path.endswith("/") and route.path.startswith(path))
            for path in documented
            if path != "/"
        ), route.path


def test_an_unforeseen_failure_is_a_500_without_details_and_one_line_of_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled = Polled()

    def broken(form: Format, *, gzip: bool) -> bytes:
        raise RuntimeError("the secret is hunter2")

    monkeypatch.setattr(polled.instruments, "scrape", broken)

    async def check(server: Running) -> None:
        answer = await server.get("/metrics")
        assert answer.status_code == 500
        assert answer.text == "The exporter failed to answer; its log says why.\n"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await server.get("/-/healthy")).status_code == 200

    with_server(check, polled)
    assert [record.message for record in caplog.records] == ["a request could not be answered"]


def test_an_agent_that_left_is_not_in_the_next_body_and_stale_agents_are_in_none() -> None:
    polled = Polled()

    async def check(server: Running) -> None:
        polled.poll({"1": AVAILABLE, "2": BUSY})
        assert 'agent_id="2"' in (await server.get("/metrics")).text
        polled.poll({"1": AVAILABLE})
        assert 'agent_id="2"' not in (await server.get("/metrics")).text
        polled.clock.pass_time(90)
        answer = await server.get("/metrics")
        series = read(answer.content, Format.TEXT)
        assert answer.status_code == 200
        assert series["zohovoice_up", ()] == 0
        assert not any(name.startswith("zohovoice_agents") or "agent_id" in dict(labels) for name, labels in series)
        polled.poll({"1": AVAILABLE})
        assert 'agent_id="1"' in (await server.get("/metrics")).text

    with_server(check, polled)


def test_a_small_answer_on_a_kept_connection_does_not_wait_for_a_delayed_acknowledgement() -> None:
    async def check(server: Running) -> None:
        await server.get("/-/healthy")
        times = []
        for _ in range(20):
            started = time.perf_counter()
            await server.get("/-/healthy")
            times.append(time.perf_counter() - started)
        # Nagle's algorithm with delayed acknowledgements costs 40 ms or more each time.
        assert statistics.median(times) < 0.030

    with_server(check)


def test_the_body_on_the_wire_is_one_gzip_member() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})

    async def check(server: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        assert f"content-length: {len(body)}".encode() in head
        assert body.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == 1
        assert gzip.decompress(body).startswith(b"# HELP zohovoice_agents ")

    with_server(check, polled)


def test_stopping_leaves_signals_alone_and_does_not_wait_for_who_will_not_read() -> None:
    polled = Polled()
    polled.poll({str(number): AVAILABLE for number in range(20_000)})

    async def check() -> float:
        before = signal.getsignal(signal.SIGTERM)
        async with running(polled) as server:
            assert signal.getsignal(signal.SIGTERM) is before
            idle = await asyncio.open_connection("127.0.0.1", server.port)
            slow = socket.create_connection(("127.0.0.1", server.port))
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            # Others are served while one does not read its 25 MB.
            for _ in range(3):
                assert (await server.get("/-/healthy")).status_code == 200
            started = time.perf_counter()
        took = time.perf_counter() - started
        slow.close()
        idle[1].close()
        return took

    assert asyncio.run(check()) < 3
