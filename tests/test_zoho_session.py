"""The assembly refuses what cannot work, before any request, in a sentence that names the flag and no secret."""

import asyncio
import json
import logging
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.errors import ExporterError, UsageError
from exporter.secret import Secret
from exporter.settings import ApiSettings, AuthSettings
from exporter.zoho.endpoints import Endpoint, Origins, checked_origin
from exporter.zoho.errors import REASONS, ApiError
from exporter.zoho.observer import SilentObserver
from exporter.zoho.session import Session, open_session
from tests.support.clock import FakeClock
from tests.support.http_script import Fault, Handler, Raw, Reply, Request, ScriptedServer, scripted_server
from tests.support.zoho import (
    CLIENT_SECRET,
    REFRESH_TOKEN,
    TOKEN,
    answers,
    failure,
    ready,
    refreshing,
    rows,
    session_at,
    soon,
    with_session,
)


def opened(api: ApiSettings, auth: AuthSettings) -> None:
    async def run() -> None:
        async with open_session(api, auth, clock=SystemClock(), observer=SilentObserver(), version="1"):
            pass

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://voice.zoho.com", "https://voice.zoho.com"),
        ("https://voice.zoho.eu/", "https://voice.zoho.eu"),
        ("HTTPS://Voice.Example.test:8443", "https://voice.example.test:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_https_or_this_machine(url: str, origin: str) -> None:
    assert checked_origin("--api.url", url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "voice.zoho.com",
        "http://voice.zoho.com",
        "http://localhost.example.test",
        "http://127.0.0.1.example.test",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "https://",
        "https://voice.zoho.com/rest",
        "https://voice.zoho.com?x=1",
        "https://voice.zoho.com#x",
        "https://voice.zoho.com:port",
        "https://voice.zoho.com:99999",
        "https://[::1",
        "https://voice.zoho.com\n",
        "https://voice zoho.com",
        "https://vоice.zoho.com",
        "https://user:password@voice.zoho.com",
        "https://password@voice.zoho.com",
        "https://voice.zoho.com:password@",
        "https://voice.zoho.com\\.example.test",
        "https://voice.zoho.com;example.test",
        "https://voice%2ezoho.com",
        "https://voice..zoho.com",
        "https://-voice.zoho.com",
        "https://256.1.1.1",
        "https://1.2.3",
        "https://[fe80::1%25eth0]",
    ],
)
def test_anything_else_is_refused_by_the_flags_name_and_without_a_password(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--api\.url must be an address such as https://voice\.zoho\.com") as caught:
        checked_origin("--api.url", url)
    assert "password" not in str(caught.value).replace("user name and password", "")


def test_a_host_name_that_decodes_to_none_is_refused_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--api\.accounts-url must be an address .* names no host"):
        opened(ApiSettings(accounts_url="https://xn--a"), refreshing(tmp_path))


def test_the_two_origins_serve_their_own_endpoints() -> None:
    origins = Origins("https://voice.example.test", "https://accounts.example.test")
    assert origins.url(Endpoint.TOKEN) == "https://accounts.example.test/oauth/v2/token"
    assert origins.url(Endpoint.USERS) == "https://voice.example.test/rest/json/zv/api/users"
    # One URL, so one lock and one budget.
    assert origins.url(Endpoint.OWN_STATUS) == origins.url(Endpoint.SET_STATUS)


def test_every_reason_has_its_error_and_every_error_its_reason() -> None:
    def leaves(kind: type[ApiError]) -> set[str]:
        return {kind.reason for kind in kind.__subclasses__()}

    assert leaves(ApiError) == set(REASONS)
    assert len(REASONS) == len(set(REASONS)) == 14


@pytest.mark.parametrize(
    ("missing", "flag"),
    [("client_id", "--auth.client-id"), ("client_secret", "--auth.client-secret-file"),
     ("refresh_token", "--auth.refresh-token-file")],
)  # fmt: skip
def test_missing_credentials_are_named(missing: str, flag: str, tmp_path: Path) -> None:
    auth = replace(refreshing(tmp_path), **{missing: "" if missing == "client_id" else None})
    with pytest.raises(UsageError, match=f"no credentials for Zoho Voice: give {flag} "):
        opened(ApiSettings(), auth)


def test_without_any_credentials_all_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--auth\.client-id, --auth\.client-secret-file, --auth\.refresh-token-file"):
        opened(ApiSettings(), AuthSettings(token_cache=tmp_path / "token.json"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["1000.a b", "1000.a\nX: y", "1000.é", "", " ", "a" * 10_000])
def test_an_access_token_that_cannot_be_one_is_refused_unseen(text: str, tmp_path: Path) -> None:
    file = tmp_path / "access"
    file.write_text(text)
    auth = AuthSettings(access_token_file=file, token_cache=tmp_path / "token.json")
    with pytest.raises(UsageError) as caught:
        opened(ApiSettings(), auth)
    assert "--auth.access-token-file" in str(caught.value)
    assert "1000." not in str(caught.value)
    if text.strip():
        with pytest.raises(UsageError, match="the access token holds blanks or other characters"):
            opened(ApiSettings(), AuthSettings(access_token=Secret(text), token_cache=tmp_path / "token.json"))


def test_an_access_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    auth = AuthSettings(access_token_file=tmp_path / "none", token_cache=tmp_path / "token.json")
    with pytest.raises(UsageError, match=r"--auth\.access-token-file '.*none' cannot be read"):
        opened(ApiSettings(), auth)


@pytest.mark.parametrize("proxy", ["socks5://host", "proxy:3128", "http://", "http://[", "//user:password@host"])
def test_a_proxy_that_cannot_be_one_is_refused_unseen(proxy: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--api\.proxy must be an address") as caught:
        opened(ApiSettings(proxy=Secret(proxy)), ready(tmp_path))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "password" not in str(caught.value)


def test_a_ca_file_must_hold_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    with pytest.raises(UsageError, match=r"--api\.ca-file '.*ca\.pem' holds no certificate in PEM form"):
        opened(ApiSettings(ca_file=tmp_path / "ca.pem"), ready(tmp_path))
    with pytest.raises(UsageError, match=r"--api\.ca-file '.*none\.pem' cannot be read"):
        opened(ApiSettings(ca_file=tmp_path / "none.pem"), ready(tmp_path))


def test_a_token_cache_that_cannot_be_written_is_a_clear_error_at_start(tmp_path: Path) -> None:
    auth = replace(ready(tmp_path), token_cache=tmp_path / "missing" / "token.json")
    with pytest.raises(ExporterError, match=r"token\.json' is not possible .*--auth\.token-cache"):
        opened(ApiSettings(), auth)


def test_the_token_cache_is_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "token.json").touch(mode=0o644)
    (tmp_path / "token.json").write_text(json.dumps({"version": 1, "fingerprint": "", "refreshes": [], "locks": {}}))
    opened(ApiSettings(), ready(tmp_path))
    assert stat.S_IMODE((tmp_path / "token.json").stat().st_mode) == 0o600


def echo(request: Request) -> Reply:
    """Says everything back that it was told."""
    told = f"{dict(request.headers)} {request.body.decode()} {request.form}"
    return Reply({"code": told[:50], "message": told, "error": told, "status": "ERROR"}, 400)


@pytest.mark.parametrize(
    "handler",
    [echo, answers(b"", 401), answers(failure(), 500), answers({"error": "invalid_code"}), lambda _: Fault.RESET,
     lambda _: Raw(b"HTTP/1.1 200 OK\r\n\r\n"), answers(b"", 307, Location=f"http://127.0.0.1:9/{TOKEN}")],
)  # fmt: skip
@pytest.mark.parametrize("credentials", [ready, refreshing])
def test_no_failure_shows_a_secret_in_text_traceback_or_log(
    handler: Handler, credentials: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()

    async def ask(session: Session, server: ScriptedServer) -> None:
        try:
            await session.sampler.sample(("7001",), soon(clock))
        except ApiError:
            logging.getLogger("test").exception("failed")

    with caplog.at_level(logging.DEBUG, "exporter"), caplog.at_level(logging.DEBUG, "httpx"):
        with_session(handler, (ready if credentials is ready else refreshing)(tmp_path), ask, clock=clock)
    shown = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "failed" in shown
    for secret in (TOKEN, CLIENT_SECRET, REFRESH_TOKEN):
        assert secret not in shown


def test_closing_a_session_ends_a_refresh_that_hangs(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda _: Fault.HANG) as server, session_at(server, refreshing(tmp_path)) as session:
            task = asyncio.create_task(session.client.own_status(soon()))
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(asyncio.wait_for(run(), 3))


def test_a_session_by_itself_asks_nothing(tmp_path: Path) -> None:
    async def ask(session: Session, server: ScriptedServer) -> None:
        assert server.requests == []

    with_session(answers(rows()), ready(tmp_path), ask)
