"""What a web configuration file says, as values. Source: exporter-toolkit, docs/web-configuration.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from exporter.secret import Secret


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
    """PEM."""
    client_allowed_sans: tuple[str, ...] | None = None
    """None: every verified certificate will do."""
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: tuple[str, ...] = ()
    """Go's names, for TLS 1.2 and before; empty: the default ones."""
    curve: str | None = None
    """Go's name."""
    prefer_server_ciphers: bool = True


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`rate_limit`: a token bucket."""

    interval_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A whole file. The empty one asks for nothing."""

    tls: TlsServer | None = None
    http2: bool = True
    """Accepted and without effect: HTTP/1.1 is what is spoken here."""
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, Secret] = field(default_factory=dict)
    """User name to bcrypt hash."""
    rate_limit: RateLimit | None = None
    files: tuple[Path, ...] = ()
    """What was read: the file itself and those it names."""

    @property
    def protected(self) -> bool:
        """Whether whoever asks must log in or show a verified certificate."""
        return bool(self.users) or (self.tls is not None and self.tls.client_auth is ClientAuth.REQUIRED)
