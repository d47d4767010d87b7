"""From the text of a flag, a variable or a key to a value. Each function raises UsageError that says what was expected.

The messages do not name the flag: the caller knows it, and where the text came from, and puts both in front.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exporter.durations import format_duration_ms, parse_duration_ms
from exporter.errors import UsageError
from exporter.quoting import shown
from exporter.secret import Secret
from exporter.web.paths import can_be_served
from exporter.web.serving.listen import parse_listen_address

_ID: Final = re.compile("[0-9]{1,32}")
_MODE: Final = re.compile("(?:0o)?0?([0-7]{3})")
_COUNT: Final = re.compile("[0-9]{1,9}")
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
_SHORTEST_RETENTION_MS: Final = 3_600_000
_LONGEST_WAIT_MS: Final = 366 * 86_400_000


def word(value: str) -> str:
    """Any text without blanks and odd characters, such as Zoho's client ids."""
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise UsageError(f"{shown(value)} stands where one word is expected, without blanks and odd characters")
    return value


def path(value: str) -> Path:
    """A path, with `~` as the shell would have read it."""
    if not value or "\0" in value:
        raise UsageError("expected the path of a file")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{shown(value)} begins with a home directory that does not exist") from error


def seconds(value: str) -> float:
    """Seconds of a duration above zero, written as in Prometheus."""
    if value.startswith("-"):
        raise UsageError(f"{shown(value)} must be above zero; write a duration such as 30s, 5m or 1h30m")
    milliseconds = parse_duration_ms(value)
    if milliseconds == 0:
        raise UsageError(f"{shown(value)} must be above zero; write a duration such as 30s, 5m or 1h30m")
    if milliseconds > _LONGEST_WAIT_MS:
        raise UsageError(f"{shown(value)} is longer than a year, the longest that makes sense here")
    return milliseconds / 1000


def retention_ms(value: str) -> int:
    """Milliseconds of how long to keep history: an hour at the least, or it would be gone before anyone reads it."""
    milliseconds = 0 if value.startswith("-") else parse_duration_ms(value)
    if milliseconds < _SHORTEST_RETENTION_MS:
        raise UsageError(f"{shown(value)} is shorter than an hour; write how long to keep history, such as 90d or 2y")
    return milliseconds


def as_duration(value_s: float) -> str:
    """Seconds as people write them."""
    return format_duration_ms(round(value_s * 1000))


def count(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`, both included."""

    def parse(value: str) -> int:
        if not _COUNT.fullmatch(value) or not least <= int(value) <= most:
            raise UsageError(f"{shown(value)} is not a whole number from {least} to {most}")
        return int(value)

    return parse


def switch(value: str) -> bool:
    """`true` or `false`, as YAML and people write them."""
    folded = value.casefold()
    if folded not in _TRUE + _FALSE:
        raise UsageError(f"{shown(value)} is neither true nor false")
    return folded in _TRUE


def choice(*words: str) -> Callable[[str], str]:
    """A parser of one of `words`."""

    def parse(value: str) -> str:
        if value not in words:
            raise UsageError(f"{shown(value)} is not one of {', '.join(words)}")
        return value

    return parse


def mode(value: str) -> int:
    """File permissions in octal. The owner must read and write, nobody else may write, and nothing is executable."""
    match = _MODE.fullmatch(value)
    if not match:
        raise UsageError(f"{shown(value)} is not a file mode: write it in octal, such as 0600 or 0640")
    bits = int(match[1], 8)
    if bits & 0o600 != 0o600 or bits & 0o133:
        raise UsageError(f"{shown(value)} makes no sense for a database: use 0600, or 0640 to let a group read")
    return bits


def ids(value: str) -> tuple[str, ...]:
    """A comma list of decimal ids, each once."""
    found = tuple(part.strip() for part in value.split(","))
    for one in found:
        if not _ID.fullmatch(one):
            said = shown(one) if one else "nothing"
            raise UsageError(f"{said} stands where an id is expected: decimal digits, parted by commas")
        if found.count(one) > 1:
            raise UsageError(f"the id {one} is named twice")
    return found


def unique(values: Iterable[str], what: str) -> tuple[str, ...]:
    """`values` as they are, each once."""
    found = tuple(values)
    for value in found:
        if found.count(value) > 1:
            raise UsageError(f"the {what} {value} is named twice")
    return found


def proxy(value: str) -> Secret:
    """The origin of an http or https proxy; it may hold a password, so no message repeats it."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    # urlsplit drops tabs and line ends in silence.
    if not good or not value.isprintable() or " " in value or parts.path not in ("", "/") or parts.query:
        raise UsageError("expected the URL of an http or https proxy, such as http://proxy.example.com:3128")
    return Secret(value)


def listen_address(value: str) -> str:
    """`host:port`, `:port` (all addresses) or `[v6]:port`. The messages name --web.listen-address themselves."""
    parse_listen_address(value)
    return value


def url_path(value: str) -> str:
    """The path part of a URL that metrics can be served at."""
    allowed = all(c.isascii() and (c.isalnum() or c in "/-._~") for c in value)
    if not value.startswith("/") or value.startswith("//") or not allowed:
        raise UsageError(f"{shown(value)} is not a path such as /metrics")
    if value.startswith("/-/"):
        raise UsageError(f"{shown(value)} belongs to the health checks: choose another path, such as /metrics")
    if not can_be_served(value):
        raise UsageError(f"{shown(value)} cannot be served: write a path such as /metrics, with words between slashes")
    return value
