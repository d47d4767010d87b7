"""The head of a request, checked by the rules of HTTP/1.1 that a parser leaves to its user. Source: RFC 9112, RFC 9110.

Whatever two readers could understand in two ways is refused: that is how requests are smuggled past a proxy.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields in the order they came, names in lower case."""

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?\])(?::[0-9]*)?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE)
_FORBIDDEN_METHODS: Final = ("CONNECT", "PRI")


class Refused(Exception):
    """A request that is not answered by the application. The connection is closed after it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about."""

    path: str
    """Decoded; "*" for the server as a whole."""
    raw_path: bytes
    query: bytes
    host: bytes | None
    """The authority that an absolute target names; it counts instead of the Host field (RFC 9112, section 3.2.2)."""


def read_target(method: str, target: bytes) -> Target:
    """What the first line names. Raises Refused for a form that is wrong for the method or has strange bytes."""
    host = None
    if method in _FORBIDDEN_METHODS:
        raise Refused(501, f"This server does not do {method}.")
    if not target.isascii():
        raise Refused(400, "The target has bytes that are no ASCII; they must be percent-encoded.")
    if target == b"*" and method == "OPTIONS":
        return Target("*", target, b"", None)
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or not _HOST.fullmatch(absolute[1]):
            raise Refused(400, "The target is neither a path nor an absolute http address.")
        host, target = absolute[1], absolute[2] or b"/"
        if target.startswith(b"?"):
            target = b"/" + target
    raw_path, _, query = target.partition(b"?")
    if b"#" in target:
        raise Refused(400, "The target has a fragment, which is for clients only.")
    path = raw_path.decode("ascii")
    return Target(unquote(path) if "%" in path else path, raw_path, query, host)


def check_fields(version: str, fields: Fields) -> int | None:
    """The length of the body in bytes, 0 if there is none, None if it comes in chunks. Raises Refused.

    The parser has made sure by then that a Content-Length is one number and stands alone.
    """
    hosts, length, coding = 0, 0, None
    for name, value in fields:
        if name == b"host":
            hosts += 1
            if not _HOST.fullmatch(value):
                raise Refused(400, "The Host field is no host name or address with or without a port.")
        elif name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            coding = value if coding is None else coding + b"," + value
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Refused(400, "HTTP/1.1 asks for one Host field.")
    if coding is None:
        return length
    if length or version != "1.1":
        raise Refused(400, "Transfer-Encoding stands with Content-Length or in an old version of HTTP.")
    if coding.strip().lower() != b"chunked":
        raise Refused(501, "Of all transfer codings this server knows chunked only.")
    return None


def expects_continue(version: str, fields: Fields) -> bool:
    """Whether the client waits to be told that its body is welcome (RFC 9110, section 10.1.1)."""
    return version == "1.1" and any(name == b"expect" and value.lower() == b"100-continue" for name, value in fields)


def with_host(fields: Fields, host: bytes) -> list[tuple[bytes, bytes]]:
    """The fields with `host` as the only Host."""
    return [(b"host", host), *(field for field in fields if field[0] != b"host")]
