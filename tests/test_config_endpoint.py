"""/config: the settings in force as a file for --config.file, without a secret."""

import asyncio
import dataclasses
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.build import settings_from
from exporter.cli.settings_table import SECRETS, SETTINGS
from exporter.cli.values import gather
from exporter.errors import UsageError
from exporter.history.classes import Classes
from exporter.model import reported
from exporter.secret import MASK, Secret
from exporter.settings import AgentsSettings, AuthSettings, HistorySettings, Settings
from exporter.settings_text import FIELDS, as_yaml, changed
from tests.support.running import exporting, settings_against, simulated
from tests.support.web import Running, with_server
from tests.test_cli_options import EXAMPLES

SECRET_FIELDS = ("api.proxy", "auth.client_secret", "auth.refresh_token", "auth.access_token")


def read_back(text: str, folder: Path) -> Settings:
    path = folder / "copied.yml"
    path.write_text(text, encoding="utf-8")
    return settings_from(gather({"config.file": (str(path),)}, {}))


def leaves(settings: Any, before: str = "") -> set[str]:
    """The dotted names of all fields that hold no fields themselves."""
    found: set[str] = set()
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), before + field.name
        found |= leaves(value, f"{name}.") if dataclasses.is_dataclass(value) else {name}
    return found


def test_every_setting_and_every_field_of_the_settings_has_its_place() -> None:
    assert list(dict.fromkeys(name for name, _, _ in FIELDS)) == list(SETTINGS)
    assert {where for _, where, _ in FIELDS} == leaves(Settings())


def test_the_defaults_are_read_back_as_they_are(tmp_path: Path) -> None:
    text = as_yaml(Settings())
    assert read_back(text, tmp_path) == Settings()
    document = yaml.safe_load(text)
    assert document["poll"] == {"interval": "30s", "max-age": "1m30s"}
    assert (document["db"], document["db.mode"]) == ("zohovoice.db", "0600")
    assert document["classes"]["not-ready"] == ["Busy", "On Break"]
    assert document["web"]["listen-address"] == [":10042"]
    assert "proxy" not in document["api"]
    assert not text.startswith("#")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    ca, secret = tmp_path / "ca.pem", tmp_path / "secret"
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    return {"{ca}": str(ca), "{secret}": str(secret)}


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_is_read_back_and_each_secret_is_masked(name: str, files: dict[str, str], tmp_path: Path) -> None:
    given = files.get(EXAMPLES[name][0], EXAMPLES[name][0])
    settings = settings_from(gather({name: (given,)}, {}))
    text = as_yaml(settings)
    assert "s3cret" not in text
    assert "u:p" not in text
    document = yaml.safe_load(text)
    masked = [where for where in SECRET_FIELDS if attrgetter(where)(settings) is not None]
    if not masked:
        assert read_back(text, tmp_path) == settings
        return
    group, _, key = name.partition(".")
    assert document[group][key] == MASK
    assert text.startswith("# <secret> stands for")
    # As a person would do who copies it: the secret is put back in its place.
    document[group][key] = given
    assert read_back(yaml.safe_dump(document), tmp_path) == settings


def test_a_copy_whose_secrets_were_not_put_back_is_refused_and_names_the_key(tmp_path: Path) -> None:
    text = as_yaml(Settings(auth=AuthSettings(client_secret=Secret("hunter2"))))
    with pytest.raises(UsageError, match=r"\(auth\.client-secret-file\): cannot read the file <secret>"):
        read_back(text, tmp_path)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_of_the_environment_shows_as_a_secret_and_no_variable_is_named(name: str) -> None:
    text = as_yaml(settings_from(gather({}, {SECRETS[name]: "hunter2"})))
    assert yaml.safe_load(text)["auth"][name.removeprefix("auth.")] == MASK
    assert "hunter2" not in text
    assert "ZOHOVOICE" not in text


def test_what_does_not_look_like_a_client_id_is_masked() -> None:
    assert yaml.safe_load(as_yaml(Settings(auth=AuthSettings(client_id="hunter2"))))["auth"]["client-id"] == MASK


PATHS = st.text(st.characters(exclude_characters="\0"), min_size=1).filter(lambda text: not text.startswith("~"))
WORDS = (
    st.lists(st.text(max_size=20), max_size=3)
    .map(lambda words: frozenset(reported(word.strip()).word for word in ",".join(words).split(",") if word.strip()))
    .filter(lambda words: not words & {"unknown", "absent", "error"})
)
"""Statuses as the settings hold them."""
TRICKY = st.sampled_from(
    ["yes", "null", "~x", "0600", "1e3", "2026-01-01", "a: b", "#c", "- d", "'", '"', "é\u2028x", "\x85"]
)


@given(
    db=st.one_of(PATHS, TRICKY.filter(lambda text: not text.startswith("~"))),
    interval_ms=st.integers(1, 366 * 86_400_000),
    retention_ms=st.none() | st.integers(3_600_000, 10**12),
    ids=st.lists(st.from_regex("[0-9]{1,32}", fullmatch=True), unique=True, max_size=4),
    mode=st.sampled_from([0o600, 0o640, 0o644]),
    offline=WORDS,
)
def test_whatever_stands_in_the_settings_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    db: str,
    interval_ms: int,
    retention_ms: int | None,
    ids: list[str],
    mode: int,
    offline: frozenset[str],
) -> None:
    settings = replace(
        Settings(),
        agents=AgentsSettings(ids=tuple(ids), discover=True, refresh_interval_s=interval_ms / 1000),
        history=HistorySettings(Path(db), mode, retention_ms, Classes(frozenset(), frozenset(), frozenset(), offline)),
        auth=AuthSettings(token_cache=Path(db)),
    )
    folder = tmp_path_factory.getbasetemp()
    back = read_back(as_yaml(settings), folder)
    assert back == settings


def test_what_differs_is_told_by_name_and_each_name_once() -> None:
    before = Settings(auth=AuthSettings(access_token=Secret("one")))
    after = Settings(auth=AuthSettings(access_token=Secret("two"), access_token_file=Path("x")))
    after = replace(after, history=HistorySettings(Path("other.db"), 0o640, None, Classes(handling=frozenset())))
    assert changed(before, before) == ()
    assert changed(before, after) == ("auth.access-token-file", "db", "db.mode", "classes.handling")


def test_the_endpoint_serves_it_as_text_that_nobody_keeps() -> None:
    async def look(server: Running) -> None:
        answer = await server.get("/config")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text == "web: {pages: Zoë}\n"
        assert (await server.client.head("/config")).status_code == 200
        assert (await server.client.post("/config")).status_code == 405

    with_server(look, config_text=lambda: "web: {pages: Zoë}\n")


def test_the_running_program_shows_its_own_settings_and_none_of_its_secrets(tmp_path: Path) -> None:
    async def run() -> None:
        async with simulated() as simulator:
            settings = settings_against(simulator, tmp_path)
            settings = replace(settings, api=replace(settings.api, proxy=Secret("http://me:hunter2@127.0.0.1:9")))
            async with exporting(settings) as exporter:
                text = await exporter.text("/config")
            document = yaml.safe_load(text)
            assert document["api"]["url"] == simulator.url
            assert document["poll"] == {"interval": "200ms", "max-age": "600ms"}
            assert document["db"] == str(tmp_path / "zohovoice.db")
            assert document["api"]["proxy"] == MASK
            assert document["auth"]["refresh-token-file"] == MASK
            for secret in (simulator.credentials.client_secret, simulator.credentials.admin, Secret("hunter2")):
                assert secret.reveal() not in text

    asyncio.run(run())
