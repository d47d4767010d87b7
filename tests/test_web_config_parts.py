"""What the web configuration file is read with: Go's durations, bcrypt hashes, PEM, certificates."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import utc_text
from exporter.web.config.certificate import facts
from exporter.web.config.go_duration import parse_go_duration_ns
from exporter.web.config.hashes import can_fit, fault
from exporter.web.config.pem import blocks, certificates, private_key
from tests.support.certificates import openssl
from tests.support.web_config import lay_out

HASH = "$2y$04$wm6wA5ZYcSt1cZ8zdJQ9h.ptj1C9fPxRuQkHLYFoYs7oHtpx5e7Ty"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("web")
    lay_out(found)
    return found


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("-0", 0),
        ("1s", 10**9),
        ("+5s", 5 * 10**9),
        ("500ms", 5 * 10**8),
        ("1m30s", 90 * 10**9),
        ("1.5h", 5400 * 10**9),
        ("-2s", -2 * 10**9),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        ("1s1s", 2 * 10**9),
        ("3us", 3000),
        ("3µs", 3000),
        ("3μs", 3000),
        ("0.9ns", 0),
        ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
    ],
)
def test_go_durations(text: str, ns: int) -> None:
    assert parse_go_duration_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    ["", "5", "-", "+", "s", ".s", "1", "1 s", " 1s", "1d", "1S", "--1s", "1e3s", "1_0s", "9223372036854775808ns"],
)
def test_what_go_does_not_take_for_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_go_duration_ns(text)


@given(st.integers(0, 2**62), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_a_whole_number_of_a_unit_is_that_many(count: int, unit: str) -> None:
    size = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}[unit]
    if count * size < 2**63:
        assert parse_go_duration_ns(f"{count}{unit}") == count * size
        assert parse_go_duration_ns(f"-{count}{unit}") == -count * size
    else:
        with pytest.raises(ValueError, match="not a duration"):
            parse_go_duration_ns(f"{count}{unit}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HASH, None),
        (HASH.replace("$2y$", "$2a$"), None),
        (HASH.replace("$2y$", "$2$"), None),
        (HASH.replace("$2y$", "$1z$"), None),
        (HASH.replace("$04$", "$31$"), None),
        (HASH[:58], "it is too short"),
        ("x" + HASH, "it does not begin with '$'"),
        (HASH.replace("$2y$", "$3y$"), "it is of a version that is too new"),
        (HASH.replace("$04$", "$32$"), "its cost is not from 4 to 31"),
        (HASH.replace("$04$", "$-4$"), "its cost is not from 4 to 31"),
        (HASH.replace("$04$", "$4$x"), "its cost is no number"),
    ],
)
def test_a_hash_is_looked_at_as_go_does(text: str, why: str | None) -> None:
    assert fault(text) == why


def test_a_hash_that_lacks_a_character_fits_nothing_and_what_follows_it_is_no_matter() -> None:
    assert can_fit(HASH)
    assert can_fit(HASH.replace("$2y$", "$2$"))
    assert can_fit(HASH + ".")
    assert not can_fit(HASH[:59])


@given(st.text(max_size=80))
def test_no_text_is_too_strange_for_the_check_of_hashes(text: str) -> None:
    if fault(text) is None:
        can_fit(text)


def test_pem_blocks_are_found_between_other_text_and_broken_ones_are_passed_over(folder: Path) -> None:
    text = (folder / "server.crt").read_text()
    broken = text.replace("-----END CERTIFICATE-----", "-----END ENDING-----")
    assert certificates(text + "hello\n" + text) == certificates(text) * 2
    assert certificates(broken + text) == certificates(text)
    assert certificates("  " + text.replace("\n", "\n  ")) == []
    assert certificates(text.replace("\n", " \t\r\n")) == certificates(text)
    assert [block.label for block in blocks(text + (folder / "server.key").read_text())] == [
        "CERTIFICATE",
        "PRIVATE KEY",
    ]
    assert private_key(text) is None


def test_facts_about_a_certificate_are_what_openssl_says(folder: Path) -> None:
    for name in ("server", "rsa1024", "ed25519", "secp256k1"):
        found = facts(certificates((folder / f"{name}.crt").read_text())[0].der)
        assert found is not None
        assert found.key_known is (name != "secp256k1")
        said = openssl("x509", "-in", folder / f"{name}.crt", "-noout", "-enddate", "-dateopt", "iso_8601")
        moment = said.strip().removeprefix("notAfter=").replace(" ", "T", 1)
        assert f"{moment[:-1]}.000Z" == utc_text(found.not_after_ms)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_have_no_facts(der: bytes) -> None:
    assert facts(der) is None
