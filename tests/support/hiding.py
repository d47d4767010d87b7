"""`serve` and its secrets on a stage: every slot filled, everything let out gathered, servers that tell on it."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx

from exporter.cli.settings_table import SETTINGS
from exporter.clock import SystemClock
from exporter.simulator.oauth import TokenDesk
from exporter.simulator.server import RunningSimulator
from exporter.simulator.settings import DEFAULT_SERVER
from tests.support.children import PATIENCE_S, Child, child, serve_arguments
from tests.support.http_script import Reply, Request
from tests.support.running import Samples, read_samples, value
from tests.support.secrets import Evidence
from tests.support.zoho import success

SLOTS: Final = {
    "auth.client-secret-file": "ZOHOVOICE_AUTH_CLIENT_SECRET",
    "auth.refresh-token-file": "ZOHOVOICE_AUTH_REFRESH_TOKEN",
    "auth.access-token-file": "ZOHOVOICE_AUTH_ACCESS_TOKEN",
    "api.proxy": "ZOHOVOICE_API_PROXY",
}
"""The settings that hold or name a secret, and the variable that may hold the secret itself. All are tried here."""

PROXY_PASSWORD: Final = "pa%2Fss%40word-of-the-proxy-7b41"
PROXY_PASSWORD_MEANT: Final = "pa/ss@word-of-the-proxy-7b41"
WRONG_CODE: Final = "1000.0c0de0c0de0c0de0c0de0c0de0c0de00.1c0de1c0de1c0de1c0de1c0de1c0de11"
ODD_SECRETS: Final = {
    "auth.client-secret-file": 'client"sec\\ret/with+odd%41=signs-58ac3',
    "auth.refresh-token-file": "refresh'tok/en+with%2Fodd=signs-9d02e",
    "auth.access-token-file": 'access"tok\\en/with+odd%25=signs-c47f1',
}
"""Texts that look different in a URL, in JSON and in a traceback; the echoing server takes every secret."""

CLIENT_ID: Final = TokenDesk(1, SystemClock(), DEFAULT_SERVER).credentials.client_id
"""The one that the simulator takes; it is no secret."""

FORMATS: Final = ("logfmt", "json")

Done = Callable[[Samples], bool]


@dataclass(frozen=True, slots=True)
class Slots:
    """What stands in the slots, put into variables or into files."""

    secrets: Mapping[str, str]
    """By setting; the proxy's URL is made from its password."""
    proxy: str = "127.0.0.1:9"
    in_files: bool = False

    @property
    def proxy_url(self) -> str:
        return f"http://proxy-user:{PROXY_PASSWORD}@{self.proxy}"

    @property
    def hidden(self) -> dict[str, str]:
        """What must not be found."""
        login = base64.b64encode(f"proxy-user:{PROXY_PASSWORD_MEANT}".encode()).decode()
        passwords = {"proxy": PROXY_PASSWORD, "proxy meant": PROXY_PASSWORD_MEANT, "proxy header": login}
        return {**self.secrets, **passwords}

    def files(self) -> dict[str, str]:
        """The secret by the name of the file that holds it."""
        return {f"{name}.secret": text for name, text in self.secrets.items()} if self.in_files else {}

    def environment(self, directory: Path) -> dict[str, str]:
        """The variables; writes the files."""
        env = {SLOTS["api.proxy"]: self.proxy_url} if self.proxy else {}
        for name, text in self.secrets.items():
            if self.in_files:
                path = directory / f"{name}.secret"
                path.write_text(text + "\n")
                path.chmod(0o600)
                env[SETTINGS[name].variable] = str(path)
            else:
                env[SLOTS[name]] = text
        return env


def addresses(url: str) -> dict[str, str]:
    return {"ZOHOVOICE_API_URL": url, "ZOHOVOICE_API_ACCOUNTS_URL": url, "ZOHOVOICE_AUTH_CLIENT_ID": CLIENT_ID}


def credentials(simulator: RunningSimulator) -> dict[str, str]:
    """What the simulator takes."""
    known = simulator.credentials
    return {
        "auth.client-secret-file": known.client_secret.reveal(),
        "auth.refresh-token-file": known.admin.reveal(),
    }


async def ready_token(simulator: RunningSimulator) -> str:
    """An access token that the simulator takes."""
    known = simulator.credentials
    form = {
        "client_id": known.client_id,
        "client_secret": known.client_secret.reveal(),
        "refresh_token": known.supervisor.reveal(),
        "grant_type": "refresh_token",
    }
    async with httpx.AsyncClient(base_url=simulator.url, trust_env=False) as http:
        return str((await http.post("/oauth/v2/token", data=form)).json()["access_token"])


def minted(simulator: RunningSimulator) -> dict[str, str]:
    """The access tokens that are good now, by a name for each."""
    return {f"minted {token[5:13]}": token for token in simulator.tokens.access_tokens}


@dataclass
class Running:
    """A `serve` that runs, and all that it has let out."""

    process: Child
    url: str
    evidence: Evidence

    async def until(self, done: Done) -> None:
        """Wait until a scrape says so, then look at all pages."""
        async with asyncio.timeout(PATIENCE_S), httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            while not done(read_samples((await http.get("/metrics")).text)):
                assert self.process.alive, self.process.log
                await asyncio.sleep(0.05)
        await self.evidence.add_pages(self.url)


@asynccontextmanager
async def serving(directory: Path, form: str, url: str, slots: Slots, *, code: str = "") -> AsyncIterator[Running]:
    """`serve` with its files in `directory`; at the end it is stopped, and nothing may have been let out.

    With `code`, that is run in place of the module, and it may end by itself.
    """
    directory /= form
    directory.mkdir()
    arguments = serve_arguments(directory, interval="150ms")
    known = {**addresses(url), **slots.environment(directory)}
    flags = ("--log.level=debug", f"--log.format={form}", "--metrics.names", "--api.timeout=1s")
    async with child(*arguments, *flags, env=known, code=code) as process:
        running = Running(process, "" if code else await process.url(), Evidence(slots.hidden))
        if not code:
            running.evidence.add_process(process.process.pid)
        yield running
        cache = held_by_the_cache(directory)
        holders = {**slots.files(), "zohovoice-token.json": cache}
        running.evidence.add_files(directory, holding_secrets=holders)
        if not code:
            assert (await process.stop())[0] == 0
            running.evidence.add_files(directory, holding_secrets=holders)
    running.evidence.add("stdout", bytes(process.out))
    running.evidence.add("stderr", bytes(process.err))
    if cache:
        running.evidence.secrets["cached"] = cache
    assert running.evidence.leaks() == []
    names = {name for name, _ in running.evidence.found}
    assert {"zohovoice.db", "stderr"} <= names
    assert code or {"zohovoice.db-wal", "zohovoice.db.lock", "cmdline", "/metrics "} <= names


def held_by_the_cache(directory: Path) -> str:
    """The access token in the token cache, "" if there is none."""
    path = directory / "zohovoice-token.json"
    token = json.loads(path.read_text())["token"] if path.exists() else None
    return token["access_token"] if token else ""


async def in_both_formats(scene: Callable[[str], Awaitable[None]]) -> None:
    """The same scene with a log in logfmt and with one in JSON, side by side."""
    async with asyncio.TaskGroup() as group:
        for form in FORMATS:
            group.create_task(played(scene, form))


async def played(scene: Callable[[str], Awaitable[None]], form: str) -> None:
    try:
        await scene(form)
    except Exception as error:
        error.add_note(f"with --log.format={form}")
        raise


def is_up(samples: Samples) -> bool:
    return value(samples, "zohovoice_up") == 1


def has_failed(reason: str) -> Done:
    """A poll, or a reading of the roster, has failed for that reason."""
    families = ("zohovoice_poll_failures_total", "zohovoice_roster_refresh_failures_total")
    return lambda samples: any((value(samples, family, reason=reason) or 0) >= 1 for family in families)


def play(scene: Coroutine[object, object, None]) -> None:
    asyncio.run(scene)


class Echo:
    """Answers in good form, but with all that the request holds in every text; `mood` is the reason of a failure."""

    FAILURES: Final = ("http_5xx", "http_4xx", "api", "decode", "redirect", "schema", "auth")

    def __init__(self, mints: str) -> None:
        self.mints: Final = mints
        self.mood = ""

    def __call__(self, request: Request) -> Reply:
        said = self._said(request)
        if request.path.endswith("/revoke") or (request.path.endswith("/token") and self.mood == "token"):
            return Reply({"error": said, "error_description": said}, 400)
        if request.path.endswith("/token"):
            return Reply({"access_token": self.mints, "expires_in": 3600, "scope": said})
        if self.mood:
            return self._failure(said)
        if request.path.endswith("/users"):
            return Reply(success(users=[_user(number, said) for number in (1, 2)], meta={"total": 2}))
        first = {"agentId": "1", "onlineStatus": f"At {said}"}
        if not request.path.endswith("/v2/agents/onlineStatus"):
            return Reply(success(onlineStatus={"agentId": "1", "error": said}))
        return Reply(success(onlineStatus=[first, {"agentId": "2", "error": said}], message=said))

    def _said(self, request: Request) -> str:
        token = request.headers.get("authorization", "").removeprefix("Zoho-oauthtoken ")
        # The second stands where a text is cut.
        forms = " ".join([token, "x" * (150 - len(token)), token, quote(token, safe=""), json.dumps(token)[1:-1]])
        return f"{forms} {request.body.decode()} {' '.join(request.form.values())}"

    def _failure(self, said: str) -> Reply:
        error = {"code": said, "status": "ERROR", "message": said, "error": {"code": said, "message": said}}
        return {
            "http_5xx": Reply(error, 503),
            "http_4xx": Reply(error, 404),
            "api": Reply(error),
            "decode": Reply(said.encode()),
            "redirect": Reply(error, 302, {"Location": f"https://other.example.test/{quote(said)}"}),
            "schema": Reply(success(onlineStatus=said, users=said)),
            "auth": Reply(error, 401),
        }[self.mood]


def _user(number: int, said: str) -> dict[str, object]:
    return {
        "agentId": str(number),
        "userid": str(number),
        "zuid": str(number),
        "name": said,
        "departmentName": said,
        "emailid": said,
        "onlineStatus": "Available",
    }


def unused_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
