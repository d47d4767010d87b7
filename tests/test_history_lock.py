"""Who may write a history database: one process, for as long as it lives."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.errors import DatabaseError
from exporter.history.lock import WriterLock
from exporter.history.writer import HistoryWriter
from exporter.model import BUSY, EndReason
from tests.support.history_files import RUN, START, facts_of, poll

ROOT = Path(__file__).parent.parent


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the database open for writing."""
    command = [sys.executable, "-m", "tests.support.history_files", "hold", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_which_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with another_process(path) as other:
        with pytest.raises(DatabaseError) as refused:
            HistoryWriter.open(path, RUN)
        assert str(refused.value) == (
            f"the history database {path} is being written by another zohovoice-exporter (process {other.pid});"
            " stop it first or choose another file with --db"
        )


def test_the_lock_dies_with_its_process_however_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with another_process(path) as other:
        other.kill()
        other.wait()
        assert (tmp_path / "history.db.lock").exists()
        HistoryWriter.open(path, RUN).close(START, EndReason.SHUTDOWN)


def test_a_second_writer_in_the_same_process_is_refused_too_and_does_the_first_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    first = HistoryWriter.open(path, RUN)
    with pytest.raises(DatabaseError, match=rf"written by another zohovoice-exporter \(process {os.getpid()}\)"):
        HistoryWriter.open(path, RUN)
    assert first.append(facts_of([poll(1, a1=BUSY)])[0]) == 1
    first.close(START, EndReason.SHUTDOWN)


def test_a_symbolic_link_to_the_database_shares_its_lock(tmp_path: Path) -> None:
    path, link = tmp_path / "history.db", tmp_path / "link.db"
    link.symlink_to(path)
    first = HistoryWriter.open(path, RUN)
    with pytest.raises(DatabaseError, match=f"the history database {path} is being written by another"):
        HistoryWriter.open(link, RUN)
    first.close(START, EndReason.SHUTDOWN)


def test_the_lock_file_is_its_owners_and_goes_when_the_lock_does(tmp_path: Path) -> None:
    lock = WriterLock.acquire(tmp_path / "history.db")
    file = tmp_path / "history.db.lock"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == str(os.getpid())
    lock.release()
    lock.release()
    assert not file.exists()


def test_a_lock_file_that_was_removed_while_it_was_held_locks_nothing_any_more_but_still_lets_go(
    tmp_path: Path,
) -> None:
    lost = WriterLock.acquire(tmp_path / "history.db")
    (tmp_path / "history.db.lock").unlink()
    second = WriterLock.acquire(tmp_path / "history.db")
    second.release()
    lost.release()


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    path, lock, victim = tmp_path / "history.db", tmp_path / "history.db.lock", tmp_path / "victim"
    lock.symlink_to(victim)
    with pytest.raises(DatabaseError) as refused:
        HistoryWriter.open(path, RUN)
    assert str(refused.value) == (f"cannot lock the history database {path}: {lock} is a symbolic link; remove it")
    assert not victim.exists()
