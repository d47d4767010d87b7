"""The web configuration file: what each key means."""

import os
from collections.abc import Mapping
from pathlib import Path

import bcrypt
import pytest

from exporter.web.config.ciphers import CIPHERS, CURVES, TLS13_CIPHERS, VERSIONS
from exporter.web.config.decoding import KEYS, RATE, TLS, USERS, decode
from exporter.web.config.file import HEADERS, load_web_config
from exporter.web.config.model import ClientAuth, RateLimit, TlsServer, WebConfig
from exporter.web.config.summary import asked_for
from exporter.web.config.tree import read_document
from tests.support.documents import ROOT, fences, inline_code, read
from tests.support.web_config import lay_out

EVERY_KEY = {
    *KEYS,
    *(f"{section}.{key}" for section, keys in KEYS.items() if isinstance(keys, Mapping) for key in keys),
}
HASH = "$2y$04$wm6wA5ZYcSt1cZ8zdJQ9h.ptj1C9fPxRuQkHLYFoYs7oHtpx5e7Ty"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("web")
    lay_out(found)
    return found


def good(folder: Path, name: str) -> WebConfig:
    return load_web_config(folder / f"good_{name}.yml")


def tls(folder: Path, name: str) -> TlsServer:
    found = good(folder, name).tls
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["empty", "comment_only", "basic_auth_users_none"])
def test_a_file_that_says_nothing_asks_for_nothing(name: str, folder: Path) -> None:
    path = folder / f"good_{name}.yml"
    assert load_web_config(path) == WebConfig(files=(path,))


def test_certificate_and_key_come_from_files_beside_the_configuration(folder: Path) -> None:
    config = good(folder, "cert_and_key_files")
    assert config.tls is not None
    assert config.tls.certificate == (folder / "server.crt").read_text()
    assert config.tls.key.reveal() == (folder / "server.key").read_text()
    assert config.files == (folder / "good_cert_and_key_files.yml", folder / "server.crt", folder / "server.key")
    assert config.tls.certificate_name == f"cert_file {folder / 'server.crt'}"


def test_paths_are_relative_to_the_configuration_and_not_to_where_the_program_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = Path(os.path.relpath(folder / "good_paths_above_and_absolute.yml"))
    assert [file.resolve() for file in load_web_config(relative).files[1:]] == [
        (folder / "server.crt").resolve(),
        (folder / "server.key").resolve(),
    ]


def test_an_absolute_path_stays_what_it_is(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"tls_server_config: {{cert_file: {folder}/server.crt, key_file: {folder}/server.key}}")
    assert load_web_config(path).files == (path, folder / "server.crt", folder / "server.key")


def test_certificate_and_key_may_stand_in_the_configuration_itself(folder: Path) -> None:
    config = good(folder, "cert_and_key_inline")
    assert config.tls is not None
    assert config.tls.certificate == (folder / "server.crt").read_text()
    assert config.tls.key.reveal() == (folder / "server.key").read_text()
    assert config.files == (folder / "good_cert_and_key_inline.yml",)


def test_a_file_counts_before_the_text(folder: Path) -> None:
    found = tls(folder, "cert_file_before_cert")
    assert found.certificate == (folder / "server.crt").read_text()
    assert found.key.reveal() == (folder / "server.key").read_text()


def test_the_defaults_are_those_of_upstream(folder: Path) -> None:
    found = tls(folder, "cert_and_key_files")
    assert (found.min_version, found.max_version, found.prefer_server_ciphers) == ("TLS12", "TLS13", True)
    assert (found.client_auth, found.client_ca, found.client_allowed_sans) == (ClientAuth.NONE, None, None)
    assert (found.ciphers, found.curve, good(folder, "cert_and_key_files").http2) == ((), None, True)


def test_client_certificates(folder: Path) -> None:
    ca = (folder / "client_ca.pem").read_text()
    assert tls(folder, "client_auth_type_none").client_auth is ClientAuth.NONE
    assert tls(folder, "client_auth_type_if_given").client_auth is ClientAuth.IF_GIVEN
    assert tls(folder, "client_auth_type_required").client_auth is ClientAuth.REQUIRED
    assert tls(folder, "client_auth_type_required").client_ca == ca
    assert tls(folder, "client_ca_inline").client_ca == ca
    assert good(folder, "client_auth_type_required").files[-1] == folder / "client_ca.pem"
    assert tls(folder, "client_ca_file_without_certificate").client_ca == ""
    assert tls(folder, "client_ca_not_given").client_ca is None


def test_allowed_names_may_be_many_none_or_not_given(folder: Path) -> None:
    assert tls(folder, "client_allowed_sans").client_allowed_sans == (
        "prometheus.example",
        "192.0.2.7",
        "spiffe://example/prometheus",
    )
    assert tls(folder, "client_allowed_sans_empty").client_allowed_sans == ()
    assert tls(folder, "client_auth_type_required").client_allowed_sans is None


def test_who_must_log_in_or_show_a_certificate_of_a_known_authority_is_known(folder: Path) -> None:
    assert good(folder, "basic_auth_users").protected
    assert good(folder, "client_auth_type_required").protected
    assert good(folder, "client_ca_file_without_certificate").protected
    assert not good(folder, "client_auth_type_if_given").protected
    assert not good(folder, "client_ca_not_given").protected
    assert not good(folder, "cert_and_key_files").protected
    assert not good(folder, "basic_auth_users_none").protected


def test_versions_ciphers_and_curve(folder: Path) -> None:
    assert (tls(folder, "versions").min_version, tls(folder, "versions").max_version) == ("TLS13", "TLS13")
    assert (tls(folder, "versions_null").min_version, tls(folder, "versions_null").max_version) == ("TLS12", "TLS13")
    assert tls(folder, "cipher_suites").ciphers == (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    )
    assert tls(folder, "cipher_suites_empty").ciphers == ()
    assert not tls(folder, "prefer_server_cipher_suites_off").prefer_server_ciphers
    assert tls(folder, "curve_preferences").curve == "CurveP384"
    assert tls(folder, "curve_preferences_the_same_twice").curve == "X25519"


def test_settings_of_tls_alone_do_not_switch_it_on(folder: Path) -> None:
    assert good(folder, "tls_settings_without_certificate").tls is None


def test_headers_keep_their_order_and_a_text_of_several_lines_is_sent_as_one(folder: Path) -> None:
    assert good(folder, "headers").headers == (
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "sameorigin"),
        ("X-XSS-Protection", "1"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    )
    assert good(folder, "headers_blank").headers == ()


def test_http2_is_taken_note_of(folder: Path) -> None:
    assert not good(folder, "http2").http2


def test_users_are_texts_also_where_yaml_sees_a_number_and_hashes_are_secrets(folder: Path) -> None:
    users = good(folder, "basic_auth_users").users
    assert list(users) == ["ann", "7"]
    assert users["ann"].reveal() == HASH
    assert HASH not in repr(good(folder, "basic_auth_users"))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("rate_limit", RateLimit(90.5, 20)),
        ("rate_limit_interval_of_nanoseconds", RateLimit(1.5e-6, 100)),
        ("rate_limit_without_burst", RateLimit(0.5, 0)),
        ("rate_limit_interval_0", None),
        ("rate_limit_interval_negative", None),
        ("null_sections", None),
    ],
)
def test_rate_limits(name: str, limit: RateLimit | None, folder: Path) -> None:
    assert good(folder, name).rate_limit == limit


def test_anchors_and_merge_keys_work_and_what_stands_later_wins(folder: Path) -> None:
    config = good(folder, "anchors_and_merge_keys")
    assert config.files[1:] == (folder / "server.crt", folder / "server.key")
    assert config.tls is not None
    assert (config.tls.min_version, config.tls.max_version) == ("TLS13", "TLS13")
    assert {name: value.reveal() for name, value in config.users.items()} == {"ann": HASH, "ben": HASH}


def test_a_section_of_nothing_has_the_zero_values_of_go(folder: Path) -> None:
    config = good(folder, "null_sections")
    assert (config.tls, config.http2, dict(config.users), config.rate_limit) == (None, False, {}, None)


def test_what_follows_the_first_document_is_not_read(folder: Path) -> None:
    assert dict(good(folder, "second_document").users) == {}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_says_how_the_file_is_written(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_bytes("rate_limit: {interval: 1s, burst: 2}".encode(encoding))
    assert load_web_config(path).rate_limit == RateLimit(1.0, 2)


def test_what_is_asked_for_in_a_few_words(folder: Path) -> None:
    assert asked_for(good(folder, "empty")) == "nothing"
    assert asked_for(good(folder, "basic_auth_users")) == "2 users"
    assert asked_for(good(folder, "client_auth_type_if_given")) == "TLS, client certificates from who has one"
    assert asked_for(good(folder, "anchors_and_merge_keys")) == "TLS, 2 users"
    assert asked_for(good(folder, "headers")) == "5 headers"
    assert asked_for(good(folder, "rate_limit")) == "at most 20 requests at once and one every 90.5 s"


# --- the documentation ------------------------------------------------------------------------------------------------

PAGE = read(ROOT / "docs" / "web-config.md")


def test_the_example_of_the_documentation_is_taken_and_holds_every_key(folder: Path) -> None:
    (example,) = [fence.body for fence in fences(PAGE, "yaml")]
    path = folder / "example.yml"
    path.write_text(example)
    assert load_web_config(path).notes == ()
    inline = {"cert", "key", "client_ca"}
    given = decode(path, read_document(path, example.encode()).root).lines
    assert {key for key in given if key.count(".") < 2 and not key.startswith(f"{USERS}.")} == EVERY_KEY - {
        f"{TLS}.{key}" for key in inline
    }


def test_every_key_and_every_value_of_a_closed_list_is_documented() -> None:
    code = set(inline_code(PAGE))
    for key in EVERY_KEY - {RATE}:
        assert key.rpartition(".")[2] in code, key
    for name in (*CIPHERS, *TLS13_CIPHERS, *CURVES, *VERSIONS, *HEADERS, *(kind.value for kind in ClientAuth)):
        assert name in code, name


def test_a_hash_that_is_made_as_documented_is_taken(tmp_path: Path) -> None:
    made = bcrypt.hashpw(b"something long", bcrypt.gensalt(4)).decode()
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users:\n  ann: {made}\n")
    assert load_web_config(path).notes == ()
