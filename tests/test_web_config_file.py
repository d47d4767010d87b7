"""The web configuration file: the sentence for each mistake. The data files are named after what they hold."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.errors import UsageError
from exporter.web.config.file import load_web_config
from exporter.web.config.model import WebConfig
from exporter.web.config.quoting import value_shown
from tests.support.certificates import LOCAL, authority
from tests.support.web_config import lay_out, names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("web")
    lay_out(found)
    return found


def good(folder: Path, name: str) -> WebConfig:
    return load_web_config(folder / f"good_{name}.yml")


def sentence(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_web_config(path)
    return str(caught.value)


CA_NEEDS_POLICY = (
    "a CA for client certificates is given, but nobody is asked for one: "
    "write client_auth_type: RequireAndVerifyClientCert too, or leave the CA out"
)
UNVERIFIED = (
    " asks for certificates without verifying them, which Python's ssl cannot do: "
    "write RequireAndVerifyClientCert and name a client_ca_file"
)
LOCKED = (
    " holds a key that is locked with a password, which nobody would be there to type: "
    "unlock it with 'openssl pkey -in LOCKED -out UNLOCKED' and let nobody else read it"
)
VERSIONS = "write one of TLS10, TLS11, TLS12, TLS13"
HEADERS = (
    "write one of Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection, "
    "Content-Security-Policy, just so"
)
MAKE_A_HASH = ": make one with 'htpasswd -nBC 10 ann' and give what follows the colon"
ONE_CURVE = "but Python's ssl takes just one: write one of them, or leave the key out for OpenSSL's own choice"
TLS_KEYS = (
    "cert, key, client_ca, cert_file, key_file, client_auth_type, client_ca_file, client_allowed_sans, min_version, "
    "max_version, cipher_suites, prefer_server_cipher_suites, curve_preferences"
)
SETTINGS_MAP = "a map with keys such as tls_server_config, http_server_config"
DURATION = "a duration such as 1s, 500ms or 1m30s"

MISTAKES: Mapping[str, str] = {
    "not_yaml": ", line 3: this is not YAML: found unexpected end of stream",
    "not_a_map": f", line 1: a list stands where {SETTINGS_MAP} is expected",
    "only_a_text": f", line 1: a value stands where {SETTINGS_MAP} is expected",
    "unknown_section": ", line 1: the key 'tls_config' is not known; did you mean 'tls_server_config'?",
    "unknown_key": ", line 2: the key 'cert_filse' is not known in tls_server_config; did you mean 'cert_file'?",
    "key_of_another_section": f", line 2: the key 'burst' is not known in tls_server_config; there are {TLS_KEYS}",
    "key_twice": ", line 4: the key 'cert_file' stands here again; it was on line 2",
    "section_twice": ", line 2: the key 'rate_limit' stands here again; it was on line 1",
    "section_is_a_list": (
        ", line 1 (tls_server_config): a list stands where a map with keys such as cert, key is expected"
    ),
    "section_is_a_text": (
        ", line 1 (tls_server_config): a value stands where a map with keys such as cert, key is expected"
    ),
    "map_as_key": ", line 2 (rate_limit): a key must be a word, not a list or a map",
    "unknown_alias": (
        ", line 2: an alias stands here, but not the anchor that it means; "
        "put quotes around a text that begins with '*'"
    ),
    "merge_of_a_text": ", line 2 (rate_limit): '<<' merges a map, or a list of maps",
    "missing_cert": ", line 1 (tls_server_config): TLS needs a certificate and a key: give cert_file or cert",
    "missing_key": ", line 1 (tls_server_config): TLS needs a certificate and a key: give key_file or key",
    "missing_cert_with_client_auth_only": (
        ", line 1 (tls_server_config): TLS needs a certificate and a key: give cert_file or cert"
    ),
    "cert_file_not_there": (
        ", line 2 (tls_server_config.cert_file): cannot read the file {dir}/nowhere.crt: No such file or directory"
    ),
    "key_file_not_there": (
        ", line 3 (tls_server_config.key_file): cannot read the file {dir}/nowhere.key: No such file or directory"
    ),
    "cert_file_is_a_directory": (", line 2 (tls_server_config.cert_file): cannot read the file {dir}: Is a directory"),
    "cert_file_is_a_list": ", line 2 (tls_server_config.cert_file): a list stands where a text is expected",
    "cert_file_holds_no_certificate": (
        ", line 2 (tls_server_config.cert_file): cert_file {dir}/server.key holds no certificate in PEM form "
        "('-----BEGIN CERTIFICATE-----')"
    ),
    "key_file_holds_no_key": (
        ", line 3 (tls_server_config.key_file): key_file {dir}/server.crt holds no private key in PEM form "
        "('-----BEGIN PRIVATE KEY-----')"
    ),
    "cert_file_is_damaged": (
        ", line 2 (tls_server_config.cert_file): cert_file {dir}/damaged.crt holds a certificate that is damaged: "
        "get it again from where it was made"
    ),
    "key_file_is_damaged": (
        ", line 3 (tls_server_config.key_file): key_file {dir}/damaged.key holds a key that is damaged, or of a kind "
        "that OpenSSL does not know: get it again"
    ),
    "key_of_another_certificate": (
        ", line 2 (tls_server_config.cert_file): cert_file {dir}/server.crt and key_file {dir}/other.key "
        "do not belong together: give the key that the certificate was made for"
    ),
    "key_of_another_kind": (
        ", line 2 (tls_server_config.cert_file): cert_file {dir}/server.crt and key_file {dir}/rsa1024.key "
        "do not belong together: give the key that the certificate was made for"
    ),
    "key_locked": f", line 3 (tls_server_config.key_file): key_file {{dir}}/locked.key{LOCKED}",
    "key_locked_in_the_old_way": f", line 3 (tls_server_config.key_file): key_file {{dir}}/locked_old.key{LOCKED}",
    "key_inline_is_no_key": (
        ", line 3 (tls_server_config.key): the text of key holds no private key in PEM form "
        "('-----BEGIN PRIVATE KEY-----')"
    ),
    "key_inline_is_a_list": (
        ", line 3 (tls_server_config.key): a list stands where a text that is kept secret is expected"
    ),
    "kind_of_key_that_tls_does_not_use": (
        ", line 2 (tls_server_config.cert_file): cert_file {dir}/secp256k1.crt is made for a kind of key that is not "
        "used for TLS: make one for RSA, for ECDSA on P-256, P-384 or P-521, or for Ed25519"
    ),
    "client_auth_type_unknown": (
        ", line 4 (tls_server_config.client_auth_type): 'RequireAndVerify' is not known: "
        "write one of NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"
    ),
    "client_auth_type_request": f", line 4 (tls_server_config.client_auth_type): RequestClientCert{UNVERIFIED}",
    "client_auth_type_require_any": f", line 4 (tls_server_config.client_auth_type): RequireAnyClientCert{UNVERIFIED}",
    "client_auth_type_require": f", line 4 (tls_server_config.client_auth_type): RequireClientCert{UNVERIFIED}",
    "client_ca_without_client_auth": f", line 4 (tls_server_config.client_ca_file): {CA_NEEDS_POLICY}",
    "client_ca_inline_without_client_auth": f", line 4 (tls_server_config.client_ca): {CA_NEEDS_POLICY}",
    "client_ca_file_not_there": (
        ", line 5 (tls_server_config.client_ca_file): cannot read the file {dir}/nowhere.pem: No such file or directory"
    ),
    "client_allowed_sans_is_a_text": (
        ", line 6 (tls_server_config.client_allowed_sans): 'prometheus.example' stands where "
        "a list of texts is expected"
    ),
    "client_allowed_sans_holds_a_map": (
        ", line 4 (tls_server_config.client_allowed_sans): a map stands where a text is expected"
    ),
    "min_version_unknown": (
        f", line 4 (tls_server_config.min_version): 'TLS1.2' is not a TLS version that can be asked for; {VERSIONS}"
    ),
    "max_version_is_a_number": (
        f", line 4 (tls_server_config.max_version): '1.3' is not a TLS version that can be asked for; {VERSIONS}"
    ),
    "cipher_suites_unknown": (
        ", line 4 (tls_server_config.cipher_suites): 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048' is not a cipher suite "
        "that can be asked for; did you mean TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256?"
    ),
    "cipher_suites_without_forward_secrecy": (
        ", line 4 (tls_server_config.cipher_suites): 'TLS_RSA_WITH_AES_128_GCM_SHA256' is not a cipher suite "
        "that can be asked for; did you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?"
    ),
    "cipher_suites_is_a_text": (
        ", line 4 (tls_server_config.cipher_suites): 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256' stands where "
        "a list of cipher suites is expected"
    ),
    "cipher_suites_some_of_tls13": (
        ", line 4 (tls_server_config.cipher_suites): TLS_AES_256_GCM_SHA384 cannot be chosen alone: "
        "Python's ssl always offers all suites of TLS 1.3; name all three or none of them"
    ),
    "cipher_suites_without_that_of_http2": (
        ", line 4 (tls_server_config.cipher_suites): HTTP/2, which is on unless http_server_config.http2 is false, "
        "needs TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "
        "add one, or write http_server_config.http2: false"
    ),
    "prefer_server_cipher_suites_no_flag": (
        ", line 4 (tls_server_config.prefer_server_cipher_suites): '1' stands where true or false is expected"
    ),
    "curve_preferences_unknown": (
        ", line 4 (tls_server_config.curve_preferences): 'CurveP257' is not a curve that can be asked for; "
        "write one of CurveP256, CurveP384, CurveP521, X25519"
    ),
    "curve_preferences_several": (f", line 4 (tls_server_config.curve_preferences): 2 curves are named, {ONE_CURVE}"),
    "curve_preferences_blank": (f", line 4 (tls_server_config.curve_preferences): no curves are named, {ONE_CURVE}"),
    "http2_quoted": ", line 2 (http_server_config.http2): 'true' stands where true or false is expected",
    "headers_other": (
        f", line 3 (http_server_config.headers.Content-Type): the header 'Content-Type' cannot be set: {HEADERS}"
    ),
    "headers_in_lower_case": (
        f", line 3 (http_server_config.headers.x-frame-options): the header 'x-frame-options' cannot be set: {HEADERS}"
    ),
    "headers_is_a_list": ", line 2 (http_server_config.headers): a list stands where a map of texts is expected",
    "headers_twice": ", line 4: the key 'X-Frame-Options' stands here again; it was on line 3",
    "header_x_content_type_options": (
        ", line 3 (http_server_config.headers.X-Content-Type-Options): "
        "'sniff' is not a value of X-Content-Type-Options: write nosniff"
    ),
    "header_x_frame_options": (
        ", line 3 (http_server_config.headers.X-Frame-Options): "
        "'DENY' is not a value of X-Frame-Options: write deny or sameorigin"
    ),
    "header_x_frame_options_blank": (
        ", line 3 (http_server_config.headers.X-Frame-Options): "
        "'' is not a value of X-Frame-Options: write deny or sameorigin"
    ),
    "basic_auth_users_plain_password": (
        f", line 2 (basic_auth_users.ann): this is not a bcrypt hash, for it is too short{MAKE_A_HASH}"
    ),
    "basic_auth_users_without_hash": (
        f", line 2 (basic_auth_users.ann): this is not a bcrypt hash, for it is too short{MAKE_A_HASH}"
    ),
    "basic_auth_users_other_hash": (
        ", line 2 (basic_auth_users.ann): this is not a bcrypt hash, for it is of a version that is too new"
        f"{MAKE_A_HASH}"
    ),
    "basic_auth_users_no_dollar": (
        f", line 2 (basic_auth_users.ann): this is not a bcrypt hash, for it does not begin with '$'{MAKE_A_HASH}"
    ),
    "basic_auth_users_cost_too_low": (
        f", line 2 (basic_auth_users.ann): this is not a bcrypt hash, for its cost is not from 4 to 31{MAKE_A_HASH}"
    ),
    "basic_auth_users_cost_no_number": (
        f", line 2 (basic_auth_users.ann): this is not a bcrypt hash, for its cost is no number{MAKE_A_HASH}"
    ),
    "basic_auth_users_is_a_list": (
        ", line 1 (basic_auth_users): a list stands where a map of user names to bcrypt hashes is expected"
    ),
    "basic_auth_users_is_a_password": (
        ", line 1 (basic_auth_users): a value stands where a map of user names to bcrypt hashes is expected"
    ),
    "basic_auth_users_twice": ", line 3: the key 'ann' stands here again; it was on line 2",
    "basic_auth_users_twice_by_merge": ", line 3: the key 'ann' stands here again; it was on line 2",
    "rate_limit_interval_unit": (f", line 2 (rate_limit.interval): '1 second' stands where {DURATION} is expected"),
    "rate_limit_interval_of_days": f", line 2 (rate_limit.interval): '1d' stands where {DURATION} is expected",
    "rate_limit_interval_quoted_number": (f", line 2 (rate_limit.interval): '5' stands where {DURATION} is expected"),
    "rate_limit_burst_quoted": ", line 3 (rate_limit.burst): '5' stands where a whole number is expected",
    "rate_limit_burst_is_a_word": ", line 3 (rate_limit.burst): 'many' stands where a whole number is expected",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_file_line_key_and_value(mistake: str, folder: Path) -> None:
    path = folder / f"bad_{mistake}.yml"
    assert sentence(path) == f"{path}{MISTAKES[mistake].replace('{dir}', str(folder))}"


def test_every_data_file_of_a_mistake_is_tested() -> None:
    assert {f"bad_{mistake}.yml" for mistake in MISTAKES} == set(names("bad_"))
    assert set(names("")) == {*names("bad_"), *names("good_")}


NOTES: Mapping[str, tuple[str, ...]] = {
    "client_ca_not_given": (
        "no client_ca_file is named, so certificates of every authority that this system trusts are good",
    ),
    "client_ca_file_without_certificate": (
        "the CA for client certificates holds no certificate, so none that a client shows is good",
    ),
    "client_allowed_sans_empty": ("client_allowed_sans is empty, so no client certificate is good",),
    "client_allowed_sans_without_client_auth": ("client_allowed_sans does nothing without client_auth_type",),
    "versions_old_with_client_certificates": (
        "with min_version TLS11, OpenSSL also takes client certificates that are signed with SHA-1",
    ),
    "versions_upside_down": ("min_version TLS13 is above max_version TLS12, so nobody can connect",),
    "tls_settings_without_certificate": (
        "tls_server_config names neither certificate nor key, so TLS stays off; "
        "without effect: min_version, cipher_suites",
    ),
    "basic_auth_users_hash_that_nothing_fits": (
        "nobody can log in as 'ann': no password fits a bcrypt hash of that length",
    ),
    "rate_limit_interval_negative": ("rate_limit.interval is negative, so requests are not limited",),
    "rate_limit_without_burst": ("rate_limit.burst is 0, so every request is refused: write at least 1",),
    "second_document": ("what follows the second '---' is not read: only the first document counts",),
}


@pytest.mark.parametrize("name", [name.removeprefix("good_").removesuffix(".yml") for name in names("good_")])
def test_what_upstream_accepts_is_accepted_and_what_is_likely_not_meant_is_noted(name: str, folder: Path) -> None:
    assert good(folder, name).notes == NOTES.get(name, ())


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_sentence_shows_a_password_a_hash_or_a_key(mistake: str, folder: Path) -> None:
    said = sentence(folder / f"bad_{mistake}.yml")
    assert not re.search(r"hunter|wm6wA5ZY|saltsalt|somebody named|password[^,]* ann", said)
    body = (folder / "server.key").read_text().splitlines()[1]
    assert body not in said


def test_the_file_of_a_key_named_by_mistake_is_not_shown(folder: Path) -> None:
    said = sentence(folder / "server.key")
    assert (folder / "server.key").read_text().splitlines()[1] not in said
    assert said.startswith(f"{folder / 'server.key'}, line 1: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"http_server_config: \xff\xfe", "{path}: this is not YAML: it holds a character that YAML does not allow"),
        (b"http_server_config: \x00", "{path}: this is not YAML: it holds a character that YAML does not allow"),
        (b"basic_auth_users: {ann: !hunter!22 x}", "{path}, line 1: this is not YAML: found undefined tag handle"),
        (b"[" * 5000, "{path}: this is nested too deeply to be read as YAML"),
        (b"\ttls_server_config:", "{path}, line 1: this is not YAML: "),
    ],
)
def test_what_is_no_yaml_is_told_without_showing_it(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_bytes(content)
    told = sentence(path)
    assert told.startswith(said.replace("{path}", str(path)))
    assert "hunter" not in told


def test_aliases_that_multiply_are_refused_before_they_take_long(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    nested = "&m0 {}"
    for level in range(1, 30):
        nested = f"&m{level} {{<<: [{nested}, *m{level - 1}, *m{level - 1}]}}"
    path.write_text(f"rate_limit: {{<<: {nested}}}")
    assert sentence(path) == f"{path}: too many aliases (*) stand for too many values; write them out"


def test_a_file_that_is_not_there_is_named_with_its_flag(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    assert sentence(path) == f"--web.config.file: cannot read the file {path}: No such file or directory"


@pytest.mark.parametrize(
    "text",
    [
        "basic_auth_users:\n  {hash}: ann\n",
        "basic_auth_users:\n  {hash}: {hash}\n  {hash}: {hash}\n",
        "{hash}: ann\n",
        "rate_limit:\n  interval: {hash}\n",
        "http_server_config:\n  headers:\n    X-Frame-Options: {hash}\n",
        "http_server_config:\n  headers:\n    {hash}: x\n",
        "tls_server_config:\n  min_version: {hash}\n",
    ],
)
def test_a_hash_in_the_wrong_place_is_not_repeated(text: str, tmp_path: Path) -> None:
    salt_and_digest = "i/18RqN1PnjzxaHC/UHVYO9P3PnjQoDkdc1Ul/IoMlhDfjuore4Rq"
    path = tmp_path / "web.yml"
    path.write_text(text.replace("{hash}", f"$2b$04${salt_and_digest}"))
    with pytest.raises(UsageError) as raised:
        load_web_config(path)
    assert salt_and_digest[:6] not in str(raised.value)
    assert re.search("<secret>|a text of 60 characters", str(raised.value))


KEY = "-----BEGIN PRIVATE KEY-----\\nMIGHAgEAMBMGByqGSM49\\nhunter2hunter2\\n-----END PRIVATE KEY-----\\n"


@pytest.mark.parametrize(
    "text",
    [
        'rate_limit:\n  interval: "{key}"\n',
        "rate_limit:\n  burst: MIGHAgEAMBMGByqGSM49hunter2hunter2\n",
        "rate_limit:\n  interval: {folded}\n",
        'http_server_config:\n  http2: "{key}"\n',
        'http_server_config:\n  headers:\n    X-Frame-Options: "{key}"\n',
        'http_server_config:\n  headers:\n    "{key}": x\n',
        'tls_server_config:\n  cert_file: "{key}"\n  key_file: x\n',
        'tls_server_config:\n  cert_file: {cert}\n  key_file: "{key}"\n',
        'tls_server_config:\n  min_version: "{key}"\n',
        'tls_server_config:\n  cipher_suites: "{key}"\n',
        'tls_server_config:\n  cipher_suites: ["{key}"]\n',
        'tls_server_config:\n  client_auth_type: "{key}"\n  cert_file: {cert}\n  key_file: {private}\n',
        'basic_auth_users:\n  "{key}": ann\n',
        '"{key}": x\n',
        '"{key}"\n',
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(text: str, tmp_path: Path) -> None:
    pair = authority(tmp_path).issue("server", LOCAL)
    path = tmp_path / "web.yml"
    folded = KEY.replace("\\n", "\n    ")
    filled = text.replace("{key}", KEY).replace("{folded}", folded)
    path.write_text(filled.replace("{cert}", str(pair.certificate)).replace("{private}", str(pair.key)))
    with pytest.raises(UsageError) as raised:
        load_web_config(path)
    assert "hunter2" not in str(raised.value)
    assert "MIGH" not in str(raised.value)


def test_a_short_value_or_one_much_like_a_known_one_is_shown() -> None:
    assert value_shown("1 second") == "'1 second'"
    assert value_shown("x" * 20) == f"'{'x' * 20}'"
    assert value_shown("x" * 21) == "a text of 21 characters"
    assert value_shown("$2y$10$abc") == "a text of 10 characters"
    assert value_shown("RequireAndVerifyClientCerts", ["RequireAndVerifyClientCert"]) == "'RequireAndVerifyClientCerts'"
