"""`history import`: what a log and what polls mean once they are in, and what is said of a file that is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings

from exporter.errors import ExporterError, UsageError
from exporter.history.transfer.incoming import LONGEST_LINE, FileKind
from exporter.history.transfer.stage_log import Covers
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, OFFLINE, ON_CALL, Agent, EndReason, Poll
from exporter.tracker import Pace, advance
from tests.support.care import RUN, START, failed, query, record
from tests.support.cli import Done, run
from tests.support.documents import ROOT, read
from tests.support.histories import poll_lists
from tests.support.import_examples import exported_and_shown, made_anew
from tests.support.transfer import (
    DATA,
    NOW,
    at,
    bring,
    exported,
    names_at,
    poll_line,
    stays,
    told,
    write_log,
    write_polls,
)

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a history may be made; there is none yet."""
    return tmp_path / "history.db"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


# --- a log ------------------------------------------------------------------------------------------------------------


def test_an_agent_is_in_a_status_from_the_time_of_its_row_to_that_of_the_next_exactly(target: Path, file: Path) -> None:
    # 1001 is available from 0 to 60 s and on a call from then to 100 s, where the file ends. Nothing is known of 1002
    # before its first row at 30 s. Its last row stands at the very end: stored, but without any time.
    write_log(file, (0, "1001", "Available"), (30, "1002", "Busy"), (60, "1001", "On Call"), (100, "1002", "Offline"))
    done = bring(target, file)
    assert stays(target, -10, 200) == [
        ("1001", "Available", 0, 60, "exact"),
        ("1001", "On Call", 60, 100, "exact"),
        ("1002", "Busy", 30, 100, "exact"),
    ]
    assert query(target, "SELECT seen, not_before, to_status FROM transitions WHERE from_status = 'Busy'") == [
        (at(100), at(100), "Offline")
    ]
    assert failed(target) == []
    assert (done.kind, done.merged and done.merged[:5]) == (FileKind.LOG, (2, 4, at(0), at(100), False))


def test_what_an_exact_time_bounds_is_exact_too(target: Path, file: Path) -> None:
    bring(target, write_log(file, (0, "1001", "Available"), (60, "1001", "On Call"), (100, "1001", "Offline")))
    _, rows = told(target, Window(at(0), at(100)), "summary")["summary"]
    assert [(r["status"], r["duration_seconds"], r["min_seconds"], r["max_seconds"]) for r in rows] == [
        ("Available", 60_000, 60_000, 60_000),
        ("On Call", 40_000, 40_000, 40_000),
    ]


def test_rows_may_come_in_any_order_and_columns_too(target: Path, file: Path) -> None:
    file.write_text(
        "\ufeffStatus, time ,agent_id\r\n\r\n"
        f"Offline,{at(100)},1001\r\n"
        f'"On\tcall",{at(60)}, 1001 \r\n'
        f"available,{at(0)},1001\r\n",
        encoding="utf-8",
    )
    bring(target, file)
    assert stays(target, 0, 200) == [("1001", "Available", 0, 60, "exact"), ("1001", "On Call", 60, 100, "exact")]


def test_the_same_status_twice_in_a_row_is_no_change_and_the_same_row_twice_is_one(target: Path, file: Path) -> None:
    rows = ((0, "1", "Busy"), (0, "1", "Busy"), (50, "1", "Busy"), (60, "1", "Offline"), (90, "1", "Lunch"))
    bring(target, write_log(file, *rows))
    assert stays(target, 0, 100) == [("1", "Busy", 0, 60, "exact"), ("1", "Offline", 60, 90, "exact")]
    assert len(query(target, "SELECT 1 FROM transition")) == 3


def test_it_covers_more_than_its_times_if_that_is_said(target: Path, file: Path) -> None:
    # Since when it covers does not matter to the agent, who is not known before the first row.
    write_log(file, (0, "1001", "Available"), (60, "1001", "On Call"))
    bring(target, file, covers=Covers(at(-100), at(200)))
    assert stays(target, -200, 300) == [("1001", "Available", 0, 60, "exact"), ("1001", "On Call", 60, 200, "exact")]
    assert query(target, "SELECT started, last, polls, end_reason FROM coverage") == [
        (at(-100), at(200), 0, "not in the file")
    ]


@pytest.mark.parametrize(
    ("covers", "message"),
    [
        (Covers(since=at(1)), "--covers-since 2025-11-22T08:26:41+00:00 leaves out rows of "),
        (Covers(until=at(59)), "--covers-until 2025-11-22T08:27:39+00:00 leaves out rows of "),
        (Covers(until=NOW + 1), "--covers-until 2025-11-23T08:26:40.001+00:00 lies in the future"),
    ],
)
def test_it_cannot_cover_less_or_the_future(target: Path, file: Path, covers: Covers, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("+", r"\+")):
        bring(target, write_log(file, (0, "1", "Busy"), (60, "1", "Offline")), covers=covers)
    assert not target.exists()


def test_names_and_teams_hold_from_their_row_and_an_empty_cell_tells_nothing(target: Path, file: Path) -> None:
    file.write_text(
        "agent_id,time,status,team,name\n"
        f"1001,{at(0)},Busy,Sales,Ann\n"
        f"1001,{at(50)},Offline,,\n"
        f"1001,{at(60)},Busy,Support,\n",
        encoding="utf-8",
    )
    bring(target, file)
    assert names_at(target, "1001", 0, 55, 60) == [("Ann", "Sales"), ("Ann", "Sales"), ("Ann", "Support")]
    assert len(query(target, "SELECT 1 FROM agent_version")) == 2


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-11-22T08:26:40Z", START),
        ("2025-11-22T09:26:40+01:00", START),
        ("2025-11-22t09:26:40+0100", START),
        ("2025-11-22 09:26:40", START),  # local
        ("2025-11-22 09:26", START - 40_000),
        ("2025-11-22 09:26:40.5", START + 500),
        ("2025-11-22 09:26:40,123999", START + 123),  # down, as every time
        ("1763800000000", START),
    ],
)
def test_a_time_may_be_written_in_these_ways(target: Path, file: Path, text: str, instant: int) -> None:
    file.write_text(f'agent_id,time,status\n1,"{text}",Busy\n', encoding="utf-8")
    bring(target, file, zone=BERLIN)
    assert query(target, "SELECT seen FROM transition") == [(instant,)]


def test_a_line_without_an_end_is_not_read_into_memory(target: Path, file: Path) -> None:
    file.write_text("agent_id,time,status\n" + "x" * (LONGEST_LINE + 1), encoding="utf-8")
    with pytest.raises(UsageError, match="line 2: the line is longer than 4 MiB"):
        bring(target, file)


# --- polls ------------------------------------------------------------------------------------------------------------


def test_polls_are_compared_with_one_another_as_live_ones_are(target: Path, file: Path) -> None:
    # Polls each 30 s; the one at 90 s is not complete, and that at 300 s comes after a silence of 180 s, more than
    # 2.5 times the median pause. 1002 is not asked for at 120 s. The last poll of a stretch proves no time behind it.
    polls = [
        Poll(at(0), at(0.2), {"1001": AVAILABLE, "1002": BUSY}),
        Poll(at(30), at(30.2), {"1001": ON_CALL, "1002": BUSY}),
        Poll(at(60), at(60.2), {"1001": ON_CALL, "1002": ERROR}),
        Poll(at(120), at(120.2), {"1001": ABSENT}),
        Poll(at(300), at(300.2), {"1001": OFFLINE}),
        Poll(at(330), at(330.2), {"1001": OFFLINE}),
    ]
    lines: list[object] = [poll_line(poll) for poll in polls]
    lines.insert(3, {"complete": False, "sent": "whatever"})
    lines.insert(2, "")
    lines.insert(6, poll_line(polls[3], readings={"1001": {"absent": True}, "1002": None}, host="b"))  # once more
    file.write_text("".join(json.dumps(line) + "\n" if line else "\n" for line in lines), encoding="utf-8")
    done = bring(target, file)
    assert (done.kind, done.skipped_polls) == (FileKind.POLLS, 1)
    assert stays(target, 0, 400) == [
        ("1001", "Available", 0.2, 30.2, "sampled"),
        ("1001", "On Call", 30.2, 120.2, "sampled"),
        ("1001", "unknown", 120.2, 300.2, "unknown"),
        ("1001", "Offline", 300.2, 330.2, "sampled"),
        ("1002", "Busy", 0.2, 60.2, "sampled"),
    ]
    assert query(target, "SELECT polls, interval_ms, gap_limit_ms, end_reason FROM coverage ORDER BY started") == [
        (4, 30_000, 75_000, "not in the file"),
        (2, 30_000, 75_000, "not in the file"),
    ]
    assert query(target, "SELECT tracked_until, until_sent FROM tracking ORDER BY tracked_until") == [
        (at(60.2), at(60)),
        (at(330.2), at(330)),
    ]
    assert query(target, "SELECT name FROM agent_version") == []
    assert failed(target) == []


def test_the_pace_that_was_meant_decides_which_silence_is_a_gap(target: Path, file: Path) -> None:
    write_polls(file, [Poll(at(s), at(s), {"1": BUSY}) for s in (0, 10, 20, 60)])
    bring(target, file, interval_ms=20_000)  # 40 s are within 2.5 times 20 s
    assert stays(target, 0, 100) == [("1", "Busy", 0, 60, "sampled")]


def test_one_poll_alone_proves_no_time_and_is_stored(target: Path, file: Path) -> None:
    bring(target, write_polls(file, [Poll(at(0), at(1), {"1": BUSY})]))
    assert stays(target, 0, 100) == []
    assert query(target, "SELECT to_status, seen FROM transitions") == [("Busy", at(1))]
    assert failed(target) == []


REPORTS_OF_AGENTS = ("timeline", "summary", "transitions")

few = settings(max_examples=max(25, settings().max_examples // 4))
"""Each example writes database files."""


@few
@given(poll_lists())
def test_importing_polls_is_having_polled_live(tmp_path_factory: pytest.TempPathFactory, polls: list[Poll]) -> None:
    assume(polls)
    folder = tmp_path_factory.mktemp("polls")
    polls = [Poll(at(0) + p.sent, at(0) + p.received, p.readings) for p in polls]
    nobody = Poll(at(10), at(10), {})  # that the last poll was the last to ask is what a file says by its end
    live, target = folder / "live.db", folder / "target.db"
    writer = HistoryWriter.open(live, RUN)
    state = writer.resumed
    for poll in (*polls, nobody):
        agents = {agent_id: Agent(agent_id) for agent_id in poll.readings}
        state, facts = advance(state, poll, agents, Pace.of_interval(10), silence=EndReason.NOT_IN_FILE)
        writer.append(facts)
    writer.close(at(11), EndReason.SHUTDOWN)
    bring(target, write_polls(folder / "polls.ndjson", polls), interval_ms=10)
    window = Window(polls[0].received, polls[-1].received)
    assert told(target, window, *REPORTS_OF_AGENTS) == told(live, window, *REPORTS_OF_AGENTS)
    assert failed(target) == []


# --- what is wrong ----------------------------------------------------------------------------------------------------

TIME = "write ISO 8601 such as 2026-07-01T09:00:00+02:00, or milliseconds since 1970 (12 to 14 digits)"
COLUMNS = "the columns are agent_id, time and status, and if wanted name and team"
AN_EXPORT = "an export begins with a line that says its format and version"
CONTRADICTS = "the row contradicts rows before it, or itself"
TABLES = "run, source, status, agent, agent_version, coverage, tracking, transition, incident, purge"
READING = 'must be a status word, {"error": "..."}, {"absent": true} or null'

MISTAKES = {
    "empty.csv": "cannot import {file}: the file is empty",
    "nothing-but-empty-lines.csv": "cannot import {file}: the file is empty",
    "log-a-bad-time-on-line-3.csv": f"{{file}}, line 3, column 'time': 'half past eight' is not a time: {TIME}",
    "log-a-date-without-a-time.csv": f"{{file}}, line 2, column 'time': '2025-11-22' is not a time: {TIME}",
    "log-seconds-since-1970.csv": f"{{file}}, line 3, column 'time': '1763800000' does not say which time it means: "
    f"{TIME}",
    "log-microseconds-since-1970.csv": "{file}, line 3, column 'time': '1763800000000000' does not say which time it "
    f"means: {TIME}",
    "log-a-local-time-that-happened-twice.csv": "{file}, line 2, column 'time': '2025-10-26 02:30' happened twice in "
    "Europe/Berlin, where clocks were changed then: write it with its offset",
    "log-a-local-time-that-did-not-happen.csv": "{file}, line 2, column 'time': '2025-03-30 02:30' did not happen in "
    "Europe/Berlin, where clocks were changed then: write it with its offset",
    "log-a-time-in-the-future.csv": "{file}, line 3, column 'time': '2199-01-01T00:00:00Z' lies in the future (it is "
    "2025-11-23T09:26:40+01:00 now)",
    "log-a-time-before-1970.csv": "{file}, line 2, column 'time': '1969-12-31T23:59:59Z' lies before 1970",
    "log-an-empty-status.csv": "{file}, line 3, column 'status': nothing stands where a status is expected",
    "log-unknown-as-a-status.csv": "{file}, line 3, column 'status': 'unknown' is no status: time that nobody saw "
    "is left out of a file, not written into it",
    "log-no-agent-id.csv": "{file}, line 3, column 'agent_id': nothing stands where an agent's id is expected",
    "log-odd-characters-in-an-id.csv": "{file}, line 2, column 'agent_id': '10\ufffd01' is no agent's id: it is "
    "longer than 100 characters, or has odd ones",
    "log-an-unknown-column.csv": f"{{file}}, line 1: the header names 'queue'; {COLUMNS}",
    "log-no-status-column.csv": f"{{file}}, line 1: the header has no column 'status'; {COLUMNS}",
    "log-a-column-twice.csv": "{file}, line 1: the header names the column 'time' twice",
    "log-semicolons.csv": "{file}, line 1: the header names 'agent_id;time;status' (columns are parted by commas); "
    f"{COLUMNS}",
    "log-no-header.csv": f"{{file}}, line 1: the header names '1001'; {COLUMNS}",
    "log-a-row-too-short.csv": "{file}, line 3: the row has 2 columns and the header 3; put text that holds a comma "
    "in double quotes",
    "log-two-statuses-at-once.csv": "{file}, lines 2 and 4: agent 1001 cannot enter two statuses at the same time",
    "log-not-utf-8.csv": "{file}, line 3: this is not UTF-8 text: save the file as UTF-8",
    "log-nothing-but-a-header.csv": "cannot import {file}: there is no row under the header",
    "log-an-open-quote.csv": "{file}, line 3: this is not CSV: unexpected end of data",
    "polls-a-line-that-is-no-json.ndjson": "{file}, line 2: this is not JSON: Expecting property name enclosed in "
    "double quotes",
    "polls-a-line-that-is-no-object.ndjson": "{file}, line 2: this is JSON, but no object",
    "polls-sent-after-received.ndjson": "{file}, line 2: 'sent' is later than 'received'",
    "polls-out-of-order.ndjson": "{file}, line 2: the poll was received no later than the one before it: sort the "
    "file by 'received', and import the polls of two recorders as two files",
    "polls-two-at-once.ndjson": "{file}, line 2: the poll was received no later than the one before it: sort the "
    "file by 'received', and import the polls of two recorders as two files",
    "polls-that-overlap.ndjson": "{file}, line 2: the poll was sent before the one before it was received: nobody can "
    "tell which saw the later status; import the polls of two recorders as two files",
    "polls-no-word-whether-complete.ndjson": "{file}, line 2: 'complete' must be true or false",
    "polls-complete-is-text.ndjson": "{file}, line 2: 'complete' must be true or false",
    "polls-readings-is-a-list.ndjson": "{file}, line 2: 'readings' must be an object: a reading for each agent, by the "
    "agent's id",
    "polls-a-reading-is-a-number.ndjson": f"{{file}}, line 2: the reading for '1001' {READING}",
    "polls-an-empty-word.ndjson": "{file}, line 2: the reading for '1001': nothing stands where a status is expected",
    "polls-an-error-and-more.ndjson": f"{{file}}, line 2: the reading for '1001' {READING}",
    "polls-an-agent-twice.ndjson": "{file}, line 2: there are two readings for '1001'",
    "polls-a-key-twice.ndjson": "{file}, line 2: this is not JSON: the key 'sent' stands twice in one object",
    "polls-not-a-number.ndjson": "{file}, line 2: this is not JSON: NaN is no number",
    "polls-no-received.ndjson": "{file}, line 2: 'received' must be a time: ISO 8601, or milliseconds since 1970",
    "polls-seconds-since-1970.ndjson": "{file}, line 2: 'sent': '1763800030' does not say which time it means: "
    f"{TIME}",
    "polls-a-time-with-a-fraction.ndjson": "{file}, line 2: 'sent' must be a time: ISO 8601, or milliseconds since "
    "1970",
    "polls-none-is-complete.ndjson": "cannot import {file}: no poll in it is complete, and others prove nothing",
    "polls-nested-too-deep.ndjson": "{file}, line 2: this is not JSON: maximum recursion depth exceeded while decoding "
    "a JSON array from a unicode string",
    "polls-an-endless-number.ndjson": "{file}, line 2: this is not JSON: Exceeds the limit (4300 digits) for integer "
    "string conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit",
    "export-cut-short.ndjson": "{file}, line 10: the export ends here without its last line: it was cut short",
    "export-of-a-newer-version.ndjson": "{file}, line 1: the export was made by a newer version of zohovoice-exporter "
    "(its version is 2, this program knows 1): upgrade this program",
    "export-of-a-newer-schema.ndjson": "{file}, line 1: the export was made by a newer version of zohovoice-exporter "
    "(its schema is 3, this program knows 2): upgrade this program",
    "export-no-header.ndjson": f"{{file}}, line 1: {AN_EXPORT}",
    "export-rows-missing.ndjson": "{file}, line 12: the export holds 1 rows of transition and says that it holds 2",
    "export-an-unknown-table.ndjson": f"{{file}}, line 6: 'table' must be one of {TABLES}",
    "export-an-unknown-field.ndjson": "{file}, line 6: 'colour' is no field of agent",
    "export-a-field-missing.ndjson": "{file}, line 6: the field 'lane' is missing",
    "export-text-for-a-number.ndjson": "{file}, line 10: 'seen' must be milliseconds since 1970",
    "export-true-for-a-number.ndjson": "{file}, line 6: 'lane' must be a whole number that is not negative",
    "export-a-negative-number.ndjson": "{file}, line 10: 'seen' must be milliseconds since 1970",
    "export-a-number-beyond-all-bounds.ndjson": "{file}, line 10: 'seen' must be milliseconds since 1970",
    "export-an-empty-id.ndjson": "{file}, line 6: 'agent_id' must be an agent's id: text that can be printed, and not "
    "empty",
    "export-an-odd-character-in-a-word.ndjson": "{file}, line 5: 'word' must be a status word: text that can be "
    "printed, of at most 100 characters",
    "export-a-word-in-another-spelling.ndjson": f"{{file}}, line 5: {CONTRADICTS} ('busy' is not how this status is "
    "written)",
    "export-a-status-id-beyond-all-bounds.ndjson": "{file}, line 5: 'id' must be a whole number that is not negative",
    "export-an-unknown-end-reason.ndjson": "{file}, line 8: 'end_reason' must be a reason why a run or a stretch ended",
    "export-tables-out-of-order.ndjson": "{file}, line 4: a row of source stands behind rows of status; the "
    f"order is {TABLES}",
    "export-something-behind-its-end.ndjson": "{file}, line 14: something stands behind the last line of the export",
    "export-an-agent-that-is-nowhere.ndjson": f"{{file}}, line 9: {CONTRADICTS} (FOREIGN KEY constraint failed)",
    "export-a-transition-of-nobody.ndjson": f"{{file}}, line 11: {CONTRADICTS} (its agent or a status of it is not in "
    "the file)",
    "export-an-id-twice.ndjson": f"{{file}}, line 7: {CONTRADICTS} (UNIQUE constraint failed: agent.id)",
    "export-a-stretch-that-ends-before-it-begins.ndjson": f"{{file}}, line 8: {CONTRADICTS} (CHECK constraint failed: "
    "last_sent <= last)",
    "export-a-broken-chain.ndjson": "cannot import {file}: agent 1001: the change seen at 2025-11-22T08:27:10.200Z "
    "does not come out of the status before it",
    "export-no-first-observation.ndjson": "cannot import {file}: agent 1001: the change seen at "
    "2025-11-22T08:27:10.200Z has no first observation before it",
    "export-overlapping-stretches.ndjson": "cannot import {file}: the stretch of the recorder that begins at "
    "2025-11-22T08:26:50.200Z overlaps or touches the one before it, which ends at 2025-11-22T08:27:10.200Z",
    "export-overlapping-spells.ndjson": "cannot import {file}: agent 1001: the spell of tracking that begins at "
    "2025-11-22T08:26:50.200Z overlaps or touches the one before it",
    "export-a-log-that-polls.ndjson": "cannot import {file}: the stretch that begins at "
    "2025-11-22T09:26:40.200+01:00 counts polls though its source is a log, or none though not",
    "export-an-import-that-goes-on.ndjson": "cannot import {file}: agent 1001 is tracked without an end, and not by "
    "the recorder",
    "export-a-stretch-in-the-future.ndjson": "cannot import {file}: it tells of 2100-01-01T01:00:00+01:00, which lies "
    "in the future (it is 2025-11-23T09:26:40+01:00 now)",
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_of_a_file_with_a_mistake_nothing_is_imported_and_the_mistake_is_named(tmp_path: Path, name: str) -> None:
    target = record(tmp_path / "history.db")
    before = target.read_bytes()
    file = DATA / name
    kind = FileKind.EXPORT if name.startswith("export") else None
    with pytest.raises(UsageError) as refused:
        bring(target, file, kind=kind, zone=BERLIN)
    assert str(refused.value) == MISTAKES[name].replace("{file}", str(file))
    assert target.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["history.db"]


def test_every_file_with_a_mistake_is_tried() -> None:
    assert {path.name for path in DATA.iterdir()} - {"export-good.ndjson"} == set(MISTAKES)


def test_the_file_that_the_wrong_exports_were_made_from_is_right(target: Path) -> None:
    bring(target, DATA / "export-good.ndjson")
    assert stays(target, 0, 100)[0] == ("1001", "Available", 0.2, 30.2, "sampled")


@pytest.mark.parametrize("name", ["empty.csv", "log-a-bad-time-on-line-3.csv", "export-cut-short.ndjson"])
def test_no_database_is_left_behind_where_none_was(target: Path, name: str) -> None:
    with pytest.raises(UsageError):
        bring(target, DATA / name)
    assert list(target.parent.iterdir()) == []


def test_what_is_no_file_is_refused(target: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "it is not a file"),
        (tmp_path / "pipe", "it is not a file"),
    ):
        with pytest.raises(UsageError, match=f"cannot import {path}: {reason}"):
            bring(target, path)


def test_a_file_that_is_still_growing_is_refused(target: Path, file: Path) -> None:
    write_log(file, (0, "1", "Busy"), (60, "1", "Offline"))

    def write_on(step: str) -> None:
        if step == "Reading file":
            write_log(file, (0, "1", "Busy"), (60, "1", "Offline"), (70, "1", "Busy"))

    with pytest.raises(ExporterError, match="was changed while it was read: import it when it is complete"):
        bring(target, file, when=write_on)
    assert not target.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval_ms": 1_000}, "--interval is for polls, and this is an import of kind log"),
        ({"kind": FileKind.POLLS}, "line 1: this is not JSON"),
        ({"kind": FileKind.EXPORT}, "line 1: this is not JSON"),
    ],
)
def test_options_of_another_kind_of_file_are_refused(
    target: Path, file: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        bring(target, write_log(file, (0, "1", "Busy")), **options)  # type: ignore[arg-type] # one of its own


def test_what_a_log_covers_cannot_be_said_of_polls(target: Path, file: Path) -> None:
    write_polls(file, [Poll(at(0), at(0), {"1": BUSY})])
    with pytest.raises(UsageError, match="--covers-since and --covers-until are for a log, and this is an import of"):
        bring(target, file, covers=Covers(since=at(-1)))


# --- provenance -------------------------------------------------------------------------------------------------------


def test_where_facts_come_from_is_stored_with_them(target: Path, file: Path) -> None:
    bring(target, write_log(file, (0, "1", "Busy"), (60, "1", "Offline")))
    ((_, kind, name, digest, imported, program),) = query(target, "SELECT * FROM source WHERE id <> 0")
    assert (kind, name, imported, program) == ("log", "file", NOW, "0.2.0")
    assert len(digest) == 64
    assert query(target, "SELECT at, kind, detail, run FROM incident") == [
        (NOW, "import", f"imported the log file (sha256 {digest}): 1 agents, 2 transitions", 1)
    ]
    assert query(target, "SELECT id, started, version, ended, end_reason FROM run") == [
        (1, NOW, "0.2.0", NOW, "shutdown")
    ]
    assert query(target, "SELECT source, run FROM coverage") == [(1, 1)]


def test_the_same_file_is_imported_once_whatever_it_is_called(target: Path, file: Path) -> None:
    bring(target, write_log(file, (0, "1", "Busy"), (60, "1", "Offline")))
    before = exported(target)
    again = bring(target, file.rename(file.with_name("another.csv")), now=NOW + 5)
    assert (again.merged, again.before) == (None, NOW)
    assert exported(target) == before


# --- the command ------------------------------------------------------------------------------------------------------


def command(db: Path, *arguments: str) -> Done:
    return run("history", "import", "--db", str(db), *arguments)


class TestCommand:
    def test_it_says_what_it_did(self, target: Path, tmp_path: Path) -> None:
        file = write_log(tmp_path / "log.csv", (0, "1001", "Busy"), (60, "1001", "Offline"))
        told = "imported from the log log.csv: 1 agent, 2 transitions"
        times = "from 2025-11-22T09:26:40+01:00 to 2025-11-22T09:27:40+01:00"
        assert command(target, str(file), "--tz", "Europe/Berlin") == Done(0, "", f"{told}, {times}\n")
        assert target.stat().st_mode & 0o777 == 0o600

    def test_it_says_that_there_is_nothing_to_do(self, target: Path, tmp_path: Path) -> None:
        file = write_log(tmp_path / "log.csv", (0, "1001", "Busy"), (60, "1001", "Offline"))
        command(target, str(file))
        done = command(target, str(file), "--tz", "UTC")
        assert (done.code, done.out) == (0, "")
        assert done.err.startswith("log.csv was already imported at 20")
        assert done.err.endswith("+00:00: nothing to do\n")

    def test_it_says_how_many_polls_it_left_out(self, target: Path, file: Path) -> None:
        poll = Poll(at(0), at(0), {"1": BUSY})
        file.write_text(f"{json.dumps(poll_line(poll, complete=False))}\n{json.dumps(poll_line(poll))}\n")
        done = command(target, str(file), "--interval", "15s", "--kind", "polls")
        assert done.code == 0
        assert done.err.splitlines()[1] == "left out 1 poll that was not complete and so proves nothing"
        assert query(target, "SELECT interval_ms FROM coverage") == [(15_000,)]

    def test_a_new_database_gets_the_permissions_that_were_asked_for(self, target: Path, file: Path) -> None:
        write_log(file, (0, "1", "Busy"), (60, "1", "Offline"))
        arguments = ("--db.mode", "0640", "--covers-since", "2025-11-01", "--covers-until", "2025-11-22T10:00:00Z")
        assert command(target, str(file), *arguments, "--tz", "UTC").code == 0
        assert target.stat().st_mode & 0o777 == 0o640
        assert stays(target, 0, 7_200)[-1] == ("1", "Offline", 60, 5_600, "exact")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--tz", "Berlin"), "--tz 'Berlin' is not a time zone: give an IANA name such as Europe/Berlin or UTC"),
            (("--covers-since", "soon"), "--covers-since 'soon' is not a time: "),
            (("--interval", "often"), "--interval: 'often' is not a duration: "),
        ],
    )
    def test_a_wrong_option_is_exit_code_2(
        self, target: Path, file: Path, arguments: tuple[str, ...], message: str
    ) -> None:
        done = command(target, str(write_log(file, (0, "1", "Busy"))), *arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"zohovoice-exporter: {message}")
        assert not target.exists()

    def test_it_refuses_while_somebody_writes_the_database(self, target: Path, file: Path) -> None:
        writer = HistoryWriter.open(target, RUN)
        done = command(target, str(write_log(file, (0, "1", "Busy"))))
        writer.close(START, EndReason.SHUTDOWN)
        assert (done.code, done.out) == (3, "")
        assert "is being written by another zohovoice-exporter" in done.err
        assert "stop it first" in done.err

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_interrupted_it_leaves_nothing_behind(
        self, target: Path, tmp_path: Path, number: signal.Signals, code: int
    ) -> None:
        file = tmp_path / "log.csv"
        rows = "".join(f"{agent},{at(second)},Busy\n" for agent in range(100) for second in range(4_000))
        file.write_text("agent_id,time,status\n" + rows, encoding="utf-8")
        arguments = ("history", "import", str(file), "--db", str(target))
        process = subprocess.Popen([sys.executable, "-m", "exporter", *arguments], stderr=subprocess.PIPE, text=True)
        folder = target.with_name(".history.db.import")
        deadline = time.monotonic() + 30
        while not folder.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
        assert process.returncode == code, error
        assert [item.name for item in tmp_path.iterdir()] == ["log.csv"]


# --- the documentation ------------------------------------------------------------------------------------------------

DOCUMENTED = read(ROOT / "docs" / "database.md")


def test_the_examples_of_imports_say_what_stands_there() -> None:
    assert made_anew(DOCUMENTED) == DOCUMENTED, "run `make docs`"


def test_the_lines_of_an_export_that_are_shown_are_those_of_the_sample_history() -> None:
    lines, (header, *shown) = exported_and_shown(DOCUMENTED)
    assert [line for line in lines if line in shown] == shown
    assert json.loads(header).keys() == json.loads(lines[0]).keys()
    assert lines[-1] == shown[-1]
