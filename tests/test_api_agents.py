"""GET /api/v1/agents says what the metrics say, at every moment and whatever the agents are called."""

import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import UsageError
from exporter.history.facts import AgentFacts, Description
from exporter.history.filters import Selection, select
from exporter.metrics.text import cleaned
from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, KNOWN_STATUSES, ON_CALL, Agent, Status, reported
from exporter.settings import MetricsSettings
from exporter.steps import at_once
from exporter.web.access import Access
from exporter.web.api import agents
from exporter.web.api.agents import Page
from exporter.web.api.query import LONGEST, link, page_of, parameters
from exporter.web.api.shown import Showing
from tests.support.metrics import START, Polled, Series
from tests.support.web import IDENTITY, Running, web_state, with_server

PATH = "/api/v1/agents"
CREW = {
    "1": Agent("1", "Ann Lee", "Sales"),
    "2": Agent("2", "Bo Ek", "Sales North"),
    "3": Agent("3", "Zoë Süß", "Support"),
    "4": Agent("4"),
}
STATUSES = {"1": AVAILABLE, "2": BUSY, "3": ON_CALL, "4": reported("Training")}


def polled(statuses: Mapping[str, Status] = STATUSES, crew: Mapping[str, Agent] = CREW) -> Polled:
    """Instruments that show names, after one good poll."""
    made = Polled(MetricsSettings(names=True))
    made.poll(statuses, crew)
    return made


async def answered(server: Running, query: str = "", **headers: str) -> Any:
    """The JSON of a good answer."""
    answer = await server.get(f"{PATH}?{query}" if query else PATH, **headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def labelled(series: Series, name: str, label: str, **labels: str) -> dict[str, float]:
    """The values of a family's series, by one label."""
    return {
        dict(found)[label]: value
        for (sample, found), value in series.items()
        if sample == name and labels.items() <= dict(found).items()
    }


def check_equal(said: Any, series: Series) -> None:
    """The JSON and a scrape of the same moment say the same."""
    meta, rows = said["meta"], said["rows"]
    assert {one["status"]: one["agents"] for one in said["statuses"]} == labelled(series, "zohovoice_agents", "status")
    assert meta["up"] == bool(series["zohovoice_up", ()])
    assert meta["stale"] == (not labelled(series, "zohovoice_agents", "status"))
    assert meta["total"] == len(rows) == sum(one["agents"] for one in said["statuses"])
    since = labelled(series, "zohovoice_agent_status_since_timestamp_seconds", "agent_id")
    assert [row["agent_id"] for row in rows] == sorted(since)
    for row in rows:
        held = labelled(series, "zohovoice_agent_status", "status", agent_id=row["agent_id"])
        (label,) = [label for label, value in held.items() if value]
        known = row["status"] not in ("error", "absent") and row["status"]
        assert label == (known or "unknown")
        assert row["since"] == iso(round(since[row["agent_id"]] * 1000))
        key = (("agent_id", row["agent_id"]), ("name", row["name"]), ("team", row["team"]))
        assert series["zohovoice_agent_info", key] == 1
    teams = {team for team, agents in team_sizes(series).items() if team and agents}
    assert said["teams"] == sorted(teams) == sorted({row["team"] for row in rows} - {""})
    for name, key in (("last_poll", "zohovoice_last_poll"), ("at", "zohovoice_last_poll_success")):
        seconds = series.get((f"{key}_timestamp_seconds", ()))
        assert meta[name] == (None if seconds is None else iso(round(seconds * 1000)))
    assert meta["poll_interval_seconds"] == series["zohovoice_poll_interval_seconds", ()]


def team_sizes(series: Series) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for (name, labels), value in series.items():
        if name == "zohovoice_team_agents":
            sizes[dict(labels)["team"]] += int(value)
    return sizes


def iso(milliseconds: int) -> str:
    """An instant as the API writes it."""
    seconds, rest = divmod(milliseconds, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03}Z"


# --- what it says -----------------------------------------------------------------------------------------------------


def test_it_says_who_is_in_which_status_since_when() -> None:
    async def check(server: Running) -> None:
        server.state.updates.tell()
        assert await answered(server) == {
            "meta": {
                "report": "agents",
                "version": 1,
                "at": "2023-11-14T22:13:20.000Z",
                "up": True,
                "stale": False,
                "fresh_until": "2023-11-14T22:14:50.000Z",
                "last_poll": "2023-11-14T22:13:20.000Z",
                "failing_since": None,
                "failure": None,
                "poll_interval_seconds": 30.0,
                "total": 4,
                "limit": None,
                "offset": 0,
                "next": None,
            },
            "statuses": [
                {"status": "Available", "agents": 1},
                {"status": "Busy", "agents": 1},
                {"status": "On Break", "agents": 0},
                {"status": "On Call", "agents": 1},
                {"status": "Offline", "agents": 0},
                {"status": "unknown", "agents": 0},
                {"status": "Training", "agents": 1},
            ],
            "teams": ["Sales", "Sales North", "Support"],
            "rows": [
                row("1", "Ann Lee", "Sales", "Available"),
                row("2", "Bo Ek", "Sales North", "Busy"),
                row("3", "Zoë Süß", "Support", "On Call"),
                row("4", "", "", "Training"),
            ],
        }

    with_server(check, polled())


def row(agent_id: str, name: str, team: str, status: str) -> dict[str, str]:
    since = "2023-11-14T22:13:20.000Z"
    return {"agent_id": agent_id, "name": name, "team": team, "status": status, "since": since}


def test_it_equals_the_metrics_after_every_step_of_a_story() -> None:
    async def check(server: Running) -> None:
        story = server.polled

        async def compare() -> Any:
            said = await answered(server)
            check_equal(said, story.series)
            return said["meta"]

        meta = await compare()
        assert (meta["at"], meta["fresh_until"], meta["stale"], meta["failure"]) == (None, None, True, None)
        story.fail("auth")
        assert (await compare())["failure"] == "auth"
        story.poll(STATUSES, CREW)
        assert (await compare())["failing_since"] is None
        story.poll(STATUSES | {"1": ERROR, "2": ABSENT}, CREW)
        await compare()
        story.poll({"2": BUSY, "3": BUSY}, CREW | {"3": Agent("3", "Zoë Süß", "Sales")})
        assert (await compare())["total"] == 2
        story.fail("timeout")
        meta = await compare()
        assert (meta["up"], meta["stale"], meta["failure"], meta["total"]) == (False, False, "timeout", 2)
        story.fail("tls")
        meta = await compare()
        assert (meta["stale"], meta["failure"], meta["total"]) == (True, "tls", 0)
        assert (meta["at"], meta["failing_since"]) == (iso(START + 3 * 30_000), iso(START + 4 * 30_000))
        story.poll(STATUSES, CREW)
        assert (await compare())["total"] == 4
        # Nobody polls any more, and nobody says so either.
        story.clock.pass_time(90)
        meta = await compare()
        assert (meta["up"], meta["stale"], meta["failure"]) == (False, True, None)
        assert meta["fresh_until"] == iso(START + 6 * 30_000 + 90_000)

    with_server(check, Polled(MetricsSettings(names=True)))


def test_a_failure_of_something_else_is_not_called_one_of_the_poll() -> None:
    async def check(server: Running) -> None:
        server.polled.fail("http_5xx")
        server.polled.instruments.history_write_failed()
        server.polled.publish()
        assert (await answered(server))["meta"]["failure"] == "http_5xx"

    with_server(check)


def test_agents_beyond_the_limit_of_the_metrics_are_there() -> None:
    story = Polled(MetricsSettings(agent_limit=1, per_agent=False))
    story.poll(STATUSES, CREW)

    async def check(server: Running) -> None:
        said = await answered(server)
        assert [one["agent_id"] for one in said["rows"]] == ["1", "2", "3", "4"]
        assert story.by("status", "zohovoice_agents") == {one["status"]: one["agents"] for one in said["statuses"]}

    with_server(check, story)


HOSTILE = [
    '"quoted" \\back',
    "line\nend\rreturn\ttab",
    "\u2028separator\u202eright to left",
    "</script><!--",
    "\x00nul\x7fdel\x9b31m",
    "half \ud83d a pair",
    "=cmd|' /C calc'!A0",
    "🎧" * 40,
]


def test_hostile_names_are_the_same_as_in_the_metrics_and_act_on_no_terminal() -> None:
    crew = {str(n): Agent(str(n), name, f"team {name}") for n, name in enumerate(HOSTILE)}
    story = polled({agent_id: reported(agent.name) for agent_id, agent in crew.items()}, crew)

    async def check(server: Running) -> None:
        answer = await server.get(PATH, **IDENTITY)
        assert [one["name"] for one in answer.json()["rows"]] == [cleaned(name) for name in HOSTILE]
        check_equal(answer.json(), story.series)
        assert not any(character in answer.text for character in "\x00\x7f\x9b\u2028\u202e\r")

    with_server(check, story)


# --- while polls go on ------------------------------------------------------------------------------------------------


def test_every_answer_is_of_one_poll_while_polls_swap_what_is_shown() -> None:
    crews = [
        {str(n): KNOWN_STATUSES[(n + turn) % 5] for n in range(300 + 100 * turn)} for turn in range(5)
    ]  # fmt: skip
    story = polled(crews[0], {})
    polls: dict[str, int] = {iso(START): 0}

    async def check(server: Running) -> None:
        done = asyncio.Event()

        async def poll() -> None:
            for turn in range(1, 20):
                polls[iso(story.clock.now_ms())] = turn % 5
                story.poll(crews[turn % 5], publish=False)
                await story.instruments.publish_in_steps(story.clock.now_ms())
                server.state.updates.tell()
                await asyncio.sleep(0.02)
            done.set()

        async def ask(query: str, headers: dict[str, str]) -> int:
            answers, newest = 0, 0
            while not done.is_set():
                said = await answered(server, query, **headers)
                crew = crews[polls[said["meta"]["at"]]]
                assert said["meta"]["total"] == len(crew)
                assert {one["agent_id"]: one["status"] for one in said["rows"]} == {
                    agent_id: crew[agent_id].word for agent_id in sorted(crew)[: len(said["rows"])]
                }
                counted = Counter(status.word for status in crew.values())
                assert {one["status"]: one["agents"] for one in said["statuses"]} == {**counted, "unknown": 0}
                assert said["meta"]["version"] >= newest
                newest = said["meta"]["version"]
                answers += 1
            return answers

        kinds = [("", {}), ("", IDENTITY), ("limit=50", {}), ("agent=*", IDENTITY)]
        *counts, _ = await asyncio.gather(*(ask(*kind) for kind in kinds * 2), poll())
        assert all(counts)

    with_server(check, story)


def test_it_is_rendered_once_for_all_who_ask_after_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    renderings = []
    rendered = agents._rendered

    def counted(*arguments: Any) -> Any:
        renderings.append(arguments)
        return rendered(*arguments)

    monkeypatch.setattr(agents, "_rendered", counted)
    story = polled({str(n): AVAILABLE for n in range(2_000)}, {})

    async def check(server: Running) -> None:
        answers = await asyncio.gather(*(server.get(PATH) for _ in range(20)))
        assert len({answer.content for answer in answers}) == 1
        assert len(renderings) == 1
        server.state.updates.tell()
        await asyncio.gather(*(server.get(PATH) for _ in range(20)))
        assert len(renderings) == 2
        story.clock.pass_time(90)
        assert (await answered(server))["rows"] == []
        await answered(server)
        assert len(renderings) == 3

    with_server(check, story)


def test_no_step_of_rendering_ten_thousand_agents_keeps_the_loop_for_long() -> None:
    crew = {str(n): Agent(str(n), f"Ägnes {n}", f"Team {n % 30}") for n in range(10_000)}
    shown = Showing(web_state(polled(dict.fromkeys(crew, AVAILABLE), crew))).now()
    hard = {"agent": ("*a*b*c*d*e*f*g*h*",) * 20, "team": ("*1*", *["[a-z]*x*y*z*"] * 19)}
    for page in (Page.of({}), Page.of({"limit": ("10",)}), Page.of(hard)):
        steps, took = agents._rendered(shown, page), []
        while True:
            started = time.thread_time()
            try:
                next(steps)
            except StopIteration:
                break
            finally:
                took.append(time.thread_time() - started)
        # The time of this thread only: others use the machine, too.
        assert sorted(took)[len(took) * 99 // 100] < 0.010
        assert max(took) < 0.030


# --- codings and conditional requests ---------------------------------------------------------------------------------


def test_it_is_served_plain_and_packed_and_says_so() -> None:
    async def check(server: Running) -> None:
        plain, packed = await server.get(PATH, **IDENTITY), await server.get(PATH, accept_encoding="gzip")
        assert plain.content == packed.content
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(plain.content)
        assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
        assert plain.headers["etag"] != packed.headers["etag"]
        assert plain.headers["cache-control"] == packed.headers["cache-control"] == "no-store"
        assert (await server.get(PATH, accept_encoding="gzip;q=0")).headers["etag"] == plain.headers["etag"]

    with_server(check, polled({str(n): AVAILABLE for n in range(500)}, {}))


def test_who_has_the_answer_is_told_so_until_something_changes() -> None:
    async def check(server: Running) -> None:
        for coding in ("identity", "gzip"):
            tag = (await server.get(PATH, accept_encoding=coding)).headers["etag"]
            for condition in (tag, f'"other", W/{tag}', "*"):
                answer = await server.get(PATH, accept_encoding=coding, if_none_match=condition)
                assert (answer.status_code, answer.content) == (304, b"")
                assert answer.headers["etag"] == tag
                assert answer.headers["vary"] == "Accept-Encoding"
            other = (await server.get(PATH, accept_encoding="identity" if coding == "gzip" else "gzip")).headers["etag"]
            for condition in (other, '"other"', "nonsense", '"', ""):
                answer = await server.get(PATH, accept_encoding=coding, if_none_match=condition)
                assert answer.status_code == 200
        server.polled.poll(STATUSES | {"1": BUSY}, CREW)
        assert (await server.get(PATH, if_none_match=tag)).status_code == 200
        server.polled.clock.pass_time(90)
        assert (await server.get(PATH, if_none_match=tag)).status_code == 200
        part = (await server.get(f"{PATH}?limit=1")).headers["etag"]
        assert part != tag
        assert (await server.get(f"{PATH}?limit=1", if_none_match=part)).status_code == 304

    with_server(check, polled())


def test_the_packed_body_is_one_gzip_member() -> None:
    shown = Showing(web_state(polled())).now()
    document = at_once(agents._rendered(shown, Page.of({})))
    assert gzip.decompress(document.gzip) == document.plain
    assert document.gzip.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == 1


# --- filters and pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("team=Sales", "1"),
        ("team=sales*", "12"),
        ("team=Sales&team=support", "13"),
        ("team=", "4"),
        ("agent=2", "2"),
        ("agent=zo%C3%AB*", "3"),
        ("agent=*e*", "12"),
        ("agent=1&agent=Bo+Ek", "12"),
        ("status=Busy", "2"),
        ("status=on-call&status=AVAILABLE", "13"),
        ("status=training", "4"),
        ("status=Offline", ""),
        ("status=nobody+ever+said+this", ""),
        ("team=Sales*&status=Busy", "2"),
        ("team=Sales&status=Busy", ""),
        ("team=[a-z", ""),
    ],
)
def test_filters_leave_who_fits_all_of_them(query: str, ids: str) -> None:
    async def check(server: Running) -> None:
        said = await answered(server, query)
        assert "".join(one["agent_id"] for one in said["rows"]) == ids
        assert said["meta"]["total"] == len(ids)
        counted = Counter(one["status"] for one in said["rows"])
        assert {one["status"]: one["agents"] for one in said["statuses"]} == {
            one["status"]: counted[one["status"]] for one in said["statuses"]
        }
        assert len(said["statuses"]) == 7
        assert said["teams"] == ["Sales", "Sales North", "Support"]

    with_server(check, polled())


TEXTS = st.text(alphabet="aBß*?[]! 1", max_size=6)


@given(
    st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.lists(TEXTS, max_size=2), st.lists(TEXTS, max_size=2)
)
def test_globs_mean_what_they_mean_in_reports(
    people: list[tuple[str, str]], teams: list[str], patterns: list[str]
) -> None:
    crew = {str(n): Agent(str(n), name, team) for n, (name, team) in enumerate(people)}
    shown = Showing(web_state(polled(dict.fromkeys(crew, BUSY), crew))).now()
    page = Page.of({name: tuple(texts) for name, texts in (("team", teams), ("agent", patterns)) if texts})
    found = [one["agent_id"] for one in json.loads(at_once(agents._rendered(shown, page)).plain)["rows"]]
    facts = tuple(AgentFacts(a.agent_id, (Description(0, a.name, a.team),), ()) for a in crew.values())
    wanted = set(crew)
    for field, texts in (("agents", patterns), ("teams", teams)):
        fitting = set()
        for text in texts:
            try:
                fitting |= {one.agent_id for one in select(facts, Selection(**{field: (text,)}))}
            except UsageError:
                continue  # nobody fits: an error in a report, an empty list here
        wanted &= fitting if texts else wanted
    assert found == sorted(wanted)


def test_pages_join_up_to_all_agents_in_order() -> None:
    story = polled({f"{n:03}": AVAILABLE for n in range(25)}, {})

    async def check(server: Running) -> None:
        path: str | None = f"{PATH}?status=available&limit=10"
        sizes, ids = [], []
        while path is not None:
            said = (await server.get(path)).json()
            sizes.append(len(said["rows"]))
            ids += [one["agent_id"] for one in said["rows"]]
            assert said["meta"]["total"] == 25
            path = said["meta"]["next"]
        assert sizes == [10, 10, 5]
        assert ids == [f"{n:03}" for n in range(25)]
        beyond = await answered(server, "offset=25&limit=10")
        assert (beyond["rows"], beyond["meta"]["next"], beyond["meta"]["offset"]) == ([], None, 25)
        assert [one["agent_id"] for one in (await answered(server, "offset=23"))["rows"]] == ["023", "024"]
        assert (await answered(server, "limit=25"))["meta"]["next"] is None

    with_server(check, story)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("teams=x", "'teams' is no parameter here: there are agent, limit, offset, status, team"),
        ("limit=1&limit=2", "limit stands there 2 times: give it once"),
        ("limit=0", "limit '0' is not a whole number from 1 to 10,000"),
        ("limit=10001", "limit '10001' is not a whole number from 1 to 10,000"),
        ("limit=", "limit '' is not a whole number from 1 to 10,000"),
        ("limit=%D9%A3", "limit '٣' is not a whole number from 1 to 10,000"),
        ("offset=-1", "offset '-1' is not a whole number of rows to leave out, such as 1000"),
        ("team=%ff", "the query is not UTF-8: encode what is not ASCII as UTF-8 with percent signs"),
        ("team=a%00b", "the query holds a NUL, which no parameter can hold: leave it out"),
        ("team=50%", "the query has a bare % at '%': write it as %25"),
        ("team=%zz", "the query has a bare % at '%zz': write it as %25"),
        ("&".join(["team=a"] * 21), "team stands there 21 times, and 20 times is the most"),
        ("agent=" + "x" * 101, f"agent '{'x' * 60}…' is longer than 100 characters"),
    ],
)
def test_a_wrong_query_is_refused_with_a_sentence_that_names_the_parameter(query: str, sentence: str) -> None:
    async def check(server: Running) -> None:
        answer = await server.get(f"{PATH}?{query}")
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"error": sentence}

    with_server(check)


@given(st.binary(max_size=60))
def test_any_query_is_understood_or_refused(query: bytes) -> None:
    try:
        found = parameters(query)
        page_of(found)
    except UsageError:
        return
    assert parameters(link("", found).removeprefix("?").encode()) == found


def test_a_query_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^the query is 8,193 bytes long, and 8,192 are the most"):
        parameters(b"x" * (LONGEST + 1))


def test_what_is_not_there_and_what_is_no_method_is_refused_in_json() -> None:
    async def check(server: Running) -> None:
        answer = await server.get("/api/v1/agent")
        assert answer.status_code == 404
        assert answer.json()["error"].startswith("Nothing is at this path; there are /api/v1/agents, /api/v1/events, ")
        answer = await server.client.delete(PATH)
        assert (answer.status_code, answer.json()) == (405, {"error": "This path answers GET, HEAD only."})
        assert (await server.client.head(PATH)).content == b""

    with_server(check)


def test_an_unforeseen_failure_is_a_500_in_json(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Showing) -> None:
        raise RuntimeError("the secret is hunter2")

    monkeypatch.setattr(Showing, "now", broken)

    async def check(server: Running) -> None:
        answer = await server.get(PATH)
        assert answer.status_code == 500
        assert answer.json() == {"error": "The exporter failed to answer; its log says why."}

    with_server(check)
    assert [record.message for record in caplog.records] == ["a request could not be answered"]


def test_nothing_is_told_where_personal_data_may_not_be_served() -> None:
    async def closed(server: Running) -> None:
        for path in (PATH, "/api/v1/events", "/api/v1/timeline"):
            answer = await server.get(path)
            assert (answer.status_code, answer.json()) == (403, {"error": "Not here."})
            assert answer.headers["cache-control"] == "no-store"

    with_server(closed, polled(), access=lambda: Access(open=False, why_not="Not here."))

    async def rebound(server: Running) -> None:
        answer = await server.get(PATH, host="evil.example.com")
        assert answer.status_code == 403
        assert answer.json()["error"].startswith("This address is served to this machine only")

    with_server(rebound, polled())
