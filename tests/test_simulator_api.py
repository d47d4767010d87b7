"""The documented endpoints over real HTTP: what they answer, what they refuse, who sees whom."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from exporter.simulator.settings import Presence, RateLock, ServerSettings, Unseen
from exporter.simulator.simulation import Simulation
from tests.support.clock import FakeClock
from tests.support.simulated import BASE, MANY, NOON, OVERRIDE, OWN, USERS, Simulated, simulated, simulation

INVALID = {"code": "500", "status": "ERROR", "message": "Invalid agent."}


def run(scenario: Callable[[Simulated], Awaitable[None]], one: Simulation | None = None, **settings: Any) -> None:
    """Run a scenario against a simulator of its own."""

    async def session() -> None:
        async with simulated(one or simulation(), settings=ServerSettings(**settings)) as running:
            await scenario(running)

    asyncio.run(session())


def refusal(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["status"] == "ERROR"
    return answer.status_code, body["message"]


def test_own_status_is_the_truth_about_the_first_agent() -> None:
    async def scenario(one: Simulated) -> None:
        agent = one.simulation.agents[0]
        answer = await one.http.get(OWN)
        word = one.simulation.status_at(agent.agent_id, NOON)
        assert answer.json() == {
            "code": "200", "status": "SUCCESS", "onlineStatus": {"agentId": agent.agent_id, "onlineStatus": word},
        }  # fmt: skip
        assert answer.headers["content-type"] == "application/json;charset=UTF-8"
        assert "server" not in answer.headers

    run(scenario)


def test_own_status_of_a_user_who_is_no_agent_is_an_error_envelope() -> None:
    async def scenario(one: Simulated) -> None:
        await one.log_in(one.running.credentials.outsider)
        for answer in (await one.http.get(OWN), await one.http.put(OWN, data={"status": "Busy"})):
            assert (answer.status_code, answer.json()) == (200, INVALID)

    run(scenario)


def test_the_status_of_an_error_envelope_can_be_chosen() -> None:
    async def scenario(one: Simulated) -> None:
        await one.log_in(one.running.credentials.outsider)
        answer = await one.http.get(OWN)
        assert (answer.status_code, answer.json()) == (500, INVALID)

    run(scenario, application_error_status=500)


def test_many_agents_are_answered_in_the_order_asked_for_with_an_error_row_for_who_is_none() -> None:
    async def scenario(one: Simulated) -> None:
        a, b = one.simulation.agents[3].agent_id, one.simulation.agents[1].agent_id
        answer = await one.http.get(MANY, params={"agentIds": f"{a},7999,{b},{a}"})
        assert answer.json() == {
            "code": "200",
            "status": "SUCCESS",
            "onlineStatus": [
                {"agentId": a, "onlineStatus": one.simulation.status_at(a, NOON)},
                {"agentId": "7999", "error": "Invalid agent."},
                {"agentId": b, "onlineStatus": one.simulation.status_at(b, NOON)},
            ],
        }

    run(scenario)


def test_an_answer_with_nothing_but_error_rows_is_a_success() -> None:
    async def scenario(one: Simulated) -> None:
        answer = await one.http.get(MANY, params={"agentIds": "1,2"})
        assert answer.json()["status"] == "SUCCESS"
        assert [row["error"] for row in answer.json()["onlineStatus"]] == ["Invalid agent."] * 2

    run(scenario)


def test_zuids_are_answered_with_agent_ids() -> None:
    async def scenario(one: Simulated) -> None:
        agents = one.simulation.agents[:2]
        answer = await one.http.get(MANY, params={"zuids": ",".join(str(agent.zuid) for agent in agents)})
        assert [row["agentId"] for row in answer.json()["onlineStatus"]] == [agent.agent_id for agent in agents]

    run(scenario)


def test_the_unversioned_path_answers_for_the_caller_even_when_asked_for_many() -> None:
    async def scenario(one: Simulated) -> None:
        answer = await one.http.get(OWN, params={"agentIds": one.ids(3)})
        assert answer.json()["onlineStatus"]["agentId"] == one.simulation.agents[0].agent_id

    run(scenario)


@pytest.mark.parametrize("word", ["Available", "Busy", "Offline", "On Break"])
def test_setting_the_own_status_shows_in_the_next_answer(word: str) -> None:
    async def scenario(one: Simulated) -> None:
        answer = await one.http.put(OWN, data={"status": word})
        assert answer.json() == {"code": "200", "status": "SUCCESS", "message": "success"}
        assert (await one.http.get(OWN)).json()["onlineStatus"]["onlineStatus"] == word

    run(scenario)


@pytest.mark.parametrize(
    ("word", "message"),
    [("On Call", "On Call cannot be set."), ("available", "Invalid status."), ("On  Break", "Invalid status.")],
)
def test_other_words_cannot_be_set(word: str, message: str) -> None:
    async def scenario(one: Simulated) -> None:
        before = one.simulation.statuses_at(NOON)
        assert refusal(await one.http.put(OWN, data={"status": word})) == (400, message)
        refused = await one.http.put(OVERRIDE, data={"status": word, "agentIds": one.ids(2)})
        assert refusal(refused) == (400, message)
        assert one.simulation.statuses_at(NOON) == before

    run(scenario)


def test_an_override_has_a_result_for_each_agent_and_sets_those_it_can() -> None:
    async def scenario(one: Simulated) -> None:
        a, b = (agent.agent_id for agent in one.simulation.agents[:2])
        answer = await one.http.put(OVERRIDE, data={"agentIds": f"{a},7999,{b}", "status": "On Break"})
        assert answer.json() == {
            "code": "200",
            "status": "SUCCESS",
            "overrideOnlineStatus": [
                {"agentId": a, "status": "success"},
                {"agentId": "7999", "status": "error", "message": "Invalid agent."},
                {"agentId": b, "status": "success"},
            ],
        }
        assert [one.simulation.status_at(agent_id, NOON) for agent_id in (a, b)] == ["On Break"] * 2

    run(scenario)


def test_an_override_in_the_newer_pages_form_is_an_error_with_rows_and_without_a_message() -> None:
    async def scenario(one: Simulated) -> None:
        a = one.simulation.agents[0].agent_id
        body = (await one.http.put(OVERRIDE, data={"agentIds": f"{a},7999", "status": "Busy"})).json()
        assert (body["code"], body["status"], set(body)) == ("500", "ERROR", {"code", "status", "overrideOnlineStatus"})
        assert body["overrideOnlineStatus"][0] == {"agentId": a, "status": "success"}

    run(scenario, override_error_envelope=True)


@pytest.mark.parametrize(
    ("method", "path", "given", "expected"),
    [
        ("GET", OWN, {"verbose": "1"}, "Unknown parameter: verbose."),
        ("GET", MANY, {}, "Give either agentIds or zuids."),
        ("GET", MANY, {"agentIds": "1", "zuids": "2"}, "Give either agentIds or zuids."),
        ("GET", MANY, {"agentids": "1"}, "Unknown parameter: agentids."),
        ("GET", MANY, {"agentIds": ""}, "agentIds must be ids separated by commas."),
        ("GET", MANY, {"agentIds": "1,"}, "agentIds must be ids separated by commas."),
        ("GET", MANY, {"agentIds": "1, 2"}, "agentIds must be ids separated by commas."),
        ("GET", MANY, {"agentIds": ["1", "2"]}, "Parameter given twice: agentIds."),
        ("PUT", OWN, {}, "Missing parameter: status."),
        ("PUT", OWN, {"status": "Busy", "agentIds": "1"}, "Unknown parameter: agentIds."),
        ("PUT", OVERRIDE, {"status": "Busy"}, "Missing parameter: agentIds."),
        ("PUT", OVERRIDE, {"agentIds": "1"}, "Missing parameter: status."),
        ("GET", USERS, {"size": "50"}, "Unknown parameter: size."),
        ("GET", USERS, {"offset": "51"}, "offset must be 1 to 50."),
        ("GET", USERS, {"offset": "0"}, "offset must be 1 to 50."),
        ("GET", USERS, {"from": "-1"}, "from must be a whole number."),
        ("GET", USERS, {"sortBy": "AGE"}, "sortBy has an unknown value."),
        ("GET", USERS, {"agentStatus": "1"}, "agentStatus has an unknown value."),
    ],
)
def test_unknown_missing_and_wrong_parameters_are_refused(
    method: str, path: str, given: dict[str, Any], expected: str
) -> None:
    async def scenario(one: Simulated) -> None:
        where = {"params": given} if method == "GET" else {"content": httpx.QueryParams(given).__str__().encode()}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert refusal(await one.http.request(method, path, headers=form, **where)) == (400, expected)

    run(scenario)


def test_writes_must_be_forms() -> None:
    async def scenario(one: Simulated) -> None:
        wrong = "The body must be application/x-www-form-urlencoded."
        assert refusal(await one.http.put(OWN, json={"status": "Busy"})) == (400, wrong)
        assert refusal(await one.http.put(OWN, content=b"status=Busy")) == (400, wrong)
        in_query = await one.http.put(OWN, params={"status": "Busy"}, data={"status": "Busy"})
        assert refusal(in_query) == (400, "Parameters belong in the body.")

    run(scenario)


def test_a_url_that_is_too_long_is_refused_and_fifty_ids_are_not() -> None:
    async def scenario(one: Simulated) -> None:
        many = ",".join(["1" * 17] * 500)
        assert refusal(await one.http.get(MANY, params={"agentIds": many})) == (414, "The URL is too long.")
        assert (await one.http.get(MANY, params={"agentIds": one.ids(40)})).status_code == 200

    run(scenario)


def test_a_body_that_is_too_large_is_refused() -> None:
    async def scenario(one: Simulated) -> None:
        answer = await one.http.put(OVERRIDE, data={"agentIds": "1" * 1_100_000, "status": "Busy"})
        assert refusal(answer) == (413, "The body is too large.")

    run(scenario)


@pytest.mark.parametrize("path", [f"{BASE}/agents", f"{BASE}/v2/agents/onlineStatus/", "/rest/json/zv/users", "/"])
def test_a_wrong_path_is_answered_as_documented(path: str) -> None:
    async def scenario(one: Simulated) -> None:
        answer = await one.http.get(path)
        body = {"code": "ZVT011", "status": "ERROR", "message": "Given URL is wrong."}
        assert (answer.status_code, answer.json()) == (404, body)

    run(scenario)


@pytest.mark.parametrize(("method", "path", "allow"), [("POST", OWN, "GET, PUT"), ("PUT", MANY, "GET"),
                         ("GET", OVERRIDE, "PUT"), ("DELETE", USERS, "GET")])  # fmt: skip
def test_a_wrong_method_is_refused(method: str, path: str, allow: str) -> None:
    async def scenario(one: Simulated) -> None:
        answer = await one.http.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)

    run(scenario)


def test_every_request_needs_a_token_and_an_accept_header() -> None:
    async def scenario(one: Simulated) -> None:
        for authorization in ("", "Bearer x", "Zoho-oauthtoken x"):
            answer = await one.http.get(OWN, headers={"Authorization": authorization})
            assert answer.status_code == 401
            assert answer.json() == {"code": "ZVT0052", "status": "ERROR", "message": "Unauthorized access."}
        assert (await one.http.get(OWN, headers={"Accept": "text/html"})).status_code == 406
        assert (await one.http.get(OWN, headers={"Accept": "text/html, */*;q=0.1"})).status_code == 200

    run(scenario)


READ, UPDATE, SDK = "ZohoVoice.agents.READ", "ZohoVoice.agents.UPDATE", "ZohoVoice.sdk.READ"


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (READ, {"own", "many", "users", "override"}),
        (READ.lower(), {"own", "many", "users", "override"}),
        ("zohovoice.agents.ALL", {"own", "many", "users", "override", "set"}),
        (UPDATE, {"set", "override"}),
        (SDK, {"many"}),
        ("ZohoVoice.queues.READ", set()),
    ],
)
def test_each_scope_of_the_two_readings_is_enough(scope: str, allowed: set[str]) -> None:
    async def scenario(one: Simulated) -> None:
        await one.log_in_with(scope)
        answers = {
            "own": await one.http.get(OWN),
            "many": await one.http.get(MANY, params={"agentIds": one.ids(1)}),
            "users": await one.http.get(USERS),
            "set": await one.http.put(OWN, data={"status": "Busy"}),
            "override": await one.http.put(OVERRIDE, data={"status": "Busy", "agentIds": one.ids(1)}),
        }
        assert {name for name, answer in answers.items() if answer.status_code == 200} == allowed
        refused = [answer for name, answer in answers.items() if name not in allowed]
        assert {answer.status_code for answer in refused} <= {401}
        assert {answer.json()["code"] for answer in refused} <= {"OAUTH_SCOPE_MISMATCH"}

    run(scenario)


async def listing(one: Simulated, size: int = 50, **filters: str) -> tuple[list[dict[str, Any]], int]:
    """All pages of the roster, and the total that the last of them stated."""
    rows: list[dict[str, Any]] = []
    while True:
        page = (await one.http.get(USERS, params={"from": str(len(rows)), "offset": str(size)} | filters)).json()
        rows += page["users"]
        if len(page["users"]) < size:
            return rows, page["meta"]["total"]


def test_the_pages_of_the_roster_hold_every_user_once_and_say_how_many() -> None:
    async def scenario(one: Simulated) -> None:
        rows, total = await listing(one, size=20)
        assert total == len(rows) == 42
        assert [row["agentId"] for row in rows if row.get("agentId")] == [a.agent_id for a in one.simulation.agents]

    run(scenario)


def test_a_row_of_the_roster_has_the_live_status_text_ids_and_a_numeric_zuid() -> None:
    async def scenario(one: Simulated) -> None:
        agent = one.simulation.agents[4]
        [row] = (await listing(one, agentId=agent.agent_id))[0]
        assert row["onlineStatus"] == one.simulation.status_at(agent.agent_id, NOON)
        assert (row["userid"], row["agentId"], row["zuid"]) == (agent.user_id, agent.agent_id, agent.zuid)
        assert (row["name"], row["departmentName"], row["emailid"]) == (agent.name, agent.team, agent.email)

    run(scenario)


def test_rows_that_are_no_agents_have_no_agent_id_or_an_empty_one() -> None:
    async def scenario(one: Simulated) -> None:
        rows, _ = await listing(one)
        others = [row for row in rows if not row.get("agentId")]
        assert [(row.get("agentId", "none"), row["status"]) for row in others] == [("none", 3), ("", 1), ("none", 3)]
        assert rows.index(others[0]) == 7

    run(scenario, simulation(other_users=3))


def test_the_roster_can_be_filtered_and_sorted() -> None:
    async def scenario(one: Simulated) -> None:
        on_call, total = await listing(one, agentStatus="4")
        expected = {a for a, word in one.simulation.statuses_at(NOON).items() if word == "On Call"}
        assert {row["agentId"] for row in on_call} == expected
        assert total == len(expected) > 0
        assert {row["departmentName"] for row in (await listing(one, searchKey="sales"))[0]} == {"Sales"}
        names = [row["name"] for row in (await listing(one, sortBy="NAME"))[0]]
        assert names == sorted(names)
        assert [row["zvtRoleName"] for row in (await listing(one, role="3"))[0]] == ["SUPERVISOR"]

    run(scenario)


def test_a_supervisor_sees_the_agents_of_one_team_and_error_rows_for_others() -> None:
    async def scenario(one: Simulated) -> None:
        await one.log_in(one.running.credentials.supervisor)
        mine = [agent for agent in one.simulation.agents if agent.supervised]
        other = next(agent for agent in one.simulation.agents if not agent.supervised)
        rows, total = await listing(one)
        assert [row["agentId"] for row in rows] == [agent.agent_id for agent in mine]
        assert total == len(mine) == 8
        asked = {"agentIds": f"{mine[0].agent_id},{other.agent_id}"}
        answer = (await one.http.get(MANY, params=asked)).json()["onlineStatus"]
        assert answer[1] == {"agentId": other.agent_id, "error": "Invalid agent."}
        results = (await one.http.put(OVERRIDE, data=asked | {"status": "Busy"})).json()["overrideOnlineStatus"]
        assert [row["status"] for row in results] == ["success", "error"]
        assert results[1]["message"].startswith("You don't have permission")
        assert (await one.http.get(OWN)).json()["onlineStatus"]["agentId"] == one.simulation.agents[1].agent_id

    run(scenario)


def test_agents_whom_a_supervisor_does_not_see_can_be_missing_instead() -> None:
    async def scenario(one: Simulated) -> None:
        await one.log_in(one.running.credentials.supervisor)
        other = next(agent for agent in one.simulation.agents if not agent.supervised)
        answer = await one.http.get(MANY, params={"agentIds": f"{other.agent_id},7999"})
        assert answer.json()["onlineStatus"] == [{"agentId": "7999", "error": "Invalid agent."}]

    run(scenario, unseen=Unseen.MISSING)


def test_who_joins_or_leaves_is_on_the_roster_and_has_a_status_only_in_between() -> None:
    clock = FakeClock(NOON)
    one = simulation(
        clock, agents=3, other_users=0, presences=(Presence(2, joins=NOON + 10_000, leaves=NOON + 20_000),)
    )

    async def scenario(running: Simulated) -> None:
        wanted = running.simulation.agents[2].agent_id
        seen = []
        for _ in range(3):
            rows, total = await listing(running)
            row = (await running.http.get(MANY, params={"agentIds": wanted})).json()["onlineStatus"][0]
            seen.append((total, len(rows), "onlineStatus" in row, row.get("error")))
            clock.pass_time(10)
        assert seen == [(2, 2, False, "Invalid agent."), (3, 3, True, None), (2, 2, False, "Invalid agent.")]

    run(scenario, one)


def test_statuses_over_http_follow_the_truth_as_time_passes() -> None:
    clock = FakeClock(NOON)

    async def scenario(one: Simulated) -> None:
        for _ in range(20):
            clock.pass_time(97)
            rows = (await one.http.get(MANY, params={"agentIds": one.ids(40)})).json()["onlineStatus"]
            told = {row["agentId"]: row["onlineStatus"] for row in rows}
            assert told == one.simulation.statuses_at(clock.now_ms())

    run(scenario, simulation(clock))


def test_the_thirty_first_request_within_a_minute_locks_a_url_for_ten_minutes() -> None:
    clock = FakeClock(NOON)

    async def scenario(one: Simulated) -> None:
        async def status() -> int:
            return (await one.http.get(MANY, params={"agentIds": one.ids(1)})).status_code

        assert [await status() for _ in range(30)] == [200] * 30
        clock.pass_time(30)
        locked = await one.http.get(MANY, params={"agentIds": one.ids(1)})
        assert locked.status_code == 400
        assert locked.json()["error"]["title"] == "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED"
        assert locked.json()["error"]["details"]["message"].endswith("Try again after 10 minutes.")
        assert (await one.http.get(OWN)).status_code == 200
        clock.pass_time(599)
        assert await status() == 400
        clock.pass_time(1)
        assert await status() == 200

    run(scenario, simulation(clock), rate_lock=RateLock())


def test_thirty_requests_a_minute_are_served_for_ever() -> None:
    clock = FakeClock(NOON)

    async def scenario(one: Simulated) -> None:
        for _ in range(90):
            assert (await one.http.get(OWN)).status_code == 200
            clock.pass_time(2)

    run(scenario, simulation(clock), rate_lock=RateLock(shape="throttle-429"))
