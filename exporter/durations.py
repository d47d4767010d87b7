"""Durations as Prometheus writes them: `30s`, `5m`, `1h30m`, `500ms`, `7d`, `2w`, `1y`."""

import re
from typing import Final

from exporter.errors import UsageError
from exporter.quoting import shown

_UNITS_MS: Final = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
# Each unit at most once, largest first: the rule of Prometheus' model.ParseDuration.
_DURATION: Final = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,15}}){unit})?" for unit in _UNITS_MS))


def parse_duration_ms(text: str) -> int:
    """Milliseconds of a duration such as `1h30m`; the bare `0` is allowed, as in Prometheus.

    Raises UsageError, with the text and what was expected, for anything else.
    """
    if text == "0":
        return 0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise UsageError(f"{shown(text)} is not a duration: write it as in Prometheus, such as 30s, 5m or 1h30m")
    return sum(int(count) * _UNITS_MS[unit] for unit, count in match.groupdict().items() if count)


def format_duration_ms(milliseconds: int) -> str:
    """The shortest text that `parse_duration_ms` reads back to the same value; `0s` for zero.

    Years and weeks are written in days, which is how people say retention.
    """
    parts = []
    rest = milliseconds
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
