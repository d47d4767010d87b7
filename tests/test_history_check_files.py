"""`history check` of files that are no longer what SQLite wrote, and how the command tells what it has found."""

import json
import os
from pathlib import Path

import pytest

from exporter.history.care.advice import report
from exporter.history.care.check import check_file
from exporter.report.formats import STREAMS
from tests.support.care import MORNING, START, change, record
from tests.support.cli import Done, run

NOW = START + 3_600_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


def found(path: Path, check: str) -> tuple[str, str]:
    """Result and detail of one check."""
    (one,) = [finding for finding in check_file(path, now_ms=NOW) if finding.check == check]
    return one.result.value, one.detail


def large(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db", {30 * n: MORNING[30 if n % 2 else 600] for n in range(600)}, every=100)


@pytest.mark.parametrize("page", range(2, 30, 3))
def test_random_bytes_in_a_page_are_found(page: int, tmp_path: Path) -> None:
    path = large(tmp_path)
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    done = run("history", "check", "--db", str(path), "--format", "json")
    assert done.code == 3
    assert "Traceback" not in done.err
    assert "and is left as it is" in done.err
    assert "failed" in {row["result"] for row in json.loads(done.out)["rows"]}


@pytest.mark.parametrize("bytes_left", [1, 100, 4096, 5000, 40960])
def test_a_file_that_was_cut_off_is_found(bytes_left: int, tmp_path: Path) -> None:
    path = large(tmp_path)
    os.truncate(path, bytes_left)
    done = run("history", "check", "--db", str(path))
    assert done.code == 3
    assert "Traceback" not in done.err
    assert ",failed," in done.out


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"agent,status\n" * 1000, "is not an SQLite database and is left as it is"),
        (b"", "is an empty file, no history database"),
    ],
)
def test_a_file_that_is_no_database_is_found(content: bytes, detail: str, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(content)
    result, said = found(path, "schema")
    assert result == "failed"
    assert detail in said


def test_the_database_of_another_application_and_one_of_a_newer_version_are_found(path: Path, tmp_path: Path) -> None:
    change(path, "PRAGMA user_version = 999")
    assert "was made by a newer version" in found(path, "schema")[1]
    other = change(tmp_path / "other.db", "CREATE TABLE song (title TEXT)")
    assert "is the database of another application" in found(other, "schema")[1]


def test_a_table_that_is_missing_is_found(path: Path) -> None:
    change(path, "DROP TABLE total")
    assert "it lacks the table total" in found(path, "schema")[1]


# --- the command ------------------------------------------------------------------------------------------------------


def check(path: Path, *arguments: str) -> Done:
    return run("history", "check", "--db", str(path), *arguments)


def test_the_command_writes_a_report_and_succeeds(path: Path) -> None:
    done = check(path, "--format", "json")
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    assert answer["meta"]["report"] == "check"
    assert answer["meta"]["failed"] == 0
    assert answer["rows"][1] == {"check": "file", "result": "ok", "detail": "SQLite finds it whole"}
    assert check(path, "--quick").code == 0


def test_the_command_says_what_helps(path: Path) -> None:
    change(path, "UPDATE checkpoint SET transitions = 0")
    done = check(path)
    assert done.code == 3
    assert done.err == (
        f"zohovoice-exporter: what is derived in the history database {path} is not what its facts say, so reports may "
        f"be wrong: run zohovoice-exporter history rebuild --db {path} to make it anew\n"
    )


@pytest.mark.parametrize("form", STREAMS)
def test_the_report_comes_in_every_format(form: str, path: Path) -> None:
    assert "".join(STREAMS[form](report(check_file(path, now_ms=NOW), path, NOW)))
