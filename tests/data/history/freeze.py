"""Makes the frozen file of the current schema version: `python -m tests.data.history.freeze`, once a version is final.

A file of a version that has been released is never made again: it is what the next version's migration is tested with.
"""

import sys
from pathlib import Path

from exporter.history.schema import SCHEMA_VERSION
from exporter.history.writer import HistoryWriter
from exporter.model import EndReason
from tests.support.history_files import RUN, START, THREE_POLLS, facts_of


def freeze(path: Path) -> None:
    """Three polls, a checkpoint after each change, an incident, a clean end."""
    writer = HistoryWriter.open(path, RUN, mode=0o644, checkpoint_after=lambda _: 1)
    for facts in facts_of(THREE_POLLS):
        writer.append(facts)
    writer.incident(START + 100_000, "clock step", "the wall clock stepped by 4000 ms")
    writer.close(START + 3_600_000, EndReason.SHUTDOWN)


if __name__ == "__main__":
    target = Path(__file__).with_name(f"v{SCHEMA_VERSION}.db")
    if target.exists():
        sys.exit(f"{target} is frozen already; remove it first if its version was never released")
    freeze(target)
