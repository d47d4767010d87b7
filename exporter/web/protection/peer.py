"""Who is at the other end of a TLS connection: `client_allowed_sans` of the web configuration file.

ssl has checked that a certificate leads to the client CA. The names in it are checked here, once the handshake is over
and before a byte is answered, by the rules of exporter-toolkit and Go's crypto/tls:

* one of the certificate's DNS names, e-mail addresses, IP addresses or URIs is one of the list, letter for letter;
* where certificates are asked for, a client without one has no allowed name (upstream fails on it and closes);
* where none are asked for (`NoClientCert`), the list is not looked at.
"""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

from exporter.web.config.model import ClientAuth, TlsServer, WebConfig

PeerCertificate = Mapping[str, Any]
"""What ssl's getpeercert gives: empty or None without a certificate."""


def peer_allowed(transport: asyncio.BaseTransport, config: WebConfig, now_s: Callable[[], float] = time.time) -> bool:
    """Whether what is asked on this connection may be answered. To be called when the connection is made.

    `now_s`: seconds since 1970-01-01 UTC.
    """
    if config.tls is None or config.tls.client_auth is ClientAuth.NONE:
        return True
    return certificate_allowed(transport.get_extra_info("peercert"), config.tls, now_s())


def certificate_allowed(certificate: PeerCertificate | None, tls: TlsServer, now_s: float) -> bool:
    """Whether a client with this verified certificate (None: without one) may ask, where certificates are asked for."""
    allowed = tls.client_allowed_sans
    if not certificate:
        return tls.client_auth is ClientAuth.IF_GIVEN and allowed is None
    # OpenSSL does not look at the dates again when a client resumes a TLS 1.2 session, which it may do for hours.
    return not _over(certificate, now_s) and (allowed is None or not names(certificate).isdisjoint(allowed))


def names(certificate: PeerCertificate) -> frozenset[str]:
    """The alternative names of a certificate, as Go prints them: DNS names, e-mail addresses, IP addresses, URIs."""
    found = set()
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "email"):
            found.add(name)
        elif kind == "IP Address":
            found.add(_address(name))
        elif kind == "URI":
            found.add(_uri(name))
    return frozenset(found)


def _over(certificate: PeerCertificate, now_s: float) -> bool:
    try:
        return ssl.cert_time_to_seconds(certificate["notAfter"]) < now_s
    except (KeyError, ValueError):
        return True


def _address(text: str) -> str:
    """The shortest form (RFC 5952); an IPv4 address in IPv6 clothes as IPv4. ssl gives `FE80:0:0:0:0:0:0:1`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)


def _uri(text: str) -> str:
    """With the scheme in lower case and without an empty fragment."""
    scheme, colon, rest = text.partition(":")
    return scheme.lower() + colon + rest.removesuffix("#")
