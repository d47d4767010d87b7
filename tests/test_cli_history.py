"""The history commands on a real database: shared options, formats, files and the sentence for each mistake."""

import csv
import json
import re
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
    "at": "agent_id name status since quality evidence_age_seconds",
    "transitions": "agent_id from_status to_status not_before seen",
    "sessions": "agent_id name start end duration_seconds staffed_seconds",
    "intervals": "start end status agent_seconds mean_agents peak_agents least_agents",
    "occupancy": "agent_id name handling_seconds available_seconds not_ready_seconds staffed_seconds occupancy "
    "occupancy_of_staffed coverage provisional",
    "availability": "agent_id name available_seconds staffed_seconds availability ready coverage provisional",
    "matrix": "from_status to_status changes through_gap_changes per_staffed_hour",
    "long": "agent_id name status start end duration_seconds",
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


# What each report takes beside --since, --until (or TIME), --tz, --agent, --team, --format, --output, --db.
TAKEN = {
    "timeline": "--status --quality --weekday --hours --edges --bridge",
    "summary": "--status --weekday --hours --by --share-of --stays --edges --bridge --classes.offline",
    "at": "--status --edges --bridge",
    "sessions": "--weekday --hours --by --edges --bridge --classes.offline",
    "intervals": "--status --step --fewer-than --weekday --hours --by --edges --bridge --classes.offline",
    "occupancy": "--weekday --hours --by --edges --bridge --classes.offline",
    "availability": "--weekday --hours --by --edges --bridge --classes.offline",
    "transitions": "--status --quality --weekday --hours",
    "matrix": "--status --weekday --hours --by --edges --bridge --classes.offline",
    "long": "--status --over --weekday --hours --edges --bridge --classes.offline",
    "coverage": "",
}
EXAMPLES = {
    "--status": "On Call",
    "--quality": "sampled",
    "--weekday": "mon-fri",
    "--hours": "09:00-17:30",
    "--by": "day",
    "--share-of": "window",
    "--stays": "",
    "--edges": "midpoint",
    "--bridge": "5m",
    "--step": "15m",
    "--fewer-than": "2",
    "--over": "10m",
    "--classes.offline": "Offline",
}


def asking(report: str) -> tuple[str, ...]:
    return (report, "2023-11-14T22:00:45Z") if report == "at" else (report, *WINDOW)


@pytest.mark.parametrize("report", TAKEN)
def test_a_report_takes_its_options_and_refuses_those_of_others(db: Path, report: str) -> None:
    taken = TAKEN[report].split()
    for flag, value in EXAMPLES.items():
        value = {"matrix": "team", "intervals": "class"}.get(report, value) if flag == "--by" else value
        done = history(db, *asking(report), flag, *([value] if value else []))
        if flag in taken:
            assert (done.code, done.err) == (0, ""), flag
        else:
            assert (done.code, done.out) == (2, ""), flag
            assert f"No such option: {flag}" in done.err or f"No such option '{flag}'" in done.err


def test_the_options_of_the_reports_are_those_that_are_tested() -> None:
    shared = {"--since", "--until", "--tz", "--agent", "--team", "--format", "--output", "--db", "--config.file"}
    classes = {"--classes.handling", "--classes.available", "--classes.not-ready"}
    for report, taken in TAKEN.items():
        found = set(re.findall(r"(?m)^  (--[a-z.-]+)", run("history", report, "--help").out))
        assert found - shared - classes == set(taken.split()), report


class TestOptions:
    def summary(self, db: Path, *arguments: str) -> dict[tuple[str, ...], dict[str, str]]:
        found = rows(history(db, "summary", *WINDOW, *arguments))
        keys = [key for key in ("agent_id", "team", "day", "week", "month", "status", "class") if key in found[0]]
        return {tuple(row[key] for key in keys): row for row in found}

    def test_groups_have_their_columns_and_rows(self, db: Path) -> None:
        # Ann is Available 30 + 30 s and On Call 30 s; Ben is Offline 90 s.
        by_team = self.summary(db, "--by", "team")
        assert by_team["Sales", "On Call"]["duration_seconds"] == "30"
        assert by_team["Support", "Offline"]["agents"] == "1"
        total = self.summary(db, "--by", "total")
        assert {key[0]: row["duration_seconds"] for key, row in total.items()} == {
            "Available": "60",
            "On Call": "30",
            "Offline": "90",
            "unknown": "1080",
            "Busy": "0",  # Ben was, some time in the last 30 s
        }
        by_day = self.summary(db, "--by", "day", "--by", "agent", "--by", "month", "--by", "week")
        assert by_day["1001", "2023-11-14", "2023-W46", "2023-11", "On Call"]["duration_seconds"] == "30"

    def test_classes_are_settings(self, db: Path, tmp_path: Path) -> None:
        assert self.summary(db, "--by", "class")["offline",]["duration_seconds"] == "90"
        swapped = ("--classes.offline", "On call", "--classes.handling", "Offline")
        assert self.summary(db, "--by", "class", *swapped)["offline",]["duration_seconds"] == "30"
        config = tmp_path / "c.yml"
        config.write_text("classes:\n  handling: [Available, Onbreak]\n  available: ''\n  not-ready: Busy\n")
        (_, ann) = rows(history(db, "occupancy", *WINDOW, "--config.file", str(config)))
        assert (ann["handling_seconds"], ann["available_seconds"], ann["not_ready_seconds"]) == ("60", "0", "30")
        (_, ann) = rows(history(db, "occupancy", *WINDOW, env={"ZOHOVOICE_CLASSES_HANDLING": "Lunch"}))
        assert (ann["handling_seconds"], ann["available_seconds"], ann["not_ready_seconds"]) == ("0", "60", "30")

    def test_shares_may_be_of_the_window(self, db: Path) -> None:
        assert self.summary(db)["1001", "On Call"]["share"] == "0.333333"
        assert self.summary(db, "--share-of", "window")["1001", "On Call"]["share"] == "0.047619"

    def test_stays_are_read_beyond_the_window(self, db: Path) -> None:
        # On Call began at 23:00:30; where the window ends, nobody knows yet that the gap cuts it.
        early = ("--since", "2023-11-14T23:00:10", "--until", "2023-11-14T23:00:40", "--tz", "Europe/Berlin")
        found = {(row["name"], row["status"]): row for row in rows(history(db, "summary", *early, "--stays"))}
        assert found["Ann", "On Call"]["censored_stays"] == "1"
        assert found["Ann", "On Call"]["last_end"] == "2023-11-14T23:01:00+01:00"

    def test_edges_move_by_the_policy(self, db: Path) -> None:
        # Ann's change was seen at 30 s; the poll before was sent at 0 s.
        assert self.summary(db, "--edges", "midpoint")["1001", "On Call"]["duration_seconds"] == "45"
        assert self.summary(db, "--edges", "not-before")["1001", "On Call"]["duration_seconds"] == "60"

    def test_a_gap_is_bridged_for_what_lies_on_both_sides_of_it_even_outside_the_window(self, db: Path) -> None:
        # Ben is Offline on both sides of the gap from 23:01 to 23:10, of which the window has a part.
        inside = ("--since", "2023-11-14T23:02:00", "--until", "2023-11-14T23:03:00", "--tz", "Europe/Berlin")
        done = rows(history(db, "summary", *inside, "--bridge", "9m", "--agent", "1002"))
        assert [(row["status"], row["duration_seconds"], row["bridged_seconds"]) for row in done] == [
            ("Offline", "60", "60")
        ]
        done = rows(history(db, "summary", *inside, "--bridge", "8m59s", "--agent", "1002"))
        assert [(row["status"], row["duration_seconds"]) for row in done] == [("unknown", "60")]

    def test_hours_and_weekdays_leave_only_their_time_and_the_header_says_so(self, db: Path) -> None:
        # 2023-11-14 is a Tuesday.
        found = self.summary(db, "--hours", "23:10-00:00", "--weekday", "tue")
        assert found["1001", "Available"]["duration_seconds"] == "30"
        assert ("1001", "On Call") not in found
        answer = json.loads(history(db, "summary", *WINDOW, "--hours", "22:00-06:00", "--format", "json").out)
        assert answer["meta"]["only_at"] == "22:00-06:00"
        assert rows(history(db, "timeline", *WINDOW, "--weekday", "wed")) == []

    def test_quality_picks_rows(self, db: Path) -> None:
        known = rows(history(db, "timeline", *WINDOW, "--quality", "sampled"))
        assert {row["quality"] for row in known} == {"sampled"}
        bridged = rows(history(db, "timeline", *WINDOW, "--bridge", "9m", "--quality", "bridged"))
        assert [(row["agent_id"], row["duration_seconds"]) for row in bridged] == [("1002", "540")]
        everything = rows(history(db, "transitions", *WINDOW))
        assert rows(history(db, "transitions", *WINDOW, "--quality", "sampled")) == everything != []
        assert rows(history(db, "transitions", *WINDOW, "--quality", "exact")) == []

    def test_the_matrix_has_groups_and_tells_gaps_apart(self, db: Path) -> None:
        found = rows(history(db, "matrix", *WINDOW, "--by", "agent"))
        assert [(row["name"], row["to_status"], row["changes"], row["through_gap_changes"]) for row in found] == [
            ("Ann", "On Call", "1", "0"),
            ("Ann", "Available", "0", "1"),
        ]
        through_gap = [row["through_gap"] for row in rows(history(db, "transitions", *WINDOW, "--agent", "1001"))]
        assert through_gap == ["false", "false", "true"]

    def test_the_formula_says_which_words_count_as_what(self, db: Path) -> None:
        answer = json.loads(history(db, "availability", *WINDOW, "--format", "json").out)
        assert (
            "handling: On Call; available: Available; offline: Offline; not ready: Busy, On Break"
            in (answer["meta"]["formula"])
        )


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
        assert (tmp_path / "b.dat").read_text().startswith("source,start,end,")

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
    (
        ("summary", *WINDOW, "--by", "total", "--by", "day"),
        "--by total puts everything together and goes with no other",
    ),
    (
        ("summary", *WINDOW, "--by", "class", "--status", "Busy"),
        "--status picks rows of statuses, and --by class makes",
    ),
    (("summary", *WINDOW, "--hours", "9-17"), "--hours '9-17' is not a time of day from and to"),
    (("summary", *WINDOW, "--weekday", "noday"), "--weekday 'noday' is not a weekday"),
    (("summary", *WINDOW, "--bridge", "5"), "--bridge: '5' is not a duration"),
    (("summary", *WINDOW, "--bridge", "2y"), "--bridge is longer than a year"),
    (("long", *WINDOW, "--over", "soon"), "--over: 'soon' is not a duration"),
    (("intervals", *WINDOW, "--step", "7m"), "--step '7m' does not divide a day"),
    (
        ("summary", *WINDOW, "--classes.offline", "Busy"),
        "'Busy' stands both in --classes.not-ready and in --classes.offline",
    ),
    (("summary", *WINDOW, "--classes.offline", "absent"), "--classes.offline: 'absent' belongs to no class"),
]
CLICK_SAYS = [
    (("summary", "--by", "queue"), "'queue' is not one of 'agent', 'team', 'day', 'week', 'month', 'class', 'total'"),
    (("occupancy", "--by", "class"), "'class' is not one of 'agent', 'team', 'day', 'week', 'month', 'total'"),
    (("matrix", "--by", "day"), "'day' is not one of 'agent', 'team', 'total'"),
    (("summary", "--edges", "last"), "'last' is not one of 'seen', 'midpoint', 'not-before'"),
    (("summary", "--share-of", "all"), "'all' is not one of 'known', 'window'"),
    (("timeline", "--quality", "good"), "'good' is not one of 'exact', 'sampled', 'bridged', 'unknown'"),
    (("transitions", "--quality", "bridged"), "'bridged' is not one of 'exact', 'sampled'"),
    (("intervals", "--fewer-than", "0"), "0 is not in the range x>=1"),
]


@pytest.mark.parametrize(("arguments", "message"), CLICK_SAYS, ids=[text for _, text in CLICK_SAYS])
def test_a_word_that_an_option_does_not_take_is_exit_code_2(db: Path, arguments: tuple[str, ...], message: str) -> None:
    done = history(db, *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_two_classes_for_one_status_are_named_with_the_place_where_they_stand(db: Path) -> None:
    done = history(db, "summary", *WINDOW, env={"ZOHOVOICE_CLASSES_OFFLINE": "Busy"})
    assert done.code == 2
    assert done.err.startswith(
        "zohovoice-exporter: ZOHOVOICE_CLASSES_OFFLINE (--classes.offline): 'Busy' stands both in --classes.not-ready"
    )


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
