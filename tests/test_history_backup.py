"""`history backup`: a copy of one instant, whole and checked or not there at all, while the original is written."""

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from exporter.errors import DatabaseError, UsageError
from exporter.history.care.backup import back_up, backup_target
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import AVAILABLE, BUSY, EndReason, Poll
from exporter.tracker import advance
from tests.support.care import (
    MORNING,
    PACE,
    PEOPLE,
    RUN,
    START,
    change,
    contents,
    failed,
    query,
    record,
    reports_on,
    second,
)
from tests.support.cli import run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_backup_says_what_the_original_says_and_only_its_owner_can_read_it(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    target = tmp_path / "backup.db"
    old = os.umask(0)
    try:
        size = back_up(path, target)
    finally:
        os.umask(old)
    assert size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert contents(target) == contents(path)
    window = Window(START, START + 3_600_000)
    assert reports_on(target, window) == reports_on(path, window)
    assert failed(target) == []
    assert path.read_bytes() == before
    assert names(tmp_path) == ["backup.db", "history.db"]


def test_a_backup_is_one_file_that_serve_can_go_on_with(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    back_up(path, target)
    assert query(target, "PRAGMA journal_mode") == [("delete",)]
    writer = HistoryWriter.open(target, RUN)
    assert writer.resumed.agents.keys() == {"1001", "1002"}
    writer.close(START, EndReason.SHUTDOWN)


def test_while_a_writer_writes_the_backup_is_of_one_instant(tmp_path: Path) -> None:
    """A poll is in it whole or not at all, and it ends though a poll is written every few milliseconds."""
    path = record(tmp_path / "history.db", {30 * n: MORNING[30 if n % 2 else 600] for n in range(300)}, every=50)
    stop, started = threading.Event(), threading.Event()
    polls: list[int] = []

    def work() -> None:
        writer = HistoryWriter.open(path, RunInfo("0.1.0", "host", "boot", 2, START), checkpoint_after=lambda _: 50)
        state, number = writer.resumed, 300
        while not stop.is_set():
            readings = {"1001": BUSY if number % 2 else AVAILABLE, "1002": AVAILABLE if number % 2 else BUSY}
            poll = Poll(START + number * 30_000, second(number * 30), readings)
            state, facts = advance(state, poll, PEOPLE, PACE)
            writer.append(facts)
            polls.append(number)
            if len(polls) > 1:  # the first may change one agent only
                started.set()
            number += 1
        writer.close(START, EndReason.SHUTDOWN)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert started.wait(30)
        for number in range(3):
            back_up(path, tmp_path / f"{number}.db")
        written = len(polls)
    finally:
        stop.set()
        thread.join()
    assert written > 3
    counts = []
    for number in range(3):
        target = tmp_path / f"{number}.db"
        assert failed(target) == []
        (count,) = query(target, "SELECT sum(polls) FROM coverage")[0]
        # Both agents change with each poll.
        assert query(target, "SELECT count(*) FROM transition WHERE seen = (SELECT max(last) FROM coverage)") == [(2,)]
        counts.append(count)
    assert counts == sorted(counts)
    assert failed(path) == []


def test_what_the_log_of_a_dead_writer_holds_is_in_the_backup(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = HistoryWriter.open(path, RUN)
    writer.append(advance(writer.resumed, Poll(START, second(0), MORNING[0]), PEOPLE, PACE)[1])
    alive = tmp_path / "dead.db"
    for suffix in ("", "-wal"):
        Path(f"{alive}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    writer.abandon()
    back_up(alive, tmp_path / "backup.db")
    assert query(tmp_path / "backup.db", "SELECT count(*) FROM transition") == [(3,)]


def test_a_file_of_an_older_version_can_be_backed_up(tmp_path: Path) -> None:
    path = tmp_path / "v1.db"
    path.write_bytes((Path(__file__).parent / "data" / "history" / "v1.db").read_bytes())
    back_up(path, tmp_path / "backup.db")
    assert query(tmp_path / "backup.db", "PRAGMA user_version") == [(1,)]


def test_of_a_damaged_file_no_backup_is_made(path: Path, tmp_path: Path) -> None:
    change(path, f"DELETE FROM transition WHERE seen = {second(30)}")
    target = tmp_path / "backup.db"
    target.write_bytes(b"an older backup")
    with pytest.raises(DatabaseError) as raised:
        back_up(path, target)
    assert str(raised.value).startswith(f"no backup was made, for the history database {path} is damaged (transitions:")
    assert str(raised.value).endswith("history check tells more, and history export saves what can be read")
    assert target.read_bytes() == b"an older backup"
    assert names(tmp_path) == ["backup.db", "history.db"]


def test_derived_data_that_are_wrong_prevent_no_backup(path: Path, tmp_path: Path) -> None:
    change(path, "UPDATE checkpoint SET transitions = 0")
    back_up(path, tmp_path / "backup.db")
    assert failed(tmp_path / "backup.db") == ["derived data"]


@pytest.mark.parametrize("bytes_left", [100, 8192])
def test_a_file_that_was_cut_off_is_refused(bytes_left: int, path: Path, tmp_path: Path) -> None:
    os.truncate(path, bytes_left)
    with pytest.raises(DatabaseError, match="is damaged"):
        back_up(path, tmp_path / "backup.db")
    assert names(tmp_path) == ["history.db"]


def test_a_full_disk_leaves_nothing_behind(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def small(database: object, *arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(database, *arguments, **options)  # type: ignore[call-overload]
        if str(database).endswith(".part"):
            connection.execute("PRAGMA max_page_count = 3")
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", small)
    target = tmp_path / "backup.db"
    with pytest.raises(DatabaseError) as raised:
        back_up(path, target)
    assert str(raised.value).startswith(f"cannot write the backup {target} (")
    assert names(tmp_path) == ["history.db"]


# --- where it goes ----------------------------------------------------------------------------------------------------


def test_the_database_itself_is_no_place_for_its_backup(path: Path, tmp_path: Path) -> None:
    (link := tmp_path / "link.db").symlink_to(path)
    (hard := tmp_path / "hard.db").hardlink_to(path)
    for target in (path, link, hard):
        with pytest.raises(UsageError, match="is the database itself"):
            backup_target(path, target)


def test_a_database_that_is_open_is_no_place_for_a_backup(path: Path, tmp_path: Path) -> None:
    other = record(tmp_path / "other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("SELECT * FROM run").fetchall()
        connection.execute("CREATE TABLE note (text TEXT)")
        with pytest.raises(DatabaseError, match=r"beside it lies other\.db-wal, so a database of this name is open"):
            backup_target(path, other)


def test_what_is_no_file_and_what_is_nowhere_is_no_place_for_a_backup(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="it is not a file"):
        backup_target(path, tmp_path)
    with pytest.raises(DatabaseError, match="does not exist"):
        backup_target(path, tmp_path / "none" / "backup.db")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_makes_a_backup_and_asks_before_it_replaces_one(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    done = run("history", "backup", str(target), "--db", str(path))
    assert (done.code, done.out) == (0, "")
    assert done.err == f"{target}: {target.stat().st_size} bytes, checked\n"
    target.write_bytes(b"old")
    done = run("history", "backup", str(target), "--db", str(path))
    assert (done.code, target.read_bytes()) == (1, b"old")
    assert f"nothing was done, for this asks first (Replace {target}?)" in done.err
    assert run("history", "backup", str(target), "--db", str(path), "--yes").code == 0
    assert failed(target) == []
