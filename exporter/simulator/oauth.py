"""The accounts server: grant codes, refresh tokens and access tokens, with the limits that Zoho documents."""

import hashlib
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from exporter.clock import Clock
from exporter.secret import Secret
from exporter.simulator.replies import Reply, access_denied, token_error
from exporter.simulator.settings import ServerSettings

SCOPES: Final = ("ZohoVoice.agents.READ", "ZohoVoice.agents.UPDATE", "ZohoVoice.sdk.READ")
"""What the ready-made refresh tokens are good for."""
CODE_LIFETIME_S: Final = 180.0
_LIVE_TOKENS: Final = 15
"""Of one refresh token; one more kills the oldest."""
_REFRESH_TOKENS: Final = 20
"""Of one user and client; one more kills the oldest with its access tokens."""
_CODES: Final = 1_000


class User(Enum):
    """Whose token it is."""

    ADMIN = "admin"
    """Sees every agent, and is the first of them."""
    SUPERVISOR = "supervisor"
    """Sees the agents of one team, and is the second agent."""
    OUTSIDER = "outsider"
    """Is no agent: has no status of its own; sees every agent as an admin does."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client needs. They follow from the simulation's seed, so a restarted simulator still takes them."""

    client_id: str
    client_secret: Secret
    admin: Secret
    """The refresh token of an administrator."""
    supervisor: Secret
    """The refresh token of a supervisor, who sees the agents of one team only."""
    outsider: Secret
    """The refresh token of an administrator who is no agent."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands behind an access token, and what the token is good for (in lower case)."""

    user: User
    scopes: frozenset[str]

    def may(self, scopes: frozenset[str]) -> bool:
        """Whether any of the scopes is granted; `.ALL` stands for every operation. Case does not matter."""
        wanted = {scope.lower() for scope in scopes}
        wanted |= {scope.rpartition(".")[0] + ".all" for scope in wanted}
        return not wanted.isdisjoint(self.scopes)


@dataclass(slots=True)
class _Grant:
    """A refresh token and what was made from it."""

    caller: Caller
    scopes: tuple[str, ...]
    made: deque[float] = field(default_factory=deque)
    live: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Access tokens and the monotonic instant at which each expires."""


@dataclass(frozen=True, slots=True)
class _Code:
    user: User
    scopes: tuple[str, ...]
    until: float


class TokenDesk:
    """Hands out tokens and knows them again. Times are real, whatever the simulation's speed."""

    def __init__(self, seed: int, clock: Clock, settings: ServerSettings) -> None:
        self._clock = clock
        self._settings = settings
        self.credentials = Credentials(
            client_id=f"1000.{_derived(seed, 'client')[:30].upper()}",
            client_secret=Secret(_derived(seed, "secret")),
            admin=Secret(_token_text(_derived(seed, User.ADMIN.value))),
            supervisor=Secret(_token_text(_derived(seed, User.SUPERVISOR.value))),
            outsider=Secret(_token_text(_derived(seed, User.OUTSIDER.value))),
        )
        self._grants: OrderedDict[str, _Grant] = OrderedDict()
        for user in User:
            secret: Secret = getattr(self.credentials, user.value)
            self._grants[secret.reveal()] = _grant(user, SCOPES)
        self._tokens: dict[str, _Grant] = {}
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    def new_code(self, user: User = User.ADMIN, scopes: tuple[str, ...] = SCOPES) -> str:
        """A grant code, as the API console makes it for a self client: good once, for three minutes."""
        code = _token_text(secrets.token_hex(32))
        self._codes[code] = _Code(user, scopes, self._clock.monotonic() + CODE_LIFETIME_S)
        if len(self._codes) > _CODES:
            self._codes.popitem(last=False)
        return code

    def answer(self, parameters: Mapping[str, str]) -> Reply:
        """POST /oauth/v2/token. Refusals are HTTP 200 with an `error`; a missing parameter counts as a wrong one."""
        if parameters.get("client_id") != self.credentials.client_id:
            return token_error("invalid_client")
        if Secret(parameters.get("client_secret", "")) != self.credentials.client_secret:
            return token_error("invalid_client_secret")
        grant_type = parameters.get("grant_type")
        if grant_type == "refresh_token":
            return self._refresh(parameters.get("refresh_token", ""))
        if grant_type == "authorization_code":
            return self._exchange(parameters.get("code", ""))
        return token_error("unsupported_grant_type")

    def revoke(self, token: str) -> Reply:
        """POST /oauth/v2/token/revoke: forgets a refresh token and all that was made from it, or one access token."""
        if token in self._grants:
            self._forget(token)
        elif token in self._tokens:
            self.kill(token)
        else:
            return Reply(400, {"error": "invalid_token"})
        return Reply(200, {"status": "success"})

    def caller(self, authorization: str) -> Caller | None:
        """Who sends this Authorization header; None when it is missing, of another form, unknown or expired."""
        prefix, _, token = authorization.partition(" ")
        if prefix != "Zoho-oauthtoken":
            return None
        grant = self._tokens.get(token)
        if grant is None:
            return None
        if grant.live[token] <= self._clock.monotonic():
            self.kill(token)
            return None
        return grant.caller

    @property
    def access_tokens(self) -> tuple[str, ...]:
        """The access tokens that are known, oldest first; some may have expired."""
        return tuple(self._tokens)

    def kill(self, token: str) -> None:
        """Make an access token unknown."""
        grant = self._tokens.pop(token, None)
        if grant is not None:
            del grant.live[token]

    def _refresh(self, refresh_token: str) -> Reply:
        grant = self._grants.get(refresh_token)
        return token_error("invalid_code") if grant is None else self._mint(grant)

    def _exchange(self, text: str) -> Reply:
        code = self._codes.pop(text, None)
        if code is None or code.until <= self._clock.monotonic():
            return token_error("invalid_code")
        siblings = [token for token, grant in self._grants.items() if grant.caller.user is code.user]
        if len(siblings) >= _REFRESH_TOKENS:
            self._forget(siblings[0])
        refresh_token = _token_text(secrets.token_hex(32))
        self._grants[refresh_token] = _grant(code.user, code.scopes)
        return self._mint(self._grants[refresh_token], refresh_token)

    def _mint(self, grant: _Grant, refresh_token: str | None = None) -> Reply:
        now = self._clock.monotonic()
        while grant.made and grant.made[0] <= now - self._settings.token_window_s:
            grant.made.popleft()
        if len(grant.made) >= self._settings.tokens_per_window:
            return access_denied()
        grant.made.append(now)
        token = _token_text(secrets.token_hex(32))
        if len(grant.live) >= _LIVE_TOKENS:
            self.kill(next(iter(grant.live)))
        grant.live[token] = now + self._settings.token_lifetime_s
        self._tokens[token] = grant
        answer: dict[str, object] = {"access_token": token}
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        answer |= {"scope": " ".join(grant.scopes), "api_domain": "https://www.zohoapis.com", "token_type": "Bearer",
                   "expires_in": int(self._settings.token_lifetime_s)}  # fmt: skip
        return Reply(200, answer)

    def _forget(self, refresh_token: str) -> None:
        grant = self._grants.pop(refresh_token)
        for token in grant.live:
            self._tokens.pop(token, None)


def _grant(user: User, scopes: tuple[str, ...]) -> _Grant:
    return _Grant(Caller(user, frozenset(scope.lower() for scope in scopes)), scopes)


def _derived(seed: int, what: str) -> str:
    return hashlib.sha256(f"simulator/{seed}/{what}".encode()).hexdigest()


def _token_text(digits: str) -> str:
    """Zoho's form of tokens: `1000.` and two groups of 32 hexadecimal digits."""
    return f"1000.{digits[:32]}.{digits[32:64]}"
