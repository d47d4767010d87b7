"""The history commands on a real database: shared options, formats, files and the sentence for each mistake."""

import csv
import json
import sqlite3
from io import StringIO
from pathlib import Path

import pytest

from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import AVAILABLE, BUSY, OFFLINE, ON_CALL, Agent, EndReason, Poll, Status
from exporter.tracker import Pace, advance
from tests.support.cli import Done, run

# 2023-11-14 22:00:00 UTC; 23:00:00 in Berlin.
START = 1_699_999_200_000
PACE = Pace.of_interval(30_000)
PEOPLE = {"1001": Agent("1001", "Ann", "Sales"), "1002": Agent("1002", "=Ben", "Support")}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann and Ben polled at 0, 30 and 60 s, then nobody looked until 600 s; two more polls, then the end."""
    path = tmp_path_factory.mktemp("history") / "zohovoice.db"
    writer = HistoryWriter.open(path, RunInfo("test", "host", "boot", 1, START))
    state = writer.resumed
    plan: list[tuple[int, Status, Status]] = [
        (0, AVAILABLE, OFFLINE),
        (30, ON_CALL, OFFLINE),
        (60, ON_CALL, OFFLINE),
        (600, AVAILABLE, OFFLINE),
        (630, AVAILABLE, BUSY),
    ]
    for seconds, ann, ben in plan:
        at = START + seconds * 1000
        poll = Poll(at, at, {"1001": ann, "1002": ben})
        state, facts = advance(state, poll, PEOPLE, PACE)
        writer.append(facts)
    writer.close(START + 640_000, EndReason.SHUTDOWN)
    return path


WINDOW = ("--since", "2023-11-14T23:00:00", "--until", "2023-11-14T23:10:30", "--tz", "Europe/Berlin")


def history(db: Path, *arguments: str, env: dict[str, str] | None = None) -> Done:
    return run("history", *arguments, "--db", str(db), env=env)


def rows(done: Done) -> list[dict[str, str]]:
    assert (done.code, done.err) == (0, "")
    return list(csv.DictReader(StringIO(done.out)))


def test_timeline_shows_each_stay_and_the_time_when_nobody_looked(db: Path) -> None:
    found = [
        (row["start"], row["end"], row["status"], row["duration_seconds"])
        for row in rows(history(db, "timeline", *WINDOW, "--agent", "Ann"))
    ]
    assert found == [
        ("2023-11-14T23:00:00+01:00", "2023-11-14T23:00:30+01:00", "Available", "30"),
        ("2023-11-14T23:00:30+01:00", "2023-11-14T23:01:00+01:00", "On Call", "30"),
        ("2023-11-14T23:01:00+01:00", "2023-11-14T23:10:00+01:00", "unknown", "540"),
        ("2023-11-14T23:10:00+01:00", "2023-11-14T23:10:30+01:00", "Available", "30"),
    ]


def test_summary_adds_up_to_the_window_and_meta_says_how_much_is_known(db: Path) -> None:
    answer = json.loads(history(db, "summary", *WINDOW, "--format", "json").out)
    times = {(row["name"], row["status"]): row["duration_seconds"] for row in answer["rows"]}
    assert times["Ann", "Available"] == 60
    assert times["Ann", "On Call"] == 30
    assert times["=Ben", "Offline"] == 90
    meta = answer["meta"]
    assert (meta["report"], meta["timezone"]) == ("summary", "Europe/Berlin")
    assert (meta["since"], meta["until"]) == ("2023-11-14T23:00:00+01:00", "2023-11-14T23:10:30+01:00")
    assert (meta["covered_seconds"], meta["unknown_seconds"]) == (180, 1080)


def test_at_shows_the_status_of_one_instant(db: Path) -> None:
    found = rows(history(db, "at", "2023-11-14T22:00:45+00:00", "--tz", "UTC"))
    assert {row["agent_id"]: (row["status"], row["since"]) for row in found} == {
        "1001": ("On Call", "2023-11-14T22:00:30+00:00"),
        "1002": ("Offline", "2023-11-14T22:00:00+00:00"),
    }


def test_transitions_have_both_bounds(db: Path) -> None:
    found = rows(history(db, "transitions", *WINDOW, "--agent", "1001"))
    assert [(row["from_status"], row["to_status"], row["not_before"], row["seen"]) for row in found] == [
        ("", "Available", "", "2023-11-14T23:00:00+01:00"),
        ("Available", "On Call", "2023-11-14T23:00:00+01:00", "2023-11-14T23:00:30+01:00"),
        ("On Call", "Available", "2023-11-14T23:01:00+01:00", "2023-11-14T23:10:00+01:00"),
    ]


def test_coverage_shows_the_gap(db: Path) -> None:
    found = rows(history(db, "coverage", *WINDOW))
    assert [(row["duration_seconds"], row["covered"]) for row in found] == [
        ("60", "true"),
        ("540", "false"),
        ("30", "true"),
    ]


FIELDS = {
    "timeline": "agent_id name status start end duration_seconds quality start_not_before end_not_before",
    "summary": "agent_id name status duration_seconds min_seconds max_seconds share stays",
    "at": "agent_id name status since evidence_age_seconds",
    "transitions": "agent_id from_status to_status not_before seen",
    "coverage": "start end duration_seconds covered reason",
}


@pytest.mark.parametrize("report", FIELDS)
@pytest.mark.parametrize("form", ["table", "csv", "tsv", "json", "ndjson", "markdown"])
def test_every_report_comes_in_every_format_with_the_promised_fields(db: Path, report: str, form: str) -> None:
    window = ("2023-11-14T22:00:45Z",) if report == "at" else WINDOW
    done = history(db, report, *window, "--format", form)
    assert (done.code, done.err) == (0, "")
    if form in ("csv", "tsv"):
        header = next(csv.reader(StringIO(done.out), delimiter="," if form == "csv" else "\t"))
        assert set(FIELDS[report].split()) <= set(header)
    elif form == "json":
        answer = json.loads(done.out)
        assert all(set(FIELDS[report].split()) <= set(row) for row in answer["rows"])
        assert {"report", "since", "until", "timezone", "covered_seconds", "unknown_seconds"} <= set(answer["meta"])
        assert answer["meta"]["report"] == report


def test_team_and_status_choose_rows(db: Path) -> None:
    assert {row["name"] for row in rows(history(db, "summary", *WINDOW, "--team", "Supp*"))} == {"'=Ben"}
    statuses = rows(history(db, "timeline", *WINDOW, "--status", "on call", "--status", "unknown"))
    assert {row["status"] for row in statuses} == {"On Call", "unknown"}


def test_a_name_that_is_a_formula_is_none_in_csv_and_untouched_in_json(db: Path) -> None:
    names = {row["name"] for row in rows(history(db, "summary", *WINDOW))}
    assert names == {"Ann", "'=Ben"}
    answer = json.loads(history(db, "summary", *WINDOW, "--format", "json").out)
    assert {row["name"] for row in answer["rows"]} == {"Ann", "=Ben"}


def test_the_database_may_be_named_by_variable_or_file(db: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yml"
    config.write_text(f"db: {db}\n")
    by_variable = run("history", "coverage", *WINDOW, env={"ZOHOVOICE_DB": str(db)})
    by_file = run("history", "coverage", *WINDOW, "--config.file", str(config))
    assert by_variable.out == by_file.out == history(db, "coverage", *WINDOW).out


def test_the_zone_of_the_machine_is_the_default(db: Path) -> None:
    done = history(db, "coverage", "--since", "2023-11-14", "--until", "2023-11-15", env={"TZ": "Asia/Kathmandu"})
    assert "+05:45" in done.out


class TestOutput:
    def test_a_file_is_written_whole_with_mode_0600_and_its_ending_names_the_format(
        self, db: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "report.json"
        target.write_text("what was there before")
        done = history(db, "summary", *WINDOW, "--output", str(target))
        assert done == Done(0, "", "")
        assert json.loads(target.read_text())["meta"]["report"] == "summary"
        assert target.stat().st_mode & 0o777 == 0o600
        assert [item.name for item in tmp_path.iterdir()] == ["report.json"]

    def test_format_goes_before_the_ending_and_an_unknown_ending_is_csv(self, db: Path, tmp_path: Path) -> None:
        history(db, "coverage", *WINDOW, "--output", str(tmp_path / "a.json"), "--format", "csv")
        history(db, "coverage", *WINDOW, "--output", str(tmp_path / "b.dat"))
        assert (tmp_path / "a.json").read_text() == (tmp_path / "b.dat").read_text()
        assert (tmp_path / "b.dat").read_text().startswith("start,end,")

    def test_a_directory_that_is_not_there_is_named(self, db: Path, tmp_path: Path) -> None:
        done = history(db, "coverage", *WINDOW, "--output", str(tmp_path / "no" / "x.csv"))
        assert done == Done(
            1,
            "",
            f"zohovoice-exporter: --output: cannot write into the directory {tmp_path / 'no'}: "
            "No such file or directory\n",
        )


@pytest.fixture
def foreign(tmp_path: Path) -> dict[str, Path]:
    """Files that are no usable history."""
    text, empty, newer = tmp_path / "text.db", tmp_path / "empty.db", tmp_path / "foreign.db"
    text.write_text("this is no database, but long enough to look like a file of some sort\n" * 20)
    empty.write_text("")
    connection = sqlite3.connect(newer)
    connection.execute("CREATE TABLE something (a)")
    connection.close()
    return {"text": text, "empty": empty, "foreign": newer, "missing": tmp_path / "missing.db", "folder": tmp_path}


@pytest.mark.parametrize("kind", ["text", "empty", "foreign", "missing", "folder"])
def test_a_file_that_is_no_history_is_exit_code_3_and_one_sentence(foreign: dict[str, Path], kind: str) -> None:
    path = foreign[kind]
    done = history(path, "summary")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("zohovoice-exporter: ")
    assert str(path) in done.err
    assert done.err.count("\n") == 1
    assert not foreign["missing"].exists()


MISTAKES = [
    (("summary", "--tz", "Europe/Berln"), "--tz 'Europe/Berln' is not a time zone"),
    (("summary", "--since", "soon"), "--since 'soon' is not a time"),
    (("summary", "--since", "today", "--until", "yesterday"), "--since today"),
    (("at", "soon"), "TIME 'soon' is not a time"),
    (("summary", *WINDOW, "--agent", "Zoe"), "--agent 'Zoe' matches nobody"),
    (("summary", *WINDOW, "--team", "Zoo"), "--team 'Zoo' matches no team"),
    (("summary", *WINDOW, "--status", "Lunch"), "--status 'Lunch' is no status"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[text for _, text in MISTAKES])
def test_wrong_usage_is_exit_code_2_and_one_sentence(db: Path, arguments: tuple[str, ...], message: str) -> None:
    done = history(db, *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"zohovoice-exporter: {message}")
    assert done.err.count("\n") == 1


def test_reading_leaves_nothing_behind_and_needs_no_write_permission(db: Path, tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    copy = folder / "x.db"
    copy.write_bytes(db.read_bytes())
    copy.chmod(0o400)
    folder.chmod(0o500)
    try:
        assert history(copy, "summary", *WINDOW).code == 0
        assert [item.name for item in folder.iterdir()] == ["x.db"]
    finally:
        folder.chmod(0o700)
