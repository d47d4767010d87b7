"""Passwords against bcrypt hashes, with the verdicts of golang.org/x/crypto/bcrypt; and who may log in."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import bcrypt

from exporter.secret import Secret
from exporter.web.config.hashes import fault

LONGEST: Final = 72
"""bcrypt does not look at what follows, in Go neither. Python's module raises ValueError for it from version 5 on."""

_ALPHABET: Final = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SALT: Final = 22
_DIGEST: Final = 31
_USUAL_COST: Final = 10


@dataclass(frozen=True, slots=True)
class _Hash:
    cost: int
    salt: bytes
    digest: bytes


def matches(hashed: Secret, password: bytes) -> bool:
    """Whether `password` is the one of `hashed`. Takes as long as the cost says: 0.08 s at 10, twice that at 11.

    False also for a hash that is none. The letter after the 2 means nothing, as in Go.
    """
    parsed = _parsed(hashed)
    if parsed is None:
        return False
    try:
        made = bcrypt.hashpw(password[:LONGEST], b"$2b$%02d$%b" % (parsed.cost, parsed.salt))
    except ValueError:
        return False
    return hmac.compare_digest(made[-_DIGEST:], parsed.digest)


class Accounts:
    """Who may log in, with what hash; and a hash to compare with for everybody else.

    An unknown name must take the time of a known one. So it is compared too, at the cost of one of the users, chosen
    by the name: the same name always takes the same time, also after a restart, as a real one's would.
    """

    def __init__(self, users: Mapping[str, Secret]) -> None:
        """`users`: name to bcrypt hash; at least one."""
        self._hashes = {name.encode("utf-8", "surrogateescape"): hashed for name, hashed in users.items()}
        ordered = sorted(self._hashes.items())
        self._costs = [_cost(hashed) for _, hashed in ordered]
        # From what only the server knows: who could work out the choice could tell the chosen cost from a real one.
        self._choice = hashlib.blake2b(
            "\n".join(hashed.reveal() for _, hashed in ordered).encode(errors="surrogateescape")
        ).digest()

    def find(self, name: bytes) -> tuple[Secret, bool]:
        """The hash to compare with, and whether there is such a user."""
        hashed = self._hashes.get(name)
        if hashed is not None:
            return hashed, True
        chosen = hashlib.blake2b(name, key=self._choice, digest_size=8).digest()
        cost = self._costs[int.from_bytes(chosen) % len(self._costs)]
        return Secret(f"$2b${cost:02d}${'.' * (_SALT + _DIGEST)}"), False


def _parsed(hashed: Secret) -> _Hash | None:
    if fault(hashed.reveal()) is not None:
        return None
    text = hashed.reveal().encode("utf-8", "surrogateescape")
    at = 3 if text[2:3] == b"$" else 4
    cost, salt, digest = text[at : at + 2], text[at + 3 : at + 3 + _SALT], text[at + 3 + _SALT :][:_DIGEST]
    if len(salt) < _SALT or salt.strip(_ALPHABET):
        return None
    # Of the last character two bits belong to the salt; Go passes over the others, Python's module refuses them.
    last = _ALPHABET[_ALPHABET.index(salt[-1:]) & 0b110000]
    return _Hash(int(cost), salt[:-1] + bytes([last]), digest)


def _cost(hashed: Secret) -> int:
    parsed = _parsed(hashed)
    return _USUAL_COST if parsed is None else parsed.cost
