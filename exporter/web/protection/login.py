"""`basic_auth_users` of the web configuration file: HTTP's basic authentication (RFC 7617) before all answers.

bcrypt is slow by intention. So it runs on one thread beside the event loop, one comparison at a time, and what it said
is remembered: a scraper that keeps its password pays once.
"""

import asyncio
import binascii
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.daemon import DaemonThread
from exporter.secret import Secret
from exporter.web.clients import client_of
from exporter.web.protection.passwords import LONGEST, Accounts, matches
from exporter.web.refusals import NO_STORE, refusal

MOST_WAITING: Final = 32
"""Logins that are compared or wait for it: at bcrypt's usual cost two seconds' worth. More would wait without end."""
MOST_WAITING_PER_CLIENT: Final = 8
"""So that one client that guesses passwords does not keep the others out."""
_REMEMBERED: Final = 1000

Check = Callable[[Secret, bytes], bool]
"""Whether a password belongs to a hash."""


def credentials(scope: Scope) -> tuple[bytes, bytes] | None:
    """User name and password of a request; None without them, and if the field is malformed or there are two."""
    fields = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(fields) != 1 or fields[0][:6].lower() != b"basic ":
        return None
    try:
        decoded = binascii.a2b_base64(fields[0][6:], strict_mode=True)
    except binascii.Error:
        return None
    name, colon, password = decoded.partition(b":")
    return (name, password) if colon else None


class Remembered:
    """The logins last found right, and those last found wrong, each up to a number; never a password.

    They are kept apart: whoever guesses passwords pushes only wrong ones out, and nobody is logged out by it.
    """

    def __init__(self, key: bytes, most: int = _REMEMBERED) -> None:
        """`key`: 32 random bytes, so that nobody can find out a password from what is in memory."""
        self._key = key
        self._most = most
        self._verdicts: dict[bool, dict[bytes, None]] = {True: {}, False: {}}

    def key(self, name: bytes, hashed: Secret, password: bytes) -> bytes:
        """What a login is remembered under.

        The parts are joined in hexadecimal, so that no two logins have one key (CVE-2022-46146 of exporter-toolkit:
        joined as they were, parts of a name could pass for parts of a hash).
        """
        parts = (name, hashed.reveal().encode("utf-8", "surrogateescape"), password)
        return hashlib.blake2b(b":".join(map(binascii.hexlify, parts)), key=self._key, digest_size=32).digest()

    def verdict(self, key: bytes) -> bool | None:
        """What was said of it; None if that is not known, or no longer."""
        for right, keys in self._verdicts.items():
            if key in keys:
                del keys[key]  # the last one used is the last one forgotten
                keys[key] = None
                return right
        return None

    def remember(self, key: bytes, *, right: bool) -> None:
        """Keep a verdict."""
        keys = self._verdicts[right]
        keys[key] = None
        if len(keys) > self._most:
            del keys[next(iter(keys))]

    def __len__(self) -> int:
        return sum(map(len, self._verdicts.values()))


class Login:
    """`app`, answered to those who log in; 401 to the others, and 503 while too many logins wait to be compared."""

    def __init__(self, app: ASGIApp, accounts: Callable[[], Accounts | None], *, check: Check = matches) -> None:
        """`accounts`: those in force, None if nobody need log in. `check` may be slow; it runs on a thread."""
        self._app = app
        self._accounts = accounts
        self._check = check
        self._remembered = Remembered(secrets.token_bytes(32))
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}
        self._clients: Counter[str] = Counter()
        self._thread: DaemonThread | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                self._end()
            return
        accounts = self._accounts()
        right = True if accounts is None else await self._right(scope, accounts)
        if right:
            await self._app(scope, receive, send)
        elif right is None:
            headers = {"retry-after": "1", **NO_STORE}
            sentence = "Too many logins wait to be checked; try again in a second."
            await refusal(scope["path"], 503, sentence, headers)(scope, receive, send)
        else:
            headers = {"www-authenticate": "Basic", **NO_STORE}
            sentence = "This needs a user name and a password of the web configuration file."
            await refusal(scope["path"], 401, sentence, headers)(scope, receive, send)

    async def _right(self, scope: Scope, accounts: Accounts) -> bool | None:
        """Whether the request comes with a right login; None if too many others wait."""
        given = credentials(scope)
        if given is None:
            return False
        name, password = given[0], given[1][:LONGEST]
        hashed, known = accounts.find(name)
        key = self._remembered.key(name, hashed, password)
        verdict = self._remembered.verdict(key)
        if verdict is not None:
            return verdict and known
        client = client_of(scope)
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= MOST_WAITING or self._clients[client] >= MOST_WAITING_PER_CLIENT:
                return None
            waiting = self._begin(key, client, hashed, password, known=known)
        # Several requests may wait for one comparison; one that is given up must not end it for the others.
        return await asyncio.shield(waiting)

    def _begin(self, key: bytes, client: str, hashed: Secret, password: bytes, *, known: bool) -> asyncio.Future[bool]:
        self._thread = self._thread or DaemonThread("login")
        loop = asyncio.get_running_loop()
        waiting = loop.run_in_executor(self._thread, _compared, self._check, hashed, password, known)
        self._waiting[key] = waiting
        self._clients[client] += 1
        waiting.add_done_callback(partial(self._done, key, client))
        return waiting

    def _done(self, key: bytes, client: str, waiting: asyncio.Future[bool]) -> None:
        del self._waiting[key]
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        if not waiting.cancelled() and waiting.exception() is None:
            self._remembered.remember(key, right=waiting.result())

    def _end(self) -> None:
        for waiting in tuple(self._waiting.values()):
            waiting.cancel()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None


def _compared(check: Check, hashed: Secret, password: bytes, known: bool) -> bool:
    return check(hashed, password) and known
