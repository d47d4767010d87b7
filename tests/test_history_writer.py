"""Writing the history: what a poll adds is in the file whole or not at all, and a restart knows where things stood."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import DatabaseError
from exporter.history.schema import AGENT_BITS, STATE_AT
from exporter.history.writer import FactsRefusedError, HistoryWriter, checkpoint_after
from exporter.model import (
    ABSENT,
    AVAILABLE,
    BUSY,
    ERROR,
    OFFLINE,
    ON_CALL,
    Agent,
    EndReason,
    Kind,
    Poll,
    PollFacts,
    Status,
    Stretch,
    Tracked,
    TrackerState,
)
from exporter.tracker import NOTHING_TRACKED, advance
from tests.support.history_files import (
    PACE,
    RUN,
    START,
    THREE_POLLS,
    FailingConnection,
    ReluctantConnection,
    described,
    facts_of,
    poll,
)

ROOT = Path(__file__).parent.parent
LUNCH = Status(Kind.REPORTED, "Lunch")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def record(path: Path, *polls: Poll, end: EndReason | None = EndReason.SHUTDOWN) -> None:
    """A run that goes on where the one before left off, and ends at `START + 1 h`; without `end` it crashes."""
    writer = HistoryWriter.open(path, RUN)
    for facts in facts_of(polls, writer.resumed):
        writer.append(facts)
    if end is None:
        writer.abandon()
    else:
        writer.close(START + 3_600_000, end)


def test_a_new_history_resumes_nothing(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    assert writer.resumed == NOTHING_TRACKED
    assert writer.resumed_end is None
    writer.close(START, EndReason.SHUTDOWN)


def test_three_polls_are_stored_as_the_facts_they_are(path: Path) -> None:
    record(path, *THREE_POLLS)
    one, two, three = (START + number * 30_000 + 200 for number in (1, 2, 3))
    columns = "agent_id, from_status, to_status, not_before, seen"
    assert rows(path, f"SELECT {columns} FROM transitions ORDER BY seen, agent_id") == [
        ("1", None, "Offline", None, one),
        ("2", None, "Busy", None, one),
        ("1", "Offline", "Available", one - 200, two),
        ("1", "Available", "On Call", two - 200, three),
        ("3", None, "Lunch", None, three),
    ]
    assert rows(path, "SELECT agent_id, tracked_from, tracked_until FROM tracking JOIN agent ON agent.id = agent") == [
        ("1", one, None),
        ("2", one, two),
        ("3", three, None),
    ]
    assert rows(path, "SELECT agent_id, valid_from, name, team FROM agent_version JOIN agent ON agent.id = agent") == [
        ("1", one, "Agent 1", "Sales"),
        ("2", one, "Agent 2", "Sales"),
        ("3", three, "Agent 3", "Sales"),
    ]
    assert rows(path, "SELECT * FROM coverage") == [
        (1, 0, 1, one - 200, one, three - 200, three, 3, 30_000, 75_000, "shutdown", None)
    ]
    assert rows(path, "SELECT * FROM run") == [
        (1, START, "0.1.0", "testhost", "boot", 4711, START + 3_600_000, "shutdown")
    ]


def test_the_view_of_transitions_also_writes_its_times_as_people_read_them(path: Path) -> None:
    record(path, *THREE_POLLS[:2])
    assert rows(path, "SELECT not_before_iso, seen_iso FROM transitions") == [
        (None, "2025-11-22T08:27:10.200Z"),
        (None, "2025-11-22T08:27:10.200Z"),
        ("2025-11-22T08:27:10.000Z", "2025-11-22T08:27:40.200Z"),
    ]


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_file_that_is_taken_away_is_not_written_until_it_is_back(path: Path, what: str) -> None:
    writer = HistoryWriter.open(path, RUN)
    first, *others = facts_of(THREE_POLLS, writer.resumed)
    writer.append(first)
    away = path.with_name("away")
    path.rename(away)
    if what == "replaced":
        path.write_bytes(away.read_bytes())
    with pytest.raises(DatabaseError, match=r"history\.db was removed or replaced while it was being written"):
        writer.append(others[0])
    away.replace(path)
    for facts in others:
        writer.append(facts)
    writer.close(START + 3_600_000, EndReason.SHUTDOWN)
    assert rows(path, "SELECT polls FROM coverage") == [(3,)]


def test_append_returns_the_number_of_transitions(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    assert [writer.append(facts) for facts in facts_of(THREE_POLLS)] == [2, 1, 2]
    writer.close(START, EndReason.SHUTDOWN)


def test_absent_error_and_the_reported_words_error_and_offline_are_four_statuses(path: Path) -> None:
    record(path, poll(1, a1=ABSENT, a2=ERROR, a3=Status(Kind.REPORTED, "error"), a4=OFFLINE))
    writer = HistoryWriter.open(path, RUN)
    assert [tracked.status for tracked in writer.resumed.agents.values()] == [
        ABSENT,
        ERROR,
        Status(Kind.REPORTED, "error"),
        OFFLINE,
    ]
    writer.abandon()


def test_a_restart_knows_everyone_tracked_since_when_they_are_in_their_status_and_the_stretch(path: Path) -> None:
    record(path, *THREE_POLLS)
    writer = HistoryWriter.open(path, RUN)
    three = START + 90_200
    assert writer.resumed == TrackerState(
        agents={
            "1": Tracked(ON_CALL, three, Agent("1", "Agent 1", "Sales")),
            "3": Tracked(LUNCH, three, Agent("3", "Agent 3", "Sales")),
        },
        stretch=Stretch(START + 30_000, START + 30_200, START + 90_000, three, 3, 30_000, 75_000),
    )
    assert writer.resumed_end is EndReason.SHUTDOWN
    writer.abandon()


def test_the_latest_name_and_team_are_resumed_and_the_earlier_ones_kept(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    state: TrackerState = NOTHING_TRACKED
    for number, team in ((1, "Sales"), (2, "Support"), (3, "Support")):
        polled = poll(number, a1=BUSY)
        state, facts = advance(state, polled, described(polled, {"1": team}), PACE)
        writer.append(facts)
    writer.close(START, EndReason.SHUTDOWN)
    assert rows(path, "SELECT valid_from, team FROM agent_version") == [
        (START + 30_200, "Sales"),
        (START + 60_200, "Support"),
    ]
    writer = HistoryWriter.open(path, RUN)
    assert writer.resumed.agents["1"].agent == Agent("1", "Agent 1", "Support")
    writer.abandon()


def test_a_restart_within_the_gap_limit_continues_the_stretch_and_forgets_that_it_ended(path: Path) -> None:
    record(path, *THREE_POLLS)
    record(path, poll(4, a1=ON_CALL, a3=LUNCH), end=None)
    assert rows(path, "SELECT started, last, polls, end_reason FROM coverage") == [
        (START + 30_200, START + 120_200, 4, None)
    ]


def test_a_restart_after_the_gap_limit_begins_a_new_stretch_and_says_why_the_old_one_ended(path: Path) -> None:
    record(path, *THREE_POLLS)
    writer = HistoryWriter.open(path, RUN)
    assert writer.resumed_end is not None
    late = poll(10, a1=ON_CALL, a3=LUNCH)
    _, facts = advance(writer.resumed, late, described(late), PACE, silence=writer.resumed_end)
    writer.append(facts)
    writer.abandon()
    assert rows(path, "SELECT started, last, end_reason FROM coverage") == [
        (START + 30_200, START + 90_200, "shutdown"),
        (START + 300_200, START + 300_200, None),
    ]
    assert rows(path, "SELECT count(*) FROM transition") == [(5,)]  # nobody's status had changed


def test_a_run_that_never_ended_has_crashed_at_its_last_good_poll(path: Path) -> None:
    record(path, *THREE_POLLS, end=None)
    writer = HistoryWriter.open(path, RUN)
    assert writer.resumed_end is EndReason.CRASH
    writer.abandon()
    assert rows(path, "SELECT ended, end_reason FROM run WHERE id = 1") == [(START + 90_200, "crash")]
    assert rows(path, "SELECT last, end_reason FROM coverage") == [(START + 90_200, "crash")]


def test_a_run_that_crashed_before_its_first_good_poll_ended_when_it_began(path: Path) -> None:
    record(path, *THREE_POLLS)
    record(path, end=None)
    writer = HistoryWriter.open(path, RUN)
    assert writer.resumed_end is EndReason.SHUTDOWN  # the stretch before was not the crashed run's
    writer.abandon()
    assert rows(path, "SELECT ended, end_reason FROM run WHERE id = 2") == [(START, "crash")]


def test_a_run_without_a_poll_does_not_change_why_the_stretch_before_it_ended(path: Path) -> None:
    record(path, *THREE_POLLS, end=None)
    record(path)
    writer = HistoryWriter.open(path, RUN)
    assert writer.resumed_end is EndReason.CRASH
    writer.abandon()


def test_closing_twice_is_closing_once(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    writer.close(START + 1, EndReason.SHUTDOWN)
    writer.close(START + 2, EndReason.SHUTDOWN)
    assert rows(path, "SELECT ended FROM run") == [(START + 1,)]


def test_a_closed_history_is_one_file(path: Path) -> None:
    record(path, *THREE_POLLS)
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]


def test_an_incident_is_noted_with_its_run(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    writer.incident(START + 5, "clock step", "the wall clock stepped by 4000 ms")
    writer.abandon()
    assert rows(path, "SELECT * FROM incident") == [
        (1, START + 5, "clock step", "the wall clock stepped by 4000 ms", 1)
    ]


def test_statistics_count_without_counting_and_go_on_after_a_restart(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    statistics = writer.statistics()
    assert (statistics.transitions, statistics.oldest, statistics.newest) == (0, None, None)
    for facts in facts_of(THREE_POLLS[:2]):
        writer.append(facts)
    statistics = writer.statistics()
    assert (statistics.transitions, statistics.oldest, statistics.newest) == (3, START + 30_200, START + 60_200)
    assert statistics.main_bytes == path.stat().st_size
    assert statistics.wal_bytes == path.with_name("history.db-wal").stat().st_size > 0
    writer.close(START, EndReason.SHUTDOWN)
    record(path, poll(3, a1=BUSY, a2=BUSY))
    writer = HistoryWriter.open(path, RUN)
    statistics = writer.statistics()
    assert (statistics.transitions, statistics.oldest, statistics.newest) == (4, START + 30_200, START + 90_200)
    writer.abandon()


def test_a_checkpoint_is_due_after_8_transitions_for_each_agent_but_not_before_1000() -> None:
    assert [checkpoint_after(agents) for agents in (0, 125, 126, 10_000)] == [1_000, 1_000, 1_008, 80_000]


# --- facts that cannot follow what is recorded -----------------------------------------------------------------------


def _refused(path: Path, facts: PollFacts) -> str:
    """What the writer says to `facts` after the first of THREE_POLLS; the file must not change."""
    writer = HistoryWriter.open(path, RUN)
    writer.append(facts_of(THREE_POLLS[:1])[0])
    before = list(_dump(path))
    with pytest.raises(FactsRefusedError) as refused:
        writer.append(facts)
    assert list(_dump(path)) == before
    writer.append(facts_of(THREE_POLLS)[1])  # and the writer goes on
    writer.close(START, EndReason.SHUTDOWN)
    return str(refused.value)


def _dump(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.iterdump()


def test_the_same_poll_again_is_refused(path: Path) -> None:
    received = START + 30_200
    assert _refused(path, facts_of(THREE_POLLS)[0]) == (
        f"a poll received at {received} is not later than the recorded one at {received}"
    )


def test_a_poll_that_leaves_one_out_is_refused(path: Path) -> None:
    assert _refused(path, facts_of(THREE_POLLS)[2]) == "the poll is not the next one of the latest stretch"


def test_a_first_stretch_after_another_is_refused(path: Path) -> None:
    assert _refused(path, facts_of(THREE_POLLS[1:])[0]) == (
        "a new stretch has one poll, and ends the one before it, if any, for a reason"
    )


def test_a_change_of_somebody_who_is_not_tracked_is_refused(path: Path) -> None:
    strange = facts_of([poll(1, a1=OFFLINE, a2=BUSY, a9=BUSY), poll(2, a1=OFFLINE, a2=BUSY, a9=ON_CALL)])[1]
    assert _refused(path, strange) == (
        "an agent has joined without a first observation, or changed without being tracked"
    )


def test_somebody_leaving_who_was_not_tracked_is_refused(path: Path) -> None:
    strange = facts_of([poll(1, a1=OFFLINE, a2=BUSY, a9=BUSY), poll(2, a1=OFFLINE, a2=BUSY)])[1]
    assert _refused(path, strange) == "an agent has left that was not tracked, or it is not said when"


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_poll_that_fails_at_any_statement_is_not_there_and_can_be_written_again(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN, connection_type=FailingConnection, checkpoint_after=lambda _: 1)
    connection = writer._connection
    assert isinstance(connection, FailingConnection)
    failures = 0
    for facts in facts_of(THREE_POLLS):
        before = list(_dump(path))
        for countdown in range(100):
            connection.countdown = countdown
            try:
                writer.append(facts)
            except DatabaseError:
                assert list(_dump(path)) == before
                failures += 1
            else:
                break
        connection.countdown = None
    assert failures > 20
    writer.close(START + 3_600_000, EndReason.SHUTDOWN)
    assert list(_dump(path)) == list(_dump(_undisturbed(path)))


def test_a_poll_interrupted_at_any_step_of_any_statement_is_there_whole_or_not_at_all(path: Path) -> None:
    facts = facts_of(THREE_POLLS)
    writer = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: 1)
    writer.append(facts[0])
    before = list(_dump(path))
    for steps in range(1, 2_000, 3):
        left = iter(range(steps))
        writer._connection.set_progress_handler(lambda left=left: next(left, None) is None, 1)
        with suppress(DatabaseError):
            writer.append(facts[1])
        if list(_dump(path)) != before:
            break
    assert 50 < steps < 1_999
    writer._connection.set_progress_handler(None, 1)
    writer.append(facts[2])
    writer.close(START + 3_600_000, EndReason.SHUTDOWN)
    assert list(_dump(path)) == list(_dump(_undisturbed(path)))


def test_a_commit_that_reports_a_failure_though_it_is_done_is_not_done_twice(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN, connection_type=ReluctantConnection, checkpoint_after=lambda _: 1)
    assert isinstance(writer._connection, ReluctantConnection)
    for facts in facts_of(THREE_POLLS):
        writer._connection.reluctant = True
        with pytest.raises(DatabaseError):
            writer.append(facts)
        assert writer.append(facts) == len(facts.transitions)
    assert writer.statistics().transitions == 5
    writer.close(START + 3_600_000, EndReason.SHUTDOWN)
    assert list(_dump(path)) == list(_dump(_undisturbed(path)))


def _undisturbed(path: Path) -> Path:
    """THREE_POLLS, with a checkpoint after each, in a file of its own."""
    undisturbed = path.with_name("undisturbed.db")
    writer = HistoryWriter.open(undisturbed, RUN, checkpoint_after=lambda _: 1)
    for facts in facts_of(THREE_POLLS):
        writer.append(facts)
    writer.close(START + 3_600_000, EndReason.SHUTDOWN)
    return undisturbed


def test_a_failing_disk_is_said_in_one_sentence(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN, connection_type=FailingConnection)
    assert isinstance(writer._connection, FailingConnection)
    writer._connection.countdown = 1
    with pytest.raises(DatabaseError) as refused:
        writer.append(facts_of(THREE_POLLS)[0])
    assert str(refused.value) == (
        f"cannot use the history database {path} (disk I/O error); choose another file with --db"
    )
    writer.close(START, EndReason.SHUTDOWN)


def test_opening_fails_at_any_statement_without_harm(path: Path) -> None:
    record(path, *THREE_POLLS, end=None)
    FailingConnection.countdown = 0
    before = list(_dump(path))
    failures = 0
    try:
        for countdown in range(100):
            FailingConnection.countdown = countdown
            try:
                writer = HistoryWriter.open(path, RUN, connection_type=FailingConnection)
            except DatabaseError:
                assert list(_dump(path)) == before
                failures += 1
            else:
                writer.abandon()
                break
    finally:
        FailingConnection.countdown = None
    assert failures > 10


def test_another_programs_lock_on_the_file_fails_the_poll_and_the_next_try_succeeds(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    writer._connection.execute("PRAGMA busy_timeout = 0")
    first, second = facts_of(THREE_POLLS[:2])
    writer.append(first)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError) as refused:
            writer.append(second)
        other.execute("ROLLBACK")
    assert str(refused.value) == (
        f"the history database {path} is locked by another program; find out which and let it finish"
    )
    assert writer.append(second) == 1
    writer.close(START, EndReason.SHUTDOWN)


def test_a_full_database_fails_the_poll_and_keeps_what_was_there(path: Path) -> None:
    writer = HistoryWriter.open(path, RUN)
    first = facts_of(THREE_POLLS[:1])[0]
    writer.append(first)
    (pages,) = writer._connection.execute("PRAGMA page_count").fetchone()
    writer._connection.execute(f"PRAGMA max_page_count = {pages}")
    crowd = Poll(START + 60_000, START + 60_200, {str(number): ON_CALL for number in range(2_000)})
    state, _ = advance(NOTHING_TRACKED, THREE_POLLS[0], described(THREE_POLLS[0]), PACE)
    _, facts = advance(state, crowd, described(crowd), PACE)
    with pytest.raises(DatabaseError) as refused:
        writer.append(facts)
    assert str(refused.value) == (f"cannot write the history database {path}: the disk is full; make room on it")
    writer._connection.execute("PRAGMA max_page_count = 1000000")
    assert writer.append(facts) == 2_000
    writer.close(START, EndReason.SHUTDOWN)


def test_killed_between_any_two_statements_nothing_written_is_lost_and_nothing_is_there_in_part(path: Path) -> None:
    """Every fifth statement is tried, from the first of an empty file to the end of a clean shutdown."""
    received = [polled.received for polled in THREE_POLLS]
    statement, finished = 0, False
    while not finished:
        command = [sys.executable, "-m", "tests.support.history_files", "die", str(path), str(statement)]
        died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        finished = died.returncode == 0
        assert finished or died.returncode == -9, died.stderr
        written = len(died.stdout.split())
        writer = HistoryWriter.open(path, RUN)
        stretch = writer.resumed.stretch
        polls = stretch.polls if stretch is not None else 0
        assert polls in (written, written + 1)  # it may have died between the commit and saying so
        assert (stretch.last if stretch is not None else None) == (received[polls - 1] if polls else None)
        expected: TrackerState = NOTHING_TRACKED
        for polled in THREE_POLLS[:polls]:
            expected, _ = advance(expected, polled, described(polled), PACE)
        assert writer.resumed == expected
        if polls:
            # It may also have died when the end was written and only the log remained to be emptied.
            ends = {EndReason.SHUTDOWN} if finished else {EndReason.CRASH, *([EndReason.SHUTDOWN] * (written == 3))}
            assert writer.resumed_end in ends
        writer.close(START, EndReason.SHUTDOWN)
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        path.unlink()
        statement += 5
    assert statement > 60


# --- laws ------------------------------------------------------------------------------------------------------------

STATUSES = st.sampled_from((AVAILABLE, BUSY, ON_CALL, OFFLINE, ABSENT, ERROR, LUNCH))


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Poll, dict[str, Agent], str]]:
    """Polls with gaps and clock steps, agents that come, go and change teams; after each: go on, stop or crash."""
    received, result = START, []
    for _ in range(draw(st.integers(1, 12))):
        sent = received + draw(st.sampled_from((1, 30_000, 30_000, 30_000, 200_000)))
        received = sent + draw(st.integers(0, 5_000))
        readings = {key: draw(STATUSES) for key in ("1", "2", "3", "4") if draw(st.integers(0, 3))}
        polled = Poll(sent, received, readings, clock_step_ms=draw(st.sampled_from((0, 0, 0, 0, 3_000))))
        teams = {key: draw(st.sampled_from(("Sales", "Support"))) for key in readings}
        result.append((polled, described(polled, teams), draw(st.sampled_from(("on", "on", "stop", "crash")))))
    return result


@given(steps=steps(), every=st.integers(1, 5))
def test_whatever_is_appended_a_restart_resumes_the_state_of_the_tracker(
    steps: list[tuple[Poll, dict[str, Agent], str]], every: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("law") / "history.db"
    writer = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: every)
    state = writer.resumed
    states: list[TrackerState] = []
    written = 0
    for polled, agents, then in steps:
        state, facts = advance(state, polled, agents, PACE)
        written += writer.append(facts)
        states.append(state)
        assert writer.statistics().transitions == written
        if then == "on":
            continue
        if then == "stop":
            writer.close(polled.received + 1, EndReason.SHUTDOWN)
        else:
            writer.abandon()
        writer = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: every)
        assert writer.resumed == state
        assert writer.resumed_end is (EndReason.SHUTDOWN if then == "stop" else EndReason.CRASH)
        state = writer.resumed
    writer.close(steps[-1][0].received, EndReason.SHUTDOWN)
    _check_states(path, states)


def _check_states(path: Path, states: list[TrackerState]) -> None:
    """At each poll, and a millisecond before the next, the stored facts say what the tracker knew."""
    with closing(sqlite3.connect(path)) as connection:
        words = {id_: Status(Kind(kind), word) for id_, kind, word in connection.execute("SELECT * FROM status")}
        ids = dict(connection.execute("SELECT id, agent_id FROM agent"))
        for number, state in enumerate(states):
            assert state.stretch is not None
            following = states[number + 1].stretch if number + 1 < len(states) else None
            for at in (state.stretch.last, *([following.last - 1] if following else [])):
                found = {
                    ids[agent]: (words[to_status], moment >> AGENT_BITS)
                    for agent, moment, to_status, _, _ in connection.execute(STATE_AT, {"at": at})
                }
                known = {key: (tracked.status, tracked.since) for key, tracked in state.agents.items()}
                assert known.items() <= found.items()
        assert connection.execute("SELECT count(*) FROM coverage WHERE end_reason IS NULL").fetchone() == (0,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
