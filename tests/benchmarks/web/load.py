"""Asking a server as fast as it answers, for a short time."""

import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tests.benchmarks.web.servers import TEXT, Server

CONNECTIONS: Final = 4
_REQUESTS: Final = re.compile(r"(\d+) requests in ([\d.]+)(ms|s|m), ([\d.]+)([KMG]?B) read")


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it."""

    requests: int
    seconds: float
    server_cpu_s: float
    """Seconds of CPU that the server took meanwhile."""
    body_kb: float
    """Kilobytes of an answer, as it went over the wire."""

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU for each answer."""
        return self.server_cpu_s / self.requests * 1e6


def load(
    server: Server, accept: str = TEXT, *, gzip: bool, seconds: int, connections: int = CONNECTIONS, login: str = ""
) -> Load:
    """Ask on kept connections, with wrk, or where that is missing with a client of our own, on one connection.

    `login`: the value of an Authorization field.
    """
    headers = {"accept": accept, "accept-encoding": "gzip" if gzip else "identity"}
    if login:
        headers["authorization"] = login
    before = server.cpu_s
    if shutil.which("wrk"):
        requests, took, size = _wrk(server.url, headers, seconds, connections)
    else:
        requests, took, size = _ask(server.url, headers, seconds)
    assert requests, f"{server.url} gave no whole answer in {seconds} s"
    return Load(requests, took, server.cpu_s - before, size / requests / 1000)


def _wrk(url: str, headers: dict[str, str], seconds: int, connections: int) -> tuple[int, float, float]:
    fields = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    # The time-out is for servers that take seconds for an answer.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", *fields, url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    found = _REQUESTS.search(said)
    assert found is not None, said
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0}[found[3]]
    amount = float(found[4]) * {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}[found[5]]
    return int(found[1]), float(found[2]) * unit, amount


def _ask(url: str, headers: dict[str, str], seconds: float) -> tuple[int, float, float]:
    where = urlsplit(url)
    assert where.hostname is not None
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET {where.path} HTTP/1.1\r\nhost: {where.netloc}\r\n{fields}\r\n".encode()
    requests, size, started = 0, 0, time.perf_counter()
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_connection((where.hostname, where.port or 80)) as connection:
        while (took := time.perf_counter() - started) < seconds:
            connection.sendall(request)
            head, _, body = _head(connection).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None, "only answers with a Content-Length are understood here"
            size += len(head) + int(length[1])
            left = int(length[1]) - len(body)
            while left > 0:
                left -= connection.recv_into(buffer)
            requests += 1
    return requests, took, size


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        some = connection.recv(65536)
        assert some, "the server closed the connection"
        head += some
    return head
