"""The endpoints that are called, and the check of the origins they are called at."""

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from exporter.errors import UsageError


class Endpoint(Enum):
    """An endpoint of the API; the value is its label in metrics."""

    TOKEN = "token"
    USERS = "users"
    OWN_STATUS = "own_status"
    STATUSES = "statuses"
    SET_STATUS = "set_status"
    OVERRIDE_STATUSES = "override_statuses"

    @property
    def method(self) -> str:
        """The HTTP method."""
        return _ROUTES[self].method

    @property
    def path(self) -> str:
        """The path below its origin. Two endpoints may share one: Zoho counts and locks calls per URL."""
        return _ROUTES[self].path

    @property
    def purpose(self) -> str:
        """What a call does, to begin an error's sentence with."""
        return _ROUTES[self].purpose

    @property
    def scopes(self) -> tuple[str, ...]:
        """The OAuth scopes of which one lets a token call it; the pages disagree, so there may be two."""
        return _ROUTES[self].scopes


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    path: str
    purpose: str
    scopes: tuple[str, ...] = ()


_API: Final = "/rest/json/zv/api"
_READ: Final = "ZohoVoice.agents.READ"
_UPDATE: Final = "ZohoVoice.agents.UPDATE"
REVOKE_PATH: Final = "/oauth/v2/token/revoke"
_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*")

_ROUTES: Final = {
    Endpoint.TOKEN: _Route("POST", "/oauth/v2/token", "asking for an access token"),
    Endpoint.USERS: _Route("GET", f"{_API}/users", "reading the roster", (_READ,)),
    Endpoint.OWN_STATUS: _Route("GET", f"{_API}/agents/onlineStatus", "reading the own status", (_READ,)),
    # SEED asks for sdk.READ here and READ below, N-GETM and N-PUTM for agents.READ and UPDATE.
    Endpoint.STATUSES: _Route(
        "GET", f"{_API}/v2/agents/onlineStatus", "reading the agents' status", (_READ, "ZohoVoice.sdk.READ")
    ),
    Endpoint.SET_STATUS: _Route("PUT", f"{_API}/agents/onlineStatus", "setting the own status", (_UPDATE,)),
    Endpoint.OVERRIDE_STATUSES: _Route(
        "PUT", f"{_API}/agents/overrideOnlineStatus", "setting the agents' status", (_UPDATE, _READ)
    ),
}


@dataclass(frozen=True, slots=True)
class Origins:
    """The two hosts that calls go to, and the only ones that ever get a secret."""

    voice: str
    accounts: str

    @property
    def encrypted(self) -> bool:
        """Whether any of them speaks TLS."""
        return "https" in (urlsplit(self.voice).scheme, urlsplit(self.accounts).scheme)

    def of(self, endpoint: Endpoint) -> str:
        """The origin that serves `endpoint`."""
        return self.accounts if endpoint is Endpoint.TOKEN else self.voice

    def url(self, endpoint: Endpoint) -> str:
        """The address of `endpoint` without parameters; what Zoho locks when it throttles."""
        return self.of(endpoint) + endpoint.path


def checked_origin(flag: str, url: str) -> str:
    """`url` as an origin without a trailing slash.

    Raises UsageError, which names `flag`, unless it is https (or http on a loopback address, where the simulator
    runs), names a host, and carries neither credentials nor a path: secrets go there, so nothing is guessed.
    """
    wanted = f"{flag} must be an address such as https://voice.zoho.com"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{wanted}: what was given is no URL") from None
    if "@" in url:  # the address is not repeated: it holds a password
        raise UsageError(f"{wanted}, without user name and password")
    if not host or not url.isascii() or not url.isprintable() or " " in url or not _is_host(host):
        raise UsageError(f"{wanted}: {url!r} names no host")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{wanted}, without path and parameters")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise UsageError(f"{wanted}: secrets are sent to it, so it must be https unless its host is this machine")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")


def _is_host(host: str) -> bool:
    """Whether `host` is an IP address or a name as DNS has them: whoever reads it must read the same host."""
    if ":" not in host and not host.rpartition(".")[2].isdigit():
        return _HOST_NAME.fullmatch(host) is not None
    try:
        return "%" not in host and bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its very name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
