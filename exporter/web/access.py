"""Who may see personal data: names, statuses and times of agents on pages and as JSON (--web.pages)."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.settings import Pages

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
    """Whether only this machine can reach every one of `sockets`."""
    return all(_is_loopback(sock) for sock in sockets)


def names_this_machine(host: str | None) -> bool:
    """Whether a Host header names this machine: localhost or a loopback address, with or without a port.

    A page of a hostile site can make its own name resolve to 127.0.0.1 (DNS rebinding), but the browser then still
    sends that name.
    """
    if not host:
        return False
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    name = name.removeprefix("[").removesuffix("]").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_loopback(sock: socket.socket) -> bool:
    if sock.family == socket.AF_UNIX:
        return True  # the file's permissions decide
    host = ipaddress.ip_address(sock.getsockname()[0].partition("%")[0])
    mapped = getattr(host, "ipv4_mapped", None)
    return bool((mapped or host).is_loopback)
