"""Running totals: the totals of a window without reading the window are what a scan adds up, to the millisecond."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import DatabaseError
from exporter.history import algebra
from exporter.history.algebra import EdgePolicy, Rules
from exporter.history.answers import answer
from exporter.history.care.purge import purge_before
from exporter.history.checkpoints import are_missing, compare_derived, rebuild_derived
from exporter.history.facts import HistoryFacts
from exporter.history.filters import Selection
from exporter.history.question import Group, Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.sums import difference, nothing, packed, unpacked
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import ABSENT, AVAILABLE, BUSY, ON_CALL, UNKNOWN, Poll, Status
from tests.support.derived import changing, derived, import_polls, imports, new_database, record
from tests.support.histories import poll_lists, polls_and_edges, readings
from tests.support.history_files import RUN

Figures = dict[str, dict[Status, tuple[int, int, int, int]]]
"""By agent and status: time, least, most, stays."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database to copy: making one takes longer than filling it."""
    return new_database(tmp_path_factory.mktemp("totals") / "empty.db")


@pytest.fixture(scope="module")
def fresh(empty: Path) -> Callable[[], Path]:
    """A copy of it, which takes the place of the one before."""

    def copy() -> Path:
        for leftover in empty.parent.glob("history.db*"):
            leftover.unlink()
        return Path(shutil.copy(empty, empty.parent / "history.db"))

    return copy


def scanned(facts: HistoryFacts, window: Window, now: int) -> Figures:
    """What the changes in the window add up to."""
    covered = algebra.covered_time(facts, now)
    return {
        agent.agent_id: {
            status: (total.time, total.least, total.most, total.stays)
            for status, total in algebra.totals(agent, covered, window).items()
        }
        for agent in facts.agents
    }


def ready(facts: HistoryFacts) -> Figures:
    """What the facts bring with them."""
    found: Figures = {}
    for agent in facts.agents:
        assert agent.totals is not None
        found[agent.agent_id] = {s: (t.time, t.least, t.most, t.stays) for s, t in agent.totals.items()}
    return found


def provisional(facts: HistoryFacts, now: int) -> dict[str, set[Status]]:
    """The statuses whose totals reach beyond the latest poll."""
    covered = algebra.covered_time(facts, now)
    return {
        agent.agent_id: {s for s, t in algebra.totals(agent, covered, facts.window).items() if t.provisional}
        for agent in facts.agents
    }


# --- by hand ----------------------------------------------------------------------------------------------------------

POLLS = (
    Poll(8, 10, readings(a1=AVAILABLE, a2=BUSY)),
    Poll(18, 20, readings(a1=ON_CALL, a2=BUSY)),
    Poll(28, 30, readings(a1=AVAILABLE, a2=ABSENT)),
    Poll(38, 40, readings(a1=AVAILABLE)),
    # longer than the gap limit of 25 ms: nobody knows what was between 40 and 80
    Poll(78, 80, readings(a1=AVAILABLE, a2=BUSY)),
    Poll(88, 90, readings(a1=BUSY, a2=BUSY)),
    Poll(98, 100, readings(a1=BUSY, a2=BUSY)),
)


def test_totals_of_a_window_are_worked_out_from_its_edges(fresh: Callable[[], Path]) -> None:
    path = fresh()
    record(path, POLLS, 2)
    # Agent 1: Available [10, 20), On Call [20, 30), Available [30, 40), unknown [40, 80), Available [80, 90),
    # Busy [90, 100). Agent 2: Busy [10, 30), where it was asked for last and found absent, then not tracked until 80,
    # and Busy [80, 100).
    with HistoryReader.open(path) as reader:
        facts = reader.totals(Window(15, 95), 1_000)
    assert ready(facts) == {
        "1": {
            # In [15, 20), [30, 40) and [80, 90). The changes out of it happened after 10 and after 80, so nothing is
            # sure of the first and the third stay; of the second [30, 38) is: the last poll before the gap was sent
            # at 38. Possibly in [15, 20) and, again from 18 on, until 40: [15, 40) once; and in [80, 90).
            AVAILABLE: (5 + 10 + 10, 8, 25 + 10, 2),
            # Possibly from the beginning, at 10, until 30; surely from 20 until 18: never.
            ON_CALL: (10, 0, 30 - 15, 1),
            # Possibly from 80 on.
            BUSY: (95 - 90, 95 - 90, 95 - 80, 1),
            UNKNOWN: (40, 40, 40, 1),
        },
        # Surely Busy in [15, 18), and from 80 on; possibly already absent from 18 until 30.
        "2": {BUSY: (15 + 15, 3 + 15, 15 + 15, 1), ABSENT: (0, 0, 30 - 18, 0)},
    }
    assert all(not agent.changes for agent in facts.agents)


def test_checkpoints_hold_what_has_ended_until_then(fresh: Callable[[], Path]) -> None:
    path = fresh()
    record(path, POLLS[:3], 2)
    with closing(sqlite3.connect(path)) as connection:
        found = {
            (taken, track): list(difference(unpacked(sums), nothing()))
            for taken, track, sums in connection.execute("SELECT taken, agent, sums FROM total")
        }
    # Poll 1 brings two transitions, the first sight of both agents, polls 2 and 3 bring three. Status 0 is Available,
    # 1 On Call, 4 Busy. What is open at 30 counts later.
    assert found == {
        (10, 1): [],
        (10, 2): [],
        # Available [10, 20), never surely; possibly until 20, but what is after 18 may as well belong to the stay that
        # is open and is counted with it. On Call [20, 30), surely never, possibly in [10, 30).
        (30, 1): [(0, 10, 0, 8, 1), (1, 10, 0, 20, 1)],
        # Busy [10, 30), surely until the poll of 20 was sent, at 18.
        (30, 2): [(4, 20, 8, 20, 1)],
    }


# --- against the scan -------------------------------------------------------------------------------------------------


@given(given_=polls_and_edges(3), every=st.integers(1, 6), run_open=st.booleans())
def test_totals_of_any_window_are_what_a_scan_adds_up(
    given_: tuple[list[Poll], tuple[int, ...]], every: int, run_open: bool, fresh: Callable[[], Path]
) -> None:
    polls, (since, until, now) = given_
    path, window = fresh(), Window(since, until)
    record(path, polls, every, run_open=run_open)
    with HistoryReader.open(path) as reader:
        facts, found = reader.facts(window), reader.totals(window, now)
    assert ready(found) == scanned(facts, window, now)
    assert provisional(found, now) == provisional(facts, now)
    assert replace(found, agents=()) == replace(facts, agents=())


@given(data=st.data(), every=st.integers(1, 5))
def test_totals_of_several_sources_and_tracks_are_what_a_scan_adds_up(
    data: st.DataObject, every: int, fresh: Callable[[], Path]
) -> None:
    polls, (since, until) = data.draw(polls_and_edges(2))
    until += data.draw(st.sampled_from((0, 0, 300)))  # imports may be later than all polls
    path, window = fresh(), Window(since, until)
    record(path, polls, every)
    with changing(path) as connection:
        for imported in data.draw(imports(polls)):
            import_polls(connection, imported)
        rebuild_derived(connection, after=lambda _: every)
        assert list(compare_derived(connection)) == []
    with HistoryReader.open(path) as reader:
        assert ready(reader.totals(window, until)) == scanned(reader.facts(window), window, until)


@given(given_=polls_and_edges(3), every=st.integers(1, 4), rebuilt=st.booleans())
def test_totals_after_a_purge_are_what_a_scan_adds_up(
    given_: tuple[list[Poll], tuple[int, ...]], every: int, rebuilt: bool, fresh: Callable[[], Path]
) -> None:
    polls, (before, since, until) = given_
    path = fresh()
    record(path, polls, every)
    with changing(path) as connection:
        purge_before(connection, before, now_ms=before, program="test")
        if rebuilt:  # with more checkpoints than so few transitions would have
            rebuild_derived(connection, after=lambda _: every)
    with HistoryReader.open(path) as reader:
        found = reader.totals(Window(since, until), until)
        assert ready(found) == scanned(reader.facts(Window(since, until)), found.window, until)


@given(polls=poll_lists(), every=st.integers(1, 6))
def test_rebuilding_makes_what_the_recorder_wrote_and_again_the_same(
    polls: list[Poll], every: int, fresh: Callable[[], Path]
) -> None:
    path = fresh()
    record(path, polls, every)
    with changing(path) as connection:
        recorded = derived(connection)
        for _ in range(2):
            rebuild_derived(connection, after=lambda _: every)
            assert derived(connection) == recorded
        assert list(compare_derived(connection)) == []


def test_one_agent_has_the_same_totals_alone(fresh: Callable[[], Path]) -> None:
    path, window = fresh(), Window(15, 95)
    record(path, POLLS, 2)
    with HistoryReader.open(path) as reader:
        everyone = ready(reader.totals(window, 95))
        assert ready(reader.totals(window, 95, Selection(agents=("2",)))) == {"2": everyone["2"]}


def test_the_window_itself_is_not_read(fresh: Callable[[], Path]) -> None:
    path, window = fresh(), Window(5, 99)
    record(path, POLLS, 1)
    with HistoryReader.open(path) as reader:
        before = ready(reader.totals(window, 99))
    with changing(path) as connection:
        # Not even the changes in the middle are needed: the checkpoint of 90 knows what they add up to.
        connection.execute("DELETE FROM transition WHERE seen BETWEEN 15 AND 35")
    with HistoryReader.open(path) as reader:
        assert ready(reader.totals(window, 99)) == before


def test_without_checkpoints_totals_are_right(fresh: Callable[[], Path]) -> None:
    path, window = fresh(), Window(15, 95)
    record(path, POLLS, 2)
    with HistoryReader.open(path) as reader:
        before = ready(reader.totals(window, 95))
    with changing(path) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM checkpoint")
        assert [*derived(connection).values()] == [[], [], []]
    with HistoryReader.open(path) as reader:
        assert ready(reader.totals(window, 95)) == before


# --- reports ----------------------------------------------------------------------------------------------------------


QUESTION = Question(Window(0, 1), ZoneInfo("UTC"), 1)


@pytest.mark.parametrize("name", ["summary", "occupancy", "availability", "coverage"])
@pytest.mark.parametrize(
    "question",
    [
        QUESTION,
        replace(QUESTION, groups=frozenset({Group.AGENT, Group.CLASS})),
        replace(QUESTION, groups=frozenset()),
        # what needs more than totals
        replace(QUESTION, groups=frozenset({Group.AGENT, Group.DAY})),
        replace(QUESTION, groups=frozenset({Group.TEAM})),
        replace(QUESTION, rules=Rules(EdgePolicy.MIDPOINT)),
        replace(QUESTION, with_stays=True),
    ],
    ids=["agents", "classes", "together", "days", "teams", "edges", "stays"],
)
def test_the_answer_is_the_report_of_the_facts_whether_or_not_they_are_read(
    name: str, question: Question, fresh: Callable[[], Path]
) -> None:
    path = fresh()
    record(path, POLLS, 2, run_open=True)
    for since, until in ((5, 99), (15, 95), (30, 90), (40, 80), (41, 42), (100, 200)):
        asked = replace(question, window=Window(since, until), now=until)
        with HistoryReader.open(path) as reader:
            found = answer(reader, name, asked)
            wanted = REPORTS[name](reader.facts(asked.window, whole_stays=asked.with_stays), asked)
        assert (found.meta, list(found.rows)) == (wanted.meta, list(wanted.rows))


# --- care -------------------------------------------------------------------------------------------------------------

WRONG: Sequence[tuple[str, str]] = (
    ("UPDATE checkpoint SET transitions = transitions + 1 WHERE taken = 30", "counts 6 transitions"),
    ("DELETE FROM carried WHERE taken = 30 AND moment = 30 << 20 | 1", "has the wrong latest transition of agent 1"),
    ("DELETE FROM total WHERE taken = 30 AND agent = 2", "says of agent 2: nothing; the facts say: status 4 20 ms"),
    ("UPDATE total SET sums = X'00' WHERE taken = 30 AND agent = 2", "says of agent 2: no time; the facts say"),
    (
        "UPDATE total SET sums = X'0001' WHERE taken = 30 AND agent = 2",
        "says of agent 2: running totals in 2 bytes; the facts",
    ),
    ("UPDATE transition SET uncertainty = 11 WHERE moment = 30 << 20 | 1", "says of agent 1: status 0 10 ms (at least"),
)


@pytest.mark.parametrize(("statement", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_a_wrong_number_is_found(statement: str, sentence: str, fresh: Callable[[], Path]) -> None:
    path = fresh()
    record(path, POLLS, 1)
    with changing(path) as connection:
        assert list(compare_derived(connection)) == []
        connection.execute(statement)
        found = list(compare_derived(connection))
        assert found[0].startswith(f"the checkpoint of 1970-01-01T00:00:00.030+00:00 {sentence}")
        rebuild_derived(connection, after=lambda _: 1)
        assert list(compare_derived(connection)) == []


def test_progress_counts_transitions(fresh: Callable[[], Path]) -> None:
    path = fresh()
    record(path, POLLS, 2)
    told: list[tuple[int, int]] = []
    with changing(path) as connection:
        rebuild_derived(connection, advanced=lambda done, of: told.append((done, of)), after=lambda _: 2)
    assert told[0] == (0, 7)
    assert told[-1] == (7, 7)
    assert told == sorted(told)


def test_an_interrupted_rebuild_leaves_what_was_there(fresh: Callable[[], Path]) -> None:
    path = fresh()
    record(path, POLLS, 2)

    def interrupt(done: int, of: int) -> None:
        if done:
            raise KeyboardInterrupt

    with changing(path) as connection:
        before = derived(connection)
        with pytest.raises(KeyboardInterrupt):
            rebuild_derived(connection, advanced=interrupt, after=lambda _: 1)
        assert derived(connection) == before


def test_the_writer_makes_checkpoints_that_are_missing_once(fresh: Callable[[], Path]) -> None:
    path = fresh()
    record(path, POLLS, 100)  # as if made by version 1: none was due
    with changing(path) as connection:
        assert derived(connection)["checkpoint"] == []
        assert not are_missing(connection)
        assert are_missing(connection, lambda _: 7)
        assert not are_missing(connection, lambda _: 8)
    HistoryWriter.open(path, RUN, checkpoint_after=lambda _: 3).abandon()
    with changing(path) as connection:
        made = derived(connection)
        assert [taken for taken, _ in made["checkpoint"]] == [20, 80]
        assert not are_missing(connection, lambda _: 3)
    HistoryWriter.open(path, RUN, checkpoint_after=lambda _: 1).abandon()
    with changing(path) as connection:
        assert derived(connection) == made


def test_totals_that_cannot_be_read_are_a_damaged_file(fresh: Callable[[], Path]) -> None:
    path = fresh()
    record(path, POLLS, 1)
    with changing(path) as connection:
        connection.execute("UPDATE total SET sums = X'00AA' WHERE taken = 90")
    with HistoryReader.open(path) as reader, pytest.raises(DatabaseError, match="damaged"):
        reader.totals(Window(15, 95), 95)


# --- packing ----------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(0, 100) | st.integers(-(2**40), 2**40)


@given(st.dictionaries(st.integers(0, 60), st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)))
def test_packed_sums_come_out_as_they_went_in(by_status: dict[int, tuple[int, int, int, int]]) -> None:
    sums = nothing(61)
    for status, numbers in by_status.items():
        sums[(status + 1) * 4 : (status + 2) * 4] = numbers
    found = unpacked(packed(sums))
    assert found[: len(sums)] + [0] * (len(sums) - len(found)) == sums
    assert not any(found[len(sums) :])
    assert packed(found) == packed(sums)


def test_five_statuses_take_101_bytes() -> None:
    assert len(packed([0] * 4 + [10**12, 10**8, 10**8, 10**5] * 5)) == 1 + 5 * (8 + 4 + 4 + 4)
