"""One request, one answer: bounded in time and size, without redirects, with errors of our own."""

import asyncio
import ssl
import zlib
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlencode

import httpx

from exporter.clock import Clock
from exporter.secret import Secret
from exporter.zoho.answers import Answer, without_echo
from exporter.zoho.credits import Credits, credits_told
from exporter.zoho.endpoints import Endpoint, Origins
from exporter.zoho.errors import ApiError, ConnectFailed, NotDecodable, RequestTimeout, TlsFailed, TooLarge
from exporter.zoho.observer import ApiObserver

LARGEST_BODY: Final = 16 * 1024 * 1024
"""Bytes, after decompression. Fifty agents take about 3 kB, a page of users about 20 kB."""

_FORM: Final = "application/x-www-form-urlencoded"


class Transport:
    """Sends requests to the two origins and nowhere else."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        clock: Clock,
        observer: ApiObserver,
        origins: Origins,
        timeout_s: float,
        remember_secret: Callable[[Secret], None],
    ) -> None:
        self._http = http
        self._clock = clock
        self._observer = observer
        self._timeout_s = timeout_s
        self._remember_secret = remember_secret
        self._latest_token: Secret | None = None
        self.origins: Final = origins

    async def send(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        query: str = "",
        form: dict[str, str] | None = None,
        token: Secret | None = None,
        path: str | None = None,
    ) -> Answer:
        """The answer, whatever its status. `query` is encoded already and holds no secret: URLs are logged.

        Where the answer echoes `token`, it says `<secret>`.

        Takes until `deadline` (monotonic) or twice the time-out, whichever comes first.
        Raises RequestTimeout, ConnectFailed, TlsFailed, TooLarge, NotDecodable (for a broken compression).
        """
        if token is not None and token != self._latest_token:
            self._remember_secret(token)
            self._latest_token = token
        url = self.origins.of(endpoint) + (path or endpoint.path) + (f"?{query}" if query else "")
        headers = {} if token is None else {"Authorization": f"Zoho-oauthtoken {token.reveal()}"}
        content = None
        if form is not None:
            headers["Content-Type"] = _FORM
            content = urlencode(form)
        request = self._http.build_request(endpoint.method, url, headers=headers, content=content)
        began = self._clock.monotonic()
        bound = min(deadline - began, 2 * self._timeout_s)
        if bound <= 0:
            raise self._timed_out(endpoint)
        try:
            async with asyncio.timeout(bound):
                answer = await self._exchange(endpoint, request)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise self._failed(self._timed_out(endpoint, error), began) from error
        except httpx.LocalProtocolError:
            # h11 quotes the header it does not like, which may be the one with the token.
            raise self._failed(self._broken(endpoint, "the request was not valid HTTP"), began) from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise self._failed(self._translated(endpoint, error), began) from error
        except ApiError as error:
            self._failed(error, began)
            raise
        self._observer.request_done(endpoint, answer.status, self._clock.monotonic() - began)
        told = credits_told(answer.headers)
        if told != Credits():
            self._observer.credits_told(told)
        return answer if token is None else without_echo(answer, token)

    async def _exchange(self, endpoint: Endpoint, request: httpx.Request) -> Answer:
        response = await self._http.send(request, stream=True)
        try:
            parts = []
            size = 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > LARGEST_BODY:
                    raise _too_large(endpoint)
                parts.append(part)
        finally:
            await response.aclose()
        body = b"".join(parts)
        encoding = response.headers.get("content-encoding")
        return Answer(
            response.status_code, response.headers, body if encoding is None else _inflated(endpoint, body, encoding)
        )

    def _failed(self, error: ApiError, began: float) -> ApiError:
        self._observer.request_failed(error.endpoint, error.reason, self._clock.monotonic() - began)
        return error

    def _timed_out(self, endpoint: Endpoint, error: Exception | None = None) -> RequestTimeout:
        never_sent = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
        return RequestTimeout(
            f"{endpoint.purpose}: {self.origins.of(endpoint)} "
            f"{'could not be reached' if never_sent else 'gave no complete answer'} in time; "
            "check the network, or raise --api.timeout",
            endpoint,
        )

    def _translated(self, endpoint: Endpoint, error: Exception) -> ApiError:
        cause = next((link for link in _chain(error) if isinstance(link, ssl.SSLError)), None)
        if cause is not None:
            why = getattr(cause, "verify_message", None) or cause.reason or "handshake failed"
            return TlsFailed(
                f"{endpoint.purpose}: the TLS of {self.origins.of(endpoint)} is not trusted ({why}); behind a company "
                "proxy give its certificate with --api.ca-file",
                endpoint,
            )
        if isinstance(error, httpx.ProxyError):
            return self._broken(endpoint, "the proxy refused the connection; check --api.proxy", sent=False)
        if isinstance(error, httpx.ConnectError):
            return self._broken(endpoint, "no connection could be made; check the network and --api.url", sent=False)
        return self._broken(endpoint, "the connection broke before the answer was complete")

    def _broken(self, endpoint: Endpoint, what: str, *, sent: bool = True) -> ConnectFailed:
        return ConnectFailed(f"{endpoint.purpose} from {self.origins.of(endpoint)}: {what}", endpoint, sent=sent)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _too_large(endpoint: Endpoint) -> TooLarge:
    return TooLarge(
        f"{endpoint.purpose}: the answer is larger than {LARGEST_BODY // 1_048_576} MiB, which Zoho never sends; "
        "check --api.url and what stands between here and Zoho",
        endpoint,
    )


def _inflated(endpoint: Endpoint, body: bytes, encoding: str) -> bytes:
    """Undo a compression that was not asked for, without letting a small body become a huge one."""
    if encoding.strip().lower() == "identity":
        return body
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, told by its first bytes
    try:
        plain = inflater.decompress(body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise NotDecodable(
            f"{endpoint.purpose}: the answer is compressed in a way that was not asked for and cannot be undone; "
            "check what stands between here and Zoho",
            endpoint,
        ) from error
    if len(plain) > LARGEST_BODY:
        raise _too_large(endpoint)
    return plain
