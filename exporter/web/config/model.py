"""What a web configuration file says, as values. Source: exporter-toolkit, docs/web-configuration.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from exporter.secret import Secret

LARGEST: Final = 4 * 1024 * 1024
"""Bytes of each file; twenty times a system's whole list of authorities."""


class ClientAuth(Enum):
    """What is asked of clients' certificates. Go's two types that do not verify are refused: ssl has none like them."""

    NONE = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


@dataclass(frozen=True, slots=True)
class TlsServer:
    """`tls_server_config`, with what its files hold."""

    certificate: str
    """PEM; the server's own first, then those that lead to the root."""
    key: Secret
    """PEM."""
    client_auth: ClientAuth = ClientAuth.NONE
    client_ca: str | None = None
    """PEM; None: the system's authorities. A text without a certificate: nobody can show a good one."""
    client_allowed_sans: tuple[str, ...] | None = None
    """None: every verified certificate will do. Otherwise a connection without a certificate that has one of them is
    ended, also where certificates are asked for without being required, as upstream does."""
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: tuple[str, ...] = ()
    """Go's names, for TLS 1.2 and before; empty: the default ones. Names of TLS 1.3 suites say nothing."""
    curve: str | None = None
    """Go's name."""
    prefer_server_ciphers: bool = True
    certificate_name: str = "the certificate"
    """How messages call `certificate`: the key of the file, with the path where it gives one."""
    key_name: str = "the key"
    """How messages call `key`."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`rate_limit`: a token bucket."""

    interval_s: float
    """More than 0."""
    burst: int
    """Below 1, every request is refused."""


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A whole file. The empty one asks for nothing."""

    tls: TlsServer | None = None
    http2: bool = True
    """Accepted and without effect: HTTP/1.1 is what is spoken here."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names as the file writes them. Values have no line breaks, and are sent in UTF-8."""
    users: Mapping[str, Secret] = field(default_factory=dict)
    """User name to bcrypt hash."""
    rate_limit: RateLimit | None = None
    files: tuple[Path, ...] = ()
    """What was read: the file itself and those it names."""
    notes: tuple[str, ...] = ()
    """What is accepted, as upstream accepts it, but is likely not what was meant; a sentence each, without the file."""

    @property
    def protected(self) -> bool:
        """Whether whoever asks must log in or show a verified certificate.

        A certificate of just any authority that the system trusts does not count: everybody can get one.
        """
        if self.users:
            return True
        tls = self.tls
        if tls is None or tls.client_auth is not ClientAuth.REQUIRED:
            return False
        return tls.client_ca is not None or tls.client_allowed_sans is not None
