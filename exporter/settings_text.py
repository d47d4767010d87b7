"""The settings in force as texts: the first line of the log, the YAML of /config, and the names of what differs."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

from exporter import __version__
from exporter.durations import format_duration_ms
from exporter.secret import MASK
from exporter.settings import Pages, Settings

Plain = str | int | bool | list[str]

_CLIENT_ID: Final = re.compile(r"1000\.[0-9A-Z]+")
"""Zoho's client ids. What else stands in their place may be a secret that was put there by mistake."""
_HINT: Final = f"# {MASK} stands for a secret: name the file that holds it there, or set its variable.\n"


def _text(dumper: yaml.representer.BaseRepresenter, text: Any) -> yaml.Node:
    # In other styles YAML folds line ends, and the end of a line is not only what it is to Python.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


class _Dumper(yaml.SafeDumper):
    yaml_representers: ClassVar = {**yaml.SafeDumper.yaml_representers, str: _text}


def _same(value: Any) -> Plain:
    assert isinstance(value, str | int | bool)
    return value


def _path(value: Path) -> Plain:
    return str(value)


def _masked(_: object) -> Plain:
    return MASK


def _client_id(value: str) -> Plain:
    return value if _CLIENT_ID.fullmatch(value) else MASK


def _seconds(value: float) -> Plain:
    return format_duration_ms(round(value * 1000))


def _mode(value: int) -> Plain:
    return f"{value:04o}"


def _list(value: Iterable[str]) -> Plain:
    return list(value)


def _words(value: frozenset[str]) -> Plain:
    return sorted(value) or ""  # an empty list is written as the empty text


def _word(value: Pages) -> Plain:
    return value.value


FIELDS: Final[tuple[tuple[str, str, Callable[[Any], Plain]], ...]] = (
    ("api.url", "api.url", _same),
    ("api.accounts-url", "api.accounts_url", _same),
    ("api.timeout", "api.timeout_s", _seconds),
    ("api.max-requests-per-minute", "api.max_requests_per_minute", _same),
    ("api.agents-per-request", "api.agents_per_request", _same),
    ("api.concurrency", "api.concurrency", _same),
    ("api.proxy", "api.proxy", _masked),
    ("api.ca-file", "api.ca_file", _path),
    ("auth.client-id", "auth.client_id", _client_id),
    ("auth.client-secret-file", "auth.client_secret", _masked),
    ("auth.refresh-token-file", "auth.refresh_token", _masked),
    ("auth.access-token-file", "auth.access_token", _masked),
    ("auth.access-token-file", "auth.access_token_file", _path),
    ("auth.token-cache", "auth.token_cache", _path),
    ("agents.ids", "agents.ids", _list),
    ("agents.zuids", "agents.zuids", _list),
    ("agents.file", "agents.file", _path),
    ("agents.discover", "agents.discover", _same),
    ("agents.refresh-interval", "agents.refresh_interval_s", _seconds),
    ("poll.interval", "poll.interval_s", _seconds),
    ("poll.max-age", "poll.max_age_s", _seconds),
    ("db", "history.db", _path),
    ("db.mode", "history.mode", _mode),
    ("history.retention", "history.retention_ms", format_duration_ms),
    ("classes.handling", "history.classes.handling", _words),
    ("classes.available", "history.classes.available", _words),
    ("classes.not-ready", "history.classes.not_ready", _words),
    ("classes.offline", "history.classes.offline", _words),
    ("metrics.per-agent", "metrics.per_agent", _same),
    ("metrics.agent-seconds", "metrics.agent_seconds", _same),
    ("metrics.agent-limit", "metrics.agent_limit", _same),
    ("metrics.names", "metrics.names", _same),
    ("metrics.last-seen", "metrics.last_seen", _same),
    ("web.listen-address", "web.listen_addresses", _list),
    ("web.systemd-socket", "web.systemd_socket", _same),
    ("web.config.file", "web.config_file", _path),
    ("web.telemetry-path", "web.telemetry_path", _same),
    ("web.max-requests", "web.max_requests", _same),
    ("web.disable-exporter-metrics", "web.disable_exporter_metrics", _same),
    ("web.enable-lifecycle", "web.enable_lifecycle", _same),
    ("web.pages", "web.pages", _word),
    ("log.level", "log.level", _same),
    ("log.format", "log.format", _same),
)
"""Each field of the settings: the name of the setting, where its value is, and the value as the YAML file has it.

Values that come from the environment stand here under the name of the setting that they belong to.
"""


def as_yaml(settings: Settings) -> str:
    """The settings as a file for --config.file; each secret is `<secret>`. What has no value is left out.

    Every setting is in it, whether it came from a flag, a variable, the file or the table of defaults.
    """
    document: dict[str, Any] = {}
    for name, where, written in FIELDS:
        value = attrgetter(where)(settings)
        if value is None or value in ((), ""):
            continue
        group, _, key = name.partition(".")
        # `db` has a value of its own, so its mode stands beside it.
        place, key = (document, name) if not key or group == "db" else (document.setdefault(group, {}), key)
        place[key] = written(value)
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return _HINT + text if MASK in text else text


def changed(before: Settings, after: Settings) -> tuple[str, ...]:
    """The names of the settings whose values differ, each once, in the order of the table; never a value."""
    names = (name for name, where, _ in FIELDS if attrgetter(where)(before) != attrgetter(where)(after))
    return tuple(dict.fromkeys(names))


def effective(settings: Settings) -> dict[str, object]:
    """The configuration in force, for the first line of the log; secrets show as `<secret>`."""
    fields: dict[str, object] = {"version": __version__}
    for room in dataclasses.fields(settings):
        if room.name == "log":
            continue
        values = getattr(settings, room.name)
        for field in dataclasses.fields(values):
            value = getattr(values, field.name)
            if (room.name, field.name) == ("history", "mode"):
                value = _mode(value)
            elif field.name == "client_id":
                value = value and _client_id(value)
            elif isinstance(value, Pages):
                value = value.value
            if value not in (None, (), ""):
                fields[f"{room.name}.{field.name}"] = ",".join(value) if isinstance(value, tuple) else str(value)
    return fields
