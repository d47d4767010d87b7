"""What the token endpoint answers. Pure.

Bad credentials come with HTTP 200 and `error`; the limit with 200 or 400 and `status: failure`, whose texts may be in
any language. No `access_token` in the body means that it failed, whatever else the body says.
"""

from dataclasses import dataclass
from typing import Final

from exporter.secret import Secret
from exporter.zoho.answers import Answer, Throttled, decoded_or_none, http_error, masked, not_decodable, wrong_schema
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import Redirected, RefreshRefused
from exporter.zoho.memory import is_token
from exporter.zoho.throttle import lock_seconds, throttle_seconds

LIFE_S: Final = 3_600
"""The life of an access token: documented, and the most that is believed; some services answer in milliseconds."""

_ADVICE: Final = {
    "invalid_code": (
        "the refresh token (or grant code) is wrong, revoked or used up; make a new one with the command auth"
    ),
    "invalid_client": "--auth.client-id is not known at --api.accounts-url; check both, each data centre has its own",
    "invalid_client_secret": "the client secret is wrong; check --auth.client-secret-file",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a grant code or refresh token was turned into. `scope` is "" where Zoho does not say it."""

    access_token: Secret
    expires_in_s: int
    refresh_token: Secret | None
    scope: str


def read_grant(answer: Answer, now_ms: int, secrets: tuple[Secret, ...]) -> Grant | Throttled:
    """The tokens of an answer of the token endpoint, or that it throttles.

    Raises Redirected, RefreshRefused, ServerError, ClientError, NotDecodable, WrongSchema.
    """
    endpoint = Endpoint.TOKEN
    body = decoded_or_none(answer.body)
    if answer.status == 200 and isinstance(body, dict) and is_token(text := body.get("access_token")):
        refresh = body.get("refresh_token")
        scope = body.get("scope")
        return Grant(
            Secret(str(text)),
            _life(body),
            Secret(str(refresh)) if is_token(refresh) else None,
            scope if isinstance(scope, str) else "",
        )
    if throttle := _throttled(answer, body, now_ms):
        return throttle
    if 300 <= answer.status < 400:
        raise Redirected(
            f"{endpoint.purpose}: the answer is a redirect (HTTP {answer.status}), which is not followed because the "
            "secrets would go with it; check --api.accounts-url",
            endpoint,
        )
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str) and answer.status < 500:
        raise _refused(error, secrets)
    if answer.status >= 400:
        raise http_error(endpoint, answer.status, body, secrets)
    if body is None:
        raise not_decodable(endpoint, answer)
    raise wrong_schema(endpoint, "the answer has no access token")


def read_revocation(answer: Answer, now_ms: int, secrets: tuple[Secret, ...]) -> Throttled | None:
    """None when the token was revoked (or was not valid any more). Raises as `read_grant` does."""
    body = decoded_or_none(answer.body)
    if throttle := _throttled(answer, body, now_ms):
        return throttle
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):
        raise _refused(error, secrets)
    if answer.status != 200:
        raise http_error(Endpoint.TOKEN, answer.status, body, secrets)
    return None


def _throttled(answer: Answer, body: object, now_ms: int) -> Throttled | None:
    if isinstance(body, dict) and (_is(body, "status", "failure") or _is(body, "error", "access denied")):
        return Throttled(lock_seconds(answer.headers, body, now_ms))
    seconds = throttle_seconds(answer.status, answer.headers, body, now_ms)
    return None if seconds is None else Throttled(seconds)


def _is(body: dict[str, object], key: str, wanted: str) -> bool:
    value = body.get(key)
    return isinstance(value, str) and value.casefold() == wanted


def _refused(error: str, secrets: tuple[Secret, ...]) -> RefreshRefused:
    code = masked(error, secrets)
    advice = _ADVICE.get(error, "check client id, client secret and refresh token")
    return RefreshRefused(f"{Endpoint.TOKEN.purpose}: Zoho refuses with '{code}': {advice}", Endpoint.TOKEN, code)


def _life(body: dict[str, object]) -> int:
    for key in ("expires_in_sec", "expires_in"):
        value = body.get(key)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            value = int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 1:
            return int(min(value, LIFE_S))
    return LIFE_S
