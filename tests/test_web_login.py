"""`basic_auth_users` of the web configuration file: who gets in, what it costs, and what an onlooker can learn."""

import asyncio
import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import bcrypt
import hypothesis.strategies as st
import pytest
from hypothesis import given

from exporter.secret import Secret
from exporter.web.config.model import RateLimit, WebConfig
from exporter.web.protection.login import MOST_WAITING, MOST_WAITING_PER_CLIENT, Check, Login, Remembered, credentials
from exporter.web.protection.passwords import Accounts, matches
from exporter.web.protection.security import WebSecurity
from tests.support.asgi import Answered, ask, says
from tests.support.serving import answers
from tests.support.web import Running, raw, with_server

COST = 4
"""The cheapest there is: 2 ms."""


def hashed(password: bytes, cost: int = COST) -> Secret:
    return Secret(bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode())


def login(name: str | bytes, password: str | bytes) -> tuple[tuple[bytes, bytes], ...]:
    name, password = (text.encode() if isinstance(text, str) else text for text in (name, password))
    return ((b"authorization", b"Basic " + base64.b64encode(name + b":" + password)),)


def behind_login(users: Mapping[str, Secret], check: Check = matches) -> Login:
    accounts = Accounts(users)
    return Login(says("in"), lambda: accounts, check=check)


def asked(app: Login, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answered:
    return asyncio.run(ask(app, headers=headers))


class CountingCheck:
    """The true comparison, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Secret, bytes]] = []
        self.most_at_once = 0
        self._now = 0

    def __call__(self, secret: Secret, password: bytes) -> bool:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        self.asked.append((secret, password))
        try:
            return matches(secret, password)
        finally:
            self._now -= 1


class HeldCheck:
    """A comparison that takes until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self._let_go = threading.Event()

    def __call__(self, secret: Secret, password: bytes) -> bool:
        self.begun += 1
        assert self._let_go.wait(10)
        return password == b"right"

    @contextmanager
    def holding(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._let_go.set()

    def let_go(self) -> None:
        self._let_go.set()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


# Who gets in


def test_the_right_name_and_password_get_in_and_nothing_else_does() -> None:
    app = behind_login({"alice": hashed(b"wonderland"), "bob": hashed(b"builder")})
    assert asked(app, login("alice", "wonderland")).text == "in"
    assert asked(app, login("bob", "builder")).text == "in"
    for name, password in [
        ("alice", "builder"),
        ("bob", "wonderland"),
        ("Alice", "wonderland"),
        ("alice", "wonderland "),
        ("alice", ""),
        ("", ""),
        ("carol", "wonderland"),
    ]:
        assert asked(app, login(name, password)).status == 401


def test_without_users_nobody_is_asked() -> None:
    assert asked(Login(says("in"), lambda: None)).text == "in"


def test_a_refusal_says_what_is_needed_as_plain_text() -> None:
    refused = asked(behind_login({"alice": hashed(b"x")}))
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == "Basic"
    assert refused.headers["content-type"] == "text/plain; charset=utf-8"
    assert refused.text == "This needs a user name and a password of the web configuration file.\n"


def test_every_path_asks_for_a_login_and_refusals_are_counted() -> None:
    async def test(server: Running) -> None:
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/config", "/api/v1/agents", "/no/such/page"):
            assert (await server.get(path)).status_code == 401, path
            assert (await server.client.get(path, auth=("alice", "x"))).status_code != 401, path
        refused = server.polled.by("handler", "zohovoice_exporter_http_requests_total", code="401")
        assert refused["metrics"] == 1

    with_server(test, security=WebSecurity(None, WebConfig(users={"alice": hashed(b"x")})))


def test_options_for_the_whole_server_bypass_nothing() -> None:
    config = WebConfig(
        users={"alice": hashed(b"x")}, headers=(("X-Frame-Options", "deny"),), rate_limit=RateLimit(3600, 2)
    )
    asking = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"

    async def test(server: Running) -> None:
        given = b"%b: %b\r\n" % login("alice", "x")[0]
        for field, status in ((b"", 401), (given, 204), (given, 429)):
            ((code, headers, body),) = answers(await raw(server.port, asking + field + b"\r\n"))
            assert (code, headers["x-frame-options"]) == (status, "deny")
            if status == 204:
                assert (headers["allow"], body) == ("GET, HEAD", b"")
        for status in (401, 204, 429):
            assert server.polled.by("handler", "zohovoice_exporter_http_requests_total", code=str(status))["other"] == 1

    with_server(test, security=WebSecurity(None, config))


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ünïcode", "pässwörd"),
        ("利用者", "秘密の言葉"),
        ("alice", "with:colons::in:it"),
        ("alice", ""),
        ("alice", " spaces around "),
        ("", "nameless"),
        ("alice", "🔑" * 18),  # 72 bytes
        ("alice", "nul\0inside"),
        ("alice", "\0"),
    ],
)
def test_names_and_passwords_are_bytes_of_any_kind(name: str, password: str) -> None:
    app = behind_login({name: hashed(password.encode())})
    assert asked(app, login(name, password)).status == 200
    assert asked(app, login(name, password + "x") if len(password.encode()) < 72 else login(name, "x")).status == 401


def test_what_is_not_unicode_is_compared_as_the_bytes_that_came() -> None:
    app = behind_login({"alice": hashed(b"p\xe4ssword")})
    assert asked(app, login("alice", b"p\xe4ssword")).status == 200
    assert asked(app, login("alice", "pässword")).status == 401
    assert asked(app, login(b"al\xefce", b"p\xe4ssword")).status == 401


def test_what_follows_the_72nd_byte_does_not_count_as_in_go() -> None:
    """CompareHashAndPassword takes 18 words of 4 bytes from the password; only making such a hash is refused."""
    app = behind_login({"alice": hashed(b"x" * 72)})
    for length, status in [(71, 401), (72, 200), (73, 200), (5000, 200)]:
        assert asked(app, login("alice", b"x" * length)).status == status
    assert asked(app, login("alice", b"x" * 71 + b"y" + b"x" * 10)).status == 401


def test_a_nul_byte_does_not_end_a_password() -> None:
    app = behind_login({"alice": hashed(b"secret")})
    assert asked(app, login("alice", b"secret\0more")).status == 401


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic  YWxpY2U6eA==",
        b"Bearer YWxpY2U6eA==",
        b"BasicYWxpY2U6eA==",
        b"Basic YWxpY2U6eA",  # no padding
        b"Basic YWxpY2U6eA=",
        b"Basic YWxpY2U6eA===",
        b"Basic YWxpY2U6eA==YWxpY2U6eA==",
        b"Basic YWxp Y2U6eA==",
        b"Basic YWxpY2U6eA==, Basic YWxpY2U6eA==",
        b"Basic YWxpY2V4",  # "alicex": no colon
        b"Basic alice:x",
        b"Basic \xff\xfe\x00",
        b'Digest username="alice"',
    ],
)
def test_malformed_fields_are_no_login(field: bytes) -> None:
    app = behind_login({"alice": hashed(b"x")})
    assert asked(app, login("alice", "x")).status == 200
    assert asked(app, ((b"authorization", field),)).status == 401


def test_the_scheme_is_read_in_any_case_and_two_fields_are_none() -> None:
    app = behind_login({"alice": hashed(b"x")})
    assert asked(app, ((b"authorization", b"bAsIc YWxpY2U6eA=="),)).status == 200
    assert asked(app, login("alice", "x") * 2).status == 401


@given(st.binary(max_size=40))
def test_no_field_is_an_error(field: bytes) -> None:
    credentials({"headers": [(b"authorization", field)]})
    credentials({"headers": [(b"authorization", b"Basic " + field)]})


# What a hash may look like. bcrypt's own example, and variants of it that Go takes for the same.

EXAMPLE = "$2a$04$dJjqtVteDX5Y1grfMa2uMetiCvmxSBTcubb91zDVjuYMz.h02l8tC"
"""Of the password `a NUL b`, three bytes."""


@pytest.mark.parametrize("version", ["2", "2a", "2b", "2x", "2y", "2z", "1a"])
def test_the_version_of_a_hash_means_nothing(version: str) -> None:
    assert matches(Secret(EXAMPLE.replace("2a", version, 1)), b"a\0b")
    assert not matches(Secret(EXAMPLE.replace("2a", version, 1)), b"a")


def test_the_last_bits_of_a_salt_mean_nothing() -> None:
    # 22 characters are 132 bits, of which the salt is 128. The last character is `e`, number 32 of the alphabet, whose
    # last four bits are 0; `f` and `t` are the numbers 33 and 47.
    assert EXAMPLE[28] == "e"
    for last in "eft":
        assert matches(Secret(EXAMPLE[:28] + last + EXAMPLE[29:]), b"a\0b")
    assert not matches(Secret(EXAMPLE[:28] + "u" + EXAMPLE[29:]), b"a\0b")


def test_what_follows_a_hash_means_nothing() -> None:
    assert matches(Secret(EXAMPLE + "and more"), b"a\0b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        EXAMPLE[:-1],
        EXAMPLE[:-2],
        EXAMPLE.replace("$04$", "$03$"),
        EXAMPLE.replace("$04$", "$32$"),
        EXAMPLE.replace("$04$", "$xx$"),
        EXAMPLE.replace("$2a", "$3a"),
        EXAMPLE.replace("d", "!", 1),
        EXAMPLE.replace("d", "é", 1),
        EXAMPLE.replace("$2a$04", "$2a$04$2a$04"),
    ],
)
def test_a_text_that_is_no_hash_fits_no_password(text: str) -> None:
    assert not matches(Secret(text), b"a\0b")
    assert asked(behind_login({"alice": Secret(text)}), login("alice", b"a\0b")).status == 401


# What is remembered


def test_a_login_is_compared_once_right_or_wrong() -> None:
    check = CountingCheck()
    app = behind_login({"alice": hashed(b"x")}, check)
    for _ in range(3):
        assert asked(app, login("alice", "x")).status == 200
        assert asked(app, login("alice", "y")).status == 401
        assert asked(app, login("carol", "x")).status == 401
    assert [password for _, password in check.asked] == [b"x", b"y", b"x"]


def test_parts_of_a_name_cannot_pass_for_parts_of_a_hash() -> None:
    """CVE-2022-46146: with the parts joined as they are, these two would have been one key."""
    remembered = Remembered(b"k" * 32)
    keys = {
        remembered.key(b"alice", Secret("hash"), b"word"),
        remembered.key(b"alicehash", Secret(""), b"word"),
        remembered.key(b"alice:hash", Secret(""), b"word"),
        remembered.key(b"alice", Secret("hash:word"), b""),
        remembered.key(b"alice:hash:word", Secret(""), b""),
        remembered.key(b"", Secret("alice"), b"hash:word"),
        remembered.key(b"alice:68617368", Secret(""), b"word"),
    }
    assert len(keys) == 7


def test_the_attack_of_cve_2022_46146_gets_nobody_in() -> None:
    """Upstream's test: whoever knows the hash of a user asks with it in the name, and is then in the cache."""
    secret = hashed(b"alicepassword")
    app = behind_login({"alice": secret})
    assert asked(app, login("alice" + secret.reveal(), "alicepassword")).status == 401
    assert asked(app, login("alice", secret.reveal() + "alicepassword")).status == 401
    decoy = Accounts({"alice": secret}).find(b"carol")[0].reveal()
    assert asked(app, login("carol", decoy)).status == 401
    assert asked(app, login("carol" + decoy, "")).status == 401
    assert asked(app, login("carol", "")).status == 401


@given(st.tuples(*[st.binary(max_size=4)] * 2), st.tuples(*[st.binary(max_size=4)] * 2), st.text("$2ab:", max_size=4))
def test_two_logins_have_one_key_only_if_they_are_one(
    one: tuple[bytes, bytes], other: tuple[bytes, bytes], secret: str
) -> None:
    remembered = Remembered(b"k" * 32)
    same = remembered.key(one[0], Secret(secret), one[1]) == remembered.key(other[0], Secret(secret), other[1])
    assert same == (one == other)


def test_what_is_remembered_is_bounded_and_guesses_push_no_right_login_out() -> None:
    remembered = Remembered(b"k" * 32, most=10)
    remembered.remember(b"right", right=True)
    for number in range(100):
        remembered.remember(b"wrong %d" % number, right=False)
    assert len(remembered) == 11
    assert remembered.verdict(b"right") is True
    assert remembered.verdict(b"wrong 89") is None
    assert remembered.verdict(b"wrong 90") is False


def test_the_login_last_used_is_the_last_one_forgotten() -> None:
    remembered = Remembered(b"k" * 32, most=2)
    remembered.remember(b"one", right=True)
    remembered.remember(b"two", right=True)
    remembered.verdict(b"one")
    remembered.remember(b"three", right=True)
    assert [remembered.verdict(key) for key in (b"one", b"two", b"three")] == [True, None, True]


def test_no_password_or_hash_stays_in_what_is_remembered() -> None:
    secret = hashed(b"hunter2-hunter2")
    remembered = Remembered(b"k" * 32)
    key = remembered.key(b"alice", secret, b"hunter2-hunter2")
    assert len(key) == 32
    assert key != Remembered(b"l" * 32).key(b"alice", secret, b"hunter2-hunter2")
    assert not any(part in key for part in (b"alice", b"hunter2", secret.reveal().encode()[:8]))


def test_a_new_hash_is_asked_for_anew() -> None:
    accounts = [Accounts({"alice": hashed(b"old")})]
    app = Login(says("in"), lambda: accounts[-1])
    assert asked(app, login("alice", "old")).status == 200
    assert asked(app, login("alice", "new")).status == 401
    accounts.append(Accounts({"alice": hashed(b"new")}))
    assert asked(app, login("alice", "old")).status == 401
    assert asked(app, login("alice", "new")).status == 200
    accounts.append(Accounts({"bob": hashed(b"new")}))
    assert asked(app, login("alice", "new")).status == 401


# What an onlooker can learn


def test_an_unknown_name_is_compared_at_the_cost_of_the_users() -> None:
    accounts = Accounts({"alice": hashed(b"x", 5), "bob": hashed(b"y", 5)})
    secret, known = accounts.find(b"carol")
    assert not known
    assert secret.reveal().startswith("$2b$05$")
    assert len(secret.reveal()) == 60


def test_among_users_of_different_costs_a_name_always_has_the_same_one_also_after_a_restart() -> None:
    users = {"alice": hashed(b"x", 4), "bob": hashed(b"y", 5)}
    again = dict(reversed(users.items()))
    names = [b"name %d" % number for number in range(200)]
    costs = [Accounts(users).find(name)[0].reveal()[4:6] for name in names]
    assert costs == [Accounts(again).find(name)[0].reveal()[4:6] for name in names]
    assert 60 < costs.count("04") < 140
    assert set(costs) == {"04", "05"}


def test_an_unknown_name_takes_the_time_of_a_known_one() -> None:
    app = behind_login({"alice": hashed(b"x", 8)})

    async def seconds(name: str, password: str) -> float:
        begun = time.perf_counter()
        assert (await ask(app, headers=login(name, password))).status == 401
        return time.perf_counter() - begun

    async def run() -> None:
        # In turns, so that what else the machine does falls on both.
        pairs = [(await seconds("alice", f"wrong {n}"), await seconds("carol", f"wrong {n}")) for n in range(9)]
        known, unknown = (median(pair[side] for pair in pairs) for side in (0, 1))
        assert 0.5 < known / unknown < 2  # without the comparison it would be 100
        # Once they are known both are answered at once.
        assert max(await seconds("alice", "wrong 1"), await seconds("carol", "wrong 1")) < unknown / 2

    asyncio.run(run())


def test_nobody_gets_in_with_a_password_that_fits_the_hash_for_unknown_names() -> None:
    app = behind_login({"alice": hashed(b"x")}, lambda secret, password: True)
    assert asked(app, login("carol", "x")).status == 401
    assert asked(app, login("alice", "x")).status == 200


# Many at a time


def test_one_comparison_at_a_time_while_the_event_loop_goes_on() -> None:
    async def run() -> None:
        check = CountingCheck()
        app = behind_login({"alice": hashed(b"x", 7)}, check)
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        turning = asyncio.create_task(turn())
        answers = await asyncio.gather(
            *(ask(app, headers=login("alice", f"wrong {n}")) for n in range(MOST_WAITING_PER_CLIENT))
        )
        turning.cancel()
        assert {answer.status for answer in answers} == {401}
        assert check.most_at_once == 1
        assert turns > MOST_WAITING_PER_CLIENT

    asyncio.run(run())


def test_requests_that_log_in_alike_wait_for_one_comparison() -> None:
    async def run() -> None:
        check = HeldCheck()
        app = behind_login({"alice": hashed(b"x")}, check)
        with check.holding():
            waiting = [asyncio.create_task(ask(app, headers=login("alice", "right"))) for _ in range(300)]
            await until(lambda: check.begun == 1)
            waiting[0].cancel()  # its client has gone; the others get their answer all the same
            check.let_go()
            answers = await asyncio.gather(*waiting[1:])
        assert {answer.status for answer in answers} == {200}
        assert check.begun == 1

    asyncio.run(run())


def test_a_flood_of_guesses_does_not_queue_without_end_and_leaves_room_for_others() -> None:
    async def run() -> None:
        check = HeldCheck()
        app = behind_login({"alice": hashed(b"x")}, check)

        async def guess(client: str, number: int) -> Answered:
            return await ask(app, headers=login("alice", f"guess {client} {number}"), client=client)

        with check.holding():
            flood = [asyncio.create_task(guess("10.0.0.1", number)) for number in range(100)]
            await until(lambda: sum(task.done() for task in flood) == 100 - MOST_WAITING_PER_CLIENT)
            refused = next(task for task in flood if task.done()).result()
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.text == "Too many logins wait to be checked; try again in a second.\n"

            other = asyncio.create_task(ask(app, headers=login("alice", "right"), client="10.0.0.2"))
            flood += [asyncio.create_task(guess(f"10.0.1.{number}", number)) for number in range(100)]
            await until(lambda: sum(not task.done() for task in flood) == MOST_WAITING - 1)
            assert not other.done()
            check.let_go()
            assert (await other).status == 200
            assert {task.result().status for task in flood if await asyncio.wait([task])} == {401, 503}
        # The places are free again.
        assert (await guess("10.0.0.1", 1000)).status == 401

    asyncio.run(run())


def test_a_host_with_a_whole_ipv6_network_is_one_client() -> None:
    async def run() -> None:
        check = HeldCheck()
        app = behind_login({"alice": hashed(b"x")}, check)
        with check.holding():
            flood = [
                asyncio.create_task(ask(app, headers=login("alice", f"guess {number}"), client=f"2001:db8::{number:x}"))
                for number in range(100)
            ]
            await until(lambda: sum(task.done() for task in flood) == 100 - MOST_WAITING_PER_CLIENT)
            other = asyncio.create_task(ask(app, headers=login("alice", "right"), client="2001:db8:0:1::1"))
            check.let_go()
            assert (await other).status == 200
            await asyncio.wait(flood)

    asyncio.run(run())


def test_who_is_logged_in_stays_so_during_a_flood() -> None:
    async def run() -> None:
        check = HeldCheck()
        app = behind_login({"alice": hashed(b"x")}, check)
        with check.holding():
            first = asyncio.create_task(ask(app, headers=login("alice", "right")))
            await until(lambda: check.begun == 1)
            check.let_go()
            assert (await first).status == 200
        held = HeldCheck()
        app._check = held
        with held.holding():
            flood = [
                asyncio.create_task(ask(app, headers=login("alice", f"guess {n}"), client=f"10.0.0.{n}"))
                for n in range(200)
            ]
            await until(lambda: held.begun == 1)
            assert (await ask(app, headers=login("alice", "right"))).status == 200
            held.let_go()
            await asyncio.wait(flood)

    asyncio.run(run())


def test_a_comparison_that_fails_is_not_remembered() -> None:
    async def run() -> None:
        failures = [MemoryError()]

        def check(secret: Secret, password: bytes) -> bool:
            if failures:
                raise failures.pop()
            return matches(secret, password)

        app = behind_login({"alice": hashed(b"x")}, check)
        with pytest.raises(MemoryError):
            await ask(app, headers=login("alice", "x"))
        assert (await ask(app, headers=login("alice", "x"))).status == 200

    asyncio.run(run())


def test_the_thread_ends_with_the_application() -> None:
    def comparing() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "login"]

    before = len(comparing())

    async def test(server: Running) -> None:
        assert (await server.client.get("/metrics", auth=("alice", "x"))).status_code == 200
        assert len(comparing()) == before + 1

    with_server(test, security=WebSecurity(None, WebConfig(users={"alice": hashed(b"x")})))
    give_up = time.monotonic() + 5
    while len(comparing()) > before and time.monotonic() < give_up:
        time.sleep(0.001)
    assert len(comparing()) == before


def test_a_password_and_its_hash_are_in_no_log_and_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret, guess = hashed(b"hunter2-hunter2"), "guessed-guessed-guessed"
    said: list[str] = []

    async def test(server: Running) -> None:
        for password in ("hunter2-hunter2", guess):
            for path in ("/", "/metrics", "/config", "/no/such/page"):
                answer = await server.client.get(path, auth=("alice", password))
                said.extend((answer.text, str(answer.headers)))

    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users:\n  alice: {secret.reveal()}\n")
    security = WebSecurity.load(file)
    with caplog.at_level("DEBUG"):
        with_server(test, security=security)
        file.write_text(f"basic_auth_users:\n  alice: x{secret.reveal()}\n")
        with pytest.raises(Exception, match="bcrypt") as refused:
            security.reread()
    captured = capfd.readouterr()
    everything = "\n".join([*said, caplog.text, captured.out, captured.err, str(refused.value), repr(security.config)])
    assert "Metrics" in everything
    for part in ("hunter2-hunter2", guess, secret.reveal()[7:], base64.b64encode(b"alice:hunter2-hunter2").decode()):
        assert part not in everything
