"""`history rebuild`: what is derived is made anew, and no report changes."""

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from exporter.history.care.derived import rebuild
from exporter.history.opening import opened_for_care
from exporter.history.window import Window
from tests.support.care import START, change, contents, copied, failed, record, reports_on
from tests.support.cli import run
from tests.support.history_files import FailingConnection
from tests.support.lives import END, Step, lives
from tests.support.lives import record as record_life

HOUR = Window(START, START + 3_600_000)
FACTS = ("run", "source", "coverage", "status", "agent", "agent_version", "tracking", "transition", "incident", "purge")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


def test_facts_and_reports_stay_what_they_are(path: Path) -> None:
    facts, said = contents(path, FACTS), reports_on(path, HOUR)
    done = run("history", "rebuild", "--db", str(path))
    # Ten transitions are far fewer than a checkpoint is worth.
    assert (done.code, done.out, done.err) == (0, "", "made anew from the facts: 0 checkpoints\n")
    assert contents(path, FACTS) == facts
    assert reports_on(path, HOUR) == said
    assert failed(path) == []


@settings(max_examples=max(20, settings().max_examples // 5))
@given(lives())
def test_invariant_4_idempotence_rebuilding_twice_is_rebuilding_once(life: list[Step]) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        record_life(path, life, checkpoint_after=lambda _: 3)
        said = reports_on(path, Window(0, END))
        for _ in range(2):
            with opened_for_care(path, now_ms=START, program="0.2.0") as connection:
                rebuild(connection)
            assert reports_on(path, Window(0, END)) == said
            assert failed(path) == []
        once = contents(path)
        with opened_for_care(path, now_ms=START, program="0.2.0") as connection:
            rebuild(connection)
        assert contents(path) == once


def test_failing_at_any_statement_it_has_made_everything_anew_or_nothing(path: Path, tmp_path: Path) -> None:
    before, after = contents(path), contents(path) | {"checkpoint": [], "carried": [], "total": []}
    for statement in range(100):
        trial = copied(path, tmp_path / "trial.db")
        with opened_for_care(trial, now_ms=START, program="0.2.0", connection_type=FailingConnection) as connection:
            assert isinstance(connection, FailingConnection)
            connection.countdown = statement
            try:
                rebuild(connection)
            except sqlite3.OperationalError:
                pass
            else:
                break
        assert contents(trial) in (before, after)
    assert statement > 5


def test_checkpoints_that_lie_are_put_right(path: Path) -> None:
    said = reports_on(path, HOUR)
    change(path, "DELETE FROM carried")
    assert failed(path) == ["derived data"]
    assert run("history", "rebuild", "--db", str(path)).code == 0
    assert failed(path) == []
    assert reports_on(path, HOUR) == said
