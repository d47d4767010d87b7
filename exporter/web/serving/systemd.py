"""Listening sockets that systemd opened for this program. Source: sd_listen_fds(3), systemd.socket(5).

The sockets outlive the program: a client that comes while it restarts waits instead of being refused.
"""

import os
import socket
import stat
from collections.abc import MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from exporter.errors import ExporterError, UsageError
from exporter.quoting import shown

_FLAG: Final = "--web.systemd-socket"
_FIRST: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_TCP: Final = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class Handed:
    """What the environment says was handed over: descriptors from 3 on, by name ("" where there is none)."""

    names: tuple[str, ...] = ()


def take_handed(environment: MutableMapping[str, str], pid: int) -> Handed:
    """Take the variables out of `environment`, so that no child takes them for its own.

    Nothing was handed over if they are not for the process `pid`. Raises ExporterError if they make no sense.
    """
    for_whom, number, names = (environment.pop(name, "") for name in _VARIABLES)
    if for_whom != str(pid):
        return Handed()
    # isdecimal alone would let the digits of other scripts pass.
    if not (number.isascii() and number.isdecimal() and 0 < len(number) <= 4):
        raise ExporterError(
            f"cannot tell which sockets systemd handed over: LISTEN_FDS is {shown(number)}; it must be a number"
        )
    named = names.split(":") if names else []
    return Handed(tuple(named[at] if at < len(named) else "" for at in range(int(number))))


def adopt(handed: Handed, first: int = _FIRST) -> tuple[socket.socket, ...]:
    """The sockets, to be served on; children do not inherit them.

    Raises UsageError if there is none, ExporterError for a descriptor that is no listening TCP or unix socket. All are
    closed then; systemd keeps its own.
    """
    if not handed.names:
        raise UsageError(
            f"{_FLAG}: systemd handed no socket over; start the socket unit instead (systemctl start NAME.socket, with "
            "a service of the same NAME), or leave the flag away to listen on --web.listen-address"
        )
    with ExitStack() as made:
        sockets = tuple(
            made.enter_context(_adopted(descriptor, name)) for descriptor, name in enumerate(handed.names, first)
        )
        made.pop_all()
        return sockets


def _adopted(descriptor: int, name: str) -> socket.socket:
    try:
        is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError as error:
        raise _unfit(descriptor, name, "is not open") from error
    if not is_socket:
        raise _unfit(descriptor, name, "is no socket")
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    wrong = _wrong(sock)
    if wrong:
        sock.close()
        raise _unfit(descriptor, name, wrong)
    sock.setblocking(False)
    return sock


def _wrong(sock: socket.socket) -> str:
    if sock.family not in (*_TCP, socket.AF_UNIX) or sock.type != socket.SOCK_STREAM:
        return "is no TCP and no unix stream socket: use ListenStream="
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen: use Accept=no"
    return ""


def _unfit(descriptor: int, name: str, what: str) -> ExporterError:
    called = f" ({shown(name)})" if name else ""
    return ExporterError(f"cannot serve on what systemd handed over: descriptor {descriptor}{called} {what}")
