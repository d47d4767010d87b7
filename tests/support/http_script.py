"""A tiny HTTP server on loopback that does what a test tells it, well-formed or not, and notes what it was asked."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What arrived; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def form(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}

    @property
    def ids(self) -> list[str]:
        return self.query["agentIds"][0].split(",")

    @property
    def token(self) -> str:
        return self.headers["authorization"].removeprefix("Zoho-oauthtoken ")


@dataclass(frozen=True)
class Reply:
    """A well-formed response; `body` is bytes, or a value to be written as JSON."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass(frozen=True)
class Raw:
    """These bytes, then the connection is closed."""

    data: bytes


class Fault(Enum):
    HANG = "never answers"
    RESET = "resets the connection"


Handler = Callable[[Request], Reply | Raw | Fault]


@dataclass
class ScriptedServer:
    url: str
    requests: list[Request]
    connections: int = 0

    def asked(self, path: str) -> list[Request]:
        """The requests whose path ends so."""
        return [request for request in self.requests if request.path.endswith(path)]


@asynccontextmanager
async def scripted_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """Answers each request with what `handler` returns for it."""
    tasks: set[asyncio.Task[None]] = set()
    running = ScriptedServer("", [])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        running.connections += 1
        try:
            while (request := await _request(reader)) is not None:
                running.requests.append(request)
                if not await _answer(handler(request), writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    running.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield running
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


async def _answer(behaviour: Reply | Raw | Fault, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection stays open."""
    if behaviour is Fault.HANG:
        await asyncio.sleep(3_600)
    if behaviour is Fault.RESET:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        return False
    if isinstance(behaviour, Raw):
        writer.write(behaviour.data)
        await writer.drain()
        return False
    assert isinstance(behaviour, Reply)
    await asyncio.sleep(behaviour.delay_s)
    body = behaviour.body if isinstance(behaviour.body, bytes) else json.dumps(behaviour.body).encode()
    lines = [f"HTTP/1.1 {behaviour.status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in behaviour.headers.items()]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    await writer.drain()
    return True
