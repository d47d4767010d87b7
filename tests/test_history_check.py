"""`history check`: each kind of damage is found and named, and a good file is found good."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from exporter.history.care.advice import advice
from exporter.history.care.check import check_file
from exporter.history.care.findings import Finding, Result, judged
from exporter.history.writer import HistoryWriter
from tests.support.care import RUN, START, change, failed, record, second
from tests.support.cli import run
from tests.support.lives import Step, lives
from tests.support.lives import record as record_life

NOW = START + 3_600_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


def found(path: Path, check: str) -> tuple[str, str]:
    """Result and detail of one check."""
    (one,) = [finding for finding in check_file(path, now_ms=NOW) if finding.check == check]
    return one.result.value, one.detail


# --- good files -------------------------------------------------------------------------------------------------------


def test_a_good_file_passes_every_check_and_its_figures_are_told(path: Path) -> None:
    verdicts = {f.check: f.detail for f in check_file(path, now_ms=NOW) if f.result is Result.OK}
    assert verdicts == {
        "schema": "version 2 of zohovoice-exporter's history",
        "file": "SQLite finds it whole",
        "references": "every row that another one names is there",
        "tables": "they are as this program makes them",
        "rows": "none breaks a constraint of its table",
        "runs": "at most one has not ended",
        "coverage": "2 stretches, none overlaps another",
        "tracking": "3 spells, none overlaps another",
        "tracking ends": "all of them begin and end with a poll",
        "sources": "nobody is covered twice at the same time",
        "transitions": "10 transitions, each comes out of the one before it",
        "derived data": "they are what the facts say",
    }
    figures = {f.check: f.detail for f in check_file(path, now_ms=NOW) if f.result is Result.INFO}
    size = path.stat().st_size
    assert figures["file size"] == f"{size} bytes"
    assert figures["log size"] == "0 bytes"
    assert figures["rows of transition"] == "10"
    assert figures["rows of coverage"] == "2"
    assert figures["bytes per transition"] == f"{size / 10:.1f}, with everything in the file"
    assert figures["oldest fact"] == "2025-11-22T08:26:40.200Z"
    # The poll at 660 s; an hour after the start that is 48 minutes and 59.8 seconds ago.
    assert figures["newest poll"] == "2025-11-22T08:37:40.200Z, 49m ago"


def test_a_file_is_checked_while_it_is_written(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    try:
        assert failed(path) == []
        assert found(path, "log size") != ("info", "0 bytes")
    finally:
        writer.abandon()


@settings(max_examples=max(20, settings().max_examples // 5))
@given(lives())
def test_whatever_was_recorded_is_good(life: list[Step]) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        record_life(path, life, finish=False, checkpoint_after=lambda _: 3)
        assert failed(path) == []


def test_checking_leaves_the_file_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    check_file(path, now_ms=NOW)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]


def test_a_file_of_an_older_version_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes((Path(__file__).parent / "data" / "history" / "v1.db").read_bytes())
    assert failed(path) == []
    assert found(path, "facts") == (
        "info",
        "not checked: made by an older version (this program's schema is 2); serve or history rebuild bring it up to "
        "date",
    )


def test_a_file_of_an_older_version_that_was_brought_up_to_date_is_good(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes((Path(__file__).parent / "data" / "history" / "v1.db").read_bytes())
    assert run("history", "rebuild", "--db", str(path)).code == 0
    assert failed(path) == []
    assert found(path, "schema")[1].startswith("version 2 ")


# --- facts that do not fit together -----------------------------------------------------------------------------------
# Moments of the morning (tests/support/care.py): Ann is track 1, Ben track 2, Cleo track 3.


def moment(at: float, track: int) -> int:
    return second(at) << 20 | track


def iso(at: float) -> str:
    minutes, seconds = divmod(40 + int(at), 60)
    return f"2025-11-22T08:{26 + minutes:02}:{seconds:02}.200Z"


DAMAGES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a change is missing": (
        (f"DELETE FROM transition WHERE moment = {moment(30, 1)}",),
        "transitions",
        f"agent 1001: the change seen at {iso(90)} does not come out of the status before it",
    ),
    "a first observation is missing": (
        (f"DELETE FROM transition WHERE moment = {moment(0, 1)}",),
        "transitions",
        f"agent 1001: the change seen at {iso(30)} has no first observation before it",
    ),
    "a spell without any status": (
        (f"DELETE FROM transition WHERE moment = {moment(0, 3)}",),
        "transitions",
        f"agent 1003: no status is recorded in the spell of tracking that begins at {iso(0)}",
    ),
    "a change of nobody": (
        (f"INSERT INTO transition (moment, to_status) VALUES ({moment(60, 77)}, 0)",),
        "transitions",
        f"agent that no table knows (77): the change seen at {iso(60)} was seen while the agent was not tracked",
    ),
    "a change after the agent had left": (
        (f"INSERT INTO transition (moment, to_status, from_status, uncertainty) VALUES ({moment(60, 3)}, 0, 2, 9)",),
        "transitions",
        f"agent 1003: the change seen at {iso(60)} was seen while the agent was not tracked",
    ),
    "a second first observation": (
        (f"INSERT INTO transition (moment, to_status) VALUES ({moment(60, 1)}, 0)",),
        "transitions",
        f"agent 1001: the change seen at {iso(60)} is a first observation in the middle of a spell of tracking; agent "
        f"1001: the change seen at {iso(90)} does not come out of the status before it",
    ),
    "a first observation at the wrong time": (
        (f"UPDATE transition SET moment = {moment(10, 3)} WHERE moment = {moment(0, 3)}",),
        "transitions",
        f"agent 1003: the change seen at {iso(10)} is a first observation, but not where the tracking begins",
    ),
    "a status that no table knows": (
        (f"UPDATE transition SET to_status = 99 WHERE moment = {moment(660, 1)}",),
        "transitions",
        f"agent 1001: the change seen at {iso(660)} has a status that no table knows",
    ),
    "stretches that overlap": (
        (f"UPDATE coverage SET last = {second(610)} WHERE started = {second(0)}",),
        "coverage",
        f"the stretch of the recorder that begins at {iso(600)} overlaps or touches the one before it, which ends at "
        f"{iso(610)}",
    ),
    "an earlier stretch that goes on": (
        ("UPDATE coverage SET end_reason = NULL WHERE started = (SELECT min(started) FROM coverage)",),
        "coverage",
        f"the stretch that begins at {iso(0)} goes on, though a later one has begun",
    ),
    "a spell in a spell": (
        (f"INSERT INTO tracking VALUES (1, {second(600)}, {second(660)}, {START + 660_000}, 0)",),
        "tracking",
        f"agent 1001: the spell of tracking that begins at {iso(600)} overlaps or touches the one before it",
    ),
    "a spell that ends in a gap": (
        (f"UPDATE tracking SET tracked_until = {second(300)} WHERE agent = 3",),
        "tracking ends",
        f"agent 1003: a spell of tracking ends at {iso(300)}, when nobody was looking",
    ),
    "a spell that begins in a gap": (
        (
            f"UPDATE tracking SET tracked_from = {second(-60)} WHERE agent = 3",
            f"UPDATE transition SET moment = {moment(-60, 3)} WHERE moment = {moment(0, 3)}",
        ),
        "tracking ends",
        f"agent 1003: a spell of tracking begins at {iso(-60)}, when nobody was looking",
    ),
    "two sources for one agent": (
        (
            "INSERT INTO source VALUES (1, 'log', 'log.csv', '', 1, '0.1.0')",
            "INSERT INTO coverage (source, run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms,"
            f" end_reason) VALUES (1, 1, {second(50)}, {second(50)}, {second(70)}, {second(70)}, 0, 0, 0, 'x')",
            "INSERT INTO agent VALUES (9, '1001', 1)",
            f"INSERT INTO tracking VALUES (9, {second(50)}, {second(70)}, NULL, 1)",
            f"INSERT INTO transition (moment, to_status) VALUES ({moment(50, 9)}, 1)",
        ),
        "sources",
        f"agent 1001 is covered by the recorder and by import 1 at {iso(50)}",
    ),
    "an import that tracks on": (
        (
            "INSERT INTO source VALUES (1, 'log', 'log.csv', '', 1, '0.1.0')",
            "UPDATE tracking SET source = 1 WHERE agent = 1",
            "UPDATE coverage SET source = 1 WHERE started > (SELECT min(started) FROM coverage)",
            "UPDATE coverage SET source = 1",
        ),
        "tracking",
        "agent 1001: import 1 tracks on, though only the recorder can",
    ),
    "two runs that have not ended": (
        (
            "DROP INDEX run_open",
            "INSERT INTO run (started, version, host, boot_id, pid) VALUES (1, '', '', '', 1), (2, '', '', '', 1)",
        ),
        "runs",
        "2 runs have not ended",
    ),
    "a constraint that is broken": (
        ("UPDATE coverage SET polls = -1 WHERE started = (SELECT min(started) FROM coverage)",),
        "rows",
        "a row of coverage breaks a constraint of its table",
    ),
    "a change that lies after it was seen": (
        (f"UPDATE transition SET uncertainty = -5 WHERE moment = {moment(30, 1)}",),
        "rows",
        "a row of transition breaks a constraint of its table",
    ),
    "an index that is missing": (("DROP INDEX coverage_open",), "tables", "the index coverage_open is missing"),
    "a view that was changed": (
        ("DROP VIEW transitions", "CREATE VIEW transitions AS SELECT 1"),
        "tables",
        "the view transitions is not as this program makes it",
    ),
    "an agent without whom a row makes no sense": (
        ("DELETE FROM agent WHERE agent_id = '1003'",),
        "references",
        "a row of tracking names one of agent that is not there; a row of agent_version names one of agent that is not "
        "there",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_facts_that_contradict_each_other_are_found_and_named(what: str, path: Path) -> None:
    statements, check, detail = DAMAGES[what]
    change(path, *statements)
    assert found(path, check) == ("failed", detail)
    told = advice(check_file(path, now_ms=NOW), path)
    assert told.startswith(f"the history database {path} is damaged (")
    assert told.endswith(
        f") and is left as it is: run zohovoice-exporter history export --db {path} to save what can be read, then "
        "restore a backup"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE total SET sums = (SELECT sums FROM total ORDER BY taken DESC, agent LIMIT 1)",
        "UPDATE checkpoint SET transitions = transitions + 1",
        "DELETE FROM carried WHERE taken = (SELECT max(taken) FROM checkpoint)",
        "DELETE FROM total",
    ],
)
def test_derived_data_that_are_not_what_the_facts_say_are_made_anew_by_rebuild(statement: str, path: Path) -> None:
    change(path, statement)
    assert failed(path) == ["derived data"]
    assert advice(check_file(path, now_ms=NOW), path) == (
        f"what is derived in the history database {path} is not what its facts say, so reports may be wrong: run "
        f"zohovoice-exporter history rebuild --db {path} to make it anew"
    )
    assert run("history", "rebuild", "--db", str(path)).code == 0
    assert failed(path) == []


def test_what_somebody_has_put_beside_our_tables_is_theirs(path: Path) -> None:
    change(path, "CREATE TABLE note (text TEXT)", "CREATE VIEW mine AS SELECT * FROM transitions")
    assert failed(path) == []


def test_many_faults_are_counted(path: Path) -> None:
    change(path, *(f"INSERT INTO transition (moment, to_status) VALUES ({moment(0, n)}, 0)" for n in range(50, 60)))
    result, detail = found(path, "transitions")
    assert result == "failed"
    assert detail.endswith("; and 7 more")


def test_no_end_of_faults_is_cut_off() -> None:
    finding = judged("x", lambda: ("fault" for _ in iter(int, 1)), "good")
    assert finding == Finding("x", Result.FAILED, "fault; fault; fault; and more than 9997 more")
