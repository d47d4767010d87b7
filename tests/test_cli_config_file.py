"""The file of --config.file: every spelling that is allowed, and the sentence for each mistake."""

from pathlib import Path

import pytest

from exporter.cli.build import settings_from
from exporter.cli.values import gather
from exporter.errors import UsageError
from exporter.settings import LogSettings, Settings

DATA = Path(__file__).parent / "data" / "config"


def settings_of(path: Path) -> Settings:
    return settings_from(gather({"config.file": (str(path),)}, {}))


def test_keys_may_be_nested_dotted_and_mixed_and_lists_be_lists() -> None:
    settings = settings_of(DATA / "good-nested.yml")
    assert settings.api.url == "https://voice.example.com"
    assert settings.api.timeout_s == 5.0
    assert settings.agents.ids == ("7001", "0007002")
    assert not settings.agents.discover
    assert settings.poll.interval_s == 60.0
    assert settings.poll.max_age_s == 300.0
    assert settings.history.db == Path("/var/lib/zohovoice/history.db")
    assert settings.history.mode == 0o640
    assert settings.auth.token_cache == Path("/var/lib/zohovoice/zohovoice-token.json")
    assert settings.metrics.names
    assert not settings.metrics.per_agent
    assert settings.web.listen_addresses == ("127.0.0.1:10042", "[::1]:10042")
    assert settings.log == LogSettings(level="debug", format="json")


def test_dotted_keys_alone_do_too() -> None:
    settings = settings_of(DATA / "good-dotted.yml")
    assert (settings.poll.interval_s, settings.log.format) == (45.0, "json")


def test_an_empty_file_changes_nothing() -> None:
    assert settings_of(DATA / "empty.yml") == Settings()


MISTAKES = {
    "unknown-key.yml": "{path}, line 2: the key 'poll.intervall' is not known; did you mean 'poll.interval'?",
    "unknown-group.yml": "{path}, line 1: the key 'pol' is not known; did you mean 'poll'?",
    "unknown-key-without-a-near-one.yml": "{path}, line 1: the key 'zzz' is not known",
    "duplicate-key.yml": "{path}, line 3, column 3: the key 'interval' stands here again; it was on line 2",
    "duplicate-nested-and-dotted.yml": (
        "{path}, line 3 (poll.interval): the key stands here again; it was at {path}, line 2 (poll.interval)"
    ),
    "list-for-a-duration.yml": "{path}, line 2 (poll.interval): a list stands where one value (duration) is expected",
    "duration-without-unit.yml": (
        "{path}, line 2 (poll.interval): '30' is not a duration: write it as in Prometheus, such as 30s, 5m or 1h30m"
    ),
    "value-for-a-group.yml": ("{path}, line 1: expected a map under 'poll', with keys such as interval, max-age"),
    "no-value.yml": (
        "{path}, line 2 (poll.interval): the key has no value; expected one value (duration), or leave the key out"
    ),
    "word-for-a-switch.yml": "{path}, line 2 (metrics.names): 'maybe' is neither true nor false",
    "list-in-a-list.yml": (
        "{path}, line 2 (web.listen-address): expected a value or a list of values (address), each a plain value"
    ),
    "map-for-the-database.yml": (
        "{path}, line 2: the key 'db.path' is not known; 'db' holds its value itself, as in 'db: FILE'"
    ),
    "secret-in-the-file.yml": (
        "{path}, line 2: the key 'auth.client-secret' would put a secret into this file; write the secret to a file "
        "of its own and name it by auth.client-secret-file, or set ZOHOVOICE_AUTH_CLIENT_SECRET"
    ),
    "not-yaml.yml": "{path}, line 2, column 1: this is not YAML: expected ',' or '}}', but got '<stream end>'",
    "list-at-the-top.yml": "{path}, line 1, column 1: expected a map of settings, such as 'poll: {{interval: 30s}}'",
    "list-as-a-key.yml": "{path}, line 3, column 3: a key must be a word, not a list or a map",
    "not-utf-8.yml": "{path}, line 2: this is not UTF-8 text: save the file as UTF-8",
    "not-there.yml": "--config.file: cannot read the file {path}: No such file or directory",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_file_line_and_key(name: str) -> None:
    path = DATA / name
    with pytest.raises(UsageError) as caught:
        settings_of(path)
    assert str(caught.value) == MISTAKES[name].format(path=path)
    assert caught.value.exit_code == 2
    assert "VERYSECRET" not in str(caught.value)


def test_every_data_file_is_used_by_a_test() -> None:
    good = {"good-nested.yml", "good-dotted.yml", "empty.yml"}
    assert {path.name for path in DATA.iterdir()} == (good | set(MISTAKES)) - {"not-there.yml"}
