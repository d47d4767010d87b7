"""The verdict on web configuration files is that of upstream: each file is put before `promtool check web-config` too.

promtool 2.42 is built with Go 1.19 and an exporter-toolkit of early 2023. It does not know all keys, and says so.
"""

import random
import subprocess
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from exporter.errors import UsageError
from exporter.web.config.file import load_web_config
from tests.support.programs import promtool
from tests.support.web_config import lay_out, make_pair, names

NEWER_KEYS: Final = ("cert", "key", "client_ca", "client_allowed_sans", "rate_limit")

BY_SSL: Final = "Python's ssl cannot do it, and so it is refused"
BY_SERVER: Final = (
    "upstream's server refuses it when it starts (Go's HTTP/2 needs the suite); promtool starts no server"
)
BY_GO: Final = "accepted by Go 1.19, with which promtool is built, and refused from Go 1.22 on"

DIFFERENCES: Final[Mapping[str, str]] = {
    "bad_client_auth_type_request.yml": BY_SSL,
    "bad_client_auth_type_require.yml": BY_SSL,
    "bad_client_auth_type_require_any.yml": BY_SSL,
    "bad_curve_preferences_several.yml": BY_SSL,
    "bad_curve_preferences_blank.yml": BY_SSL,
    "bad_cipher_suites_some_of_tls13.yml": BY_SSL,
    "bad_cipher_suites_without_that_of_http2.yml": BY_SERVER,
    "bad_cipher_suites_without_forward_secrecy.yml": BY_GO,
}
"""Files that promtool accepts and this program refuses. There are none the other way round."""

PLACES: Final[Mapping[str, str]] = {
    "bool": "http_server_config:\n  http2: @\n",
    "bool under TLS": "tls_server_config:\n  prefer_server_cipher_suites: @\n",
    "path": "tls_server_config:\n  cert_file: @\n  key_file: server.key\n",
    "version": "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  min_version: @\n",
    "client_auth_type": "tls_server_config:\n  client_auth_type: @\n",
    "list": "tls_server_config:\n  cipher_suites: @\n",
    "item": "tls_server_config:\n  cipher_suites: [@]\n",
    "enumerated text": "http_server_config:\n  headers:\n   X-Frame-Options: @\n",
    "text": "http_server_config:\n  headers:\n   X-XSS-Protection: @\n",
    "map": "http_server_config:\n  headers: @\n",
    "section": "tls_server_config: @\n",
    "users": "basic_auth_users: @\n",
    "user": "basic_auth_users:\n  @: $2y$10$2UXri9cIDdgeKjBo4Rlpx.U3ZLDV8X1IxKmsfOvhcM5oXQt/mLmXq\n",
    "hash": "basic_auth_users:\n  ann: @\n",
    "document": "@\n",
}

SPELLINGS: Final = (
    *("y", "Y", "yes", "Yes", "YES", "yEs", "true", "True", "TRUE", "tRue", "on", "On", "ON", "n", "no", "No", "NO"),
    *("off", "OFF", "false", "False", "FALSE", '"true"', "'no'", "null", "Null", "NULL", "~", '""', "''", '"null"'),
    *('"~"', "1", "0", "-1", "+1", "1_000", "0x10", "0b11", "010", "08", "0o17", "1e3", "1.5", ".5", "-.5", "1e400"),
    *(".nan", ".inf", "-.inf", "+.inf", "1:30", "12:30:45", "2001-01-01", "2001-1-1", "2001-13-01"),
    *("2001-01-01T00:00:00Z", "2001-01-01 10:00:00", "9223372036854775808", "18446744073709551616", "abc", "1s"),
    *("!!str 5", "!!str yes", "!!int 5", '!!int "5"', "!!int x", "!!bool yes", '!!bool "yes"', "!!bool 1"),
    *('!!null ""', "!!null x", "!!null null", "!!float 5", "!!float 1.5", "!!binary aGVsbG8=", '!!binary "x"'),
    *("!!timestamp 2001-01-01", "!!timestamp x", "!foo bar", "! true", "[]", "{}", "[a]", "{a: b}", "|\n    yes"),
    *(">\n    5", "TLS12", '"TLS12"', "!!str TLS12", "deny", '"deny"', '"deny "', "|\n    deny", "|-\n    deny"),
    *("*x", "&a deny", "&a TLS12", "server.crt", '"server.crt"', "!!binary c2VydmVyLmNydA==", "=", "<<", '"<<"'),
    *("!!merge <<", "x: y", "a #b", "a#b", "- a", "@x", "`x`", "%x", "!!seq []", "!!str []", "yes\t", "\tyes"),
)

PIECES: Final = (
    *("0", "1", "8", "a", "e", "x", "_", "+", "-", ".", ":", "T", "Z", "n", "y", "~", " ", "\t", "#", "'", '"', ","),
    *("yes", "null", "0x", "1e3", "2001-01-01", "&a ", "*a", "!!str ", "!!int ", "!!bool ", "!x ", "<<: ", "{", "}"),
    *("[", "]", ": ", "- ", "\n  ", "\n    ", "|\n    ", "---\n", "? ", "http2", "headers", "X-XSS-Protection"),
)


def judged(files: Sequence[Path]) -> dict[str, str]:
    """What promtool says of each: nothing if it accepts the file."""
    done = subprocess.run(
        [promtool(), "check", "web-config", *(file.name for file in files)],
        cwd=files[0].parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said: dict[str, str] = {}
    name = ""
    for line in done.stderr.splitlines():
        first, _, rest = line.partition(" ")
        if first.endswith(".yml") and rest.startswith(("SUCCESS", "FAILED")):
            name, said[first] = first, rest.removeprefix("SUCCESS")
        else:
            said[name] += f"\n{line}"
    assert set(said) == {file.name for file in files}
    return said


def accepted(file: Path) -> bool:
    try:
        load_web_config(file)
    except UsageError:
        return False
    return True


def differing(folder: Path, contents: Sequence[str]) -> list[str]:
    """Of `contents`, those on which the two differ."""
    files = [folder / f"{number}.yml" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_text(content)
    said = judged(files)
    verdicts = {not text for text in said.values()}
    assert verdicts == {True, False}
    return [
        content for file, content in zip(files, contents, strict=True) if accepted(file) is not (not said[file.name])
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_pair(tmp_path, "server", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    return tmp_path


def test_the_verdict_on_each_data_file_is_upstreams(tmp_path: Path) -> None:
    lay_out(tmp_path)
    said = judged([tmp_path / name for name in names("")])
    judged_by_it = {
        name: not text
        for name, text in said.items()
        if not any(f"field {key} not found in type web" in text for key in NEWER_KEYS)
    }
    assert len(judged_by_it) > 80
    others = {name for name, verdict in judged_by_it.items() if verdict is not name.startswith("good_")}
    assert others == set(DIFFERENCES)
    assert all(judged_by_it[name] for name in DIFFERENCES)


def test_the_verdict_on_each_spelling_of_a_value_in_each_place_is_upstreams(folder: Path) -> None:
    contents = [place.replace("@", spelling) for place, spelling in product(PLACES.values(), SPELLINGS)]
    assert differing(folder, contents) == []


def test_the_verdict_on_values_put_together_at_random_is_upstreams(folder: Path) -> None:
    draw = random.Random(20230201)
    places = list(PLACES.values())
    contents = [
        draw.choice(places).replace("@", "".join(draw.choices(PIECES, k=draw.randint(1, 5)))) for _ in range(2000)
    ]
    assert differing(folder, contents) == []
