"""The five calls of the client against a server that says what Zoho documents, and what it might say."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import UsageError
from exporter.model import AVAILABLE, BUSY, OFFLINE, ON_BREAK, ON_CALL, Kind, Status, storable
from exporter.zoho.answers import Answer, judged
from exporter.zoho.client import OverrideRow, StatusRow
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import (
    ApiError,
    ClientError,
    NotDecodable,
    Redirected,
    Refused,
    ServerError,
    WrongSchema,
)
from exporter.zoho.rows import RosterRow, UserRow, UsersPage, override_rows, status_list, status_rows, users_page
from exporter.zoho.session import Session
from tests.support.http_script import Fault, Handler, Reply, Request, ScriptedServer
from tests.support.zoho import TOKEN, answers, failure, ready, rows, soon, success, with_session

API = "/rest/json/zv/api"


def statuses(handler: Handler, folder: Path, *ids: str) -> tuple[StatusRow, ...]:
    async def ask(session: Session, server: ScriptedServer) -> tuple[StatusRow, ...]:
        return await session.client.statuses(ids, soon())

    return with_session(handler, ready(folder), ask)


def override(handler: Handler, folder: Path, *ids: str) -> tuple[OverrideRow, ...]:
    async def ask(session: Session, server: ScriptedServer) -> tuple[OverrideRow, ...]:
        return await session.client.override_statuses(ids, ON_BREAK, soon())

    return with_session(handler, ready(folder), ask)


def test_the_own_status_is_asked_for_as_documented(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> Request:
        row = await session.client.own_status(soon())
        assert row == StatusRow("7001", AVAILABLE, None)
        return server.requests[0]

    body = success(onlineStatus={"agentId": "7001", "onlineStatus": "Available"})
    request = with_session(answers(body), ready(tmp_path), ask)
    assert (request.method, request.target) == ("GET", f"{API}/agents/onlineStatus")
    assert request.headers["authorization"] == f"Zoho-oauthtoken {TOKEN}"
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"] == "zohovoice-exporter/1.2.3"


def test_the_own_status_may_be_a_list_of_one_row_but_not_of_two(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> StatusRow:
        return await session.client.own_status(soon())

    assert with_session(answers(rows(("7001", "Busy"))), ready(tmp_path), ask) == StatusRow("7001", BUSY, None)
    with pytest.raises(WrongSchema, match="the own status has 2 rows"):
        with_session(answers(rows(("7001", "Busy"), ("7002", "Busy"))), ready(tmp_path), ask)


def test_many_agents_are_asked_for_in_one_request_with_a_comma_list(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> Request:
        await session.client.statuses(("7001", "7002"), soon())
        return server.requests[0]

    request = with_session(answers(rows(("7001", "Busy"))), ready(tmp_path), ask)
    assert (request.method, request.target) == ("GET", f"{API}/v2/agents/onlineStatus?agentIds=7001,7002")


def test_rows_come_in_the_order_asked_with_errors_and_absences_told_apart(tmp_path: Path) -> None:
    body = success(
        onlineStatus=[
            {"agentId": "7003", "error": "Invalid agent."},
            {"agentId": "7002", "onlineStatus": "On Call"},
            {"agentId": "9999", "onlineStatus": "Busy"},
        ]
    )
    assert statuses(answers(body), tmp_path, "7001", "7002", "7003") == (
        StatusRow("7001", None, None),
        StatusRow("7002", ON_CALL, None),
        StatusRow("7003", None, "Invalid agent."),
    )


def test_asking_for_nobody_makes_no_request(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> None:
        assert await session.client.statuses((), soon()) == ()
        assert server.requests == []

    with_session(answers(b""), ready(tmp_path), ask)


def test_by_zuids_the_rows_are_those_of_the_answer(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> tuple[StatusRow, ...]:
        found = await session.client.statuses(("67001",), soon(), by="zuids")
        assert server.requests[0].query == {"zuids": ["67001"]}
        return found

    body = rows(("7001", "Busy"))
    assert with_session(answers(body), ready(tmp_path), ask) == (StatusRow("7001", BUSY, None),)


@pytest.mark.parametrize("ids", [("70 01",), ("7001&x=1",), ("",), ("７００１",)])
def test_an_id_that_is_not_digits_is_refused_before_a_request(ids: tuple[str, ...], tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> None:
        with pytest.raises(UsageError, match="decimal digits"):
            await session.client.statuses(ids, soon())
        assert server.requests == []

    with_session(answers(b""), ready(tmp_path), ask)


def test_one_object_is_accepted_where_a_list_is_documented(tmp_path: Path) -> None:
    body = success(onlineStatus={"agentId": "7001", "onlineStatus": "Offline"})
    assert statuses(answers(body), tmp_path, "7001") == (StatusRow("7001", OFFLINE, None),)


def test_an_id_that_arrives_as_a_number_above_2_to_the_53_keeps_all_its_digits(tmp_path: Path) -> None:
    body = b'{"code":200,"status":"SUCCESS","onlineStatus":[{"agentId":9007199254740993,"onlineStatus":"Busy"}]}'
    assert statuses(answers(body), tmp_path, "9007199254740993") == (StatusRow("9007199254740993", BUSY, None),)


def test_an_unknown_word_is_kept_as_it_came(tmp_path: Path) -> None:
    found = statuses(answers(rows(("7001", "In Training"))), tmp_path, "7001")
    assert found == (StatusRow("7001", Status(Kind.REPORTED, "In Training"), None),)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ({"onlineStatus": "Busy"}, {"onlineStatus": "Busy"}, BUSY),
        ({"onlineStatus": "Busy"}, {"onlineStatus": "Offline"}, OFFLINE),
        ({"onlineStatus": "Busy"}, {"error": "Invalid agent."}, BUSY),
        ({"error": "Invalid agent."}, {"onlineStatus": "Busy"}, BUSY),
    ],
)
def test_of_two_rows_for_one_agent_the_last_status_counts_and_a_status_before_an_error(
    first: dict[str, str], second: dict[str, str], wanted: Status, tmp_path: Path
) -> None:
    body = success(onlineStatus=[{"agentId": "7001", **first}, {"agentId": "7001", **second}])
    assert statuses(answers(body), tmp_path, "7001") == (StatusRow("7001", wanted, None),)


@pytest.mark.parametrize(
    "row",
    [{"onlineStatus": None}, {}, {"onlineStatus": ""}, {"onlineStatus": " "}, {"onlineStatus": "", "error": None}],
)
def test_a_row_without_a_word_is_an_error_row_and_never_offline(row: dict[str, object], tmp_path: Path) -> None:
    found = statuses(answers(success(onlineStatus=[{"agentId": "7001", **row}])), tmp_path, "7001")
    assert found == (StatusRow("7001", None, "Zoho gives no status for this agent"),)


def test_a_row_with_both_a_word_and_an_error_is_an_error_row(tmp_path: Path) -> None:
    row = {"agentId": "7001", "onlineStatus": "Offline", "error": "Try later"}
    assert statuses(answers(success(onlineStatus=[row])), tmp_path, "7001") == (StatusRow("7001", None, "Try later"),)


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b'"text"',
        b"null",
        b"7",
        b'{"code":"200","status":"SUCCESS"}',
        b'{"code":"200","onlineStatus":[]}',
        b'{"status":"SUCCESS","onlineStatus":[]}',
        b'{"code":true,"status":"SUCCESS","onlineStatus":[]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":"Busy"}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":null}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":["7001"]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[["agentId","7001"]]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"agentId":7001.0,"onlineStatus":"Busy"}]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"agentId":9.007199254740993e15,"onlineStatus":"Busy"}]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"agentId":true,"onlineStatus":"Busy"}]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"agentId":null,"onlineStatus":"Busy"}]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"onlineStatus":"Busy"}]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"agentId":"7001","onlineStatus":3}]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"agentId":"7001","onlineStatus":["Busy"]}]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"agentId":"7001","onlineStatus":{"a":1}}]}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":[{"agentId":"7001","error":{"a":1}}]}',
    ],
)
def test_json_of_another_shape_or_type_is_a_wrong_schema(payload: bytes, tmp_path: Path) -> None:
    with pytest.raises((WrongSchema, NotDecodable)) as caught:
        statuses(answers(payload), tmp_path, "7001")
    assert caught.value.reason == ("decode" if payload == b"null" else "schema")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"<html>Sign in</html>",
        b'{"code":"200","status":"SUCCESS","onlineStatus":[',
        b'{"code":"200","status":"SUCCESS","onlineStatus":NaN}',
        b'{"code":"200","status":"SUCCESS","onlineStatus":-Infinity}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"code":"200","status":"SUCCESS","x":' + b"9" * 10_000 + b"}",
        b'{"code":"200","status":"SUCCESS","x":"\xff\xfe"}',
        '{"code":"200"}'.encode("utf-16-le"),
        b"\x00\x01\x02",
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_what_is_no_json_is_not_decodable_however_hostile(payload: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotDecodable, match="reading the agents' status: Zoho answered HTTP 200 with"):
        statuses(answers(payload), tmp_path, "7001")


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    body = b'\xef\xbb\xbf{"code":"200","status":"success","onlineStatus":{"agentId":"7001","onlineStatus":"Busy"}}'
    assert statuses(answers(body), tmp_path, "7001") == (StatusRow("7001", BUSY, None),)


def test_an_answer_without_content_says_nothing_of_anybody(tmp_path: Path) -> None:
    with pytest.raises(NotDecodable, match="HTTP 204 with an empty body"):
        statuses(answers(b"", 204), tmp_path, "7001")


@pytest.mark.parametrize(
    ("body", "status", "kind", "text"),
    [
        (failure(), 200, Refused, r"error \(500: Invalid agent\.\)"),
        ({"code": 500, "status": "ERROR"}, 200, Refused, r"error \(500\)"),
        ({"code": "500", "status": "SUCCESS", "onlineStatus": []}, 200, Refused, r"error \(500\)"),
        ({"code": "200", "status": "ERROR"}, 200, Refused, r"error \(200\)"),
        (failure("ZVT011", "Given URL is wrong."), 404, ClientError, r"HTTP 404 \(ZVT011: Given URL is wrong\.\)"),
        (b"<html>Forbidden</html>", 403, ClientError, "HTTP 403; check"),
        (failure(), 500, ServerError, r"HTTP 500 \(500: Invalid agent\.\)"),
        (b"<html>Bad gateway</html>", 502, ServerError, "HTTP 502; it is tried again"),
        (rows(("7001", "Busy")), 503, ServerError, "HTTP 503"),
        (rows(("7001", "Busy")), 301, Redirected, "HTTP 301"),
        (b"", 302, Redirected, "HTTP 302"),
        (b"", 304, Redirected, "HTTP 304"),
    ],
)
def test_status_envelope_and_code_are_judged_together(
    body: object, status: int, kind: type[ApiError], text: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=text):
        statuses(answers(body, status), tmp_path, "7001")


def test_a_redirect_is_not_followed_and_the_other_host_hears_nothing(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> None:
        with pytest.raises(Redirected, match="redirect"):
            await session.client.own_status(soon())
        assert len(server.requests) == 1

    with_session(answers(b"", 307, Location="http://127.0.0.1:9/elsewhere"), ready(tmp_path), ask)


def test_an_error_never_repeats_the_token_that_an_answer_echoes(tmp_path: Path) -> None:
    with pytest.raises(ClientError) as caught:
        statuses(answers(failure("ZVT9", f"no such thing for Zoho-oauthtoken {TOKEN}"), 400), tmp_path, "7001")
    assert "no such thing for Zoho-oauthtoken <secret>" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_long_foreign_message_is_cut_and_made_printable(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        statuses(answers(failure("500", "a\nb\x1b[31m" + "x" * 10_000)), tmp_path, "7001")
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


words = st.sampled_from(
    ["code", "status", "onlineStatus", "overrideOnlineStatus", "users", "agentId", "error", "message", "meta", "total",
     "SUCCESS", "200", "7001", "Busy", "title", "data", "name", "userid", ""]
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)
envelopes = values | st.dictionaries(words, values).map(lambda rest: {**rest, "code": "200", "status": "SUCCESS"})


@given(st.sampled_from([200, 204, 302, 400, 401, 404, 429, 500]), envelopes, st.text(max_size=9))
def test_no_answer_whatever_its_types_leads_to_anything_but_a_value_or_an_api_error(
    status: int, value: object, header: str
) -> None:
    answer = Answer(status, {"retry-after": header}, json.dumps(value).encode())
    endpoint = Endpoint.STATUSES
    for read in (
        lambda body: status_rows(endpoint, status_list(endpoint, body), ["7001"]),
        lambda body: override_rows(endpoint, body.get("overrideOnlineStatus"), ["7001"]),
        lambda body: users_page(endpoint, body),
    ):
        try:
            body = judged(endpoint, answer, 0, rows_key="overrideOnlineStatus")
            if isinstance(body, dict):
                read(body)
        except ApiError as error:
            assert storable(str(error)) == str(error)  # noqa: PT017 - most values are no error


# --- writes ---------------------------------------------------------------------------------------------------------


def test_the_own_status_is_set_with_a_form_body(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> Request:
        await session.client.set_own_status(ON_BREAK, soon())
        return server.requests[0]

    request = with_session(answers(success(message="success")), ready(tmp_path), ask)
    assert (request.method, request.target) == ("PUT", f"{API}/agents/onlineStatus")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body == b"status=On+Break"


def test_an_own_status_that_zoho_refuses_is_an_error(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> None:
        await session.client.set_own_status(BUSY, soon())

    with pytest.raises(Refused, match="setting the own status: Zoho answered with an error"):
        with_session(answers(failure()), ready(tmp_path), ask)


@pytest.mark.parametrize("status", [ON_CALL, Status(Kind.REPORTED, "In Training"), Status(Kind.ERROR, "Available")])
def test_a_status_that_cannot_be_set_is_refused_before_a_request(status: Status, tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> None:
        with pytest.raises(UsageError, match="cannot be set: Zoho Voice lets a caller set Available, Busy, On Break"):
            await session.client.set_own_status(status, soon())
        with pytest.raises(UsageError, match="cannot be set"):
            await session.client.override_statuses(("7001",), status, soon())
        assert server.requests == []

    with_session(answers(success()), ready(tmp_path), ask)


def test_agents_are_set_with_a_form_body_and_each_has_its_own_result(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> Request:
        found = await session.client.override_statuses(("7001", "7002", "7003"), BUSY, soon())
        assert found == (
            OverrideRow("7001", None),
            OverrideRow("7002", "You don't have permission"),
            OverrideRow("7003", "Zoho's answer does not mention this agent"),
        )
        return server.requests[0]

    body = success(
        overrideOnlineStatus=[
            {"agentId": "7002", "status": "error", "message": "You don't have permission"},
            {"agentId": 7001, "status": "success"},
        ]
    )
    request = with_session(answers(body), ready(tmp_path), ask)
    assert (request.method, request.target) == ("PUT", f"{API}/agents/overrideOnlineStatus")
    assert request.form == {"agentIds": "7001,7002,7003", "status": "Busy"}


@pytest.mark.parametrize("status", [200, 400, 500])
def test_the_rows_of_an_override_are_read_whatever_its_envelope_says(status: int, tmp_path: Path) -> None:
    body = {
        "code": "500",
        "status": "ERROR",
        "overrideOnlineStatus": [{"agentId": "7001", "status": "success"}, {"agentId": "7002", "status": "error"}],
    }
    assert override(answers(body, status), tmp_path, "7001", "7002") == (
        OverrideRow("7001", None),
        OverrideRow("7002", "Zoho refused without saying why"),
    )


def test_an_override_without_rows_did_nothing_that_is_known(tmp_path: Path) -> None:
    missing = OverrideRow("7001", "Zoho's answer does not mention this agent")
    assert override(answers(success()), tmp_path, "7001") == (missing,)
    with pytest.raises(Refused):
        override(answers(failure()), tmp_path, "7001")


def test_contradicting_override_rows_count_as_refused(tmp_path: Path) -> None:
    row = {"agentId": "7001", "status": "success"}
    body = success(overrideOnlineStatus=[row, {**row, "status": "error", "message": "no"}, row])
    assert override(answers(body), tmp_path, "7001") == (OverrideRow("7001", "no"),)


# --- users ----------------------------------------------------------------------------------------------------------


def users(body: object, folder: Path) -> UsersPage:
    async def ask(session: Session, server: ScriptedServer) -> UsersPage:
        page = await session.client.users_page(50, 50, soon())
        assert server.requests[0].target == f"{API}/users?from=50&offset=50"
        return page

    return with_session(answers(body), ready(folder), ask)


def test_a_page_of_users_tells_agents_from_others(tmp_path: Path) -> None:
    body = success(
        meta={"total": "2"},
        users=[
            {"userid": "9001", "agentId": 7001, "zuid": 698000001, "name": " Ann ", "emailid": "ann@example.test",
             "onlineStatus": "On break", "departmentName": "Sales", "status": 1},
            {"userid": "9002", "agentId": None, "name": "Bob"},
            {"userid": "9003", "agentId": "--", "name": "Cy"},
            {"userid": "9004", "agentId": "7004"},
        ],
    )  # fmt: skip
    assert users(body, tmp_path) == UsersPage(
        (
            UserRow("9001", RosterRow("7001", "698000001", "Ann", "Sales", ON_BREAK)),
            UserRow("9002", None),
            UserRow("9003", None),
            UserRow("9004", RosterRow("7004", "", "", "", None)),
        ),
        2,
    )


@pytest.mark.parametrize("total", [None, "many", -1, 1.5, True, [3], "１２"])
def test_a_total_that_is_no_number_is_no_total(total: object, tmp_path: Path) -> None:
    assert users(success(meta={"total": total}, users=[]), tmp_path).total is None


@pytest.mark.parametrize("total", [180, "180", 1.8e2])
def test_a_total_is_read_leniently(total: object, tmp_path: Path) -> None:
    assert users(success(meta={"total": total}, users=[]), tmp_path).total == 180


@pytest.mark.parametrize(
    "row",
    [
        "7001",
        {"agentId": 7001.5},
        {"agentId": "7001", "name": 5},
        {"agentId": "7001", "onlineStatus": {}},
        {"agentId": "7" * 33},  # a few of that kind would make an address that no request can have
    ],
)
def test_a_user_with_wrong_types_is_a_wrong_schema(row: object, tmp_path: Path) -> None:
    with pytest.raises(WrongSchema, match="reading the roster"):
        users(success(users=[row]), tmp_path)


def test_calls_share_a_connection(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> int:
        for _ in range(3):
            await session.client.own_status(soon())
        return server.connections

    assert with_session(answers(rows(("7001", "Busy"))), ready(tmp_path), ask) == 1


def test_cookies_are_not_kept(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> bool:
        for _ in range(2):
            await session.client.own_status(soon())
        return "cookie" in server.requests[1].headers

    assert not with_session(answers(rows(("7001", "Busy")), Set_Cookie="JSESSIONID=1; Path=/"), ready(tmp_path), ask)


def test_a_call_that_is_cancelled_leaves_the_client_usable(tmp_path: Path) -> None:
    hanging = [True]

    def handle(request: Request) -> Reply | Fault:
        return Fault.HANG if hanging.pop() else Reply(rows(("7001", "Busy")))

    async def ask(session: Session, server: ScriptedServer) -> StatusRow:
        task = asyncio.create_task(session.client.own_status(soon()))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        hanging.append(False)
        return await session.client.own_status(soon())

    assert with_session(handle, ready(tmp_path), ask) == StatusRow("7001", BUSY, None)
