"""What the token endpoint answers, and the two calls of it that are made by hand."""

import asyncio
import json
from collections.abc import Callable

import pytest

from exporter.clock import SystemClock
from exporter.errors import ExporterError
from exporter.secret import Secret
from exporter.settings import ApiSettings
from exporter.zoho.answers import Answer, Throttled
from exporter.zoho.errors import (
    ApiError,
    ClientError,
    NotDecodable,
    RateLimited,
    Redirected,
    RefreshRefused,
    ServerError,
    WrongSchema,
)
from exporter.zoho.grants import Grant, read_grant
from exporter.zoho.oauth import exchange_code, revoke
from exporter.zoho.session import open_transport
from exporter.zoho.transport import Transport
from tests.support.http_script import Handler, Request, scripted_server
from tests.support.zoho import CLIENT_SECRET, REFRESH_TOKEN, Noted, answers, failure, soon

NOW = 1_700_000_000_000


def grant(body: object, status: int = 200, **headers: str) -> Grant | Throttled:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_grant(Answer(status, headers, data), NOW, (Secret(CLIENT_SECRET),))


@pytest.mark.parametrize(
    ("life", "seconds"),
    [
        ({"expires_in": 3600}, 3_600),
        ({"expires_in": "1800"}, 1_800),
        ({"expires_in": 1.8e3}, 1_800),
        ({"expires_in": 3_600_000, "expires_in_sec": 3_600}, 3_600),
        ({"expires_in": 3_600_000}, 3_600),
        ({"expires_in": 1e308}, 3_600),
        ({"expires_in": 0}, 3_600),
        ({"expires_in": -5}, 3_600),
        ({"expires_in": True}, 3_600),
        ({"expires_in": "soon"}, 3_600),
        ({"expires_in": None}, 3_600),
        ({}, 3_600),
    ],
)
def test_the_life_of_a_token_is_an_hour_at_most_whatever_is_said(life: dict[str, object], seconds: int) -> None:
    assert grant({"access_token": "1000.a", **life}) == Grant(Secret("1000.a"), seconds, None, "")


@pytest.mark.parametrize(
    "body",
    [
        {"error": "Access Denied", "error_description": "You have made too many requests continuously."},
        {"error": "访问被拒绝", "error_description": "您连续发出的请求过多。", "status": "failure"},
        {"status": "failure"},
        {"status": "Failure", "error": "x"},
    ],
)
@pytest.mark.parametrize("status", [200, 400, 429])
def test_too_many_refreshes_are_recognised_in_any_language(body: dict[str, str], status: int) -> None:
    assert grant(body, status) == Throttled(600.0)


def test_the_token_endpoint_may_state_its_own_time() -> None:
    assert grant({"status": "failure"}, **{"retry-after": "1200"}) == Throttled(1_200.0)
    assert grant(b"", 429, **{"retry-after": "30"}) == Throttled(30.0)


@pytest.mark.parametrize(
    ("body", "status", "kind", "text"),
    [
        ({"error": "invalid_code"}, 200, RefreshRefused, "'invalid_code': the refresh token .* is wrong, revoked"),
        ({"error": "invalid_client"}, 200, RefreshRefused, "--auth.client-id is not known at --api.accounts-url"),
        ({"error": "invalid_client_secret"}, 400, RefreshRefused, "check --auth.client-secret-file"),
        ({"error": "general_error"}, 200, RefreshRefused, "'general_error': check client id"),
        ({"error": f"bad {CLIENT_SECRET}"}, 401, RefreshRefused, "'bad <secret>'"),
        ({"error": "internal"}, 500, ServerError, "HTTP 500"),
        (b"<html>", 200, NotDecodable, "no JSON"),
        (b"", 204, NotDecodable, "an empty body"),
        (b"<html>", 404, ClientError, "HTTP 404"),
        ({}, 200, WrongSchema, "no access token"),
        ([], 200, WrongSchema, "no access token"),
        ({"access_token": 5}, 200, WrongSchema, "no access token"),
        ({"access_token": "a\r\nX: y"}, 200, WrongSchema, "no access token"),
        ({"access_token": "é"}, 200, WrongSchema, "no access token"),
        ({"access_token": ""}, 200, WrongSchema, "no access token"),
        ({"access_token": "1000.a"}, 302, Redirected, "redirect"),
        ({"access_token": "1000.a"}, 500, ServerError, "HTTP 500"),
    ],
)
def test_no_access_token_is_a_failure_whatever_the_http_status(
    body: object, status: int, kind: type[ApiError], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        grant(body, status)
    assert CLIENT_SECRET not in str(caught.value)


# --- by hand --------------------------------------------------------------------------------------------------------


def by_hand(handler: Handler, action: Callable[[Transport], object]) -> tuple[object, Request]:
    async def go() -> tuple[object, Request]:
        async with scripted_server(handler) as server:
            settings = ApiSettings(url=server.url, accounts_url=server.url)
            async with open_transport(settings, clock=SystemClock(), observer=Noted(), version="1") as transport:
                result = await action(transport)  # type: ignore[misc]  # an action of a test
                return result, server.requests[0]

    return asyncio.run(go())


def exchange(handler: Handler) -> tuple[object, Request]:
    return by_hand(
        handler,
        lambda transport: exchange_code(
            transport,
            SystemClock(),
            client_id="1000.client",
            client_secret=Secret(CLIENT_SECRET),
            code=Secret("1000.code"),
            deadline=soon(),
        ),
    )


def test_a_grant_code_is_turned_into_a_refresh_token() -> None:
    body = {"access_token": "1000.a", "refresh_token": "1000.r", "expires_in": 3600, "scope": "ZohoVoice.agents.READ"}
    result, request = exchange(answers(body))
    assert result == Grant(Secret("1000.a"), 3_600, Secret("1000.r"), "ZohoVoice.agents.READ")
    assert (request.method, request.target) == ("POST", "/oauth/v2/token")
    assert request.form == {
        "grant_type": "authorization_code",
        "client_id": "1000.client",
        "client_secret": CLIENT_SECRET,
        "code": "1000.code",
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [({"error": "invalid_code"}, RefreshRefused), ({"access_token": "1000.a"}, RefreshRefused),
     ({"status": "failure"}, RateLimited)],
)  # fmt: skip
def test_a_grant_code_that_brings_no_refresh_token_is_an_error(body: object, kind: type[ExporterError]) -> None:
    with pytest.raises(kind):
        exchange(answers(body))


def revoked(handler: Handler) -> tuple[object, Request]:
    return by_hand(
        handler,
        lambda transport: revoke(transport, SystemClock(), refresh_token=Secret(REFRESH_TOKEN), deadline=soon()),
    )


def test_a_refresh_token_is_revoked_by_its_body_not_its_url() -> None:
    _, request = revoked(answers({"status": "success"}))
    assert (request.method, request.target) == ("POST", "/oauth/v2/token/revoke")
    assert request.form == {"token": REFRESH_TOKEN}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [({"error": "invalid_token"}, 200, RefreshRefused), (failure(), 500, ServerError), (b"", 404, ClientError),
     ({"status": "failure"}, 200, RateLimited)],
)  # fmt: skip
def test_a_revocation_that_fails_is_an_error(body: object, status: int, kind: type[ExporterError]) -> None:
    with pytest.raises(kind):
        revoked(answers(body, status))
