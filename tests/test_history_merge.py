"""How imported facts come beside those that are there: never twice, never lost, whole or not at all."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import DatabaseError
from exporter.history.algebra import Rules, covered_time, intervals
from exporter.history.answers import answer
from exporter.history.care.purge import purge_before
from exporter.history.facts import Description, Period
from exporter.history.instant import status_at
from exporter.history.opening import opened_for_care
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.transfer.errors import ImportRefused
from exporter.history.transfer.names import descriptions_to_add
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import BUSY, OFFLINE, ON_CALL, Agent, EndReason, Kind, Poll, TrackerState
from exporter.tracker import advance
from tests.support.care import PACE, PEOPLE, RUN, UTC, copied, failed, query, record, second
from tests.support.history_files import FailingConnection
from tests.support.lives import END, Step, lives
from tests.support.lives import record as record_life
from tests.support.transfer import (
    NOW,
    Line,
    at,
    bring,
    by_millisecond,
    exported,
    names_at,
    stays,
    told,
    write_export,
    write_log,
    write_polls,
)
from tests.support.two_sources import Case, cases, recorded

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


def lanes(path: Path) -> list[tuple[str, int, float, float | None]]:
    """Every spell: agent, lane, seconds from and to."""
    rows = query(
        path,
        "SELECT agent_id, lane, tracked_from, tracked_until FROM tracking JOIN agent ON agent.id = agent"
        " ORDER BY agent_id, tracked_from",
    )
    return [(a, lane, (s - at(0)) / 1000, None if e is None else (e - at(0)) / 1000) for a, lane, s, e in rows]


# --- the union --------------------------------------------------------------------------------------------------------


def test_an_import_fills_a_gap_of_the_recorder(path: Path, file: Path) -> None:
    before = stays(path, 0, 700)
    bring(path, write_log(file, (100, "1001", "Busy"), (200, "1001", "On Call"), (500, "1001", "Offline")))
    assert [stay for stay in stays(path, 0, 700) if stay[0] == "1001"] == [
        ("1001", "Available", 0.2, 30.2, "sampled"),
        ("1001", "On Call", 30.2, 90.2, "sampled"),
        ("1001", "unknown", 90.2, 100, "unknown"),
        ("1001", "Busy", 100, 200, "exact"),
        ("1001", "On Call", 200, 500, "exact"),
        ("1001", "unknown", 500, 600.2, "unknown"),
        ("1001", "Available", 600.2, 660.2, "sampled"),
        ("1001", "unknown", 660.2, 700, "unknown"),
    ]
    assert [stay for stay in stays(path, 0, 700) if stay[0] != "1001"] == [s for s in before if s[0] != "1001"]
    assert failed(path) == []


def test_since_is_not_earlier_than_another_status_that_an_import_tells(tmp_path: Path, file: Path) -> None:
    # The recorder saw nothing but On Call: from 0.2 to 90.2 s, 600.2 to 690.2 s and 800.2 to 830.2 s. So it was since
    # 0.2 s, as far as the recorder knows. But the log says Available from 300 to 600.2 s.
    plan = {s: {"1001": ON_CALL} for s in (0, 30, 60, 90, 600, 630, 660, 690, 800, 830)}
    path = record(tmp_path / "history.db", plan)

    def since(seconds: float, bridge_ms: int = 0) -> tuple[object, float, object]:
        with HistoryReader.open(path) as reader:
            asked = Question(Window(at(seconds), at(seconds) + 1), UTC, NOW, rules=Rules(bridge_ms=bridge_ms))
            (row,) = answer(reader, "at", asked).rows
        assert isinstance(row["since"], int)
        return row["status"], (row["since"] - at(0)) / 1000, row["quality"]

    assert since(660) == ("On Call", 0.2, "sampled")
    bring(path, write_log(file, (200, "1001", "On Call"), (300, "1001", "Available"), (600.2, "1001", "On Call")))
    assert since(60) == ("On Call", 0.2, "sampled")
    assert since(250) == ("On Call", 0.2, "exact")
    assert since(350) == ("Available", 300, "exact")
    assert since(660) == ("On Call", 600.2, "sampled")
    # Nor does a gap after that reset it, bridged (690.2 to 800.2 s) or not.
    assert since(820) == ("On Call", 600.2, "sampled")
    assert since(750, bridge_ms=110_000) == ("On Call", 600.2, "bridged")


@settings(max_examples=max(20, settings().max_examples // 5))
@given(cases(), st.integers(0, 300))
def test_between_since_and_the_instant_no_source_knows_another_status(case: Case, back: int) -> None:
    with recorded(case) as path, HistoryReader.open(path) as reader:
        instant = max(0, case.end - back)
        whole = reader.facts(Window(0, case.end + 1))
        near = reader.facts(Window(instant, instant + 1), back_to_changes=True)
        covered = covered_time(whole, case.end + 100_000)
        for agent in near.agents:
            found = status_at(agent, covered_time(near, case.end + 100_000), instant)
            (same,) = (one for one in whole.agents if one.agent_id == agent.agent_id)
            assert found == status_at(same, covered, instant)
            if found is None or found.since is None:
                continue
            known = {i.status for i, _ in intervals(same, covered, Window(found.since, instant + 1))}
            assert {status for status in known if status.kind is not Kind.UNKNOWN} == {found.status}


def test_covered_time_may_touch(path: Path, file: Path) -> None:
    bring(path, write_log(file, (90.2, "1001", "Busy"), (600.2, "1001", "Available")))
    found = [stay[1:4] for stay in stays(path, 0, 660) if stay[0] == "1001"]
    assert found[1:4] == [("On Call", 30.2, 90.2), ("Busy", 90.2, 600.2), ("Available", 600.2, 660)]
    assert failed(path) == []


def test_each_spell_takes_the_lowest_lane_that_has_room(path: Path, tmp_path: Path) -> None:
    # The recorder's spell of 1001 goes on, so lane 0 is taken from 0.2 s on; 1003 left it at 30.2 s.
    # A: polls of both at 100 and 130 s, and at 400 and 430 s. B lies in A's gap: beside the recorder and beside A.
    # C comes after A: beside the recorder again, and where B is not.
    a = [Poll(at(s), at(s), {"1001": BUSY, "1003": BUSY}) for s in (100, 130, 400, 430)]
    bring(path, write_polls(tmp_path / "a", a), interval_ms=30_000)
    bring(path, write_log(tmp_path / "b", (200, "1001", "On Call"), (300, "1001", "Busy"), (300, "1003", "Offline")))
    bring(path, write_log(tmp_path / "c", (500, "1001", "Busy"), (550, "1003", "Busy"), (580, "1001", "Offline")))
    assert lanes(path) == [
        ("1001", 0, 0.2, None),
        ("1001", 1, 100, 430),
        ("1001", 2, 200, 300),
        ("1001", 1, 500, 580),
        ("1002", 0, 0.2, None),
        ("1003", 0, 0.2, 30.2),
        ("1003", 0, 100, 430),
        ("1003", 1, 300, 300),
        ("1003", 0, 550, 580),
    ]
    assert [stay[1:4] for stay in stays(path, 95, 605) if stay[0] == "1001"] == [
        ("unknown", 95, 100),
        ("Busy", 100, 130),
        ("unknown", 130, 200),
        ("On Call", 200, 300),
        ("unknown", 300, 400),
        ("Busy", 400, 430),
        ("unknown", 430, 500),
        ("Busy", 500, 580),
        ("unknown", 580, 600.2),
        ("Available", 600.2, 605),
    ]
    assert failed(path) == []


def test_a_lone_poll_in_the_way_proves_no_time(tmp_path: Path, file: Path) -> None:
    path = record(tmp_path / "lone.db", {0: {"1001": BUSY}, 1_000: {"1001": BUSY}, 2_000: {"1001": BUSY}})
    bring(path, write_log(file, (500, "1001", "Available"), (1_500, "1001", "Offline")))
    assert stays(path, 600, 1_400) == [("1001", "Available", 600, 1_400, "exact")]
    assert failed(path) == []


def test_words_that_have_other_numbers_elsewhere_stay_what_they_are(path: Path, tmp_path: Path) -> None:
    bring(path, write_log(tmp_path / "a", (100, "1001", "Lunch"), (110, "1001", "Offline")))
    other = tmp_path / "other.db"
    bring(other, write_log(tmp_path / "b", (120, "1001", "Meeting"), (130, "1001", "Lunch"), (140, "1001", "Busy")))
    bring(path, write_export(other, tmp_path / "export"))
    assert [stay[1:4] for stay in stays(path, 95, 600) if stay[4] == "exact"] == [
        ("Lunch", 100, 110),
        ("Meeting", 120, 130),
        ("Lunch", 130, 140),
    ]


# --- refusals ---------------------------------------------------------------------------------------------------------


def refused(path: Path, file: Path, sentence: str, **options: int) -> None:
    before, names = exported(path), sorted(path.parent.iterdir())
    with pytest.raises(ImportRefused) as error:
        bring(path, file, **options)  # type: ignore[arg-type] # `now` only
    assert str(error.value) == sentence
    assert error.value.exit_code == 1
    assert exported(path) == before
    assert sorted(path.parent.iterdir()) == names


def known(agent_id: str, since: str, until: str) -> str:
    return (
        f"agent {agent_id} is known from 2025-11-22T{since}+00:00 to 2025-11-22T{until}+00:00 already: nothing is "
        "imported; leave that time of the agent out of the file, or import into another database with --db"
    )


def test_an_overlap_is_refused_with_the_first_agent_and_its_time(path: Path, file: Path) -> None:
    # The file covers 80 to 605 s. 1002 is known until 90.2 s, 1001 again from 600.2 s on; 1003 is not known then.
    rows = ((80, "1002", "Busy"), (95, "1001", "Busy"), (81, "1003", "Busy"), (605, "1001", "Offline"))
    refused(path, write_log(file, *rows), known("1002", "08:28:00", "08:28:10.200"))


def test_what_an_import_covers_cannot_be_imported_again_in_another_file(path: Path, tmp_path: Path) -> None:
    bring(path, write_log(tmp_path / "a", (100, "1001", "Busy"), (200, "1001", "Offline")))
    again = write_log(tmp_path / "b", (199, "1001", "Busy"), (300, "1001", "Offline"))
    refused(path, again, known("1001", "08:29:59", "08:30:00"))


def test_the_export_of_a_database_does_not_fit_into_it(path: Path, file: Path) -> None:
    refused(path, write_export(path, file), known("1001", "08:26:40.200", "08:28:10.200"))


def test_what_was_purged_does_not_come_back(path: Path, file: Path) -> None:
    with opened_for_care(path, now_ms=NOW, program="0.2.0") as connection:
        purge_before(connection, at(300), now_ms=NOW, program="0.2.0")
    refused(
        path,
        write_log(file, (299, "7", "Busy"), (400, "7", "Offline")),
        "the file tells of 2025-11-22T08:31:39+00:00, and everything before 2025-11-22T08:31:40+00:00 was purged from "
        "this history: nothing is imported; leave out of the file what is older",
    )
    bring(path, write_log(file, (300, "7", "Busy"), (400, "7", "Offline")))
    assert ("7", "Busy", 300, 400, "exact") in stays(path, 300, 500)
    assert failed(path) == []


def test_time_that_the_recorder_can_still_make_its_own_is_the_recorders(path: Path, file: Path) -> None:
    # Its last poll was received at 660.2 s; a poll within 75 s goes on with the stretch. So until 735.2 s the time of
    # those whom it tracks may turn out to be covered; the others' will not.
    write_log(file, (665, "1001", "Busy"), (670, "1001", "Offline"))
    refused(path, file, known("1001", "08:37:45", "08:37:50"), now=at(735.2))
    bring(path, write_log(file, (665, "1003", "Busy"), (670, "1003", "Offline")), now=at(735.2))
    bring(path, write_log(file, (665, "1001", "Busy"), (670, "1001", "Offline")), now=at(735.3))
    assert failed(path) == []


# --- the recorder goes on ---------------------------------------------------------------------------------------------


def go_on(path: Path, *polls: Poll) -> None:
    """Another run of the recorder."""
    writer = HistoryWriter.open(path, replace(RUN, started=NOW))
    state = writer.resumed
    for poll in polls:
        agents = {agent_id: PEOPLE.get(agent_id, Agent(agent_id, "New")) for agent_id in poll.readings}
        state, facts = advance(state, poll, agents, PACE, silence=writer.resumed_end or EndReason.CRASH)
        writer.append(facts)
    writer.close(NOW, EndReason.SHUTDOWN)


def test_the_recorder_goes_on_from_what_it_knew(path: Path, file: Path) -> None:
    knew = resumed(path)
    bring(path, write_log(file, (700, "1001", "Busy"), (9_000, "1001", "Lunch"), (9_000, "1003", "Busy")))
    assert resumed(path) == knew
    assert knew[1] is EndReason.SHUTDOWN


def resumed(path: Path) -> tuple[TrackerState, EndReason | None]:
    """What a recorder would go on from."""
    writer = HistoryWriter.open(path, RUN)
    writer.close(NOW, EndReason.SHUTDOWN)
    return writer.resumed, writer.resumed_end


def test_the_recorder_never_writes_into_what_was_imported_even_if_its_clock_was_set_back(
    path: Path, file: Path
) -> None:
    # The file tells of 800 to 900 s; then the recorder's clock is set back to 850 s, and it begins to track 1003 again.
    # That time has two tellers now, which `check` says; but each is told right by its own lane.
    bring(path, write_log(file, (800, "1003", "Busy"), (900, "1003", "Offline")))
    assert ("1003", 1, 800, 900) in lanes(path)
    go_on(path, Poll(at(850), at(850), {"1003": ON_CALL}), Poll(at(880), at(880), {"1003": ON_CALL}))
    assert query(path, "SELECT lane, to_status FROM transitions JOIN agent USING (agent_id) WHERE seen = ?", at(850))
    assert failed(path) == ["sources"]


def test_polls_after_an_import_are_recorded_as_ever(path: Path, file: Path) -> None:
    bring(path, write_log(file, (700, "8", "Busy"), (800, "8", "Offline")))
    go_on(path, *(Poll(at(s), at(s + 0.2), {"1001": BUSY, "8": ON_CALL}) for s in (2_000, 2_030)))
    assert [stay for stay in stays(path, 640, 2_100) if stay[0] != "1002"] == [
        ("1001", "Available", 640, 660.2, "sampled"),
        ("1001", "unknown", 660.2, 2_000.2, "unknown"),
        ("1001", "Busy", 2_000.2, 2_030.2, "sampled"),
        ("1001", "unknown", 2_030.2, 2_100, "unknown"),
        ("8", "Busy", 700, 800, "exact"),
        ("8", "On Call", 2_000.2, 2_030.2, "sampled"),
        ("8", "unknown", 2_030.2, 2_100, "unknown"),
    ]
    assert failed(path) == []


def test_a_run_that_crashed_is_ended_as_the_next_start_would(tmp_path: Path, file: Path) -> None:
    path = record(tmp_path / "crashed.db", end=None)
    bring(path, write_log(file, (100, "1001", "Busy"), (200, "1001", "Offline")))
    assert query(path, "SELECT ended, end_reason FROM run ORDER BY id") == [
        (second(660), "crash"),
        (NOW, "shutdown"),
    ]
    assert query(path, "SELECT end_reason FROM coverage WHERE source = 0 ORDER BY started") == [
        ("poll failure",),
        ("crash",),
    ]


# --- names and teams --------------------------------------------------------------------------------------------------


def test_names_of_an_import_hold_in_its_time_and_nowhere_else(path: Path, file: Path) -> None:
    file.write_text(
        "agent_id,time,status,name,team\n"
        f"1001,{at(100)},Busy,Ann S.,Night\n1001,{at(200)},On Call,,Day\n1001,{at(300)},Offline,,\n",
        encoding="utf-8",
    )
    bring(path, file)
    assert names_at(path, "1001", 50, 99, 100, 199, 200, 299, 300, 650) == [
        ("Ann Schmidt", "Sales"),
        ("Ann Schmidt", "Sales"),
        ("Ann S.", "Night"),
        ("Ann S.", "Night"),
        ("Ann S.", "Day"),
        ("Ann S.", "Day"),
        ("Ann Schmidt", "Sales"),
        ("Ann Schmidt", "Sales"),
    ]


def test_polls_that_tell_no_names_take_none_away(path: Path, file: Path) -> None:
    bring(path, write_polls(file, [Poll(at(s), at(s), {"1001": BUSY}) for s in (100, 130)]))
    assert names_at(path, "1001", 50, 110, 650) == [("Ann Schmidt", "Sales")] * 3


texts = st.sampled_from(("", "A", "B"))
descriptions = st.dictionaries(st.integers(0, 20), st.tuples(texts, texts), max_size=4).map(
    lambda found: [Description(since, *text) for since, text in sorted(found.items())]
)
times = st.lists(st.integers(0, 22), max_size=6, unique=True).map(
    lambda edges: [Period(*pair) for pair in zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False)]
)


def described(found: Sequence[Description], instant: int) -> tuple[str, str] | None:
    """By looking at each: the latest one of before, or else the first one."""
    past = [d for d in found if d.since <= instant]
    return (past[-1] if past else found[0])[1:] if found else None


@given(descriptions, descriptions, times)
def test_each_origin_describes_its_own_time(
    theirs: list[Description], ours: list[Description], our_time: list[Period]
) -> None:
    added = descriptions_to_add(theirs, ours, our_time)
    merged = sorted({d.since: d for d in (*theirs, *added)}.values())
    telling = [d for d in ours if d.name or d.team]
    for instant in range(-1, 25):
        is_ours = any(start <= instant < end for start, end in our_time)
        if theirs and instant < theirs[0].since and not is_ours:
            continue  # nobody tracked the agent then
        wanted = described(telling, instant) if telling and (is_ours or not theirs) else described(theirs, instant)
        assert described(merged, instant) == wanted
    if theirs:
        replaced = {d.since for d in theirs}
        assert all(a[1:] != b[1:] or a.since in replaced for a, b in zip(merged[1:], merged, strict=False))


# --- exports ----------------------------------------------------------------------------------------------------------

few = settings(max_examples=max(12, settings().max_examples // 8))
"""Each example writes database files."""


def without_imports(lines: Sequence[Line]) -> list[Line]:
    """The rows that the imports themselves have not made: their runs began at `NOW`."""
    runs = {line["id"] for line in lines if line["table"] == "run" and line["started"] == NOW}
    return [
        line
        for line in lines
        if not (line["table"] == "run" and line["id"] in runs)
        and not (line["table"] == "incident" and line["run"] in runs)
    ]


@few
@given(lives(), st.none() | st.integers(0, END), st.booleans())
def test_invariant_4_an_export_imported_into_an_empty_history_is_the_history_that_was_exported(
    life: list[Step], cut: int | None, with_log: bool
) -> None:
    with TemporaryDirectory() as folder:
        first, restored = Path(folder) / "first.db", Path(folder) / "restored.db"
        record_life(first, life, checkpoint_after=lambda _: 3)
        if with_log:
            bring(first, write_log(Path(folder) / "log", (0, "1", "Busy"), (1, "9", "Lunch"), (2, "1", "Offline")))
        if cut is not None:
            with opened_for_care(first, now_ms=END, program="0.2.0") as connection:
                purge_before(connection, cut, now_ms=END, program="0.2.0")
        done = bring(restored, write_export(first, Path(folder) / "export"))
        assert done.merged is not None
        assert done.merged.restored
        assert without_imports(exported(restored)) == without_imports(exported(first))
        names = ("timeline", "summary", "transitions", "coverage")
        assert told(restored, Window(0, END), *names) == told(first, Window(0, END), *names)
        assert failed(restored) == []
        assert resumed(restored)[0] == resumed(first)[0]


def test_what_went_on_when_it_was_exported_is_ended_where_its_evidence_ends(tmp_path: Path, file: Path) -> None:
    path, restored = record(tmp_path / "open.db", end=None), tmp_path / "restored.db"
    bring(restored, write_export(path, file))
    changed = [line for line in without_imports(exported(restored)) if line not in exported(path)]
    assert [(line["table"], line.get("ended"), line["end_reason"]) for line in changed] == [
        ("run", second(660), "not in the file"),
        ("coverage", None, "not in the file"),
    ]
    assert lanes(restored) == lanes(path)  # whom the recorder tracks is what it goes on from
    assert failed(restored) == []


def test_a_restored_history_says_where_it_comes_from_and_takes_the_file_once(path: Path, tmp_path: Path) -> None:
    file, restored = write_export(path, tmp_path / "facts.ndjson"), tmp_path / "restored.db"
    bring(restored, file)
    ((detail,),) = query(restored, "SELECT detail FROM incident WHERE kind = 'import'")
    assert detail.startswith("restored from the export facts.ndjson (sha256 ")
    assert query(restored, "SELECT id, file FROM source") == [(0, None)]
    assert bring(restored, file, now=NOW + 1).before == NOW


def test_a_run_without_polls_is_no_fact_that_prevents_a_restore(path: Path, tmp_path: Path) -> None:
    restored = tmp_path / "restored.db"
    HistoryWriter.open(restored, RUN).close(NOW, EndReason.SHUTDOWN)
    done = bring(restored, write_export(path, tmp_path / "facts"))
    assert done.merged is not None
    assert done.merged.restored
    assert stays(restored, 0, 700) == stays(path, 0, 700)
    assert query(restored, "SELECT count(*), max(id) FROM run") == [(3, 3)]
    assert failed(restored) == []


def test_an_export_beside_other_facts_is_another_source_and_keeps_what_it_knew_of_its_own(
    path: Path, tmp_path: Path
) -> None:
    other = record(tmp_path / "other.db", {1_000: {"1001": BUSY, "1002": OFFLINE}, 1_030: {"1001": BUSY, "1002": BUSY}})
    bring(other, write_log(tmp_path / "old.csv", (700, "1002", "Lunch"), (720, "1002", "Offline")), now=NOW - 5)
    bring(path, write_export(other, tmp_path / "facts"))
    assert [(kind, name, imported) for _, kind, name, _, imported, _ in query(path, "SELECT * FROM source")] == [
        ("polls", None, None),
        ("polls", "facts", NOW),
        ("log", "old.csv", NOW - 5),
    ]
    # 1001 and 1002 were still tracked in the other file: here they are until its last poll.
    assert [spell for spell in lanes(path) if spell[2] > 600] == [
        ("1001", 1, 1_000.2, 1_030.2),
        ("1002", 1, 700, 720),
        ("1002", 1, 1_000.2, 1_030.2),
    ]
    assert [stay for stay in stays(path, 690, 1_100) if stay[0] == "1002" and stay[4] != "unknown"] == [
        ("1002", "Lunch", 700, 720, "exact"),
        ("1002", "Offline", 1_000.2, 1_030.2, "sampled"),
    ]
    assert bring(path, tmp_path / "old.csv").before == NOW - 5
    assert failed(path) == []


def shifted(life: Sequence[Step], by: int) -> list[Step]:
    return [
        replace(step, poll=replace(step.poll, sent=step.poll.sent + by, received=step.poll.received + by))
        for step in life
    ]


@few
@given(lives(longest=8), lives(longest=8), st.integers(0, 350), st.none() | st.integers(0, END))
def test_invariant_14_an_import_adds_what_it_knows_and_takes_nothing_away(
    one: list[Step], other: list[Step], by: int, cut: int | None
) -> None:
    # Two recorders, whose lives overlap or not; the second's file may have been purged before it was exported.
    with TemporaryDirectory() as folder:
        first, second_, file = Path(folder) / "first.db", Path(folder) / "second.db", Path(folder) / "file"
        record_life(first, one, checkpoint_after=lambda _: 3)
        record_life(second_, shifted(other, by), checkpoint_after=lambda _: 3)
        of_second = by_millisecond(second_, 0, 2 * END)
        if cut is not None:
            with opened_for_care(second_, now_ms=END, program="0.2.0") as connection:
                mark = purge_before(connection, cut, now_ms=END, program="0.2.0").water_mark
            of_second = {key: status for key, status in of_second.items() if key[1] >= (mark or 0)}
        of_first = by_millisecond(first, 0, 2 * END)
        write_export(second_, file)
        if of_first.keys() & of_second.keys():
            with pytest.raises(ImportRefused, match="already: nothing is imported"):
                bring(first, file)
            assert by_millisecond(first, 0, 2 * END) == of_first
        else:
            bring(first, file)
            assert by_millisecond(first, 0, 2 * END) == of_first | of_second
        assert failed(first) == []


logs = st.lists(
    st.tuples(st.sampled_from((0, 1, 2)), st.integers(1, 9), st.sampled_from("12"), st.sampled_from(("Busy", "Lunch"))),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[:3],
)


@few
@given(logs)
def test_invariant_7_files_may_be_imported_in_any_order(rows: list[tuple[int, int, str, str]]) -> None:
    # Three logs, of 0 to 9 s, of 10 to 19 s and of 20 to 29 s, each with the rows that were drawn for it.
    with TemporaryDirectory() as folder:
        files = []
        for number in range(3):
            mine = [(10 * number + s, agent, status) for which, s, agent, status in rows if which == number]
            if mine:
                files.append(write_log(Path(folder) / f"{number}.csv", *mine))
        found = []
        for name, order in (("a.db", files), ("b.db", files[::-1])):
            for file in order:
                bring(Path(folder) / name, file)
            assert failed(Path(folder) / name) == []
            found.append(stays(Path(folder) / name, 0, 30))
        assert found[0] == found[1]


# --- whole or not at all ----------------------------------------------------------------------------------------------

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
