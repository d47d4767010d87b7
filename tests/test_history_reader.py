"""Reading a real database, written by the real writer, while it is written and afterwards."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import DatabaseError
from exporter.history.facts import FOREVER, HistoryFacts
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, Agent, EndReason, Poll, reported
from exporter.tracker import advance
from tests.support.histories import AGENTS, PACE, history, poll_facts, poll_lists, polls_and_edges

UTC = ZoneInfo("UTC")
RUN = RunInfo("0.1.0", "host", "boot", 1, 0)
LONG_AFTER = 100_000


def _written(path: Path, polls: Sequence[Poll], ended: EndReason | None = EndReason.SHUTDOWN) -> None:
    writer = HistoryWriter.open(path, RUN)
    for facts in poll_facts(polls):
        writer.append(facts)
    if ended is None:
        writer.abandon()
    else:
        writer.close(polls[-1].received if polls else 0, ended)


def _read(path: Path, window: Window) -> HistoryFacts:
    with HistoryReader.open(path) as reader:
        return reader.facts(window)


def _rows(name: str, facts: HistoryFacts, window: Window, now: int = LONG_AFTER) -> list[dict[str, object]]:
    return [dict(row) for row in REPORTS[name](facts, Question(window, UTC, now)).rows]


POLLS = (
    Poll(5, 10, {"1": AVAILABLE, "2": BUSY}),
    Poll(16, 20, {"1": AVAILABLE, "2": BUSY}),
    Poll(26, 30, {"1": BUSY, "2": BUSY}),
    Poll(36, 40, {"1": BUSY}),
    Poll(195, 200, {"1": ABSENT, "2": ERROR}),
    Poll(206, 210, {"1": reported("In Training"), "2": ERROR}),
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """POLLS, written and stopped in good order."""
    path = tmp_path / "history.db"
    _written(path, POLLS)
    return path


@settings(max_examples=max(150, settings().max_examples // 4))
@given(polls_and_edges(5))
def test_facts_read_for_a_window_say_the_same_of_it_as_all_facts_together(
    case: tuple[list[Poll], tuple[int, ...]],
) -> None:
    polls, edges = case
    whole = history(polls)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        _written(path, polls)
        for window in map(Window, edges, [*edges[1:], 1_000]):
            part = _read(path, window)
            for name in ("timeline", "summary", "transitions", "coverage"):
                assert _rows(name, part, window) == _rows(name, whole, window), (name, window)
            instant = Window(window.since, window.since + 1)
            assert _rows("at", _read(path, instant), instant) == _rows("at", whole, instant)


def test_only_what_the_window_needs_is_read(database: Path) -> None:
    facts = _read(database, Window(35, 205))
    changes = {agent.agent_id: [change.seen for change in agent.changes] for agent in facts.agents}
    # Agent 1 carries Busy, seen at 30, into the window; the change seen at 210 may have happened from 195 on.
    # Agent 2 is not tracked at 35: it left with the poll of 30 and came again at 200.
    assert changes == {"1": [30, 200, 210], "2": [200]}
    # The change to Busy was seen at 30 and happened after 16: only windows that end later need it.
    for until, seen in ((17, [10, 30]), (16, [10])):
        first, _ = _read(database, Window(12, until)).agents
        assert [change.seen for change in first.changes] == seen
    assert [known.stretch.started for known in facts.stretches] == [10, 200]
    assert [known.stretch.started for known in _read(database, Window(100, 150)).stretches] == [10]
    assert {change for agent in _read(database, Window(35, 195)).agents for change in agent.changes} <= {
        change for agent in facts.agents for change in agent.changes if change.seen < 195
    }


def test_a_transition_seen_at_the_very_start_of_the_window_is_in_it_though_its_spell_of_tracking_has_no_time(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.db"
    readings = {"1": AVAILABLE}
    _written(path, [Poll(9, 10, readings), Poll(19, 20, {**readings, "2": BUSY}), Poll(29, 30, readings)])
    window = Window(20, 30)
    facts = _read(path, window)
    assert [(row["agent_id"], row["to_status"]) for row in _rows("transitions", facts, window)] == [("2", "Busy")]
    assert [row["agent_id"] for row in _rows("timeline", facts, window)] == ["1"]


def test_a_gap_that_ends_with_the_window_is_not_open(database: Path) -> None:
    window = Window(100, 200)
    assert [(row["status"], row["open"]) for row in _rows("timeline", _read(database, window), window)] == [
        ("unknown", False)
    ]


def test_the_facts_say_who_was_tracked_and_how_they_were_called(database: Path) -> None:
    facts = _read(database, Window(0, 300))
    assert {agent.agent_id: agent.tracked for agent in facts.agents} == {
        "1": ((10, FOREVER),),
        "2": ((10, 30), (200, FOREVER)),
    }
    assert [agent.description_at(100).name for agent in facts.agents] == ["Agent 1", "Agent 2"]
    assert facts.words >= {"Available", "Busy", "In Training"}
    assert "absent" not in facts.words
    assert facts.water_mark is None


@pytest.mark.parametrize(("ended", "reason"), [(EndReason.SHUTDOWN, "shutdown"), (None, "no complete poll since")])
def test_why_the_latest_stretch_ended_is_told_as_far_as_anybody_knows(
    tmp_path: Path, ended: EndReason | None, reason: str
) -> None:
    path = tmp_path / "history.db"
    _written(path, POLLS, ended)
    window = Window(0, 300)
    facts = _read(path, window)
    assert facts.run_open is (ended is None)
    assert [(row["start"], row["end"], row["reason"]) for row in _rows("coverage", facts, window)] == [
        (0, 10, "not recorded yet"),
        (10, 40, None),
        (40, 200, "poll failure"),
        (200, 210, None),
        (210, 300, reason),
    ]


def test_a_restart_that_goes_on_with_the_stretch_leaves_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    _written(path, POLLS[:2])
    writer = HistoryWriter.open(path, RUN)
    agents = {agent_id: Agent(agent_id) for agent_id in AGENTS}
    _, facts = advance(writer.resumed, POLLS[2], agents, PACE, silence=EndReason.SHUTDOWN)
    writer.append(facts)
    assert [(k.stretch.started, k.stretch.last, k.ended) for k in _read(path, Window(0, 99)).stretches] == [
        (10, 30, None)
    ]
    writer.close(31, EndReason.SHUTDOWN)


def test_reports_are_read_while_the_writer_has_the_file_and_see_each_poll_crashed(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    window = Window(0, 300)
    seen = []
    with HistoryReader.open(path) as reader:
        for facts in poll_facts(POLLS):
            writer.append(facts)
            seen.append(reader.facts(window).stretches[-1].stretch.last)
    writer.close(300, EndReason.SHUTDOWN)
    assert seen == [10, 20, 30, 40, 200, 210]


def test_one_reading_sees_a_poll_whole_or_not_at_all_whatever_is_committed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    parts = poll_facts(POLLS)
    writer.append(parts[0])
    # The reader asks for the stretches first; between that and the transitions three more polls are committed.
    from exporter.history import reader as module

    original = module._look_ahead

    def commit_and_look(*args: object, **kwargs: object) -> int:
        for facts in parts[1:4]:
            writer.append(facts)
        monkeypatch.setattr(module, "_look_ahead", original)
        return original(*args, **kwargs)  # type: ignore[arg-type]  # whatever it is called with

    monkeypatch.setattr(module, "_look_ahead", commit_and_look)
    facts = _read(path, Window(0, 300))
    writer.close(300, EndReason.SHUTDOWN)
    assert facts.stretches[-1].stretch.last == 10
    assert {change.seen for agent in facts.agents for change in agent.changes} == {10}
    assert all(agent.tracked == ((10, FOREVER),) for agent in facts.agents)


def test_a_live_history_reaches_now_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    for added in poll_facts(POLLS):
        writer.append(added)
    window = Window(205, 220)
    facts = _read(path, window)
    writer.close(300, EndReason.SHUTDOWN)
    assert [
        (row["agent_id"], row["status"], row["end"], row["provisional"])
        for row in _rows("timeline", facts, window, now=220)
    ] == [("1", "absent", 210, False), ("1", "In Training", 220, True), ("2", "error", 220, True)]


def test_reading_a_file_at_rest_leaves_nothing_beside_it(database: Path) -> None:
    before = (sorted(p.name for p in database.parent.iterdir()), database.stat().st_mtime_ns)
    assert _read(database, Window(0, 300)).stretches
    assert (sorted(p.name for p in database.parent.iterdir()), database.stat().st_mtime_ns) == before
    assert not Path(f"{database}-wal").exists()


def test_a_file_at_rest_that_a_writer_wakes_is_read_anew(database: Path) -> None:
    with HistoryReader.open(database) as reader:
        assert reader.facts(Window(0, 300)).stretches[-1].stretch.last == 210
        writer = HistoryWriter.open(database, RUN)
        agents = {agent_id: Agent(agent_id) for agent_id in AGENTS}
        _, facts = advance(writer.resumed, Poll(215, 220, dict(POLLS[-1].readings)), agents, PACE)
        writer.append(facts)
        assert reader.facts(Window(0, 300)).stretches[-1].stretch.last == 220
        writer.close(300, EndReason.SHUTDOWN)


def test_a_history_with_the_log_of_a_killed_writer_beside_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    for facts in poll_facts(POLLS):
        writer.append(facts)
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    writer.abandon()
    assert _read(copy, Window(0, 300)).stretches[-1].stretch.last == 210


def test_a_symbolic_link_to_a_file_that_is_being_written_is_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "history.db"
    link = tmp_path / "link.db"
    link.symlink_to(path)
    writer = HistoryWriter.open(path, RUN)
    for facts in poll_facts(POLLS):
        writer.append(facts)
    assert _read(link, Window(0, 300)).stretches[-1].stretch.last == 210
    writer.close(300, EndReason.SHUTDOWN)


@pytest.mark.parametrize("name", ["with space & ?mode=rwc#x.db", "ünïcode.db", "per%20cent.db"])
def test_any_name_of_a_file_is_taken_literally(tmp_path: Path, name: str) -> None:
    _written(tmp_path / name, POLLS)
    assert len(_read(tmp_path / name, Window(0, 300)).agents) == 2


def test_nothing_can_be_written_through_a_reader(database: Path) -> None:
    with HistoryReader.open(database) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM run")


def _nothing(path: Path) -> None:
    """Leaves the file missing."""


def _directory(path: Path) -> None:
    path.mkdir()


def _text(path: Path) -> None:
    path.write_text("agent_id,status\n" * 500)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE message (text)")
    connection.close()


def _newer(path: Path) -> None:
    _written(path, POLLS)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def _damaged_page(path: Path) -> None:
    _written(path, POLLS)
    content = bytearray(path.read_bytes())
    page = content[16] * 256 + content[17]
    content[page:] = b"\xff" * (len(content) - page)
    path.write_bytes(content)


def _unknown_reason(path: Path) -> None:
    _written(path, POLLS)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE coverage SET end_reason = 'bad weather' WHERE id = 1")
    connection.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_nothing, "there is no history database at {path}: give its file with --db"),
        (_directory, "cannot open the history database {path}: it is not a file"),
        (_text, "{path} is not an SQLite database"),
        (_empty, "{path} is an empty file, no history database: give another with --db"),
        (_foreign, "{path} is the database of another application"),
        (_newer, "the history database {path} was made by a newer version of zohovoice-exporter (its schema is 99"),
        (_damaged_page, "the history database {path} is damaged ("),
        (
            _unknown_reason,
            "the history database {path} is damaged (it holds what it cannot hold: ValueError: 'bad weather'",
        ),
    ],
)
def test_what_is_no_readable_history_gets_one_sentence(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    path = tmp_path / "history.db"
    make(path)
    existed = path.exists()
    with pytest.raises(DatabaseError) as caught:
        _read(path, Window(0, 300))
    assert str(caught.value).startswith(says.format(path=path))
    assert "\n" not in str(caught.value)
    assert path.exists() is existed


def test_a_missing_folder_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"the directory .* does not exist"):
        _read(tmp_path / "nowhere" / "history.db", Window(0, 300))


def test_a_log_that_cannot_be_opened_gets_one_sentence(database: Path) -> None:
    Path(f"{database}-wal").mkdir()
    with pytest.raises(DatabaseError, match=r"^cannot read the history database .* there is a log beside it"):
        _read(database, Window(0, 300))


def test_reading_needs_no_third_party_package(database: Path) -> None:
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from exporter.history.reader import HistoryReader\n"
        "from exporter.history.reports import REPORTS\n"
        "from exporter.history.window import Window\n"
        "with HistoryReader.open(Path(sys.argv[1])) as reader:\n"
        "    facts = reader.facts(Window(0, 300))\n"
        "print(json.dumps([sorted({m.partition('.')[0] for m in sys.modules}), len(facts.agents)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(database)], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    modules, agents = json.loads(done.stdout)
    assert agents == 2
    assert not {"sqlite_utils", "click", "httpx", "rich"} & set(modules)


@settings(max_examples=25)
@given(polls=poll_lists(), cut=st.integers(0, 14), crashed=st.booleans())
def test_a_restart_anywhere_gives_the_same_timeline(polls: list[Poll], cut: int, crashed: bool) -> None:
    """Killed or stopped between two polls and started again: only the reason of a gap may differ."""
    window = Window(0, 500)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        _written(path, polls[:cut], None if crashed else EndReason.SHUTDOWN)
        writer = HistoryWriter.open(path, RUN)
        state = writer.resumed
        for poll in polls[cut:]:
            agents = {agent_id: Agent(agent_id, f"Agent {agent_id}") for agent_id in poll.readings}
            state, facts = advance(state, poll, agents, PACE)
            writer.append(facts)
        writer.close(500, EndReason.SHUTDOWN)
        found = _read(path, window)
    whole = replace(history(polls), window=window)
    for name in ("timeline", "summary", "transitions"):
        assert _rows(name, found, window) == _rows(name, whole, window)
