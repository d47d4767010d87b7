"""The web configuration in force: headers on every answer, and files that are read again when they change."""

import asyncio
import logging
import os
import threading
from pathlib import Path

import bcrypt
import pytest

from exporter.errors import UsageError
from exporter.secret import Secret
from exporter.web.config.model import RateLimit, WebConfig
from exporter.web.edge import Edge
from exporter.web.protection.security import WebSecurity
from tests.support.asgi import Answered, ask, says
from tests.support.certificates import LOCAL, authority
from tests.support.metrics import Polled
from tests.support.tls import LOOPS, run_on, watching
from tests.support.web import Running, running, with_server

OLD = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
NEW = "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n"
BAD = "http_server_config:\n  headers:\n    X-Frame-Options: maybe\n"
WORSE = "http_server_config: [\n"
AS_LONG_AS_OLD = "http_server_config:\n  headers:\n    X-XSS-Protection: 100\n"


def users(**passwords: str) -> str:
    lines = [
        f"  {name}: {bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}" for name, word in passwords.items()
    ]
    return "\n".join(["basic_auth_users:", *lines, ""])


async def until_told(told: list[bool], wanted: list[bool]) -> None:
    async with asyncio.timeout(5):
        while told != wanted:
            assert wanted[: len(told)] == told
            await asyncio.sleep(0.005)


async def frame_options(security: WebSecurity) -> str | None:
    return (await ask(security.with_headers(says("here")))).headers.get("x-frame-options")


# Headers

HEADERS = (
    ("Strict-Transport-Security", "max-age=60"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
    ("X-XSS-Protection", "1; mode=block"),
    ("Content-Security-Policy", "default-src 'none'"),
)


def without_duplicates(answer: Answered) -> bool:
    names = [name.lower() for name, _ in answer.raw_headers]
    return len(names) == len(set(names))


def test_the_configured_headers_are_on_every_answer_once_whatever_it_is() -> None:
    config = WebConfig(
        headers=HEADERS,
        users={"alice": Secret(bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode())},
        rate_limit=RateLimit(interval_s=3600, burst=6),
    )
    wanted = {name.lower(): value for name, value in HEADERS}

    async def test(server: Running) -> None:
        statuses = []
        for path, login in [
            ("/metrics", True),
            ("/", True),
            ("/no/such/page", True),
            ("/-/ready", True),
            ("/metrics", False),
            ("/config", True),
            ("/metrics", True),
        ]:
            answer = await server.client.get(path, auth=("alice", "x") if login else None)
            statuses.append(answer.status_code)
            found = [(name.decode(), value.decode()) for name, value in answer.headers.raw]
            for name, value in wanted.items():
                assert [v for n, v in found if n.lower() == name] == [value], (path, name)
        assert statuses == [200, 200, 404, 503, 401, 200, 429]

    with_server(test, security=WebSecurity(None, config))


def test_an_answer_to_what_nobody_foresaw_carries_them_too(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("nobody foresaw this")

    async def run() -> None:
        security = WebSecurity(None, WebConfig(headers=HEADERS))
        polled = Polled()
        app = security.with_headers(Edge(security.protect(broken), {}, polled.instruments.requests.answered))
        answer = await ask(app)
        assert answer.status == 500
        assert without_duplicates(answer)
        assert answer.headers["strict-transport-security"] == "max-age=60"

    asyncio.run(run())


def test_without_configured_headers_answers_are_left_alone() -> None:
    async def run() -> None:
        security = WebSecurity(None, WebConfig())
        assert (await ask(security.with_headers(says("here")))).raw_headers == (await ask(says("here"))).raw_headers

    asyncio.run(run())


def test_a_value_that_is_not_ascii_or_would_end_its_line_does_no_harm() -> None:
    async def run() -> None:
        config = WebConfig(headers=(("Content-Security-Policy", "é\r\nX-Evil: 1\0 "),))
        raw = dict((await ask(WebSecurity(None, config).with_headers(says("here")))).raw_headers)
        assert raw[b"content-security-policy"] == "é  X-Evil: 1".encode()

    asyncio.run(run())


# Rereading


def test_no_file_asks_for_nothing_and_is_never_reread() -> None:
    async def run() -> None:
        security = WebSecurity.load(None)
        assert security.config == WebConfig()
        assert security.tls is None
        assert not security.reread()
        stop = asyncio.Event()
        stop.set()
        await asyncio.wait_for(security.watch(stop), 5)

    asyncio.run(run())


def test_a_wrong_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(BAD)
    with pytest.raises(UsageError, match="'maybe'"):
        WebSecurity.load(file)


def test_rereading_puts_the_file_in_force_and_says_whether_anything_is_new(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(OLD)
    security = WebSecurity.load(file)
    assert not security.reread()
    file.write_text(NEW)
    assert security.config.headers == (("X-Frame-Options", "deny"),)
    assert security.reread()
    assert security.config.headers == (("X-Frame-Options", "sameorigin"),)
    assert not security.reread()


@pytest.mark.parametrize("text", [BAD, WORSE, ""], ids=["a wrong value", "no YAML", "gone"])
def test_a_wrong_file_leaves_what_was_in_force(tmp_path: Path, text: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text(OLD)
    security = WebSecurity.load(file)
    if text:
        file.write_text(text)
    else:
        file.unlink()
    with pytest.raises(UsageError, match=r"web\.yml"):
        security.reread()
    assert security.config.headers == (("X-Frame-Options", "deny"),)


@pytest.mark.parametrize("what", ["pipe", "directory", "loop of links", "endless file", "unreadable"])
@pytest.mark.parametrize("which", ["web.yml", "server.crt"])
def test_something_else_in_the_place_of_a_file_leaves_what_was_in_force_and_holds_up_nobody(
    tmp_path: Path, what: str, which: str
) -> None:
    certificate = authority(tmp_path).issue("server", LOCAL)
    file = tmp_path / "web.yml"
    file.write_text(f"{OLD}tls_server_config:\n  cert_file: server.crt\n  key_file: {certificate.key}\n")
    (tmp_path / "server.crt").write_bytes(certificate.certificate.read_bytes())
    security = WebSecurity.load(file)
    replaced = tmp_path / which
    replaced.unlink()
    if what == "pipe":
        os.mkfifo(replaced)
    elif what == "directory":
        replaced.mkdir()
    elif what == "loop of links":
        replaced.symlink_to(replaced)
    elif what == "endless file":
        replaced.symlink_to("/dev/zero")
    else:
        replaced.symlink_to("/proc/self/mem")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    # On a thread, so that what waits for ever fails the test and does not hold it up.
    refused: list[UsageError] = []

    def reread() -> None:
        try:
            security.reread()
        except UsageError as error:
            refused.append(error)

    reading = threading.Thread(target=reread, daemon=True)
    reading.start()
    reading.join(5)
    assert [which in str(error) for error in refused] == [True]
    assert security.config.headers == (("X-Frame-Options", "deny"),)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_an_error_that_nobody_foresaw_leaves_what_was_in_force_too() -> None:
    def broken(path: Path) -> WebConfig:
        raise ValueError("with a secret in it")

    config = WebConfig(headers=(("X-Frame-Options", "deny"),))
    security = WebSecurity(Path("web.yml"), config, broken)
    with pytest.raises(UsageError, match=r"^web\.yml cannot be read: ValueError") as refused:
        security.reread()
    assert "secret" not in str(refused.value)
    assert security.config is config


@pytest.mark.parametrize("loop", LOOPS)
def test_a_changed_file_is_in_force_without_a_restart(tmp_path: Path, loop: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text(OLD)

    async def run() -> None:
        security = WebSecurity.load(file)
        told: list[bool] = []
        with watching(security, told.append):
            for text, wanted in [(NEW, "sameorigin"), (OLD, "deny"), ("", None), (NEW, "sameorigin")]:
                told.clear()
                file.write_text(text)
                await until_told(told, [True])
                assert await frame_options(security) == wanted

    run_on(loop, run())


@pytest.mark.parametrize("loop", LOOPS)
def test_logins_follow_the_file(tmp_path: Path, loop: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text(OLD)

    async def run() -> None:
        security = WebSecurity.load(file)
        told: list[bool] = []

        async def test(server: Running) -> None:
            async def status(name: str = "", password: str = "") -> int:
                return (await server.client.get("/metrics", auth=(name, password) if name else None)).status_code

            assert await status() == 200
            with watching(security, told.append):
                file.write_text(users(alice="old"))
                await until_told(told, [True])
                assert [await status(), await status("alice", "old")] == [401, 200]
                file.write_text(users(alice="new", bob="builder"))
                await until_told(told, [True, True])
                assert [await status("alice", "old"), await status("alice", "new")] == [401, 200]
                assert await status("bob", "builder") == 200
                file.write_text(users(bob="builder"))
                await until_told(told, [True, True, True])
                assert [await status("alice", "new"), await status("bob", "builder")] == [401, 200]

        async with running(security=security) as server:
            await test(server)

    run_on(loop, run())


def test_a_file_replaced_by_renaming_is_seen_even_with_the_times_and_size_of_the_old_one(tmp_path: Path) -> None:
    file, other = tmp_path / "web.yml", tmp_path / "other.yml"
    file.write_text(OLD)
    other.write_text(AS_LONG_AS_OLD)
    assert len(AS_LONG_AS_OLD) == len(OLD)
    times = file.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))

    async def run() -> None:
        security = WebSecurity.load(file)
        told: list[bool] = []
        with watching(security, told.append):
            await asyncio.sleep(0.1)
            assert told == []
            other.replace(file)
            await until_told(told, [True])
        assert security.config.headers == (("X-XSS-Protection", "100"),)

    asyncio.run(run())


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(OLD)
    reads: list[Path] = []

    def read(path: Path) -> WebConfig:
        reads.append(path)
        return WebConfig(files=(path,))

    async def run() -> None:
        security = WebSecurity(file, WebConfig(files=(file,)), read)
        with watching(security):
            await asyncio.sleep(0.3)
        # Once, because nobody had looked at the file before it was read at the start.
        assert len(reads) == 1

    asyncio.run(run())


def test_a_file_that_is_emptied_to_be_written_anew_does_not_open_the_door(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(users(alice="old"))

    async def run() -> None:
        security = WebSecurity.load(file)
        told: list[bool] = []
        with watching(security, told.append, every_s=0.1):
            text = users(alice="new")
            for written in range(0, len(text), 4):  # a slow editor: it takes several looks
                file.write_text(text[:written])
                await asyncio.sleep(0.02)
                assert security.config.users
                assert told == []
            file.write_text(text)
            await until_told(told, [True])
            assert security.config.users

    asyncio.run(run())


def test_a_wrong_file_is_told_and_logged_once_and_tried_until_it_is_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "web.yml"
    file.write_text(OLD)

    async def run() -> None:
        security = WebSecurity.load(file)
        told: list[bool] = []
        with watching(security, told.append):
            file.write_text(BAD)
            await until_told(told, [False])
            await asyncio.sleep(0.2)
            assert told == [False]
            assert await frame_options(security) == "deny"
            file.write_text(WORSE)
            await until_told(told, [False, False])
            # Right again, though it says only what is in force: that it is right is news.
            file.write_text(OLD)
            await until_told(told, [False, False, True])

    with caplog.at_level(logging.INFO, "exporter"):
        asyncio.run(run())
    levels = [
        (record.levelname, record.name)
        for record in caplog.records
        if record.name == "exporter.web.protection.security"
    ]
    assert [level for level, _ in levels] == ["ERROR", "ERROR", "INFO"]
    assert "'maybe'" in caplog.records[0].getMessage()


def test_what_a_reload_by_hand_has_told_is_not_told_again(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(OLD)

    async def run() -> None:
        security = WebSecurity.load(file)
        told: list[bool] = []
        file.write_text(BAD)
        with pytest.raises(UsageError):
            await asyncio.to_thread(security.reread)
        with watching(security, told.append):
            await asyncio.sleep(0.1)
            assert told == []
            file.write_text(NEW)
            await until_told(told, [True])

    asyncio.run(run())


def test_watching_ends_when_it_is_told_to(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(OLD)

    async def run() -> None:
        stop = asyncio.Event()
        watch = asyncio.create_task(WebSecurity.load(file).watch(stop, every_s=3600))
        await asyncio.sleep(0.01)
        assert not watch.done()
        stop.set()
        await asyncio.wait_for(watch, 5)

    asyncio.run(run())


def test_what_makes_no_difference_upstream_but_should_be_known_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "web.yml"
    file.write_text("rate_limit:\n  interval: 1s\n")
    WebSecurity.load(file)
    assert "the web configuration file: rate_limit.burst is 0" in caplog.text
