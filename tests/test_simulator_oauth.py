"""The simulator's token endpoint: grants, refusals as HTTP 200, limits."""

import asyncio

import pytest

from exporter.secret import MASK
from exporter.simulator.oauth import SCOPES, Caller, TokenDesk, User
from exporter.simulator.replies import Reply
from exporter.simulator.settings import DEFAULT_SERVER, ServerSettings
from tests.support.clock import FakeClock
from tests.support.simulated import OWN, TOKEN, simulated, simulation


class Client:
    """A token desk with a clock, and what a client would say to it."""

    def __init__(self, settings: ServerSettings = DEFAULT_SERVER) -> None:
        self.clock = FakeClock()
        self.desk = TokenDesk(1, self.clock, settings)
        self.parameters = {
            "client_id": self.desk.credentials.client_id,
            "client_secret": self.desk.credentials.client_secret.reveal(),
        }

    def refresh(self, **changed: str) -> Reply:
        token = self.desk.credentials.admin.reveal()
        return self.desk.answer(self.parameters | {"grant_type": "refresh_token", "refresh_token": token} | changed)

    def exchange(self, code: str) -> Reply:
        return self.desk.answer(self.parameters | {"grant_type": "authorization_code", "code": code})

    def knows(self, reply: Reply) -> Caller | None:
        return self.desk.caller(f"Zoho-oauthtoken {payload(reply)['access_token']}")


def payload(reply: Reply) -> dict[str, object]:
    assert isinstance(reply.payload, dict)
    return reply.payload


def test_a_refresh_gives_an_access_token_and_no_refresh_token() -> None:
    client = Client()
    answer = payload(client.refresh())
    assert set(answer) == {"access_token", "scope", "api_domain", "token_type", "expires_in"}
    assert answer["expires_in"] == 3600
    assert answer["token_type"] == "Bearer"
    assert answer["api_domain"] == "https://www.zohoapis.com"
    assert client.knows(client.refresh()) == Caller(User.ADMIN, frozenset(scope.lower() for scope in SCOPES))


def test_an_access_token_expires_after_its_lifetime() -> None:
    client = Client(ServerSettings(token_lifetime_s=60))
    answer = client.refresh()
    client.clock.pass_time(59.9)
    assert client.knows(answer)
    client.clock.pass_time(0.1)
    assert client.knows(answer) is None


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "1000.OTHER"}, "invalid_client"),
        ({"client_secret": "wrong"}, "invalid_client_secret"),
        ({"refresh_token": "1000.revoked"}, "invalid_code"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_are_refused_with_http_200(changed: dict[str, str], error: str) -> None:
    assert Client().refresh(**changed) == Reply(200, {"error": error})


def test_ten_access_tokens_in_ten_minutes_are_the_limit() -> None:
    client = Client()
    for _ in range(10):
        assert "access_token" in payload(client.refresh())
        client.clock.pass_time(30)
    refused = client.refresh()
    assert refused.status == 200
    assert payload(refused)["error"] == "Access Denied"
    assert payload(refused)["status"] == "failure"
    client.clock.pass_time(299)
    assert "access_token" not in payload(client.refresh())
    client.clock.pass_time(1)
    assert "access_token" in payload(client.refresh())


def test_the_limit_is_one_of_each_refresh_token() -> None:
    client = Client()
    for _ in range(11):
        client.refresh()
    supervisor = client.refresh(refresh_token=client.desk.credentials.supervisor.reveal())
    assert "access_token" in payload(supervisor)


def test_the_sixteenth_live_token_kills_the_first() -> None:
    client = Client(ServerSettings(tokens_per_window=100))
    answers = [client.refresh() for _ in range(16)]
    assert [client.knows(answer) is not None for answer in answers] == [False] + [True] * 15


def test_a_grant_code_is_good_once() -> None:
    client = Client()
    code = client.desk.new_code()
    first = payload(client.exchange(code))
    assert {"access_token", "refresh_token"} <= set(first)
    assert client.exchange(code) == Reply(200, {"error": "invalid_code"})
    assert "access_token" in payload(client.refresh(refresh_token=str(first["refresh_token"])))


def test_a_grant_code_is_good_for_three_minutes() -> None:
    client = Client()
    early, late = client.desk.new_code(), client.desk.new_code()
    client.clock.pass_time(179.9)
    assert "access_token" in payload(client.exchange(early))
    client.clock.pass_time(0.1)
    assert client.exchange(late) == Reply(200, {"error": "invalid_code"})


def test_a_wrong_client_secret_does_not_use_up_the_code() -> None:
    client = Client()
    code = client.desk.new_code()
    parameters = client.parameters | {"grant_type": "authorization_code", "code": code, "client_secret": "wrong"}
    assert client.desk.answer(parameters) == Reply(200, {"error": "invalid_client_secret"})
    assert "access_token" in payload(client.exchange(code))


def test_more_than_twenty_refresh_tokens_of_a_user_kill_the_first_with_its_access_tokens() -> None:
    client = Client()
    ready_made = client.refresh()
    for _ in range(19):
        client.exchange(client.desk.new_code())
    assert client.knows(ready_made)
    client.exchange(client.desk.new_code())
    assert client.knows(ready_made) is None
    assert client.refresh() == Reply(200, {"error": "invalid_code"})


def test_a_revoked_refresh_token_takes_its_access_tokens_with_it() -> None:
    client = Client()
    answer = client.refresh()
    assert client.desk.revoke(client.desk.credentials.admin.reveal()) == Reply(200, {"status": "success"})
    assert client.knows(answer) is None
    assert client.refresh() == Reply(200, {"error": "invalid_code"})
    assert client.desk.revoke("1000.nobody") == Reply(400, {"error": "invalid_token"})


@pytest.mark.parametrize("form", ["Bearer {}", "{}", "zoho-oauthtoken {}", "Zoho-oauthtoken  {}", "Zoho-oauthtoken"])
def test_only_the_documented_prefix_is_taken(form: str) -> None:
    client = Client()
    assert client.desk.caller(form.format(payload(client.refresh())["access_token"])) is None


def test_credentials_follow_from_the_seed_and_do_not_show_themselves() -> None:
    one, again, other = (TokenDesk(seed, FakeClock(), DEFAULT_SERVER).credentials for seed in (1, 1, 2))
    assert one == again
    assert one.admin != other.admin
    assert MASK in repr(one)
    assert one.admin.reveal() not in repr(one)


def test_parameters_of_a_refresh_may_stand_in_the_query_or_in_the_form_but_not_in_json() -> None:
    async def scenario() -> None:
        async with simulated(simulation()) as one:
            credentials = one.running.credentials
            parameters = {
                "client_id": credentials.client_id,
                "client_secret": credentials.client_secret.reveal(),
                "refresh_token": credentials.admin.reveal(),
                "grant_type": "refresh_token",
            }
            assert "access_token" in (await one.http.post(TOKEN, params=parameters)).json()
            assert "access_token" in (await one.http.post(TOKEN, data=parameters)).json()
            refused = await one.http.post(TOKEN, json=parameters)
            assert (refused.status_code, refused.json()) == (200, {"error": "invalid_client"})
            assert (await one.http.get(TOKEN, params=parameters)).status_code == 405

    asyncio.run(scenario())


def test_revoking_over_http_ends_access() -> None:
    async def scenario() -> None:
        async with simulated(simulation()) as one:
            assert (await one.http.get(OWN)).status_code == 200
            token = one.running.credentials.admin.reveal()
            answer = await one.http.post("/oauth/v2/token/revoke", params={"token": token})
            assert answer.json() == {"status": "success"}
            refused = await one.http.get(OWN)
            assert refused.status_code == 401
            assert refused.json()["code"] == "ZVT0052"

    asyncio.run(scenario())
