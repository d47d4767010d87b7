"""Programs that pip cannot bring: found, or the test is skipped with a sentence that names the package."""

import shutil

import pytest


def program(name: str, package: str) -> str:
    """The path of the program `name`; skips the test, and says what to install, if it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: install the Debian package `{package}` (apt-get install {package})")
    return found


def promtool() -> str:
    """The path of Prometheus' own checker."""
    return program("promtool", "prometheus")
