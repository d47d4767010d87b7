"""A secret that stands in any slot of the configuration, or is made meanwhile, comes out nowhere but at Zoho.

The program runs as a process of its own at debug level, in both formats of the log, and everything that it lets out is
searched: standard output and error, pages and their headers, every file but those that are there to hold a secret, and
its command line. Each scene waits until what it is about has really happened.
"""

import asyncio
import base64
import copy
import dataclasses
import json
import pickle
import re
import threading
import typing
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from exporter.cli.settings_table import SECRETS, SETTINGS
from exporter.logs import Redactor, configure, remember_secret
from exporter.secret import Secret
from exporter.settings import ApiSettings, AuthSettings, LogSettings, Settings
from exporter.settings_text import effective
from exporter.simulator.faults import Fault, FaultKind
from tests.support.cli import logging_as_it_was, run
from tests.support.hiding import (
    FORMATS,
    ODD_SECRETS,
    PROXY_PASSWORD,
    SLOTS,
    WRONG_CODE,
    Echo,
    Slots,
    addresses,
    credentials,
    has_failed,
    held_by_the_cache,
    in_both_formats,
    is_up,
    minted,
    play,
    ready_token,
    serving,
    unused_port,
)
from tests.support.http_script import Raw, Request, scripted_server
from tests.support.running import simulated
from tests.support.secrets import Evidence, written

NO_SLOTS: Final = {"auth.token-cache", "api.accounts-url"}
"""Settings that sound like one: a file that the program makes itself, and where tokens come from."""


class TestServe:
    def test_while_all_is_well_and_while_tokens_expire_and_answers_are_broken(self, tmp_path: Path) -> None:
        async def scene(form: str) -> None:
            async with (
                simulated() as simulator,
                serving(tmp_path, form, simulator.url, Slots(credentials(simulator))) as one,
            ):
                await one.until(is_up)
                one.evidence.secrets |= minted(simulator)
                simulator.switchboard.set("statuses", Fault(FaultKind.EXPIRED_TOKEN), times=1)
                await one.until(lambda samples: simulator.received.total("token") > 1)
                for kind, reason in (
                    (FaultKind.NOT_JSON, "decode"),
                    (FaultKind.ERROR_ENVELOPE, "api"),
                    (FaultKind.UNAUTHORIZED, "auth"),
                ):
                    simulator.switchboard.set("statuses", Fault(kind))
                    await one.until(has_failed(reason))
                simulator.switchboard.clear()
                one.evidence.secrets |= minted(simulator)
                assert sum(name.startswith("minted") for name in one.evidence.secrets) > 1

        play(in_both_formats(scene))

    def test_with_secrets_in_files_while_the_refresh_is_refused(self, tmp_path: Path) -> None:
        async def scene(form: str) -> None:
            async with simulated() as simulator:
                simulator.switchboard.set("token", Fault(FaultKind.REFUSED_REFRESH, text="invalid_client_secret"))
                slots = Slots(credentials(simulator), in_files=True)
                async with serving(tmp_path, form, simulator.url, slots) as one:
                    await one.until(has_failed("auth"))
                    await one.process.until_logged("access token not refreshed")

        play(in_both_formats(scene))

    @pytest.mark.parametrize("in_files", [False, True])
    def test_with_a_ready_token_that_is_refused_for_good_or_lacks_the_scope(
        self, in_files: bool, tmp_path: Path
    ) -> None:
        kind = FaultKind.SCOPE_MISSING if in_files else FaultKind.UNAUTHORIZED

        async def scene(form: str) -> None:
            async with simulated() as simulator:
                secrets = {**credentials(simulator), "auth.access-token-file": await ready_token(simulator)}
                async with serving(tmp_path, form, simulator.url, Slots(secrets, in_files=in_files)) as one:
                    await one.until(is_up)
                    simulator.switchboard.set("*", Fault(kind))
                    await one.until(has_failed("auth"))

        play(in_both_formats(scene))

    def test_with_a_proxy_that_is_not_there_or_refuses_and_repeats_what_it_was_sent(self, tmp_path: Path) -> None:
        def refuse(request: Request) -> Raw:
            sent = request.headers["proxy-authorization"]
            body = f"{sent} {base64.b64decode(sent.removeprefix('Basic ')).decode()} {PROXY_PASSWORD}"
            head = f"HTTP/1.1 407 Denied {body}\r\nX-Sent: {body}\r\nContent-Length: {len(body)}\r\n\r\n"
            return Raw((head + body).encode())

        async def scene(form: str) -> None:
            async with scripted_server(refuse) as proxy:
                for place in (f"127.0.0.1:{unused_port()}", proxy.url.removeprefix("http://")):
                    directory = tmp_path / place
                    directory.mkdir(exist_ok=True)
                    slots = Slots(ODD_SECRETS, proxy=place)
                    async with serving(directory, form, "https://voice.example.test", slots) as one:
                        await one.until(has_failed("connect"))
                assert proxy.requests

        play(in_both_formats(scene))

    def test_against_a_port_that_speaks_no_tls(self, tmp_path: Path) -> None:
        async def scene(form: str) -> None:
            async with simulated() as server:
                url = server.url.replace("http://", "https://")
                async with serving(tmp_path, form, url, Slots(ODD_SECRETS, proxy="")) as one:
                    await one.until(has_failed("tls"))

        play(in_both_formats(scene))

    def test_against_a_server_that_repeats_the_request_in_every_text_of_its_answers(self, tmp_path: Path) -> None:
        async def scene(form: str) -> None:
            echo = Echo(ODD_SECRETS["auth.access-token-file"])
            slots = Slots({name: text for name, text in ODD_SECRETS.items() if "access" not in name})
            async with scripted_server(echo) as server, serving(tmp_path, form, server.url, slots) as one:
                one.evidence.secrets["minted"] = echo.mints
                await one.until(is_up)
                for reason in Echo.FAILURES:
                    echo.mood = reason
                    await one.until(has_failed(reason))
            assert "<secret>" in one.evidence.text_of("/metrics "), "the names held it"

        play(in_both_formats(scene))

    def test_when_a_mistake_in_the_program_ends_it_with_a_traceback(self, tmp_path: Path) -> None:
        code = """
import os, sys
from base64 import b64encode
from urllib.parse import quote, unquote
from exporter.__main__ import main
from exporter.zoho.transport import Transport

exchange = Transport._exchange

async def spoilt(self, endpoint, request):
    if endpoint.value == "token":
        return await exchange(self, endpoint, request)
    headers = dict(request.headers)
    login = unquote(os.environ["ZOHOVOICE_API_PROXY"]).removeprefix("http://").rpartition("@")[0]
    told = f"{headers} {quote(repr(headers))} {dict(os.environ)} {login} {b64encode(login.encode()).decode()}"
    raise RuntimeError(f"a mistake with {told}") from ValueError(told)

Transport._exchange = spoilt
sys.exit(main())
"""

        async def scene(form: str) -> None:
            echo = Echo(ODD_SECRETS["auth.access-token-file"])
            slots = Slots({name: text for name, text in ODD_SECRETS.items() if "access" not in name})
            async with scripted_server(echo) as server:
                async with serving(tmp_path, form, server.url, slots, code=code) as one:
                    one.evidence.secrets["minted"] = echo.mints
                    assert await one.process.ends() == 1
                told = one.process.log
                assert "Traceback" in told
                assert "RuntimeError: a mistake with" in told
                assert told.count("<secret>") > 5

        play(in_both_formats(scene))


COMMANDS: Final = {
    "check": ("check", "--web.listen-address=127.0.0.1:0"),
    "auth show": ("auth", "show"),
    "auth exchange": ("auth", "exchange", "--yes", "--auth.refresh-token-file={new}", "--code-file={code}"),
    "auth revoke": ("auth", "revoke", "--yes"),
    "status get": ("status", "get"),
    "status get of agents": ("status", "get", "1", "2", "--names"),
    "agents list": ("agents", "list"),
}


class TestCommands:
    """Each with secrets in variables and in files, in both formats, at debug level."""

    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("command", COMMANDS)
    def test_refused_by_the_simulator(self, command: str, form: str, tmp_path: Path) -> None:
        async def scene() -> None:
            async with simulated() as simulator:
                for label in ("users", "own_status", "statuses"):
                    simulator.switchboard.set(label, Fault(FaultKind.SCOPE_MISSING))
                known = {**credentials(simulator), "auth.refresh-token-file": "1000.wrong-refresh-token-61ab0c7e"}
                codes = {}
                for in_files in (False, True):
                    slots = Slots(known, in_files=in_files)
                    codes[in_files] = await commanded(command, form, tmp_path, simulator.url, slots)
                assert set(codes.values()) == ({0} if command == "auth show" else {1})
                ready = {**known, "auth.access-token-file": await ready_token(simulator)}
                await commanded(command, form, tmp_path, simulator.url, Slots(ready, in_files=True))

        play(scene())

    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("command", COMMANDS)
    def test_against_a_server_that_repeats_the_request(self, command: str, form: str, tmp_path: Path) -> None:
        async def scene() -> None:
            echo = Echo("1000.minted-by-the-echo-70ff1e")
            async with scripted_server(echo) as server:
                # A server error is tried again for minutes.
                for echo.mood in ("", "http_4xx", "auth"):
                    slots = Slots(ODD_SECRETS, in_files=echo.mood == "")
                    await commanded(command, form, tmp_path, server.url, slots)
                for echo.mood in ("", "token"):
                    slots = Slots(_without_ready_token(ODD_SECRETS))
                    await commanded(command, form, tmp_path, server.url, slots, minted=echo.mints)

        play(scene())

    @pytest.mark.parametrize("slot", [slot for slot in SLOTS if slot != "api.proxy"])
    def test_a_secret_in_place_of_the_name_of_its_file_is_not_repeated(self, slot: str) -> None:
        digits = "5ec7e75ec7e75ec7e75ec7e75ec7e75e"
        for secret in (f"1000.{digits}.{digits}", digits + digits):
            for command in ("serve", "check"):
                done = run(command, f"--{slot}={secret}")
                assert f"--{slot} must name a file, but holds what looks like the secret itself" in done.out + done.err
                assert digits not in done.out + done.err

    @pytest.mark.parametrize("value", [f"ftp://u:{PROXY_PASSWORD}@p.example.test", f"http://u:{PROXY_PASSWORD}@p:x"])
    def test_a_proxy_that_cannot_be_used_is_not_repeated(self, value: str, tmp_path: Path) -> None:
        file = tmp_path / "settings.yml"
        file.write_text(f"api.proxy: '{value}'\n")
        for given, env in (
            ((f"--api.proxy={value}",), {}),
            ((), {SLOTS["api.proxy"]: value}),
            ((f"--config.file={file}",), {}),
        ):
            done = run("check", *given, env=env)
            assert done.code == 1
            assert "the URL of an http or https proxy" in done.out
            assert "word-of-the-proxy" not in done.out + done.err

    @pytest.mark.parametrize("key", ["auth.client-secret", "auth.refresh-token", "auth.access-token"])
    def test_a_secret_in_the_configuration_file_is_refused_and_not_repeated(self, key: str, tmp_path: Path) -> None:
        file = tmp_path / "settings.yml"
        file.write_text(f"{key}: sentinel-of-the-file-1d3c\n")
        done = run("serve", f"--config.file={file}")
        assert done.code == 2
        assert "would put a secret into this file" in done.err
        assert "sentinel-of-the-file" not in done.out + done.err


async def commanded(
    command: str, form: str, directory: Path, url: str, slots: Slots, *, minted: str = "1000.nothing-was-minted"
) -> int:
    """Run the command and look at all that it let out; the exit code."""
    code = directory / "code"
    code.write_text(WRONG_CODE)
    code.chmod(0o600)
    cache = directory / "zohovoice-token.json"
    cache.unlink(missing_ok=True)
    env = {**addresses(url), **slots.environment(directory)}
    arguments = [part.format(new=directory / "new.secret", code=code) for part in COMMANDS[command]]
    if command == "auth exchange":
        env.pop(SETTINGS["auth.refresh-token-file"].variable, None)
        env.pop(SLOTS["auth.refresh-token-file"], None)
    flags = ("--log.level=debug", f"--log.format={form}", f"--db={directory}/zohovoice.db", "--api.timeout=1s")
    done = await asyncio.to_thread(run, *arguments, *flags, env=env)
    evidence = Evidence({**slots.hidden, "code": WRONG_CODE, "minted": minted})
    evidence.add("stdout", done.out)
    evidence.add("stderr", done.err)
    holders = {**slots.files(), "code": WRONG_CODE, cache.name: held_by_the_cache(directory)}
    evidence.add_files(directory, holding_secrets=holders)
    assert evidence.leaks() == []
    assert done.out + done.err
    for path in directory.iterdir():
        path.unlink()
    return done.code


def _without_ready_token(secrets: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in secrets.items() if name != "auth.access-token-file"}


class TestValues:
    def settings(self) -> Settings:
        return Settings(
            api=ApiSettings(proxy=Secret(f"http://u:{PROXY_PASSWORD}@proxy.example.test:3128")),
            auth=AuthSettings(
                client_id="1000.ACLIENT",
                client_secret=Secret(ODD_SECRETS["auth.client-secret-file"]),
                refresh_token=Secret(ODD_SECRETS["auth.refresh-token-file"]),
                access_token=Secret(ODD_SECRETS["auth.access-token-file"]),
            ),
        )

    def shown(self, *texts: str) -> list[str]:
        evidence = Evidence({**ODD_SECRETS, "proxy": PROXY_PASSWORD})
        for text in texts:
            evidence.add("text", text)
        return evidence.leaks()

    def test_settings_show_no_secret_however_they_are_written(self) -> None:
        settings = self.settings()
        texts = [repr(settings), str(settings), f"{settings}", f"{settings!r:>9}", f"{settings.api.proxy:>40}"]
        texts.append(json.dumps({room.name: getattr(settings, room.name) for room in fields(settings)}, default=str))
        assert self.shown(*texts) == []
        assert texts[0].count("<secret>") == 4

    @pytest.mark.parametrize(
        "spread", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, dataclasses.asdict, dataclasses.astuple]
    )
    def test_a_secret_is_neither_pickled_nor_copied_nor_written_as_json(
        self, spread: Callable[[object], object]
    ) -> None:
        settings = self.settings()
        for holder in (settings.auth.client_secret, settings.auth, settings):
            if spread is copy.copy and holder is not settings.auth.client_secret:
                assert self.shown(repr(spread(holder))) == []  # shares the secret
                continue
            with pytest.raises(TypeError) as caught:
                spread(holder)
            assert self.shown(str(caught.value), repr(caught.value)) == []

    def test_the_configuration_that_is_logged_at_the_start_masks_each_secret(self) -> None:
        logged = effective(self.settings())
        assert {name for name, text in logged.items() if text == "<secret>"} == {
            "api.proxy",
            "auth.client_secret",
            "auth.refresh_token",
            "auth.access_token",
        }
        assert self.shown(repr(logged)) == []


class TestLog:
    def test_a_token_that_the_program_came_by_is_masked_and_only_the_latest_are_kept(self) -> None:
        with logging_as_it_was():
            redact = configure(LogSettings(), [Secret("of-the-configuration")], StringIO())
            for number in range(1_000):
                remember_secret(Secret(f"minted-{number:03}"))
            assert redact("minted-999 minted-990 of-the-configuration") == "<secret> <secret> <secret>"
            assert redact("minted-000") == "minted-000"

    def test_the_traceback_that_ends_a_thread_shows_no_secret(self) -> None:
        secret = ODD_SECRETS["auth.access-token-file"]

        def fail() -> None:
            raise ValueError(f"with {secret}")

        told = StringIO()
        with logging_as_it_was(), redirect_stderr(told):
            configure(LogSettings(), [Secret(secret)])
            thread = threading.Thread(target=fail, name="history")
            thread.start()
            thread.join()
        assert told.getvalue().startswith("Exception in thread history:\nTraceback")
        assert told.getvalue().endswith("ValueError: with <secret>\n")

    @pytest.mark.parametrize("before", ["Zoho-oauthtoken ", "Zoho-oauthtoken%20", "Zoho-oauthtoken+", "x", "_", "20"])
    def test_a_token_of_zoho_that_nobody_registered_is_masked_whatever_stands_before_it(self, before: str) -> None:
        assert WRONG_CODE not in Redactor()(before + WRONG_CODE)


class TestTheSearch:
    """The tests above are worth as much as the search is."""

    @pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
    @pytest.mark.parametrize("secret", [*ODD_SECRETS.values(), WRONG_CODE, PROXY_PASSWORD])
    def test_finds_a_secret_in_each_of_its_forms_and_in_pieces(self, secret: str, before: str) -> None:
        text = f"{before}{secret} and more"
        forms = [
            text,
            quote(text),
            quote(text, safe=""),
            json.dumps(text),
            repr(text),
            text.encode().hex(),
            base64.b64encode(text.encode()).decode(),
            base64.urlsafe_b64encode(text.encode()).decode(),
            text[: len(before) + len(secret) // 2 + 4],
            text[len(before) + len(secret) // 2 - 4 :],
        ]
        for form in forms:
            evidence = Evidence({"it": secret})
            evidence.add("here", f"something {form}")
            assert len(evidence.leaks()) >= 1, form

    def test_finds_nothing_where_nothing_is(self) -> None:
        evidence = Evidence(dict(ODD_SECRETS))
        evidence.add("here", "client refresh access secret tok <secret>")
        assert evidence.leaks() == []
        assert all(len(form) >= 12 for secret in ODD_SECRETS.values() for form in written(secret))


class TestSlots:
    """These fail when a slot is added that the scenes above do not fill."""

    def test_every_setting_that_sounds_like_a_secret_is_tried(self) -> None:
        sounding = {
            name
            for name, setting in SETTINGS.items()
            if re.search(r"secret|token|passw|credential|\bkey\b|proxy", f"{name} {setting.help}", re.IGNORECASE)
        }
        assert sounding - NO_SLOTS == set(SLOTS)

    def test_every_variable_that_may_hold_a_secret_is_tried(self) -> None:
        assert {**SECRETS, "api.proxy": SETTINGS["api.proxy"].variable} == SLOTS

    def test_every_field_of_the_settings_that_holds_a_secret_is_tried(self) -> None:
        holding = {
            f"{room}.{name}"
            for room, kind in typing.get_type_hints(Settings).items()
            for name, hint in typing.get_type_hints(kind).items()
            if hint is Secret or Secret in typing.get_args(hint)
        }
        assert holding == {"api.proxy", "auth.client_secret", "auth.refresh_token", "auth.access_token"}
