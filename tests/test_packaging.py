"""What carries the program to a machine: the Dockerfile, the example for Prometheus, the script of integration."""

import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.programs import promtool

ROOT = Path(__file__).parents[1]


def _instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each on one line: its keyword and the rest."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def _final_stage() -> list[tuple[str, str]]:
    instructions = _instructions()
    last = max(place for place, (keyword, _) in enumerate(instructions) if keyword == "FROM")
    return instructions[last:]


def _final(keyword: str) -> str:
    """What the last instruction `keyword` of the final stage says."""
    return [rest for each, rest in _final_stage() if each == keyword][-1]


def test_both_stages_stand_on_the_same_tagged_base() -> None:
    assert [rest for keyword, rest in _instructions() if keyword == "FROM"] == [
        "python:3.12-slim AS builder",
        "python:3.12-slim",
    ]


def test_the_image_runs_as_a_numeric_user_who_owns_its_volume() -> None:
    assert _final("USER") == "10042:10042"
    assert _final("WORKDIR") == "/data"
    assert json.loads(_final("VOLUME")) == ["/data"]
    assert "install --directory --owner=10042 --group=10042" in _final("RUN")


def test_the_image_serves_by_default_with_its_database_in_the_volume() -> None:
    assert json.loads(_final("ENTRYPOINT")) == ["zohovoice-exporter"]
    assert json.loads(_final("CMD")) == ["serve", "--db=/data/zohovoice.db"]
    assert _final("EXPOSE") == "10042"


def test_the_final_stage_takes_only_the_environment_from_the_builder() -> None:
    assert [rest for keyword, rest in _final_stage() if keyword in ("COPY", "ADD")] == [
        "--from=builder /opt/venv /opt/venv"
    ]


def test_everything_installed_in_the_image_is_pinned_by_hash_or_built_here() -> None:
    installs = re.findall(r"pip[^&]* install ([^&]*)", " && ".join(rest for _, rest in _instructions()))
    assert [install.strip() for install in installs] == [
        "--require-hashes --requirement requirements/runtime.txt",
        "--require-hashes --requirement requirements/build.txt",
        "--no-deps --no-index dist/*.whl",
    ]


def test_the_health_check_is_a_module_of_the_program() -> None:
    words = json.loads(_final("HEALTHCHECK").partition(" CMD ")[2])
    assert words == ["python3", "-I", "-m", "exporter.cli.healthcheck"]
    assert importlib.util.find_spec(words[-1]) is not None


def test_what_the_dockerfile_copies_is_let_through_and_nothing_else() -> None:
    copied = {
        source.rstrip("/")
        for keyword, rest in _instructions()
        if keyword == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    lines = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")
    ]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    for source in copied:
        assert (ROOT / source).exists()


def test_the_example_for_prometheus_is_valid_and_scrapes_the_default_port() -> None:
    path = ROOT / "deploy" / "prometheus.yml"
    checked = subprocess.run([promtool(), "check", "config", path], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (job,) = yaml.safe_load(path.read_text(encoding="utf-8"))["scrape_configs"]
    assert (job["job_name"], job["static_configs"]) == ("zohovoice", [{"targets": ["localhost:10042"]}])


def test_the_script_of_integration_is_executable_and_bash_can_read_it() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True, timeout=10)


PROGRAM = re.compile(r'\bprogram\(\s*"([\w.-]+)",\s*"([\w.-]+)"')


def test_the_script_of_integration_installs_every_program_that_a_test_looks_for() -> None:
    wanted = {
        found.groups()
        for path in (ROOT / "tests").rglob("*.py")
        for found in PROGRAM.finditer(path.read_text(encoding="utf-8"))
    }
    installed = set(re.findall(r"(?m)^need ([\w.-]+) ([\w.-]+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8")))
    assert ("promtool", "prometheus") in wanted
    assert wanted <= installed


def test_an_environment_that_could_not_be_made_is_not_taken_for_one_at_the_next_try(tmp_path: Path) -> None:
    python = tmp_path / "python-without-venv"  # as on Debian without the package
    python.write_text('#!/bin/sh\nmkdir -p "$3/bin"; touch "$3/bin/python"; exit 1\n', encoding="utf-8")
    python.chmod(0o755)
    venv = tmp_path / "venv"
    command = ["make", "--directory", str(ROOT), f"PYTHON={python}", f"VENV={venv}", f"{venv}/bin/python"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "install python3-venv (Debian), or name another Python: make PYTHON=python3" in done.stderr
        assert not (venv / "bin" / "python").exists()


@pytest.mark.parametrize("name", ["runtime", "build", "dev"])
def test_a_lock_file_has_hashes_and_no_address_of_a_registry(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    pinned = re.findall(r"(?m)^[A-Za-z0-9][^ ;]*==[^ ;]+", text)
    assert len(pinned) == len(re.findall(r"(?m)^[A-Za-z0-9].*?(?: \\\n    --hash=sha256:[0-9a-f]{64})+$", text)) > 0
