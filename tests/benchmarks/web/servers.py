"""The servers that are compared, each in processes of its own, and what they take of the machine."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.benchmarks.chunk_server import agent_ids
from tests.benchmarks.polling import CHUNK, CONCURRENCY, chunk_server

TEXT: Final = "text/plain;version=0.0.4"
OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at `url`."""

    url: str
    pid: int
    """Of the process that answers."""

    def get(self, accept: str = TEXT) -> bytes:
        """A body."""
        headers = {"accept": accept, "accept-encoding": "identity"}
        with httpx.Client(trust_env=False, timeout=_PATIENCE_S) as http:
            answer = http.get(self.url, headers=headers)
            answer.raise_for_status()
            return answer.content

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that it has taken so far, user and system, threads that have ended included."""
        return time.clock_gettime(~self.pid << 3 | 2)  # what clock_getcpuclockid(3) gives on Linux

    @property
    def memory_mb(self) -> float:
        """Resident memory now."""
        return _kilobytes(self.pid, "VmRSS") / 1024

    @property
    def peak_memory_mb(self) -> float:
        """The most resident memory it ever had."""
        return _kilobytes(self.pid, "VmHWM") / 1024


def _kilobytes(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


@contextlib.contextmanager
def exporter(
    agents: int, directory: Path, *, interval: str = "1h", flags: Sequence[str] = (), login: str = ""
) -> Iterator[Server]:
    """`serve` with so many agents, once a first poll is shown; with the default interval it polls no more after it.

    `login`: the value of an Authorization field, where `flags` make it ask for one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    people = directory / "agents.csv"
    people.write_text("id,name,team\n" + "".join(f"{i},Agent {i},Team {int(i) % 20}\n" for i in agent_ids(agents)))
    with chunk_server(agents, CHUNK) as api:
        command = [
            *(sys.executable, "-m", "exporter", "serve", f"--api.url={api}", f"--api.accounts-url={api}"),
            *(f"--agents.file={people}", f"--db={directory / 'zohovoice.db'}", "--web.listen-address=127.0.0.1:0"),
            *(f"--poll.interval={interval}", "--poll.max-age=3h", "--api.max-requests-per-minute=100000"),
            *(f"--api.agents-per-request={CHUNK}", f"--api.concurrency={CONCURRENCY}", *flags),
        ]
        environment = os.environ | {"ZOHOVOICE_AUTH_ACCESS_TOKEN": "1000.bench"}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                address, said = None, ""
                while address is None and (line := process.stderr.readline()):
                    found = re.search(r"addresses=\"?(\S+?)\"?$", line)
                    address, said = found[1] if found else None, said + line
                assert address is not None, f"serve did not start: {said}"
                # Nobody reads the log from here on, but it must not fill the pipe.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                _until_ready(f"{address}/-/ready", {"authorization": login} if login else {})
                yield Server(f"{address}/metrics", process.pid)
            finally:
                process.terminate()


def _until_ready(url: str, headers: dict[str, str]) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    with httpx.Client(trust_env=False, headers=headers) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if http.get(url).status_code == 200:
                    return
            assert time.monotonic() < give_up, f"{url} was never ready"
            time.sleep(0.05)


@contextlib.contextmanager
def clients_own(body: Path) -> Iterator[Server]:
    """prometheus-client's own server with a collector that makes the families of the exposition in the file `body`."""
    command = [sys.executable, "-m", "tests.benchmarks.web.clients_own", str(body)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield Server(f"http://127.0.0.1:{process.stdout.readline().strip()}/metrics", process.pid)
        process.stdin.close()


_NGINX: Final = """
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  types {{}}
  default_type "{content_type}";
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  gzip_static on;
  gzip_proxied any;
  open_file_cache max=100;
  server {{
    listen 127.0.0.1:{port};
    root {directory}/files;
  }}
}}
"""


@contextlib.contextmanager
def nginx(
    bodies: Mapping[str, tuple[bytes, bytes]], directory: Path, *, content_type: str = TEXT
) -> Iterator[dict[str, Server]]:
    """Debian's nginx, one worker, with static files: name to (plain body, the same packed); a server for each name."""
    files = directory / "files"
    files.mkdir(parents=True)
    directory.chmod(0o755)
    for name, (plain, packed) in bodies.items():
        (files / name).write_bytes(plain)
        (files / f"{name}.gz").write_bytes(packed)
    port = free_port()
    config = directory / "nginx.conf"
    # As root its worker would be another user, who cannot read these files.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(_NGINX.format(directory=directory, port=port, user=user, content_type=content_type))
    with subprocess.Popen(["nginx", "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            _until_ready_port(port)
            (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            yield {name: Server(f"http://127.0.0.1:{port}/{name}", int(worker)) for name in bodies}
        finally:
            process.terminate()


def _until_ready_port(port: int) -> None:
    give_up = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < give_up, f"nothing listens on port {port}"
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def missing(*programs: str) -> str:
    """The first of `programs` that is not installed, "" if all are."""
    return next((name for name in programs if shutil.which(name) is None), "")
