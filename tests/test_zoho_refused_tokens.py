"""A token that Zoho refuses, in every shape that is known, and a scope that it lacks."""

from pathlib import Path

import pytest

from exporter.model import BUSY, ON_BREAK
from exporter.settings import AuthSettings
from exporter.zoho.client import OverrideRow, StatusRow
from exporter.zoho.errors import AuthFailed, ScopeMissing
from exporter.zoho.session import Session
from tests.support.http_script import Handler, Reply, Request, ScriptedServer
from tests.support.zoho import Noted, answers, failure, ready, rows, soon, with_session


def statuses(handler: Handler, folder: Path, *ids: str) -> tuple[StatusRow, ...]:
    async def ask(session: Session, server: ScriptedServer) -> tuple[StatusRow, ...]:
        return await session.client.statuses(ids, soon())

    return with_session(handler, ready(folder), ask)


def override(handler: Handler, folder: Path, *ids: str) -> tuple[OverrideRow, ...]:
    async def ask(session: Session, server: ScriptedServer) -> tuple[OverrideRow, ...]:
        return await session.client.override_statuses(ids, ON_BREAK, soon())

    return with_session(handler, ready(folder), ask)


EXPIRED: list[tuple[object, int]] = [
    (b"", 401),
    (b"<html>", 401),
    (failure("ZVT0052", "Unauthorized access."), 200),
    ({"code": "ZVT0052", "message": "Unauthorized access."}, 400),
    ({"code": "INVALID_TOKEN", "details": {}, "message": "invalid oauth token", "status": "error"}, 401),
    ({"error": {"status_code": "401", "title": "INVALID_OAUTHTOKEN", "details": [{"message": "x"}]}}, 400),
    ({"data": {"errorCode": "INVALID_OAUTHTOKEN"}}, 200),
    ({"response": {"error": {"code": 8535, "message": "INVALID_OAUTHTOKEN"}}}, 401),
]


@pytest.mark.parametrize(("body", "status"), EXPIRED)
def test_every_shape_of_a_refused_token_is_an_auth_error(body: object, status: int, tmp_path: Path) -> None:
    observer = Noted()

    async def ask(session: Session, server: ScriptedServer) -> int:
        with pytest.raises(AuthFailed, match="does not accept the access token"):
            await session.client.own_status(soon())
        return len(server.requests)

    assert with_session(answers(body, status), ready(tmp_path), ask, observer=observer) == 1
    assert observer.done == [("own_status", status)]


def test_a_missing_scope_is_named_in_both_readings_of_the_documentation(tmp_path: Path) -> None:
    body = {"code": "OAUTH_SCOPE_MISMATCH", "details": {}, "message": "Unauthorized", "status": "error"}
    with pytest.raises(ScopeMissing) as caught:
        statuses(answers(body, 401), tmp_path, "7001")
    assert "ZohoVoice.agents.READ" in str(caught.value)
    assert "ZohoVoice.sdk.READ" in str(caught.value)
    with pytest.raises(ScopeMissing) as caught:
        override(answers(body, 401), tmp_path, "7001")
    assert "ZohoVoice.agents.UPDATE (or, as another page of the documentation has it, ZohoVoice.agents.READ)" in str(
        caught.value
    )


def test_a_token_file_is_read_anew_when_its_content_changes(tmp_path: Path) -> None:
    file = tmp_path / "access"
    file.write_text("1000.old\n")
    auth = AuthSettings(access_token_file=file, token_cache=tmp_path / "token.json")

    def handle(request: Request) -> Reply:
        if request.token == "1000.new":
            return Reply(rows(("7001", "Busy")))
        file.write_text("1000.new")
        return Reply(b"", 401)

    async def ask(session: Session, server: ScriptedServer) -> list[str]:
        assert await session.client.own_status(soon()) == StatusRow("7001", BUSY, None)
        return [request.token for request in server.requests]

    assert with_session(handle, auth, ask) == ["1000.old", "1000.new"]
