"""Makes the frozen file of the current schema version: `python -m tests.data.history.freeze`, once a version is final.

Beside it stands what the reports of that version's program said of it. Neither is ever made again once the version has
been released: they are what the next version's migration is tested with.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.history.answers import answer
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.schema import SCHEMA_VERSION
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import EndReason
from exporter.report.formats import STREAMS
from tests.support.history_files import RUN, START, THREE_POLLS, facts_of

REPORTS = ("timeline", "summary", "transitions", "coverage")
HOUR = Window(
    *(round(datetime(2025, 11, 22, hour, tzinfo=UTC).timestamp() * 1000) for hour in (8, 9)),
)
"""The hour of the three polls."""


def said(path: Path) -> dict[str, list[dict[str, object]]]:
    """The rows of the reports on that hour, as JSON has them."""
    question = Question(HOUR, ZoneInfo("UTC"), HOUR.until)
    with HistoryReader.open(path) as reader:
        reports = {name: "".join(STREAMS["json"](answer(reader, name, question))) for name in REPORTS}
    return {name: json.loads(text)["rows"] for name, text in reports.items()}


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
    target.with_suffix(".json").write_text(json.dumps(said(target), indent=1) + "\n")
