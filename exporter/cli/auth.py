"""`auth …`: how the program comes by a refresh token, what it holds, and how that ends."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import click

from exporter import __version__, logs
from exporter.cli import parse
from exporter.cli.api import API_SETTINGS
from exporter.cli.ask import confirm, is_person_there
from exporter.cli.build import api_settings, auth_settings, log_settings_from, prepare, proxy_secrets
from exporter.cli.lazy import CONTEXT, LazyGroup
from exporter.cli.options import settings_options, yes_option
from exporter.cli.output import plain_output_options, write_report
from exporter.cli.settings_table import SECRETS
from exporter.cli.values import Values
from exporter.clock import SystemClock, utc_text
from exporter.errors import ExporterError, UsageError
from exporter.report.model import Cell, Column, Report
from exporter.secret import Secret
from exporter.settings import ApiSettings, AuthSettings
from exporter.textfile import read_text

if TYPE_CHECKING:
    from exporter.zoho.transport import Transport

R = TypeVar("R")
_TOKEN_FLAG = "auth.refresh-token-file"

auth = LazyGroup(
    "auth",
    "Turn a self client's grant code into a stored refresh token; show and revoke it.",
    {
        "exchange": ("exporter.cli.auth:exchange", "Turn a grant code into a refresh token and store it."),
        "show": ("exporter.cli.auth:show", "What is configured and stored, without showing any secret."),
        "revoke": ("exporter.cli.auth:revoke", "Make the refresh token invalid; asks first."),
    },
)


@click.command("exchange", context_settings=CONTEXT)
@click.argument("code", nargs=-1, metavar="")
@click.option(
    "--code-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File that holds the grant code. Without it the code is asked for, or read from standard input.",
)
@yes_option
@settings_options(*API_SETTINGS)
def exchange(values: Values, code: tuple[str, ...], code_file: Path | None, yes: bool) -> None:
    """Turn the grant code of a self client into a refresh token, and write it to --auth.refresh-token-file (mode 0600).

    Make the code in Zoho's API console: Self Client, Generate Code, scope ZohoVoice.agents.READ,ZohoVoice.sdk.READ.
    It works once and for some minutes only. It is never given on the command line, where other users of the machine
    could read it.
    """
    if code:  # refused without repeating it
        raise UsageError(
            "the grant code must not stand on the command line, where others can read it; make a new one and give "
            "it when asked, on standard input or by --code-file"
        )
    log_settings = log_settings_from(values, by_hand=True)
    logs.configure(log_settings)
    api, settings = api_settings(values), auth_settings(values, refresh_token=False)
    path = values.optional(_TOKEN_FLAG, parse.path)
    if path is None:
        raise UsageError(f"--{_TOKEN_FLAG} is missing: name the file that the refresh token is to be written to")
    client_secret = _needed(settings)
    if path.is_dir():  # found before the code is used up, as everything that can be
        raise UsageError(f"--{_TOKEN_FLAG}: {path} is a directory; name a file")
    if path.exists():
        confirm(f"Replace the refresh token in {path}?", yes=yes)
    # The file is made before the code is used up: a code works once.
    with _secret_file(path) as write:
        secret_code = _code(code_file)
        logs.configure(log_settings, (client_secret, secret_code, *proxy_secrets(api)))
        write(_exchange(api, settings, client_secret, secret_code))
    click.echo(f"the refresh token was written to {path}; the command check tells whether it works", err=True)


def _needed(settings: AuthSettings) -> Secret:
    if not settings.client_id:
        raise UsageError("--auth.client-id is missing: give the client id of the self client that made the code")
    if settings.client_secret is None:
        raise UsageError(
            "--auth.client-secret-file is missing: name the file that holds the client secret, or set "
            + SECRETS["auth.client-secret-file"]
        )
    return settings.client_secret


def _code(code_file: Path | None) -> Secret:
    if code_file is not None:
        text, source = read_text(code_file, "--code-file"), f"--code-file: the file {code_file}"
    elif is_person_there():
        text, source = click.prompt("Grant code", hide_input=True, err=True), "the grant code"
    else:
        stdin: TextIO | None = sys.stdin
        text, source = stdin.readline() if stdin else "", "the grant code on standard input"
    text = text.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{source} must be one line with the code and nothing else")
    return Secret(text)


def _exchange(api: ApiSettings, settings: AuthSettings, client_secret: Secret, code: Secret) -> Secret:
    from exporter.zoho.oauth import exchange_code

    async def call(transport: "Transport", deadline: float) -> Secret:
        grant = await exchange_code(
            transport,
            SystemClock(),
            client_id=settings.client_id,
            client_secret=client_secret,
            code=code,
            deadline=deadline,
        )
        if grant.refresh_token is None:
            raise ExporterError("asking for tokens: Zoho's answer holds no refresh token; make a new code")
        return grant.refresh_token

    return _with_transport(api, settings.token_cache, call)


def _with_transport(api: ApiSettings, cache: Path, action: "Callable[[Transport, float], Awaitable[R]]") -> R:
    """Run `action` with a deadline. A throttle that it meets is remembered, so that `serve` does not ask into it."""
    from exporter.zoho.endpoints import Endpoint
    from exporter.zoho.errors import RateLimited
    from exporter.zoho.memory import Memory
    from exporter.zoho.observer import SilentObserver
    from exporter.zoho.session import open_transport

    async def run() -> R:
        clock = SystemClock()
        async with open_transport(api, clock=clock, observer=SilentObserver(), version=__version__) as transport:
            try:
                return await action(transport, clock.monotonic() + 2 * api.timeout_s)
            except RateLimited as error:
                with suppress(ExporterError):  # the throttle is what is to be told
                    url = transport.origins.url(Endpoint.TOKEN)
                    Memory.open(cache, None).lock(url, error.until_ms, clock.now_ms())
                raise

    return asyncio.run(run())


@contextmanager
def _secret_file(path: Path) -> Iterator[Callable[[Secret], None]]:
    """Yields a function that puts a secret into `path` (mode 0600, whole or not at all)."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ExporterError(f"--{_TOKEN_FLAG}: cannot write into {path.parent}: {error.strerror}") from error
    beside = Path(name)
    with os.fdopen(descriptor, "wb", buffering=0) as stream:  # closing it must not try again what failed

        def write(secret: Secret) -> None:
            try:
                stream.write(secret.reveal().encode() + b"\n")
                os.fsync(stream.fileno())
                beside.replace(path)
            except OSError as error:
                raise ExporterError(
                    f"--{_TOKEN_FLAG}: cannot write {path}: {error.strerror}; mend that and make a new code, for this "
                    "one is used up"
                ) from error

        try:
            yield write
        finally:
            beside.unlink(missing_ok=True)


@click.command("show", context_settings=CONTEXT)
@plain_output_options
@settings_options(*API_SETTINGS)
def show(values: Values, form: str | None, output: Path | None) -> None:
    """Which credentials are configured, from where, and what the token cache remembers. No secret is shown."""
    settings = prepare(values, by_hand=True)
    states = [
        ("client id", "set" if settings.auth.client_id else "not set"),
        *((name.removeprefix("auth."), _source(values, name)) for name in SECRETS),
        *_remembered(settings.api, settings.auth.token_cache),
    ]
    rows: list[dict[str, Cell]] = [{"item": item, "state": state} for item, state in states]
    write_report(Report({"report": "auth show"}, (Column("item"), Column("state")), rows, {}), form, output)


def _source(values: Values, name: str) -> str:
    given = values.given(name)
    if given is not None and (given.rank > 2 or not values.variable(SECRETS[name])):
        path = values.one(name, parse.path)
        return f"in {path} (mode {path.stat().st_mode & 0o777:04o})"
    return f"in {SECRETS[name]}" if values.variable(SECRETS[name]) else "not set"


def _remembered(api: ApiSettings, cache: Path) -> Iterator[tuple[str, str]]:
    from exporter.zoho.endpoints import Endpoint
    from exporter.zoho.memory import Memory
    from exporter.zoho.session import checked_origins

    if not cache.exists():
        yield "token cache", f"{cache} is not there yet"
        return
    yield "token cache", f"{cache} (mode {cache.stat().st_mode & 0o777:04o})"
    memory = Memory.open(cache, None)
    now = SystemClock().now_ms()
    token = memory.token
    if token is None:
        yield "access token", "none"
    else:
        word = "valid until" if token.expires_at > now else "over since"
        yield "access token", f"{word} {utc_text(token.expires_at)}"
    yield "refreshes in ten minutes", str(len(memory.recent_refreshes(now)))
    origins = checked_origins(api)
    for url in dict.fromkeys(origins.url(endpoint) for endpoint in Endpoint):
        until = memory.locked_until(url, now)
        if until is not None:
            yield f"lock of {url}", f"until {utc_text(until)}"


@click.command("revoke", context_settings=CONTEXT)
@yes_option
@settings_options(*API_SETTINGS)
def revoke(values: Values, yes: bool) -> None:
    """Make the refresh token, and all access tokens made from it, invalid at Zoho. Asks first; there is no way back."""
    settings = prepare(values, by_hand=True)
    refresh_token = settings.auth.refresh_token
    if refresh_token is None:
        raise UsageError(
            f"--{_TOKEN_FLAG} is missing: name the file that holds the refresh token, or set {SECRETS[_TOKEN_FLAG]}"
        )
    confirm("Revoke the refresh token? Every program that uses it stops working.", yes=yes)

    async def call(transport: "Transport", deadline: float) -> None:
        from exporter.zoho import oauth

        await oauth.revoke(transport, SystemClock(), refresh_token=refresh_token, deadline=deadline)

    _with_transport(settings.api, settings.auth.token_cache, call)
    click.echo(f"the refresh token was revoked; {_advice(_files(values))}", err=True)


def _files(values: Values) -> Sequence[str]:
    path = values.optional(_TOKEN_FLAG, parse.path)
    return [str(path)] if path else []


def _advice(files: Sequence[str]) -> str:
    return f"remove the file {files[0]}" if files else f"unset {SECRETS[_TOKEN_FLAG]}"
