"""What is derived from the facts, so that reports are fast: made anew, or compared with them."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from exporter.history.care.progress import UNSEEN
from exporter.history.checkpoints import Advanced, compare_derived, rebuild_derived
from exporter.history.transfer.progress import Progress

NOTHING_DERIVED: Final = ("DELETE FROM total", "DELETE FROM carried", "DELETE FROM checkpoint")
"""Without checkpoints everything is right, only slower."""


def rebuild(connection: sqlite3.Connection, progress: Progress = UNSEEN) -> int:
    """Make the checkpoints with their running totals anew from the facts; returns how many there are.

    In one transaction: interrupted, it leaves what was there. Raises sqlite3.Error.
    """
    rebuild_derived(connection, advanced=_told("Making totals anew", progress))
    (checkpoints,) = connection.execute("SELECT count(*) FROM checkpoint").fetchone()
    return int(checkpoints)


def differences(connection: sqlite3.Connection, progress: Progress = UNSEEN) -> Iterator[str]:
    """What is stored and is not what the facts say, a sentence each. The caller holds a transaction."""
    return compare_derived(connection, advanced=_told("Comparing totals", progress))


def _told(what: str, progress: Progress) -> Advanced:
    told = -1

    def advanced(done: int, of: int) -> None:
        nonlocal told
        if told < 0:
            progress.begin(what, of)
            told = 0
        progress.advance(done - told)
        told = done

    return advanced
