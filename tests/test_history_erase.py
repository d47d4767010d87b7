"""`history purge --agent`: a person is forgotten, or only who they were, and nobody else's numbers change."""

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from exporter.errors import UsageError
from exporter.history.care.erase import Erased, choose_agent, erase_agent, find_agent, pseudonymise_agent
from exporter.history.filters import Selection
from exporter.history.opening import opened_for_care
from exporter.history.window import Window
from tests.support.care import START, change, contents, copied, failed, query, record, reports_on, second
from tests.support.history_files import FailingConnection
from tests.support.lives import END, Step, lives
from tests.support.lives import record as record_life

LATER = START + 86_400_000
PSEUDONYM = "erased-0123456789abcdef"


def erase(path: Path, wanted: str, *, batch: int = 20_000) -> Erased:
    with opened_for_care(path, now_ms=LATER, program="0.2.0") as connection:
        agent_id = find_agent(connection, wanted)
        return erase_agent(connection, agent_id, now_ms=LATER, program="0.2.0", batch=batch)


def pseudonymise(path: Path, wanted: str) -> Erased:
    with opened_for_care(path, now_ms=LATER, program="0.2.0") as connection:
        agent_id = find_agent(connection, wanted)
        return pseudonymise_agent(connection, agent_id, PSEUDONYM, now_ms=LATER, program="0.2.0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


def test_erasing_removes_every_row_of_a_person_and_says_nothing_of_whom(path: Path) -> None:
    # Ann: Available, On Call, Busy, Available, Busy.
    assert erase(path, "1001") == Erased(transitions=5, spells=1, descriptions=1, still_tracked=True)
    for table, rows in contents(path).items():
        assert "1001" not in repr(rows), table
        assert "Ann" not in repr(rows), table
    content = path.read_bytes()
    assert b"1001" not in content
    assert b"Ann Schmidt" not in content
    assert query(path, "SELECT done, kind, before, program FROM purge") == [(LATER, "agent", None, "0.2.0")]
    assert failed(path) == []


def test_who_has_left_is_not_said_to_be_recorded_anew(path: Path) -> None:
    assert erase(path, "Cleo Silva") == Erased(transitions=1, spells=1, descriptions=1, still_tracked=False)


@settings(max_examples=max(20, settings().max_examples // 5))
@given(lives())
def test_erasing_one_changes_no_report_on_the_others(life: list[Step]) -> None:
    with TemporaryDirectory() as directory:
        before, after = Path(directory) / "before.db", Path(directory) / "after.db"
        record_life(before, life, checkpoint_after=lambda _: 3)
        copied(before, after)
        known = [agent_id for (agent_id,) in query(before, "SELECT agent_id FROM agent ORDER BY agent_id")]
        erase(after, known[0], batch=3)
        others = Selection(agents=tuple(known[1:]))
        window = Window(0, END)
        if known[1:]:
            assert reports_on(after, window) == reports_on(before, window, others)
        assert failed(after) == []


@settings(max_examples=max(20, settings().max_examples // 5))
@given(lives())
def test_a_pseudonym_changes_no_total(life: list[Step]) -> None:
    with TemporaryDirectory() as directory:
        before, after = Path(directory) / "before.db", Path(directory) / "after.db"
        record_life(before, life, checkpoint_after=lambda _: 3)
        copied(before, after)
        (agent_id,) = query(before, "SELECT min(agent_id) FROM agent")[0]
        pseudonymise(after, agent_id)
        window = Window(0, END)

        def totals(path: Path) -> list[tuple[object, ...]]:
            return sorted(
                (
                    PSEUDONYM if row["agent_id"] == agent_id else row["agent_id"],
                    *(row[key] for key in ("status", "duration_seconds", "min_seconds", "max_seconds", "stays")),
                )
                for row in reports_on(path, window)["summary"][1]
            )

        assert totals(after) == totals(before)
        assert failed(after) == []


def test_a_pseudonym_stands_for_the_id_and_every_name_and_the_teams_stay(path: Path) -> None:
    change(
        path,
        f"INSERT INTO agent_version SELECT id, {second(40)}, 'Ann Smith', 'Sales' FROM agent WHERE agent_id = '1001'",
        f"INSERT INTO agent_version SELECT id, {second(50)}, 'Ann Smith', 'Support' FROM agent WHERE agent_id = '1001'",
    )
    found = pseudonymise(path, "ann smith")
    assert found == Erased(transitions=0, spells=1, descriptions=3, still_tracked=True)
    # That the name changed at 40 s is personal too.
    assert query(
        path, "SELECT agent_id, name, team, valid_from FROM agent JOIN agent_version ON agent = id WHERE name LIKE 'e%'"
    ) == [(PSEUDONYM, PSEUDONYM, "Sales", second(0)), (PSEUDONYM, PSEUDONYM, "Support", second(50))]
    content = path.read_bytes()
    assert b"1001" not in content
    assert b"Ann S" not in content
    assert query(path, "SELECT kind, before FROM purge") == [("pseudonym", None)]


def test_all_lanes_of_a_person_are_erased(path: Path) -> None:
    change(
        path,
        "INSERT INTO agent VALUES (9, '1001', 1)",
        "INSERT INTO tracking VALUES (9, 1, 9, 9, 0)",
        f"INSERT INTO transition (moment, to_status) VALUES ({1 << 20 | 9}, 1)",
        "INSERT INTO agent_version VALUES (9, 1, 'Ann of the import', '')",
    )
    assert erase(path, "Ann of the import").transitions == 6
    assert query(path, "SELECT agent_id FROM agent ORDER BY 1") == [("1002",), ("1003",)]


def test_failing_at_any_statement_nothing_is_erased(path: Path, tmp_path: Path) -> None:
    before = contents(path)
    for statement in range(100):
        trial = copied(path, tmp_path / "trial.db")
        with opened_for_care(trial, now_ms=LATER, program="0.2.0", connection_type=FailingConnection) as connection:
            assert isinstance(connection, FailingConnection)
            connection.countdown = statement
            try:
                erase_agent(connection, "1001", now_ms=LATER, program="0.2.0", batch=3)
            except sqlite3.OperationalError:
                pass
            else:
                break
        assert contents(trial) == before
    assert statement > 15


NAMES = [("1", "Ann"), ("1", "Ann Smith"), ("2", "Ben"), ("3", "ben"), ("4", "4711"), ("4711", "Dora"), ("5", "")]


@pytest.mark.parametrize(
    ("wanted", "agent_id"),
    [("1", "1"), ("ann", "1"), ("ANN SMITH", "1"), ("4711", "4711"), ("dora", "4711")],
)
def test_an_agent_is_found_by_id_or_by_any_whole_name(wanted: str, agent_id: str) -> None:
    assert choose_agent(NAMES, wanted) == agent_id


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("Ben", "--agent 'Ben' is the name of 2 agents (2, 3): give the id of one"),
        ("A*", "--agent 'A*' is nobody in this history: give one agent's whole id or whole name, no pattern"),
        ("*", "--agent '*' is nobody in this history: give one agent's whole id or whole name, no pattern"),
        ("", "--agent '' is nobody in this history: give one agent's whole id or whole name, no pattern"),
        ("Eve", "--agent 'Eve' is nobody in this history: give one agent's whole id or whole name, no pattern"),
    ],
)
def test_nobody_is_erased_by_a_pattern_or_a_name_that_several_bear(wanted: str, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        choose_agent(NAMES, wanted)
    assert str(raised.value) == sentence
