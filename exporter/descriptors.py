"""How many files and connections a process may have open: its limit RLIMIT_NOFILE (getrlimit(2))."""

import contextlib
import resource
from typing import Final

USUAL: Final = 1024
"""The soft limit that programs are given, because select(2) knows no descriptor beyond it."""


def allow_all() -> None:
    """Raise the soft limit to the hard one, as programs in Go do at their start.

    1,024 can be met by a burst of connections that have yet to be counted, and polls and history need some too.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _set_soft(hard, hard)


def allow_usual() -> None:
    """Lower the soft limit to the usual one, where a parent has raised it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft > USUAL:
        _set_soft(USUAL if hard == resource.RLIM_INFINITY else min(USUAL, hard), hard)


def _set_soft(soft: int, hard: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # macOS has a limit below a hard one of infinity
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
