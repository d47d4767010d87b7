"""Answers as values, before they become bytes on a connection, and the envelopes that Zoho's pages document."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

JSON_TYPE: Final = "application/json;charset=UTF-8"
HTML_TYPE: Final = "text/html;charset=UTF-8"
Row = dict[str, object]
Payload = dict[str, object]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: either `payload`, to be sent as JSON, or `body` as it is."""

    status: int = 200
    payload: object = None
    body: bytes | None = None
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = field(default=())

    def encoded(self) -> bytes:
        """The bytes of the body."""
        if self.body is not None:
            return self.body
        try:
            return json.dumps(self.payload, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # a lone surrogate can travel as an escape only
            return json.dumps(self.payload, separators=(",", ":")).encode()


def success(**payload: object) -> Reply:
    """The envelope of a success; `code` is a string."""
    return Reply(200, {"code": "200", "status": "SUCCESS", **payload})


def failure(message: str, *, http: int, code: str = "500") -> Reply:
    """The envelope of an error. Which HTTP status goes with it is documented nowhere."""
    return Reply(http, {"code": code, "status": "ERROR", "message": message})


def wrong_url() -> Reply:
    """N-USER1: ZVT011."""
    return failure("Given URL is wrong.", http=404, code="ZVT011")


def unauthorized() -> Reply:
    """What Voice answers to an expired or unknown access token (seen in clients)."""
    return failure("Unauthorized access.", http=401, code="ZVT0052")


def scope_missing() -> Reply:
    """The shape of other Zoho services for a token without the scope (seen in clients)."""
    return Reply(401, {"code": "OAUTH_SCOPE_MISMATCH", "details": {}, "message": "Unauthorized", "status": "error"})


def token_error(error: str) -> Reply:
    """How the token endpoint refuses: HTTP 200 (seen in clients)."""
    return Reply(200, {"error": error})


def access_denied(*, http: int = 200, chinese: bool = False) -> Reply:
    """Too many access tokens (kaizen-43: HTTP 200; two clients saw 400). Only `status` is the same in each language."""
    error, description = (
        "Access Denied",
        ("You have made too many requests continuously. Please try again after some time."),
    )
    if chinese:
        error, description = "拒绝访问", "您连续发出的请求过多。请稍后再试。"
    return Reply(http, {"error": error, "error_description": description, "status": "failure"})


def throttled(shape: str, retry_after_s: int) -> Reply:
    """A throttle in one of the shapes that Zoho services have; 0 seconds: no time is stated."""
    if shape == "throttle-429":
        headers = (("Retry-After", str(retry_after_s)),) if retry_after_s else ()
        payload = {"code": "TOO_MANY_REQUESTS", "status": "error", "message": "Too many requests.", "details": {}}
        return Reply(429, payload, headers=headers)
    if shape == "throttle-cliq":
        message = "You have exceeded the URL throttle limits."
        return Reply(400, {"code": "request_limit_exceeded", "message": message})
    message = "Cannot execute more than 30 requests per API in 1 minutes."
    if retry_after_s:
        message += f" Try again after {-(-retry_after_s // 60)} minutes."
    error = {"status_code": 400, "title": "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED",
             "error_type": "OPERATIONAL_VALIDATION_ERROR", "details": {"message": message}}  # fmt: skip
    return Reply(200 if shape == "throttle-200" else 400, {"error": error})


def page(title: str, *, http: int, headers: Sequence[tuple[str, str]] = ()) -> Reply:
    """An HTML page, as a proxy, a load balancer or a log-in form would answer."""
    html = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Reply(http, body=html.encode(), content_type=HTML_TYPE, headers=tuple(headers))
