"""`history export`: every fact, of one instant, in a form that anybody can read; a file that was cut shows it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exporter.errors import DatabaseError
from exporter.history.schema import TABLES as ALL_TABLES
from exporter.history.transfer.export import export_lines
from exporter.history.transfer.format import TABLES
from exporter.history.transfer.progress import SilentProgress
from exporter.history.writer import HistoryWriter
from exporter.model import AVAILABLE, Agent, EndReason, Poll
from exporter.tracker import advance
from tests.support.care import MORNING, PACE, RUN, START, change, query, record
from tests.support.cli import Done, run
from tests.support.transfer import NOW, exported

DERIVED = {"checkpoint", "carried", "total"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


def lines(path: Path) -> list[str]:
    return list(export_lines(path, program="0.2.0", now=NOW, progress=SilentProgress()))


def export(path: Path, *arguments: str) -> Done:
    return run("history", "export", "--db", str(path), *arguments)


def test_every_table_of_facts_is_exported_with_all_that_is_stored_in_it(path: Path) -> None:
    assert {table.name for table in TABLES} == ALL_TABLES - DERIVED - {"migration"}
    for table in TABLES:
        stored = {name for _, name, *_, hidden in query(path, f"PRAGMA table_xinfo({table.name})") if not hidden}
        fields = {field.name for field in table.fields}
        # A transition's key is two facts in one number.
        assert fields == (stored - {"moment"} | {"seen", "agent"} if table.name == "transition" else stored)


def test_a_small_history_is_these_lines(tmp_path: Path) -> None:
    # Ann is seen twice, 30 s apart, by polls that took 200 ms: the change lies in (sent of the first, receipt of the
    # second], which is 30.2 s long.
    path = record(tmp_path / "small.db", {0: {"1001": AVAILABLE}, 30: {"1001": MORNING[30]["1001"]}})
    header, *rows, footer = map(json.loads, lines(path))
    assert header == {
        "format": "zohovoice-exporter history",
        "version": 1,
        "schema": 2,
        "program": "0.2.0",
        "exported": NOW,
    }
    one, two = START + 200, START + 30_200
    ended = two + 1_000
    assert [row for row in rows if row["table"] != "status"] == [
        {"table": "run", "id": 1, "started": START, "version": "0.1.0", "host": "testhost", "boot_id": "boot",
         "pid": 4711, "ended": ended, "end_reason": "shutdown"},
        {"table": "source", "id": 0, "kind": "polls", "file": None, "sha256": None, "imported": None, "program": None},
        {"table": "agent", "id": 1, "agent_id": "1001", "lane": 0},
        {"table": "agent_version", "agent": 1, "valid_from": one, "name": "Ann Schmidt", "team": "Sales"},
        {"table": "coverage", "id": 1, "source": 0, "run": 1, "first_sent": START, "started": one,
         "last_sent": START + 30_000, "last": two, "polls": 2, "interval_ms": 30_000, "gap_limit_ms": 75_000,
         "end_reason": "shutdown", "begun": None},
        {"table": "tracking", "agent": 1, "tracked_from": one, "tracked_until": None, "until_sent": None, "source": 0},
        {"table": "transition", "seen": one, "agent": 1, "from_status": None, "to_status": 0, "uncertainty": None},
        {"table": "transition", "seen": two, "agent": 1, "from_status": 0, "to_status": 1, "uncertainty": 30_200},
    ]  # fmt: skip
    assert {"table": "status", "id": 1, "kind": 0, "word": "On Call"} in rows
    assert footer == {
        "end": True,
        "rows": {"run": 1, "source": 1, "status": 7, "agent": 1, "agent_version": 1, "coverage": 1, "tracking": 1,
                 "transition": 2, "incident": 0, "purge": 0},
    }  # fmt: skip


def test_two_exports_of_the_same_history_are_the_same_but_for_when_they_were_made(path: Path) -> None:
    assert lines(path)[1:] == lines(path)[1:]


def test_names_stand_there_as_they_are_one_row_a_line(tmp_path: Path) -> None:
    path = tmp_path / "names.db"
    writer = HistoryWriter.open(path, RUN)
    ann = {"1": Agent("1", 'Änne "=1+1" \u2028 \\', "")}
    writer.append(advance(writer.resumed, Poll(START, START, {"1": AVAILABLE}), ann, PACE)[1])
    writer.close(START, EndReason.SHUTDOWN)
    done = export(path)
    (version,) = [line for line in done.out.split("\n") if '"agent_version"' in line and '"table"' in line]
    assert '"name":"Änne \\"=1+1\\" \u2028 \\\\"' in version
    assert json.loads(version)["name"] == ann["1"].name


def test_the_writer_may_be_writing_meanwhile_and_is_not_disturbed(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    reading = export_lines(path, program="0.2.0", now=NOW, progress=SilentProgress())
    first = [next(reading)]
    polled = Poll(START + 800_000, START + 800_200, {"1001": AVAILABLE})
    writer.append(advance(writer.resumed, polled, {"1001": Agent("1001")}, PACE)[1])
    footer = [*first, *reading][-1]
    assert json.loads(footer)["rows"]["coverage"] == 2  # as of the instant at which it began
    assert len([row for row in exported(path) if row["table"] == "coverage"]) == 3
    writer.close(START + 900_000, EndReason.SHUTDOWN)


def test_a_file_that_turns_out_to_be_written_gets_no_footer(path: Path) -> None:
    reading = export_lines(path, program="0.2.0", now=NOW, progress=SilentProgress())
    found = [next(reading)]
    change(path, "UPDATE run SET host = 'another'")
    with pytest.raises(DatabaseError, match="do the same again"):
        found.extend(reading)
    assert not any('"end":true' in line for line in found)


def test_of_a_damaged_file_all_tables_are_saved_as_far_as_they_can_be_read(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'agent_version'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as stream:
        stream.seek((page - 1) * size)
        stream.write(b"\xff" * size)
    done = export(path)
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "is damaged" in done.err
    assert done.err.endswith("(the export is not complete: it has 0 rows of agent_version)\n")
    saved = [json.loads(line) for line in done.out.split("\n") if line]
    assert sum(row.get("table") == "transition" for row in saved) == len(query(path, "SELECT 1 FROM transition"))
    assert "end" not in saved[-1]


class TestCommand:
    def test_it_writes_to_standard_output(self, path: Path) -> None:
        done = export(path)
        assert (done.code, done.err) == (0, "")
        assert [json.loads(line) for line in done.out.split("\n")[1:-2]] == exported(path)

    def test_a_file_appears_whole_with_mode_0600(self, path: Path, tmp_path: Path) -> None:
        target = tmp_path / "facts.ndjson"
        assert export(path, "--output", str(target)) == Done(0, "", "")
        assert target.stat().st_mode & 0o777 == 0o600
        assert target.read_text(encoding="utf-8").count("\n") == len(exported(path)) + 2
        assert sorted(item.name for item in tmp_path.iterdir()) == ["facts.ndjson", "history.db"]

    def test_a_database_is_never_the_file_that_is_written(self, path: Path) -> None:
        before = path.read_bytes()
        done = export(path, "--output", str(path))
        assert done.code == 2
        assert "is an SQLite database" in done.err
        assert path.read_bytes() == before

    def test_a_database_that_is_not_there_is_exit_code_3(self, tmp_path: Path) -> None:
        done = export(tmp_path / "none.db", "--output", str(tmp_path / "facts.ndjson"))
        assert (done.code, done.out) == (3, "")
        assert list(tmp_path.iterdir()) == []
