"""GET /api/v1/{timeline,summary,intervals,coverage}: what the command line says, page by page, and what is refused."""

import asyncio
import contextlib
import csv
import json
import os
import sqlite3
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.cli import history_reports
from exporter.history.classes import DEFAULT_CLASSES
from exporter.history.parameters import TAKES
from exporter.web.api.query import Parameters
from exporter.web.negotiation import preferred
from exporter.web.reports.asked import names, without_dashes
from exporter.web.reports.frames import Task
from exporter.web.reports.request import PATHS, ReportRequest
from exporter.web.reports.worker import answered
from tests.support.broken_databases import damage
from tests.support.cli import run
from tests.support.reporting import HARD, reporting, with_reports
from tests.support.running import exporting, settings_against, simulated, value
from tests.support.sample_history import write_sample_history
from tests.support.web import IDENTITY, Running, running

DAY = "since=2025-03-04&until=2025-03-05&tz=Europe/Berlin"
SIGHTS = "since=2025-03-04T09:00&until=2025-03-04T11:30&tz=Europe/Berlin"
PAGING = ("total", "limit", "offset", "next")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_history(tmp_path_factory.mktemp("history"))


def from_the_command_line(database: Path, name: str, query: str, form: str = "json") -> str:
    """What `history NAME` prints for the same options."""
    arguments = []
    for option, values in parse_qs(query, keep_blank_values=True).items():
        for text in values:
            arguments += [f"--{option}"] if option == "stays" else [f"--{option}", text]
    done = run("history", name, *arguments, "--db", str(database), "--format", form, env={"TZ": "UTC"})
    assert done.code == 0, done.err
    return done.out


# --- the same as the command line -------------------------------------------------------------------------------------

QUESTIONS = [
    ("timeline", DAY),
    ("timeline", f"{SIGHTS}&agent=Zo*&status=On+Call&status=busy&quality=sampled&edges=midpoint&bridge=1h"),
    ("timeline", f"{SIGHTS}&quality=unknown&quality=bridged&team=S*&hours=09:30-10:00"),
    ("summary", DAY),
    ("summary", f"{DAY}&by=total&share-of=window&stays="),
    ("summary", f"{DAY}&by=team&by=day&by=class&weekday=mon-wed&edges=not-before"),
    ("intervals", f"{SIGHTS}&step=30m&fewer-than=3&status=Available"),
    ("intervals", f"{SIGHTS}&by=class&hours=09:00-10:00"),
    ("coverage", DAY),
    ("coverage", "since=2025-03-04T08:00:00Z&until=2999-01-01&tz=Asia/Tokyo"),
    ("coverage", "since=2020-01-01&until=2020-01-02&tz=UTC"),
]


def test_every_answer_is_what_the_command_line_prints_and_where_it_stands_in_the_whole(database: Path) -> None:
    async def check(server: Running) -> None:
        for name, query in QUESTIONS:
            printed = from_the_command_line(database, name, query)
            answer = await server.get(f"{PATHS[name]}?{query}&limit=10000", **IDENTITY)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            assert answer.headers["content-disposition"] == f'inline; filename="{name}.json"'
            assert answer.headers["cache-control"] == "no-store"
            said, meant = answer.json(), json.loads(printed)
            assert list(said["meta"]) == [*meant["meta"], *PAGING]
            if "2999" not in query:  # there `now` is in it
                assert {key: said["meta"][key] for key in meant["meta"]} == meant["meta"]
                assert answer.text.partition('"rows": [')[2] == printed.partition('"rows": [')[2]
            total = len(meant["rows"])
            assert [said["meta"][key] for key in PAGING] == [total, 10_000, 0, None]

    with_reports(check, database)


def test_csv_is_what_the_command_line_prints_by_format_or_accept(database: Path) -> None:
    async def check(server: Running) -> None:
        for name, query in QUESTIONS[:9]:
            printed = from_the_command_line(database, name, query, "csv")
            for asked, headers in ((f"{query}&format=csv", {}), (query, {"accept": "text/csv"})):
                answer = await server.get(f"{PATHS[name]}?{asked}&limit=10000", **headers)
                assert (answer.status_code, answer.text) == (200, printed)
                assert answer.headers["content-type"] == "text/csv; charset=utf-8"
                assert answer.headers["content-disposition"] == f'inline; filename="{name}.csv"'
                assert answer.headers["vary"] == "Accept, Accept-Encoding"
                assert "link" not in answer.headers
        answer = await server.get(f"{PATHS['timeline']}?{DAY}&format=json", accept="text/csv")
        assert answer.headers["content-type"] == "application/json"

    with_reports(check, database)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("text/csv;q=0.4, application/json;q=0.5", "application/json"),
        ("text/csv, application/json", "application/json"),
        ("*/*, text/csv", "text/csv"),
        ("*/*;q=0.1, application/json;q=0", "text/csv"),
        ("image/png", "application/json"),
        ("text/csv;q=x", "application/json"),
    ],
)
def test_accept_decides_where_format_does_not(accept: str, wanted: str) -> None:
    assert preferred(accept, ("application/json", "text/csv")) == wanted


def test_each_report_takes_what_its_command_takes() -> None:
    for name in PATHS:
        command = getattr(history_reports, name)
        options: dict[str, click.Parameter] = {option.opts[0].removeprefix("--"): option for option in command.params}
        own = {option for option in options if option not in ("db", "config.file", "output") and "." not in option}
        assert own | {"limit", "offset"} == set(names(name))
        for choice, choices in (("quality", TAKES[name].quality), ("by", TAKES[name].by)):
            if choices:
                assert options[choice].type.to_info_dict()["choices"] == choices


def test_large_answers_are_packed_for_who_wants_that(database: Path) -> None:
    async def check(server: Running) -> None:
        path = f"{PATHS['timeline']}?{DAY}"
        plain, packed = await server.get(path, **IDENTITY), await server.get(path, accept_encoding="gzip")
        assert plain.content == packed.content
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(plain.content) / 5
        small = await server.get(f"{PATHS['coverage']}?since=x", accept_encoding="gzip")
        assert "content-encoding" not in small.headers

    with_reports(check, database)


# --- pages ------------------------------------------------------------------------------------------------------------


def test_pages_join_up_to_the_whole_answer_and_are_of_one_window(database: Path) -> None:
    async def check(server: Running) -> None:
        query = "since=2025-03-04&tz=Europe/Berlin&status=Busy&status=On+Call&agent=*a*"
        whole = (await server.get(f"{PATHS['timeline']}?{query}&limit=10000")).json()
        path: str | None = f"{PATHS['timeline']}?{query}&limit=50"
        rows, untils = [], set()
        while path is not None:
            said = (await server.get(path)).json()
            rows += said["rows"]
            untils.add(said["meta"]["until"])
            assert said["meta"]["total"] == len(whole["rows"])
            path = said["meta"]["next"]
            if path is not None:
                following = parse_qs(urlsplit(path).query)
                assert following["since"] == ["2025-03-03T23:00:00.000Z"]
                assert following["offset"] == [str(len(rows))]
                assert following["status"] == ["Busy", "On Call"]
        assert rows == whole["rows"]
        # Nobody gave an end, which is now: all pages have that of the first.
        assert len(untils) == 1

    with_reports(check, database)


def test_pages_of_csv_lead_on_in_the_field_link(database: Path) -> None:
    async def check(server: Running) -> None:
        whole = from_the_command_line(database, "summary", DAY, "csv").splitlines()
        path, lines = f"{PATHS['summary']}?{DAY}&format=csv&limit=30", []
        while True:
            answer = await server.get(path)
            head, *rows = answer.text.splitlines()
            assert head == whole[0]
            lines += rows
            if "link" not in answer.headers:
                break
            target, _, relation = answer.headers["link"].partition("; ")
            assert relation == 'rel="next"'
            path = target.strip("<>")
        assert lines == whole[1:]

    with_reports(check, database)


def test_a_thousand_rows_are_given_if_nobody_says_how_many(database: Path) -> None:
    async def check(server: Running) -> None:
        said = (await server.get(f"{PATHS['intervals']}?{DAY}&step=5m")).json()
        assert (len(said["rows"]), said["meta"]["limit"], said["meta"]["total"]) == (1_000, 1_000, 288 * 6)
        beyond = (await server.get(f"{PATHS['intervals']}?{DAY}&step=5m&offset=9999")).json()
        assert (beyond["rows"], beyond["meta"]["next"]) == ([], None)

    with_reports(check, database)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "query", "sentence"),
    [
        ("coverage", "status=Busy", "'status' is no parameter of coverage: there are agent, format, limit, offset, "
         "since, team, tz, until"),
        ("timeline", "since=1d&since=2d", "since stands there 2 times: give it once"),
        ("timeline", "format=xml", "format 'xml' is none of those there are: give one of json, csv"),
        ("timeline", "format=csv&format=csv", "format stands there 2 times: give it once"),
        ("timeline", "since=tomorrow",
         "since 'tomorrow' is not a time: write now, today, yesterday, a weekday such as "
         "monday, a duration ago such as 7d or 90m, or ISO 8601 such as 2026-07-01 or 2026-07-01T09:00"),
        ("timeline", "since=2025-03-05&until=2025-03-04&tz=UTC",
         "since 2025-03-05 (2025-03-05T00:00:00+00:00) is after "
         "until 2025-03-04 (2025-03-04T00:00:00+00:00): give a start that is not later than the end"),
        ("timeline", "tz=Mars", "tz 'Mars' is not a time zone: give an IANA name such as Europe/Berlin or UTC"),
        ("timeline", "edges=first", "edges 'first' is none of those there are: give one of seen, midpoint, not-before"),
        ("timeline", "quality=good", "quality 'good' is none of those there are: give one of exact, sampled, bridged, "
         "unknown"),
        ("timeline", "bridge=long", "bridge: 'long' is not a duration: write it as in Prometheus, such as 30s, 5m or "
         "1h30m"),
        ("timeline", "bridge=2y", "bridge is longer than a year, the longest that makes sense here"),
        ("timeline", "weekday=someday",
         "weekday 'someday' is not a weekday: write its name or its first three letters, "
         "such as monday or mon, or from one to another, such as mon-fri"),
        ("timeline", "hours=9-5", "hours '9-5' is not a time of day from and to: write two local times, such as "
         "09:00-17:30 or 22:00-06:00; the end may be 24:00"),
        ("timeline", "agent=nobody",
         "agent 'nobody' matches nobody in this history: give an agent's id or name, or a "
         "pattern such as 'Ann*'"),
        ("timeline", "team=--team", "team '--team' matches no team in this history: give a team's name, or a pattern "
         "such as 'Sales*'"),
        ("timeline", "status=Asleep", "status 'Asleep' is no status that this history knows: give one of Available, "
         "Busy, On Break, On Call, Offline, absent, error, unknown"),
        ("summary", "by=total&by=team",
         "by total puts everything together and goes with no other by: leave one of them "
         "out"),
        ("summary", "by=hour",
         "by 'hour' is none of those there are: give one of agent, team, day, week, month, class, "
         "total"),
        ("summary", "by=class&status=Busy", "status picks rows of statuses, and by class makes none: give one of the "
         "two"),
        ("summary", "stays=maybe", "stays 'maybe' is neither true nor false: write stays=true, or leave it out"),
        ("summary", "share-of=all", "share-of 'all' is none of those there are: give one of known, window"),
        ("intervals", "step=7m", "step '7m' does not divide a day into whole minutes: give a step from 1m to 24h that "
         "does, such as 15m, 30m or 1h"),
        ("intervals", "step=1m&since=2020-01-01&until=2021-01-01&tz=UTC",
         "step makes 527,040 intervals of this window, "
         "and 100,000 are the most: give a longer step, or a later since"),
        ("intervals", "fewer-than=0", "fewer-than '0' is not a whole number from 1 on"),
        ("intervals", "limit=0", "limit '0' is not a whole number from 1 to 10,000"),
        ("intervals", "offset=x", "offset 'x' is not a whole number of rows to leave out, such as 1000"),
        ("intervals", "agent=%00", "the query holds a NUL, which no parameter can hold: leave it out"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_refused_with_a_sentence_that_names_it(
    name: str, query: str, sentence: str, wrong: Running
) -> None:
    answer = wrong_answer(wrong, f"{PATHS[name]}?{query}")
    assert (answer.status_code, answer.json()) == (400, {"error": sentence})
    assert answer.headers["content-type"] == "application/json"


@pytest.fixture(scope="module")
def wrong(database: Path) -> Any:
    """A served application for all of the wrong parameters; each is asked on the loop that it runs on."""
    with asyncio.Runner() as runner:

        async def start() -> Any:
            stack = contextlib.AsyncExitStack()
            reports = await stack.enter_async_context(reporting(database))
            server = await stack.enter_async_context(running(reports=reports))
            return stack, server

        stack, server = runner.run(start())
        yield runner, server
        runner.run(stack.aclose())


def wrong_answer(wrong: Any, path: str) -> Any:
    runner, server = wrong
    return runner.run(server.get(path))


def test_dashes_go_from_options_and_stay_in_what_somebody_wrote() -> None:
    assert without_dashes("--agent '--since' and --by total: a--b, 'it--s' --x") == (
        "agent '--since' and by total: a--b, 'it--s' x"
    )


# Nothing that is written in a query may end in anything but an answer or a sentence.
CHOICES: Mapping[str, st.SearchStrategy[str]] = {
    "since": st.sampled_from(["2025-03-04", "2025-03-04T10:00", "2025-03-01", "9999-12-31", "now", "", "0", "-1"]),
    "until": st.sampled_from(["2025-03-05", "now", "9999-12-31T23:59", "2025-03-04T24:00", "0001-01-01"]),
    "tz": st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "../etc/passwd", "Europe", "", "\x01"]),
    "by": st.sampled_from(["agent", "team", "day", "week", "month", "class", "total"]),
    "step": st.sampled_from(["15m", "1h", "24h", "1m", "0", "1y", "999999999999999y"]),
    "bridge": st.sampled_from(["0", "1m", "365d", "999999999999999y"]),
    "edges": st.sampled_from(["seen", "midpoint", "not-before"]),
    "hours": st.sampled_from(["09:00-17:00", "22:00-06:00", "00:00-24:00", "24:00-00:00"]),
    "weekday": st.sampled_from(["mon", "mon-fri", "sat,sun", "-", ","]),
    "status": st.sampled_from(["Busy", "unknown", "ABSENT", "on_call"]),
    "agent": st.sampled_from(["*", "Zo*", "[", "[!", "*" * 50]),
    "limit": st.sampled_from(["1", "10000", "0", "1e3", "٣"]),
    "offset": st.sampled_from(["0", "999999999999999", "-1"]),
    "fewer-than": st.sampled_from(["1", "999999999", "0"]),
    "stays": st.sampled_from(["", "true", "no"]),
}
TEXTS = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, str, Parameters]:
    name = draw(st.sampled_from(sorted(PATHS)))
    asked: dict[str, tuple[str, ...]] = {}
    if draw(st.booleans()):
        asked |= {"since": ("2025-03-04",), "until": ("2025-03-05",)}
    for parameter in draw(st.lists(st.sampled_from(names(name)), max_size=4, unique=True)):
        values = st.one_of(CHOICES.get(parameter, TEXTS), TEXTS)
        asked[parameter] = tuple(draw(st.lists(values, min_size=1, max_size=2)))
    return name, draw(st.sampled_from(["json", "csv"])), asked


@given(questions())
@example(("timeline", "json", {"since": ("9999-12-30T23:59:59.999",)}))
@example(("intervals", "csv", {"since": ("2022-01-01",), "step": ("24h",), "tz": ("Pacific/Apia",)}))
def test_no_parameter_whatever_its_text_ends_in_a_failure(
    database: Path, question: tuple[str, str, Parameters]
) -> None:
    name, form, asked = question
    task = Task(ReportRequest(name, form, asked), database, DEFAULT_CLASSES, "1.2.3", 1_741_100_000_000)
    reply = answered(task, ZoneInfo("UTC"))
    assert reply.status in (200, 400), reply.body
    if reply.status == 400 or form == "json":
        json.loads(reply.body)
    else:
        assert len({len(row) for row in csv.reader(StringIO(reply.body.decode(), newline=""))}) == 1
    for field, text in reply.headers:
        assert (field + text).isascii()
        assert (field + text).isprintable()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_database_that_cannot_be_read_is_a_503_that_says_why(database: Path, tmp_path: Path) -> None:
    empty, other, hurt = (tmp_path / name for name in ("empty.db", "other.db", "hurt.db"))
    empty.touch()
    sqlite3.connect(other).execute("CREATE TABLE t (x)").connection.close()
    hurt.write_bytes(database.read_bytes())
    damage(hurt)
    for path, beginning in (
        (tmp_path / "none.db", "there is no history database at "),
        (empty, f"{empty} is an empty file, no history database"),
        (other, f"{other} is the database of another application"),
        (hurt, f"the history database {hurt} is damaged"),
        (tmp_path, f"cannot open the history database {tmp_path}: it is not a file"),
    ):

        async def check(server: Running, beginning: str = beginning) -> None:
            for name in PATHS:
                answer = await server.get(f"{PATHS[name]}?{DAY}")
                assert answer.status_code == 503
                assert answer.headers["content-type"] == "application/json"
                assert answer.json()["error"].startswith(beginning)

        with_reports(check, path)


def test_a_database_that_another_program_has_locked_is_a_503_that_says_so(database: Path, tmp_path: Path) -> None:
    held = tmp_path / "held.db"
    held.write_bytes(database.read_bytes())
    holder = sqlite3.connect(held, isolation_level=None)
    # A log beside it, and nobody but its owner may look into it.
    holder.execute("PRAGMA journal_mode = WAL")
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("CREATE TABLE t (x)")

    async def check(server: Running) -> None:
        answer = await server.get(f"{PATHS['coverage']}?{DAY}")
        assert answer.status_code == 503
        assert "locked" in answer.json()["error"]
        holder.close()
        assert (await server.get(f"{PATHS['coverage']}?{DAY}")).status_code == 200

    with_reports(check, held)


def test_a_database_that_is_swapped_for_another_is_seen_by_the_next_question(database: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.db"

    async def check(server: Running) -> None:
        assert (await server.get(f"{PATHS['coverage']}?{DAY}")).status_code == 503
        moved.write_bytes(database.read_bytes())
        assert (await server.get(f"{PATHS['coverage']}?{DAY}")).json()["meta"]["agents"] == 16
        moved.unlink()
        assert (await server.get(f"{PATHS['coverage']}?{DAY}")).status_code == 503

    with_reports(check, moved)


def test_a_question_that_takes_too_long_is_a_504_and_others_are_answered(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hard = "&".join(f"{name}={quote(text)}" for name, (text,) in HARD.asked.items())

    async def check(server: Running) -> None:
        await server.get(f"{PATHS['coverage']}?{DAY}")
        answer = await server.get(f"{PATHS['intervals']}?{hard}")
        assert answer.status_code == 504
        assert answer.json()["error"].startswith("this report takes longer than the 1 seconds that one may take")
        assert (await server.get(f"{PATHS['coverage']}?{DAY}")).status_code == 200

    with_reports(check, database, seconds=1.0)
    assert [record.message for record in caplog.records] == ["a report took too long"]


def test_who_leaves_before_the_answer_is_there_makes_room_for_others(database: Path) -> None:
    hard = "&".join(f"{name}={quote(text)}" for name, (text,) in HARD.asked.items())

    async def check(server: Running) -> None:
        request = f"GET {PATHS['intervals']}?{hard} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request)
            await asyncio.sleep(0.02)
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(8):
            while (await server.get(f"{PATHS['coverage']}?{DAY}")).status_code != 200:
                await asyncio.sleep(0.05)

    with_reports(check, database)


def test_twenty_questions_at_once_are_answered_or_told_to_come_back(database: Path) -> None:
    async def check(server: Running) -> None:
        answers = await asyncio.gather(*(server.get(f"{PATHS['summary']}?{DAY}") for _ in range(20)))
        codes = [answer.status_code for answer in answers]
        assert set(codes) <= {200, 503}
        assert codes.count(200) >= 8
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["retry-after"] == "5"
                assert answer.json()["error"].endswith("there can be no more: try again in a moment")

    with_reports(check, database)


def test_polls_stay_on_time_and_scrapes_go_on_while_hard_questions_are_asked(tmp_path: Path) -> None:
    hard = "&".join(f"{name}={quote(text)}" for name, (text,) in HARD.asked.items())

    async def check() -> None:
        async with simulated() as simulator:
            settings = settings_against(simulator, tmp_path, interval_s=0.2)
            async with exporting(settings) as exporter:
                await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
                asked = [
                    asyncio.create_task(exporter.http.get(f"{exporter.url}{PATHS['intervals']}?{hard}", timeout=30))
                    for _ in range(20)
                ]
                loop = asyncio.get_running_loop()
                first, began = await exporter.samples(), loop.time()
                await asyncio.sleep(2.0)
                last, ended = await exporter.samples(), loop.time()
                polls = (value(last, "zohovoice_polls_total") or 0) - (value(first, "zohovoice_polls_total") or 0)
                skipped = value(last, "zohovoice_polls_skipped_total")
                assert polls >= 0.8 * (ended - began) / 0.2 - 1
                assert (skipped, value(last, "zohovoice_up")) == (0, 1)
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(check())


def test_the_program_ends_in_good_time_while_a_report_is_made_and_leaves_no_process(tmp_path: Path) -> None:
    hard = "&".join(f"{name}={quote(text)}" for name, (text,) in HARD.asked.items())

    async def check() -> float:
        loop = asyncio.get_running_loop()
        async with simulated() as simulator:
            async with exporting(settings_against(simulator, tmp_path)) as exporter:
                await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
                url = f"{exporter.url}{PATHS['intervals']}?{hard}"
                asked = asyncio.create_task(exporter.http.get(url, timeout=30))
                async with asyncio.timeout(5):
                    while making_reports() == others:
                        await asyncio.sleep(0.01)
                began = loop.time()
            took = loop.time() - began
            await asyncio.gather(asked, return_exceptions=True)
        return took

    others = making_reports()
    assert asyncio.run(check()) < 4
    assert making_reports() == others


def making_reports() -> set[Path]:
    """Processes that make reports and that this one has started."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (process / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[1]
            if parent == str(os.getpid()) and b"exporter.web.reports" in (process / "cmdline").read_bytes():
                found.add(process)
    return found
