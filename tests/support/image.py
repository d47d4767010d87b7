"""The image, built and run without a container engine: buildah in a chroot, on a base that debootstrap makes.

The registry of images is not asked: the stand-in for the base image carries its name, and Debian's Python.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import program

ROOT = Path(__file__).parents[2]
_BASE = "docker.io/library/python:3.12-slim"
_IMAGE = "localhost/zohovoice-exporter"
_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True)
class Buildah:
    """Buildah with a store of its own."""

    program: str
    store: Path

    def __call__(self, *arguments: str, seconds: float = 300) -> str:
        """What a command prints; AssertionError with all that it said if it fails."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=seconds, check=False)
        assert done.returncode == 0, f"buildah {' '.join(arguments)}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """The whole command line."""
        where = (f"--root={self.store / 'images'}", f"--runroot={self.store / 'run'}", "--storage-driver=vfs")
        return [self.program, *where, *arguments]


@dataclass(frozen=True, slots=True)
class Image:
    """The built image, and a container of it in which commands run as the image's user."""

    buildah: Buildah
    config: dict[str, Any]
    """What an engine reads: User, Entrypoint, Cmd, Healthcheck, Volumes, Labels …"""
    container: str

    def command(self, *words: str, env: Sequence[str] = ()) -> list[str]:
        """A command in the container, on this machine's loopback; `env`: NAME=value."""
        variables = [f"--env={variable}" for variable in env]
        return self.buildah.command("run", "--isolation=chroot", *variables, self.container, "--", *words)

    def run(self, *words: str, env: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command in the container to its end."""
        return subprocess.run(self.command(*words, env=env), capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def built_image(folder: Path) -> Iterator[Image]:
    """Build the image from this checkout; skips where a chroot cannot be made."""
    buildah = Buildah(program("buildah", "buildah"), folder)
    debootstrap = program("debootstrap", "debootstrap")
    if os.geteuid() != 0:
        pytest.skip("the image is built in a chroot, which only root can make")
    rootfs = folder / "rootfs"
    try:
        _make_base(debootstrap, rootfs)
        _keep_as_base(buildah, rootfs)
        shutil.rmtree(rootfs)
        told = ("--build-arg=VERSION=1.2.3", "--build-arg=REVISION=abcdef0")
        where = ("--pull-never", "--isolation=chroot", "--format=docker", f"--tag={_IMAGE}", *told)
        buildah("bud", *where, f"--file={ROOT / 'Dockerfile'}", str(ROOT))
        config = json.loads(buildah("inspect", "--type=image", _IMAGE))["Docker"]["config"]
        container = buildah("from", "--pull-never", _IMAGE).strip()
        yield Image(buildah, config, container)
    finally:
        subprocess.run(buildah.command("rm", "--all"), capture_output=True, timeout=60, check=False)
        subprocess.run(buildah.command("rmi", "--all", "--force"), capture_output=True, timeout=60, check=False)


def _make_base(debootstrap: str, rootfs: Path) -> None:
    command = [debootstrap, "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(rootfs)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert made.returncode == 0, made.stdout[-4000:] + made.stderr[-4000:]
    # Where this machine trusts certificates of its own, what is installed inside comes over them, too.
    if (Path("/") / _CERTIFICATES).is_file():
        shutil.copy(Path("/") / _CERTIFICATES, rootfs / _CERTIFICATES)
        (rootfs / "etc/pip.conf").write_text(f"[global]\ncert = /{_CERTIFICATES}\n", encoding="utf-8")


def _keep_as_base(buildah: Buildah, rootfs: Path) -> None:
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, str(rootfs), "/")
    buildah("commit", "--quiet", "--format=docker", container, _BASE)
    buildah("rm", container)
