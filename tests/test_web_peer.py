"""Who may ask by the certificate that a client shows: what Python's ssl says of it, read as Go would."""

import asyncio
import ssl
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from exporter.secret import Secret
from exporter.web.config.model import ClientAuth, TlsServer, WebConfig
from exporter.web.protection.peer import certificate_allowed, names, peer_allowed

ENDS = "Jan  5 09:34:43 2030 GMT"
ENDS_S = 1_893_836_083
"""2030-01-05T09:34:43Z."""


def tls(auth: ClientAuth = ClientAuth.REQUIRED, *allowed: str, listed: bool = True) -> TlsServer:
    return TlsServer("", Secret(""), client_auth=auth, client_allowed_sans=allowed if listed else None)


def certificate(*sans: tuple[str, str], ends: str = ENDS) -> dict[str, Any]:
    return {"notAfter": ends, "subjectAltName": sans}


class Transport(asyncio.BaseTransport):
    """Only what a handshake leaves behind."""

    def __init__(self, peer: object) -> None:
        super().__init__({"peercert": peer})


def test_names_are_printed_as_go_prints_them() -> None:
    # ssl's own words: addresses in capitals and at full length.
    shown = certificate(
        ("DNS", "Scraper.Example"),
        ("email", "ops@example.org"),
        ("IP Address", "192.0.2.7"),
        ("IP Address", "FE80:0:0:0:0:0:0:1"),
        ("IP Address", "2001:DB8:0:0:1:0:0:1"),
        ("IP Address", "1:0:2:0:3:0:4:0"),
        ("IP Address", "0:0:0:0:0:FFFF:C000:207"),
        ("URI", "HTTPS://Example.org/Path?q#"),
        ("DirName", "scraper.example"),
        ("Registered ID", "1.2.3.4"),
        ("othername", "<unsupported>"),
    )
    assert names(shown) == {
        "Scraper.Example",
        "ops@example.org",
        "192.0.2.7",
        "fe80::1",
        "2001:db8::1:0:0:1",  # the first of two runs of the same length (RFC 5952)
        "1:0:2:0:3:0:4:0",  # a single zero is not left out
        "https://Example.org/Path?q",
    }


def test_what_is_no_address_stays_as_it_is() -> None:
    assert names(certificate(("IP Address", "<invalid>"))) == {"<invalid>"}


@pytest.mark.parametrize(
    ("now_s", "allowed"), [(ENDS_S - 1, True), (ENDS_S, True), (ENDS_S + 1, False), (ENDS_S + 10**9, False)]
)
def test_a_certificate_that_was_good_when_its_session_began_is_not_when_it_is_over(now_s: float, allowed: bool) -> None:
    assert certificate_allowed(certificate(), tls(listed=False), now_s) == allowed


@pytest.mark.parametrize("ends", ["", "tomorrow", "20300105093443Z"])
def test_a_certificate_whose_end_cannot_be_read_is_over(ends: str) -> None:
    assert not certificate_allowed(certificate(ends=ends), tls(listed=False), 0)
    assert not certificate_allowed({"subjectAltName": (("DNS", "a"),)}, tls(ClientAuth.REQUIRED, "a"), 0)


@pytest.mark.parametrize("nothing", [None, {}])
def test_without_a_certificate_nobody_has_an_allowed_name(nothing: Any) -> None:
    assert not certificate_allowed(nothing, tls(ClientAuth.REQUIRED, listed=False), 0)
    assert not certificate_allowed(nothing, tls(ClientAuth.IF_GIVEN, "a"), 0)
    assert not certificate_allowed(nothing, tls(ClientAuth.IF_GIVEN), 0)
    assert certificate_allowed(nothing, tls(ClientAuth.IF_GIVEN, listed=False), 0)


def test_where_no_certificate_is_asked_for_everybody_may_ask() -> None:
    for config in (WebConfig(), WebConfig(tls=tls(ClientAuth.NONE, "a")), WebConfig(tls=tls(ClientAuth.NONE))):
        assert peer_allowed(Transport(None), config)


def test_a_connection_without_tls_has_no_certificate() -> None:
    assert not peer_allowed(Transport(None), WebConfig(tls=tls()), lambda: 0)
    shown = certificate(("DNS", "a"))
    assert peer_allowed(Transport(shown), WebConfig(tls=tls(ClientAuth.REQUIRED, "b", "a")), lambda: 0)
    assert not peer_allowed(Transport(shown), WebConfig(tls=tls(ClientAuth.REQUIRED, "b")), lambda: 0)


def test_the_clock_is_the_wall_clock() -> None:
    over = ssl.cert_time_to_seconds("Jan  5 09:34:43 2018 GMT")
    shown = certificate(ends="Jan  5 09:34:43 2018 GMT")
    config = WebConfig(tls=tls(listed=False))
    assert peer_allowed(Transport(shown), config, lambda: over)
    assert not peer_allowed(Transport(shown), config)


@given(st.ip_addresses(v=6))
def test_each_address_has_one_spelling(address: Any) -> None:
    groups = [int.from_bytes(address.packed[at : at + 2]) for at in range(0, 16, 2)]
    (name,) = names(certificate(("IP Address", ":".join(f"{group:X}" for group in groups))))
    assert name == str(address.ipv4_mapped or address)
