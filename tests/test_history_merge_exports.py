"""Exports that come into another history, or into none: nothing is lost, and every provenance is kept."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.history.care.purge import purge_before
from exporter.history.opening import opened_for_care
from exporter.history.transfer.errors import ImportRefused
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import BUSY, OFFLINE, EndReason
from tests.support.care import RUN, failed, query, record, second
from tests.support.lives import END, Step, lives
from tests.support.lives import record as record_life
from tests.support.transfer import (
    NOW,
    Line,
    bring,
    by_millisecond,
    exported,
    lanes,
    resumed,
    stays,
    told,
    write_export,
    write_log,
)

few = settings(max_examples=max(12, settings().max_examples // 8))
"""Each example writes database files."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The morning of `care`: somebody looked from 0.2 to 90.2 s and from 600.2 to 660.2 s.

    1001 and 1002 are tracked on; 1003 left after 30.2 s.
    """
    return record(tmp_path / "history.db")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


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
