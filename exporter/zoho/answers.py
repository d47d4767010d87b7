"""What an answer is, judged by HTTP status, envelope and code together, since no page tells the HTTP status of a body.

Pure: bytes to values or errors. Nothing in an answer is trusted: not its size, depth, encoding, nor its types.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from exporter.model import storable
from exporter.secret import MASK, Secret, spellings, without_secret
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import (
    ApiError,
    ClientError,
    NotDecodable,
    Redirected,
    Refused,
    ScopeMissing,
    ServerError,
    WrongSchema,
)
from exporter.zoho.throttle import texts, throttle_seconds

_TOKEN_MARKS: Final = frozenset(("ZVT0052", "INVALID_TOKEN", "INVALID_OAUTHTOKEN"))
_SCOPE_MARKS: Final = frozenset(("OAUTH_SCOPE_MISMATCH", "SCOPE_MISMATCH", "INVALID_OAUTHSCOPE"))
_LONGEST_QUOTE: Final = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that came whole. `headers` are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def without_echo(answer: Answer, token: Secret) -> Answer:
    """`answer` without the access token that was sent: one that echoes the request, in a name or a status perhaps,
    must not bring it into metrics and history.
    """
    body = answer.body
    for form in sorted(spellings(token), key=len, reverse=True):
        body = body.replace(form.encode(), MASK.encode())
    return answer if body is answer.body else replace(answer, body=body)


@dataclass(frozen=True, slots=True)
class Throttled:
    """The answer is a throttle: leave the URL alone for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The answer refuses the access token, which another one may heal."""


def decoded(body: bytes) -> object:
    """The JSON value of `body`. Raises ValueError for anything else, also for NaN, and for nesting beyond reason."""
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def decoded_or_none(body: bytes) -> object:
    """The JSON value of `body`, or None."""
    try:
        return decoded(body)
    except ValueError:
        return None


def judged(
    endpoint: Endpoint, answer: Answer, now_ms: int, secrets: tuple[Secret, ...] = (), *, rows_key: str = ""
) -> dict[str, object] | Throttled | TokenRefused:
    """The body of a success envelope, or what else the answer says that the caller can do something about.

    With `rows_key`, a body that has that key is returned whatever its envelope says: the answer of "set many" has
    useful rows under a top-level ERROR (N-PUTM). `secrets` are masked where an error quotes the answer.
    Raises Redirected, ScopeMissing, ClientError, ServerError, NotDecodable, WrongSchema, Refused.
    """
    status = answer.status
    body = decoded_or_none(answer.body)
    if status == 200 and isinstance(body, dict) and _succeeds(body):
        return body
    if 300 <= status < 400:
        raise Redirected(
            f"{endpoint.purpose}: Zoho answered with a redirect (HTTP {status}), which is not followed because the "
            "token would go with it; check --api.url",
            endpoint,
        )
    seconds = throttle_seconds(status, answer.headers, body, now_ms)
    if seconds is not None:
        return Throttled(seconds)
    if isinstance(body, dict) and rows_key and isinstance(body.get(rows_key), list | dict) and status != 401:
        return body
    marks = {text.strip().upper() for text in texts(body)}
    if marks & _SCOPE_MARKS:
        raise scope_missing(endpoint)
    if status == 401 or marks & _TOKEN_MARKS:
        return TokenRefused()
    if status >= 400:
        raise http_error(endpoint, status, body, secrets)
    return _envelope(endpoint, answer, body, secrets)


def _succeeds(body: dict[str, object]) -> bool:
    status = body.get("status")
    code = body.get("code")
    return isinstance(status, str) and status.upper() == "SUCCESS" and (code == "200" or _is_int(code, 200))


def _is_int(value: object, wanted: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value == wanted


def scope_missing(endpoint: Endpoint) -> ScopeMissing:
    """The error for a token without the endpoint's scope; names every scope that a page of the documentation gives."""
    scopes = " (or, as another page of the documentation has it, ".join(endpoint.scopes)
    return ScopeMissing(
        f"{endpoint.purpose}: the access token lacks the scope; make a refresh token with the scope "
        f"{scopes}{')' * (len(endpoint.scopes) - 1)}",
        endpoint,
    )


def http_error(endpoint: Endpoint, status: int, body: object, secrets: tuple[Secret, ...]) -> ApiError:
    """The error for an HTTP status of 400 and above."""
    said = quoted(body, secrets)
    if status >= 500:
        return ServerError(f"{endpoint.purpose}: Zoho failed with HTTP {status}{said}; it is tried again", endpoint)
    return ClientError(
        f"{endpoint.purpose}: Zoho refused the request with HTTP {status}{said}; check --api.url and the token's user",
        endpoint,
    )


def _envelope(endpoint: Endpoint, answer: Answer, body: object, secrets: tuple[Secret, ...]) -> dict[str, object]:
    if body is None:
        raise not_decodable(endpoint, answer)
    if not isinstance(body, dict):
        raise wrong_schema(endpoint, "the answer is no JSON object")
    status, code = body.get("status"), body.get("code")
    if not isinstance(status, str) or not isinstance(code, str | int) or isinstance(code, bool):
        raise wrong_schema(endpoint, "the answer has no `status` and `code`")
    if _succeeds(body):
        return body
    raise Refused(
        f"{endpoint.purpose}: Zoho answered with an error{quoted(body, secrets)}; "
        "check that the token's user is an agent and may do this",
        endpoint,
        masked(str(code), secrets),
        masked(said if isinstance(said := body.get("message"), str) else "", secrets),
    )


def not_decodable(endpoint: Endpoint, answer: Answer) -> NotDecodable:
    """The error for a body that is no JSON; the body is not quoted, it may be a page with anything in it."""
    what = f"{len(answer.body)} bytes that are no JSON" if answer.body else "an empty body"
    return NotDecodable(
        f"{endpoint.purpose}: Zoho answered HTTP {answer.status} with {what}; "
        "check --api.url and what stands between here and Zoho",
        endpoint,
    )


def wrong_schema(endpoint: Endpoint, what: str) -> WrongSchema:
    """The error for JSON that is not of the documented shape; `what` quotes no value of the answer."""
    return WrongSchema(
        f"{endpoint.purpose}: {what}, which is not what Zoho documents; nothing of it is used, report it if it lasts",
        endpoint,
    )


def quoted(body: object, secrets: tuple[Secret, ...]) -> str:
    """` (CODE: message)` of an error body, bounded and without secrets; "" when it has neither."""
    words = list(dict.fromkeys(texts(body)))[:3]
    return f" ({masked(': '.join(words), secrets)})" if words else ""


def masked(text: str, secrets: tuple[Secret, ...]) -> str:
    """Foreign text made fit to be shown: without `secrets`, storable and bounded."""
    # Before it is cut: half a secret is a secret too.
    for secret in secrets:
        text = without_secret(text, secret)
    return storable(text)[:_LONGEST_QUOTE]
