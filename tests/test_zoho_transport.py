"""One request: bounded in time and size, every failure by its cause, and no secret in any of them."""

import asyncio
import gzip
import ssl
import subprocess
import traceback
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.secret import Secret
from exporter.settings import ApiSettings
from exporter.zoho import transport as transport_module
from exporter.zoho.answers import Answer
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import ApiError, ConnectFailed, NotDecodable, RequestTimeout, TlsFailed, TooLarge
from exporter.zoho.session import open_transport
from exporter.zoho.transport import Transport
from tests.support.http_script import Fault, Handler, Raw, Reply, ScriptedServer, scripted_server
from tests.support.programs import program
from tests.support.zoho import TOKEN, Noted, answers

CLOCK = SystemClock()


@asynccontextmanager
async def transport_to(url: str, observer: Noted, **api: object) -> AsyncIterator[Transport]:
    settings = ApiSettings(url=url, accounts_url=url, **{"timeout_s": 1.0, **api})  # type: ignore[arg-type]  # a test's keywords
    async with open_transport(settings, clock=CLOCK, observer=observer, version="1.2.3") as transport:
        yield transport


def send(handler: Handler, *, seconds: float = 5.0, observer: Noted | None = None, **api: object) -> Answer:
    async def run() -> Answer:
        async with (
            scripted_server(handler) as server,
            transport_to(server.url, observer or Noted(), **api) as transport,
        ):
            return await transport.send(Endpoint.STATUSES, CLOCK.monotonic() + seconds, token=Secret(TOKEN))

    return asyncio.run(run())


def failing(handler: Handler, kind: type[ApiError], **options: float) -> ApiError:
    """The error, after a look that it was noted by its reason and holds no token."""
    observer = Noted()
    with pytest.raises(kind) as caught:
        send(handler, observer=observer, **options)
    assert observer.failed == [("statuses", caught.value.reason)]
    assert observer.done == []
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_an_answer_is_handed_on_whatever_its_status() -> None:
    observer = Noted()
    answer = send(answers(b"gone", 410, X_Header="value"), observer=observer)
    assert (answer.status, answer.body, answer.headers.get("x-header")) == (410, b"gone", "value")
    assert observer.done == [("statuses", 410)]
    assert observer.failed == []


def test_a_server_that_hangs_is_left_at_the_time_out_of_a_phase() -> None:
    assert "gave no complete answer in time" in str(failing(lambda _: Fault.HANG, RequestTimeout, timeout_s=0.1))


def test_a_server_that_hangs_is_left_at_the_deadline() -> None:
    failing(lambda _: Fault.HANG, RequestTimeout, seconds=0.1)


def test_a_deadline_that_is_over_makes_no_request() -> None:
    asked = []

    def handle(request: object) -> Reply:
        asked.append(request)
        return Reply()

    observer = Noted()
    with pytest.raises(RequestTimeout):
        send(handle, seconds=0.0, observer=observer)
    assert asked == []
    assert observer == Noted()


def test_an_answer_that_trickles_for_ever_is_left_at_twice_the_time_out() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        except OSError:
            pass
        finally:
            writer.close()

    async def run() -> float:
        server = await asyncio.start_server(trickle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        began = CLOCK.monotonic()
        async with server, transport_to(url, Noted(), timeout_s=0.15) as transport:
            with pytest.raises(RequestTimeout):
                await transport.send(Endpoint.STATUSES, began + 60)
            return CLOCK.monotonic() - began

    assert 0.29 < asyncio.run(run()) < 2.0


def test_a_connection_that_is_reset_has_failed_to_connect() -> None:
    error = failing(lambda _: Fault.RESET, ConnectFailed)
    assert "the connection broke before the answer was complete" in str(error)
    assert isinstance(error, ConnectFailed)
    assert error.sent


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "cut short", "cut chunk", "another protocol", "no status", "endless header"],
)
def test_an_answer_that_is_no_whole_http_has_failed_to_connect(data: bytes) -> None:
    failing(lambda _: Raw(data), ConnectFailed)


def test_nobody_listening_is_a_connection_that_was_never_made() -> None:
    async def run() -> ConnectFailed:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        async with transport_to(f"http://127.0.0.1:{port}", Noted()) as transport:
            with pytest.raises(ConnectFailed, match="no connection could be made") as caught:
                await transport.send(Endpoint.OWN_STATUS, CLOCK.monotonic() + 5)
            return caught.value

    assert not asyncio.run(run()).sent


def test_a_body_beyond_the_bound_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "LARGEST_BODY", 1_048_576)
    assert send(answers(b"x" * 1_048_576)).body == b"x" * 1_048_576
    assert "larger than 1 MiB" in str(failing(answers(b"x" * 1_048_577), TooLarge))


def test_a_small_body_that_unpacks_to_a_huge_one_is_too_large() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(bomb.compress(bytes(1_048_576)) for _ in range(64)) + bomb.flush()
    assert len(body) < 100_000
    failing(answers(body, Content_Encoding="gzip"), TooLarge)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"{}", mtime=0)),  # with the time in it, the test would have another name each second
        ("deflate", zlib.compress(b"{}")),
        ("identity", b"{}"),
        ("Identity", b"{}"),
    ],
)
def test_a_compression_that_was_not_asked_for_is_undone(encoding: str, body: bytes) -> None:
    assert send(answers(body, Content_Encoding=encoding)).body == b"{}"


@pytest.mark.parametrize("encoding", ["br", "gzip", "zstd"])
def test_a_compression_that_cannot_be_undone_is_not_decodable(encoding: str) -> None:
    failing(answers(b"{}", Content_Encoding=encoding), NotDecodable)


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *(
                program("openssl", "openssl"),
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ),
            *("-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={host}"),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def tls_send(folder: Path, host: str, *, trusted: bool) -> Answer:
    cert, key = certificate(folder, host)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def run() -> Answer:
        async with (
            scripted_server(answers(b"{}"), context) as server,
            transport_to(server.url, Noted(), ca_file=cert if trusted else None) as transport,
        ):
            return await transport.send(Endpoint.STATUSES, CLOCK.monotonic() + 5, token=Secret(TOKEN))

    return asyncio.run(run())


def test_a_certificate_named_by_the_ca_file_is_trusted(tmp_path: Path) -> None:
    assert tls_send(tmp_path, "IP:127.0.0.1", trusted=True).status == 200


def test_a_certificate_nobody_vouches_for_is_a_tls_error_that_names_the_flag(tmp_path: Path) -> None:
    with pytest.raises(TlsFailed, match=r"not trusted \(self-signed certificate\).*--api\.ca-file"):
        tls_send(tmp_path, "IP:127.0.0.1", trusted=False)


def test_a_certificate_for_another_host_is_a_tls_error(tmp_path: Path) -> None:
    with pytest.raises(TlsFailed, match="IP address mismatch"):
        tls_send(tmp_path, "DNS:other.example.test", trusted=True)


PROXY_PASSWORD = "proxy-password"


def through_proxy(handler: Handler) -> tuple[str, ScriptedServer]:
    async def run() -> tuple[str, ScriptedServer]:
        async with scripted_server(handler) as proxy:
            url = proxy.url.replace("http://", f"http://user:{PROXY_PASSWORD}@")
            async with transport_to("https://voice.example.test", Noted(), proxy=Secret(url)) as transport:
                with pytest.raises(ConnectFailed) as caught:
                    await transport.send(Endpoint.STATUSES, CLOCK.monotonic() + 5, token=Secret(TOKEN))
                return "".join(traceback.format_exception(caught.value)), proxy

    return asyncio.run(run())


@pytest.mark.parametrize("status", [403, 407, 502])
def test_https_goes_through_the_proxy_whose_refusal_shows_no_password(status: int) -> None:
    text, proxy = through_proxy(answers(b"", status))
    assert "the proxy refused the connection; check --api.proxy" in text
    assert PROXY_PASSWORD not in text
    assert TOKEN not in text
    assert [(request.method, request.target) for request in proxy.requests] == [("CONNECT", "voice.example.test:443")]
    assert "authorization" not in proxy.requests[0].headers


def test_plain_http_to_this_machine_does_not_show_its_token_to_the_proxy() -> None:
    async def run() -> tuple[int, int]:
        async with scripted_server(answers(b"{}")) as proxy, scripted_server(answers(b"{}")) as server:
            async with transport_to(server.url, Noted(), proxy=Secret(proxy.url)) as transport:
                await transport.send(Endpoint.STATUSES, CLOCK.monotonic() + 5, token=Secret(TOKEN))
            return len(proxy.requests), len(server.requests)

    assert asyncio.run(run()) == (0, 1)


def test_the_environment_names_no_proxy_and_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert send(answers(b"{}")).status == 200
