"""What is under deploy/: units for systemd and the compose file, checked by the tools that exist for them."""

import asyncio
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli.settings_table import SETTINGS
from exporter.history.writer import HistoryWriter
from exporter.model import EndReason
from grafana.sqlite import PLUGIN
from tests.support.children import child
from tests.support.documents import documents, fences, read, section
from tests.support.others import open_to_others
from tests.support.programs import program, promtool
from tests.support.serving import until
from tests.support.two_sources import RUN

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PROVISIONING = ROOT / "grafana" / "provisioning"
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


def fits_the_schema(path: Path) -> bool:
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [checker, "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_the_compose_file_fits_its_schema(tmp_path: Path) -> None:
    assert fits_the_schema(DEPLOY / "compose.yml")
    wrong = tmp_path / "compose.yml"
    wrong.write_text((DEPLOY / "compose.yml").read_text("utf-8").replace("read_only:", "readonly:"), "utf-8")
    assert not fits_the_schema(wrong)


def test_the_compose_file_mounts_what_is_there_and_opens_ports_on_this_machine_only() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))["services"]
    assert set(services) == {"exporter", "past", "blocks", "prometheus", "grafana"}
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists()
        assert "build" in service or re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"])


def test_grafana_with_its_first_password_is_started_on_this_machine_only() -> None:
    pages = [page for page in documents() if "grafana/grafana:" in page.read_text("utf-8")]
    assert ROOT / "grafana" / "README.md" in pages
    for page in pages:
        published = re.findall(r"--publish (\S+:3000)\b", page.read_text("utf-8"))
        assert set(published) == {"127.0.0.1:3000:3000"}, page


def test_what_the_compose_file_builds_twice_is_one_image() -> None:
    # Without `build` compose would look for the image in a registry before it is built.
    exporter, past = compose()["exporter"], compose()["past"]
    assert (exporter["build"], exporter["image"]) == (past["build"], past["image"])
    assert compose()["blocks"]["image"] == compose()["prometheus"]["image"], "promtool is the Prometheus' own"


def test_the_exporters_command_in_the_compose_file_is_one_that_the_program_takes() -> None:
    command = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))["services"]["exporter"]["command"]
    program_ = str(Path(sys.executable).with_name("zohovoice-exporter"))
    said = subprocess.run([program_, *command, "--help"], capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode == 0, said.stderr


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))["services"]
    return loaded


def mounted(service: str) -> dict[str, str]:
    """What is mounted into the service of the compose file: place inside -> source; all but volumes are read-only."""
    places = {}
    for volume in compose()[service]["volumes"]:
        source, place, *options = volume.split(":")
        assert options == ["ro"] or not source.startswith(".")
        places[place] = source
    return places


@pytest.mark.parametrize("name", ["compose/prometheus.yml", "prometheus.yml"])
def test_prometheus_is_given_all_rules_and_alerts(tmp_path: Path, name: str) -> None:
    assert mounted("prometheus")["/etc/prometheus/rules"] == "../grafana/prometheus"
    path = tmp_path / "prometheus.yml"
    shutil.copyfile(DEPLOY / name, path)
    shutil.copytree(ROOT / "grafana" / "prometheus", tmp_path / "rules")
    checked = subprocess.run([promtool(), "check", "config", path], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 rule files found" in checked.stdout


def test_grafana_in_the_compose_file_has_the_data_sources_and_all_dashboards() -> None:
    places, service = mounted("grafana"), compose()["grafana"]
    assert places["/etc/grafana/provisioning"] == "../grafana/provisioning"
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "zohovoice.yml").read_text("utf-8"))["providers"]
    assert places[provider["options"]["path"]] == "../grafana/dashboards"
    sources = [
        source
        for path in sorted((PROVISIONING / "datasources").iterdir())
        for source in yaml.safe_load(path.read_text("utf-8"))["datasources"]
    ]
    assert [source["type"] for source in sources] == ["prometheus", PLUGIN]
    assert len({source["uid"] for source in sources}) == len(sources)
    # Which version it is stands in what Grafana is told to install.
    name, _, version = service["environment"]["GF_PLUGINS_PREINSTALL"].partition("@")
    assert name == PLUGIN
    assert len(version.split(".")) == 3
    assert sources[1]["jsonData"]["path"] == "${HISTORY_DATABASE}"


def test_grafana_in_the_compose_file_reads_the_exporters_history_as_one_of_its_group() -> None:
    exporter, grafana = compose()["exporter"], compose()["grafana"]
    volume = mounted("exporter")["/data"]
    assert mounted("grafana")["/history"] == volume
    assert f"{volume}:/history:ro" in grafana["volumes"]
    flags = dict(word.removeprefix("--").split("=") for word in exporter["command"] if "=" in word)
    inside = grafana["environment"]["HISTORY_DATABASE"].removeprefix("/history")
    assert f"/data{inside}" == f"{flags['directory']}/zohovoice.db"
    assert flags["db.mode"] == "0640"
    (user,) = [line.split()[1] for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if "USER" in line[:4]]
    assert [user.split(":")[1]] == grafana["group_add"]


def test_the_documented_override_runs_and_lets_grafana_read_the_same_database(tmp_path: Path) -> None:
    (override,) = fences(section(read(ROOT / "docs" / "deployment.md"), "Compose"), "yaml")
    services = yaml.safe_load(override.body)["services"]
    command = services["exporter"]["command"]
    program_ = str(Path(sys.executable).with_name("zohovoice-exporter"))
    said = subprocess.run([program_, *command, "--help"], capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode == 0, said.stderr
    flags = dict(word.removeprefix("--").split("=") for word in command if "=" in word)
    assert flags["db"] == services["grafana"]["environment"]["HISTORY_DATABASE"].replace("/history/", "/data/")
    assert flags["db.mode"] == "0640"
    # A secret is a variable that names a file of /run/secrets, where the engine puts those that the service names.
    secrets = services["exporter"]["secrets"]
    assert sorted(services["exporter"]["environment"].values()) == [f"/run/secrets/{name}" for name in sorted(secrets)]
    assert set(services["exporter"]["environment"]) <= {setting.variable for setting in SETTINGS.values()}
    # The demo's past is told with names, which an account's people have not agreed to.
    assert "--names" in str(compose()["past"]["command"])
    assert services["past"] == {"command": ["true"]}
    path = tmp_path / "compose.override.yml"
    path.write_text(override.body, "utf-8")
    assert fits_the_schema(path)


READER = """
import json, os, sqlite3, sys
address, groups = sys.argv[1], json.loads(sys.argv[2])
os.setgroups(groups); os.setgid(0); os.setuid(472)
try:
    connection = sqlite3.connect(address, uri=True)
    print(connection.execute("SELECT count(*) FROM run").fetchone()[0])
except sqlite3.Error as error:
    print(error)
"""
"""Opens a database as the plugin does, and as the user whom Grafana's image runs as."""


def read_as_grafana(path: Path, groups: list[int]) -> str:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "sqlite.yml").read_text("utf-8"))["datasources"]
    how = source["jsonData"]
    address = f"{how['pathPrefix']}{path}?{how['pathOptions']}&_pragma=query_only(1)"
    command = [sys.executable, "-c", READER, address, str(groups)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can become another user")
def test_one_of_the_exporters_group_can_read_the_history_while_the_exporter_runs(tmp_path: Path) -> None:
    open_to_others(tmp_path)
    data = tmp_path / "data"
    data.mkdir(mode=0o750)
    path = data / "zohovoice.db"

    def belongs_to_the_exporter() -> None:
        for file in (data, *data.iterdir()):
            os.chown(file, 10042, 10042)

    writer = HistoryWriter.open(path, RUN, mode=0o640)
    belongs_to_the_exporter()
    assert read_as_grafana(path, [10042]) == "1"
    assert read_as_grafana(path, []) == "unable to open database file"
    writer.abandon()
    # Nobody has it open, and the reader may not put the files beside it that SQLite needs even to read.
    belongs_to_the_exporter()
    HistoryWriter.open(path, RUN, mode=0o640).close(1, EndReason.SHUTDOWN)
    belongs_to_the_exporter()
    assert not path.with_name("zohovoice.db-wal").exists()
    assert read_as_grafana(path, [10042]) == "attempt to write a readonly database"
    writer = HistoryWriter.open(path, RUN)
    belongs_to_the_exporter()
    assert read_as_grafana(path, [10042]) == "unable to open database file", "the group may not read the mode 0600"
    writer.abandon()


def test_prometheus_in_the_compose_file_scrapes_the_exporters_service() -> None:
    path = DEPLOY / "compose" / "prometheus.yml"
    (job,) = yaml.safe_load(path.read_text("utf-8"))["scrape_configs"]
    assert (job["job_name"], job["static_configs"]) == ("zohovoice", [{"targets": ["exporter:10042"]}])


def test_hadolint_has_nothing_to_say_of_the_dockerfile(tmp_path: Path) -> None:
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    said = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\nRUN cd /tmp && pip install httpx\n", "utf-8")
    assert subprocess.run([hadolint, str(wrong)], capture_output=True, timeout=60, check=False).returncode == 1


def test_the_demo_lets_its_group_read_the_history_and_not_the_access_token(tmp_path: Path) -> None:
    async def run() -> None:
        folder = tmp_path / "demo"
        listen = "--web.listen-address=127.0.0.1:0"
        async with child("demo", f"--directory={folder}", "--db.mode=0640", "--agents=5", "--days=0", listen) as demo:
            await demo.until_logged("Three reports to try", stream="out")
            await until(lambda: (folder / "zohovoice-token.json").exists())
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (folder, *folder.iterdir())}
        assert modes["demo"] & 0o050
        assert modes["zohovoice.db"] == modes["zohovoice.db-wal"] == modes["zohovoice.db-shm"] == 0o640
        assert modes["zohovoice-token.json"] == 0o600

    asyncio.run(run())
