"""The wheel, installed where nothing of this checkout can be imported: what a user gets from `pip install`."""

import os
import subprocess
import sys
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def _run(*command: str | Path, cwd: Path, timeout_s: float = 300) -> str:
    """What `command` says on stdout, run without anything that points back into this checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ZOHOVOICE_"))}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"},
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
