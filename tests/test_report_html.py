"""A report as one HTML file: nothing from elsewhere, nothing that acts, everything told, every row in the table."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.cli.output import FORMATS
from exporter.errors import UsageError
from exporter.report.formats_html import TITLES, html_chunks
from exporter.report.model import Cell, Column, ColumnKind, Report
from exporter.report.pictures import LARGEST, PICTURES
from tests.support.cli import run
from tests.support.pictured import COVERAGE, HOUR, INTERVALS, SUMMARY, TIMELINE, at, report, stay

MIDNIGHT = at("2025-10-26", "Europe/Berlin")
NEXT = at("2025-10-27", "Europe/Berlin")
VOID = {"meta", "link"}
DRAWN_EMPTY = {"path", "rect", "svg", "text", "g"}


def timeline(*rows: dict[str, Cell], **meta: object) -> Report:
    return report("timeline", TIMELINE, rows, MIDNIGHT, NEXT, "Europe/Berlin", **meta)


ANN = stay("Ann", "On Call", MIDNIGHT + 2 * HOUR, MIDNIGHT + 3 * HOUR, start_not_before=MIDNIGHT + 2 * HOUR - 30_000)
BOB = stay("Bob", "unknown", MIDNIGHT, NEXT, "1002")
REPORTS = {
    "timeline": timeline(ANN, BOB),
    "summary": report(
        "summary",
        SUMMARY,
        [{"agent_id": "1", "name": "Ann", "status": "Busy", "duration_seconds": HOUR, "share": 1.0, "coverage": 1.0}],
        MIDNIGHT,
        NEXT,
        "Europe/Berlin",
    ),
    "intervals": report(
        "intervals",
        INTERVALS,
        [{"start": MIDNIGHT, "end": MIDNIGHT + HOUR, "status": "Busy", "mean_agents": 1.5}],
        MIDNIGHT,
        NEXT,
        "Europe/Berlin",
    ),
    "coverage": report(
        "coverage",
        COVERAGE,
        [{"source": "recorder", "start": MIDNIGHT, "end": NEXT, "covered": False, "reason": "crash"}],
        MIDNIGHT,
        NEXT,
        "Europe/Berlin",
    ),
}
EACH = pytest.mark.parametrize("name", PICTURES)


class Document(HTMLParser):
    """Elements with their attributes, text by element, and whether all that was opened was closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN_EMPTY, tag  # in HTML proper the slash would mean nothing
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self._open[-1] if self._open else "", []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def written(of: Report) -> str:
    return "".join(html_chunks(of))


def cells(text: str) -> list[list[str]]:
    """The texts of the cells of each row of the table's body."""
    body = re.search(r"<tbody>(.*)</tbody>", text, re.DOTALL)
    assert body is not None
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)]


# --- one file ---------------------------------------------------------------------------------------------------------


@EACH
def test_each_report_with_a_picture_is_a_whole_document(name: str) -> None:
    text = written(REPORTS[name])
    document = Document(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert document.text["h1"] == [TITLES[name]]
    assert len(document.all("svg")) >= 2  # the picture and the swatches of the legend
    assert len(document.all("table")) == 1
    assert ("title", {}) in document.elements


@EACH
def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(name: str) -> None:
    text = written(REPORTS[name])
    document = Document(text)
    assert set(re.findall(r"https?://[^\"' <]+", text)) == {"http://www.w3.org/2000/svg"}  # the name of the namespace
    assert not {tag for tag, _ in document.elements} & {"script", "img", "iframe", "object", "use", "image", "form"}
    attributes = [pair for _, found in document.elements for pair in found.items()]
    assert sorted(value for key, value in attributes if key in ("href", "src")) == ["#rows", "data:,"]
    assert not any(key.startswith("on") or key == "style" for key, _ in attributes)
    assert "url(" not in text
    assert "@import" not in text


@EACH
def test_the_policy_of_the_document_allows_its_own_style_and_nothing_else(name: str) -> None:
    text = written(REPORTS[name])
    (policy,) = [meta["content"] for meta in Document(text).all("meta") if "http-equiv" in meta]
    style = text.partition("<style>")[2].partition("</style>")[0]
    fingerprint = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{fingerprint}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_the_style_has_a_dark_side_and_a_print_without_it() -> None:
    style = written(REPORTS["timeline"]).partition("<style>")[2].partition("</style>")[0]
    assert style.count("{") == style.count("}")
    assert "@media screen and (prefers-color-scheme: dark)" in style
    assert "@page { size: landscape;" in style
    assert "break-inside: avoid" in style
    assert "forced-colors: active" in style
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", style))
    assert used <= set(re.findall(r"(--[a-z0-9-]+):", style))


# --- what it says -----------------------------------------------------------------------------------------------------


def test_the_document_says_what_was_asked_and_how_sure_the_answer_is() -> None:
    document = Document(written(timeline(ANN, tracked_seconds=None, provisional=True, warnings=("one", "two"))))
    terms, texts = document.text["dt"], document.text["dd"]
    told = dict(zip(terms, texts, strict=True))
    assert terms[:2] == ["Window", "Coverage"]
    assert told == {
        "Window": "2025-10-26 00:00:00+02:00 to 2025-10-27 00:00:00+01:00 (Europe/Berlin), the end not included",
        "Coverage": "75.0 %; covered 27:00:00, unknown 9:00:00",
        "Agents": "2",
        "Edge policy": "seen",
        "Formula": "as the report says",
        "Provisional": "yes",
        "Warnings": "one, two",
    }
    assert document.text["title"][:1] == [f"Timeline, {told['Window']}"]


@pytest.mark.parametrize("key", ["since", "asked_since"])
def test_a_window_that_reaches_into_purged_time_says_so_before_anything_else(key: str) -> None:
    mark = at("2025-10-26T06:00", "Europe/Berlin")
    asked = {} if key == "since" else {"asked_since": MIDNIGHT}
    since = MIDNIGHT if key == "since" else mark  # a window that was cut begins at the mark
    purged = report("timeline", TIMELINE, [ANN], since, NEXT, "Europe/Berlin", water_mark=mark, **asked)
    paragraphs = Document(written(purged)).text["p"]
    assert paragraphs == [
        "What was recorded before 2025-10-26 06:00:00+01:00 has been purged: this answer is for what is left."
    ]
    early = {"water_mark": MIDNIGHT}
    assert "p" not in Document(written(timeline(ANN, **early))).text


def test_every_row_is_in_the_table_as_people_read_it() -> None:
    # Ann is on call from 02:00 summer time for an hour, which ends at 02:00 winter time.
    assert cells(written(REPORTS["timeline"])) == [
        [
            *("1001", "Ann", "On Call", "2025-10-26 02:00:00+02:00", "2025-10-26 02:00:00+01:00", "1:00:00", "sampled"),
            *("2025-10-26 01:59:30", "2025-10-26 02:00:00+01:00"),
        ],
        [
            *("1002", "Bob", "unknown", "2025-10-26 00:00:00", "2025-10-27 00:00:00", "25:00:00", "unknown"),
            *("2025-10-26 00:00:00", "2025-10-27 00:00:00"),
        ],
    ]


def test_a_table_for_screen_readers_has_a_caption_and_headers_for_columns_and_rows() -> None:
    document = Document(written(REPORTS["timeline"]))
    assert document.text["caption"] == ["Every row of the timeline: 2. Times are local; durations are h:mm:ss."]
    scopes = [found["scope"] for found in document.all("th")]
    assert scopes == ["col"] * 9 + ["row"] * 2
    (region,) = [found for found in document.all("div") if found.get("role") == "region"]
    assert region["tabindex"] == "0"
    assert region["aria-labelledby"] == "caption"
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert document.elements[document.elements.index(("body", {})) + 1] == ("a", {"class": "skip", "href": "#rows"})


@EACH
def test_a_report_without_rows_is_a_document_that_says_so(name: str) -> None:
    empty = Report(REPORTS[name].meta, REPORTS[name].columns, (), REPORTS[name].meta_kinds, "Europe/Berlin")
    text = written(empty)
    assert "There is no picture, because there is nothing in the window to draw." in Document(text).text["p"]
    assert cells(text) == [["no rows"]]
    assert "legend" not in text.partition("</style>")[2]


# --- hostile names ----------------------------------------------------------------------------------------------------

NAMES = (
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus='alert(1)",
    "<!-- ]]> &lt;b&gt; {{ 7 * 7 }} {% raw %}",
    "evil\u202egnp.exe\u2066",
    "a\x00b\x1b[31mc\x9bd\r\n\ud800",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    plain = Document(written(timeline(ANN, BOB)))
    text = written(timeline({**ANN, "name": name}, BOB, warnings=[name], formula=name))
    document = Document(text)
    extra = ["div", "dt", "dd"]  # the warning
    assert sorted(tag for tag, _ in document.elements) == sorted([*(tag for tag, _ in plain.elements), *extra])
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066" for c in text)
    assert text.encode("utf-8")
    cleaned = "".join(c if c.isprintable() else "\ufffd" for c in name)
    assert cleaned in document.text["td"]


@settings(max_examples=50)
@given(st.lists(st.text(), min_size=1, max_size=3))
def test_no_text_changes_the_shape_of_the_document(names: Sequence[str]) -> None:
    rows = [stay(name, name, MIDNIGHT, NEXT, str(place)) for place, name in enumerate(names)]
    document = Document(written(timeline(*rows)))
    assert len(document.all("tr")) == 1 + len(names)
    assert len([found for found in document.all("g") if found.get("class") == "bar"]) == len(names)


# --- size -------------------------------------------------------------------------------------------------------------


def test_a_report_that_is_too_large_to_draw_still_streams_every_row() -> None:
    row: dict[str, Cell] = {"source": "recorder", "start": MIDNIGHT, "end": NEXT, "covered": True, "reason": None}
    many = report("coverage", COVERAGE, [row] * (LARGEST + 1), MIDNIGHT, NEXT)
    largest = total = found = 0
    for chunk in html_chunks(many):
        largest, total = max(largest, len(chunk)), total + len(chunk)
        found += chunk.count('<th scope="row">')
    assert found == LARGEST + 1
    assert largest < 50_000
    assert total > 2_000_000


# --- the command line -------------------------------------------------------------------------------------------------


def test_a_report_without_a_picture_is_refused_at_once_with_what_there_is() -> None:
    with pytest.raises(UsageError) as refused:
        html_chunks(Report({"report": "matrix"}, (Column("n", ColumnKind.COUNT),), (), {}))
    assert str(refused.value) == (
        "--format html: there is no picture of matrix; html is for timeline, summary, intervals and coverage, "
        "and every report has table, csv, tsv, json, ndjson and markdown"
    )


def test_html_is_a_format_and_an_ending(tmp_path: Path) -> None:
    from exporter.cli.output import write_report

    assert "html" in FORMATS
    for name in ("a.html", "b.HTM"):
        write_report(REPORTS["summary"], None, tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == written(REPORTS["summary"])
    write_report(REPORTS["summary"], "csv", tmp_path / "c.html")
    assert (tmp_path / "c.html").read_text(encoding="utf-8").startswith("agent_id,")


def test_a_command_whose_answer_has_no_picture_refuses_html_before_it_does_anything() -> None:
    # Neither gets as far as asking for credentials, which are not there.
    by_ending = run("status", "get", "--output", "a.html")
    assert (by_ending.code, by_ending.err) == (
        2,
        "zohovoice-exporter: --output: a.html would be html, and this answer has no picture; name another file or give "
        "--format (table, csv, tsv, json, ndjson, markdown)\n",
    )
    by_format = run("agents", "list", "--format", "html")
    assert by_format.code == 2
    assert "'html' is not one of 'table', 'csv'" in by_format.err


def test_the_ending_counts_for_nothing_where_a_format_is_given() -> None:
    done = run("status", "get", "--output", "a.html", "--format", "csv")
    assert "picture" not in done.err
