"""The commands that care for the database: what they ask, what they tell, and what they refuse."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.history.window import iso_text
from exporter.history.writer import HistoryWriter
from exporter.model import EndReason
from tests.support.care import RUN, START, UTC, contents, failed, query, record, second
from tests.support.cli import Done, run

CHANGING = (
    ["purge", "--before", "2025-11-22T08:28:00Z", "--yes"],
    ["purge", "--agent", "1001", "--yes"],
    ["purge", "--agent", "1001", "--pseudonym", "--yes"],
    ["rebuild"],
    ["compact"],
)
READING = (["check"], ["backup", "{tmp}/backup.db"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


def history(path: Path, *arguments: str) -> Done:
    return run("history", *(a.replace("{tmp}", str(path.parent)) for a in arguments), "--db", str(path))


def refused(path: Path, code: int, sentence: str, *arguments: str) -> None:
    """The command says this one sentence and leaves the folder as it is."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert history(path, *arguments) == Done(code, "", f"zohovoice-exporter: {sentence}\n")
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


# --- purge ------------------------------------------------------------------------------------------------------------


def test_purge_tells_what_was_removed_and_the_water_mark(path: Path) -> None:
    done = history(path, "purge", "--before", "2025-11-22T09:27:55.2", "--tz", "Europe/Berlin", "--yes")
    # 75.2 s after the start; see test_history_purge.py.
    assert done == Done(
        0,
        "",
        "removed 3 transitions, 0 stretches of coverage, 1 spell of tracking, 1 agent; the water-mark is "
        "2025-11-22T09:27:55.200+01:00: reports on earlier times are answered for what is left\n"
        "backups and exports may still hold it; history compact gives the space in the file back to the disk\n",
    )
    again = history(path, "purge", "--before", "2025-11-22T08:27:00Z", "--tz", "UTC", "--yes")
    assert again == Done(
        0, "", "nothing was removed: everything before 2025-11-22T08:27:55.200+00:00 was purged already\n"
    )


def test_before_the_history_begins_there_is_nothing_to_purge(path: Path) -> None:
    done = history(path, "purge", "--before", "2020-01-01", "--yes")
    assert done == Done(0, "", "nothing was removed, for nothing was recorded before that\n")


@pytest.mark.parametrize("form", ["table", "markdown", "html"])
def test_a_report_on_purged_time_is_answered_for_what_is_left_and_says_so(form: str, path: Path) -> None:
    history(path, "purge", "--before", iso_text(second(75), UTC), "--yes")
    window = ("--since", "2025-11-22T08:00:00Z", "--until", "2025-11-22T08:37:00Z", "--tz", "UTC")
    done = history(path, "summary", *window, "--format", form)
    assert done.code == 0
    said = done.out.replace("</dt><dd>", ": ").replace("\\", "")
    assert "Water mark: 2025-11-22 08:27:55+00:00" in said
    assert "Asked since: 2025-11-22 08:00:00+00:00" in said
    assert "Window: 2025-11-22 08:27:55+00:00 to 2025-11-22 08:37:00+00:00" in said


@pytest.mark.parametrize("window", [("2025-11-22T07:00:00Z", "2025-11-22T08:00:00Z"), ("2025-11-22", "2025-11-22")])
def test_a_window_wholly_in_purged_time_is_empty_and_says_so(window: tuple[str, str], path: Path) -> None:
    history(path, "purge", "--before", iso_text(second(75), UTC), "--yes")
    since, until = window
    for report in ("timeline", "summary", "coverage", "transitions"):
        done = history(path, report, "--since", since, "--until", until, "--tz", "UTC", "--format", "table")
        assert done.code == 0
        assert "no rows" in done.out
        assert "Water mark: 2025-11-22 08:27:55+00:00" in done.out


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (
            ["purge", "--before", "2025-11-22T08:28:00Z", "--tz", "UTC"],
            "Remove everything recorded before 2025-11-22T08:28:00+00:00 from {db}?",
        ),
        (["purge", "--agent", "Ann Schmidt"], "Remove all that was recorded of agent 1001 in {db}?"),
        (["purge", "--agent", "1001", "--pseudonym"], "Replace id and names of agent 1001 in {db}?"),
    ],
)
def test_without_a_terminal_and_without_yes_nothing_is_purged(arguments: list[str], question: str, path: Path) -> None:
    asked = question.replace("{db}", str(path))
    said = f"nothing was done, for this asks first ({asked}) and there is no terminal; give --yes to act unasked"
    refused(path, 1, said, *arguments)


def test_a_person_is_erased_or_renamed(path: Path) -> None:
    done = history(path, "purge", "--agent", "cleo silva", "--pseudonym", "--yes")
    (pseudonym,) = query(path, "SELECT agent_id FROM agent WHERE agent_id LIKE 'erased-%'")[0]
    assert len(pseudonym) == len("erased-") + 16
    assert done.err.splitlines() == [
        f"id and names of the agent were replaced by {pseudonym}; times and teams are what they were",
        "backups and exports may still hold it; history compact gives the space in the file back to the disk",
    ]
    done = history(path, "purge", "--agent", "1001", "--yes")
    assert done.err.splitlines() == [
        "removed all of the agent: 5 transitions, 1 spell of tracking",
        "the agent was asked for until the latest poll: if serve still asks, it records them anew",
        "backups and exports may still hold it; history compact gives the space in the file back to the disk",
    ]
    assert failed(path) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "purge: give either --before TIME or --agent AGENT"),
        (["--before", "7d", "--agent", "1001"], "purge: give either --before TIME or --agent AGENT"),
        (["--before", "7d", "--pseudonym"], "--pseudonym: goes with --agent only"),
        (
            ["--before", "soon"],
            "--before 'soon' is not a time: write now, today, yesterday, a weekday such as monday, a duration ago such "
            "as 7d or 90m, or ISO 8601 such as 2026-07-01 or 2026-07-01T09:00",
        ),
        (
            ["--before", "9000-01-01", "--tz", "UTC"],
            "--before '9000-01-01' (9000-01-01T00:00:00+00:00) lies in the future",
        ),
        (
            ["--before", "7d", "--tz", "Mars"],
            "--tz 'Mars' is not a time zone: give an IANA name such as Europe/Berlin or UTC",
        ),
        (
            ["--agent", "100*"],
            "--agent '100*' is nobody in this history: give one agent's whole id or whole name, no pattern",
        ),
    ],
)
def test_a_purge_that_makes_no_sense_is_refused(arguments: list[str], sentence: str, path: Path) -> None:
    refused(path, 2, sentence, "purge", *arguments, "--yes")


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", CHANGING, ids=" ".join)
def test_what_changes_the_database_refuses_while_serve_runs(command: list[str], path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    try:
        rows = contents(path)
        said = (
            f"the history database {path} is being written by another zohovoice-exporter (process {os.getpid()}); stop "
            "it first or choose another file with --db"
        )
        assert history(path, *command) == Done(3, "", f"zohovoice-exporter: {said}\n")
        assert contents(path) == rows
    finally:
        writer.close(START, EndReason.SHUTDOWN)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_what_only_reads_does_its_work_while_serve_runs(command: list[str], path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    try:
        assert history(path, *command).code == 0
    finally:
        writer.close(START, EndReason.SHUTDOWN)


@pytest.mark.parametrize("command", CHANGING, ids=" ".join)
def test_what_changes_the_database_brings_an_older_one_up_to_date(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes((Path(__file__).parent / "data" / "history" / "v1.db").read_bytes())
    (agent_id,) = query(path, "SELECT min(agent_id) FROM agent")[0]
    assert history(path, *(agent_id if word == "1001" else word for word in command)).code == 0
    assert query(path, "PRAGMA user_version") == [(2,)]
    assert failed(path) == []


@pytest.mark.parametrize("command", [*CHANGING, *READING], ids=" ".join)
def test_a_database_that_is_not_there_is_not_made(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    said = f"there is no history database at {path}: give its file with --db, or record one with serve or demo"
    refused(path, 3, said, *command)


@pytest.mark.parametrize("command", [*CHANGING, READING[1]], ids=" ".join)
def test_a_damaged_file_and_a_foreign_one_are_left_as_they_are(command: list[str], path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)
    before = path.read_bytes()
    done = history(path, *command)
    assert done.code == 3
    assert done.err.startswith(f"zohovoice-exporter: the history database {path} is damaged (")
    path.write_bytes(b"agent,status\n" * 1000)
    assert history(path, *command).err.startswith(f"zohovoice-exporter: {path} is not an SQLite database")
    path.write_bytes(before)
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_say_that_nothing_is_lost(number: signal.Signals, path: Path) -> None:
    code = (
        "import os, sys\n"
        "from exporter.history.care import purge\n"
        "inner = purge._remove_agents\n"
        "def interrupted(*arguments):\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    return inner(*arguments)\n"
        "purge._remove_agents = interrupted\n"
        "from exporter.__main__ import main\n"
        "sys.exit(main())"
    )
    command = ["history", "purge", "--before", iso_text(second(615), UTC), "--yes", "--db", str(path)]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert done.stderr.rstrip() == "interrupted; the database is whole; start the same command again to finish"
    assert failed(path) == []
    assert history(path, *command[1:5]).code == 0
