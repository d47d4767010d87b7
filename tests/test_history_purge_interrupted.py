"""A purge that fails or is killed at any statement: what is left is right, and the next purge finishes it."""

import sqlite3
from pathlib import Path

import pytest

from exporter.history.care.check import check_file
from exporter.history.care.purge import purge_before
from exporter.history.opening import opened_for_care
from exporter.history.window import Window
from tests.support.care import START, WatchedConnection, contents, copied, failed, query, record, reports_on, second
from tests.support.history_files import FailingConnection

LATER = START + 86_400_000


def purge(path: Path, before: int, *, batch: int) -> None:
    with opened_for_care(path, now_ms=LATER, program="0.2.0") as connection:
        purge_before(connection, before, now_ms=LATER, program="0.2.0", batch=batch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


def test_failing_at_any_statement_it_leaves_a_file_that_says_the_same_and_is_finished_by_the_next(
    path: Path, tmp_path: Path
) -> None:
    cut = second(615)
    window, done = Window(cut, second(700)), tmp_path / "done.db"
    wanted = reports_on(path, window)
    purge(copied(path, done), cut, batch=2)
    for statement in range(200):
        trial = copied(path, tmp_path / "trial.db")
        if not _fails(trial, cut, statement):
            break
        assert reports_on(trial, window) == wanted
        assert failed(trial) == []
        # Whatever the next one is asked for.
        purge(trial, cut if statement % 2 or not query(trial, "SELECT 1 FROM purge") else second(10), batch=2)
        assert contents(trial) == contents(done)
    assert statement > 40


def _fails(path: Path, cut: int, statement: int) -> bool:
    """Whether a purge got so far as to that statement, which then failed."""
    with opened_for_care(path, now_ms=LATER, program="0.2.0", connection_type=FailingConnection) as connection:
        assert isinstance(connection, FailingConnection)
        connection.countdown = statement
        try:
            purge_before(connection, cut, now_ms=LATER, program="0.2.0", batch=2)
        except sqlite3.OperationalError:
            return True
    return False


def test_killed_at_any_statement_it_leaves_a_file_that_says_the_same(path: Path, tmp_path: Path) -> None:
    """What a kill leaves behind is file and log as they are at that moment."""
    cut = second(615)
    window = Window(cut, second(700))
    wanted = reports_on(path, window)
    seen: list[Path] = []

    def keep() -> None:
        seen.append(copied(path, tmp_path / f"{len(seen)}.db"))

    with opened_for_care(path, now_ms=LATER, program="0.2.0", connection_type=WatchedConnection) as connection:
        assert isinstance(connection, WatchedConnection)
        connection.watch = keep
        purge_before(connection, cut, now_ms=LATER, program="0.2.0", batch=2)
        connection.watch = None
    assert len(seen) > 40
    for trial in seen:
        assert reports_on(trial, window) == wanted
        assert failed(trial) == []


def test_waste_of_an_interrupted_purge_is_told_by_check(path: Path) -> None:
    for statement in range(200):
        if not _fails(path, second(615), statement):
            break
        if query(path, "SELECT 1 FROM purge"):
            told = [found.detail for found in check_file(path, now_ms=LATER) if found.check == "purge"]
            assert told == ["one was interrupted: run it again to finish it"]
            return
    pytest.fail("no interruption left waste")
