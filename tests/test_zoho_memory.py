"""The file that survives restarts: what it keeps, for whom, and that it is never fatal once the program runs."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.errors import ExporterError
from exporter.secret import Secret
from exporter.zoho.memory import AccessToken, Memory

NOW = 1_700_000_000_000
URL = "https://voice.example.test/x"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token.json"


def token(text: str = "1000.t") -> AccessToken:
    return AccessToken(Secret(text), NOW, NOW + 3_600_000)


def test_everything_is_there_after_a_restart(path: Path) -> None:
    memory = Memory.open(path, "mine")
    memory.remember_token(token())
    memory.remember_refresh(NOW - 1_000)
    memory.remember_refresh(NOW)
    memory.lock(URL, NOW + 5_000, NOW)
    again = Memory.open(path, "mine")
    assert again.token == token()
    assert again.recent_refreshes(NOW) == (NOW - 1_000, NOW)
    assert again.locked_until(URL, NOW) == NOW + 5_000


def test_the_file_is_for_its_owner_only_and_nothing_else_is_left_behind(path: Path) -> None:
    memory = Memory.open(path, "mine")
    memory.remember_token(token())
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_other_credentials_forget_the_token_but_not_the_locks(path: Path) -> None:
    memory = Memory.open(path, "mine")
    memory.remember_token(token())
    memory.remember_refresh(NOW)
    memory.lock(URL, NOW + 5_000, NOW)
    other = Memory.open(path, "other")
    assert other.token is None
    assert other.recent_refreshes(NOW) == ()
    assert other.locked_until(URL, NOW) == NOW + 5_000


def test_a_command_with_a_ready_token_leaves_the_kept_one_alone(path: Path) -> None:
    Memory.open(path, "mine").remember_token(token())
    Memory.open(path, None).lock(URL, NOW + 5_000, NOW)
    assert Memory.open(path, "mine").token == token()


def test_two_processes_see_what_the_other_wrote(path: Path) -> None:
    one, two = Memory.open(path, "mine"), Memory.open(path, "mine")
    one.remember_refresh(NOW)
    two.lock(URL, NOW + 5_000, NOW)
    two.remember_refresh(NOW + 1)
    one.remember_token(token("1000.new"))
    two.reload()
    assert two.token == token("1000.new")
    assert two.recent_refreshes(NOW) == (NOW, NOW + 1)
    one.reload()
    assert one.locked_until(URL, NOW) == NOW + 5_000


def test_a_refresh_counts_for_ten_minutes_on_both_sides_of_a_clock_that_was_set_back(path: Path) -> None:
    memory = Memory.open(path, "mine")
    memory.remember_refresh(NOW)
    assert memory.recent_refreshes(NOW + 599_999) == (NOW,)
    assert memory.recent_refreshes(NOW + 600_000) == ()
    assert memory.recent_refreshes(NOW - 599_999) == (NOW,)
    assert memory.recent_refreshes(NOW - 600_000) == ()


def test_a_refresh_that_was_never_sent_is_taken_back(path: Path) -> None:
    memory = Memory.open(path, "mine")
    memory.remember_refresh(NOW)
    memory.remember_refresh(NOW)
    memory.forget_refresh(NOW)
    assert Memory.open(path, "mine").recent_refreshes(NOW) == (NOW,)


def test_a_lock_holds_until_its_instant_and_a_shorter_one_does_not_shorten_it(path: Path) -> None:
    memory = Memory.open(path, "mine")
    assert memory.locked_until(URL, NOW) is None
    memory.lock(URL, NOW + 10_000, NOW)
    memory.lock(URL, NOW + 5_000, NOW)
    assert memory.locked_until(URL, NOW + 9_999) == NOW + 10_000
    assert memory.locked_until(URL, NOW + 10_000) is None
    assert memory.locked_until("https://voice.example.test/y", NOW) is None


def test_a_lock_set_by_a_clock_that_ran_ahead_does_not_hold(path: Path) -> None:
    memory = Memory.open(path, "mine")
    memory.lock(URL, NOW + 86_400_000, NOW)
    assert memory.locked_until(URL, NOW) == NOW + 86_400_000
    assert memory.locked_until(URL, NOW - 1) is None


def test_locks_that_are_over_are_dropped_from_the_file(path: Path) -> None:
    memory = Memory.open(path, "mine")
    memory.lock("https://old.example.test", NOW, NOW - 1)
    memory.lock(URL, NOW + 5_000, NOW)
    assert json.loads(path.read_text())["locks"] == {URL: NOW + 5_000}


GOOD = {"version": 1, "fingerprint": "mine", "token": None, "refreshes": [], "locks": {}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b" " * 1_000_001,
        json.dumps({**GOOD, "version": 2}).encode(),
        json.dumps({**GOOD, "refreshes": ["1"]}).encode(),
        json.dumps({**GOOD, "locks": {"u": 1.5}}).encode(),
        json.dumps({**GOOD, "locks": []}).encode(),
        json.dumps({**GOOD, "fingerprint": None}).encode(),
        json.dumps({**GOOD, "token": {"access_token": "a\nb", "minted_at": 1, "expires_at": 2}}).encode(),
        json.dumps({**GOOD, "token": {"access_token": "ab", "minted_at": True, "expires_at": 2}}).encode(),
        json.dumps({**GOOD, "token": "ab"}).encode(),
    ],
    ids=lambda content: repr(content[:30]),
)
def test_a_damaged_file_is_set_aside_with_a_line_of_log(
    content: bytes, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert Memory.open(path, "mine").token is None
    assert path.with_name("token.json.damaged").read_bytes() == content
    assert [record.getMessage() for record in caplog.records] == ["token cache was damaged and is set aside"]
    assert Memory.open(path, "mine").token is None


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_content_stops_the_start(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    Memory.open(path, "mine")


def test_what_damages_the_file_while_running_changes_nothing(path: Path) -> None:
    memory = Memory.open(path, "mine")
    memory.remember_token(token())
    path.write_bytes(b"{")
    memory.reload()
    assert memory.token == token()
    path.unlink()
    memory.remember_refresh(NOW)
    assert Memory.open(path, "mine").token == token()


def test_a_path_that_cannot_be_written_is_a_clear_error_at_start(tmp_path: Path) -> None:
    with pytest.raises(ExporterError, match=r"No such file or directory.*--auth\.token-cache"):
        Memory.open(tmp_path / "no" / "token.json", "mine")
    with pytest.raises(ExporterError, match=r"Is a directory.*--auth\.token-cache"):
        Memory.open(tmp_path, "mine")


def test_a_disk_that_cannot_be_written_later_is_one_line_of_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = path.parent / "folder"
    folder.mkdir()
    memory = Memory.open(folder / "token.json", "mine")
    (folder / "token.json").unlink()
    folder.rmdir()
    with caplog.at_level(logging.WARNING):
        memory.remember_token(token())
        memory.lock(URL, NOW + 5_000, NOW)
        folder.mkdir()
        memory.remember_refresh(NOW)
    assert [record.getMessage() for record in caplog.records] == ["token cache cannot be written"]
    assert "1000.t" not in caplog.text
    again = Memory.open(folder / "token.json", "mine")
    assert again.token == token()
    assert again.locked_until(URL, NOW) == NOW + 5_000
