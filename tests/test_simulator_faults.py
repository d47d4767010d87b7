"""The switchboard of faults: how faults are written, placed and used up, and what each does on the wire."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from exporter.clock import SystemClock
from exporter.errors import UsageError
from exporter.simulator.damage import HOSTILE_WORDS, instead
from exporter.simulator.faults import Fault, FaultKind, Label, PlacedFault, Switchboard, parse_fault
from exporter.simulator.kinds import RULES
from exporter.simulator.settings import ServerSettings
from tests.support.clock import FakeClock
from tests.support.simulated import MANY, NOON, OVERRIDE, OWN, TOKEN, USERS, Simulated, simulated, simulation

K = FaultKind
_MANY_TOKENS = ServerSettings(tokens_per_window=1_000)


def run(scenario: Callable[[Simulated], Awaitable[None]], clock: Any = None, **settings: Any) -> None:
    async def session() -> None:
        async with simulated(simulation(clock, **settings)) as one:
            await scenario(one)

    asyncio.run(session())


async def many(one: Simulated, count: int = 3) -> httpx.Response:
    return await one.http.get(MANY, params={"agentIds": one.ids(count)})


async def rows(one: Simulated, count: int = 3) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = (await many(one, count)).json()["onlineStatus"]
    return answer


# Writing them


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "statuses:throttle-429,retry_after=20,times=3",
            PlacedFault("statuses", Fault(K.THROTTLE_429, retry_after=20), 3),
        ),
        ("*:slow,seconds=0.5", PlacedFault("*", Fault(K.SLOW, seconds=0.5))),
        ("users:hang", PlacedFault("users", Fault(K.HANG))),
        ("token:access-token-limit,status=400", PlacedFault("token", Fault(K.ACCESS_TOKEN_LIMIT, status=400))),
        (
            "own_status:redirect,url=http://other.example.test/x?a=b",
            PlacedFault("own_status", Fault(K.REDIRECT, url="http://other.example.test/x?a=b")),
        ),
        ("users:wrong-total,delta=-1", PlacedFault("users", Fault(K.WRONG_TOTAL, delta=-1))),
        ("statuses:server-error,factor=0.25", PlacedFault("statuses", Fault(K.SERVER_ERROR, factor=0.25))),
    ],
)
def test_a_fault_is_read_from_text(spec: str, expected: PlacedFault) -> None:
    assert parse_fault(spec) == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("statuses", "'statuses' is no fault: write ENDPOINT:FAULT[,NAME=VALUE…], such as statuses:slow,seconds=5"),
        ("status:slow", "'status' in the fault 'status:slow' is no endpoint: give token, users, own_status, statuses, "
                        "set_status, override_statuses or *"),
        ("statuses:slow,second=5", "'second=5' in the fault 'statuses:slow,second=5' is not understood: slow takes "
                                   "factor, seconds, times"),
        ("statuses:slow,seconds=five", "seconds=five in the fault 'statuses:slow,seconds=five' is not a number"),
        ("statuses:slow,times=1.5", "times=1.5 in the fault 'statuses:slow,times=1.5' is not a whole number"),
        ("statuses:slow,times=1,times=2", "'times' is given twice in the fault 'statuses:slow,times=1,times=2'"),
        ("statuses:slow,seconds=-1", "the fault slow cannot have seconds=-1.0: give 0 to 86400"),
        ("statuses:slow,seconds=nan", "the fault slow cannot have seconds=nan: give 0 to 86400"),
        ("statuses:slow,factor=0", "the fault slow cannot have factor=0: give a share above 0, up to 1"),
        ("statuses:redirect", "the fault redirect needs url=…"),
        ("statuses:server-error,status=404", "the fault server-error cannot have status=404: it takes 500 to 599"),
        ("token:missing-rows", "the fault missing-rows cannot be at 'token': it can be at users, own_status, statuses, "
                               "override_statuses"),
        ("statuses:wrong-types,variant=odd", "the fault wrong-types has no variant 'odd': it has payload, rows, "
                                             "fields, list"),
        ("users:slow,times=0", "the fault slow cannot be on for 0 requests: give 1 or more"),
    ],
)  # fmt: skip
def test_a_fault_that_makes_no_sense_is_refused_with_what_would(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Switchboard([parse_fault(spec)])
    assert str(caught.value) == message


def test_an_unknown_fault_is_refused_with_the_list_of_faults() -> None:
    with pytest.raises(UsageError, match=r"the faults are expired-token, unauthorized, .*same-page"):
        parse_fault("statuses:meteor")


def test_every_kind_of_fault_has_a_rule_and_can_be_written() -> None:
    assert set(RULES) == set(FaultKind)
    for kind in FaultKind:
        assert parse_fault(f"*:{kind.value}" + (",url=http://other.example.test" if kind is K.REDIRECT else ""))


# Placing them


def test_a_fault_hits_as_many_requests_as_it_was_told() -> None:
    board = Switchboard()
    board.set("statuses", Fault(K.RESET), times=2)
    assert [board.take(Label.STATUSES) is not None for _ in range(4)] == [True, True, False, False]
    assert board.active() == ()


def test_a_fault_goes_on_until_it_is_cleared_and_leaves_other_endpoints_alone() -> None:
    board = Switchboard()
    board.set("statuses", Fault(K.RESET))
    assert all(board.take(Label.STATUSES) for _ in range(100))
    assert board.take(Label.USERS) is None
    board.clear("users")
    assert board.take(Label.STATUSES)
    board.clear("statuses")
    assert board.take(Label.STATUSES) is None


def test_a_fault_everywhere_is_where_it_makes_sense() -> None:
    board = Switchboard()
    board.set("*", Fault(K.EXPIRED_TOKEN))
    assert {placed.where for placed in board.active()} == {label.value for label in Label} - {"token"}
    board.clear()
    assert board.active() == ()


def test_a_second_fault_replaces_the_first_or_waits_behind_it() -> None:
    board = Switchboard()
    board.set("users", Fault(K.RESET), times=1)
    board.set("users", Fault(K.CLOSE), times=2)
    board.add("users", Fault(K.HTML), times=1)
    taken = [board.take(Label.USERS) for _ in range(4)]
    assert [fault.kind if fault else None for fault in taken] == [K.CLOSE, K.CLOSE, K.HTML, None]


def test_a_factor_hits_an_even_share_of_requests() -> None:
    board = Switchboard()
    board.set("users", Fault(K.RESET, factor=0.25), times=2)
    assert [index for index in range(1, 13) if board.take(Label.USERS)] == [4, 8]


def test_clearing_an_endpoint_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="'status' is no endpoint"):
        Switchboard().clear("status")


# What they do: answers in place of the truth


def test_an_expired_token_is_refused_once_and_a_fresh_one_works() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.EXPIRED_TOKEN), times=1)
        assert [(await many(one)).status_code for _ in range(2)] == [401, 401]
        await one.log_in()
        assert (await many(one)).status_code == 200

    run(scenario)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("voice", {"code": "ZVT0052", "status": "ERROR", "message": "Unauthorized access."}),
        ("crm", {"code": "INVALID_TOKEN", "details": {}, "message": "The access token is invalid.", "status": "error"}),
        ("projects", {"error": {"status_code": "401", "title": "INVALID_OAUTHTOKEN",
                                "details": [{"message": "The access token is invalid."}]}}),
        ("mail", {"data": {"errorCode": "INVALID_OAUTHTOKEN"}, "status": {"code": 401}}),
    ],
)  # fmt: skip
def test_unauthorized_comes_in_each_shape_that_zoho_services_have(variant: str, expected: object) -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.UNAUTHORIZED, variant=variant), times=1)
        answer = await many(one)
        assert (answer.status_code, answer.json()) == (401, expected)
        assert (await many(one)).status_code == 200

    run(scenario)


def test_a_missing_scope_and_an_error_envelope() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.SCOPE_MISSING), times=1)
        answer = await many(one)
        assert (answer.status_code, answer.json()["code"]) == (401, "OAUTH_SCOPE_MISMATCH")
        one.running.switchboard.set("statuses", Fault(K.ERROR_ENVELOPE, text="Licence limit."), times=1)
        answer = await many(one)
        body = {"code": "500", "status": "ERROR", "message": "Licence limit."}
        assert (answer.status_code, answer.json()) == (200, body)

    run(scenario)


def test_a_refused_refresh_and_the_access_token_limit_in_each_form() -> None:
    async def scenario(one: Simulated) -> None:
        async def answer(fault: Fault) -> tuple[int, dict[str, Any]]:
            one.running.switchboard.set("token", fault, times=1)
            got = await one.refresh(one.running.credentials.admin)
            return got.status_code, got.json()

        assert await answer(Fault(K.REFUSED_REFRESH)) == (200, {"error": "invalid_code"})
        assert await answer(Fault(K.REFUSED_REFRESH, text="invalid_client")) == (200, {"error": "invalid_client"})
        status, body = await answer(Fault(K.ACCESS_TOKEN_LIMIT))
        assert (status, body["error"], body["status"]) == (200, "Access Denied", "failure")
        status, body = await answer(Fault(K.ACCESS_TOKEN_LIMIT, status=400, variant="chinese"))
        assert (status, body["status"]) == (400, "failure")
        assert not body["error"].isascii()
        assert not body["error_description"].isascii()

    run(scenario)


@pytest.mark.parametrize(
    ("kind", "status", "mark"),
    [
        (K.THROTTLE_429, 429, "TOO_MANY_REQUESTS"),
        (K.THROTTLE_400, 400, "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED"),
        (K.THROTTLE_200, 200, "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED"),
        (K.THROTTLE_CLIQ, 400, "request_limit_exceeded"),
    ],
)
def test_each_throttle_has_its_status_and_its_mark(kind: FaultKind, status: int, mark: str) -> None:
    reply = instead(Fault(kind))
    assert reply is not None
    assert reply.status == status
    assert mark in reply.encoded().decode()
    assert "Try again" not in reply.encoded().decode()
    assert reply.headers == ()


def test_throttles_state_their_time_in_a_header_or_in_minutes() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.THROTTLE_429, retry_after=20), times=1)
        assert (await many(one)).headers["retry-after"] == "20"
        one.running.switchboard.set("statuses", Fault(K.THROTTLE_400, retry_after=61), times=1)
        assert (await many(one)).json()["error"]["details"]["message"].endswith("Try again after 2 minutes.")

    run(scenario)


def test_server_and_client_errors_pages_and_empty_answers() -> None:
    async def scenario(one: Simulated) -> None:
        async def answer(fault: Fault) -> tuple[int, str, str]:
            one.running.switchboard.set("users", fault, times=1)
            got = await one.http.get(USERS)
            return got.status_code, got.headers["content-type"].partition(";")[0], got.text[:9]

        assert await answer(Fault(K.SERVER_ERROR, status=503)) == (503, "text/html", "<!DOCTYPE")
        assert await answer(Fault(K.CLIENT_ERROR, status=404)) == (404, "application/json", '{"code":"')
        assert await answer(Fault(K.HTML)) == (200, "text/html", "<!DOCTYPE")
        assert await answer(Fault(K.NOT_JSON, text="oops")) == (200, "application/json", "oops")
        assert await answer(Fault(K.EMPTY)) == (200, "application/json", "")
        assert await answer(Fault(K.NO_CONTENT)) == (204, "application/json", "")

    run(scenario)


def test_a_redirect_goes_where_it_was_told() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.REDIRECT, url="http://other.example.test/x", status=307))
        answer = await many(one)
        assert (answer.status_code, answer.headers["location"]) == (307, "http://other.example.test/x")

    run(scenario)


def test_a_write_that_is_answered_by_a_fault_has_no_effect() -> None:
    async def scenario(one: Simulated) -> None:
        before = one.simulation.statuses_at(NOON)
        one.running.switchboard.set("*", Fault(K.SERVER_ERROR))
        await one.http.put(OWN, data={"status": "Offline"})
        await one.http.put(OVERRIDE, data={"status": "Offline", "agentIds": one.ids(40)})
        assert one.simulation.statuses_at(NOON) == before

    run(scenario)


# What they do: spoilt rows


def test_missing_error_and_duplicate_rows() -> None:
    async def scenario(one: Simulated) -> None:
        board, ids = one.running.switchboard, one.ids(3).split(",")
        board.set("statuses", Fault(K.MISSING_ROWS, count=2))
        assert [row["agentId"] for row in await rows(one)] == ids[2:]
        board.set("statuses", Fault(K.MISSING_ROWS, agent=ids[1]))
        assert [row["agentId"] for row in await rows(one)] == [ids[0], ids[2]]
        board.set("statuses", Fault(K.ERROR_ROWS, agent=ids[1]))
        assert (await rows(one))[1] == {"agentId": ids[1], "error": "Invalid agent."}
        board.set("statuses", Fault(K.DUPLICATE_ROWS))
        same = await rows(one)
        assert len(same) == 4
        assert same[3] == same[0]
        board.set("statuses", Fault(K.DUPLICATE_ROWS, variant="contradicting"))
        contradicting = await rows(one)
        assert contradicting[3]["agentId"] == contradicting[0]["agentId"]
        assert contradicting[3]["onlineStatus"] != contradicting[0]["onlineStatus"]
        board.set("override_statuses", Fault(K.ERROR_ROWS))
        answer = await one.http.put(OVERRIDE, data={"agentIds": one.ids(2), "status": "Busy"})
        assert [row["status"] for row in answer.json()["overrideOnlineStatus"]] == ["error", "success"]

    run(scenario)


def test_unknown_status_words_arrive_as_they_are_also_a_lone_surrogate() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.UNKNOWN_STATUS, count=len(HOSTILE_WORDS)))
        answer = await many(one, 20)
        assert b"\\ud800" in answer.content
        told = [row["onlineStatus"] for row in json.loads(answer.content)["onlineStatus"]]
        assert told[: len(HOSTILE_WORDS)] == list(HOSTILE_WORDS)
        one.running.switchboard.set("users", Fault(K.UNKNOWN_STATUS, text="Lunch"))
        assert (await one.http.get(USERS)).json()["users"][0]["onlineStatus"] == "Lunch"

    run(scenario)


def test_numeric_ids_are_numbers_above_two_to_the_53rd() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("*", Fault(K.NUMERIC_IDS))
        [row] = await rows(one, 1)
        assert type(row["agentId"]) is int
        assert row["agentId"] > 2**53
        assert str(row["agentId"]) == one.simulation.agents[0].agent_id
        user = (await one.http.get(USERS)).json()["users"][0]
        assert {type(user[key]) for key in ("userid", "agentId", "departmentId")} == {int}

    run(scenario)


@pytest.mark.parametrize("variant", ["payload", "rows", "fields", "list"])
def test_wrong_types_keep_the_envelope_well_formed(variant: str) -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("*", Fault(K.WRONG_TYPES, variant=variant))
        body = (await many(one)).json()
        if variant == "list":
            assert isinstance(body, list)
            return
        assert (body["code"], body["status"]) == ("200", "SUCCESS")
        wrong: dict[str, object] = {
            "payload": "Available",
            "rows": [None, 7, "Available", ["agentId"], True],
            "fields": [{"agentId": {"value": None}, "onlineStatus": {"value": None}}] * 3,
        }
        assert body["onlineStatus"] == wrong[variant]

    run(scenario)


def test_wrong_types_at_the_token_endpoint() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("token", Fault(K.WRONG_TYPES))
        assert (await one.refresh(one.running.credentials.admin)).json()["expires_in"] == [3600]

    run(scenario)


# What they do: pages of the roster


async def pages(one: Simulated, most: int = 4) -> tuple[list[list[str]], list[int]]:
    users, totals = [], []
    for number in range(most):
        body = (await one.http.get(USERS, params={"from": 20 * number, "offset": 20})).json()
        users.append([row["userid"] for row in body["users"]])
        totals.append(body["meta"]["total"])
    return users, totals


def test_between_pages_a_user_joins_or_leaves() -> None:
    async def scenario(one: Simulated) -> None:
        true, totals = await pages(one, 3)
        assert totals == [42, 42, 42]
        one.running.switchboard.set("users", Fault(K.ROSTER_JOIN), times=2)
        joined, totals = await pages(one, 3)
        assert totals == [42, 43, 43]
        assert joined[1][0] == joined[0][-1] == true[0][-1]
        one.running.switchboard.set("users", Fault(K.ROSTER_LEAVE), times=2)
        left, totals = await pages(one, 3)
        assert totals == [42, 41, 41]
        assert left[1][0] == true[1][1]
        assert true[1][0] not in {user for page in left for user in page}
        assert await pages(one, 3) == (true, [42, 42, 42])

    run(scenario)


def test_a_wrong_total_and_pages_that_are_all_the_same() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("users", Fault(K.WRONG_TOTAL, delta=-5))
        assert (await pages(one, 3))[1] == [37, 37, 37]
        one.running.switchboard.set("users", Fault(K.SAME_PAGE))
        users, _ = await pages(one, 4)
        assert users[0] == users[1] == users[2] == users[3]

    run(scenario)


# What they do: bytes and time


async def conversation(one: Simulated, path: str) -> tuple[bytes, type[Exception] | None]:
    """What comes back on a bare socket, and how it ends."""
    reader, writer = await asyncio.open_connection(*one.running.url.removeprefix("http://").split(":"))
    authorization = one.http.headers["Authorization"]
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nAuthorization: {authorization}\r\n\r\n"
    writer.write(request.encode())
    ended: type[Exception] | None = None
    received = b""
    try:
        while chunk := await reader.read(65_536):
            received += chunk
    except ConnectionResetError:
        ended = ConnectionResetError
    writer.close()
    return received, ended


def test_a_reset_is_a_real_reset_and_a_close_is_an_orderly_one() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("own_status", Fault(K.RESET))
        assert await conversation(one, OWN) == (b"", ConnectionResetError)
        one.running.switchboard.set("own_status", Fault(K.CLOSE))
        assert await conversation(one, OWN) == (b"", None)

    run(scenario)


def test_a_truncated_body_is_shorter_than_its_content_length() -> None:
    async def scenario(one: Simulated) -> None:
        whole = (await one.http.get(OWN)).content
        one.running.switchboard.set("own_status", Fault(K.TRUNCATED))
        received, ended = await conversation(one, OWN)
        head, _, body = received.partition(b"\r\n\r\n")
        assert ended is None
        assert f"content-length: {len(whole) + 1_000}".encode() in head
        assert body == whole[: -(-len(whole) // 2)]

    run(scenario)


def test_no_fault_leaves_a_complaint_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(one: Simulated) -> None:
        for kind in FaultKind:
            if Label.OWN_STATUS in RULES[kind].labels:
                await one.log_in()
                fault = Fault(kind, seconds=0.01, megabytes=1, url="http://127.0.0.1:9/")
                one.running.switchboard.set("own_status", fault, times=1)
                try:
                    await one.http.get(OWN)
                except httpx.HTTPError:
                    continue

    async def session() -> None:
        async with simulated(simulation(FakeClock(NOON)), settings=_MANY_TOKENS) as one:
            await scenario(one)

    asyncio.run(session())
    assert caplog.records == []


def test_a_false_gzip_cannot_be_decoded() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("own_status", Fault(K.FALSE_GZIP))
        with pytest.raises(httpx.DecodingError):
            await one.http.get(OWN)

    run(scenario)


def test_a_huge_body_is_as_large_as_told_and_well_formed_and_ends_with_the_client() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.HUGE_BODY, megabytes=3))
        body = (await many(one)).content
        assert 2_900_000 < len(body) < 3_100_000
        assert json.loads(body)["status"] == "SUCCESS"
        one.running.switchboard.set("statuses", Fault(K.HUGE_BODY, megabytes=4_000))
        async with one.http.stream("GET", MANY, params={"agentIds": one.ids(1)}) as response:
            await anext(response.aiter_raw())
        one.running.switchboard.clear()
        assert (await many(one)).status_code == 200

    run(scenario)


def test_a_slow_answer_tells_what_was_true_when_it_was_asked() -> None:
    clock = FakeClock(NOON)

    async def scenario(one: Simulated) -> None:
        before = one.simulation.statuses_at(NOON)
        one.running.switchboard.set("statuses", Fault(K.SLOW, seconds=1_800))
        told = {row["agentId"]: row["onlineStatus"] for row in await rows(one, 40)}
        assert clock.slept == [1_800]
        assert told == before != one.simulation.statuses_at(clock.now_ms())

    run(scenario, clock)


def test_a_trickling_body_comes_in_pieces_that_add_up() -> None:
    clock = FakeClock(NOON)

    async def scenario(one: Simulated) -> None:
        whole = (await many(one)).content
        clock.slept.clear()
        one.running.switchboard.set("statuses", Fault(K.TRICKLE, seconds=40))
        answer = await many(one)
        assert len(answer.content) == len(whole)
        assert sum(clock.slept) == pytest.approx(40)
        assert 20 < len(clock.slept) <= 40

    run(scenario, clock)


def test_a_hang_lasts_until_it_is_cleared_even_from_another_thread() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.HANG))
        asked = asyncio.create_task(many(one))
        done, _ = await asyncio.wait({asked}, timeout=0.2)
        assert not done
        clearing = threading.Thread(target=one.running.switchboard.clear)
        clearing.start()
        assert (await asyncio.wait_for(asked, 5)).status_code == 200
        clearing.join()

    run(scenario)


def test_a_hang_of_one_request_leaves_the_others_alone_and_ends_when_the_client_gives_up() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("statuses", Fault(K.HANG), times=1)
        with pytest.raises(httpx.ReadTimeout):
            await one.http.get(MANY, params={"agentIds": "1"}, timeout=0.1)
        assert (await many(one)).status_code == 200

    run(scenario, SystemClock())


def test_the_token_endpoint_has_faults_too() -> None:
    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("token", Fault(K.RESET), times=1)
        with pytest.raises(httpx.ReadError):
            await one.http.post(TOKEN)
        assert (await one.http.post(TOKEN)).json() == {"error": "invalid_client"}

    run(scenario)
