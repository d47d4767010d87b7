"""The TLS context of the web configuration file: each setting in a handshake, in memory, with Python's own client."""

import os
import ssl
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.secret import Secret
from exporter.web.config.model import ClientAuth, TlsServer
from exporter.web.config.tls_context import make_context
from tests.support.certificates import Authority, Certificate, authority, openssl
from tests.support.web_config import make_pair

V = ssl.TLSVersion
NEW = (V.TLSv1_2, V.TLSv1_3)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def plain(ca: Authority) -> TlsServer:
    return server(ca.issue("server", ("DNS:localhost",)))


@pytest.fixture(scope="module")
def ann(ca: Authority) -> Certificate:
    return ca.issue("ann", ("DNS:ann.example",), use="clientAuth")


def server(pair: Certificate) -> TlsServer:
    return TlsServer(pair.certificate.read_text(), Secret(pair.key.read_text()))


def client(
    lowest: ssl.TLSVersion = V.TLSv1_2,
    highest: ssl.TLSVersion = V.TLSv1_3,
    ciphers: str = "ALL",
    curve: str | None = None,
    certificate: Certificate | None = None,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.set_alpn_protocols(["h2", "http/1.1"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest
    if curve is not None:
        context.set_ecdh_curve(curve)
    if certificate is not None:
        context.load_cert_chain(*certificate.pair)
    return context


def shake(asked: TlsServer, asking: ssl.SSLContext) -> ssl.SSLObject:
    """The server's side of the connection. Raises ssl.SSLError if there is none."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = make_context(asked).wrap_bio(to_server, to_client, server_side=True)
    there = asking.wrap_bio(to_client, to_server)
    for _ in range(10):
        waiting = 0
        for side in (there, here):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        if not waiting:
            return here
    raise AssertionError("the handshake does not end")


def cipher(asked: TlsServer, asking: ssl.SSLContext) -> str:
    found = shake(asked, asking).cipher()
    assert found is not None
    return found[0]


def refused(asked: TlsServer, asking: ssl.SSLContext) -> str:
    with pytest.raises(ssl.SSLError) as caught:
        shake(asked, asking)
    return caught.value.reason


def test_a_plain_one_speaks_tls_1_2_and_1_3_and_http_1_1(plain: TlsServer) -> None:
    assert shake(plain, client()).version() == "TLSv1.3"
    assert shake(plain, client(highest=V.TLSv1_2)).version() == "TLSv1.2"
    assert refused(plain, client(V.TLSv1, V.TLSv1_1)) == "UNSUPPORTED_PROTOCOL"
    assert shake(plain, client()).selected_alpn_protocol() == "http/1.1"


def test_it_neither_compresses_nor_negotiates_anew(plain: TlsServer) -> None:
    options = make_context(plain).options
    assert options & ssl.OP_NO_COMPRESSION
    assert options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(("name", "version"), [("TLSv1", V.TLSv1), ("TLSv1.1", V.TLSv1_1)])
def test_old_clients_connect_if_the_file_asks_for_old_versions(
    name: str, version: ssl.TLSVersion, plain: TlsServer
) -> None:
    old = replace(plain, min_version="TLS10")
    assert shake(old, client(version, version)).version() == name
    assert shake(old, client(version)).version() == "TLSv1.3"
    assert shake(replace(old, max_version="TLS11"), client(version, version)).version() == name


def test_versions_outside_the_asked_for_are_refused(plain: TlsServer) -> None:
    only13 = replace(plain, min_version="TLS13")
    assert refused(only13, client(highest=V.TLSv1_2)) == "UNSUPPORTED_PROTOCOL"
    only12 = replace(plain, max_version="TLS12")
    assert shake(only12, client()).version() == "TLSv1.2"
    assert refused(only12, client(V.TLSv1_3)) == "UNSUPPORTED_PROTOCOL"


@pytest.mark.parametrize("version", NEW)
def test_with_versions_upside_down_nobody_connects(version: ssl.TLSVersion, plain: TlsServer) -> None:
    never = replace(plain, min_version="TLS13", max_version="TLS12")
    assert refused(never, client(version, version)) == "NO_PROTOCOLS_AVAILABLE"


def test_the_order_of_the_file_decides_unless_it_leaves_that_to_the_client(plain: TlsServer) -> None:
    asking = client(highest=V.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    named = replace(
        plain, ciphers=("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    )
    assert cipher(named, asking) == "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert cipher(replace(named, prefer_server_ciphers=False), asking) == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_a_suite_that_is_not_named_is_refused(plain: TlsServer) -> None:
    named = replace(plain, ciphers=("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",))
    assert cipher(named, client(highest=V.TLSv1_2)) == "ECDHE-ECDSA-AES256-SHA"
    assert refused(named, client(highest=V.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-SHA")) == "NO_SHARED_CIPHER"


def test_no_suite_without_forward_secrecy_is_on_by_default(plain: TlsServer) -> None:
    on = {entry["name"] for entry in make_context(plain).get_ciphers()}
    assert all(name.startswith(("ECDHE-", "TLS_")) for name in on)
    assert len(on) == 13


def test_with_suites_of_tls_1_3_only_older_versions_are_off(plain: TlsServer) -> None:
    new = replace(plain, ciphers=("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"))
    assert shake(new, client()).version() == "TLSv1.3"
    assert refused(new, client(highest=V.TLSv1_2)) == "UNSUPPORTED_PROTOCOL"


@pytest.mark.parametrize("version", NEW)
@pytest.mark.parametrize(
    ("name", "theirs"),
    [("CurveP256", "prime256v1"), ("CurveP384", "secp384r1"), ("CurveP521", "secp521r1"), ("X25519", "X25519")],
)
def test_only_the_named_curve_is_used(name: str, theirs: str, version: ssl.TLSVersion, plain: TlsServer) -> None:
    named = replace(plain, curve=name)
    other = "secp384r1" if theirs != "secp384r1" else "secp521r1"
    assert shake(named, client(version, version))
    # In TLS 1.2 a client without the curve of the certificate is refused for that already.
    if version is V.TLSv1_3:
        assert shake(named, client(version, version, curve=theirs))
        assert refused(named, client(version, version, curve=other)) == "NO_SUITABLE_KEY_SHARE"


@pytest.mark.parametrize("version", NEW)
def test_a_required_certificate_must_lead_to_the_named_authority(
    version: ssl.TLSVersion, plain: TlsServer, ca: Authority, ann: Certificate, tmp_path: Path
) -> None:
    asked = replace(plain, client_auth=ClientAuth.REQUIRED, client_ca=ca.certificate.read_text())
    stranger = authority(tmp_path).issue("ann", use="clientAuth")
    peer = shake(asked, client(version, version, certificate=ann)).getpeercert()
    assert peer is not None
    assert peer["subjectAltName"] == (("DNS", "ann.example"),)
    assert refused(asked, client(version, version)) == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert refused(asked, client(version, version, certificate=stranger)) == "CERTIFICATE_VERIFY_FAILED"


def test_a_certificate_for_servers_or_one_that_has_ended_is_refused(plain: TlsServer, ca: Authority) -> None:
    asked = replace(plain, client_auth=ClientAuth.REQUIRED, client_ca=ca.certificate.read_text())
    wrong_use, ended = ca.issue("wrong", use="serverAuth"), ca.issue("ended", use="clientAuth", days=-1)
    assert refused(asked, client(certificate=wrong_use)) == "CERTIFICATE_VERIFY_FAILED"
    assert refused(asked, client(certificate=ended)) == "CERTIFICATE_VERIFY_FAILED"


def test_a_certificate_that_is_asked_for_may_be_missing_but_not_be_wrong(
    plain: TlsServer, ca: Authority, ann: Certificate, tmp_path: Path
) -> None:
    asked = replace(plain, client_auth=ClientAuth.IF_GIVEN, client_ca=ca.certificate.read_text())
    stranger = authority(tmp_path).issue("ann", use="clientAuth")
    assert shake(asked, client()).getpeercert() is None
    assert shake(asked, client(certificate=ann)).getpeercert()
    assert refused(asked, client(certificate=stranger)) == "CERTIFICATE_VERIFY_FAILED"


def test_what_the_ca_file_holds_is_trusted_as_it_stands_as_in_go(plain: TlsServer, tmp_path: Path) -> None:
    make_pair(tmp_path, "self", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    own = Certificate(tmp_path / "self.crt", tmp_path / "self.key")
    asked = replace(plain, client_auth=ClientAuth.REQUIRED, client_ca=own.certificate.read_text())
    assert shake(asked, client(certificate=own)).getpeercert()


def test_an_authority_below_the_root_is_enough(
    plain: TlsServer, ca: Authority, ann: Certificate, tmp_path: Path
) -> None:
    root = authority(tmp_path, "root")
    (tmp_path / "below.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=below"),
        *("-keyout", tmp_path / "below.key", "-out", tmp_path / "below.csr"),
    )
    openssl(
        *("x509", "-req", "-in", tmp_path / "below.csr", "-out", tmp_path / "below.pem", "-days", "2"),
        *("-extfile", tmp_path / "below.ext", "-CA", root.certificate, "-CAkey", tmp_path / "root.key"),
    )
    ben = Authority(tmp_path, "below").issue("ben", use="clientAuth")
    asked = replace(plain, client_auth=ClientAuth.REQUIRED, client_ca=(tmp_path / "below.pem").read_text())
    assert shake(asked, client(certificate=ben)).getpeercert()
    assert refused(asked, client(certificate=ann)) == "CERTIFICATE_VERIFY_FAILED"


def test_an_authority_without_a_certificate_lets_nobody_in(plain: TlsServer, ann: Certificate) -> None:
    asked = replace(plain, client_auth=ClientAuth.REQUIRED, client_ca="nothing of the kind")
    assert refused(asked, client(certificate=ann)) == "CERTIFICATE_VERIFY_FAILED"


def test_without_a_named_authority_those_of_the_system_count(
    plain: TlsServer, ca: Authority, ann: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(plain, client_auth=ClientAuth.REQUIRED)
    assert refused(asked, client(certificate=ann)) == "CERTIFICATE_VERIFY_FAILED"
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.certificate))
    assert shake(asked, client(certificate=ann)).getpeercert()


def test_short_keys_are_taken_as_far_as_go_takes_them(tmp_path: Path) -> None:
    make_pair(tmp_path, "short", "rsa:1024")
    short = server(Certificate(tmp_path / "short.crt", tmp_path / "short.key"))
    assert shake(short, client()).version() == "TLSv1.3"
    assert shake(short, client(highest=V.TLSv1_2)).version() == "TLSv1.2"


@pytest.mark.parametrize("kind", ["RSA", "EC", "ANY", "EIN SCHLÜSSEL:"])
def test_a_key_is_read_whatever_kind_its_label_says_it_is_as_in_go(kind: str, plain: TlsServer) -> None:
    labelled = plain.key.reveal().replace(" PRIVATE KEY", f" {kind} PRIVATE KEY")
    assert shake(replace(plain, key=Secret(labelled)), client())


def test_a_chain_is_sent_whole(plain: TlsServer, ca: Authority) -> None:
    chained = replace(plain, certificate=plain.certificate + ca.certificate.read_text())
    assert b"ca" in _sent(chained)
    assert len(_sent(chained)) > len(_sent(plain)) + 300


def _sent(asked: TlsServer) -> bytes:
    """What the server answers to a client's first message, in TLS 1.2 still in clear."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = make_context(asked).wrap_bio(to_server, to_client, server_side=True)
    there = client(highest=V.TLSv1_2).wrap_bio(to_client, to_server)
    for side in (there, here):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    return to_client.read()


def test_the_key_is_nowhere_on_disk_afterwards(
    plain: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    make_context(plain)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delattr(os, "memfd_create")  # as on systems that have no such files
    assert shake(plain, client())
    assert list(tmp_path.iterdir()) == []
