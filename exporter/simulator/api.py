"""The HTTP side of the documented endpoints: checks what every request must have, applies faults, sends the answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from exporter.clock import Clock
from exporter.simulator.damage import instead, spoilt
from exporter.simulator.delivery import Exchange
from exporter.simulator.faults import Fault, FaultKind, Label, Switchboard
from exporter.simulator.oauth import TokenDesk
from exporter.simulator.ratelock import UrlLocks
from exporter.simulator.received import Received, ReceivedRequest
from exporter.simulator.replies import Reply, failure, scope_missing, unauthorized, wrong_url
from exporter.simulator.settings import ServerSettings
from exporter.simulator.voice import SCOPES, Asked, Parameters, Voice

_BASE: Final = "/rest/json/zv/api"
_ACCOUNTS: Final = "/oauth/v2/token"
REVOKE_PATH: Final = "/oauth/v2/token/revoke"
ROUTES: Final[Mapping[str, Mapping[str, Label]]] = {
    _ACCOUNTS: {"POST": Label.TOKEN},
    f"{_BASE}/users": {"GET": Label.USERS},
    f"{_BASE}/agents/onlineStatus": {"GET": Label.OWN_STATUS, "PUT": Label.SET_STATUS},
    f"{_BASE}/v2/agents/onlineStatus": {"GET": Label.STATUSES},
    f"{_BASE}/agents/overrideOnlineStatus": {"PUT": Label.OVERRIDE_STATUSES},
}
"""Path and method of each endpoint."""

_LARGEST_BODY: Final = 1_000_000
_FORM: Final = "application/x-www-form-urlencoded"
_BETWEEN_PAGES: Final = frozenset({FaultKind.ROSTER_JOIN, FaultKind.ROSTER_LEAVE, FaultKind.SAME_PAGE})


class _Refused(Exception):
    """The request is not as every request must be."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Desk:
    """What the endpoints share."""

    clock: Clock
    settings: ServerSettings
    switchboard: Switchboard
    tokens: TokenDesk
    voice: Voice
    locks: UrlLocks
    received: Received
    changes: "Changes"
    stopping: asyncio.Event


class Changes:
    """Wakes those who wait for a change of the switchboard; it may be changed in another thread."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._loop = asyncio.get_running_loop()
        self._switchboard = switchboard
        self._next = asyncio.Event()
        self.close = switchboard.listen(self._wake)
        """Stop listening."""

    async def after(self, label: Label, generation: int) -> None:
        """Returns when the endpoint's faults are no longer those of that generation."""
        while self._switchboard.generation(label) == generation:
            await self._next.wait()

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._pulse)

    def _pulse(self) -> None:
        self._next.set()
        self._next = asyncio.Event()


class Endpoint:
    """An ASGI application for one path."""

    def __init__(self, path: str, desk: Desk) -> None:
        self._path = path
        self._labels = ROUTES[path]
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        desk, request = self._desk, Request(scope, receive)
        label = self._labels.get(request.method)
        generation = desk.switchboard.generation(label) if label else 0
        fault = None
        try:
            body = await _body(request)
            if label is None:
                raise _Refused(wrong_method(", ".join(self._labels)))
            fault = self._fault(label, request)
            reply = self._reply(label, request, body, fault)
        except _Refused as refused:
            reply = refused.reply

        async def cleared() -> None:
            if label is not None:
                await desk.changes.after(label, generation)

        exchange = Exchange(scope, receive, send, desk.clock, desk.stopping, cleared)
        await exchange.deliver(spoilt(reply, fault) if fault else reply, fault)

    def _fault(self, label: Label, request: Request) -> Fault | None:
        """The fault that hits this request; those between two pages leave a listing's first page alone."""
        first_page = request.query_params.get("from", "0") == "0"
        fault = self._desk.switchboard.take(label, lambda f: not (first_page and f.kind in _BETWEEN_PAGES))
        clock = self._desk.clock
        kind = fault.kind if fault else None
        self._desk.received.note(label, ReceivedRequest(clock.now_ms(), clock.monotonic(), kind))
        return fault

    def _reply(self, label: Label, request: Request, body: bytes, fault: Fault | None) -> Reply:
        url = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        if len(url) > self._desk.settings.longest_url:
            raise _Refused(failure("The URL is too long.", http=414))
        locked = self._desk.locks.refusal(self._path)
        if locked is not None:
            return locked
        if fault is not None:
            if fault.kind is FaultKind.EXPIRED_TOKEN:
                self._desk.tokens.kill(request.headers.get("authorization", "").partition(" ")[2])
            replaced = instead(fault)
            if replaced is not None:
                return replaced
        if label is Label.TOKEN:
            return self._desk.tokens.answer(token_parameters(request, body))
        return self._voice_reply(label, request, body, fault)

    def _voice_reply(self, label: Label, request: Request, body: bytes, fault: Fault | None) -> Reply:
        caller = self._desk.tokens.caller(request.headers.get("authorization", ""))
        if caller is None:
            raise _Refused(unauthorized())
        if not caller.may(SCOPES[label]):
            raise _Refused(scope_missing())
        _check_accept(request)
        parameters = _form(request, body) if request.method == "PUT" else _query(request)
        return self._desk.voice.answer(Asked(label, caller, parameters, fault.kind if fault else None))


def wrong_method(allowed: str) -> Reply:
    """405 with the documented text for a wrong URL."""
    return Reply(405, wrong_url().payload, headers=(("Allow", allowed),))


def token_parameters(request: Request, body: bytes) -> dict[str, str]:
    """Parameters of the token endpoint: query string as in Zoho's samples, or form body."""
    return dict(_query(request)) | (dict(_pairs(body)) if _is_form(request) else {})


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise _Refused(failure("The body is too large.", http=413))
    return body


def _query(request: Request) -> Parameters:
    return _pairs(request.scope["query_string"])


def _pairs(text: bytes) -> Parameters:
    return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM


def _form(request: Request, body: bytes) -> Parameters:
    """Writes are form bodies, never JSON, and have nothing in the query (N-PUT1, N-PUTM)."""
    if not _is_form(request):
        raise _Refused(failure(f"The body must be {_FORM}.", http=400))
    if request.scope["query_string"]:
        raise _Refused(failure("Parameters belong in the body.", http=400))
    return _pairs(body)


def _check_accept(request: Request) -> None:
    """Every page has `Accept: application/json`; a wildcard says that as well."""
    ranges = {part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")}
    if ranges.isdisjoint({"application/json", "application/*", "*/*"}):
        raise _Refused(failure("The Accept header must allow application/json.", http=406))
