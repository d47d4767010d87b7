"""Who wants to know how the calls go."""

from typing import Protocol

from exporter.zoho.credits import Credits
from exporter.zoho.endpoints import Endpoint


class ApiObserver(Protocol):
    """Told of each request and token; implemented by the metrics. None of it may raise."""

    def request_done(self, endpoint: Endpoint, code: int, seconds: float) -> None:
        """A response came whole, whatever it said; `code` is its HTTP status."""
        ...

    def request_failed(self, endpoint: Endpoint, reason: str, seconds: float) -> None:
        """No whole response came; `reason` is one of `exporter.zoho.errors.REASONS`."""
        ...

    def credits_told(self, told: Credits) -> None:
        """A response told how many requests are left."""
        ...

    def rate_limited(self, endpoint: Endpoint, until_ms: int) -> None:
        """Zoho throttled: the endpoint is left alone until `until_ms` (wall clock, UTC milliseconds)."""
        ...

    def token_refreshed(self, expires_at_ms: int) -> None:
        """A new access token came; it expires at `expires_at_ms` (wall clock, UTC milliseconds)."""
        ...

    def token_refresh_failed(self, reason: str) -> None:
        """A refresh was tried and brought no token."""
        ...


class SilentObserver:
    """Does not care."""

    def request_done(self, endpoint: Endpoint, code: int, seconds: float) -> None:
        pass

    def request_failed(self, endpoint: Endpoint, reason: str, seconds: float) -> None:
        pass

    def credits_told(self, told: Credits) -> None:
        pass

    def rate_limited(self, endpoint: Endpoint, until_ms: int) -> None:
        pass

    def token_refreshed(self, expires_at_ms: int) -> None:
        pass

    def token_refresh_failed(self, reason: str) -> None:
        pass
