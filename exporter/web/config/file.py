"""Reading the web configuration file: upstream's verdict on it, and what it then asks for.

Upstream is Prometheus' exporter-toolkit (web/tls_config.go, web/handler.go; built with Go 1.25). What upstream accepts
is accepted here with the same meaning, and what it refuses is refused, but for the list in docs/web-config.md of what
Python's ssl cannot do: that is refused, so that a file never gets less than it asks for.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from exporter.errors import UsageError
from exporter.quoting import shown
from exporter.secret import Secret
from exporter.textfile import content
from exporter.web.config.decoding import HTTP, RATE, USERS, Decoded, decode
from exporter.web.config.hashes import can_fit, fault
from exporter.web.config.model import LARGEST, RateLimit, WebConfig
from exporter.web.config.quoting import value_shown, without_secrets
from exporter.web.config.tls_section import read_tls
from exporter.web.config.tree import read_document

HEADERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Strict-Transport-Security": (),
        "X-Content-Type-Options": ("nosniff",),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-XSS-Protection": (),
        "Content-Security-Policy": (),
    }
)
"""The headers that may be set, in just this spelling, and their values; none: any."""

_NS: Final = 1_000_000_000


def load_web_config(path: Path) -> WebConfig:
    """Read the file and those that it names. Takes a few milliseconds, and makes a TLS context to see that it can be.

    Raises UsageError that names file, line, key and, unless it is secret, value of the first mistake.
    """
    try:
        return _read(path)
    except UsageError as error:
        raise UsageError(without_secrets(str(error))) from error.__cause__


def _read(path: Path) -> WebConfig:
    document = read_document(path, _content(path))
    decoded = decode(path, document.root)
    headers = _headers(decoded)
    users = _users(decoded)
    tls, files, notes = read_tls(decoded)
    limit = _rate_limit(decoded)
    return WebConfig(
        tls=tls,
        http2=decoded.flag(f"{HTTP}.http2", default=True),
        headers=headers,
        users=users,
        rate_limit=limit,
        files=(path, *files),
        notes=(*_document_notes(document.more), *notes, *_user_notes(users), *_limit_notes(decoded, limit)),
    )


def _content(path: Path) -> bytes:
    try:
        return content(path, LARGEST)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"--web.config.file: cannot read the file {path}: {reason}") from error


def _headers(decoded: Decoded) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for name, value in decoded.map(f"{HTTP}.headers").items():
        where = decoded.where(f"{HTTP}.headers.{name}")
        if name not in HEADERS:
            raise UsageError(
                f"{where}: the header {shown(name)} cannot be set: write one of {', '.join(HEADERS)}, just so"
            )
        allowed = HEADERS[name]
        if allowed and value not in allowed:
            raise UsageError(
                f"{where}: {value_shown(value, allowed)} is not a value of {name}: write {' or '.join(allowed)}"
            )
        # A text over several lines, as YAML allows it, is one line on the wire, as Go sends it.
        line = value.replace("\r", " ").replace("\n", " ").strip(" \t")
        if line:
            found.append((name, line))
    return tuple(found)


def _users(decoded: Decoded) -> Mapping[str, Secret]:
    users: dict[str, Secret] = {}
    for name, text in decoded.map(USERS).items():
        why = fault(text)
        if why is not None:
            raise UsageError(
                f"{decoded.where(f'{USERS}.{name}')}: this is not a bcrypt hash, for {why}: "
                f"make one with 'htpasswd -nBC 10 {name or 'NAME'}' and give what follows the colon"
            )
        users[name] = Secret(text)
    return MappingProxyType(users)


def _rate_limit(decoded: Decoded) -> RateLimit | None:
    interval = decoded.number(f"{RATE}.interval")
    if interval <= 0:
        return None
    return RateLimit(interval / _NS, decoded.number(f"{RATE}.burst"))


def _document_notes(more: bool) -> Iterator[str]:
    if more:
        yield "what follows the second '---' is not read: only the first document counts"


def _user_notes(users: Mapping[str, Secret]) -> Iterator[str]:
    for name, value in users.items():
        if not can_fit(value.reveal()):
            yield f"nobody can log in as {without_secrets(shown(name))}: no password fits a bcrypt hash of that length"


def _limit_notes(decoded: Decoded, limit: RateLimit | None) -> Iterator[str]:
    if decoded.number(f"{RATE}.interval") < 0:
        yield f"{RATE}.interval is negative, so requests are not limited"
    if limit is not None and limit.burst < 1:
        yield f"{RATE}.burst is {limit.burst}, so every request is refused: write at least 1"
