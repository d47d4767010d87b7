"""docs/api.md says what the API answers: its paths, keys, fields, parameters, statuses and limits, both ways.

The answers that it shows, and its table of parameters, are made by the program; tests/test_docs.py compares them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from exporter.errors import UsageError
from exporter.report.formats import json_text
from exporter.web.api.agents import Page
from exporter.web.api.query import LONGEST, MOST_ROWS
from exporter.web.api.routes import api
from exporter.web.reports.asked import names
from exporter.web.reports.client import Limits
from exporter.web.reports.request import PATHS
from exporter.web.reports.worker import ROWS
from tests.support.api_examples import QUESTIONS, event, got, sample_state
from tests.support.documents import ROOT, commands, fences, inline_code, read, section

API = read(ROOT / "docs" / "api.md")
CLI = read(ROOT / "docs" / "cli.md")


def first_column(text: str, heading: str) -> set[str]:
    """The code in the first column of the table whose heading cell is that."""
    rows = text.partition(f"\n| {heading} | ")[2].partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall("`([^`]+)`", row.split(" | ")[0])}


def keys(value: object) -> Iterator[str]:
    """All keys of an object, but those of `meta`."""
    if isinstance(value, Mapping):
        for key, inside in value.items():
            if key != "meta":
                yield key
                yield from keys(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from keys(inside)


def test_every_path_is_documented_and_every_documented_path_is_there() -> None:
    served = {route.path for route in api(sample_state())}
    assert first_column(API, "Path") == served
    named = {code.partition("?")[0] for code in inline_code(API) if code.startswith("/api/v1/")}
    assert named - {"/api/v1/"} == served


def test_every_key_and_field_of_the_agents_is_described_and_nothing_else() -> None:
    said, text = got("/api/v1/agents").json(), section(API, "Agents")
    assert first_column(text, "Key of `meta`") == set(said["meta"])
    described = first_column(text, "Field")
    assert set(keys(said)) - {"agents"} == described  # how many agents: the only number there


def test_every_parameter_of_the_agents_is_described_and_nothing_else() -> None:
    for name in first_column(section(API, "Agents"), "Parameter"):
        Page.of({name: ("1",)})
    with pytest.raises(UsageError, match=r"there are agent, limit, offset, status, team$"):
        Page.of({"x": ("1",)})


def test_every_parameter_of_the_reports_is_in_the_table_and_nothing_else() -> None:
    assert first_column(API, "Parameter | Reports") | first_column(section(API, "Reports"), "Parameter") == {
        name for report in PATHS for name in names(report)
    }


def test_an_event_has_the_keys_of_meta_but_for_the_page() -> None:
    (data,) = re.findall("(?m)^data: (.*)$", event())
    meta = got("/api/v1/agents").json()["meta"]
    assert list(json.loads(data)) == [key for key in meta if key not in ("total", "limit", "offset", "next")]


def test_each_report_is_shown_and_its_fields_are_explained_with_the_command_line() -> None:
    assert set(QUESTIONS) == set(PATHS)
    explained = set(re.findall(r"`([a-z_]+)`", section(CLI, "Reports")))
    for name, query in QUESTIONS.items():
        said = got(f"{PATHS[name]}?{query}").json()
        assert json_text(said["rows"][0]) in API
        assert {*said["meta"], *keys(said["rows"])} - {"team"} <= explained | {"total", "limit", "offset", "next"}


def test_the_commands_that_are_shown_ask_for_what_is_there() -> None:
    shown = [line for fence in fences(API, "sh") for line in commands(fence.body)]
    assert len(shown) == 3
    for line in shown:
        (url,) = re.findall(r"http://127\.0\.0\.1:10042(\S+?)'?$", line)
        if urlsplit(url).path != "/api/v1/events":
            assert got(url.replace("yesterday", "2025-03-04").replace("today", "2025-03-05")).status_code == 200


def test_the_statuses_are_those_that_there_are() -> None:
    found = {int(code) for row in section(API, "Errors").splitlines() for code in re.findall(r"\b\d{3}\b", row[:12])}
    assert found == {304, 400, 403, 404, 405, 422, 500, 503, 504}
    sentence = got("/api/v1/timeline?edges=x").json()["error"]
    assert got("/api/v1/timeline?edges=x").status_code == 400
    assert sentence.startswith("edges 'x'")


def test_the_limits_are_those_in_force() -> None:
    limits = Limits()
    for text in (
        f"{limits.seconds:.0f} seconds for a report",
        f"{limits.memory_bytes >> 30} GiB of memory",
        f"{limits.waiting} reports asked for and not yet answered",
        f"{MOST_ROWS:,} rows in an answer",
        f"default {ROWS:,}",
        f"at most {LONGEST // 1024} KiB long",
    ):
        assert text in API
    assert limits.idle_s == 5 * 60
