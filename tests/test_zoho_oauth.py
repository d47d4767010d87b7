"""Access tokens: made, kept, shared, replaced once, and never asked for too often."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.zoho.errors import (
    ApiError,
    AuthFailed,
    ConnectFailed,
    RateLimited,
    RefreshRefused,
    RequestTimeout,
    ScopeMissing,
    ServerError,
)
from exporter.zoho.session import Session
from tests.support.clock import FakeClock
from tests.support.http_script import Fault, Handler, Reply, Request, ScriptedServer, scripted_server
from tests.support.zoho import (
    CLIENT_SECRET,
    REFRESH_TOKEN,
    Noted,
    refreshing,
    rows,
    session_at,
    soon,
    with_session,
)

NOW = 1_700_000_000_000
Behaviour = Reply | Fault


class Zoho:
    """A token endpoint that numbers its tokens, and an API that accepts those that are not in `dead`."""

    def __init__(self) -> None:
        self.refresh: Callable[[], Behaviour] = self.mint
        self.minted = 0
        self.dead: set[str] = set()
        self.refusal = Reply(b"", 401)

    def mint(self) -> Reply:
        self.minted += 1
        return Reply({"access_token": f"1000.{self.minted}", "expires_in": 3600, "token_type": "Bearer"})

    def __call__(self, request: Request) -> Behaviour:
        if request.path == "/oauth/v2/token":
            return self.refresh()
        return self.refusal if request.token in self.dead else Reply(rows(("7001", "Busy")))


def denied() -> Reply:
    return Reply({"error": "Access Denied", "error_description": "too many requests", "status": "failure"}, 400)


def run(
    zoho: Handler, folder: Path, action: object, clock: FakeClock | None = None, observer: Noted | None = None
) -> None:
    with_session(zoho, refreshing(folder), action, clock=clock or FakeClock(NOW), observer=observer)  # type: ignore[arg-type]  # an action of a test


async def ask(session: Session, clock: FakeClock) -> None:
    await session.client.own_status(soon(clock))


def tokens(server: ScriptedServer) -> list[str]:
    """The tokens that the API was asked with."""
    return [request.token for request in server.asked("/onlineStatus")]


def refreshes(server: ScriptedServer) -> int:
    return len(server.asked("/token"))


def test_a_refresh_sends_its_secrets_in_the_body_only(tmp_path: Path) -> None:
    clock, observer = FakeClock(NOW), Noted()

    async def check(session: Session, server: ScriptedServer) -> None:
        await ask(session, clock)
        request = server.asked("/token")[0]
        assert (request.method, request.target) == ("POST", "/oauth/v2/token")
        assert "authorization" not in request.headers
        assert request.form == {
            "grant_type": "refresh_token",
            "client_id": "1000.client",
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
        }

    run(Zoho(), tmp_path, check, clock, observer)
    assert observer.refreshed == [NOW + 3_600_000]


def test_a_token_is_used_until_two_minutes_before_its_end(tmp_path: Path) -> None:
    clock = FakeClock(NOW)

    async def check(session: Session, server: ScriptedServer) -> None:
        await ask(session, clock)
        clock.pass_time(3_600 - 121)
        await ask(session, clock)
        clock.pass_time(2)
        await ask(session, clock)
        assert tokens(server) == ["1000.1", "1000.1", "1000.2"]

    run(Zoho(), tmp_path, check, clock)


def test_a_short_lived_token_is_used_for_three_quarters_of_its_life(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    zoho.refresh = lambda: Reply({"access_token": "1000.s", "expires_in": "60"})

    async def check(session: Session, server: ScriptedServer) -> None:
        await ask(session, clock)
        clock.pass_time(44)
        await ask(session, clock)
        assert refreshes(server) == 1
        clock.pass_time(2)
        await ask(session, clock)
        assert refreshes(server) == 2

    run(zoho, tmp_path, check, clock)


def test_a_token_outlives_a_restart(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()

    async def check() -> None:
        async with scripted_server(zoho) as server:
            for _ in range(3):
                async with session_at(server, refreshing(tmp_path), clock) as session:
                    await ask(session, clock)
            assert tokens(server) == ["1000.1"] * 3
            assert refreshes(server) == 1

    asyncio.run(check())


def test_many_callers_share_one_refresh(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    zoho.refresh = lambda: Reply(zoho.mint().body, delay_s=0.1)

    async def check(session: Session, server: ScriptedServer) -> None:
        await asyncio.gather(*(ask(session, clock) for _ in range(8)))
        assert refreshes(server) == 1
        zoho.dead.add("1000.1")
        await asyncio.gather(*(ask(session, clock) for _ in range(8)))
        assert refreshes(server) == 2

    run(zoho, tmp_path, check, clock)


def test_a_caller_that_is_cancelled_does_not_cancel_the_refresh_of_others(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    zoho.refresh = lambda: Reply(zoho.mint().body, delay_s=0.2)

    async def check(session: Session, server: ScriptedServer) -> None:
        first = asyncio.create_task(ask(session, clock))
        second = asyncio.create_task(ask(session, clock))
        while not server.requests:
            await asyncio.sleep(0.01)
        first.cancel()
        await second
        assert refreshes(server) == 1

    run(zoho, tmp_path, check, clock)


def test_a_caller_waits_for_a_refresh_until_its_deadline_only(tmp_path: Path) -> None:
    clock, zoho = SystemClock(), Zoho()
    zoho.refresh = lambda: Reply(zoho.mint().body, delay_s=0.5)

    async def check(session: Session, server: ScriptedServer) -> None:
        with pytest.raises(RequestTimeout, match="no answer in time"):
            await session.client.own_status(clock.monotonic() + 0.1)
        await session.client.own_status(clock.monotonic() + 5)
        assert refreshes(server) == 1

    with_session(zoho, refreshing(tmp_path), check)


# --- a token that is refused ----------------------------------------------------------------------------------------


def test_a_refused_token_is_replaced_once_and_the_request_repeated_once(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()

    async def check(session: Session, server: ScriptedServer) -> None:
        await ask(session, clock)
        zoho.dead.add("1000.1")
        await ask(session, clock)
        assert tokens(server) == ["1000.1", "1000.1", "1000.2"]
        assert refreshes(server) == 2

    run(zoho, tmp_path, check, clock)


def test_a_service_that_refuses_every_token_makes_no_refresh_loop_and_is_believed_when_it_relents(
    tmp_path: Path,
) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    zoho.dead = {f"1000.{number}" for number in range(100)}

    async def check(session: Session, server: ScriptedServer) -> None:
        for _ in range(20):
            with pytest.raises(AuthFailed, match="does not accept the access token"):
                await ask(session, clock)
            clock.pass_time(2)
        # The first was never accepted, so another would fare no better: each poll tries it once.
        assert refreshes(server) == 1
        assert tokens(server) == ["1000.1"] * 20
        zoho.dead.clear()
        await ask(session, clock)
        assert refreshes(server) == 1

    run(zoho, tmp_path, check, clock)


def test_a_new_token_that_stays_refused_is_replaced_after_one_minute_then_two_and_so_on(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    zoho.dead = {f"1000.{number}" for number in range(100)}
    at: list[int] = []
    zoho.refresh = lambda: (at.append((clock.now_ms() - NOW) // 1_000), zoho.mint())[1]

    async def check(session: Session, server: ScriptedServer) -> None:
        for _ in range(600):
            with pytest.raises(AuthFailed):
                await ask(session, clock)
            clock.pass_time(4)

    run(zoho, tmp_path, check, clock)
    assert at == [0, 60, 180, 420, 900, 1500, 2100]


def test_a_missing_scope_makes_no_refresh(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    zoho.dead = {"1000.1"}
    zoho.refusal = Reply({"code": "OAUTH_SCOPE_MISMATCH", "message": "Unauthorized", "status": "error"}, 401)

    async def check(session: Session, server: ScriptedServer) -> None:
        for _ in range(5):
            with pytest.raises(ScopeMissing):
                await ask(session, clock)
        assert refreshes(server) == 1

    run(zoho, tmp_path, check, clock)


# --- a refresh that fails -------------------------------------------------------------------------------------------


def refresh_times(
    refresh: Callable[[], Behaviour], folder: Path, seconds: int, kinds: type[ApiError] | tuple[type[ApiError], ...]
) -> list[int]:
    """After how many seconds a refresh was asked for, with a call every second."""
    clock, zoho, at = FakeClock(NOW), Zoho(), []

    def noted() -> Behaviour:
        at.append((clock.now_ms() - NOW) // 1_000)
        return refresh()

    zoho.refresh = noted

    async def check(session: Session, server: ScriptedServer) -> None:
        for _ in range(seconds):
            with pytest.raises(kinds):
                await ask(session, clock)
            clock.pass_time(1)
        assert server.asked("/onlineStatus") == []

    run(zoho, folder, check, clock)
    return at


def test_refused_credentials_are_tried_again_after_one_minute_doubling_to_ten(tmp_path: Path) -> None:
    def refused() -> Reply:
        return Reply({"error": "invalid_code"})

    times = refresh_times(refused, tmp_path, 3_000, RefreshRefused)
    assert times == [0, 60, 180, 420, 900, 1500, 2100, 2700]


def test_a_failing_token_endpoint_is_asked_at_most_five_times_in_ten_minutes(tmp_path: Path) -> None:
    times = refresh_times(lambda: Reply(b"", 500), tmp_path, 1_000, (ServerError, RateLimited))
    assert times == [0, 5, 15, 35, 75, 600, 760]
    for index, at in enumerate(times[5:]):
        assert at - times[index] >= 600


def test_denied_access_locks_the_token_endpoint_for_ten_minutes(tmp_path: Path) -> None:
    assert refresh_times(denied, tmp_path, 1_300, RateLimited) == [0, 600, 1200]


def test_five_refreshes_in_ten_minutes_are_the_most_over_restarts_too(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    zoho.refresh = lambda: Reply({"access_token": f"1000.{zoho.mint() and zoho.minted}", "expires_in": 1})

    async def check() -> None:
        async with scripted_server(zoho) as server:
            for _ in range(5):
                async with session_at(server, refreshing(tmp_path), clock) as session:
                    await ask(session, clock)
                clock.pass_time(10)
            for _ in range(15):
                async with session_at(server, refreshing(tmp_path), clock) as session:
                    with pytest.raises(RateLimited, match="5 were asked for in ten minutes") as caught:
                        await ask(session, clock)
                    assert caught.value.until_ms == NOW + 600_000
                clock.pass_time(10)
            assert refreshes(server) == 5
            clock.pass_time(400)
            async with session_at(server, refreshing(tmp_path), clock) as session:
                await ask(session, clock)
            assert refreshes(server) == 6

    asyncio.run(check())


def test_a_token_that_is_still_valid_is_used_on_while_no_new_one_can_be_had(tmp_path: Path) -> None:
    clock, zoho, observer = FakeClock(NOW), Zoho(), Noted()

    async def check(session: Session, server: ScriptedServer) -> None:
        await ask(session, clock)
        zoho.refresh = denied
        clock.pass_time(3_600 - 100)
        await ask(session, clock)
        await ask(session, clock)
        assert tokens(server) == ["1000.1"] * 3
        assert refreshes(server) == 2
        clock.pass_time(101)
        with pytest.raises(RateLimited):
            await ask(session, clock)
        assert tokens(server) == ["1000.1"] * 3

    run(zoho, tmp_path, check, clock, observer)
    assert observer.refresh_failures == ["rate_limited"]
    assert observer.limited == [("token", NOW + 3_500_000 + 600_000)]


def test_a_token_that_was_refused_is_not_used_on(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()

    async def check(session: Session, server: ScriptedServer) -> None:
        await ask(session, clock)
        zoho.dead.add("1000.1")
        zoho.refresh = lambda: Reply({"error": "invalid_code"})
        for _ in range(3):
            with pytest.raises(RefreshRefused, match="invalid_code"):
                await ask(session, clock)
        assert tokens(server) == ["1000.1"] * 2

    run(zoho, tmp_path, check, clock)


def test_a_refresh_that_cannot_have_reached_zoho_is_not_counted(tmp_path: Path) -> None:
    clock = FakeClock(NOW)

    async def check() -> None:
        async with scripted_server(Zoho()) as server:
            pass
        async with session_at(server, refreshing(tmp_path), clock) as session:
            for _ in range(50):
                with pytest.raises(ConnectFailed):
                    await ask(session, clock)
                clock.pass_time(10)
            assert session.memory.recent_refreshes(clock.now_ms()) == ()

    asyncio.run(check())


def test_a_refresh_is_noted_before_it_is_sent(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    noted: list[object] = []

    def look() -> Reply:
        noted.extend(json.loads((tmp_path / "token.json").read_text())["refreshes"])
        return zoho.mint()

    zoho.refresh = look

    async def check(session: Session, server: ScriptedServer) -> None:
        await ask(session, clock)

    run(zoho, tmp_path, check, clock)
    assert noted == [NOW]


def test_a_token_that_another_process_has_made_is_used(tmp_path: Path) -> None:
    clock, zoho = FakeClock(NOW), Zoho()

    async def check() -> None:
        async with (
            scripted_server(zoho) as server,
            session_at(server, refreshing(tmp_path), clock) as one,
            session_at(server, refreshing(tmp_path), clock) as two,
        ):
            await ask(one, clock)
            await ask(two, clock)
            assert refreshes(server) == 1

    asyncio.run(check())


def test_the_log_tells_the_beginning_of_a_failure_and_its_end_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, zoho = FakeClock(NOW), Zoho()
    zoho.refresh = lambda: Reply(b"", 500)

    async def check(session: Session, server: ScriptedServer) -> None:
        for _ in range(3):
            with pytest.raises(ServerError):
                await ask(session, clock)
            clock.pass_time(30)
        zoho.refresh = zoho.mint
        await ask(session, clock)

    with caplog.at_level(logging.INFO, "exporter"):
        run(zoho, tmp_path, check, clock)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "access token not refreshed"),
        ("INFO", "access token refreshed"),
    ]
