"""Back-fills made in parts, at different times, while the recorder goes on: what is joined must not contradict itself.

A counter that falls by a second reads as a restart: `increase()` would add all that it had counted, a second time.
"""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import DatabaseError
from exporter.history.care.purge import purge_before
from exporter.history.reader import HistoryReader
from exporter.history.writer import HistoryWriter
from exporter.model import AVAILABLE, Agent, EndReason, Poll
from exporter.tracker import Pace, advance
from tests.support.backfills import Series, asked, exported, pieces, text_of
from tests.support.care import MORNING, RUN, START, record, second
from tests.support.care import PACE as MORNING_PACE
from tests.support.histories import poll_lists

SECOND = 1_000
TEN = 10 * SECOND
COUNTER = "zohovoice_agent_status_seconds_total"
PACE = Pace(interval_ms=10 * SECOND, gap_limit_ms=25 * SECOND)
FAR = START + 720 * SECOND


def at(seconds: float) -> int:
    return START + round(seconds * SECOND)


def purged(path: Path, before: int) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        purge_before(connection, before, now_ms=FAR, program="test")
    return path


def go_on(path: Path, polls: Sequence[Poll], *, pace: Pace = PACE, ended: bool = True) -> None:
    """Record the polls after those that are there, as a program that was started again."""
    writer = HistoryWriter.open(path, RUN)
    state = writer.resumed
    for poll in polls:
        agents = {key: Agent(key, key) for key in poll.readings}
        state, facts = advance(state, poll, agents, pace)
        writer.append(facts)
    if ended and polls:
        writer.close(polls[-1].received, EndReason.SHUTDOWN)
    else:
        writer.abandon()


def joined(*parts: dict[str, Series]) -> dict[str, Series]:
    """All samples of the parts, none of which is in two of them; no counter falls."""
    found: dict[str, Series] = {}
    for part in parts:
        for name, family in part.items():
            for labels, series in family.items():
                so_far = found.setdefault(name, {}).setdefault(labels, {})
                assert not so_far.keys() & series.keys()
                so_far |= series
    for series in found.get(COUNTER, {}).values():
        values = [series[instant] for instant in sorted(series)]
        assert values == sorted(values), "a counter fell"
    return found


# --- purged histories -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [45.3, 50, 300, 305.7])
@pytest.mark.parametrize("cut", [50, 310, 400, 650])
def test_parts_of_a_purged_history_join(tmp_path: Path, mark: float, cut: int) -> None:
    path = purged(record(tmp_path / "history.db"), at(mark))
    whole = asked(FAR, step_ms=TEN)
    one, two = exported(path, replace(whole, until=at(cut))), exported(path, replace(whole, since=at(cut)))
    assert joined(one, two)[COUNTER] == exported(path, whole)[COUNTER]


def test_nothing_is_counted_before_a_purged_history_begins(tmp_path: Path) -> None:
    # Busy and On Call at the mark; the samples at 40 s lie before it.
    found = exported(purged(record(tmp_path / "history.db"), at(45.3)), asked(FAR, step_ms=TEN))
    seconds = found[COUNTER]["1001", "On Call"]
    assert [seconds[START // SECOND + instant] for instant in (40, 50, 90, 100)] == [0, 4.7, 44.7, 44.9]
    assert {labels for labels, series in found["zohovoice_agents"].items() if series[START // SECOND + 40]} == set()
    assert found["zohovoice_up"][()][START // SECOND + 40] == 0


# --- a recorder that goes on ------------------------------------------------------------------------------------------


def test_what_the_next_poll_will_decide_is_not_exported_yet(tmp_path: Path) -> None:
    path = record(tmp_path / "history.db", {number: MORNING[number] for number in (0, 30, 60, 90)}, end=None)
    early = asked(at(160), now=at(160), step_ms=TEN)
    # The poll at 90 s was received at 90.2 s; the next one may go on with it until 165.2 s.
    assert max(exported(path, early)["zohovoice_up"][()]) == START // SECOND + 90
    late = asked(at(170), now=at(170), step_ms=TEN)
    assert max(exported(path, late)["zohovoice_up"][()]) == START // SECOND + 160


def test_a_part_made_right_before_a_gap_does_not_count_the_gap(tmp_path: Path) -> None:
    path, now = record(tmp_path / "history.db", {0: {"1001": AVAILABLE}, 30: {"1001": AVAILABLE}}, end=None), at(100)
    one = exported(path, asked(now, now=now, step_ms=TEN))
    go_on(path, [Poll(at(600), second(600), {"1001": AVAILABLE})], pace=MORNING_PACE)
    seconds = joined(one, exported(path, asked(at(700), since=now, step_ms=TEN)))[COUNTER]["1001", "Available"]
    assert seconds[START // SECOND + 30] == 29.8
    assert seconds[START // SECOND + 600] == 30


@settings(max_examples=20)
@given(poll_lists(), st.integers(0, 60), st.integers(0, 20), st.booleans(), st.sampled_from((5, 30)))
def test_a_part_made_earlier_joins_one_made_after_more_polls(
    polls: list[Poll], later: int, index: int, ended: bool, step: int
) -> None:
    polls = [replace(p, sent=p.sent * SECOND, received=p.received * SECOND) for p in polls]
    index = min(index, len(polls))
    before, after = polls[:index], polls[index:]
    now = (before[-1].received if before else 0) + later * SECOND
    after = [poll for poll in after if poll.received > now]
    end = max(now, polls[-1].received if polls else 0) + 30 * SECOND
    with TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        go_on(path, before, ended=ended)
        one = exported(path, asked(now, now=now, step_ms=step * SECOND))
        go_on(path, after)
        two = exported(path, asked(end, since=now, step_ms=step * SECOND))
        whole = exported(path, asked(end, step_ms=step * SECOND))
    for name, family in joined(one, two).items():
        for labels, series in family.items():
            for instant, value in series.items():
                assert whole[name].get(labels, {}).get(instant, 0) == value, (name, labels, instant)


# --- of one instant ---------------------------------------------------------------------------------------------------


def test_an_export_is_of_one_instant_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    path = record(tmp_path / "history.db", end=None)
    wanted = asked(FAR, step_ms=TEN)
    writer = HistoryWriter.open(path, RUN)  # as serve is beside an export: a log lies beside the file
    try:
        undisturbed = text_of(path, wanted)
        with HistoryReader.open(path) as reader:
            text = pieces(reader, wanted)
            first = next(text)
            purged(path, at(400))
            assert first + "".join(text) == undisturbed
    finally:
        writer.abandon()
    assert text_of(path, wanted) != undisturbed


def test_an_export_of_a_file_that_turns_out_to_be_written_has_no_end(tmp_path: Path) -> None:
    path = record(tmp_path / "history.db")
    with HistoryReader.open(path) as reader:
        text = pieces(reader, asked(FAR, step_ms=TEN))
        found = [next(text)]
        purged(path, at(400))
        with pytest.raises(DatabaseError, match="do the same again"):
            found += text
    assert "# EOF" not in "".join(found)


# --- cut short --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    path, folder = record(tmp_path / "history.db"), tmp_path / "blocks"
    folder.mkdir()
    window = ("--since", "2025-11-22T08:00Z", "--until", "2025-11-25T08:00Z", "--step", "5s")
    command = ("history", "export", "--db", path, "--format", "openmetrics", *window, "--output", folder / "history.om")
    process = subprocess.Popen([sys.executable, "-m", "exporter", *command], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not any(folder.iterdir()) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == code, error
    assert list(folder.iterdir()) == []


def test_a_reader_that_goes_away_ends_it_without_the_end_and_without_a_word(tmp_path: Path) -> None:
    path = record(tmp_path / "history.db")
    command = [sys.executable, "-m", "exporter", "history", "export", "--db", path, "--format", "openmetrics"]
    window = ["--since", "2025-11-22", "--until", "2025-12-22"]
    process = subprocess.Popen([*command, *window], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("# HELP zohovoice_agents ")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 1
