"""Sessions with a scripted server, and the bodies that Zoho documents."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from exporter.clock import Clock, SystemClock
from exporter.secret import Secret
from exporter.settings import ApiSettings, AuthSettings
from exporter.zoho.credits import Credits
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.session import Session, open_session
from tests.support.http_script import Handler, Reply, Request, ScriptedServer, scripted_server

TOKEN = "1000.access-token"
CLIENT_SECRET = "client-secret-text"
REFRESH_TOKEN = "1000.refresh-token"

T = TypeVar("T")


@dataclass
class Noted:
    """An observer that keeps what it is told."""

    done: list[tuple[str, int]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    credits: list[Credits] = field(default_factory=list)
    limited: list[tuple[str, int]] = field(default_factory=list)
    refreshed: list[int] = field(default_factory=list)
    refresh_failures: list[str] = field(default_factory=list)

    def request_done(self, endpoint: Endpoint, code: int, seconds: float) -> None:
        self.done.append((endpoint.value, code))

    def request_failed(self, endpoint: Endpoint, reason: str, seconds: float) -> None:
        self.failed.append((endpoint.value, reason))

    def credits_told(self, told: Credits) -> None:
        self.credits.append(told)

    def rate_limited(self, endpoint: Endpoint, until_ms: int) -> None:
        self.limited.append((endpoint.value, until_ms))

    def token_refreshed(self, expires_at_ms: int) -> None:
        self.refreshed.append(expires_at_ms)

    def token_refresh_failed(self, reason: str) -> None:
        self.refresh_failures.append(reason)


def ready(folder: Path) -> AuthSettings:
    """A token that is there already."""
    return AuthSettings(access_token=Secret(TOKEN), token_cache=folder / "token.json")


def refreshing(folder: Path) -> AuthSettings:
    """Credentials that tokens are made from."""
    return AuthSettings(
        client_id="1000.client",
        client_secret=Secret(CLIENT_SECRET),
        refresh_token=Secret(REFRESH_TOKEN),
        token_cache=folder / "token.json",
    )


@asynccontextmanager
async def session_at(
    server: ScriptedServer,
    auth: AuthSettings,
    clock: Clock | None = None,
    observer: Noted | None = None,
    api: ApiSettings | None = None,
) -> AsyncIterator[Session]:
    settings = replace(api or ApiSettings(timeout_s=2.0), url=server.url, accounts_url=server.url)
    async with open_session(
        settings, auth, clock=clock or SystemClock(), observer=observer or Noted(), version="1.2.3"
    ) as session:
        yield session


def with_session(
    handler: Handler,
    auth: AuthSettings,
    action: Callable[[Session, ScriptedServer], Awaitable[T]],
    *,
    clock: Clock | None = None,
    observer: Noted | None = None,
    api: ApiSettings | None = None,
) -> T:
    """Run `action` against a server that answers with `handler`."""

    async def run() -> T:
        async with scripted_server(handler) as server, session_at(server, auth, clock, observer, api) as session:
            return await action(session, server)

    return asyncio.run(run())


def soon(clock: Clock | None = None) -> float:
    """A deadline that does not matter."""
    return (clock or SystemClock()).monotonic() + 30.0


def success(**payload: object) -> dict[str, object]:
    return {"code": "200", "status": "SUCCESS", **payload}


def failure(code: str = "500", message: str = "Invalid agent.") -> dict[str, object]:
    return {"code": code, "status": "ERROR", "message": message}


def rows(*pairs: tuple[str, str]) -> dict[str, object]:
    """The success body of endpoint 2."""
    return success(onlineStatus=[{"agentId": agent_id, "onlineStatus": word} for agent_id, word in pairs])


def everyone(word: str = "Available") -> Handler:
    """Answers endpoint 2 with `word` for everyone who is asked for."""

    def handle(request: Request) -> Reply:
        return Reply(rows(*((agent_id, word) for agent_id in request.ids)))

    return handle


def answers(body: object, status: int = 200, **headers: str) -> Handler:
    """The same answer always; header names are written with `_` for `-`."""
    reply = Reply(body, status, {name.replace("_", "-"): value for name, value in headers.items()})
    return lambda request: reply
