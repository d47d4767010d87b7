"""Who may see personal data: names, statuses and times of agents on pages and as JSON (--web.pages)."""

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.settings import Pages

_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.]+)(?::[0-9]{0,5})?", re.ASCII)
"""An IPv6 address in brackets, an IPv4 address or a name, and perhaps a port: what can be one of ours."""
_NEVER: Final = "Pages and JSON with agents' names and times are turned off (--web.pages=never)."
_OPEN: Final = (
    "Pages and JSON with agents' names and times are not served here, because everybody who reaches this address "
    "could read them. To have them, listen on loopback only (--web.listen-address=127.0.0.1:10042), or ask for a login "
    "or for verified client certificates in the file of --web.config.file. --web.pages=always serves them as it is."
)


@dataclass(frozen=True, slots=True)
class Access:
    """Whether personal data is served, and why not."""

    open: bool
    why_not: str = ""
    """Sentences for people; "" if `open`."""
    only_local_names: bool = False
    """Whether the Host header must name this machine: nothing but the address keeps other sites' scripts out."""


def access(pages: Pages, *, loopback: bool, protected: bool) -> Access:
    """What --web.pages means here.

    `loopback`: every listener is bound to this machine alone. `protected`: whoever asks had to log in, or to show a
    verified certificate.
    """
    if pages is Pages.NEVER:
        return Access(open=False, why_not=_NEVER)
    local_names = loopback and not protected
    if pages is Pages.AUTO and not (loopback or protected):
        return Access(open=False, why_not=_OPEN)
    return Access(open=True, only_local_names=local_names)


def all_loopback(sockets: Sequence[socket.socket]) -> bool:
    """Whether only this machine can reach every one of `sockets`; False if there are none."""
    return bool(sockets) and all(_is_loopback(sock) for sock in sockets)


def names_this_machine(host: str | None) -> bool:
    """Whether a Host header (RFC 9110, 7.2) names this machine: localhost or a loopback address, perhaps with a port.

    A page of a hostile site can make its own name resolve to 127.0.0.1 (DNS rebinding), but the browser then still
    sends that name. So only what no name server is ever asked for will do: addresses, and the very word localhost.
    `foo.localhost` and `localhost.` are looked up by some browsers, and then whoever runs the network answers.
    """
    found = _HOST.fullmatch(host or "")
    if found is None:
        return False
    name = found["name"].lower()
    if name == "localhost":
        return True
    try:
        if name.startswith("["):
            return _leads_home(ipaddress.IPv6Address(name[1:-1]))
        return _leads_home(ipaddress.IPv4Address(name))
    except ValueError:
        return False


def _is_loopback(sock: socket.socket) -> bool:
    if sock.family == socket.AF_UNIX:
        return True  # the file's permissions decide
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    return _leads_home(ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]))


def _leads_home(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is a loopback address. Python before 3.13 does not say so of ::ffff:127.0.0.1."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
