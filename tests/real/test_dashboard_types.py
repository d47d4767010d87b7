"""Every dashboard as a literal of the type that Grafana publishes for dashboards, checked by the TypeScript compiler.

Imported JSON would not do: there "h": 4 has become `number` and "table" `string` before anything is compared.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from grafana.build import DASHBOARDS, FOLDER
from tests.support.grafana import dashboard
from tests.support.programs import program

LOCKED: Final = Path(__file__).parents[1] / "support" / "typescript"
GRAFANAS: Final = ("grafana-11", "grafana-13")
"""The oldest Grafana that the dashboards are for, and the newest: two versions of the package @grafana/schema."""

# JSON cannot name the members of an enumeration, only their values.
SOURCE: Final = """import type {{ Dashboard }} from "{package}";
type Plain<T> = T extends string
  ? `${{T}}`
  : T extends (infer Item)[] ? Plain<Item>[] : T extends object ? {{ [Key in keyof T]: Plain<T[Key]> }} : T;
export const board: Plain<Dashboard> = {literal};
"""

Compiler = Callable[[dict[str, str]], list[str]]
"""From names and JSON of dashboards to what the compiler finds wrong, for either Grafana."""


@pytest.fixture(scope="module")
def packages() -> Path:
    """The locked packages, installed once beside those of Python."""
    program("node", "nodejs")
    npm = program("npm", "npm")
    version = sha256((LOCKED / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = Path(sys.prefix) / f"typescript-{version}"
    if folder.exists():
        return folder
    with TemporaryDirectory(dir=sys.prefix, prefix="typescript-", ignore_cleanup_errors=True) as new:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(LOCKED / name, Path(new) / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        installed = subprocess.run(command, cwd=new, capture_output=True, text=True, timeout=300)
        if installed.returncode:
            pytest.skip(f"npm could not install the packages of {LOCKED.name}/: {installed.stderr.strip()[-300:]}")
        with suppress(FileExistsError):  # another run of the tests was faster
            Path(new).rename(folder)
    return folder


@pytest.fixture
def compiler(packages: Path, tmp_path: Path) -> Compiler:
    """`tsc --strict` on literals of Dashboard."""
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")

    def errors(boards: dict[str, str]) -> list[str]:
        for name, literal in boards.items():
            for package in GRAFANAS:
                source = SOURCE.format(package=package, literal=literal)
                (tmp_path / f"{name}.{package}.ts").write_text(source, "utf-8")
        options = ["--noEmit", "--strict", "--skipLibCheck", "--pretty", "false"]
        options += ["--module", "nodenext", "--moduleResolution", "nodenext"]
        files = [file.name for file in sorted(tmp_path.glob("*.ts"))]
        command = [program("node", "nodejs"), str(packages / "node_modules" / "typescript" / "bin" / "tsc")]
        said = subprocess.run([*command, *options, *files], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        found = [line for line in said.stdout.splitlines() if "error TS" in line]
        assert bool(found) == bool(said.returncode), said.stdout + said.stderr
        return found

    return errors


def test_the_locked_packages_say_what_they_are_and_not_where_they_come_from() -> None:
    locked = json.loads((LOCKED / "package-lock.json").read_text("utf-8"))["packages"]
    asked = json.loads((LOCKED / "package.json").read_text("utf-8"))["devDependencies"]
    assert locked[""]["devDependencies"] == asked
    assert set(asked) == {*GRAFANAS, "typescript"}
    for name, package in locked.items():
        assert "resolved" not in package
        assert name == "" or package["integrity"].startswith("sha512-")
    assert all(locked[f"node_modules/{name}"]["name"] == "@grafana/schema" for name in GRAFANAS)


def test_every_dashboard_is_one_by_grafanas_own_types(compiler: Compiler) -> None:
    boards = {name.removesuffix(".json"): (FOLDER / name).read_text("utf-8") for name in DASHBOARDS}
    assert compiler(boards) == []


def _title_is_a_number(board: dict[str, Any]) -> None:
    board["title"] = 5


def _height_is_text(board: dict[str, Any]) -> None:
    board["panels"][0]["gridPos"]["h"] = "4"


def _options_are_missing_altogether(board: dict[str, Any]) -> None:
    board["panels"][0]["options"] = None


def _no_such_colour_mode(board: dict[str, Any]) -> None:
    board["panels"][0]["fieldConfig"]["defaults"]["color"] = {"mode": "fxied"}


def _a_key_that_nobody_knows(board: dict[str, Any]) -> None:
    board["titel"] = "Agents now"


def _refreshed_never_heard_of(board: dict[str, Any]) -> None:
    board["templating"]["list"][1]["refresh"] = 7


MISTAKES: Final = (
    _title_is_a_number,
    _height_is_text,
    _options_are_missing_altogether,
    _no_such_colour_mode,
    _a_key_that_nobody_knows,
    _refreshed_never_heard_of,
)


def test_a_mistake_is_found_by_either_grafana(compiler: Compiler) -> None:
    boards = {}
    for mistake in MISTAKES:
        board = dashboard("agents-now")
        mistake(board)
        boards[mistake.__name__] = json.dumps(board, indent=1)
    found = {re.split(r"\.ts\(", line)[0] for line in compiler(boards)}
    assert found == {f"{mistake.__name__}.{package}" for mistake in MISTAKES for package in GRAFANAS}
