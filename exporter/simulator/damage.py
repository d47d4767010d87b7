"""Faults that are a matter of content: what is answered instead of the truth, and how a true answer is spoilt. Pure."""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from exporter.model import KNOWN_STATUSES
from exporter.simulator.kinds import Fault, FaultKind, variant_of
from exporter.simulator.replies import (
    Payload,
    Reply,
    Row,
    access_denied,
    failure,
    page,
    scope_missing,
    throttled,
    token_error,
    unauthorized,
)

HOSTILE_WORDS: Final = (
    "Lunch",
    "",
    'Quo"te \\ back',
    "line one\nline two",
    "lone \ud800 surrogate",
    "</script><b>bold</b>",
    "'; DROP TABLE agents; --",
    "In a meeting ☕ 会議中",
    "x" * 5_000,
    "nul\x00 and bell\x07",
    "{status=\"Available\"} 1",
    "unknown",
)  # fmt: skip
"""Status words that Zoho may one day send, and some that try to break what shows them."""

_ROW_KEYS: Final = ("onlineStatus", "overrideOnlineStatus", "users")
_ID_KEYS: Final = ("agentId", "userid", "departmentId")


def _unauthorized(fault: Fault) -> Reply:
    message = "The access token is invalid."
    shapes = {
        "voice": unauthorized(),
        "crm": Reply(401, {"code": "INVALID_TOKEN", "details": {}, "message": message, "status": "error"}),
        "projects": Reply(401, {"error": {"status_code": "401", "title": "INVALID_OAUTHTOKEN",
                                          "details": [{"message": message}]}}),
        "mail": Reply(401, {"data": {"errorCode": "INVALID_OAUTHTOKEN"}, "status": {"code": 401}}),
        "html": page("401 Unauthorized", http=401),
    }  # fmt: skip
    return shapes[variant_of(fault)]


def _server_error(fault: Fault) -> Reply:
    headers = [("Retry-After", str(fault.retry_after))] if fault.retry_after else []
    return page("Service unavailable", http=fault.status or 500, headers=headers)


def _throttled(fault: Fault) -> Reply:
    return throttled(fault.kind.value, fault.retry_after)


_INSTEAD: Final[Mapping[FaultKind, Callable[[Fault], Reply]]] = {
    FaultKind.UNAUTHORIZED: _unauthorized,
    FaultKind.EXPIRED_TOKEN: lambda _: unauthorized(),
    FaultKind.SCOPE_MISSING: lambda _: scope_missing(),
    FaultKind.REFUSED_REFRESH: lambda fault: token_error(fault.text or "invalid_code"),
    FaultKind.ACCESS_TOKEN_LIMIT: lambda fault: access_denied(
        http=fault.status or 200, chinese=variant_of(fault) == "chinese"
    ),
    FaultKind.THROTTLE_429: _throttled,
    FaultKind.THROTTLE_400: _throttled,
    FaultKind.THROTTLE_200: _throttled,
    FaultKind.THROTTLE_CLIQ: _throttled,
    FaultKind.SERVER_ERROR: _server_error,
    FaultKind.CLIENT_ERROR: lambda fault: failure(fault.text or "Bad request.", http=fault.status or 400),
    FaultKind.ERROR_ENVELOPE: lambda fault: failure(fault.text or "Invalid agent.", http=200),
    FaultKind.NOT_JSON: lambda fault: Reply(200, body=(fault.text or '{"code":"200","status":').encode()),
    FaultKind.HTML: lambda _: page("Sign in", http=200),
    FaultKind.EMPTY: lambda _: Reply(200, body=b""),
    FaultKind.NO_CONTENT: lambda _: Reply(204, body=b""),
    FaultKind.REDIRECT: lambda fault: Reply(fault.status or 302, body=b"", headers=(("Location", fault.url),)),
}


def instead(fault: Fault) -> Reply | None:
    """What is answered in place of the truth; the request then has no effect. None for every other kind of fault."""
    make = _INSTEAD.get(fault.kind)
    return make(fault) if make else None


def spoilt(reply: Reply, fault: Fault) -> Reply:
    """A true answer, spoilt as the fault says; the answer itself for faults that are no matter of content."""
    spoil = _SPOIL.get(fault.kind)
    if spoil is None or not isinstance(reply.payload, dict) or reply.status != 200:
        return reply
    return replace(reply, payload=spoil(copy.deepcopy(reply.payload), fault))


def _with_rows(change: Callable[[list[Row], Fault], list[Row]]) -> Callable[[Payload, Fault], object]:
    """A fault that changes rows; a single object (own status) counts as one row."""

    def spoil(payload: Payload, fault: Fault) -> object:
        for key in _ROW_KEYS:
            found = payload.get(key)
            if isinstance(found, list):
                payload[key] = change(found, fault)
            elif isinstance(found, dict):
                rows = change([found], fault)
                payload[key] = rows[0] if len(rows) == 1 else rows
        return payload

    return spoil


def _hit(rows: Sequence[Row], fault: Fault) -> list[int]:
    """The rows that the fault is about: those of `agent`, else the first `count` that belong to an agent."""
    of_agents = [index for index, row in enumerate(rows) if row.get("agentId")]
    if fault.agent:
        return [index for index in of_agents if rows[index]["agentId"] == fault.agent]
    return of_agents[: fault.count or 1]


def _missing(rows: list[Row], fault: Fault) -> list[Row]:
    hit = set(_hit(rows, fault))
    return [row for index, row in enumerate(rows) if index not in hit]


def _errors(rows: list[Row], fault: Fault) -> list[Row]:
    for index in _hit(rows, fault):
        if "status" in rows[index] and "onlineStatus" not in rows[index]:
            rows[index] = {"agentId": rows[index]["agentId"], "status": "error", "message": "Invalid agent."}
        else:
            rows[index] = {"agentId": rows[index]["agentId"], "error": "Invalid agent."}
    return rows


def _duplicates(rows: list[Row], fault: Fault) -> list[Row]:
    again = [dict(rows[index]) for index in _hit(rows, fault)]
    if variant_of(fault) == "contradicting":
        for row in again:
            row["onlineStatus"] = next(s.word for s in KNOWN_STATUSES if s.word != row.get("onlineStatus"))
    return rows + again


def _unknown_status(rows: list[Row], fault: Fault) -> list[Row]:
    words: Iterator[str] = itertools.repeat(fault.text) if fault.text else itertools.cycle(HOSTILE_WORDS)
    for index in _hit(rows, fault):
        rows[index]["onlineStatus"] = next(words)
    return rows


def _numeric_ids(rows: list[Row], _: Fault) -> list[Row]:
    for row in rows:
        for key in _ID_KEYS:
            if str(row.get(key, "")).isdecimal():
                row[key] = int(str(row[key]))
    return rows


def _wrong_total(payload: Payload, fault: Fault) -> object:
    meta = payload.get("meta")
    if isinstance(meta, dict):
        meta["total"] += fault.delta or 1
    return payload


def _wrong_types(payload: Payload, fault: Fault) -> object:
    variant = variant_of(fault)
    if variant == "list":
        return [payload]
    key = next((key for key in _ROW_KEYS if key in payload), None)
    if key is None:  # the token endpoint, or a write that answers no rows
        return {name: [value] for name, value in payload.items()}
    if variant == "payload":
        payload[key] = "Available"
    elif variant == "rows":
        payload[key] = [None, 7, "Available", ["agentId"], True]
    else:
        return _with_rows(_wrong_fields)(payload, fault)
    return payload


def _wrong_fields(rows: list[Row], _: Fault) -> list[Row]:
    return [{name: {"value": None} for name in row} for row in rows]


_SPOIL: Final[Mapping[FaultKind, Callable[[Payload, Fault], object]]] = {
    FaultKind.MISSING_ROWS: _with_rows(_missing),
    FaultKind.ERROR_ROWS: _with_rows(_errors),
    FaultKind.DUPLICATE_ROWS: _with_rows(_duplicates),
    FaultKind.UNKNOWN_STATUS: _with_rows(_unknown_status),
    FaultKind.NUMERIC_IDS: _with_rows(_numeric_ids),
    FaultKind.WRONG_TOTAL: _wrong_total,
    FaultKind.WRONG_TYPES: _wrong_types,
}
