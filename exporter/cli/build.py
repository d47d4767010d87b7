"""From what was given to the frozen settings that the application takes: every value checked, alone and together."""

import logging
import re
import stat
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from exporter import logs
from exporter.cli import parse
from exporter.cli.classes import classes_from
from exporter.cli.settings_table import SECRETS
from exporter.cli.values import Values
from exporter.errors import UsageError
from exporter.secret import Secret
from exporter.settings import (
    AgentsSettings,
    ApiSettings,
    AuthSettings,
    HistorySettings,
    LogSettings,
    MetricsSettings,
    Pages,
    PollSettings,
    Settings,
    WebSettings,
)
from exporter.textfile import read_text
from exporter.zoho.endpoints import checked_origin

log: Final = logging.getLogger(__name__)

CACHE_FILE_NAME: Final = "zohovoice-token.json"

_REFRESH_TOKEN: Final = "auth.refresh-token-file"
_LIKE_A_SECRET: Final = re.compile(r"(?:1000\.)?[0-9a-f.]{32,}", re.IGNORECASE)
"""Zoho's tokens and client secrets; given in place of a file's name by mistake."""


def prepare(values: Values, *, by_hand: bool = False) -> Settings:
    """Set up logging, then read and check everything.

    `by_hand`: for commands whose answer is what counts: only warnings are logged unless a level was asked for.
    """
    log_settings = log_settings_from(values, by_hand=by_hand)
    logs.configure(log_settings)  # reading secrets may have something to warn of
    settings = settings_from(values)
    logs.configure(log_settings, secrets_of(settings))
    return settings


def rereading(values: Values, settings: Settings) -> Callable[[], Settings]:
    """What gives the settings anew, with the files as they are then; `settings` are those of now.

    It blocks, and raises UsageError as `settings_from` does.
    """
    known = frozenset(secrets_of(settings))

    def reread() -> Settings:
        again = settings_from(values.anew())
        for secret in secrets_of(again):
            if secret not in known:
                logs.remember_secret(secret)
        return again

    return reread


def secrets_of(settings: Settings) -> Sequence[Secret]:
    """All secrets that the settings hold."""
    auth = settings.auth
    found = [auth.client_secret, auth.refresh_token, auth.access_token]
    if auth.access_token_file is not None:
        found.append(Secret(read_text(auth.access_token_file, "--auth.access-token-file").rstrip("\r\n")))
    return [*(secret for secret in found if secret is not None), *proxy_secrets(settings.api)]


def proxy_secrets(api: ApiSettings) -> Iterator[Secret]:
    """A proxy's URL, its password as written and as meant, and the header that user and password make."""
    if api.proxy is None:
        return
    yield api.proxy
    login = api.proxy.reveal().partition("://")[2].rpartition("@")[0]
    user, colon, password = login.partition(":")
    if colon:
        yield Secret(password)
        yield Secret(unquote(password))
        yield Secret(b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode())


def settings_from(values: Values) -> Settings:
    """The settings. Raises UsageError that names the flag (and the variable or line) of the first mistake."""
    poll = _poll(values)
    return Settings(
        api=api_settings(values),
        auth=auth_settings(values),
        agents=_agents(values),
        poll=poll,
        history=HistorySettings(
            db=values.one("db", parse.path),
            mode=values.one("db.mode", parse.mode),
            retention_ms=values.optional("history.retention", parse.retention_ms),
            classes=classes_from(values),
        ),
        metrics=_metrics(values),
        web=_web(values),
        log=log_settings_from(values),
    )


def log_settings_from(values: Values, *, by_hand: bool = False) -> LogSettings:
    """How to log."""
    level = values.one("log.level", parse.choice(*logs.LEVELS))
    given = values.given("log.level")
    if by_hand and (given is None or given.rank == 0):
        level = "warn"
    return LogSettings(level=level, format=values.one("log.format", parse.choice(*logs.FORMATS)))


def api_settings(values: Values) -> ApiSettings:
    """How to reach Zoho."""
    ca_file = values.optional("api.ca-file", parse.path)
    if ca_file is not None and "-----BEGIN" not in read_text(ca_file, values.where("api.ca-file")):
        raise UsageError(f"{values.where('api.ca-file')}: {ca_file} holds no certificate in PEM form")
    return ApiSettings(
        url=checked_origin(values.where("api.url"), values.one("api.url", str)),
        accounts_url=checked_origin(values.where("api.accounts-url"), values.one("api.accounts-url", str)),
        timeout_s=values.one("api.timeout", parse.seconds),
        max_requests_per_minute=values.one("api.max-requests-per-minute", parse.count(1, 100_000)),
        agents_per_request=values.one("api.agents-per-request", parse.count(1, 1_000)),
        concurrency=values.one("api.concurrency", parse.count(1, 100)),
        proxy=values.optional("api.proxy", parse.proxy),
        ca_file=ca_file,
    )


def auth_settings(values: Values, *, refresh_token: bool = True) -> AuthSettings:
    """How to authorise. Without `refresh_token` its file is not read: it may be about to be made."""
    cache = values.optional("auth.token-cache", parse.path)
    access_token, access_file = _secret(values, "auth.access-token-file")
    return AuthSettings(
        client_id=values.optional("auth.client-id", parse.word) or "",
        client_secret=_secret(values, "auth.client-secret-file")[0],
        refresh_token=_secret(values, _REFRESH_TOKEN)[0] if refresh_token else None,
        access_token=None if access_file else access_token,  # the file is read anew, so its content is not kept
        access_token_file=access_file,
        token_cache=cache or values.one("db", parse.path).parent / CACHE_FILE_NAME,
    )


def _secret(values: Values, name: str) -> tuple[Secret | None, Path | None]:
    """The secret, and the file it came from if it came from one."""
    variable = SECRETS[name]
    direct = values.variable(variable)
    given = values.given(name)
    if given is not None and direct is not None and given.rank == 2:
        raise UsageError(f"both {variable} and {given.where} are set: keep one of them")
    if given is not None and (direct is None or given.rank > 2):
        path = values.one(name, parse.path)
        if _LIKE_A_SECRET.fullmatch(str(path)) and not path.exists():  # not repeated
            raise UsageError(
                f"{given.where} must name a file, but holds what looks like the secret itself: write it to a file, or "
                f"set {variable}"
            )
        if name == _REFRESH_TOKEN and not path.exists():
            raise UsageError(
                f"{given.where}: cannot read the file {path}: No such file or directory; make it with "
                "'zohovoice-exporter auth exchange'"
            )
        return read_secret_file(given.where, path), path
    return (Secret(_checked(direct, variable)), None) if direct is not None else (None, None)


def read_secret_file(where: str, path: Path) -> Secret:
    """The secret in `path` without the line end; logs a warning if others may read the file.

    Raises UsageError, which names setting and file but shows nothing of the content.
    """
    text = read_text(path, where).rstrip("\r\n")
    if path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        fields = {"file": str(path), "mend": f"chmod 600 {path}"}
        log.warning("a file with a secret can be read by others", extra={"fields": fields})
    return Secret(_checked(text, f"{where}: the file {path}"))


def _checked(text: str, where: str) -> str:
    if not text.strip():
        raise UsageError(f"{where} is empty; it must hold the secret and nothing else")
    # A header or form value with a blank or a line end in it would be refused far from here, and be quoted there.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{where} must hold the secret on one line and nothing else: it has blanks or odd characters")
    return text


def _agents(values: Values) -> AgentsSettings:
    ids = values.optional("agents.ids", parse.ids) or ()
    zuids = values.optional("agents.zuids", parse.ids) or ()
    file = values.optional("agents.file", parse.path)
    named = bool(ids or zuids or file)
    discover = values.optional("agents.discover", parse.switch)
    if discover is False and not named:
        raise UsageError(
            f"{values.where('agents.discover')}: nobody is left to track; "
            "name agents by --agents.ids, --agents.zuids or --agents.file, or leave discovery on"
        )
    return AgentsSettings(
        ids=ids,
        zuids=zuids,
        file=file,
        discover=not named if discover is None else discover,
        refresh_interval_s=values.one("agents.refresh-interval", parse.seconds),
    )


def _poll(values: Values) -> PollSettings:
    interval = values.one("poll.interval", parse.seconds)
    max_age = values.optional("poll.max-age", parse.seconds)
    if max_age is not None and max_age < interval:
        raise UsageError(
            f"{values.where('poll.max-age')}: {parse.as_duration(max_age)} is shorter than the poll interval "
            f"({parse.as_duration(interval)}), so metrics would vanish between two good polls; make it longer"
        )
    return PollSettings(interval_s=interval, max_age_s=3 * interval if max_age is None else max_age)


def _metrics(values: Values) -> MetricsSettings:
    return MetricsSettings(
        per_agent=values.one("metrics.per-agent", parse.switch),
        agent_seconds=values.one("metrics.agent-seconds", parse.switch),
        agent_limit=values.optional("metrics.agent-limit", parse.count(1, 10_000_000)),
        names=values.one("metrics.names", parse.switch),
        last_seen=values.one("metrics.last-seen", parse.switch),
    )


def _web(values: Values) -> WebSettings:
    addresses = values.many("web.listen-address", parse.listen_address, names_flag=True)
    try:
        parse.unique(addresses, "address")
    except UsageError as error:
        raise UsageError(f"{values.where('web.listen-address')}: {error}") from error
    return WebSettings(
        listen_addresses=addresses,
        systemd_socket=values.one("web.systemd-socket", parse.switch),
        config_file=values.optional("web.config.file", parse.path),
        telemetry_path=values.one("web.telemetry-path", parse.url_path),
        max_requests=values.one("web.max-requests", parse.count(0, 100_000)),
        disable_exporter_metrics=values.one("web.disable-exporter-metrics", parse.switch),
        enable_lifecycle=values.one("web.enable-lifecycle", parse.switch),
        pages=pages(values),
    )


def pages(values: Values) -> Pages:
    """When pages with personal data are served."""
    return Pages(values.one("web.pages", parse.choice(*(when.value for when in Pages))))
