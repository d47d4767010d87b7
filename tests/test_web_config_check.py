"""`check` and the web configuration file."""

from pathlib import Path

import pytest

from exporter.clock import utc_text
from exporter.errors import UsageError
from exporter.web.config.certificate import ends_ms
from exporter.web.config.file import load_web_config
from tests.support.certificates import authority
from tests.support.cli import run
from tests.support.web_config import lay_out, make_pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("web")
    lay_out(found)
    return found


def sentence(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_web_config(path)
    return str(caught.value)


def checked(path: Path, tmp_path: Path) -> list[str]:
    done = run("check", "--web.config.file", str(path), "--db", str(tmp_path / "x.db"))
    return [line for line in done.out.splitlines() if not line.startswith(("ok    configuration", "FAIL  credentials"))]


def test_check_says_what_the_file_asks_for(folder: Path, tmp_path: Path) -> None:
    path = folder / "good_client_auth_type_required.yml"
    found = checked(path, tmp_path)
    assert found[0] == f"ok    web configuration file: {path} asks for TLS, client certificates"
    assert found[1] == f"ok    database: {tmp_path / 'x.db'} will be made"


def test_check_notes_what_is_likely_not_meant(folder: Path, tmp_path: Path) -> None:
    path = folder / "good_rate_limit_without_burst.yml"
    assert checked(path, tmp_path)[:2] == [
        f"ok    web configuration file: {path} asks for at most 0 requests at once and one every 0.5 s",
        f"note  web configuration file: {path}: rate_limit.burst is 0, so every request is refused: write at least 1",
    ]


def test_check_fails_with_the_sentence_and_goes_on(folder: Path, tmp_path: Path) -> None:
    path = folder / "bad_headers_in_lower_case.yml"
    found = checked(path, tmp_path)
    assert found[0] == f"FAIL  web configuration file: {sentence(path)}"
    assert found[1].startswith("ok    database: ")


def test_check_notes_a_certificate_that_ends_soon(tmp_path: Path) -> None:
    make_pair(tmp_path, "server", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", days=3)
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}")
    ends = ends_ms((tmp_path / "server.crt").read_text())
    assert ends is not None
    assert checked(path, tmp_path)[:2] == [
        f"ok    web configuration file: {path} asks for TLS",
        f"note  certificate: cert_file {tmp_path / 'server.crt'} expires in 2 days, at {utc_text(ends)}",
    ]


def test_check_notes_a_certificate_that_has_ended(tmp_path: Path) -> None:
    over = authority(tmp_path).issue("over", days=-1)
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: over.pem, key_file: over.key}")
    ends = ends_ms(over.certificate.read_text())
    assert ends is not None
    assert checked(path, tmp_path)[1] == (
        f"note  certificate: cert_file {over.certificate} expired at {utc_text(ends)}, "
        "so clients refuse it; put a new one there"
    )
