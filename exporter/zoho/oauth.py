"""Access tokens: where they come from, how long one is used, and what happens when one is refused."""

import asyncio
import hashlib
import logging
from pathlib import Path
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.errors import UsageError
from exporter.secret import Secret
from exporter.textfile import content
from exporter.zoho.answers import Throttled
from exporter.zoho.endpoints import REVOKE_PATH, Endpoint
from exporter.zoho.errors import ApiError, ConnectFailed, RateLimited, RefreshRefused, RequestTimeout
from exporter.zoho.gate import Gate
from exporter.zoho.grants import Grant, read_grant, read_revocation
from exporter.zoho.memory import REFRESH_WINDOW_MS, AccessToken, Memory, is_token
from exporter.zoho.observer import ApiObserver
from exporter.zoho.throttle import LONGEST_LOCK_S
from exporter.zoho.transport import Transport

MOST_REFRESHES: Final = 5
"""In ten minutes, restarts included: half of what Zoho allows, so that a command by hand still works."""

_EARLY_MS: Final = 120_000
"""How long before its end a token is replaced."""
_REFUSED_WAIT_S: Final = 60.0
_FAILED_WAIT_S: Final = 5.0
_UNSENT_WAIT_S: Final = 60.0
_LONGEST_WAIT_S: Final = 600.0

_log = logging.getLogger(__name__)


class TokenSource(Protocol):
    """Where the client gets its access token."""

    async def token(self, deadline: float) -> Secret:
        """A token to be used now; `deadline` is monotonic. Raises ApiError when there is none."""
        ...

    async def rejected(self, token: Secret, endpoint: Endpoint) -> None:
        """An endpoint refused `token`. When `token()` gives the same one again, there is no better one for now."""
        ...

    def accepted(self, token: Secret, endpoint: Endpoint) -> None:
        """An endpoint accepted `token`."""
        ...

    async def close(self) -> None:
        """End what runs in the background."""
        ...


class ReadyToken:
    """A token that was given; nothing can be done when it is over."""

    def __init__(self, token: Secret) -> None:
        text = token.reveal().strip()
        if not is_token(text):
            raise UsageError("the access token holds blanks or other characters that no token has: give the token only")
        self._token = Secret(text)

    async def token(self, deadline: float) -> Secret:
        return self._token

    async def rejected(self, token: Secret, endpoint: Endpoint) -> None:
        pass

    def accepted(self, token: Secret, endpoint: Endpoint) -> None:
        pass

    async def close(self) -> None:
        pass


class TokenFile(ReadyToken):
    """A token in a file that somebody else renews: read at each use, so a new one counts at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(self._read())

    async def token(self, deadline: float) -> Secret:
        try:
            self._token = self._read()
        except UsageError:
            # Caught while it is being replaced; the token before it may still be good.
            _log.debug("access token file cannot be used", extra={"fields": {"path": str(self._path)}})
        return self._token

    def _read(self) -> Secret:
        try:
            # It is read on the event loop, which a pipe in its place would hold.
            text = content(self._path, 10_000).decode("ascii").strip()
        except (OSError, ValueError):
            raise UsageError(f"--auth.access-token-file '{self._path}' cannot be read as text") from None
        if not is_token(text):
            raise UsageError(f"--auth.access-token-file '{self._path}' must hold one access token and nothing else")
        return Secret(text)


class RefreshedToken:
    """Tokens made from a refresh token: kept over restarts, one refresh in flight, and never too many of them."""

    def __init__(
        self,
        transport: Transport,
        gate: Gate,
        memory: Memory,
        clock: Clock,
        observer: ApiObserver,
        *,
        client_id: str,
        client_secret: Secret,
        refresh_token: Secret,
    ) -> None:
        self._transport = transport
        self._gate = gate
        self._memory = memory
        self._clock = clock
        self._observer = observer
        self._client_id = client_id
        self._secrets = (client_secret, refresh_token)
        self._refreshing: asyncio.Task[ApiError | None] | None = None
        self._failures = 0
        self._failure: ApiError | None = None
        self._not_before = 0.0
        self._refused: Secret | None = None
        # An endpoint that refuses a token of this process without ever having accepted it would refuse another too; it
        # must not cost the other endpoints theirs.
        self._minted: Secret | None = None
        self._minted_at = 0.0
        self._accepted_by: set[Endpoint] = set()
        self._refusals: dict[Endpoint, int] = {}

    async def token(self, deadline: float) -> Secret:
        held = self._memory.token
        if held is not None and self._is_good(held):
            return held.secret
        error = self._hindrance()
        if error is None:
            # While the old one is valid, half of the time is kept for what it is wanted for.
            now = self._clock.monotonic()
            error = await self._refreshed(now + (deadline - now) / 2 if self._is_valid(held) else deadline)
        held = self._memory.token
        if held is not None and self._is_valid(held):
            return held.secret  # the new one, or the old one that is still valid while no new one can be had
        if error is None:  # what came was over before it arrived; the next try makes another
            error = RequestTimeout(f"{Endpoint.TOKEN.purpose}: the token that came is over already", Endpoint.TOKEN)
        raise error.with_traceback(None)

    def _is_good(self, held: AccessToken) -> bool:
        early = min(_EARLY_MS, (held.expires_at - held.minted_at) // 4)
        return held.secret != self._refused and self._clock.now_ms() < held.expires_at - early

    def _is_valid(self, held: AccessToken | None) -> bool:
        return held is not None and held.secret != self._refused and self._clock.now_ms() < held.expires_at

    async def rejected(self, token: Secret, endpoint: Endpoint) -> None:
        held = self._memory.token
        if held is None or held.secret != token or token == self._refused:
            return
        if token == self._minted and endpoint not in self._accepted_by:
            refusals = self._refusals.get(endpoint, 0)
            wait = min(_REFUSED_WAIT_S * 2.0 ** min(refusals, 10), _LONGEST_WAIT_S)
            if self._clock.monotonic() < self._minted_at + wait:
                return
            self._refusals[endpoint] = refusals + 1
        self._refused = token

    def accepted(self, token: Secret, endpoint: Endpoint) -> None:
        if token == self._minted:
            self._accepted_by.add(endpoint)
            self._refusals.pop(endpoint, None)

    async def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    def _hindrance(self) -> ApiError | None:
        """Why no refresh may be asked for now."""
        if self._refreshing is not None:
            return None
        self._memory.reload()
        held = self._memory.token
        if held is not None and self._is_good(held):
            return None  # another process has refreshed it
        try:
            self._gate.check(Endpoint.TOKEN)
        except RateLimited as error:
            return error
        if self._clock.monotonic() < self._not_before:
            return self._failure
        now = self._clock.now_ms()
        recent = self._memory.recent_refreshes(now)
        if len(recent) < MOST_REFRESHES:
            return None
        until = recent[-MOST_REFRESHES] + REFRESH_WINDOW_MS
        return RateLimited(
            f"{Endpoint.TOKEN.purpose}: {len(recent)} were asked for in ten minutes and more would lock the account; "
            f"the next one is asked for in {-(-(until - now) // 1_000)} s; see what is logged before this",
            Endpoint.TOKEN,
            until,
        )

    async def _refreshed(self, deadline: float) -> ApiError | None:
        """Start a refresh or join the one in flight. Cancelling the caller does not cancel the refresh."""
        held = self._memory.token
        if self._refreshing is None and held is not None and self._is_good(held):
            return None
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._ended)
        task = self._refreshing
        done, _ = await asyncio.wait([task], timeout=max(0.0, deadline - self._clock.monotonic()))
        if not done or task.cancelled():
            return RequestTimeout(
                f"{Endpoint.TOKEN.purpose}: no answer in time; check the network and --api.accounts-url", Endpoint.TOKEN
            )
        return task.result()

    def _ended(self, task: asyncio.Task[ApiError | None]) -> None:
        self._refreshing = None

    async def _refresh(self) -> ApiError | None:
        # Noted before it is sent: a crash in between must count as a refresh too.
        asked_at = self._clock.now_ms()
        self._memory.remember_refresh(asked_at)
        try:
            grant = await self._ask()
        except ApiError as error:
            if isinstance(error, ConnectFailed) and not error.sent:
                self._memory.forget_refresh(asked_at)
            self._note_failure(error)
            return error
        expires_at = asked_at + grant.expires_in_s * 1_000
        self._memory.remember_token(AccessToken(grant.access_token, asked_at, expires_at))
        self._note_success(grant, expires_at)
        return None

    async def _ask(self) -> Grant:
        secret, refresh_token = self._secrets
        form = {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            "client_secret": secret.reveal(),
            "refresh_token": refresh_token.reveal(),
        }
        answer = await self._transport.send(Endpoint.TOKEN, self._clock.monotonic() + LONGEST_LOCK_S, form=form)
        grant = read_grant(answer, self._clock.now_ms(), self._secrets)
        if isinstance(grant, Throttled):
            raise self._gate.shut(Endpoint.TOKEN, grant.seconds)
        return grant

    def _note_failure(self, error: ApiError) -> None:
        self._observer.token_refresh_failed(error.reason)
        first, most = _FAILED_WAIT_S, _LONGEST_WAIT_S
        if isinstance(error, RefreshRefused):
            first = _REFUSED_WAIT_S
        elif isinstance(error, ConnectFailed) and not error.sent:
            most = _UNSENT_WAIT_S
        wait = min(first * 2.0 ** min(self._failures, 10), most)
        _log.log(
            logging.DEBUG if self._failures else logging.WARNING,
            "access token not refreshed",
            extra={"fields": {"reason": error.reason, "next_try_seconds": round(wait), "error": str(error)}},
        )
        self._failures += 1
        self._failure = error
        self._not_before = self._clock.monotonic() + wait

    def _note_success(self, grant: Grant, expires_at: int) -> None:
        self._observer.token_refreshed(expires_at)
        _log.info("access token refreshed", extra={"fields": {"expires_in_seconds": grant.expires_in_s}})
        self._failures = 0
        self._failure = None
        self._not_before = 0.0
        self._refused = None
        self._minted = grant.access_token
        self._minted_at = self._clock.monotonic()
        self._accepted_by = set()


async def exchange_code(
    transport: Transport, clock: Clock, *, client_id: str, client_secret: Secret, code: Secret, deadline: float
) -> Grant:
    """Turn a self client's grant code into tokens. Raises ApiError; a code works once and for some minutes only."""
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "client_secret": client_secret.reveal(),
        "code": code.reveal(),
    }
    answer = await transport.send(Endpoint.TOKEN, deadline, form=form)
    grant = read_grant(answer, clock.now_ms(), (client_secret, code))
    if isinstance(grant, Throttled):
        raise _throttled_by_hand(clock, grant)
    if grant.refresh_token is None:
        raise RefreshRefused(
            f"{Endpoint.TOKEN.purpose}: Zoho gave no refresh token for the code; make the code with a self client",
            Endpoint.TOKEN,
            "no_refresh_token",
        )
    return grant


async def revoke(transport: Transport, clock: Clock, *, refresh_token: Secret, deadline: float) -> None:
    """Make a refresh token, and the access tokens made from it, invalid. Raises ApiError."""
    form = {"token": refresh_token.reveal()}
    answer = await transport.send(Endpoint.TOKEN, deadline, form=form, path=REVOKE_PATH)
    throttle = read_revocation(answer, clock.now_ms(), (refresh_token,))
    if throttle is not None:
        raise _throttled_by_hand(clock, throttle)


def _throttled_by_hand(clock: Clock, throttle: Throttled) -> RateLimited:
    return RateLimited(
        f"{Endpoint.TOKEN.purpose}: Zoho throttles; try again in {round(throttle.seconds)} s, not before",
        Endpoint.TOKEN,
        clock.now_ms() + round(throttle.seconds * 1_000),
    )


def fingerprint(accounts: str, *parts: str | Secret | None) -> str:
    """A hash that tells whether a remembered token belongs to these credentials."""
    digest = hashlib.sha256()
    for part in (accounts, *parts):
        text = part.reveal() if isinstance(part, Secret) else part or ""
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
