"""Which paths metrics can be served at; apart from the routes, so that a check of settings need not load Starlette."""

import re
from typing import Final

from exporter.errors import UsageError
from exporter.quoting import shown

_TELEMETRY_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*)?")
_LONGEST: Final = 1_000
_TAKEN: Final = frozenset({"-", "api", "board", "config", "static", "timeline"})
"""First parts of the paths of other routes."""


def can_be_served(path: str) -> bool:
    """Whether metrics can have this path: no other route has it, and every client sends it as it is written."""
    good = _TELEMETRY_PATH.fullmatch(path) and ".." not in path and len(path) <= _LONGEST
    return bool(good) and path.split("/")[1] not in _TAKEN


def checked_telemetry_path(path: str) -> str:
    """`path`, if metrics can be served there; raises UsageError, which names the flag, if not."""
    if not can_be_served(path):
        raise UsageError(
            f"--web.telemetry-path {shown(path)} cannot be served: write a path such as /metrics, of letters, digits "
            f"and ._~- between slashes, that does not begin with {', '.join(f'/{part}' for part in sorted(_TAKEN))}"
        )
    return path
