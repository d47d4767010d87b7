"""The laws of scrapes that need other programs: Prometheus for 1, openssl for 10 (the list: `test_scrape_laws.py`)."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from exporter.model import AVAILABLE, BUSY, Agent
from exporter.settings import MetricsSettings
from tests.support.certificates import LOCAL, authority
from tests.support.metrics import Polled
from tests.support.prometheus import running_prometheus
from tests.support.running import exporting, read_samples, settings_against, simulated, value
from tests.support.tls import client_context
from tests.support.web import running

HOSTILE = {
    "1": Agent("1", 'quotes " and \\ backslash', "comma, brace } equals ="),
    "2": Agent("2", "a\nline end", "a\ttab"),
    "3": Agent("3", "half an emoji \ud83d", "\x00"),
    "4": Agent("4", "Zoë 🎧 李", "\u202eright to left"),
    "5": Agent("5", "CR\rand\r\n", "\u2028"),
    "6": Agent("6", "# EOF", "# HELP x y"),
    "7": Agent("7", 'x"} 1\nzohovoice_up 7', ""),
    "8": Agent("8", "e\u0301", "x" * 5_000),
}
SEEN = {
    "3": ("half an emoji \ufffd", "\ufffd"),
    "5": ("CR and \n", "\u2028"),
}
CONFIG = """
global: {scrape_interval: 300ms, scrape_timeout: 300ms}
scrape_configs:
  - job_name: hostile
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""


def test_law_1_a_running_prometheus_reads_hostile_names_as_they_are(tmp_path: Path) -> None:
    polled = Polled(MetricsSettings(names=True))
    polled.poll({number: AVAILABLE if int(number) % 2 else BUSY for number in HOSTILE}, HOSTILE)

    async def run() -> None:
        async with (
            running(polled) as server,
            running_prometheus(CONFIG.replace("PORT", str(server.port)), tmp_path) as it,
        ):
            await it.until("zohovoice_up", {"": 1.0})
            await it.until("sum by (status) (zohovoice_agent_status == 1)", {"Available": 4.0, "Busy": 4.0})
            rows = [row["metric"] for row in await it.query("zohovoice_agent_info == 1")]
            found = {row["agent_id"]: (row["name"], row.get("team", "")) for row in rows}
            assert found == {key: SEEN.get(key, (agent.name, agent.team)) for key, agent in HOSTILE.items()}

    asyncio.run(run())


WEB_CONFIG = """
tls_server_config:
  cert_file: {certificate}
  key_file: {key}
"""


# Each of those that read nothing takes one of the 40 places of --web.max-requests.
@pytest.mark.parametrize(("number", "clients"), [(50, "that say nothing"), (30, "that read nothing")])
def test_law_10_clients_on_the_tls_port_delay_neither_scrapes_nor_polls(
    number: int, clients: str, tmp_path: Path
) -> None:
    ca = authority(tmp_path)
    pair = ca.issue("server", LOCAL)
    config = tmp_path / "web.yml"
    config.write_text(WEB_CONFIG.format(certificate=pair.certificate, key=pair.key))
    context = client_context(ca.certificate)

    async def run() -> None:
        async with simulated() as simulator:
            settings = settings_against(simulator, tmp_path, interval_s=0.2)
            settings = replace(settings, web=replace(settings.web, config_file=config))
            async with exporting(settings) as exporter, contextlib.AsyncExitStack() as stack:
                where = httpx.URL(exporter.url)
                for _ in range(number):
                    if clients == "that say nothing":
                        stack.enter_context(contextlib.closing(idle(where)))
                    else:
                        await stack.enter_async_context(deaf(where, context))
                async with httpx.AsyncClient(verify=context, trust_env=False) as http:
                    took, polls = await scraped(http, exporter.url)
        # The machine may be busy; a server that shakes hands inside accept() lets everybody wait until it gives up.
        assert sorted(took)[len(took) // 2] < 0.5
        assert max(took) < 2
        assert polls >= 3, "polls went on"

    def idle(where: httpx.URL) -> socket.socket:
        return socket.create_connection((where.host, where.port or 443))

    asyncio.run(run())


@contextlib.asynccontextmanager
async def deaf(where: httpx.URL, context: ssl.SSLContext) -> AsyncIterator[None]:
    """A client that asks for more than fits into any buffer, and takes nothing of it."""
    _, writer = await asyncio.open_connection(where.host, where.port, ssl=context)
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
    try:
        yield
    finally:
        transport.abort()


async def scraped(http: httpx.AsyncClient, url: str) -> tuple[list[float], float]:
    """How long scrapes took in two seconds, each on a connection of its own, and how many polls ended meanwhile."""
    took: list[float] = []
    counts: list[float] = []
    give_up = time.perf_counter() + 2
    while (started := time.perf_counter()) < give_up:
        answer = await http.get(f"{url}/metrics", headers={"connection": "close"})
        took.append(time.perf_counter() - started)
        assert answer.status_code == 200
        counts.append(value(read_samples(answer.text), "zohovoice_polls_total") or 0)
        await asyncio.sleep(0.02)
    return took, counts[-1] - counts[0]
