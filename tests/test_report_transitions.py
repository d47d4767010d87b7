"""`transitions` against brute force: two polls that follow upon each other, and what an agent said in each.

The golden test of the report is in `test_history_reports.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.history.answers import answer
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.window import Window
from tests.support.lives import AGENTS, END, Kept, Step, lives, record

NOW = 100_000
Row = tuple[object, ...]


def expected(kept: Sequence[Kept], window: Window) -> set[Row]:
    """Agent, from, to, not before, seen, and whether it was found behind a gap; by looking at each pair of polls."""
    rows: set[Row] = set()
    for agent_id in AGENTS:
        for index, one in enumerate(kept):
            now = one.poll.readings.get(agent_id)
            if now is None or not window.since <= one.poll.received < window.until:
                continue
            before = kept[index - 1].poll if index else None
            if before is None or agent_id not in before.readings:
                rows.add((agent_id, None, now.word, None, one.poll.received, False))
            elif before.readings[agent_id] != now:
                was = before.readings[agent_id].word
                rows.add((agent_id, was, now.word, before.sent, one.poll.received, one.begins))
    return rows


@settings(max_examples=max(30, settings().max_examples // 3))
@given(lives(), st.tuples(st.integers(0, END), st.integers(0, END)))
def test_the_transitions_are_what_each_two_polls_tell(life: list[Step], edges: tuple[int, int]) -> None:
    window = Window(*sorted(edges))
    with TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        kept = record(path, life)
        with HistoryReader.open(path) as reader:
            report = answer(reader, "transitions", Question(window, ZoneInfo("UTC"), NOW))
    fields = ("agent_id", "from_status", "to_status", "not_before", "seen", "through_gap")
    assert [tuple(row[field] for field in fields) for row in report.rows] == sorted(
        expected(kept, window), key=lambda row: (row[4], row[0])
    )
