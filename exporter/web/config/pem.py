"""Blocks of PEM text, found as Go finds them: what is between blocks, and blocks that are broken, count for nothing."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from exporter.secret import Secret

_BEGIN: Final = "-----BEGIN "
_END: Final = "-----END "
_DASHES: Final = "-----"
_WIDTH: Final = 64


@dataclass(frozen=True, slots=True)
class Block:
    """One block."""

    label: str
    """Such as `CERTIFICATE`."""
    der: bytes = field(repr=False)
    encrypted: bool = False
    """It says that a password is needed, in its label (PKCS #8) or its headers (RFC 1421)."""

    def pem(self, label: str | None = None) -> Secret:
        """The block as text again, without headers, under its own label or another one; a secret: it may be a key."""
        body = base64.b64encode(self.der).decode()
        lines = [body[at : at + _WIDTH] for at in range(0, len(body), _WIDTH)]
        name = label or self.label
        return Secret("\n".join([f"{_BEGIN}{name}{_DASHES}", *lines, f"{_END}{name}{_DASHES}", ""]))


def blocks(text: str) -> Iterator[Block]:
    """The blocks of `text`, in order (RFC 7468, and Go's encoding/pem where that is laxer)."""
    label: str | None = None
    body: list[str] = []
    for raw in text.split("\n"):
        line = raw.rstrip(" \t\r")
        if label is None:
            label, body = _between(line, _BEGIN), []
        elif line.startswith(_END):
            block = _block(label, body) if _between(line, _END) == label else None
            label = None
            if block is not None:
                yield block
        else:
            body.append(line)


def certificates(text: str) -> list[Block]:
    """The blocks that are labelled as certificates."""
    return [block for block in blocks(text) if block.label == "CERTIFICATE"]


def private_key(text: str) -> Block | None:
    """The first block that is labelled as a private key of any kind."""
    for block in blocks(text):
        if block.label == "PRIVATE KEY" or block.label.endswith(" PRIVATE KEY"):
            return block
    return None


def _between(line: str, prefix: str) -> str | None:
    if line.startswith(prefix) and line.endswith(_DASHES) and len(line) >= len(prefix) + len(_DASHES):
        return line[len(prefix) : -len(_DASHES)]
    return None


def _block(label: str, body: list[str]) -> Block | None:
    headers = 0
    while headers < len(body) and ":" in body[headers]:
        headers += 1
    try:
        der = base64.b64decode("".join("".join(body[headers:]).split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    encrypted = label.startswith("ENCRYPTED ") or any("ENCRYPTED" in line for line in body[:headers])
    return Block(label, der, encrypted)
