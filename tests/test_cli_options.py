"""Settings from flags, environment and file: which goes before which, what is refused, and how secrets come in."""

import dataclasses
import logging
from pathlib import Path

import pytest

from exporter.cli.build import secrets_of, settings_from
from exporter.cli.settings_table import SECRETS, SETTINGS, Shape
from exporter.cli.values import gather
from exporter.errors import UsageError
from exporter.history.classes import Classes
from exporter.quoting import shown
from exporter.secret import Secret
from exporter.settings import Pages, Settings


def settings_of(
    flags: dict[str, str] | None = None, env: dict[str, str] | None = None, config: Path | None = None
) -> Settings:
    given = {name: (text,) for name, text in (flags or {}).items()}
    if config is not None:
        given["config.file"] = (str(config),)
    return settings_from(gather(given, env or {}))


def test_with_nothing_given_the_defaults_are_those_of_the_settings() -> None:
    assert settings_of() == Settings()


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(tmp_path: Path) -> None:
    config = tmp_path / "c.yml"
    config.write_text("poll: {interval: 40s}\n")
    env = {"ZOHOVOICE_POLL_INTERVAL": "50s"}
    assert settings_of().poll.interval_s == 30.0
    assert settings_of(config=config).poll.interval_s == 40.0
    assert settings_of(env=env, config=config).poll.interval_s == 50.0
    assert settings_of({"poll.interval": "1m"}, env, config).poll.interval_s == 60.0


def test_the_config_file_may_be_named_by_a_variable_and_an_empty_variable_is_none(tmp_path: Path) -> None:
    config = tmp_path / "c.yml"
    config.write_text("poll: {interval: 40s}\n")
    assert settings_of(env={"ZOHOVOICE_CONFIG_FILE": str(config)}).poll.interval_s == 40.0
    assert settings_of(env={"ZOHOVOICE_CONFIG_FILE": "", "ZOHOVOICE_POLL_INTERVAL": ""}).poll.interval_s == 30.0


# Each setting once: a text, and where in the settings which value must then stand.
EXAMPLES: dict[str, tuple[str, str, object]] = {
    "api.url": ("https://voice.example.com/", "api.url", "https://voice.example.com"),
    "api.accounts-url": ("http://127.0.0.1:8080", "api.accounts_url", "http://127.0.0.1:8080"),
    "api.timeout": ("2s500ms", "api.timeout_s", 2.5),
    "api.max-requests-per-minute": ("120", "api.max_requests_per_minute", 120),
    "api.agents-per-request": ("20", "api.agents_per_request", 20),
    "api.concurrency": ("8", "api.concurrency", 8),
    "api.proxy": ("http://u:p@proxy.example.com:3128", "api.proxy", Secret("http://u:p@proxy.example.com:3128")),
    "api.ca-file": ("{ca}", "api.ca_file", "{ca}"),
    "auth.client-id": ("1000.ABC", "auth.client_id", "1000.ABC"),
    "auth.client-secret-file": ("{secret}", "auth.client_secret", Secret("s3cret")),
    "auth.refresh-token-file": ("{secret}", "auth.refresh_token", Secret("s3cret")),
    "auth.access-token-file": ("{secret}", "auth.access_token_file", "{secret}"),
    "auth.token-cache": ("/tmp/cache.json", "auth.token_cache", Path("/tmp/cache.json")),
    "agents.ids": ("1, 02,3", "agents.ids", ("1", "02", "3")),
    "agents.zuids": ("698000001", "agents.zuids", ("698000001",)),
    "agents.file": ("agents.csv", "agents.file", Path("agents.csv")),
    "agents.discover": ("true", "agents.discover", True),
    "agents.refresh-interval": ("1h", "agents.refresh_interval_s", 3600.0),
    "poll.interval": ("1h30m", "poll.interval_s", 5400.0),
    "poll.max-age": ("2m", "poll.max_age_s", 120.0),
    "db": ("/data/x.db", "history.db", Path("/data/x.db")),
    "db.mode": ("0640", "history.mode", 0o640),
    "history.retention": ("400d", "history.retention_ms", 400 * 86_400_000),
    "classes.handling": ("Lunch", "history.classes", Classes(handling=frozenset({"Lunch"}))),
    "classes.available": ("busy2, Idle", "history.classes", Classes(available=frozenset({"busy2", "Idle"}))),
    "classes.not-ready": ("Onbreak", "history.classes", Classes(not_ready=frozenset({"On Break"}))),
    "classes.offline": ("Offline,Gone", "history.classes", Classes(offline=frozenset({"Offline", "Gone"}))),
    "metrics.per-agent": ("false", "metrics.per_agent", False),
    "metrics.agent-seconds": ("no", "metrics.agent_seconds", False),
    "metrics.agent-limit": ("500", "metrics.agent_limit", 500),
    "metrics.names": ("true", "metrics.names", True),
    "metrics.last-seen": ("on", "metrics.last_seen", True),
    "web.listen-address": ("[::1]:9", "web.listen_addresses", ("[::1]:9",)),
    "web.systemd-socket": ("true", "web.systemd_socket", True),
    "web.config.file": ("web.yml", "web.config_file", Path("web.yml")),
    "web.telemetry-path": ("/m", "web.telemetry_path", "/m"),
    "web.max-requests": ("0", "web.max_requests", 0),
    "web.disable-exporter-metrics": ("1", "web.disable_exporter_metrics", True),
    "web.enable-lifecycle": ("yes", "web.enable_lifecycle", True),
    "web.pages": ("never", "web.pages", Pages.NEVER),
    "log.level": ("debug", "log.level", "debug"),
    "log.format": ("json", "log.format", "json"),
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    ca, secret = tmp_path / "ca.pem", tmp_path / "secret"
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    return {"{ca}": str(ca), "{secret}": str(secret)}


def found_in(settings: Settings, where: str) -> object:
    group, _, field = where.partition(".")
    value = getattr(getattr(settings, group), field)
    return str(value) if field in ("ca_file", "access_token_file") else value


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_read_from_its_flag_its_variable_and_its_key(
    name: str, files: dict[str, str], tmp_path: Path
) -> None:
    text, where, expected = EXAMPLES[name]
    text, expected = files.get(text, text), files.get(str(expected), expected)
    variable = "ZOHOVOICE_" + name.upper().replace(".", "_").replace("-", "_")
    assert found_in(settings_of({name: text}), where) == expected
    assert found_in(settings_of(env={variable: text}), where) == expected
    config = tmp_path / "c.yml"
    config.write_text(f"{name}: '{text}'\n")
    assert found_in(settings_of(config=config), where) == expected


@pytest.mark.parametrize("name", [name for name in SETTINGS if "." in name and name != "db.mode"])
def test_every_setting_is_read_from_nested_keys(name: str, files: dict[str, str], tmp_path: Path) -> None:
    text, where, expected = EXAMPLES[name]
    group, _, key = name.partition(".")
    config = tmp_path / "c.yml"
    config.write_text(f"{group}:\n  {key}: '{files.get(text, text)}'\n")
    assert found_in(settings_of(config=config), where) == files.get(str(expected), expected)


def test_every_field_of_the_settings_can_be_set() -> None:
    fields = {
        f"{group.name}.{field.name}"
        for group in dataclasses.fields(Settings)
        for field in dataclasses.fields(getattr(Settings(), group.name))
    }
    assert fields - {where for _, where, _ in EXAMPLES.values()} == {"auth.access_token"}  # the environment only


def test_help_says_default_or_what_stands_for_it() -> None:
    for setting in SETTINGS.values():
        assert setting.help.endswith(".")
        if setting.shape is not Shape.SWITCH:
            assert setting.metavar


MISTAKES = {
    ("poll.interval", "5 minutes"): (
        "'5 minutes' is not a duration: write it as in Prometheus, such as 30s, 5m or 1h30m"
    ),
    ("poll.interval", "0"): "'0' must be above zero; write a duration such as 30s, 5m or 1h30m",
    ("poll.interval", "-30s"): "'-30s' must be above zero; write a duration such as 30s, 5m or 1h30m",
    ("api.timeout", "2y"): "'2y' is longer than a year, the longest that makes sense here",
    ("api.concurrency", "0"): "'0' is not a whole number from 1 to 100",
    ("api.agents-per-request", "many"): "'many' is not a whole number from 1 to 1000",
    ("metrics.agent-limit", "-1"): "'-1' is not a whole number from 1 to 10000000",
    ("db.mode", "640x"): "'640x' is not a file mode: write it in octal, such as 0600 or 0640",
    ("db.mode", "0666"): "'0666' makes no sense for a database: use 0600, or 0640 to let a group read",
    ("db.mode", "0400"): "'0400' makes no sense for a database: use 0600, or 0640 to let a group read",
    ("agents.ids", "7001,x"): "'x' stands where an id is expected: decimal digits, parted by commas",
    ("agents.ids", "7001,,7002"): "nothing stands where an id is expected: decimal digits, parted by commas",
    ("agents.zuids", "7001,7001"): "the id 7001 is named twice",
    ("agents.ids", "٣"): "'٣' stands where an id is expected: decimal digits, parted by commas",
    ("web.telemetry-path", "metrics"): "'metrics' is not a path such as /metrics",
    ("web.telemetry-path", "/-/ready"): (
        "'/-/ready' belongs to the health checks: choose another path, such as /metrics"
    ),
    ("web.max-requests", "1.5"): "'1.5' is not a whole number from 0 to 100000",
    ("web.pages", "Auto"): "'Auto' is not one of auto, always, never",
    ("log.level", "loud"): "'loud' is not one of debug, info, warn, error",
    ("log.format", "xml"): "'xml' is not one of logfmt, json",
    ("metrics.names", "maybe"): "'maybe' is neither true nor false",
    ("api.proxy", "socks5://u:hunter2@p:1"): (
        "expected the URL of an http or https proxy, such as http://proxy.example.com:3128"
    ),
    ("api.proxy", "http://u:hunter2@p:port"): (
        "expected the URL of an http or https proxy, such as http://proxy.example.com:3128"
    ),
    ("agents.file", ""): "expected the path of a file",
}


@pytest.mark.parametrize(("name", "text"), MISTAKES)
def test_a_wrong_value_is_answered_with_the_flag_and_what_was_expected(name: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_of({name: text})
    assert str(caught.value) == f"--{name}: {MISTAKES[name, text]}"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["10042", ":70000", "::1:80", "[zz]:80", ":٨٠", "a b:80", "http://x:80"])
def test_a_wrong_address_is_answered_with_the_flag_and_the_variable_if_it_came_from_there(text: str) -> None:
    with pytest.raises(UsageError) as by_flag:
        settings_of({"web.listen-address": text})
    assert str(by_flag.value).startswith(f"--web.listen-address '{text}'")
    with pytest.raises(UsageError) as by_variable:
        settings_of(env={"ZOHOVOICE_WEB_LISTEN_ADDRESS": text})
    assert str(by_variable.value) == f"ZOHOVOICE_WEB_LISTEN_ADDRESS (--web.listen-address): {by_flag.value}"


def test_a_wrong_value_in_the_environment_names_variable_and_flag() -> None:
    with pytest.raises(UsageError) as caught:
        settings_of(env={"ZOHOVOICE_API_CONCURRENCY": "x"})
    assert str(caught.value) == (
        "ZOHOVOICE_API_CONCURRENCY (--api.concurrency): 'x' is not a whole number from 1 to 100"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://voice.example.com",
        "ftp://voice.example.com",
        "voice.example.com",
        "https://",
        "https://u:hunter2@voice.example.com",
        "https://voice.example.com/rest",
        "https://voice.example.com?x=1",
        "https://voice.example.com:port",
        "https://voice. example.com",
    ],
)
@pytest.mark.parametrize("name", ["api.url", "api.accounts-url"])
def test_a_url_that_secrets_must_not_go_to_is_refused_by_name_of_the_flag(name: str, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_of({name: url})
    assert str(caught.value).startswith(f"--{name} ")
    assert "hunter2" not in str(caught.value)


def test_max_age_below_the_interval_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        settings_of({"poll.interval": "1m", "poll.max-age": "30s"})
    assert str(caught.value) == (
        "--poll.max-age: 30s is shorter than the poll interval (1m), so metrics would vanish between two good polls; "
        "make it longer"
    )


def test_max_age_is_three_intervals_unless_said_otherwise() -> None:
    assert settings_of({"poll.interval": "1m"}).poll.max_age_s == 180.0


def test_naming_agents_turns_discovery_off_unless_it_is_asked_for() -> None:
    assert settings_of().agents.discover
    assert not settings_of({"agents.ids": "1"}).agents.discover
    assert settings_of({"agents.ids": "1", "agents.discover": "true"}).agents.discover


def test_switching_discovery_off_without_naming_anybody_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--agents\.discover: nobody is left to track"):
        settings_of({"agents.discover": "false"})


def test_an_address_that_is_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the address :1 is named twice"):
        settings_of(env={"ZOHOVOICE_WEB_LISTEN_ADDRESS": ":1, :1"})


def test_a_ca_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(UsageError) as caught:
        settings_of({"api.ca-file": str(path)})
    assert str(caught.value) == f"--api.ca-file: {path} holds no certificate in PEM form"


class TestSecrets:
    """Secrets come from files or variables, and are shown nowhere."""

    @pytest.mark.parametrize("name", SECRETS)
    def test_a_variable_may_hold_the_secret(self, name: str) -> None:
        settings = settings_of(env={SECRETS[name]: "s3cret"})
        field = name.removeprefix("auth.").removesuffix("-file").replace("-", "_")
        assert getattr(settings.auth, field) == Secret("s3cret")
        assert "s3cret" not in repr(settings)

    @pytest.mark.parametrize("name", SECRETS)
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "--{name}: the file {path} is empty; it must hold the secret and nothing else"),
            (b"\r\n", "--{name}: the file {path} is empty; it must hold the secret and nothing else"),
            (
                b"hunter2 hunter2",
                "--{name}: the file {path} must hold the secret on one line and nothing else: "
                "it has blanks or odd characters",
            ),
            (
                b"hunter2\nhunter2\n",
                "--{name}: the file {path} must hold the secret on one line and nothing else: "
                "it has blanks or odd characters",
            ),
            (b"hunter2\xff", "{path}, line 1: this is not UTF-8 text: save the file as UTF-8"),
            (None, "--{name}: cannot read the file {path}: No such file or directory"),
        ],
    )
    def test_a_file_without_a_usable_secret_is_refused_and_not_quoted(
        self, name: str, content: bytes | None, message: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "secret"
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o600)
        with pytest.raises(UsageError) as caught:
            settings_of({name: str(path)})
        advice = "; make it with 'zohovoice-exporter auth exchange'"
        missing = content is None and name == "auth.refresh-token-file"
        assert str(caught.value) == message.format(name=name, path=path) + (advice if missing else "")

    def test_a_flag_goes_before_the_variable_that_holds_the_secret(self, files: dict[str, str]) -> None:
        env = {"ZOHOVOICE_AUTH_CLIENT_SECRET": "other"}
        settings = settings_of({"auth.client-secret-file": files["{secret}"]}, env)
        assert settings.auth.client_secret == Secret("s3cret")

    def test_two_variables_for_one_secret_are_refused(self, files: dict[str, str]) -> None:
        env = {
            "ZOHOVOICE_AUTH_CLIENT_SECRET": "other",
            "ZOHOVOICE_AUTH_CLIENT_SECRET_FILE": files["{secret}"],
        }
        with pytest.raises(UsageError) as caught:
            settings_of(env=env)
        assert str(caught.value) == (
            "both ZOHOVOICE_AUTH_CLIENT_SECRET and ZOHOVOICE_AUTH_CLIENT_SECRET_FILE (--auth.client-secret-file) "
            "are set: keep one of them"
        )

    def test_a_file_that_others_can_read_is_warned_of(
        self, files: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        path = Path(files["{secret}"])
        path.chmod(0o644)
        with caplog.at_level(logging.WARNING):
            settings_of({"auth.client-secret-file": str(path)})
        (record,) = caplog.records
        assert record.getMessage() == "a file with a secret can be read by others"
        assert record.__dict__["fields"] == {"file": str(path), "mend": f"chmod 600 {path}"}

    def test_every_secret_is_known_to_the_redactor_also_the_password_of_the_proxy(self, files: dict[str, str]) -> None:
        settings = settings_of(
            {"api.proxy": "http://u:p4ssword@proxy.example.com:1", "auth.access-token-file": files["{secret}"]},
            {"ZOHOVOICE_AUTH_CLIENT_SECRET": "one1", "ZOHOVOICE_AUTH_REFRESH_TOKEN": "two2"},
        )
        assert {secret.reveal() for secret in secrets_of(settings)} == {
            "one1",
            "two2",
            "s3cret",
            "http://u:p4ssword@proxy.example.com:1",
            "p4ssword",
            "dTpwNHNzd29yZA==",  # u:p4ssword, as the header has it
        }


def test_what_is_quoted_in_a_message_is_short_and_harmless() -> None:
    assert shown("\x1b[31m" + "x" * 100) == "'\ufffd[31m" + "x" * 55 + "…'"
