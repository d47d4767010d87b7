"""The web configuration in force: TLS, logins, headers, rate limit; read anew when its files change.

Upstream reads the file for each request and answers 500 while it is wrong. Here the last good one stays in force.
"""

import asyncio
import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from exporter.daemon import DaemonThread
from exporter.errors import UsageError
from exporter.web.config.file import load_web_config
from exporter.web.config.model import ClientAuth, WebConfig
from exporter.web.config.tls_context import make_context
from exporter.web.protection.changing_context import ChangingContext, CheckedObject, without_resumption
from exporter.web.protection.headers import Headers, RawHeaders, raw_headers
from exporter.web.protection.login import Login
from exporter.web.protection.passwords import Accounts
from exporter.web.protection.peer import names, peer_allowed
from exporter.web.protection.rate import RateLimited, TokenBucket

log: Final = logging.getLogger(__name__)

_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _InForce:
    """A configuration and what is made of it; exchanged as a whole."""

    config: WebConfig
    context: ssl.SSLContext | None
    headers: RawHeaders
    accounts: Accounts | None
    bucket: TokenBucket | None

    @classmethod
    def of(cls, config: WebConfig, before: "_InForce | None" = None) -> "_InForce":
        """Takes milliseconds. Raises UsageError for what TLS cannot do."""
        bucket = None if config.rate_limit is None else TokenBucket(config.rate_limit)
        if before is not None and before.config.rate_limit == config.rate_limit:
            bucket = before.bucket  # or else each change of the file would fill it up
        return cls(
            config=config,
            context=_context(config),
            headers=raw_headers(config.headers),
            accounts=Accounts(config.users) if config.users else None,
            bucket=bucket,
        )


class WebSecurity:
    """What the web configuration file asks for, as it is in force."""

    def __init__(
        self, path: Path | None, config: WebConfig, read: Callable[[Path], WebConfig] = load_web_config
    ) -> None:
        """Use `load` instead. Raises UsageError."""
        self._path = path
        self._read = read
        self._in_force = _InForce.of(config)
        self._tls = ChangingContext(self._context) if self._in_force.context is not None else None
        self._reading = threading.Lock()
        self._looked: object = None
        """What the files looked like at the last look."""
        self._seen: object = None
        """What they looked like before they were read; None: they must be read again."""
        self._wrong: str | None = None
        """What was wrong when the file was last read."""

    @classmethod
    def load(cls, path: Path | None) -> "WebSecurity":
        """Read the file; None asks for nothing. Raises UsageError that names the file and what is wrong in it."""
        security = cls(path, WebConfig() if path is None else load_web_config(path))
        security._tell_notes()
        return security

    @property
    def config(self) -> WebConfig:
        """What is in force."""
        return self._in_force.config

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The context for listeners, which stays the same when the configuration changes; None: plain HTTP."""
        return self._tls

    def protect(self, app: ASGIApp) -> ASGIApp:
        """`app` behind rate limit and login, in upstream's order. To be wrapped once: both remember things."""
        login = Login(app, lambda: self._in_force.accounts)
        return RateLimited(login, lambda: self._in_force.bucket, time.monotonic_ns)

    def with_headers(self, app: ASGIApp) -> ASGIApp:
        """`app`, whose answers all carry the configured headers, in place of its own with the same name."""
        return Headers(app, lambda: self._in_force.headers)

    def admit(self, transport: asyncio.BaseTransport) -> bool:
        """Whether a new connection may ask anything: by the client's certificate. If not, close it unanswered."""
        allowed = peer_allowed(transport, self.config)
        if not allowed:
            shown = names(transport.get_extra_info("peercert") or {})
            # The client sees a connection that ends, and nothing of the reason.
            log.debug("a client was turned away", extra={"fields": {"names": ",".join(sorted(shown))}})
        return allowed

    def reread(self) -> bool:
        """Read the file and what it names, and put them in force for new connections and requests.

        Blocks: for a thread. False if they say what they said before. Raises UsageError, and leaves in force what was,
        if something is wrong, or if it turns TLS on or off: what listens speaks either.
        """
        if self._path is None:
            return False
        with self._reading:
            before = self._in_force
            try:
                after = self._read_from(self._path, before)
            except UsageError as error:
                self._wrong = str(error)
                raise
            self._wrong = None
            self._in_force = after
            return after.config != before.config

    async def watch(
        self, stop: asyncio.Event, told: Callable[[bool], None] = lambda ok: None, *, every_s: float = _LOOK_S
    ) -> None:
        """Look each second whether one of the files changed, and read them again then, until `stop` is set.

        They are read when they have stayed the same for one look: a file that an editor has emptied to write it anew
        would ask for no login.

        `told` hears True when a change is in force, and False when the files became wrong, or wrong in another way.
        While they are wrong they are tried each second: a certificate is there before its key.
        """
        thread = DaemonThread("web-config")
        loop = asyncio.get_running_loop()
        try:
            while self._path is not None and not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), every_s)
                    break
                outcome = await loop.run_in_executor(thread, self._look)
                if outcome is not None:
                    told(outcome)
        finally:
            thread.shutdown()

    def _look(self) -> bool | None:
        """Reread if need be; None if nothing is new."""
        files = self.config.files
        looks = _looks(files)
        settled, self._looked = looks == self._looked, looks
        known_wrong = self._wrong
        if not settled or (known_wrong is None and looks == self._seen):
            return None
        fields = {"fields": {"file": str(self._path)}}
        try:
            changed = self.reread()
        except UsageError as error:
            if str(error) == known_wrong:
                return None
            log.error("the web configuration is not reread, what was in force stays so: %s", error, extra=fields)
            return False
        # As they looked before they were read, or else a change in between would never be seen.
        self._seen = looks if self.config.files == files else None
        if not changed and known_wrong is None:
            return None
        log.info("the web configuration was reread", extra=fields)
        self._tell_notes()
        return True

    def _tell_notes(self) -> None:
        for note in self.config.notes:
            log.warning("the web configuration file: %s", note)

    def _read_from(self, path: Path, before: _InForce) -> _InForce:
        try:
            after = _InForce.of(self._read(path), before)
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {type(error).__name__}; look at it and what it names") from error
        if (after.context is None) != (before.context is None):
            turned = "off" if after.context is None else "on"
            raise UsageError(f"{path} turns TLS {turned}, which takes a restart of the exporter")
        return after

    def _context(self) -> ssl.SSLContext:
        context = self._in_force.context
        assert context is not None, "rereading never turns TLS off"
        return context


def _context(config: WebConfig) -> ssl.SSLContext | None:
    if config.tls is None:
        return None
    context = make_context(config.tls)
    if config.tls.client_auth is not ClientAuth.NONE:
        without_resumption(context)
        context.sslobject_class = CheckedObject
    return context


def _looks(files: Iterable[Path]) -> object:
    """What tells a change of `files`."""
    return tuple(map(_look_of, files))


def _look_of(file: Path) -> tuple[int, ...] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino, stat.st_dev
