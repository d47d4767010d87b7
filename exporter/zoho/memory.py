"""The file that survives restarts: the access token, when it was asked for, and which URLs are locked.

Zoho allows ten access tokens per refresh token in ten minutes; without this file a crash loop locks the account in a
minute. The file has mode 0600, is replaced atomically, and is read again before it is written, because a command run
by hand may share it with `serve`.
"""

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from exporter.errors import ExporterError
from exporter.secret import Secret
from exporter.zoho.answers import decoded
from exporter.zoho.throttle import LONGEST_LOCK_S

REFRESH_WINDOW_MS: Final = 600_000
"""How long a refresh counts against Zoho's limit."""

_VERSION: Final = 1
_LARGEST_FILE: Final = 1_000_000
_LONGEST_LOCK_MS: Final = int(LONGEST_LOCK_S * 1_000)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token and its life, in wall clock UTC milliseconds: [minted_at, expires_at)."""

    secret: Secret
    minted_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class _Contents:
    fingerprint: str
    token: AccessToken | None = None
    refreshes: tuple[int, ...] = ()
    locks: Mapping[str, int] = field(default_factory=dict)


class Memory:
    """What is remembered, for one set of credentials. All times are wall clock UTC milliseconds."""

    def __init__(self, path: Path, contents: _Contents) -> None:
        self._path = path
        self._contents = contents
        self._writable = True

    @classmethod
    def open(cls, path: Path, fingerprint: str | None) -> "Memory":
        """The memory at `path`, made if it is not there.

        A token and refreshes of credentials with another `fingerprint` are forgotten (with None, which is for
        credentials that make no tokens, they are kept for whom they belong to); locks are kept, they belong to URLs.
        A damaged file is set aside. Raises ExporterError when the file cannot be read or written.
        """
        try:
            contents = _read(path, fingerprint)
        except ValueError:
            aside = path.with_name(path.name + ".damaged")
            try:
                path.replace(aside)
            except OSError as error:
                raise _unusable(path, error) from error
            _log.warning("token cache was damaged and is set aside", extra={"fields": {"moved_to": str(aside)}})
            contents = _Contents(fingerprint or "")
        except OSError as error:
            raise _unusable(path, error) from error
        memory = cls(path, contents)
        try:
            memory._write()
        except OSError as error:
            raise _unusable(path, error) from error
        return memory

    @property
    def token(self) -> AccessToken | None:
        """The last access token, which may be over."""
        return self._contents.token

    def recent_refreshes(self, now: int) -> tuple[int, ...]:
        """When a refresh was asked for in the ten minutes before `now`, oldest first."""
        # On both sides of now: a wall clock that was set back must not make them all uncounted.
        return tuple(at for at in self._contents.refreshes if abs(now - at) < REFRESH_WINDOW_MS)

    def locked_until(self, url: str, now: int) -> int | None:
        """Until when `url` is to be left alone; None when it is free."""
        until = self._contents.locks.get(url, 0)
        # No lock is ever set for longer, so one that seems longer was set by a clock that ran ahead.
        return until if now < until <= now + _LONGEST_LOCK_MS else None

    def reload(self) -> None:
        """Take over what another process has written meanwhile; a file that cannot be read changes nothing."""
        try:
            self._contents = _read(self._path, self._contents.fingerprint, absent=self._contents)
        except (OSError, ValueError):
            _log.debug("token cache cannot be read", extra={"fields": {"path": str(self._path)}})

    def remember_token(self, token: AccessToken) -> None:
        """Keep an access token."""
        self._change(replace(self._fresh(), token=token))

    def remember_refresh(self, at: int) -> None:
        """Note that a refresh is about to be asked for."""
        self._change(replace(self._fresh(), refreshes=tuple(sorted((*self.recent_refreshes(at), at)))))

    def forget_refresh(self, at: int) -> None:
        """Take back `remember_refresh`: the request cannot have reached Zoho."""
        rest = list(self._fresh().refreshes)
        if at in rest:
            rest.remove(at)
        self._change(replace(self._contents, refreshes=tuple(rest)))

    def lock(self, url: str, until: int, now: int) -> None:
        """Leave `url` alone until `until`, or longer if it is locked for longer; locks over at `now` are dropped."""
        contents = self._fresh()
        until = max(until, self.locked_until(url, now) or 0)
        locks = {known: end for known, end in contents.locks.items() if end > now}
        self._change(replace(contents, locks={**locks, url: until}))

    def _fresh(self) -> _Contents:
        self.reload()
        return self._contents

    def _change(self, contents: _Contents) -> None:
        self._contents = contents
        try:
            self._write()
        except OSError as error:
            # A full disk must not stop the polls: what is remembered stays true until the next start.
            if self._writable:
                _log.warning(
                    "token cache cannot be written", extra={"fields": {"error": error.strerror or "I/O error"}}
                )
            self._writable = False
        else:
            self._writable = True

    def _write(self) -> None:
        # mkstemp makes the file with mode 0600 and never follows a link that somebody else has put there.
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_encoded(self._contents))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _unusable(path: Path, error: OSError) -> ExporterError:
    return ExporterError(
        f"keeping the access token in '{path}' is not possible ({error.strerror or 'I/O error'}); "
        "give --auth.token-cache a file in a directory that can be written"
    )


def _read(path: Path, fingerprint: str | None, absent: _Contents | None = None) -> _Contents:
    """Raises OSError, and ValueError for contents that are not ours."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        return absent or _Contents(fingerprint or "")
    if len(data) > _LARGEST_FILE:
        raise ValueError("too large")
    contents = _parsed(decoded(data))
    if fingerprint is None or contents.fingerprint == fingerprint:
        return contents
    return _Contents(fingerprint, locks=contents.locks)


def _parsed(value: object) -> _Contents:
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        raise ValueError("not a token cache of this version")
    fingerprint, refreshes, locks = value.get("fingerprint"), value.get("refreshes"), value.get("locks")
    if not isinstance(fingerprint, str) or not isinstance(refreshes, list) or not isinstance(locks, dict):
        raise ValueError("incomplete")
    return _Contents(
        fingerprint,
        _parsed_token(value.get("token")),
        tuple(sorted(_instant(at) for at in refreshes)),
        {url: _instant(until) for url, until in locks.items()},
    )


def _parsed_token(value: object) -> AccessToken | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not is_token(text := value.get("access_token")):
        raise ValueError("no access token")
    return AccessToken(Secret(str(text)), _instant(value.get("minted_at")), _instant(value.get("expires_at")))


def _instant(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("no instant")
    return value


def is_token(text: object) -> bool:
    """Whether `text` can stand in a header: visible ASCII. Anything else would be quoted by an error of h11."""
    return (
        isinstance(text, str) and 0 < len(text) <= 8_192 and text.isascii() and text.isprintable() and " " not in text
    )


def _encoded(contents: _Contents) -> bytes:
    token = contents.token
    value = {
        "version": _VERSION,
        "fingerprint": contents.fingerprint,
        "token": token
        and {
            "access_token": token.secret.reveal(),
            "minted_at": token.minted_at,
            "expires_at": token.expires_at,
        },
        "refreshes": contents.refreshes,
        "locks": dict(contents.locks),
    }
    return json.dumps(value, indent=1).encode() + b"\n"
