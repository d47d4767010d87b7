"""What is under deploy/: units for systemd and the compose file, checked by the tools that exist for them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporter.cli.settings_table import SETTINGS
from tests.support.programs import program, promtool

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
SERVICE = "zohovoice-exporter.service"
SOCKET = "zohovoice-exporter.socket"
INSTALLED = "/opt/zohovoice-exporter/bin/zohovoice-exporter"
MOST_EXPOSURE = 15
"""In tenths, as systemd-analyze counts; what listens and connects cannot have much less."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they are installed, but with a program that is there."""
    folder = tmp_path / "units"
    shutil.copytree(DEPLOY / "systemd", folder)
    service = folder / SERVICE
    text = service.read_text(encoding="utf-8")
    assert text.count(INSTALLED) == 1
    service.write_text(text.replace(INSTALLED, str(Path(sys.executable).with_name("zohovoice-exporter"))), "utf-8")
    return folder


def analyzed(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze", "systemd"), *arguments]
    env = os.environ | ({"SYSTEMD_UNIT_PATH": f"{path}:"} if path else {})
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


@pytest.mark.parametrize("drop_in", [False, True], ids=["port of its own", "port from the socket unit"])
def test_systemd_can_load_the_units_and_has_nothing_to_say(units: Path, *, drop_in: bool) -> None:
    if not drop_in:
        shutil.rmtree(units / f"{SERVICE}.d")
    said = analyzed("verify", "--man=no", SERVICE, SOCKET, path=units)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_a_unit_with_a_mistake_would_be_noticed(units: Path) -> None:
    service = units / SERVICE
    service.write_text(service.read_text("utf-8").replace("ProtectSystem=strict", "ProtectSystem=srtict"), "utf-8")
    assert "srtict" in analyzed("verify", "--man=no", SERVICE, path=units).stderr


def test_the_service_is_exposed_to_little(units: Path) -> None:
    arguments = ("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}", str(units / SERVICE))
    said = analyzed(*arguments)
    assert said.returncode == 0, said.stdout[-400:]


def test_every_variable_that_the_units_set_is_one_of_a_setting() -> None:
    known = {setting.variable for setting in SETTINGS.values()}
    lines = [
        line for path in (DEPLOY / "systemd").rglob("*.*") if path.is_file() for line in path.read_text().split("\n")
    ]
    named = {line.split("=")[1] for line in lines if line.startswith("Environment=")}
    assert "ZOHOVOICE_DB" in named
    assert named <= known


def test_the_compose_file_fits_its_schema(tmp_path: Path) -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yml")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    wrong = tmp_path / "compose.yml"
    wrong.write_text((DEPLOY / "compose.yml").read_text("utf-8").replace("read_only:", "readonly:"), "utf-8")
    command[-1] = str(wrong)
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 1


def test_the_compose_file_mounts_what_is_there_and_opens_ports_on_this_machine_only() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))["services"]
    assert set(services) == {"exporter", "prometheus", "grafana"}
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists()
        assert service.get("image", "").rpartition(":")[2] != "latest"


def test_the_exporters_command_in_the_compose_file_is_one_that_the_program_takes() -> None:
    command = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))["services"]["exporter"]["command"]
    program_ = str(Path(sys.executable).with_name("zohovoice-exporter"))
    said = subprocess.run([program_, *command, "--help"], capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode == 0, said.stderr


def test_prometheus_in_the_compose_file_scrapes_the_exporters_service() -> None:
    path = DEPLOY / "compose" / "prometheus.yml"
    checked = subprocess.run([promtool(), "check", "config", path], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (job,) = yaml.safe_load(path.read_text("utf-8"))["scrape_configs"]
    assert (job["job_name"], job["static_configs"]) == ("zohovoice", [{"targets": ["exporter:10042"]}])


def test_hadolint_has_nothing_to_say_of_the_dockerfile(tmp_path: Path) -> None:
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    said = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\nRUN cd /tmp && pip install httpx\n", "utf-8")
    assert subprocess.run([hadolint, str(wrong)], capture_output=True, timeout=60, check=False).returncode == 1
