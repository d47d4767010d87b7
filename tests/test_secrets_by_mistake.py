"""A secret where none belongs, or wrongly written, is refused or hidden; and no broken answer brings one to light."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from exporter.secret import MASK
from exporter.settings import AuthSettings, Settings
from exporter.settings_text import effective
from tests.support.cli import run
from tests.support.hiding import ODD_SECRETS, Slots, in_both_formats, is_up, serving
from tests.support.http_script import Fault, Raw, Reply, Request, scripted_server
from tests.support.running import Samples
from tests.support.zoho import rows, success

MARK: Final = "c0ffee5ec2e7"
"""Every secret here holds it; hexadecimal, as Zoho's are."""

MISPLACED: Final[Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]]] = {
    "a password in the address": ((f"--api.url=https://user:{MARK}@voice.zoho.com",), {}),
    "a password in its variable": ((), {"API_URL": f"https://user:{MARK}@voice.zoho.com"}),
    "a user in the address": ((f"--api.accounts-url=https://{MARK}@accounts.zoho.com",), {}),
    "a parameter of the address": ((f"--api.url=https://voice.zoho.com/?token={MARK}",), {}),
    "a path of the address": ((f"--api.url=https://voice.zoho.com/{MARK}",), {}),
    "a proxy without scheme": ((f"--api.proxy=user:{MARK}@proxy.example.com:3128",), {}),
    "a proxy of another sort": ((f"--api.proxy=socks5://user:{MARK}@proxy.example.com",), {}),
    "a proxy with a wrong port": ((), {"API_PROXY": f"http://user:{MARK}@proxy.example.com:port"}),
    "the client secret for its file": ((f"--auth.client-secret-file={MARK:0<42}",), {}),
    "the refresh token for its file": ((f"--auth.refresh-token-file=1000.{MARK:0<32}.{MARK:0<32}",), {}),
    "the access token for its file": ((), {"AUTH_ACCESS_TOKEN_FILE": f"1000.{MARK:0<32}.{MARK:0<32}"}),
    "a secret with a blank": ((), {"AUTH_CLIENT_SECRET": f"{MARK} and more"}),
    "a secret of two lines": ((), {"AUTH_REFRESH_TOKEN": f"{MARK}\nand more"}),
    "a secret that is not ASCII": ((), {"AUTH_ACCESS_TOKEN": f"{MARK}é"}),
    "a file of two lines": (("--auth.client-secret-file={folder}/two-lines",), {}),
    "a file of two lines for a token": (("--auth.access-token-file={folder}/two-lines",), {}),
    "a flag that does not exist": ((f"--auth.client-secret={MARK}",), {}),
    "a flag that does not exist either": (("--auth.refresh-token", MARK), {}),
    "a key that does not exist": (("--config.file={folder}/key.yml",), {}),
    "a quote that does not end": (("--config.file={folder}/quote.yml",), {}),
    "a map in place of a text": (("--config.file={folder}/map.yml",), {}),
    "a key that stands there twice": (("--config.file={folder}/twice.yml",), {}),
}
"""Flags, and variables without their prefix."""

FILES: Final = {
    "two-lines": f"{MARK} one\n{MARK} two\n",
    "key.yml": f"auth:\n  client-secret: {MARK}\n",
    "quote.yml": f'auth:\n  client-id: "{MARK}\n',
    "map.yml": f"auth:\n  refresh-token:\n    {MARK}: {MARK}\n",
    "twice.yml": f"auth.client-id: 1000.A\nauth:\n  client-id: {MARK}\n",
}


@pytest.mark.parametrize("command", ["serve", "check", "status get"])
@pytest.mark.parametrize("mistake", MISPLACED)
def test_a_secret_in_the_wrong_place_is_refused_without_being_repeated(
    tmp_path: Path, command: str, mistake: str
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    arguments, variables = MISPLACED[mistake]
    filled = [argument.replace("{folder}", str(tmp_path)) for argument in arguments]
    env = {f"ZOHOVOICE_{name}": text for name, text in variables.items()}
    done = run(*command.split(), f"--db={tmp_path}/z.db", "--log.level=debug", *filled, env=env)
    assert done.code in (1, 2)
    assert done.out + done.err
    assert MARK not in done.out + done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("client_id", "logged"),
    [
        ("1000.514D240309DE5C24C66C7B15EE61EB", "1000.514D240309DE5C24C66C7B15EE61EB"),
        (f"my-password-{MARK}", MASK),
        (f"1000.{MARK:0<32}.{MARK:0<32}", MASK),
        (f"{MARK:0<42}", MASK),
    ],
)
def test_what_does_not_look_like_a_client_id_is_not_logged_as_one(client_id: str, logged: str) -> None:
    assert effective(Settings(auth=AuthSettings(client_id=client_id)))["auth.client_id"] == logged


class Broken:
    """Repeats what it was sent in answers that are not even HTTP; `mood` says how."""

    MOODS: Final = ("no header", "no length", "cut short", "status line", "reset", "cookie")

    def __init__(self) -> None:
        self.mood = ""

    def __call__(self, request: Request) -> Reply | Raw | Fault:
        sent = request.headers.get("authorization", "") + request.body.decode()
        if request.path.endswith("/token"):
            return Reply({"access_token": ODD_SECRETS["auth.access-token-file"]})
        if request.path.endswith("/users"):
            good: object = success(users=[{"agentId": "1", "userid": "1", "name": "One"}], meta={"total": 1})
        else:
            good = rows(("1", "Available"))
        answers: dict[str, Callable[[], Reply | Raw | Fault]] = {
            "": lambda: Reply(good),
            "no header": lambda: Raw(f"HTTP/1.1 200 OK\r\n{sent}\r\n\r\n".encode()),
            "no length": lambda: Raw(f"HTTP/1.1 200 OK\r\nContent-Length: {sent}\r\n\r\n".encode()),
            "cut short": lambda: Raw(f"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{sent}".encode()),
            "status line": lambda: Raw(f"{sent}\r\n\r\n".encode()),
            "reset": lambda: Fault.RESET,
            "cookie": lambda: Reply(b"{", headers={"Set-Cookie": f"token={sent}", "Server": sent}),
        }
        return answers[self.mood]()


def test_no_broken_answer_brings_a_secret_to_light(tmp_path: Path) -> None:
    def more_than_one_fail() -> Callable[[Samples], bool]:
        """Counted from the first scrape on; one may be under way from before."""
        counts: list[float] = []

        def holds(samples: Samples) -> bool:
            counts.append(sum(n for (name, _), n in samples.items() if name == "zohovoice_poll_failures_total"))
            return counts[-1] > counts[0] + 1

        return holds

    async def scene(form: str) -> None:
        zoho = Broken()
        slots = Slots({name: text for name, text in ODD_SECRETS.items() if "access" not in name})
        async with scripted_server(zoho) as server, serving(tmp_path, form, server.url, slots) as one:
            one.evidence.secrets["minted"] = ODD_SECRETS["auth.access-token-file"]
            await one.until(is_up)
            for zoho.mood in Broken.MOODS:
                await one.until(more_than_one_fail())
            assert one.process.log.count("poll failed") >= len(Broken.MOODS)

    asyncio.run(in_both_formats(scene))
