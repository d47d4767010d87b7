"""TLS as the web configuration file asks for it: real certificates, real handshakes, files replaced while it serves.

The clients are Python's ssl, httpx and `openssl s_client`; the certificates are made by the openssl program.
"""

import asyncio
import logging
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.errors import UsageError
from exporter.web.config.model import ClientAuth
from exporter.web.protection.security import WebSecurity
from tests.support.certificates import LOCAL, Authority, Certificate, authority, replace
from tests.support.programs import program
from tests.support.tls import LOOPS, Served, client_context, run_on, serving, watching
from tests.support.told_in_log import fields_of


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server_certificate(ca: Authority) -> Certificate:
    return ca.issue("server", LOCAL)


@pytest.fixture(scope="module")
def client_certificate(ca: Authority) -> Certificate:
    return ca.issue("client", ("DNS:scraper.example",), use="clientAuth")


def web_file(directory: Path, server: Certificate, *more: str) -> Path:
    file = directory / "web.yml"
    lines = ["tls_server_config:", f"cert_file: {server.certificate}", f"key_file: {server.key}", *more]
    file.write_text("\n  ".join(lines) + "\n")
    return file


def client_auth(ca: Authority, kind: str = "RequireAndVerifyClientCert", *sans: str) -> tuple[str, ...]:
    allowed = [f"client_allowed_sans: [{', '.join(map(repr, sans))}]"] if sans else []
    return (f"client_auth_type: {kind}", f"client_ca_file: {ca.certificate}", *allowed)


def copied(directory: Path, certificate: Certificate, name: str) -> Certificate:
    copy = Certificate(directory / f"{name}.pem", directory / f"{name}.key")
    copy.certificate.write_bytes(certificate.certificate.read_bytes())
    copy.key.write_bytes(certificate.key.read_bytes())
    return copy


async def s_client(served: Served, *arguments: str | Path) -> str:
    """What `openssl s_client` says of a request on a new connection; it says so too if there is no connection."""
    command = [program("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{served.port}", *map(str, arguments)]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        input=b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=30,
    )
    return (done.stdout + done.stderr).decode("utf-8", "replace")


QUIET = ("-ign_eof", "-verify_quiet")

# Versions and ciphers


@pytest.mark.parametrize("loop", LOOPS)
def test_https_is_served_and_plain_http_is_not(
    tmp_path: Path, ca: Authority, server_certificate: Certificate, loop: str
) -> None:
    async def run() -> None:
        async with serving(WebSecurity.load(web_file(tmp_path, server_certificate))) as served:
            assert (await served.get(client_context(ca.certificate))).text == "here"
            assert await served.serial(client_context(ca.certificate)) == server_certificate.serial
            said = await s_client(served, *QUIET, "-CAfile", ca.certificate)
            assert "HTTP/1.1 200 OK" in said
            assert "Verify return code: 0 (ok)" in said
            async with httpx.AsyncClient(trust_env=False) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(f"http://127.0.0.1:{served.port}/")

    run_on(loop, run())


def test_without_a_word_about_it_tls_1_2_and_1_3_are_spoken(
    tmp_path: Path, ca: Authority, server_certificate: Certificate
) -> None:
    async def run() -> None:
        async with serving(WebSecurity.load(web_file(tmp_path, server_certificate))) as served:
            for version, name in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")]:
                assert f"New, {name}, Cipher is" in await s_client(served, *QUIET, version)
            old = await s_client(served, *QUIET, "-tls1_1", "-cipher", "ALL@SECLEVEL=0")
            assert "HTTP/1.1" not in old

    asyncio.run(run())


@pytest.mark.parametrize(
    ("lowest", "highest", "works", "fails"),
    [
        ("TLS13", "TLS13", "-tls1_3", "-tls1_2"),
        ("TLS12", "TLS12", "-tls1_2", "-tls1_3"),
        ("TLS10", "TLS11", "-tls1_1", "-tls1_2"),
    ],
)
def test_versions_are_held_to_the_limits(
    tmp_path: Path, server_certificate: Certificate, lowest: str, highest: str, works: str, fails: str
) -> None:
    file = web_file(tmp_path, server_certificate, f"min_version: {lowest}", f"max_version: {highest}")

    async def run() -> None:
        async with serving(WebSecurity.load(file)) as served:
            assert "HTTP/1.1 200 OK" in await s_client(served, *QUIET, works, "-cipher", "ALL@SECLEVEL=0")
            assert "HTTP/1.1" not in await s_client(served, *QUIET, fails, "-cipher", "ALL@SECLEVEL=0")

    asyncio.run(run())


def test_ciphers_are_held_to_the_list(tmp_path: Path, server_certificate: Certificate) -> None:
    listed = ("max_version: TLS12", "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]")
    file = web_file(tmp_path, server_certificate, *listed)
    file.write_text(file.read_text() + "http_server_config:\n  http2: false\n")

    async def run() -> None:
        async with serving(WebSecurity.load(file)) as served:
            said = await s_client(
                served, *QUIET, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
            )
            assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in said
            said = await s_client(served, *QUIET, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
            assert "HTTP/1.1" not in said

    asyncio.run(run())


# Client certificates


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("version", ["TLS12", "TLS13"])
def test_a_required_certificate_must_be_there_from_the_right_authority_and_not_over(
    tmp_path: Path,
    ca: Authority,
    server_certificate: Certificate,
    client_certificate: Certificate,
    version: str,
    loop: str,
) -> None:
    stranger = authority(tmp_path, "stranger").issue("client", use="clientAuth")
    over = ca.issue(f"over {version} {loop}", ("DNS:scraper.example",), use="clientAuth", days=-1)
    of_a_server = ca.issue(f"server too {version} {loop}", use="serverAuth")
    limits = (f"min_version: {version}", f"max_version: {version}")
    file = web_file(tmp_path, server_certificate, *limits, *client_auth(ca))

    async def run() -> None:
        async with serving(WebSecurity.load(file)) as served:
            assert (await served.get(client_context(ca.certificate, client_certificate))).text == "here"
            for certificate in (None, stranger, over, of_a_server):
                assert await served.refuses(client_context(ca.certificate, certificate)), certificate
            arguments = ("-cert", client_certificate.certificate, "-key", client_certificate.key)
            assert "HTTP/1.1 200 OK" in await s_client(served, *QUIET, *arguments)
            assert "HTTP/1.1" not in await s_client(served, *QUIET)

    run_on(loop, run())


def test_a_certificate_that_is_verified_if_given_may_be_missing_but_not_wrong(
    tmp_path: Path, ca: Authority, server_certificate: Certificate, client_certificate: Certificate
) -> None:
    stranger = authority(tmp_path, "stranger").issue("client", use="clientAuth")
    file = web_file(tmp_path, server_certificate, *client_auth(ca, "VerifyClientCertIfGiven"))

    async def run() -> None:
        async with serving(WebSecurity.load(file)) as served:
            assert (await served.get(client_context(ca.certificate))).text == "here"
            assert (await served.get(client_context(ca.certificate, client_certificate))).text == "here"
            assert await served.refuses(client_context(ca.certificate, stranger))

    asyncio.run(run())


NAMES: list[tuple[str, str, str]] = [
    ("DNS:scraper.example", "scraper.example", "SCRAPER.example"),
    ("DNS:*.example", "*.example", "scraper.example"),
    ("email:ops@example.org", "ops@example.org", "OPS@example.org"),
    ("IP:192.0.2.7", "192.0.2.7", "192.0.2.70"),
    ("IP:2001:db8:0:0:0:0:0:1", "2001:db8::1", "2001:db8:0:0:0:0:0:1"),
    ("IP:fe80:0:0:1:0:0:0:1", "fe80:0:0:1::1", "fe80::1:0:0:0:1"),
    ("IP:::ffff:192.0.2.7", "192.0.2.7", "::ffff:192.0.2.7"),
    ("URI:spiffe://example.org/scraper", "spiffe://example.org/scraper", "spiffe://example.org/scraper/"),
    ("URI:SPIFFE://example.org/a#", "spiffe://example.org/a", "SPIFFE://example.org/a#"),
]
"""A name as openssl writes it, as Go prints it, and one that it is not."""


@pytest.mark.parametrize(("san", "allowed", "other"), NAMES, ids=[san for san, _, _ in NAMES])
def test_a_name_is_allowed_letter_for_letter_as_go_prints_it(
    tmp_path: Path, ca: Authority, server_certificate: Certificate, san: str, allowed: str, other: str
) -> None:
    certificate = ca.issue(f"client {NAMES.index((san, allowed, other))}", ("DNS:first.example", san), use="clientAuth")
    kind = "RequireAndVerifyClientCert"

    async def run() -> None:
        file = web_file(tmp_path, server_certificate, *client_auth(ca, kind, "somebody.else", allowed))
        async with serving(WebSecurity.load(file)) as served:
            assert (await served.get(client_context(ca.certificate, certificate))).text == "here"
        file = web_file(tmp_path, server_certificate, *client_auth(ca, kind, "somebody.else", other))
        async with serving(WebSecurity.load(file)) as served:
            assert await served.refuses(client_context(ca.certificate, certificate))

    asyncio.run(run())


def test_the_common_name_is_no_name(tmp_path: Path, ca: Authority, server_certificate: Certificate) -> None:
    nameless = ca.issue("scraper.example", use="clientAuth")
    file = web_file(tmp_path, server_certificate, *client_auth(ca, "RequireAndVerifyClientCert", "scraper.example"))

    async def run() -> None:
        async with serving(WebSecurity.load(file)) as served:
            assert await served.refuses(client_context(ca.certificate, nameless))

    asyncio.run(run())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["DNS", "email", "URI"])
@pytest.mark.parametrize("version", ["TLS12", "TLS13"])
def test_a_name_that_is_no_text_is_refused_like_any_other_failed_handshake(
    tmp_path: Path,
    ca: Authority,
    server_certificate: Certificate,
    client_certificate: Certificate,
    kind: str,
    version: str,
    loop: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    strange = ca.issue(f"{kind} {version} {loop}", (f"{kind}:a\udcff@b",), use="clientAuth")
    file = web_file(tmp_path, server_certificate, f"max_version: {version}", *client_auth(ca))

    async def run() -> None:
        async with serving(WebSecurity.load(file)) as served:
            assert await served.refuses(client_context(ca.certificate, strange))
            assert (await served.get(client_context(ca.certificate, client_certificate))).text == "here"

    run_on(loop, run())
    records = [one for one in caplog.records if one.name.startswith(("exporter", "asyncio"))]
    assert [one.getMessage() for one in records if one.exc_info] == []
    assert [one.getMessage() for one in records if one.levelno > logging.DEBUG] == []
    assert "a TLS handshake failed" in [one.getMessage() for one in records]


def test_the_names_of_who_was_turned_away_are_told_to_who_wants_to_know(
    tmp_path: Path,
    ca: Authority,
    server_certificate: Certificate,
    client_certificate: Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "exporter")
    file = web_file(tmp_path, server_certificate, *client_auth(ca, "RequireAndVerifyClientCert", "somebody.else"))

    async def run() -> None:
        async with serving(WebSecurity.load(file)) as served:
            assert await served.refuses(client_context(ca.certificate, client_certificate))

    asyncio.run(run())
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("DEBUG", "a client was turned away")
    assert fields_of(record) == {"names": "scraper.example"}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("kind", "sans", "without", "wrong", "right"),
    [
        # Go asks for the names wherever a certificate is asked for; upstream then fails on a client without one.
        ("RequireAndVerifyClientCert", ("scraper.example",), False, False, True),
        ("VerifyClientCertIfGiven", ("scraper.example",), False, False, True),
        # Where none is asked for, the list is not looked at.
        ("NoClientCert", ("scraper.example",), True, True, True),
        # An empty list is a list: nobody is on it.
        ("RequireAndVerifyClientCert", (), False, False, False),
    ],
)
def test_the_list_of_names_by_the_kind_of_client_authentication(
    tmp_path: Path, ca: Authority, loop: str, kind: str, sans: tuple[str, ...], without: bool, wrong: bool, right: bool
) -> None:
    server = ca.issue(f"server {kind} {len(sans)} {loop}", LOCAL)
    named = ca.issue(f"named {kind} {len(sans)} {loop}", ("DNS:scraper.example",), use="clientAuth")
    other = ca.issue(f"other {kind} {len(sans)} {loop}", ("DNS:other.example",), use="clientAuth")
    lines = [f"client_auth_type: {kind}", f"client_allowed_sans: [{', '.join(sans)}]"]
    if kind != "NoClientCert":
        lines.append(f"client_ca_file: {ca.certificate}")
    file = web_file(tmp_path, server, *lines)

    async def run() -> None:
        async with serving(WebSecurity.load(file)) as served:
            answered = [
                not await served.refuses(client_context(ca.certificate, certificate))
                for certificate in (None, other, named)
            ]
            assert answered == [without, wrong, right]

    run_on(loop, run())


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_not_resumed_with_tickets_where_certificates_are_asked_for(
    tmp_path: Path, ca: Authority, server_certificate: Certificate, client_certificate: Certificate, version: str
) -> None:
    """A resumed session is not verified again: its authority may be gone, its certificate over."""
    session = tmp_path / "session"
    arguments = (*QUIET, version, "-cert", client_certificate.certificate, "-key", client_certificate.key)

    async def run() -> None:
        async with serving(WebSecurity.load(web_file(tmp_path, server_certificate, *client_auth(ca)))) as served:
            first = await s_client(served, *arguments, "-sess_out", session)
            assert "HTTP/1.1 200 OK" in first
            assert "TLS session ticket:" not in first
            assert session.exists() == (version == "-tls1_2")  # by its number; see the next test

    asyncio.run(run())


def test_a_session_is_not_resumed_once_the_authority_has_changed(
    tmp_path: Path, ca: Authority, server_certificate: Certificate, client_certificate: Certificate
) -> None:
    session = tmp_path / "session"
    arguments = (*QUIET, "-tls1_2", "-cert", client_certificate.certificate, "-key", client_certificate.key)

    async def run() -> None:
        security = WebSecurity.load(web_file(tmp_path, server_certificate, *client_auth(ca)))
        async with serving(security) as served:
            await s_client(served, *arguments, "-sess_out", session)
            assert "Reused, TLSv1.2" in await s_client(served, *arguments, "-sess_in", session)
            web_file(tmp_path, server_certificate, *client_auth(authority(tmp_path, "new")))
            security.reread()
            said = await s_client(served, *arguments, "-sess_in", session)
            assert "Reused" not in said
            assert "HTTP/1.1" not in said

    asyncio.run(run())


# Files replaced while it serves


@pytest.mark.parametrize("loop", LOOPS)
def test_a_certificate_is_replaced_while_requests_go_on_without_a_single_failure(
    tmp_path: Path, ca: Authority, loop: str
) -> None:
    old, new = ca.issue(f"old {loop}", LOCAL), ca.issue(f"new {loop}", LOCAL)
    used = copied(tmp_path, old, "server")
    context = client_context(ca.certificate)

    async def run() -> None:
        security = WebSecurity.load(web_file(tmp_path, used))
        told: list[bool] = []
        seen: list[str] = []
        done = asyncio.Event()

        async def asking(served: Served) -> None:
            while not done.is_set():
                async with served.connected(context) as connection:
                    assert await connection.ask() == b"HTTP/1.1 200 OK"
                    seen.append(connection.serial)

        async def replacing(served: Served) -> None:
            async with served.connected(context) as connection:
                await until(lambda: len(seen) > 5)
                # First the certificate alone, with which the key that is there does not go.
                used.certificate.write_bytes(new.certificate.read_bytes())
                await until(lambda: told == [False])
                assert await served.serial(context) == old.serial
                used.key.write_bytes(new.key.read_bytes())
                await until(lambda: told == [False, True])
                assert await served.serial(context) == new.serial
                replace(used, old)
                await until(lambda: told == [False, True, True] or told == [False, True, False, True])
                assert await served.serial(context) == old.serial
                # The connection that was there before all this still is.
                assert await connection.ask() == b"HTTP/1.1 200 OK"
                assert connection.serial == old.serial
            done.set()

        async with serving(security) as served:
            with watching(security, told.append):
                async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                    for _ in range(2):
                        group.create_task(asking(served))
                    group.create_task(replacing(served))
        assert set(seen) == {old.serial, new.serial}

    run_on(loop, run())


@pytest.mark.parametrize("loop", LOOPS)
def test_client_authority_names_and_versions_change_for_new_connections(
    tmp_path: Path, ca: Authority, server_certificate: Certificate, client_certificate: Certificate, loop: str
) -> None:
    later = authority(tmp_path, "later")
    stranger = later.issue("stranger", ("DNS:stranger.example",), use="clientAuth")

    async def run() -> None:
        security = WebSecurity.load(web_file(tmp_path, server_certificate))
        contexts: dict[str, Any] = {
            "none": client_context(ca.certificate),
            "ours": client_context(ca.certificate, client_certificate),
            "later": client_context(ca.certificate, stranger),
        }

        async def let_in(served: Served) -> set[str]:
            return {name for name, context in contexts.items() if not await served.refuses(context)}

        async def with_lines(*lines: str) -> None:
            web_file(tmp_path, server_certificate, *lines)
            assert await asyncio.to_thread(security.reread)

        async with serving(security) as served, served.connected(contexts["none"]) as connection:
            assert await let_in(served) == {"none", "ours", "later"}
            await with_lines(*client_auth(ca))
            assert security.config.protected
            assert await let_in(served) == {"ours"}
            await with_lines(*client_auth(later))
            assert await let_in(served) == {"later"}
            await with_lines(*client_auth(later, ClientAuth.REQUIRED.value, "ops.example"))
            assert await let_in(served) == set()
            await with_lines(*client_auth(ca, ClientAuth.IF_GIVEN.value))
            assert await let_in(served) == {"none", "ours"}
            await with_lines("min_version: TLS13")
            assert "HTTP/1.1" not in await s_client(served, *QUIET, "-tls1_2")
            # What was connected before stays connected.
            assert await connection.ask() == b"HTTP/1.1 200 OK"

    run_on(loop, run())


@pytest.mark.parametrize(
    "mistake",
    ["the key of another", "no certificate", "a certificate that is gone", "an empty key"],
)
def test_what_is_wrong_with_a_new_certificate_leaves_the_old_one_in_force(
    tmp_path: Path, ca: Authority, server_certificate: Certificate, client_certificate: Certificate, mistake: str
) -> None:
    used = copied(tmp_path, server_certificate, "server")
    file = web_file(tmp_path, used)
    security = WebSecurity.load(file)
    match mistake:
        case "the key of another":
            used.key.write_bytes(client_certificate.key.read_bytes())
        case "no certificate":
            used.certificate.write_text("not one")
        case "a certificate that is gone":
            used.certificate.unlink()
        case _:
            used.key.write_text("")
    with pytest.raises(UsageError) as refused:
        security.reread()
    assert str(tmp_path) in str(refused.value)
    for line in client_certificate.key.read_text().splitlines()[1:-1]:
        assert line not in str(refused.value)

    async def run() -> None:
        async with serving(security) as served:
            assert await served.serial(client_context(ca.certificate)) == server_certificate.serial

    asyncio.run(run())


def test_tls_is_not_turned_on_or_off_without_a_restart(tmp_path: Path, server_certificate: Certificate) -> None:
    file = web_file(tmp_path, server_certificate)
    with_tls = WebSecurity.load(file)
    text = file.read_text()
    file.write_text("")
    with pytest.raises(UsageError, match=r"web\.yml turns TLS off, which takes a restart of the exporter"):
        with_tls.reread()
    assert with_tls.config.tls is not None
    without = WebSecurity.load(file)
    file.write_text(text)
    with pytest.raises(UsageError, match=r"web\.yml turns TLS on, which takes a restart of the exporter"):
        without.reread()
    assert without.tls is None


def test_a_library_that_goes_past_the_current_context_gets_no_connection(
    tmp_path: Path, ca: Authority, server_certificate: Certificate
) -> None:
    """The listeners' context has no certificate of its own, so nothing is served by mistake with what is old."""
    context = WebSecurity.load(web_file(tmp_path, server_certificate)).tls
    assert context is not None
    assert context.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    assert context.wrap_bio(incoming, outgoing, server_side=True).context is not context


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)
