"""What can go wrong between this program and Zoho, by cause. The causes are a closed list: they label metrics."""

from typing import ClassVar, Final

from exporter.errors import ExporterError
from exporter.zoho.endpoints import Endpoint

REASONS: Final = (
    "timeout",
    "connect",
    "tls",
    "auth",
    "rate_limited",
    "http_4xx",
    "http_5xx",
    "redirect",
    "too_large",
    "decode",
    "schema",
    "api",
    "incomplete",
    "no_status",
)
"""The values of the label `reason`, in the order in which they are shown."""


class ApiError(ExporterError):
    """A call, or a sequence of calls, that brought nothing usable. Only the subclasses are raised."""

    reason: ClassVar[str]
    retryable: ClassVar[bool] = False
    """Whether the same request may well succeed moments later."""

    def __init__(self, message: str, endpoint: Endpoint) -> None:
        super().__init__(message)
        self.endpoint: Final = endpoint


class RequestTimeout(ApiError):
    """No complete answer within the time allowed."""

    reason = "timeout"
    retryable = True


class ConnectFailed(ApiError):
    """The connection could not be made, or broke before the answer was complete."""

    reason = "connect"
    retryable = True

    def __init__(self, message: str, endpoint: Endpoint, *, sent: bool) -> None:
        super().__init__(message, endpoint)
        self.sent: Final = sent
        """False when the request cannot have reached the server, so that the server has not counted it."""


class TlsFailed(ApiError):
    """The server's certificate or its TLS was not acceptable."""

    reason = "tls"


class AuthFailed(ApiError):
    """The access token was refused, also after one refresh where a refresh is possible."""

    reason = "auth"


class ScopeMissing(AuthFailed):
    """The token is good but lacks the scope of the endpoint; a refresh would not help."""


class RefreshRefused(AuthFailed):
    """The token endpoint refuses the credentials; `code` is its word for why."""

    def __init__(self, message: str, endpoint: Endpoint, code: str) -> None:
        super().__init__(message, endpoint)
        self.code: Final = code


class RateLimited(ApiError):
    """Zoho throttles, or would: no request goes to the endpoint until `until_ms` (wall clock, UTC milliseconds)."""

    reason = "rate_limited"

    def __init__(self, message: str, endpoint: Endpoint, until_ms: int) -> None:
        super().__init__(message, endpoint)
        self.until_ms: Final = until_ms


class BudgetSpent(RateLimited):
    """Our own limit of requests a minute leaves no room before the deadline; no request was made."""


class ClientError(ApiError):
    """HTTP status 4xx that is neither a throttle nor a refused token."""

    reason = "http_4xx"


class ServerError(ApiError):
    """HTTP status 5xx."""

    reason = "http_5xx"
    retryable = True


class Redirected(ApiError):
    """HTTP status 3xx. Redirects are not followed: the token would go with them."""

    reason = "redirect"


class TooLarge(ApiError):
    """The answer is larger than anything the API sends."""

    reason = "too_large"


class NotDecodable(ApiError):
    """The answer is no JSON: HTML, cut short, empty, or in a wrong encoding."""

    reason = "decode"
    retryable = True


class WrongSchema(ApiError):
    """The answer is JSON, but not of the documented shape."""

    reason = "schema"
    retryable = True


class Refused(ApiError):
    """An envelope that says ERROR; `code` and `said` are Zoho's own."""

    reason = "api"
    retryable = True

    def __init__(self, message: str, endpoint: Endpoint, code: str, said: str) -> None:
        super().__init__(message, endpoint)
        self.code: Final = code
        self.said: Final = said


class RosterIncomplete(ApiError):
    """The pages of the roster do not add up to the total that they state."""

    reason = "incomplete"


class NoStatus(ApiError):
    """Every chunk was answered, but no row of any carries a status: more likely a fault than the truth."""

    reason = "no_status"
