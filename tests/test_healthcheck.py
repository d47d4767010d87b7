"""The image's health check, against servers that answer in every way that counts."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.cli.healthcheck import main
from tests.support.programs import program
from tests.support.sockets import free_port


@contextlib.asynccontextmanager
async def answering(said: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says the same to everybody; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def verdict(said: bytes, tls: ssl.SSLContext | None = None) -> int:
    async def run() -> int:
        async with answering(said, tls) as port:
            return await asyncio.to_thread(main, f"127.0.0.1:{port}")

    return asyncio.run(run())


def certificate(folder: Path) -> ssl.SSLContext:
    key, pem = folder / "key.pem", folder / "certificate.pem"
    made = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=elsewhere")
    where = ("-keyout", str(key), "-out", str(pem), "-days", "2")
    subprocess.run([program("openssl", "openssl"), *made, *where], capture_output=True, check=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context


@pytest.mark.parametrize(
    ("status", "healthy"), [("200 OK", 0), ("401 Unauthorized", 0), ("403 Forbidden", 0), ("503 Not healthy", 1)]
)
def test_whoever_answers_is_healthy_but_for_who_says_that_it_is_not(
    status: str, healthy: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode()) == healthy
    if healthy == 1:
        assert capsys.readouterr().err.startswith("not healthy: ")


def test_silence_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"127.0.0.1:{free_port()}") == 1
    assert "Connection refused" in capsys.readouterr().err


def test_a_certificate_that_nobody_knows_is_no_matter(tmp_path: Path) -> None:
    assert verdict(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", certificate(tmp_path)) == 0


def test_to_be_asked_for_a_certificate_is_an_answer(tmp_path: Path) -> None:
    context = certificate(tmp_path)
    context.load_verify_locations(tmp_path / "certificate.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    assert verdict(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", context) == 0


@pytest.mark.parametrize("address", [":{port}", "0.0.0.0:{port}", "[::]:{port}", "localhost:{port}", ":{port},:1"])
def test_all_interfaces_are_also_the_loopback_one(address: str) -> None:
    async def run() -> int:
        async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as port:
            return await asyncio.to_thread(main, address.format(port=port))

    assert asyncio.run(run()) == 0


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6: boot it with IPv6 to run this")
def test_a_listener_on_ipv6_alone_is_asked_there() -> None:
    async def run() -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "::1", 0)
        async with server:
            return await asyncio.to_thread(main, f"[::1]:{server.sockets[0].getsockname()[1]}")

    assert asyncio.run(run()) == 0
