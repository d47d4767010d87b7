"""Bytes to requests, one at a time, within limits; without a connection and without time.

httptools is handed exactly one request's bytes: what comes after is handed back, so that pipelining costs no memory,
and a head that does not end is noticed before the parser has told anything of it.
"""

import re
from enum import Enum
from typing import Any, Final, NamedTuple, NoReturn

import httptools

from exporter.web.serving.limits import Limits
from exporter.web.serving.request_head import Refused, check_fields, expects_continue, read_target, with_host

_HEAD_END: Final = b"\r\n\r\n"
_KNOWN_BYTES: Final = 2048
"""Heads up to this size are known again."""
_MOST_LINES: Final = 4_000
"""Of a body in chunks. Chunks of a byte each held up everything else for 30 ms."""
_LF: Final = 0x0A
_STRANGE_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} [/*h]")


class Phase(Enum):
    """What comes next."""

    NOTHING = "a request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"


class Request(NamedTuple):
    """A request that came whole."""

    about: dict[str, Any]
    """Its part of an ASGI scope: http_version, method, path, raw_path, query_string, headers."""
    body: bytes
    last: bool
    """Whether the connection must end after its answer."""


class RequestReader:
    """Reads one request after the other."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpRequestParser(_Callbacks(self))
        self.phase = Phase.NOTHING
        self.wants_continue = False
        """Whether the client waits to be told that its body is welcome."""
        self.last = False
        self.whole = False
        self.refusal: Refused | None = None
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self._about: dict[str, Any] = {}
        self._body_left: int | None = 0
        self._seen = 0
        self._lines = 0
        self._tail = b""
        self._known = b""
        self._known_request: Request | None = None

    def read(self, data: bytes) -> tuple[Request | None, bytes]:
        """The request that `data` completes, if it does, and what of `data` does not belong to it.

        Raises Refused, after which nothing more can be read. Clients that ask again, as Prometheus does, send the same
        bytes again; what they mean is then known already.
        """
        fresh = self.phase is Phase.NOTHING and not self._seen
        if fresh and data == self._known:
            return self._known_request, b""
        begun = data
        while data:
            if self.phase is not Phase.BODY:
                size = self._head_part(data)
                self._feed(data[:size])
            elif self._body_left is None:
                size = self._feed_chunks(data)
            else:
                size = min(len(data), self._body_left)
                self._feed(data[:size])
            if self.whole:
                request = self._taken()
                # Only what came in one piece: the end of a request alone is none, however it was answered before.
                alone = fresh and size == len(data)
                if alone and len(begun) <= _KNOWN_BYTES and not (request.body or request.last):
                    self._known, self._known_request = begun, request
                return request, data[size:]
            data = data[size:]
        return None, b""

    def _taken(self) -> Request:
        request = Request(self._about, bytes(self.body), self.last)
        self.phase = Phase.NOTHING
        self.wants_continue = self.whole = False
        self.url = b""
        self.fields = []
        if self.body:
            self.body = bytearray()
        self._seen = 0
        return request

    def _head_part(self, data: bytes) -> int:
        """How many bytes of `data` belong to the head, at most."""
        tail = self._tail
        end = (tail + data).find(_HEAD_END)
        size = len(data) if end < 0 else end + len(_HEAD_END) - len(tail)
        if self._seen + size > self._limits.head_bytes:
            raise self._too_long(data)
        self._tail = (tail + data)[-3:] if end < 0 else b""
        self._seen += size
        return size

    def _too_long(self, data: bytes) -> Refused:
        first_line = data.find(b"\r\n") if not self._seen else 0 if self.fields else len(self.url)
        if 0 <= first_line <= self._limits.target_bytes:
            return Refused(431, f"The head is longer than {self._limits.head_bytes} bytes.")
        return self._long_target()

    def _long_target(self) -> Refused:
        return Refused(414, f"The target is longer than {self._limits.target_bytes} bytes.")

    def _feed_chunks(self, data: bytes) -> int:
        """Hand over as much of `data` as belongs to a body in chunks; how many bytes that was.

        Line by line: the end of the body is the end of a line, and nothing else tells where in `data` it is.
        """
        at = 0
        while at < len(data) and not self.whole:
            # A line end can be cut in two.
            end = at + 1 if data[at] == _LF else data.find(b"\r\n", at) + 2
            if end < at + 1:
                end = len(data)
            # Sizes, extensions and trailers of chunks are no body, and cost no less.
            self._seen += end - at
            self._lines += 1
            if self._seen > self._limits.body_bytes + self._limits.head_bytes:
                raise self._too_much()
            if self._lines > _MOST_LINES:
                raise Refused(
                    413, f"The body has more than {_MOST_LINES} lines, chunks and what stands in them together."
                )
            self._feed(data[at:end])
            at = end
        return at

    def _too_much(self) -> Refused:
        return Refused(413, f"The body is longer than {self._limits.body_bytes} bytes.")

    def _feed(self, part: bytes) -> None:
        try:
            self._parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            # Answered as if nothing else was asked for. Its body, if any, was not read: what follows has no meaning.
            self.last = True
        except httptools.HttpParserError as error:
            raise self.refusal or _misunderstood(error, part) from error

    # What the parser tells

    def begins(self) -> None:
        """The first byte of a request."""
        assert not self.whole, "the parser was handed more than one request"
        self.phase = Phase.HEAD

    def url_part(self, url: bytes) -> None:
        """A part of the first line."""
        self.url += url
        if len(self.url) > self._limits.target_bytes:
            self.stop(self._long_target())

    def field(self, name: bytes, value: bytes) -> None:
        """One field; those after a body in chunks count for nothing."""
        if self.phase is Phase.BODY:
            return
        self.fields.append((name.lower(), value))
        if len(self.fields) > self._limits.fields:
            self.stop(Refused(431, f"The head has more than {self._limits.fields} fields."))

    def head_ends(self) -> None:
        """The head is whole."""
        try:
            length = self._read_head()
        except Refused as refused:
            self.stop(refused)
        if length != 0:
            self.phase = Phase.BODY
            self._body_left = length
            self._seen = self._lines = 0

    def _read_head(self) -> int | None:
        parser = self._parser
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refused(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
        method = parser.get_method().decode("ascii")
        target = read_target(method, self.url)
        length = check_fields(version, self.fields)
        if length is not None and length > self._limits.body_bytes:
            raise self._too_much()
        self.last = version == "1.0" or not parser.should_keep_alive()
        self._about = {
            "http_version": version,
            "method": method,
            "path": target.path,
            "raw_path": target.raw_path,
            "query_string": target.query,
            "headers": self.fields if target.host is None else with_host(self.fields, target.host),
        }
        self.wants_continue = length != 0 and expects_continue(version, self.fields)
        return length

    def body_part(self, body: bytes) -> None:
        """Some of the body."""
        if self._body_left is not None:
            self._body_left -= len(body)
        self.body += body
        if len(self.body) > self._limits.body_bytes:
            self.stop(self._too_much())

    def stop(self, refused: Refused) -> NoReturn:
        """End the parser's work. It says that there was an exception, but not always which."""
        self.refusal = refused
        raise refused


class _Callbacks:
    """What httptools calls; apart, so that its names are no part of the reader's."""

    def __init__(self, reader: RequestReader) -> None:
        self.on_message_begin = reader.begins
        self.on_url = reader.url_part
        self.on_header = reader.field
        self.on_headers_complete = reader.head_ends
        self.on_body = reader.body_part
        self.on_message_complete = lambda: setattr(reader, "whole", True)


def _misunderstood(error: httptools.HttpParserError, part: bytes) -> Refused:
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _STRANGE_METHOD.match(part):
        return Refused(501, "This server does not know the method.")
    return Refused(400, f"This is no request in HTTP/1.1: {error}.")
