"""`history purge`: what is removed is gone, and what is left says what it said before."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.history.algebra import EdgePolicy, Rules
from exporter.history.care.purge import Removed, purge_before
from exporter.history.checkpoints import rebuild_derived
from exporter.history.opening import opened_for_care
from exporter.history.reader import HistoryReader
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import AVAILABLE, BUSY, ON_CALL, Agent, EndReason, Poll, TrackerState
from exporter.tracker import advance
from tests.support.care import (
    PACE,
    PEOPLE,
    RUN,
    START,
    change,
    contents,
    copied,
    differing,
    failed,
    query,
    record,
    reports_on,
    second,
)
from tests.support.lives import END, Step, lives
from tests.support.lives import PACE as FAST
from tests.support.lives import record as record_life
from tests.support.two_sources import Case, cases, recorded

LATER = START + 86_400_000


def purge(path: Path, before: int, *, batch: int = 20_000) -> Removed:
    with opened_for_care(path, now_ms=LATER, program="0.2.0") as connection:
        return purge_before(connection, before, now_ms=LATER, program="0.2.0", batch=batch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "history.db")


# --- invariant 13 -----------------------------------------------------------------------------------------------------

few = settings(max_examples=max(25, settings().max_examples // 4))
"""Each example writes database files."""

edges = st.lists(st.integers(0, END), min_size=3, max_size=3).map(sorted)


@few
@given(lives(), st.data(), st.sampled_from(EdgePolicy), st.sampled_from((0, 0, 30, 100)))
def test_invariant_13_purge_reports_on_what_is_left_are_equal_before_and_after(
    life: list[Step], data: st.DataObject, policy: EdgePolicy, bridge: int
) -> None:
    instants = sorted({at for step in life for at in (step.poll.sent, step.poll.received)})
    near = st.sampled_from([at + off for at in instants for off in (-1, 0, 1) if at + off >= 0])
    cut, since, until = sorted(data.draw(st.tuples(*[near | st.integers(0, END)] * 3)))
    with TemporaryDirectory() as directory:
        before, after = Path(directory) / "before.db", Path(directory) / "after.db"
        record_life(before, life, checkpoint_after=lambda _: 3)
        copied(before, after)
        purge(after, cut, batch=3)
        rules = Rules(policy, bridge if _holds_time(after, cut) else 0)
        for window in (Window(since, until), Window(cut, until), Window(cut, END)):
            assert differing(reports_on(before, window, rules=rules), reports_on(after, window, rules=rules)) == []
        assert failed(after) == []


@few
@given(cases(), st.data(), st.sampled_from(EdgePolicy))
def test_invariant_13_purge_also_of_what_was_imported_and_of_agents_that_were_renamed(
    case: Case, data: st.DataObject, policy: EdgePolicy
) -> None:
    instants = [at for poll in (*case.polls, *case.others) for at in (poll.sent, poll.received)]
    assume(instants)
    near = st.sampled_from([at + off for at in instants for off in (-1, 0, 1) if at + off >= 0])
    cut, until = sorted(data.draw(st.tuples(near, near | st.integers(0, case.end + 50))))
    with recorded(case) as before:
        with opened_for_care(before, now_ms=LATER, program="0.2.0") as connection:
            rebuild_derived(connection, after=lambda _: 3)
        after = copied(before, before.with_name("after.db"))
        purge(after, cut, batch=3)
        for window in (Window(cut, until), Window(until, case.end + 50), Window(cut, case.end + 50)):
            said = [reports_on(path, window, rules=Rules(policy)) for path in (before, after)]
            for reports in said:
                _forget_since(reports, cut)
            assert differing(*said) == []
        assert failed(after) == []


def _forget_since(reports: dict[str, Any], cut: int) -> None:
    """Since when a status lasts that began before the cut: what another source saw in between is gone."""
    for row in reports["at"][1]:
        if row["since"] is not None and row["since"] < cut:
            row["since"] = None


def _holds_time(path: Path, cut: int) -> bool:
    """Whether the stretch before the cut has a length: what lies beyond a lone poll is not kept for a bridge."""
    latest = query(path, "SELECT polls FROM coverage WHERE started < ? ORDER BY started DESC LIMIT 1", cut)
    return latest != [(1,)]


@few
@given(lives(), edges)
def test_purging_twice_is_purging_at_the_later_of_the_two(life: list[Step], cuts: list[int]) -> None:
    with TemporaryDirectory() as directory:
        once, twice = Path(directory) / "once.db", Path(directory) / "twice.db"
        record_life(once, life, checkpoint_after=lambda _: 3)
        copied(once, twice)
        purge(once, cuts[1])
        purge(twice, cuts[0])
        purge(twice, cuts[1])
        now = contents(twice)
        purge(twice, cuts[0])
        assert contents(twice) == now
        window = Window(cuts[1], END)
        assert reports_on(once, window) == reports_on(twice, window)
        assert contents(once)["transition"] == now["transition"]


@few
@given(lives(longest=8), lives(longest=6), st.integers(0, END))
def test_what_is_recorded_after_a_purge_is_as_if_there_had_been_none(
    life: list[Step], rest: list[Step], cut: int
) -> None:
    """Also for a recorder that goes on with its latest stretch."""
    shift = max(step.poll.received for step in life)
    polls = [step.poll for step in rest]
    later = [Poll(p.sent + shift + 5, p.received + shift + 5, p.readings) for p in polls]
    with TemporaryDirectory() as directory:
        plain, purged = Path(directory) / "plain.db", Path(directory) / "purged.db"
        record_life(plain, life, checkpoint_after=lambda _: 3)
        copied(plain, purged)
        purge(purged, cut)
        for path in (plain, purged):
            _go_on(path, later)
        for since in (cut, shift, shift + 20):
            window = Window(max(cut, since), 2 * END)
            assert reports_on(plain, window) == reports_on(purged, window)
        assert failed(purged) == []


def _go_on(path: Path, polls: Sequence[Poll]) -> None:
    run = RunInfo("0.1.0", "host", "boot", 2, polls[0].sent)
    writer = HistoryWriter.open(path, run, checkpoint_after=lambda _: 3)
    state = writer.resumed
    for poll in polls:
        people = {agent_id: Agent(agent_id, f"Agent {agent_id}", "Sales") for agent_id in poll.readings}
        state, facts = advance(state, poll, people, FAST)
        writer.append(facts)
    writer.close(polls[-1].received, EndReason.SHUTDOWN)


# --- worked by hand ---------------------------------------------------------------------------------------------------
# The morning (tests/support/care.py): polls at 0, 30, 60, 90 s and at 600, 630, 660 s, each received 0.2 s later.


def test_in_a_stretch_the_status_carried_in_is_kept_with_its_time_and_coverage_begins_at_the_cut(path: Path) -> None:
    cut = second(75)
    removed = purge(path, cut)
    # Ann went On Call at 30 s and Ben Offline at 60 s: these two are kept. Away are the first observations of the three
    # and nothing else: Cleo, who left after 30 s, with them.
    assert (removed.transitions, removed.spells, removed.agents, removed.stretches) == (3, 1, 1, 0)
    assert query(path, "SELECT agent_id, seen FROM transition JOIN agent ON agent.id = agent WHERE seen < ?", cut) == [
        ("1001", second(30)),
        ("1002", second(60)),
    ]
    assert query(path, "SELECT started, begun, last FROM coverage ORDER BY started") == [
        (cut, second(0), second(90)),
        (second(600), None, second(660)),
    ]
    assert query(path, "SELECT tracked_from FROM tracking") == [(second(0),), (second(0),)]
    assert query(path, "SELECT done, kind, before, program FROM purge") == [(LATER, "before", cut, "0.2.0")]
    assert failed(path) == []


def test_in_a_gap_the_stretch_before_is_kept_without_length_for_it_says_why_the_gap_is(path: Path) -> None:
    purge(path, second(300))
    assert query(path, "SELECT started, last, first_sent, last_sent, polls, end_reason FROM coverage LIMIT 1") == [
        (second(90), second(90), START, START + 90_000, 4, "poll failure")
    ]
    with HistoryReader.open(path) as reader:
        facts = reader.facts(Window(0, second(700)))
    assert facts.window == Window(second(300), second(700), asked_since=0)


def test_where_a_stretch_begins_at_the_cut_the_gap_before_it_can_still_be_bridged(path: Path, tmp_path: Path) -> None:
    """Ben was Offline on both sides of the gap: with a bridge no stay of his begins at 600 s."""
    purge(copied(path, after := tmp_path / "after.db"), second(600))
    window, rules = Window(second(600), second(660)), Rules(bridge_ms=600_000)
    assert differing(reports_on(path, window, rules=rules), reports_on(after, window, rules=rules)) == []


def test_after_the_last_poll_the_recorder_still_knows_when_it_polled_and_who_was_in_which_status(path: Path) -> None:
    before = _resumed(path)
    purge(path, second(5_000))
    assert query(path, "SELECT started, last FROM coverage") == [(second(660), second(660))]
    assert query(path, "SELECT count(*) FROM transition") == [(2,)]
    assert _resumed(path) == before


def _resumed(path: Path) -> TrackerState:
    writer = HistoryWriter.open(path, RUN)
    writer.abandon()
    return writer.resumed


@pytest.mark.parametrize("cut", [0, second(-1), second(0)])
def test_before_the_oldest_fact_there_is_nothing_to_do(path: Path, cut: int) -> None:
    before = contents(path)
    assert purge(path, cut) == Removed()
    assert contents(path) == before


def test_in_a_history_without_any_fact_there_is_nothing_to_do(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    HistoryWriter.open(path, RUN).close(START + 1, EndReason.SHUTDOWN)
    assert purge(path, LATER) == Removed()


def test_an_earlier_cut_than_the_water_mark_changes_nothing(path: Path) -> None:
    purge(path, second(75))
    before = contents(path)
    assert purge(path, second(40)) == Removed(water_mark=second(75))
    assert purge(path, second(75)) == Removed(water_mark=second(75))
    assert contents(path) == before


def test_the_name_and_team_of_the_water_mark_are_kept_and_earlier_ones_go(tmp_path: Path) -> None:
    path = record(tmp_path / "history.db")
    change(path, f"INSERT INTO agent_version VALUES (0, {second(60)}, 'Ann Smith', 'Support')")
    (track,) = query(path, "SELECT id FROM agent WHERE agent_id = '1001'")[0]
    change(path, f"UPDATE agent_version SET agent = {track} WHERE name = 'Ann Smith'")
    purge(path, second(75))
    assert query(path, "SELECT valid_from, name FROM agent_version WHERE agent = ?", track) == [
        (second(60), "Ann Smith")
    ]


def test_an_agent_that_has_another_lane_keeps_the_names_of_all_its_lanes(path: Path) -> None:
    """The lane of an import is over; the name that it brought is the one of the water-mark."""
    (run,) = query(path, "SELECT id FROM run")[0]
    change(
        path,
        "INSERT INTO source VALUES (1, 'log', 'log.csv', '', 1, '0.1.0')",
        f"INSERT INTO coverage (source, run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms,"
        f" end_reason) VALUES (1, {run}, 1, 1, 9, 9, 0, 0, 0, 'not in the file')",
        "INSERT INTO agent VALUES (9, '1001', 1)",
        "INSERT INTO tracking VALUES (9, 1, 9, 9, 1)",
        f"INSERT INTO transition (moment, to_status) VALUES ({1 << 20 | 9}, 1)",
        f"INSERT INTO agent_version VALUES (9, {second(60)}, 'Ann of the import', '')",
    )
    window = Window(second(75), second(700))
    before = reports_on(path, window)
    purge(path, second(75))
    assert reports_on(path, window) == before
    assert query(path, "SELECT 1 FROM source WHERE id = 1") == [(1,)]
    assert failed(path) == []


def test_runs_and_incidents_that_are_wholly_before_the_cut_go(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for number, at in enumerate((0, 100, 200)):
        writer = HistoryWriter.open(path, RunInfo("0.1.0", "host", "boot", number, second(at)))
        if number != 1:
            poll = Poll(START + at * 1000, second(at), {"1001": AVAILABLE})
            writer.append(advance(writer.resumed, poll, PEOPLE, PACE)[1])
        writer.incident(second(at), "clock step", "a sentence")
        writer.close(second(at + 1), EndReason.SHUTDOWN)
    purge(path, second(199))
    # The first run began the stretch that is kept; of the second one nothing is left.
    assert query(path, "SELECT pid FROM run") == [(0,), (2,)]
    assert query(path, "SELECT at FROM incident") == [(second(200),)]
    purge(path, second(400))
    assert query(path, "SELECT pid FROM run") == [(2,)]


def test_what_was_removed_is_nowhere_in_the_file(path: Path) -> None:
    assert b"Cleo Silva" in path.read_bytes()
    purge(path, second(75))
    assert b"Cleo Silva" not in path.read_bytes()
    assert b"Ann Schmidt" in path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]


def test_totals_go_on_from_a_change_whose_status_before_was_purged(tmp_path: Path) -> None:
    """Ann went from Busy to On Call at 30 s, which is kept alone, and back to Busy after the purge: what the two stays
    in Busy possibly had both is counted once, also where nothing is left of the first."""
    path = record(tmp_path / "history.db", {0: {"1001": BUSY}, 30: {"1001": ON_CALL}})
    purge(path, second(50))
    writer = HistoryWriter.open(path, RUN, checkpoint_after=lambda _: 1)
    poll = Poll(START + 60_000, second(60), {"1001": BUSY})
    writer.append(advance(writer.resumed, poll, PEOPLE, PACE)[1])
    writer.close(second(61), EndReason.SHUTDOWN)
    assert query(path, "SELECT taken FROM checkpoint") == [(second(30),), (second(60),)]
    assert failed(path) == []
