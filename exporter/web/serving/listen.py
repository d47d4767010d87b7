"""Addresses to listen on: what the flag says, and the sockets made of it."""

import errno
import ipaddress
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from exporter.errors import ExporterError, UsageError
from exporter.quoting import shown
from exporter.settings import WebSettings
from exporter.web.serving.systemd import Handed, adopt

log: Final = logging.getLogger(__name__)

_FLAG: Final = "--web.listen-address"
BACKLOG: Final = 1024
"""Connections that the system lets wait to be accepted."""
_ANY_4: Final = "0.0.0.0"  # noqa: S104 - all interfaces is what ":port" asks for
_ANY_6: Final = "::"
_Where = tuple[str | int, ...]
_OTHER: Final = f"choose another address with {_FLAG}"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A host (name, IPv4 or IPv6 address without brackets; "" for all interfaces) and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


_Bound = tuple[ListenAddress, socket.socket]


def parse_listen_address(text: str) -> ListenAddress:
    """The address that `host:port`, `:port` or `[v6]:port` says, the forms of Go's net.Listen.

    Raises UsageError, which names the flag, for anything else.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise UsageError(f"{_FLAG} {shown(text)} has no port: write it as host:port, :port or [IPv6 address]:port")
    # isdecimal alone would let the digits of other scripts pass.
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65_535):
        raise UsageError(f"{_FLAG} {shown(text)}: {shown(port)} is no port, which is a number from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return ListenAddress(_ipv6(host[1:-1], text), int(port))
    if ":" in host:
        raise UsageError(f"{_FLAG} {shown(text)}: an IPv6 address stands in brackets, such as [::1]:10042")
    if any(char.isspace() or char in "[]/@?#" for char in host) or not host.isprintable():
        raise UsageError(f"{_FLAG} {shown(text)}: {shown(host)} is no host name, IPv4 address or [IPv6 address]")
    return ListenAddress(host, int(port))


def bind(addresses: Sequence[ListenAddress]) -> tuple[socket.socket, ...]:
    """One listening socket for each address, not yet accepting.

    Raises ExporterError, which says what to do, if one cannot be had; those that were made before are closed then.
    """
    with ExitStack() as made:
        bound: list[_Bound] = []
        for address in addresses:
            bound.append((address, made.enter_context(_bound(address, bound))))
        made.pop_all()
        return tuple(sock for _, sock in bound)


def listeners(web: WebSettings, handed: Handed) -> tuple[socket.socket, ...]:
    """The sockets to serve on: those that systemd handed over if the settings say so, else new ones.

    Raises ExporterError as `adopt` and `bind` do, UsageError as `parse_listen_address` does.
    """
    if web.systemd_socket:
        return adopt(handed)
    if handed.names:
        log.warning("systemd handed sockets over, which are not used: that takes --web.systemd-socket")
    return bind([parse_listen_address(address) for address in web.listen_addresses])


def urls(sockets: Sequence[socket.socket], scheme: str = "http") -> tuple[str, ...]:
    """Where each socket can be reached from this machine, with the real port: `http://127.0.0.1:10042`. Unix sockets
    as `unix:` and their path.
    """
    return tuple(_url(sock, scheme) for sock in sockets)


def _url(sock: socket.socket, scheme: str) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        # Abstract names are bytes that begin with NUL.
        return f"unix:{name}" if isinstance(name, str) else f"unix:@{name[1:].decode('utf-8', 'replace')}"
    host, port = name[:2]
    if len(name) == 4 and name[3]:
        host = f"{host}%{socket.if_indextoname(name[3])}"
    return f"{scheme}://{_reachable(host)}:{port}"


def _ipv6(host: str, text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise UsageError(f"{_FLAG} {shown(text)}: {shown(host)} is no IPv6 address") from None


def _bound(address: ListenAddress, before: Sequence[_Bound]) -> socket.socket:
    family, where = _resolved(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two programs share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bool(address.host)))
        sock.setblocking(False)
        sock.bind(where)
        # Two programs can bind one port with SO_REUSEADDR as long as neither listens; so listen at once.
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        ours = next((other for other, taken in before if _share(address, where, other, taken)), None)
        if error.errno == errno.EADDRINUSE and ours is not None:
            raise ExporterError(
                f"cannot listen on {address} and on {ours}, because one covers the other; leave one {_FLAG} away"
            ) from error
        raise ExporterError(f"cannot listen on {address}: {_why(error)}; {_OTHER}") from error
    return sock


def _share(address: ListenAddress, where: _Where, other: ListenAddress, taken: socket.socket) -> bool:
    """Whether what arrives at one of two addresses could arrive at the other."""
    host, port = taken.getsockname()[:2]
    if where[1] != port:
        return False
    everything = {address.host, other.host} & {"", _ANY_4, _ANY_6}
    return bool(everything) or host.partition("%")[0] == where[0]


def _resolved(address: ListenAddress) -> tuple[socket.AddressFamily, _Where]:
    """Family and numeric address. All interfaces are one IPv6 socket that takes IPv4 too, if there is IPv6."""
    if not address.host:
        if socket.has_dualstack_ipv6():
            return socket.AF_INET6, (_ANY_6, address.port)
        return socket.AF_INET, (_ANY_4, address.port)
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ExporterError(
            f"cannot listen on {address}: the host name '{address.host}' is not known; {_OTHER}"
        ) from error
    # A name that has both gives IPv4, as in Go: one name, one socket.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _, _, _, where = found[0]
    # Link-local addresses have a fourth part, the interface.
    return family, (str(where[0]), *where[1:])


def _why(error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "the port is in use by another program",
        errno.EACCES: "this user may not use that port (below 1024 it takes a privilege)",
        errno.EADDRNOTAVAIL: "no interface of this machine has that address",
    }
    return reasons.get(error.errno or 0, error.strerror or str(error))


def _reachable(host: str) -> str:
    """An address to connect to: all interfaces are also the loopback one."""
    if host in (_ANY_6, _ANY_4):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
