"""From a question to its answer on a real file: what is read for it, and how windows, purges and bridges meet."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.errors import UsageError
from exporter.history.algebra import EdgePolicy, Rules
from exporter.history.answers import answer
from exporter.history.filters import EVERYBODY, Selection, Times
from exporter.history.question import Group, Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import AVAILABLE, BUSY, ON_CALL, EndReason, Poll
from exporter.report.model import Report
from tests.support.history_files import RUN, START, facts_of

UTC = ZoneInfo("UTC")
S = 1000


def seconds(number: int) -> int:
    return START + number * S


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann (1) and Bob (2), polled without latency: at 0, 30, 60 s, nobody looking, then at 300, 330 … 600 s.

    Ann is Busy at 0, Available at 30 and 60, and from 300 to 390; On Call from 420 on. Bob is Busy throughout.
    """
    path = tmp_path_factory.mktemp("answers") / "zohovoice.db"
    polls = [
        Poll(seconds(at), seconds(at), {"1": BUSY if at == 0 else AVAILABLE if at < 420 else ON_CALL, "2": BUSY})
        for at in (0, 30, 60, *range(300, 601, 30))
    ]
    writer = HistoryWriter.open(path, RUN)
    for facts in facts_of(polls):
        writer.append(facts)
    writer.close(seconds(610), EndReason.SHUTDOWN)
    return path


@pytest.fixture
def reader(db: Path) -> Iterator[HistoryReader]:
    with HistoryReader.open(db) as opened:
        yield opened


def question(since: int, until: int, **more: Any) -> Question:
    return Question(Window(seconds(since), seconds(until)), UTC, seconds(700), **more)


def figures(report: Report) -> dict[tuple[object, object], object]:
    return {(row["agent_id"], row["status"]): row["duration_seconds"] / S for row in report.rows}


def test_an_answer_is_the_report_of_what_was_read(reader: HistoryReader) -> None:
    # Whether ready totals are used or not, and whatever report it is.
    for name, report in REPORTS.items():
        asked = question(50, 51 if name == "at" else 500)
        expected = report(reader.facts(asked.window), asked)
        found = answer(reader, name, asked)
        assert list(found.rows) == list(expected.rows), name
        assert found.meta == expected.meta, name
        assert found.columns == expected.columns


def test_agents_teams_and_statuses_are_picked(reader: HistoryReader) -> None:
    asked = question(0, 600)
    assert figures(answer(reader, "summary", asked, Selection(agents=("2",)), statuses=["busy"])) == {
        ("2", "Busy"): 60 + 300
    }
    team = answer(reader, "summary", asked, Selection(teams=("Sales",)))
    assert figures(team) == figures(answer(reader, "summary", asked))
    with pytest.raises(UsageError, match="--status 'Lunch' is no status"):
        answer(reader, "summary", asked, statuses=["Lunch"])
    with pytest.raises(UsageError, match="--agent 'Zoe' matches nobody"):
        answer(reader, "intervals", asked, Selection(agents=("Zoe",)))


def test_a_gap_is_bridged_from_what_lies_outside_the_window(reader: HistoryReader) -> None:
    asked = question(100, 200, rules=Rules(bridge_ms=240 * S))
    assert figures(answer(reader, "summary", asked)) == {("1", "Available"): 100, ("2", "Busy"): 100}
    almost = replace(asked, rules=Rules(bridge_ms=240 * S - 1))
    assert figures(answer(reader, "summary", almost)) == {("1", "unknown"): 100, ("2", "unknown"): 100}
    rows = answer(reader, "intervals", replace(asked, step_ms=86_400_000)).rows
    assert {row["status"]: row["agent_seconds"] for row in rows if row["agent_seconds"]} == {
        "Available": 100 * S,
        "Busy": 100 * S,
    }
    assert [row["status"] for row in answer(reader, "at", question(100, 100, rules=asked.rules)).rows] == []
    instant = replace(asked, window=Window(seconds(100), seconds(100) + 1))
    assert [row["status"] for row in answer(reader, "at", instant).rows] == ["Available", "Busy"]


def test_whole_stays_are_read_where_they_are_wanted(reader: HistoryReader) -> None:
    # Ann became Available at 30; the window ends at 50, the stay is cut at 60.
    asked = question(20, 50, with_stays=True)
    (row,) = answer(reader, "summary", asked, statuses=["Available"]).rows
    assert (row["censored_stays"], row["last_end"]) == (1, seconds(60))
    # Bob's stay in Busy goes from 300 until the recording ends at 600, and the window knows a tenth of it.
    long = answer(reader, "long", question(310, 340, over_ms=4 * 60 * S))
    assert [(row["agent_id"], row["status"], row["duration_seconds"]) for row in long.rows] == [("2", "Busy", 300 * S)]


def test_hours_leave_their_time_in_reports_that_read_in_parts_too(reader: HistoryReader) -> None:
    # The history begins at 08:26:40 UTC, so 08:31:40 is second 300.
    times = Times(hours=(time(8, 32), time(8, 34)))
    asked = question(0, 600)
    report = answer(reader, "summary", asked, times=times)
    assert figures(report) == {("1", "Available"): 100, ("1", "On Call"): 20, ("2", "Busy"): 120}
    assert report.meta["only_at"] == "08:32-08:34"
    rows = answer(reader, "intervals", replace(asked, step_ms=86_400_000), times=times).rows
    assert {row["status"]: row["agent_seconds"] for row in rows if row["agent_seconds"]} == {
        "Available": 100 * S,
        "On Call": 20 * S,
        "Busy": 120 * S,
    }
    assert "only_at" not in answer(reader, "summary", asked).meta


@pytest.mark.parametrize("rules", [Rules(), Rules(EdgePolicy.MIDPOINT), Rules(bridge_ms=60 * S)])
@pytest.mark.parametrize("name", [name for name in REPORTS if name != "at"])
def test_a_window_is_cut_at_the_water_mark_and_says_so(db: Path, tmp_path: Path, name: str, rules: Rules) -> None:
    path = tmp_path / "purged.db"
    path.write_bytes(db.read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO purge (done, kind, before, program) VALUES (1, 'before', ?, '1')", (seconds(40),)
        )
    connection.close()
    with HistoryReader.open(path) as reader:
        cut = answer(reader, name, question(0, 600, rules=rules)).meta
        assert (cut["since"], cut["asked_since"], cut["water_mark"]) == (seconds(40), seconds(0), seconds(40))
        later = answer(reader, name, question(45, 600, rules=rules)).meta
        assert later["since"] == seconds(45)
        assert "asked_since" not in later


@pytest.mark.parametrize(
    ("asked", "statuses", "message"),
    [
        (question(0, 1, groups=frozenset({Group.CLASS})), ("Busy",), "--by class makes none"),
        (question(0, 1, groups=frozenset({Group.CLASS}), statuses=frozenset({"Busy"})), (), "--by class makes none"),
        (question(0, 1, rules=Rules(bridge_ms=367 * 86_400_000)), (), "--bridge is longer than a year"),
    ],
)
def test_a_question_that_contradicts_itself_is_refused(
    reader: HistoryReader, asked: Question, statuses: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        answer(reader, "summary", asked, EVERYBODY, statuses=statuses)


def test_more_intervals_than_anybody_reads_are_refused(reader: HistoryReader) -> None:
    with pytest.raises(UsageError) as refused:
        answer(reader, "intervals", Question(Window(0, 100_001 * 900_000), UTC, seconds(700)))
    assert str(refused.value) == (
        "--step makes 100,001 intervals of this window, and 100,000 are the most: give a longer --step, or a later "
        "--since"
    )
