"""`history compact` and `history rebuild`: another file, or other derived data, and the same history."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from exporter.errors import DatabaseError
from exporter.history.care.compact import Compacted, compact
from exporter.history.opening import opened_for_care
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import EndReason
from tests.support.care import (
    MORNING,
    RUN,
    START,
    change,
    contents,
    failed,
    query,
    record,
    reports_on,
)
from tests.support.cli import run
from tests.support.history_files import FailingConnection

HOUR = Window(START, START + 3_600_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file most of which is free."""
    path = record(tmp_path / "history.db", {30 * n: MORNING[30 if n % 2 else 600] for n in range(60)}, every=50)
    return change(
        path, "CREATE TABLE waste (text TEXT)", "INSERT INTO waste VALUES (zeroblob(1000000))", "DROP TABLE waste"
    )


def compacted(path: Path, **options: object) -> Compacted:
    with opened_for_care(path, now_ms=START, program="0.2.0") as connection:
        return compact(connection, path, **options)  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_the_new_file_is_smaller_and_says_the_same(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    rows, said, size = contents(path), reports_on(path, HOUR), path.stat().st_size
    done = compacted(path)
    assert done == Compacted(size, path.stat().st_size)
    assert size > 1_000_000 > path.stat().st_size
    assert contents(path) == rows
    assert reports_on(path, HOUR) == said
    assert failed(path) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["history.db"]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


def test_the_recorder_goes_on_with_the_new_file(path: Path) -> None:
    compacted(path)
    writer = HistoryWriter.open(path, RUN)
    assert writer.resumed.agents.keys() == {"1001", "1002", "1003"}
    writer.close(START, EndReason.SHUTDOWN)
    assert failed(path) == []


def test_a_log_that_a_crash_has_left_is_in_the_new_file_and_not_beside_it(path: Path, tmp_path: Path) -> None:
    dead = tmp_path / "dead.db"
    writer = HistoryWriter.open(path, RUN)
    for suffix in ("", "-wal"):
        Path(f"{dead}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    writer.abandon()
    assert Path(f"{dead}-wal").stat().st_size
    compacted(dead)
    assert names(tmp_path) == ["dead.db", "history.db"]
    assert query(dead, "SELECT count(*) FROM run") == [(2,)]


@pytest.mark.parametrize("statement", ["SELECT * FROM run", "BEGIN IMMEDIATE"])
def test_a_file_that_somebody_has_open_is_left_as_it_is(statement: str, path: Path) -> None:
    rows = contents(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(statement).fetchall()
        with pytest.raises(DatabaseError) as raised:
            compacted(path)
        assert str(raised.value) == (
            f"cannot compact the history database {path}: another program has it open; close it there and try again; "
            "nothing was changed"
        )
        assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert contents(path) == rows


def test_without_room_on_the_disk_nothing_is_changed(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(DatabaseError) as raised:
        compacted(path, free_bytes=lambda folder: 1000 if folder == tmp_path else 10**12)
    assert "the disk has 1000 left; make room on it; nothing was changed" in str(raised.value)
    assert path.read_bytes() == before


def test_failing_at_any_statement_the_file_is_whole_and_nothing_lies_beside_it(path: Path, tmp_path: Path) -> None:
    rows = contents(path)
    for statement in range(60):
        with opened_for_care(path, now_ms=START, program="0.2.0", connection_type=FailingConnection) as connection:
            assert isinstance(connection, FailingConnection)
            connection.countdown = statement
            try:
                compact(connection, path)
            except (sqlite3.OperationalError, DatabaseError):
                pass
            else:
                break
        assert contents(path) == rows
        assert names(tmp_path) == ["history.db"]
        assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert statement > 8


def test_a_damaged_file_is_not_compacted(path: Path, tmp_path: Path) -> None:
    change(path, "DELETE FROM transition WHERE moment = (SELECT moment FROM transition LIMIT 1 OFFSET 20)")
    before = contents(path)
    with pytest.raises(DatabaseError, match=r"is damaged \(transitions: .*so it was not compacted"):
        compacted(path)
    assert contents(path) == before
    assert names(tmp_path) == ["history.db"]


def test_what_somebody_put_beside_our_tables_is_kept(path: Path) -> None:
    change(path, "CREATE TABLE note (text TEXT)", "INSERT INTO note VALUES ('mine')")
    compacted(path)
    assert query(path, "SELECT text FROM note") == [("mine",)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give files away")
def test_the_new_file_belongs_to_whom_the_old_one_belonged(path: Path) -> None:
    os.chown(path, 65534, 65534)
    compacted(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


def test_the_command_tells_the_bytes_before_and_after(path: Path) -> None:
    size = path.stat().st_size
    done = run("history", "compact", "--db", str(path))
    assert (done.code, done.out) == (0, "")
    assert done.err == f"{path}: {size} bytes before, {path.stat().st_size} bytes after\n"
