"""bcrypt hashes as Go's x/crypto/bcrypt reads them, which looks at less of a hash than Python's bcrypt does."""

import re
from typing import Final

_SHORTEST: Final = 59
_COST: Final = re.compile(r"[+-]?[0-9]+")
_LOWEST, _HIGHEST = 4, 31
_SALT: Final = 22
_HASH: Final = 31


def fault(text: str) -> str | None:
    """Why Go's `bcrypt.Cost` refuses `text`, in words that show nothing of it; None if it does not."""
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) < _SHORTEST:
        return "it is too short"
    if raw[:1] != b"$":
        return "it does not begin with '$'"
    if raw[1:2] > b"2":
        return "it is of a version that is too new"
    digits = _rest(raw)[:2].decode("latin-1")
    if not _COST.fullmatch(digits):
        return "its cost is no number"
    if not _LOWEST <= int(digits) <= _HIGHEST:
        return f"its cost is not from {_LOWEST} to {_HIGHEST}"
    return None


def can_fit(text: str) -> bool:
    """Whether there can be a password for a hash that `fault` has nothing against: it is long enough.

    Go compares the first 31 characters of the digest and looks at nothing that follows them.
    """
    body = _rest(text.encode("utf-8", "surrogateescape"))[3:]
    return len(body) >= _SALT + _HASH


def _rest(raw: bytes) -> bytes:
    """What follows the version: cost, a character that Go does not look at, salt and hash."""
    return raw[3:] if raw[2:3] == b"$" else raw[4:]
