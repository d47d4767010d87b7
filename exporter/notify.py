"""Tells systemd how the program is doing, for units with Type=notify or notify-reload. Source: sd_notify(3).

Without an address, which is without systemd, nothing is told. Nothing here raises or blocks: a supervisor that does not
listen must not stop the program.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Iterator, MutableMapping
from typing import Final

log: Final = logging.getLogger(__name__)

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends states to the service manager."""

    def __init__(self, address: str = "", *, watchdog: bool = False) -> None:
        """`address`: a path, `@` and a name for an abstract one, or "" to tell nobody. `watchdog`: signs of life are
        wanted.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._serves = False
        """Whether the program was told of as ready, and not as stopping since."""
        self._socket: socket.socket | None = None
        if address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def ready(self) -> None:
        """The program serves."""
        self._serves = True
        self._send("READY=1")

    def stopping(self) -> None:
        """The program was told to stop, and does."""
        self._serves = False
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The event loop turns; to be said at least twice in WatchdogSec."""
        if self._watchdog:
            self._send("WATCHDOG=1")

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell the beginning and the end of a reload, however it goes: the program goes on with what was.

        One before `ready` is not told, for its end would say that the program serves; nor is the end of one that the
        program stops in.
        """
        if not self._serves:
            yield
            return
        # systemd compares it with its own clock, to know that this reload is the one that it has asked for.
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")
        try:
            yield
        finally:
            if self._serves:
                self.ready()

    def close(self) -> None:
        """Tell nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, state: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(state.encode("ascii"), self._address)
        except OSError as error:
            log.warning("systemd could not be told", extra={"fields": {"state": state, "error": str(error)}})
            self.close()


def take_notifier(environment: MutableMapping[str, str], pid: int) -> Notifier:
    """The notifier that `environment` asks for. Takes the variables out, so that no child speaks for this process."""
    address, interval, watched = (environment.pop(name, "") for name in _VARIABLES)
    return Notifier(address, watchdog=interval.isdecimal() and watched in ("", str(pid)))
