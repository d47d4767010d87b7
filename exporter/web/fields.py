"""What a request says: its header fields, and that its client has left."""

import re
from typing import Final

from starlette.requests import Request
from starlette.types import Receive

from exporter.web.negotiation import wants_gzip

_TAG: Final = re.compile(r'"[^"]*"')


def field(request: Request, name: bytes) -> str:
    """All fields of a name (in lower case) as one (RFC 9110, 5.3); "" if there is none."""
    return b",".join([value for known, value in request.scope["headers"] if known == name]).decode("latin-1")


def takes_gzip(request: Request) -> bool:
    """Whether the answer is to be packed."""
    return wants_gzip(field(request, b"accept-encoding"))


def entity_tag(version: str, *, gzip: bool) -> str:
    """The value of ETag for a version of something: its codings are told apart (RFC 9110, 8.8.3.3)."""
    return f'"{version}-gzip"' if gzip else f'"{version}"'


def has(request: Request, etag: str) -> bool:
    """Whether the client has the answer of this ETag already: If-None-Match (RFC 9110, 13.1.2), compared weakly.

    The same in another coding does not count: a cache may not use 304 for an answer with another ETag (RFC 9111,
    4.3.4), and would have to ask again.
    """
    asked = field(request, b"if-none-match")
    return asked.strip() == "*" or etag in _TAG.findall(asked)


async def disconnected(receive: Receive) -> None:
    """Return once the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
