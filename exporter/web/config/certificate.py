"""The few facts about an X.509 certificate that ssl does not tell: the kind of its key, and when it ends.

Source: RFC 5280 section 4.1 (the fields), X.690 (DER). Only lengths and tags are read; ssl has the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exporter.web.config.pem import certificates

_OID: Final = 0x06
_UTC_TIME: Final = 0x17
_VERSION: Final = 0xA0
_KNOWN: Final = {
    bytes.fromhex("2a864886f70d010101"): "RSA",
    bytes.fromhex("2a8648ce3d0201"): "ECDSA",
    bytes.fromhex("2b6570"): "Ed25519",
}
_CURVES: Final = frozenset(
    {
        bytes.fromhex("2b81040021"),  # P-224
        bytes.fromhex("2a8648ce3d030107"),  # P-256
        bytes.fromhex("2b81040022"),  # P-384
        bytes.fromhex("2b81040023"),  # P-521
    }
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to know."""

    key_known: bool
    """Go can use the key: RSA, ECDSA on one of NIST's curves, or Ed25519."""
    not_after_ms: int
    """The last moment of its life, in ms since the epoch, UTC."""


def facts(der: bytes) -> Facts | None:
    """The facts about a certificate; None if it is none."""
    try:
        return _facts(der)
    except (ValueError, IndexError, StopIteration):
        return None


def ends_ms(chain: str) -> int | None:
    """When the first certificate of `chain` (PEM) that ends does so, in ms since the epoch, UTC."""
    ends = [found.not_after_ms for block in certificates(chain) if (found := facts(block.der)) is not None]
    return min(ends, default=None)


def _facts(der: bytes) -> Facts:
    _, certificate = next(_parts(der))
    _, body = next(_parts(certificate))
    fields = list(_parts(body))
    if fields[0][0] == _VERSION:
        fields = fields[1:]
    validity, key = fields[3][1], fields[5][1]
    _, not_after = list(_parts(validity))[1]
    return Facts(_key_known(key), _time_ms(list(_parts(validity))[1][0], not_after))


def _key_known(key: bytes) -> bool:
    _, algorithm = next(_parts(key))
    parts = list(_parts(algorithm))
    name = _KNOWN.get(parts[0][1])
    if name == "ECDSA":
        return len(parts) > 1 and parts[1][0] == _OID and parts[1][1] in _CURVES
    return name is not None


def _time_ms(tag: int, value: bytes) -> int:
    text = value.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year, from 1950 on
        text = ("19" if text >= "5" else "20") + text
    moment = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            count = length & 0x7F
            if not 0 < count <= 4 or at + count > len(data):
                raise ValueError("length")
            length, at = int.from_bytes(data[at : at + count]), at + count
        if at + length > len(data):
            raise ValueError("end")
        yield tag, data[at : at + length]
        at += length
