"""The history file: what it is made of, how an old one is brought up to date, and which files are refused."""

import json
import os
import shlex
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import DatabaseError
from exporter.history.migrations import MIGRATIONS
from exporter.history.schema import (
    AGENT_BITS,
    AGENT_MASK,
    APPLICATION_ID,
    SCHEMA_VERSION,
    STATE_AT,
    TABLES,
    TRANSITION,
    VERSION_1,
)
from exporter.history.writer import HistoryWriter
from exporter.model import EndReason
from tests.data.history.freeze import said
from tests.support.history_files import RUN, START, THREE_POLLS, facts_of
from tests.support.others import open_to_others

FROZEN = Path(__file__).parent / "data" / "history"
"""`v1.db` holds THREE_POLLS, with checkpoints; made by `python -m tests.data.history.freeze` when v1 was finished."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def begin(path: Path, mode: int = 0o600) -> None:
    """Create the database, or open it again, and write a poll."""
    writer = HistoryWriter.open(path, RUN, mode=mode)
    if writer.resumed.stretch is None:
        writer.append(facts_of(THREE_POLLS)[0])
    writer.close(START + 3_600_000, EndReason.SHUTDOWN)


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def refusal(path: Path) -> str:
    """What the writer says to a file that it must leave as it is."""
    content, mode = path.read_bytes(), path.stat().st_mode
    with pytest.raises(DatabaseError) as refused:
        HistoryWriter.open(path, RUN)
    assert path.read_bytes() == content
    assert path.stat().st_mode == mode
    assert not path.with_name(path.name + ".lock").exists()
    return str(refused.value)


# --- what it is made of ----------------------------------------------------------------------------------------------


def test_a_new_file_says_whose_it_is_which_version_and_who_made_it(path: Path) -> None:
    begin(path)
    assert query(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert query(path, "SELECT * FROM migration") == [
        (1, "first_version", START, "0.1.0"),
        (2, "sources_and_water_marks", START, "0.1.0"),
    ]


def test_there_is_a_migration_for_each_version() -> None:
    assert len(MIGRATIONS) == SCHEMA_VERSION


def test_the_tables_are_those_that_are_named(path: Path) -> None:
    begin(path)
    assert {name for (name,) in query(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")} == TABLES


def test_the_queries_agree_on_how_many_bits_hold_the_agent() -> None:
    assert AGENT_BITS == 20
    assert AGENT_MASK == 0xFFFFF
    assert STATE_AT.count(f"<< {AGENT_BITS}") == 2
    assert f">> {AGENT_BITS}" in TRANSITION


def test_writing_is_durable_and_checks_references(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    assert writer._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert writer._connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    writer.abandon()


@pytest.mark.parametrize(
    "untruth",
    [
        "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (1, 1, 0, 0)",
        "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (1, 1, 0, NULL)",
        "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (1, 1, NULL, 5)",
        "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (1, 1, 1, 5)",
        "INSERT INTO coverage VALUES (9, 0, 1, 5, 6, 7, 8, -1, 10, 25, 'crash', NULL)",
        "INSERT INTO coverage VALUES (9, 0, 1, 7, 6, 7, 8, 2, 10, 25, 'crash', NULL)",
        "INSERT INTO coverage VALUES (9, 0, 1, 5, 6, 9, 8, 2, 10, 25, 'crash', NULL)",
        "INSERT INTO coverage VALUES (9, 0, 1, 1, 6, 1, 5, 2, 10, 25, 'crash', NULL)",
        "INSERT INTO coverage VALUES (9, 0, 1, 5, 6, 7, 8, 1, 10, 25, 'crash', NULL)",
        "INSERT INTO coverage VALUES (9, 0, 1, 5, 6, 7, 8, 2, 0, 25, 'crash', NULL)",
        "INSERT INTO coverage VALUES (9, 0, 1, 5, 6, 7, 8, 2, 10, 25, 'crash', 6)",
        "INSERT INTO coverage VALUES (9, 3, 1, 5, 6, 7, 8, 2, 10, 25, 'crash', NULL)",
        "INSERT INTO coverage VALUES (9, 0, 7, 5, 6, 7, 8, 2, 10, 25, 'crash', NULL)",
        "INSERT INTO tracking VALUES (1, 9, 8, 8, 0)",
        "INSERT INTO tracking VALUES (1, 9, 10, 11, 0)",
        "INSERT INTO tracking VALUES (1, 9, 10, 10, 3)",
        "INSERT INTO tracking VALUES (7, 9, NULL, NULL, 0)",
        "INSERT INTO tracking VALUES (1, 9, NULL, NULL, 0)",  # it is tracked already
        "INSERT INTO status VALUES (9, 3, 'unknown')",
        "INSERT INTO status VALUES (9, 0, 'Available')",
        "INSERT INTO agent VALUES (1048576, '99', 0)",
        "INSERT INTO agent VALUES (9, '1', 0)",
        "INSERT INTO source VALUES (0, 'polls', 'other.csv', '', 1, '')",
        "INSERT INTO source VALUES (3, 'polls', NULL, NULL, NULL, NULL)",
        "INSERT INTO source VALUES (3, 'hearsay', 'other.csv', '', 1, '')",
        "INSERT INTO purge VALUES (1, 5, 'before', NULL, '')",
        "INSERT INTO purge VALUES (1, 5, 'agent', 7, '')",
        "INSERT INTO run VALUES (9, 1, '', '', '', 1, NULL, 'crash')",
        "INSERT INTO incident VALUES (1, 'yesterday', '', '', 1)",
    ],
)
def test_what_cannot_be_true_cannot_be_stored(path: Path, untruth: str) -> None:
    begin(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(untruth)


@pytest.mark.parametrize(
    "second",
    [
        "INSERT INTO run VALUES (NULL, 1, '', '', '', 1, NULL, NULL)",
        "INSERT INTO coverage VALUES (NULL, 0, 1, 5, 6, 7, 8, 2, 10, 25, NULL, NULL)",
    ],
)
def test_there_is_at_most_one_run_and_one_stretch_without_an_end(path: Path, second: str) -> None:
    begin(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(second)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(second.replace("5, 6, 7, 8", "9, 10, 11, 12"))


def test_a_transition_of_a_thousand_agents_takes_less_than_twenty_bytes() -> None:
    """50,000 of them, five a poll each 30 s; half of the statuses left or entered are the two commonest."""
    changes = ((0, 1), (1, 0), (0, 3), (3, 1), (2, 4))
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in VERSION_1:
            connection.execute(statement)

        def pages() -> int:
            (count,) = connection.execute("PRAGMA page_count").fetchone()
            return int(count)

        empty = pages()
        connection.executemany(
            "INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES (?, ?, ?, ?)",
            [
                (START + poll * 30_000 << AGENT_BITS | poll % 200 * 5 + number, *changes[number], 30_350)
                for poll in range(10_000)
                for number in range(5)
            ],
        )
        assert 19 < (pages() - empty) * 4096 / 50_000 < 20


# --- who may read it -------------------------------------------------------------------------------------------------


def modes(path: Path) -> dict[str, str]:
    return {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in path.parent.iterdir()}


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The least careful umask."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_the_database_and_the_files_beside_it_have_the_mode_that_was_asked_for(path: Path, mode: int) -> None:
    writer = HistoryWriter.open(path, RUN, mode=mode)
    writer.append(facts_of(THREE_POLLS)[0])
    assert modes(path) == {
        "history.db": oct(mode),
        "history.db-wal": oct(mode),
        "history.db-shm": oct(mode),
        "history.db.lock": "0o600",
    }
    writer.abandon()


@pytest.mark.usefixtures("open_umask")
def test_a_new_database_is_its_owners_from_its_first_byte_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[int] = []
    real: Callable[[int, int], None] = os.fchmod

    def watch(descriptor: int, mode: int) -> None:
        created.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", watch)
    begin(path, 0o644)
    assert created == [0o600]


def test_an_existing_database_is_given_the_mode_and_so_is_what_a_crash_left_beside_it(path: Path) -> None:
    begin(path, 0o644)
    wal = path.with_name("history.db-wal")
    wal.touch(0o644)
    writer = HistoryWriter.open(path, RUN, mode=0o600)
    assert set(modes(path).values()) == {"0o600"}
    writer.abandon()


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_text("agent,status\n" * 100)
    path.chmod(0o644)
    assert refusal(path) == (f"{path} is not an SQLite database and is left as it is; choose another file with --db")


def test_another_applications_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE places (id INTEGER PRIMARY KEY, url TEXT)")
        connection.commit()
    assert refusal(path) == (
        f"{path} is the database of another application and is left as it is; choose another file with --db"
    )


def test_a_database_made_by_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    begin(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert refusal(path) == (
        f"the history database {path} was made by a newer version of zohovoice-exporter (its schema is 99, this program"
        f" knows {SCHEMA_VERSION}); upgrade this program or choose another file with --db"
    )


def left_as_it_is(path: Path) -> str:
    return (
        f"and is left as it is: run zohovoice-exporter history check --db {path} to see what is damaged and"
        f" zohovoice-exporter history export --db {path} to save what can be read, then restore a backup,"
        " or move the file away to begin a new history"
    )


def test_a_damaged_database_is_refused_and_left_as_it_is(path: Path) -> None:
    begin(path)
    content = bytearray(path.read_bytes())
    content[100:200] = b"\xff" * 100  # the page that says which tables there are
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(f"the history database {path} is damaged (")
    assert message.endswith(f") {left_as_it_is(path)}")


def test_a_database_cut_short_is_refused_and_left_as_it_is(path: Path) -> None:
    begin(path)
    path.write_bytes(path.read_bytes()[:8192])
    assert refusal(path) == (
        f"the history database {path} is damaged (database disk image is malformed) {left_as_it_is(path)}"
    )


def test_the_command_for_a_damaged_database_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "Ann's history.db"
    begin(path)
    path.write_bytes(path.read_bytes()[:8192])
    command = refusal(path).partition(": run ")[2].partition(" to see")[0]
    assert shlex.split(command) == ["zohovoice-exporter", "history", "check", "--db", str(path)]


def test_a_table_whose_name_cannot_be_read_is_damage(path: Path) -> None:
    begin(path)
    path.write_bytes(path.read_bytes().replace(b"carried", b"c\xe4rried"))
    assert refusal(path).startswith(f"the history database {path} is damaged (")


def test_a_database_that_lacks_a_table_is_damaged(path: Path) -> None:
    begin(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE incident")
    assert "is damaged (it lacks the table incident) and is left as it is" in refusal(path)


def test_a_database_that_contradicts_itself_is_damaged(path: Path) -> None:
    begin(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM transition")
        connection.commit()
    assert "is damaged (the status of agent 1 is missing) and is left as it is" in refusal(path)


def test_an_empty_file_becomes_a_history(path: Path) -> None:
    path.touch()
    begin(path)
    assert query(path, "SELECT count(*) FROM transition") == [(2,)]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "history.db"
    with pytest.raises(DatabaseError) as refused:
        HistoryWriter.open(path, RUN)
    assert str(refused.value) == (
        f"cannot open the history database {path}: the directory {path.parent} does not exist;"
        " create it or choose another file with --db"
    )


def test_a_directory_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as refused:
        HistoryWriter.open(tmp_path, RUN)
    assert str(refused.value) == (
        f"cannot open the history database {tmp_path}: it is not a file; choose another file with --db"
    )


def test_a_loop_of_links_is_not_a_database(path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(DatabaseError, match=f"^cannot open the history database {path} "):
        HistoryWriter.open(path, RUN)


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[None]:
    """Give up the powers of the superuser, to whom no permission is denied; the path to `tmp_path` stays open."""
    if os.geteuid() != 0:
        yield
        return
    open_to_others(tmp_path)
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_directory_that_may_not_be_written_is_said_to_be_the_reason(
    path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("as_nobody")
    if os.getuid() != 0:
        path.parent.chmod(0o555)
    with pytest.raises(DatabaseError) as refused:
        HistoryWriter.open(path, RUN)
    assert str(refused.value) == (
        f"cannot write the history database {path}: {path}.lock cannot be created or opened (Permission denied);"
        " change the permissions or choose another file with --db"
    )


def test_a_file_that_may_only_be_read_is_said_to_be_so(path: Path, request: pytest.FixtureRequest) -> None:
    begin(path)
    path.chmod(0o444)
    request.getfixturevalue("as_nobody")
    if os.getuid() == 0:
        os.seteuid(0)
        path.parent.chmod(0o777)
        os.seteuid(65534)
        with pytest.raises(DatabaseError) as refused:
            HistoryWriter.open(path, RUN)
        assert str(refused.value) == (
            f"cannot give the history database {path} the permissions 0600 (Operation not permitted);"
            " run as its owner or choose another file with --db"
        )
    else:
        begin(path)  # its owner may give it the mode it should have
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- older versions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_frozen_file_of_each_version_is_brought_up_to_date_and_says_the_same(path: Path, version: int) -> None:
    shutil.copyfile(FROZEN / f"v{version}.db", path)
    writer = HistoryWriter.open(path, RUN)
    words = {agent_id: tracked.status.word for agent_id, tracked in writer.resumed.agents.items()}
    assert words == {"1": "On Call", "3": "Lunch"}
    assert writer.resumed_end is EndReason.SHUTDOWN
    assert writer.statistics().transitions == 5
    writer.abandon()
    assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert query(path, "SELECT version FROM migration") == [(number,) for number in range(1, SCHEMA_VERSION + 1)]
    # What the program of that version said of it; newer programs may say more.
    before = json.loads((FROZEN / f"v{version}.json").read_text())
    now = said(path)
    for name, rows in before.items():
        assert [{key: row[key] for key in old} for old, row in zip(rows, now[name], strict=True)] == rows, name


def test_a_frozen_file_of_this_version_has_the_schema_of_a_new_one(path: Path) -> None:
    begin(path)
    schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"
    assert query(FROZEN / f"v{SCHEMA_VERSION}.db", schema) == query(path, schema)


def test_a_migration_that_fails_leaves_the_version_before_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def add_nothing(database: Any) -> None:
        database.execute("CREATE TABLE half (id INTEGER)")
        raise sqlite3.OperationalError("disk I/O error")

    begin(path)
    before = query(path, "SELECT * FROM sqlite_schema")
    monkeypatch.setattr("exporter.history.migrations.MIGRATIONS", (*MIGRATIONS, add_nothing))
    with pytest.raises(DatabaseError):
        HistoryWriter.open(path, RUN)
    assert query(path, "SELECT * FROM sqlite_schema") == before
    assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_a_migration_that_succeeds_is_recorded_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def add_a_table(database: Any) -> None:
        database.execute("CREATE TABLE added (id INTEGER)")

    begin(path)
    with monkeypatch.context() as patched:
        patched.setattr("exporter.history.migrations.MIGRATIONS", (*MIGRATIONS, add_a_table))
        patched.setattr("exporter.history.connection.SCHEMA_VERSION", SCHEMA_VERSION + 1)
        begin(path)
        begin(path)
    assert query(path, "SELECT version, name FROM migration") == [
        (1, "first_version"),
        (2, "sources_and_water_marks"),
        (3, "add_a_table"),
    ]
    assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]
