"""How imported facts come beside those that are there: never twice, never over what somebody saw."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from exporter.model import BUSY, ON_CALL, Agent, EndReason, Kind, Poll
from exporter.tracker import advance
from tests.support.care import PACE, PEOPLE, RUN, UTC, failed, query, record, second
from tests.support.transfer import (
    NOW,
    at,
    bring,
    exported,
    lanes,
    names_at,
    resumed,
    stays,
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
