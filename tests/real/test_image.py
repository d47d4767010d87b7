"""The image for real: built from the Dockerfile, started as it says, scraped, asked for its health, and stopped."""

import asyncio
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator.server import RunningSimulator
from tests.support.image import Image, built_image
from tests.support.running import simulated
from tests.support.sockets import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with built_image(tmp_path_factory.mktemp("image")) as built:
        yield built


def test_the_image_says_who_it_is_and_runs_as_nobody_special(image: Image) -> None:
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == "abcdef0"
    assert image.config["User"] == "10042:10042"
    assert image.config["Volumes"] == {"/data": {}}
    assert image.run("id").stdout.split()[:2] == ["uid=10042", "gid=10042"]


def test_the_image_has_no_installer_left(image: Image) -> None:
    assert image.run("python3", "-c", "import pip").returncode == 1
    assert image.run("/opt/venv/bin/python", "-c", "import exporter, bcrypt, isal, uvloop, httptools").returncode == 0


def test_started_as_the_dockerfile_says_it_serves_is_healthy_and_ends_in_good_order(image: Image) -> None:
    async def run() -> None:
        async with simulated() as simulator:
            await asyncio.to_thread(serve_scrape_and_stop, image, simulator)

    asyncio.run(run())


def serve_scrape_and_stop(image: Image, simulator: RunningSimulator) -> None:
    port = free_port()
    credentials = simulator.credentials
    assert credentials.client_secret is not None
    env = [
        f"ZOHOVOICE_API_URL={simulator.url}",
        f"ZOHOVOICE_API_ACCOUNTS_URL={simulator.url}",
        f"ZOHOVOICE_AUTH_CLIENT_ID={credentials.client_id}",
        f"ZOHOVOICE_AUTH_CLIENT_SECRET={credentials.client_secret.reveal()}",
        f"ZOHOVOICE_AUTH_REFRESH_TOKEN={credentials.admin.reveal()}",
        f"ZOHOVOICE_WEB_LISTEN_ADDRESS=127.0.0.1:{port}",
        "ZOHOVOICE_POLL_INTERVAL=1s",
    ]
    health = image.config["Healthcheck"]["Test"][1:]
    assert image.run(*health, env=env).returncode == 1, "nothing is there to be healthy yet"
    words = [*image.config["Entrypoint"], *image.config["Cmd"]]
    with subprocess.Popen(
        image.command(*words, env=env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as serving:
        try:
            body = scraped(port, serving)
            checked = image.run(*health, env=env)
            assert (checked.returncode, checked.stderr) == (0, "")
            summary = image.run("zohovoice-exporter", "history", "coverage", "--db=/data/zohovoice.db")
        finally:
            stop(serving)
        log = serving.stdout.read().decode() if serving.stdout else ""
    assert re.search(r'zohovoice_exporter_build_info\{version="[^"]+",revision="abcdef0"', body)
    assert 'zohovoice_agents{status="Available"}' in body
    assert "recorder," in summary.stdout, summary.stderr
    assert serving.returncode == 0, log
    assert "msg=stopping" in log


def scraped(port: int, serving: subprocess.Popen[bytes]) -> str:
    """The first body in which a poll has worked."""
    for _ in range(300):
        assert serving.poll() is None, serving.stdout.read().decode() if serving.stdout else ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                body: str = answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            body = ""
        if "\nzohovoice_up 1\n" in body:
            return body
        try:
            serving.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("no poll has worked in the container")


def stop(serving: subprocess.Popen[bytes]) -> None:
    """What an engine does: SIGTERM to the program itself, which is the innermost process."""
    innermost = serving.pid
    while inner := children(innermost):
        innermost = inner[0]
    if innermost != serving.pid:
        subprocess.run(["kill", f"-{signal.SIGTERM.value}", str(innermost)], check=False)
    else:
        serving.terminate()
    serving.wait(15)


def children(pid: int) -> list[int]:
    """Process ids; none if it has ended."""
    try:
        tasks = [(task / "children").read_text("ascii") for task in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(child) for text in tasks for child in text.split())
