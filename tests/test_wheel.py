"""The wheel, installed where nothing of this checkout can be imported: what a user gets from `pip install`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def _environment() -> dict[str, str]:
    """The environment without anything that points back into this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ZOHOVOICE_"))}
    kept.pop("VIRTUAL_ENV", None)
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def _run(*command: str | Path, cwd: Path, timeout_s: float = 300) -> str:
    """What `command` says on stdout; raises AssertionError if it fails."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    _run(*build, cwd=folder)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a new environment that holds the wheel and what the lock file names for it."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    lock = ROOT / "requirements" / "runtime.txt"
    _run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", lock, cwd=environment)
    _run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=environment)
    return environment / "bin"


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode("utf-8"))


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "exporter"
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert packed == {path.relative_to(ROOT).as_posix() for path in files}
    assert "exporter/py.typed" in packed


def test_the_wheels_metadata_name_the_program_and_the_licence(wheel: Path) -> None:
    metadata = _metadata(wheel)
    assert (metadata["Name"], metadata["License-Expression"]) == ("zohovoice-exporter", "MIT")
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_lock_file_brings_everything_that_the_wheel_requires(installed: Path, tmp_path: Path) -> None:
    assert "No broken requirements" in _run(installed / "python", "-m", "pip", "check", cwd=tmp_path)


def test_the_installed_program_shows_its_help_from_another_directory(installed: Path, tmp_path: Path) -> None:
    shown = _run(installed / "zohovoice-exporter", "--help", cwd=tmp_path, timeout_s=30)
    assert shown.startswith("Usage: zohovoice-exporter [OPTIONS] COMMAND [ARGS]...")
    for command in ("serve", "demo", "check", "history", "status", "agents", "auth", "simulate"):
        assert f"\n  {command} " in shown


def test_the_installed_program_tells_the_version_of_its_wheel(installed: Path, wheel: Path, tmp_path: Path) -> None:
    shown = _run(installed / "zohovoice-exporter", "--version", cwd=tmp_path, timeout_s=30)
    assert shown == f"zohovoice-exporter {_metadata(wheel)['Version']}\n"


def test_every_module_of_the_installed_package_can_be_imported(installed: Path, tmp_path: Path) -> None:
    imports = (
        "import importlib, pkgutil, exporter\n"
        "for module in pkgutil.walk_packages(exporter.__path__, 'exporter.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "print(exporter.__file__)\n"
    )
    origin = _run(installed / "python", "-W", "error", "-c", imports, cwd=tmp_path, timeout_s=60)
    assert Path(origin.strip()).is_relative_to(installed.parent)


@contextmanager
def _demo(program: Path, folder: Path) -> Iterator[str]:
    """A demo that serves, with its data in `folder`: yields what it has said. It must end well when it is told to."""
    command = (program, "demo", "--directory=data", "--agents=4", "--days=1", "--web.listen-address=127.0.0.1:0")
    process = subprocess.Popen(
        [*map(str, command)], cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl-C ends the demo." not in said:
                line = process.stdout.readline()
                assert line, f"the demo ended: {process.stderr.read() if process.stderr else ''}"
                said += line
            yield said
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
            assert process.returncode == 0, errors
        finally:
            process.kill()


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode("utf-8")
        return text


def test_the_installed_demo_serves_pages_and_metrics_and_fills_a_history_that_reports_can_read(
    installed: Path, tmp_path: Path
) -> None:
    program = installed / "zohovoice-exporter"
    with _demo(program, tmp_path) as said:
        (url,) = re.findall(r"board +(http://127\.0\.0\.1:\d+)/board", said)
        assert "<h1>Zoho Voice exporter</h1>" in _page(f"{url}/")
        give_up = time.monotonic() + 30
        while "\nzohovoice_up 1\n" not in (metrics := _page(f"{url}/metrics")):
            assert time.monotonic() < give_up, metrics
            time.sleep(0.1)
        assert metrics.count("\nzohovoice_agent_info{") == 4
        reports = re.findall(r"(?m)^  \S+ (history .*)$", said)
        assert len(reports) == 3
        summary = ("history", "summary", "--db=data/zohovoice.db", "--since=1d", "--format=json")
        rows = json.loads(_run(program, *summary, cwd=tmp_path, timeout_s=30))["rows"]
        assert len({row["agent_id"] for row in rows}) == 4
        assert {"Offline", "unknown"} < {row["status"] for row in rows}
        assert "\u2500" in _run(
            program, "history", "coverage", "--db=data/zohovoice.db", "--format=table", cwd=tmp_path
        )
    assert (tmp_path / "data" / "zohovoice.db").exists()
