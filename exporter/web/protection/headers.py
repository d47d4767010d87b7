"""`headers` of the web configuration file's `http_server_config`, on every answer."""

from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RawHeaders = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, and values, as ASGI has them."""


def raw_headers(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    """`headers` for the wire. What would end a header, or what no server sends in one, becomes a space, as in Go."""
    return tuple((name.lower().encode("latin-1"), _value(value)) for name, value in headers)


def _value(value: str) -> bytes:
    line = "".join(char if (char >= " " and char != "\x7f") or char == "\t" else " " for char in value)
    return line.strip().encode("utf-8", "surrogateescape")


class Headers:
    """`app`, whose answers carry the configured headers; they take the place of those with the same name."""

    def __init__(self, app: ASGIApp, headers: Callable[[], RawHeaders]) -> None:
        """`headers`: those in force."""
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = self._headers()
        if scope["type"] != "http" or not headers:
            await self._app(scope, receive, send)
            return
        names = {name for name, _ in headers}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
                message = {**message, "headers": [*others, *headers]}
            await send(message)

        await self._app(scope, receive, with_headers)
