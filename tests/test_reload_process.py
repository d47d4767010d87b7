"""SIGHUP, and what a reload of a process goes by: its flags and variables stay as they were."""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from exporter.cli.build import rereading, settings_from
from exporter.cli.values import gather
from exporter.errors import UsageError
from tests.support.children import child
from tests.support.running import Samples, read_samples, value
from tests.support.site import GOOD, INTERVAL, POLLS, UP, Site, on_site, polls, tracked


async def scraped(url: str) -> Samples:
    async with httpx.AsyncClient(trust_env=False) as http:
        return read_samples((await http.get(url + "/metrics")).text)


async def until(url: str, holds: Callable[[Samples], bool]) -> Samples:
    async with asyncio.timeout(20):
        while not holds(samples := await scraped(url)):
            await asyncio.sleep(0.05)
    return samples


def test_sighup_reloads_and_a_bad_file_does_not_end_the_program(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        env = site.environment
        async with child("serve", "--config.file", str(site.config), "--log.level=info", env=env) as process:
            url = await process.url()
            await until(url, lambda now: value(now, UP) == 1)
            site.write_config(poll__interval="200ms")
            process.process.send_signal(signal.SIGHUP)
            await until(url, lambda now: value(now, INTERVAL) == 0.2)
            assert 'msg="the configuration was reloaded" changed=poll.interval' in process.log
            site.config.write_text("poll.interval: soon\n")
            process.process.send_signal(signal.SIGHUP)
            await process.until_logged("nothing was reloaded, everything stays as it was")
            samples = await until(url, lambda now: value(now, GOOD) == 0)
            assert value(samples, INTERVAL) == 0.2
            site.write_config(poll__interval="250ms")
            for _ in range(5):  # those that come while it reloads may count as one
                process.process.send_signal(signal.SIGHUP)
            await until(url, lambda now: value(now, INTERVAL) == 0.25 and value(now, GOOD) == 1)
            code, _ = await process.stop()
            assert code == 0
            assert "Traceback" not in process.log

    on_site(tmp_path, scene)


def test_flags_and_variables_stay_in_force_over_the_file(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        env = {**site.environment, "ZOHOVOICE_POLL_MAX_AGE": "7s"}
        arguments = ("serve", "--config.file", str(site.config), "--poll.interval=170ms")
        async with child(*arguments, env=env) as process:
            url = await process.url()
            await until(url, lambda now: value(now, UP) == 1)
            site.write_config(poll__interval="5s", poll__max_age="60s")
            site.write_agents(site.ids[2])
            process.process.send_signal(signal.SIGHUP)
            samples = await until(url, lambda now: tracked(now) == {site.ids[2]})
            assert value(samples, INTERVAL) == 0.17
            async with httpx.AsyncClient(trust_env=False) as http:
                document = yaml.safe_load((await http.get(url + "/config")).text)
            assert document["poll"] == {"interval": "170ms", "max-age": "7s"}

    on_site(tmp_path, scene)


def test_a_file_that_cannot_be_read_to_its_end_keeps_the_program_neither_from_polling_nor_from_ending(
    tmp_path: Path,
) -> None:
    async def scene(site: Site) -> None:
        env = site.environment
        async with child("serve", "--config.file", str(site.config), env=env) as process:
            url = await process.url()
            await until(url, lambda now: value(now, UP) == 1)
            site.agents.unlink()
            os.mkfifo(site.agents)  # nobody writes to it
            process.process.send_signal(signal.SIGHUP)
            await process.until_logged("it is a pipe, and must be a file that can be read again")
            polled = value(await scraped(url), POLLS) or 0
            await until(url, polls(polled + 3))
            code, seconds = await process.stop()
            assert code == 0
            assert seconds < 5
            assert re.search("Traceback|never retrieved", process.log) is None

    on_site(tmp_path, scene)


def test_the_program_may_open_as_many_files_as_its_hard_limit_says(tmp_path: Path) -> None:
    code = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 1000))\n"
        "sys.argv[0] = 'exporter'\n"
        "runpy.run_module('exporter', run_name='__main__', alter_sys=True)\n"
    )

    async def scene(site: Site) -> None:
        env = site.environment
        async with child("serve", "--config.file", str(site.config), env=env, code=code) as process:
            await process.url()
            limits = Path(f"/proc/{process.process.pid}/limits").read_text("ascii")
            (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
            assert line.split()[3:5] == ["1000", "1000"]

    on_site(tmp_path, scene)


def test_reloading_is_what_raises_usage_errors_for_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text("poll.interval: 10s\n")
    values = gather({"config.file": (str(path),)}, {"ZOHOVOICE_AUTH_ACCESS_TOKEN": "hunter2hunter2"})
    reread = rereading(values, settings_from(values))
    path.write_text("poll.interval: 20s\n")
    assert reread().poll.interval_s == 20
    path.write_text("poll.interval: never\n")
    with pytest.raises(UsageError, match="line 1"):
        reread()
