"""What a login costs a request: none asked for, one that is remembered, and one that bcrypt must compare."""

import asyncio
import base64
import time
from dataclasses import dataclass

import bcrypt
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.secret import Secret
from exporter.web.config.model import WebConfig
from exporter.web.protection.security import WebSecurity

_USUAL_COST = 10


@dataclass(frozen=True, slots=True)
class LoginCost:
    """Seconds for one request, beside those of the application itself; best of the rounds."""

    nobody_asked: float
    """Without a web configuration file: what its layers cost those who do not use them."""
    remembered: float
    compared: float
    """At bcrypt's usual cost, 10; beside the event loop."""


def run(rounds: int, requests: int = 20_000) -> LoginCost:
    """Measure in turns, so that what else the machine does falls on all."""
    hashed = Secret(bcrypt.hashpw(b"password", bcrypt.gensalt(_USUAL_COST)).decode())
    field = b"Basic " + base64.b64encode(b"prometheus:password")
    open_door = _layers(WebConfig())
    door = _layers(WebConfig(users={"prometheus": hashed}))

    async def measure() -> LoginCost:
        compared = await _each(door, field, 1)
        nobody, remembered, bare = [], [], []
        for _ in range(rounds):
            bare.append(await _each(_answer, field, requests))
            nobody.append(await _each(open_door, field, requests))
            remembered.append(await _each(door, field, requests))
        return LoginCost(min(nobody) - min(bare), min(remembered) - min(bare), compared)

    return asyncio.run(measure())


def _layers(config: WebConfig) -> ASGIApp:
    security = WebSecurity(None, config)
    return security.with_headers(security.protect(_answer))


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def _each(app: ASGIApp, field: bytes, requests: int) -> float:
    scope = {
        "type": "http",
        "path": "/metrics",
        "headers": [(b"host", b"localhost"), (b"accept-encoding", b"gzip"), (b"authorization", field)],
        "client": ("127.0.0.1", 1),
    }
    refused = 0

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        nonlocal refused
        refused += message["type"] == "http.response.start" and message["status"] != 200

    begun = time.perf_counter()
    for _ in range(requests):
        await app(scope, receive, send)
    seconds = (time.perf_counter() - begun) / requests
    assert not refused
    return seconds
