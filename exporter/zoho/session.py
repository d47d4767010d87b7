"""The assembly: settings in, a client that works out. The only place that makes the httpx client."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx

from exporter.clock import Clock
from exporter.errors import UsageError
from exporter.secret import Secret
from exporter.settings import ApiSettings, AuthSettings
from exporter.zoho.client import VoiceClient
from exporter.zoho.endpoints import Origins, checked_origin
from exporter.zoho.gate import Gate
from exporter.zoho.memory import Memory
from exporter.zoho.oauth import ReadyToken, RefreshedToken, TokenFile, TokenSource, fingerprint
from exporter.zoho.observer import ApiObserver
from exporter.zoho.sampler import Sampler
from exporter.zoho.throttle import Budget
from exporter.zoho.tls import trust
from exporter.zoho.transport import Transport

# Longer than the usual poll interval, so that a poll finds the connections of the one before it.
_KEEP_ALIVE_S = 90.0


@dataclass(frozen=True, slots=True)
class Session:
    """What the application calls Zoho with, as long as `open_session` is open."""

    client: VoiceClient
    tokens: TokenSource
    sampler: Sampler
    memory: Memory
    budget: Budget


def _forget(secret: Secret) -> None:
    """For callers who show nothing that a token could be in."""


@asynccontextmanager
async def open_session(
    api: ApiSettings,
    auth: AuthSettings,
    *,
    clock: Clock,
    observer: ApiObserver,
    version: str,
    remember_secret: Callable[[Secret], None] = _forget,
) -> AsyncIterator[Session]:
    """A session with Zoho Voice. Makes no request by itself.

    `remember_secret` is told each access token before it is used, so that logs can mask it.
    Raises UsageError for addresses, a proxy, certificates or credentials that cannot be used, and ExporterError when
    the token cache cannot be written.
    """
    origins = checked_origins(api)
    check_credentials(auth)
    memory = Memory.open(auth.token_cache, _fingerprint(origins, auth))
    budget = Budget(clock, api.max_requests_per_minute)
    gate = Gate(memory, budget, origins, clock, observer)
    async with _open_transport(
        api, origins, clock=clock, observer=observer, version=version, remember_secret=remember_secret
    ) as transport:
        tokens = _token_source(auth, transport, gate, memory, clock, observer)
        client = VoiceClient(transport, tokens, gate, clock)
        sampler = Sampler(client, clock, agents_per_request=api.agents_per_request, concurrency=api.concurrency)
        try:
            yield Session(client, tokens, sampler, memory, budget)
        finally:
            await tokens.close()


@asynccontextmanager
async def open_transport(
    api: ApiSettings, *, clock: Clock, observer: ApiObserver, version: str
) -> AsyncIterator[Transport]:
    """Only what `exchange_code` and `revoke` need: no credentials, no token cache. Raises UsageError."""
    async with _open_transport(api, checked_origins(api), clock=clock, observer=observer, version=version) as transport:
        yield transport


def checked_origins(api: ApiSettings) -> Origins:
    """The hosts that calls go to. Raises UsageError; see `checked_origin`."""
    return Origins(_understood("--api.url", api.url), _understood("--api.accounts-url", api.accounts_url))


def _understood(flag: str, url: str) -> str:
    origin = checked_origin(flag, url)
    try:
        httpx.URL(origin).host  # noqa: B018 - it is decoded when it is asked for
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{flag} must be an address such as https://voice.zoho.com: {url!r} names no host") from error
    return origin


@asynccontextmanager
async def _open_transport(
    api: ApiSettings,
    origins: Origins,
    *,
    clock: Clock,
    observer: ApiObserver,
    version: str,
    remember_secret: Callable[[Secret], None] = _forget,
) -> AsyncIterator[Transport]:
    # Against the simulator there is nothing to trust, and nothing is: reading the system's store takes 40 ms.
    context = trust(api.ca_file) if origins.encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_keepalive_connections=api.concurrency + 2, keepalive_expiry=_KEEP_ALIVE_S)
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # a chunk is some kB; without it a small body could not become a huge one
        "User-Agent": f"zohovoice-exporter/{version}",
    }
    # By scheme: plain http goes to this machine only, and must not show its token to a proxy.
    mounts = {"https://": httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=_proxy(api.proxy, context))}
    async with httpx.AsyncClient(
        verify=context,
        limits=limits,
        mounts=mounts,
        headers=headers,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        timeout=api.timeout_s,
        follow_redirects=False,
        trust_env=False,
    ) as http:
        yield Transport(http, clock, observer, origins, api.timeout_s, remember_secret)


def _proxy(proxy: Secret | None, context: ssl.SSLContext) -> httpx.Proxy | None:
    if not proxy:
        return None
    try:
        parts = urlsplit(proxy.reveal())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        url = httpx.URL(proxy.reveal())
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:  # not repeated, and without a cause: it may hold a password
        raise UsageError("--api.proxy must be an address such as http://proxy.example.com:3128") from None
    return httpx.Proxy(url, ssl_context=context if url.scheme == "https" else None)


def check_credentials(auth: AuthSettings) -> None:
    """Raise UsageError, which names the flags, unless there is something to ask for an access token with."""
    if auth.access_token or auth.access_token_file is not None:
        return
    missing = [
        name
        for name, value in (
            ("--auth.client-id", auth.client_id),
            ("--auth.client-secret-file", auth.client_secret),
            ("--auth.refresh-token-file", auth.refresh_token),
        )
        if not value
    ]
    if missing:
        raise UsageError(
            f"there are no credentials for Zoho Voice: give {', '.join(missing)} (or the environment variables of the "
            "same names), or a ready token with --auth.access-token-file"
        )


def _fingerprint(origins: Origins, auth: AuthSettings) -> str | None:
    if auth.access_token or auth.access_token_file is not None:
        return None
    return fingerprint(origins.accounts, auth.client_id, auth.client_secret, auth.refresh_token)


def _token_source(
    auth: AuthSettings, transport: Transport, gate: Gate, memory: Memory, clock: Clock, observer: ApiObserver
) -> TokenSource:
    if auth.access_token:
        return ReadyToken(auth.access_token)
    if auth.access_token_file is not None:
        return TokenFile(auth.access_token_file)
    return RefreshedToken(
        transport,
        gate,
        memory,
        clock,
        observer,
        client_id=auth.client_id,
        client_secret=auth.client_secret or Secret(""),
        refresh_token=auth.refresh_token or Secret(""),
    )
