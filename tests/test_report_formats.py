"""How a report is written: the same values in each format, nothing invented, nothing that can act on its reader."""

import csv
import json
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.report.formats import STREAMS, clock_text, instant_text, seconds_number
from exporter.report.formats_table import write_table
from exporter.report.model import Cell, Column, ColumnKind, Report

COLUMNS = (
    Column("agent_id"),
    Column("status"),
    Column("start", ColumnKind.INSTANT),
    Column("duration_seconds", ColumnKind.DURATION),
    Column("share", ColumnKind.SHARE),
    Column("stays", ColumnKind.COUNT),
    Column("covered", ColumnKind.FLAG),
)
# 2023-11-14 22:13:20 UTC is 23:13:20 in Berlin, which is an hour ahead in November.
FIRST: dict[str, Cell] = {
    "agent_id": "58000000000000001",
    "status": "On Break",
    "start": 1_700_000_000_000,
    "duration_seconds": 3_725_000,
    "share": 0.12345678,
    "stays": 2,
    "covered": True,
}
SECOND: dict[str, Cell] = {**FIRST, "start": 1_700_000_000_250, "duration_seconds": 1_500, "share": None, "stays": None}
META: dict[str, Any] = {
    "report": "summary",
    "since": 1_700_000_000_000,
    "until": 1_700_003_600_000,
    "timezone": "Europe/Berlin",
    "covered_seconds": 2_700_500,
    "unknown_seconds": 900_000,
    "coverage": 0.75010416,
    "formula": "share = time / known time",
    "warnings": ("a",),
}
KINDS = {
    "since": ColumnKind.INSTANT,
    "until": ColumnKind.INSTANT,
    "covered_seconds": ColumnKind.DURATION,
    "unknown_seconds": ColumnKind.DURATION,
}
REPORT = Report(META, COLUMNS, (FIRST, SECOND), KINDS, "Europe/Berlin")


def text_report(*texts: str) -> Report:
    return Report({"report": "x"}, (Column("name"), Column("other")), [{"name": t, "other": t} for t in texts], {})


def written(form: str, report: Report) -> str:
    return "".join(STREAMS[form](report))


def drawn(report: Report, width: int | None = None) -> str:
    stream = StringIO()
    write_table(report, stream, width=width)
    return stream.getvalue()


def drawn_on_terminal(report: Report, monkeypatch: pytest.MonkeyPatch) -> str:
    stream = StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    write_table(report, stream)
    return stream.getvalue()


def test_csv() -> None:
    assert written("csv", REPORT) == (
        "agent_id,status,start,duration_seconds,share,stays,covered\n"
        "58000000000000001,On Break,2023-11-14T23:13:20+01:00,3725,0.123457,2,true\n"
        "58000000000000001,On Break,2023-11-14T23:13:20.250+01:00,1.5,,,true\n"
    )


def test_tsv() -> None:
    assert written("tsv", REPORT).splitlines()[1] == (
        "58000000000000001\tOn Break\t2023-11-14T23:13:20+01:00\t3725\t0.123457\t2\ttrue"
    )


def test_json_has_meta_and_rows_with_numbers_as_numbers_and_ids_as_text() -> None:
    assert json.loads(written("json", REPORT)) == {
        "meta": {
            "report": "summary",
            "since": "2023-11-14T23:13:20+01:00",
            "until": "2023-11-15T00:13:20+01:00",
            "timezone": "Europe/Berlin",
            "covered_seconds": 2700.5,
            "unknown_seconds": 900,
            "coverage": 0.750104,
            "formula": "share = time / known time",
            "warnings": ["a"],
        },
        "rows": [
            {
                "agent_id": "58000000000000001",
                "status": "On Break",
                "start": "2023-11-14T23:13:20+01:00",
                "duration_seconds": 3725,
                "share": 0.123457,
                "stays": 2,
                "covered": True,
            },
            {
                "agent_id": "58000000000000001",
                "status": "On Break",
                "start": "2023-11-14T23:13:20.250+01:00",
                "duration_seconds": 1.5,
                "share": None,
                "stays": None,
                "covered": True,
            },
        ],
    }


def test_ndjson_is_the_rows_of_json_a_line_each() -> None:
    lines = written("ndjson", REPORT).splitlines()
    assert [json.loads(line) for line in lines] == json.loads(written("json", REPORT))["rows"]


def test_markdown() -> None:
    assert written("markdown", REPORT) == (
        "| agent id | status | start | duration | share | stays | covered |\n"
        "| --- | --- | --- | ---: | ---: | ---: | --- |\n"
        "| 58000000000000001 | On Break | 2023-11-14 23:13:20+01:00 | 1:02:05 | 12.3 % | 2 | yes |\n"
        "| 58000000000000001 | On Break | 2023-11-14 23:13:20+01:00 | 0:00:02 |  |  | yes |\n"
        "\nWindow: 2023-11-14 23:13:20+01:00 to 2023-11-15 00:13:20+01:00 (Europe/Berlin), the end not included\n"
        "\nCoverage: 75.0 %; covered 0:45:01, unknown 0:15:00\n"
        "\nFormula: share = time / known time\n"
    )


def test_a_table_has_the_rows_and_under_them_window_zone_coverage_and_formula() -> None:
    assert drawn(REPORT) == (
        "agent id           status    start                duration   share  stays  covered\n"
        "──────────────────────────────────────────────────────────────────────────────────\n"
        "58000000000000001  On Break  2023-11-14 23:13:20   1:02:05  12.3 %      2  yes\n"
        "58000000000000001  On Break  2023-11-14 23:13:20   0:00:02                 yes\n"
        "\n"
        "Window: 2023-11-14 23:13:20+01:00 to 2023-11-15 00:13:20+01:00 (Europe/Berlin), the end not included\n"
        "Coverage: 75.0 %; covered 0:45:01, unknown 0:15:00\n"
        "Formula: share = time / known time\n"
    )


def test_under_a_table_on_an_instant_stands_the_instant_and_the_part_of_the_agents_that_is_known() -> None:
    instant = {"at": META["since"], "until": META["since"], "covered_seconds": 0, "unknown_seconds": 0}
    report = Report({**META, **instant, "report": "at"}, COLUMNS, (FIRST,), KINDS, "Europe/Berlin")
    assert drawn(report).partition("\n\n")[2] == (
        "At: 2023-11-14 23:13:20+01:00 (Europe/Berlin)\n"
        "Coverage: 75.0 % of the agents\n"
        "Formula: share = time / known time\n"
    )


def test_the_coverage_under_a_table_is_that_of_the_header_not_one_of_its_own() -> None:
    # Covered time that was absent, and bridged time, are no known time: 2700.5 of 3600.5 s are covered, 12 % known.
    report = Report({**META, "coverage": 0.12}, COLUMNS, (), KINDS, "UTC")
    assert "Coverage: 12.0 %; covered 0:45:01, unknown 0:15:00" in drawn(report)


def test_under_a_table_on_a_purged_instant_stands_the_instant_that_was_asked_for() -> None:
    kinds = KINDS | {"at": ColumnKind.INSTANT, "asked_since": ColumnKind.INSTANT}
    asked = META["since"] - 3_600_000
    told = {**META, "at": asked, "asked_since": asked, "until": META["since"], "report": "at", "coverage": None}
    report = Report(told, COLUMNS, (), kinds, "Europe/Berlin")
    assert "At: 2023-11-14 22:13:20+01:00 (Europe/Berlin)\nCoverage: none of the agents\n" in drawn(report)


def test_a_window_of_which_nothing_is_left_is_no_instant() -> None:
    kinds = KINDS | {"asked_since": ColumnKind.INSTANT}
    told = {**META, "asked_since": META["since"] - 3_600_000, "until": META["since"], "coverage": None}
    report = Report(told, COLUMNS, (), kinds, "Europe/Berlin")
    assert (
        "Window: nothing of it is left: everything before 2023-11-14 23:13:20+01:00 (Europe/Berlin) was purged\n"
        in drawn(report)
    )


def test_a_table_leaves_out_flags_that_are_never_set_and_columns_of_nothing() -> None:
    columns = (Column("name"), Column("open", ColumnKind.FLAG), Column("error"))
    report = Report({}, columns, [{"name": "Ann", "open": False, "error": None}], {})
    assert drawn(report) == "name\n────\nAnn\n\n"


def test_a_narrow_terminal_gets_no_bounds_and_is_told_so() -> None:
    columns = (
        *(Column(name) for name in ("a", "b", "c", "d", "e", "f")),
        Column("min_seconds", ColumnKind.DURATION),
        Column("share", ColumnKind.SHARE),
    )
    report = Report({}, columns, [{**dict.fromkeys("abcdef", "x"), "min_seconds": 0, "share": 0.5}], {})
    assert drawn(report, 33).splitlines()[0] == "a  b  c  d  e  f      min   share"
    assert drawn(report, 32).splitlines()[0] == "a  b  c  d  e  f   share"
    assert drawn(report, 32).splitlines()[-1] == "Not shown, for the terminal is narrow: min"
    assert drawn(report, 3).splitlines()[0] == "a  b  c  d  e  f"


def test_a_table_shows_the_offset_in_the_repeated_hour_only() -> None:
    report = Report(
        {},
        (Column("t", ColumnKind.INSTANT),),
        [{"t": t} for t in (1_698_535_800_000, 1_698_539_400_000, 1_698_543_000_000, 1_698_546_600_000)],
        {},
        "Europe/Berlin",
    )
    assert [line.strip() for line in drawn(report).splitlines()[2:6]] == [
        "2023-10-29 01:30:00",
        "2023-10-29 02:30:00+02:00",
        "2023-10-29 02:30:00+01:00",
        "2023-10-29 03:30:00",
    ]


def test_wide_characters_keep_the_columns_straight() -> None:
    lines = drawn(text_report("王小明", "Ann")).splitlines()
    assert lines[2:4] == ["王小明  王小明", "Ann     Ann"]


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[35mOn Break\x1b[0m" in drawn_on_terminal(REPORT, monkeypatch)


def test_a_terminal_that_wants_no_colour_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[35m" not in drawn_on_terminal(REPORT, monkeypatch)


def test_a_table_in_a_pipe_has_no_colour_and_cuts_nothing() -> None:
    out = drawn(text_report("x" * 500))
    assert "x" * 500 in out
    assert "\x1b" not in out


def test_a_report_without_rows_says_so_and_is_valid_in_every_format() -> None:
    empty = Report(META, COLUMNS, (), KINDS, "Europe/Berlin")
    assert json.loads(written("json", empty))["rows"] == []
    assert written("ndjson", empty) == ""
    assert written("csv", empty) == "agent_id,status,start,duration_seconds,share,stays,covered\n"
    assert "no rows" in drawn(empty)


def test_a_report_of_no_tracked_time_has_no_coverage_rather_than_a_wrong_one() -> None:
    empty = Report({**META, "covered_seconds": 0, "unknown_seconds": 0, "coverage": None}, COLUMNS, (), KINDS, "UTC")
    assert "Coverage: no tracked time; covered 0:00:00, unknown 0:00:00" in drawn(empty)


@pytest.mark.parametrize("form", ["csv", "tsv"])
@pytest.mark.parametrize("text", ["=1+1", "+49", "-5", "@SUM(A1)", "＝1", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula_for_a_spreadsheet(form: str, text: str) -> None:
    cell = written(form, text_report(text)).splitlines()[1]
    delimiter = "," if form == "csv" else "\t"
    assert next(csv.reader([cell], delimiter=delimiter)) == [f"'{text}", f"'{text}"]


def test_negative_numbers_are_numbers_and_get_no_apostrophe() -> None:
    report = Report({}, (Column("n", ColumnKind.COUNT),), [{"n": -5}], {})
    assert written("csv", report) == "n\n-5\n"


hostile = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b\x07\x9b\u202e\u2028|,\t\n\r\"'=<`[]")))


@given(hostile)
def test_no_control_character_reaches_a_terminal_in_any_format(text: str) -> None:
    for form in STREAMS:
        raw = written(form, text_report(text)).replace("\n", "").replace("\t", "")
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in raw)
    raw = drawn(text_report(text)).replace("\n", "")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in raw)


@given(st.lists(hostile, max_size=4))
def test_each_row_stays_one_row_of_the_same_columns(texts: list[str]) -> None:
    report = text_report(*texts)
    assert all(len(row) == 2 for row in csv.reader(StringIO(written("csv", report))))
    assert len(written("csv", report).splitlines()) == len(texts) + 1
    assert all(line.count("\t") == 1 for line in written("tsv", report).splitlines())
    assert len(written("ndjson", report).split("\n")) == len(texts) + 1


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_json_loses_nothing_of_a_text(text: str) -> None:
    assert json.loads(written("ndjson", text_report(text)))["name"] == text


def test_markup_in_a_name_is_no_markup_in_markdown() -> None:
    line = written("markdown", text_report("<b>|`*_[x](y)")).splitlines()[2]
    escaped = "&lt;b&gt;\\|\\`\\*\\_\\[x\\](y)"
    assert line == f"| {escaped} | {escaped} |"


def test_markup_of_rich_in_a_name_is_shown_as_it_is() -> None:
    assert "[red]Ann[/red] :smile:" in drawn(text_report("[red]Ann[/red] :smile:"))


def test_what_is_no_number_is_null() -> None:
    report = Report({"x": float("nan")}, (Column("share", ColumnKind.SHARE),), [{"share": float("inf")}], {})
    assert json.loads(written("json", report)) == {"meta": {"x": None}, "rows": [{"share": None}]}


@pytest.mark.parametrize(
    ("zone", "milliseconds", "text"),
    [
        ("UTC", 0, "1970-01-01T00:00:00+00:00"),
        ("Asia/Kathmandu", 1_700_000_000_000, "2023-11-15T03:58:20+05:45"),
        # The repeated hour of 2023-10-29 in Berlin is told apart by the offset.
        ("Europe/Berlin", 1_698_539_400_000, "2023-10-29T02:30:00+02:00"),
        ("Europe/Berlin", 1_698_543_000_000, "2023-10-29T02:30:00+01:00"),
        ("UTC", 1_700_000_000_001, "2023-11-14T22:13:20.001+00:00"),
    ],
)
def test_instants_carry_the_offset_of_the_zone(zone: str, milliseconds: int, text: str) -> None:
    assert instant_text(milliseconds, ZoneInfo(zone)) == text


@given(st.integers(min_value=0, max_value=10**14))
def test_seconds_are_exact_to_the_millisecond(milliseconds: int) -> None:
    number = seconds_number(milliseconds)
    assert round(number * 1000) == milliseconds
    assert isinstance(number, int) == (milliseconds % 1000 == 0)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0:00:00"),
        (499, "0:00:00"),
        (500, "0:00:01"),
        (59_999, "0:01:00"),
        (3_600_000, "1:00:00"),
        (360_000_000, "100:00:00"),
        (-1_500, "-0:00:02"),
        (-1, "0:00:00"),
    ],
)
def test_durations_for_people(milliseconds: int, text: str) -> None:
    assert clock_text(milliseconds) == text
