"""Go's way to write a duration: `1s`, `500ms`, `1m30s`, `1.5h`, `-2s`. Source: Go's time.ParseDuration."""

import re
from fractions import Fraction
from typing import Final

_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,  # the Greek letter, beside the micro sign
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]+)")
_LARGEST: Final = 2**63
_WRONG: Final = "this is not a duration of Go"
_LONGEST: Final = 200


def parse_go_duration_ns(text: str) -> int:
    """Nanoseconds of `text`; fractions of one are cut off. Raises ValueError."""
    sign, rest = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if rest == "0":
        return 0
    if not rest or len(rest) > _LONGEST:
        raise ValueError(_WRONG)
    total = at = 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None:
            raise ValueError(_WRONG)
        total += _part_ns(match[1], match[2] or "", match[3])
        at = match.end()
    if total > _LARGEST - (sign != "-"):
        raise ValueError(_WRONG)
    return -total if sign == "-" else total


def _part_ns(whole: str, fraction: str, unit: str) -> int:
    if unit not in _NS or not (whole or len(fraction) > 1):
        raise ValueError(_WRONG)
    return int(Fraction(f"{whole or '0'}{fraction if len(fraction) > 1 else ''}") * _NS[unit])
