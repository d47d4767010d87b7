"""An import is there whole or not at all, whatever fails on the way, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.errors import DatabaseError
from tests.support.care import copied, failed, query, record
from tests.support.history_files import FailingConnection
from tests.support.transfer import (
    bring,
    exported,
    stays,
    write_log,
)

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The morning of `care`: somebody looked from 0.2 to 90.2 s and from 600.2 to 660.2 s.

    1001 and 1002 are tracked on; 1003 left after 30.2 s.
    """
    return record(tmp_path / "history.db")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


FIVE = ((100, "1001", "Busy"), (110, "9", "Lunch"), (120, "1001", "On Call"), (200, "1001", "Offline"))


def test_invariant_15_whichever_statement_fails_nothing_is_imported(tmp_path: Path) -> None:
    path, file = record(tmp_path / "history.db"), write_log(tmp_path / "log", *FIVE)
    before = exported(path)
    statement = 0
    while True:
        FailingConnection.countdown = statement
        try:
            bring(path, file, connection_type=FailingConnection)
        except DatabaseError:
            assert exported(path) == before, statement
            assert not path.with_name(".history.db.import").exists()
        else:
            break
        finally:
            FailingConnection.countdown = None
        statement += 1
    assert statement > 40
    assert len(exported(path)) > len(before)
    assert failed(path) == []


KILLED = """
import sys
from pathlib import Path
from tests.support.history_files import DyingConnection
from tests.support.transfer import bring
DyingConnection.countdown = int(sys.argv[1])
bring(Path(sys.argv[2]), Path(sys.argv[3]), connection_type=DyingConnection)
print("done")
"""


@pytest.mark.parametrize("statement", [12, 24, 33, 42, 50])
def test_invariant_15_killed_at_any_statement_it_has_imported_nothing_and_the_next_one_does(
    tmp_path: Path, statement: int
) -> None:
    path, file = record(tmp_path / "history.db"), write_log(tmp_path / "log", *FIVE)
    before = exported(path)
    arguments = [sys.executable, "-c", KILLED, str(statement), str(path), str(file)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-9, "")
    assert exported(path) == before
    bring(path, file)
    assert [item.name for item in sorted(tmp_path.iterdir())] == ["history.db", "log"]
    assert failed(path) == []


def test_what_is_derived_is_made_anew(path: Path, file: Path) -> None:
    rows = [(100 + n / 100, "1001", ("Busy", "On Call")[n % 2]) for n in range(3_000)]
    bring(path, write_log(file, *rows))
    assert query(path, "SELECT count(*) > 0 FROM checkpoint") == [(1,)]
    assert failed(path) == []


def test_a_history_of_an_older_version_is_brought_up_to_date_and_imported_into(tmp_path: Path, file: Path) -> None:
    path = copied(Path(__file__).parent / "data" / "history" / "v1.db", tmp_path / "v1.db")
    path.chmod(0o640)
    bring(path, write_log(file, (0, "77", "Busy"), (60, "77", "Offline")))
    assert ("77", "Busy", 0, 60, "exact") in stays(path, 0, 100)
    assert path.stat().st_mode & 0o777 == 0o640
    assert failed(path) == []


def test_what_an_import_that_was_killed_has_left_is_taken_away(path: Path, file: Path) -> None:
    left = path.with_name(".history.db.import")
    left.mkdir()
    (left / "staged.db").write_text("personal data")
    bring(path, write_log(file, (100, "1001", "Busy"), (200, "1001", "Offline")))
    assert not left.exists()


def test_nobody_else_can_read_what_is_staged(path: Path, file: Path) -> None:
    modes = {}

    def look(step: str) -> None:
        folder = path.with_name(".history.db.import")
        modes[step] = (folder.stat().st_mode & 0o777, [item.name for item in folder.iterdir()])

    bring(path, write_log(file, (100, "1001", "Busy"), (200, "1001", "Offline")), when=look)
    assert modes["Comparing"] == (0o700, ["staged.db"])
