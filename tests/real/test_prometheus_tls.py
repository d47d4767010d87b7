"""A real Prometheus scrapes a running `serve` over TLS: with a login, and with a client certificate."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import bcrypt
import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.settings import Settings
from exporter.web.serving.listen import ListenAddress, bind
from exporter.web.serving.server import serve
from tests.support import certificates
from tests.support.certificates import LOCAL, Certificate
from tests.support.programs import program
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.running import exporting, settings_against, simulated, value
from tests.support.tls import client_context

PASSWORD: Final = "hunter2: ünïcode"
SCRAPED: Final = "2s"
"""Also the time-out, which may not be longer: a scrape that comes late on a busy machine is not to fail."""
TEXT: Final = "text/plain;version=0.0.4"


@dataclass
class Forwarder:
    """Forwards Prometheus' scrapes, and keeps what was asked for and how it was answered."""

    url: str
    client: httpx.AsyncClient
    accept: str | None = None
    """What is asked for instead of the formats that Prometheus likes best: Prometheus 2.42 cannot be told to."""
    seen: set[tuple[str, str, str]] = field(default_factory=set)
    """What Prometheus asked to be compressed with; content type and coding of the answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        asked = Request(scope).headers
        sent = {name: asked[name] for name in ("accept", "authorization", "accept-encoding") if name in asked}
        if self.accept is not None:
            sent["accept"] = self.accept
        async with self.client.stream("GET", self.url + scope["path"], headers=sent) as answer:
            body = b"".join([some async for some in answer.aiter_raw()])
        kept = {name: answer.headers[name] for name in ("content-type", "content-encoding") if name in answer.headers}
        self.seen.add(
            (asked.get("accept-encoding", ""), kept.get("content-type", ""), kept.get("content-encoding", ""))
        )
        await Response(body, answer.status_code, headers=kept)(scope, receive, send)


@asynccontextmanager
async def forwarding(
    url: str, verify: ssl.SSLContext, accept: str | None = None
) -> AsyncIterator[tuple[Forwarder, str]]:
    """A forwarder, and where it is."""
    sockets = bind([ListenAddress("127.0.0.1", 0)])
    stop, ready = asyncio.Event(), asyncio.Event()
    async with httpx.AsyncClient(verify=verify, trust_env=False) as client:
        forwarder = Forwarder(url, client, accept)
        target = f"127.0.0.1:{sockets[0].getsockname()[1]}"
        running = asyncio.create_task(serve(forwarder, sockets, stop, ready.set))
        await ready.wait()
        try:
            yield forwarder, target
        finally:
            stop.set()
            await running


@dataclass(frozen=True)
class Door:
    """How one is let in, and how one is not."""

    web_file: Callable[[Path], str]
    opens: Callable[[Path], str]
    """What a scrape configuration says to be let in."""
    does_not: Callable[[Path], str]
    why_not: str


def _hash() -> str:
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(6)).decode()


DOORS: Final = {
    "a login": Door(
        lambda _: f"basic_auth_users:\n  prometheus: {_hash()}\n",
        lambda here: f"    basic_auth: {{username: prometheus, password: '{PASSWORD}'}}\n{_tls(here)}",
        lambda here: f"    basic_auth: {{username: prometheus, password: 'another'}}\n{_tls(here)}",
        "server returned HTTP status 401 Unauthorized",
    ),
    "a client certificate": Door(
        lambda here: (
            "  client_auth_type: RequireAndVerifyClientCert\n"
            f"  client_ca_file: {here / 'ca.pem'}\n"
            "  client_allowed_sans: [prometheus.example]\n"
        ),
        lambda here: _tls(here, "prometheus"),
        lambda here: _tls(here, "stranger"),
        "",
    ),
}


def _tls(here: Path, client: str | None = None) -> str:
    shown = f", cert_file: {here / f'{client}.pem'}, key_file: {here / f'{client}.key'}" if client else ""
    return f"    scheme: https\n    tls_config: {{ca_file: {here / 'ca.pem'}, server_name: localhost{shown}}}\n"


def job(name: str, target: str, more: str) -> str:
    return f'  - job_name: {name}\n{more}    static_configs: [{{targets: ["{target}"]}}]\n'


async def same_in_all(prometheus: Prometheus, expression: str) -> None:
    """The jobs that are let in know the same series with the same values."""
    rows = await prometheus.query(expression)
    known: dict[str, dict[tuple[tuple[str, str], ...], str]] = {}
    for row in rows:
        labels = tuple(sorted((k, v) for k, v in row["metric"].items() if k not in ("job", "instance")))
        known.setdefault(row["metric"]["job"], {})[labels] = row["value"][1]
    assert set(known) == {"openmetrics", "forwarded", "text", "later"}
    assert known["openmetrics"] == known["forwarded"] == known["text"] == known["later"]
    assert len(known["text"]) > 100


def test_it_scrapes_both_formats_compressed_while_the_certificate_is_replaced_without_a_failed_scrape(
    tmp_path: Path,
) -> None:
    program("prometheus", "prometheus")

    async def run() -> None:
        async with asyncio.TaskGroup() as group:  # most of the time is waiting for scrapes
            for kind, door in DOORS.items():
                directory = tmp_path / kind
                directory.mkdir()
                group.create_task(_scraped_through(door, directory))

    asyncio.run(run())


async def _scraped_through(door: Door, tmp_path: Path) -> None:
    ca = certificates.authority(tmp_path)
    old, new = ca.issue("old", LOCAL), ca.issue("new", LOCAL)
    client = ca.issue("prometheus", ("DNS:prometheus.example",), use="clientAuth")
    ca.issue("stranger", ("DNS:stranger.example",), use="clientAuth")
    used = Certificate(tmp_path / "server.pem", tmp_path / "server.key")
    certificates.replace(used, old)
    web_file = tmp_path / "web.yml"
    web_file.write_text(
        f"tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{door.web_file(tmp_path)}"
    )
    context = client_context(ca.certificate, client)

    def secured(settings: Settings) -> Settings:
        return replace(settings, web=replace(settings.web, config_file=web_file))

    async def serial(url: str) -> str:
        host, port = url.removeprefix("https://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        number: str = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        return number

    async with (
        simulated() as simulator,
        # One poll is all there is, so that both formats tell of the same one.
        exporting(
            secured(settings_against(simulator, tmp_path, interval_s=300)),
            verify=context,
            auth=("prometheus", PASSWORD),
        ) as exporter,
        forwarding(exporter.url, context, TEXT) as (as_text, text_target),
        forwarding(exporter.url, context) as (as_it_likes, forwarded),
    ):
        assert exporter.url.startswith("https://")
        await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
        target = exporter.url.removeprefix("https://")
        login = door.opens(tmp_path).partition("    scheme")[0]  # the forwarder speaks plain HTTP
        config = (
            f"global: {{scrape_interval: {SCRAPED}, scrape_timeout: {SCRAPED}}}\nscrape_configs:\n"
            + job("openmetrics", target, door.opens(tmp_path))
            + job("forwarded", forwarded, login)
            + job("text", text_target, login)
            + job("stranger", target, door.does_not(tmp_path))
        )
        async with running_prometheus(config, tmp_path) as prometheus:
            scraped = 'sum by (job) (sum_over_time(up{job!="stranger"}[5m])) >= bool 4'
            await prometheus.until(f"sum({scraped})", {"": 3.0})
            certificates.replace(used, new)
            async with asyncio.timeout(10):
                while await serial(exporter.url) != new.serial:
                    await asyncio.sleep(0.1)
            # This job makes a connection of its own, and so sees the new certificate; the others keep theirs.
            await prometheus.reconfigure(config + job("later", target, door.opens(tmp_path)))
            await prometheus.until(f"sum({scraped})", {"": 4.0})
            await prometheus.until('sum(count_over_time(up{job="openmetrics"}[5m])) >= bool 10', {"": 1.0})

            await prometheus.until('min(min_over_time(up{job!="stranger"}[5m]))', {"": 1.0})
            await prometheus.until('max(max_over_time(up{job="stranger"}[5m]))', {"": 0.0})
            assert door.why_not in (await prometheus.errors())["stranger"]
            await same_in_all(prometheus, '{__name__=~"zohovoice_agent.*|zohovoice_team.*|zohovoice_polls_total"}')
            # A counter's family has no `_total` in OpenMetrics.
            openmetrics = await prometheus.metadata('{job="openmetrics"}')
            text = await prometheus.metadata('{job="text"}')
            assert ("zohovoice_polls" in openmetrics, "zohovoice_polls_total" in openmetrics) == (True, False)
            assert ("zohovoice_polls" in text, "zohovoice_polls_total" in text) == (False, True)
            assert as_text.seen == {("gzip", "text/plain; version=0.0.4; charset=utf-8", "gzip")}
            assert as_it_likes.seen == {
                ("gzip", "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores", "gzip")
            }
