"""One request to an ASGI application, without a connection."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Scope


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw_headers: tuple[tuple[bytes, bytes], ...]
    text: str


def says(text: str) -> ASGIApp:
    """An application that answers each request with `text`."""
    return PlainTextResponse(text)


async def ask(
    app: ASGIApp, path: str = "/", *, headers: tuple[tuple[bytes, bytes], ...] = (), client: str = "127.0.0.1"
) -> Answered:
    """The answer to a GET; the names in `headers` are in lower case, as servers give them."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": (client, 12345),
        "server": ("127.0.0.1", 10042),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    raw = tuple(sent[0]["headers"])
    return Answered(
        sent[0]["status"],
        {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw},
        raw,
        b"".join(message.get("body", b"") for message in sent[1:]).decode(),
    )
