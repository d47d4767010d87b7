"""What a real Prometheus says that scrapes take: `scrape_duration_seconds` of ours, and of the same bytes in memory.

Both are targets of the same Prometheus at the same time, while ours polls, commits and renders.
"""

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.benchmarks.web.servers import Server, free_port

_FIRST_S: Final = 4
"""The first scrapes make all series, which takes far longer than the others."""

_CONFIG: Final = """
global:
  scrape_interval: {interval}s
  scrape_timeout: {interval}s
scrape_configs:
"""
_JOB: Final = """
  - job_name: {name}
    metrics_path: {path}
    static_configs:
      - targets: ["{host}"]
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """Scrapes of one target, as Prometheus saw them."""

    median_s: float
    scrapes: int
    samples: int
    """In the last of them."""


def watched(targets: Mapping[str, Server], directory: Path, *, seconds: float, interval_s: int = 1) -> dict[str, Seen]:
    """Let a Prometheus scrape all `targets` for so long; what it says of each."""
    directory.mkdir(parents=True)
    config = directory / "prometheus.yml"
    parts = [_CONFIG.format(interval=interval_s)]
    for name, server in targets.items():
        host, _, path = server.url.removeprefix("http://").partition("/")
        parts.append(_JOB.format(name=name, path=f"/{path}", host=host))
    config.write_text("".join(parts))
    with _prometheus(config, directory) as url, httpx.Client(base_url=url, trust_env=False) as http:
        time.sleep(_FIRST_S * interval_s + seconds)
        window = f"[{int(seconds)}s]"
        return {
            name: Seen(
                _asked(http, f'quantile_over_time(0.5, scrape_duration_seconds{{job="{name}"}}{window})'),
                int(_asked(http, f'sum_over_time(up{{job="{name}"}}{window})')),
                int(_asked(http, f'scrape_samples_scraped{{job="{name}"}}')),
            )
            for name in targets
        }


@contextlib.contextmanager
def _prometheus(config: Path, directory: Path) -> Iterator[str]:
    port = free_port()
    command = [
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=1h", "--log.level=error"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            give_up = time.monotonic() + 30
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                        break
                assert time.monotonic() < give_up, "Prometheus did not start"
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def _asked(http: httpx.Client, expression: str) -> float:
    answer = http.get("/api/v1/query", params={"query": expression}).json()
    (found,) = answer["data"]["result"]
    return float(found["value"][1])
