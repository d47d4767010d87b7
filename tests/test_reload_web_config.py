"""The web configuration file in a reload, and what of it shows in the metrics of reloads."""

import asyncio
import logging
from pathlib import Path

import bcrypt
import pytest

from exporter.reloading import Reloader
from exporter.roster import RosterChoice
from exporter.settings import Settings
from exporter.web.config.model import WebConfig
from exporter.web.protection.security import WebSecurity
from tests.support.clock import settle
from tests.support.metrics import Polled
from tests.support.running import value
from tests.support.site import AT, GOOD, Site, on_site, reload

HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()


def test_a_web_configuration_is_in_force_with_the_answer(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        async with site.running() as exporter:
            site.web.write_text(f"basic_auth_users: {{ann: '{HASH}'}}\n")
            assert (await reload(exporter)).status_code == 200
            metrics = exporter.url + "/metrics"
            assert (await exporter.http.get(metrics)).status_code == 401
            assert (await reload(exporter)).status_code == 401
            exporter.http.auth = ("ann", "open sesame")
            assert (await exporter.http.get(metrics)).status_code == 200
            for path in ("/config", "/metrics", "/"):
                assert HASH not in await exporter.text(path)
            site.web.write_text("")
            assert (await reload(exporter)).status_code == 200
            exporter.http.auth = None
            assert (await exporter.http.get(metrics)).status_code == 200

    on_site(tmp_path, scene)


def test_a_web_configuration_that_changes_by_itself_shows_in_the_same_metrics(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        async with site.running() as exporter:
            before = await exporter.samples()
            site.web.write_text("basic_auth_user: {}\n")
            after = await exporter.until(lambda now: value(now, GOOD) == 0)
            assert value(after, AT) == value(before, AT)
            site.web.write_text("")
            after = await exporter.until(lambda now: value(now, GOOD) == 1)
            assert (value(after, AT) or 0) > (value(before, AT) or 0)
            # It does not make up for a reload that failed for another reason.
            site.config.write_text("poll.interval: soon\n")
            assert (await reload(exporter)).status_code == 500
            site.web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
            async with asyncio.timeout(10):
                while "x-frame-options" not in (await exporter.http.get(exporter.url + "/-/healthy")).headers:
                    await asyncio.sleep(0.05)
            assert value(await exporter.samples(), GOOD) == 0
            site.write_config()
            assert (await reload(exporter)).status_code == 200
            assert value(await exporter.samples(), GOOD) == 1

    on_site(tmp_path, scene)


def test_what_goes_wrong_when_it_is_told_of_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def publish() -> None:
        raise RuntimeError("no room")

    async def run() -> None:
        reloader = Reloader(
            Settings(),
            RosterChoice(Settings().agents, ()),
            reread=Settings,
            web_config=WebSecurity(None, WebConfig()),
            use=lambda settings, choice: None,
            observer=Polled().instruments,
            publish=publish,
        )
        reloader.web_config_reread(good=False)
        await settle()

    asyncio.run(run())
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("exporter.reloading", logging.ERROR)
    assert record.getMessage() == "the web configuration was reread, but metrics and pages do not tell of it yet"
    assert "no room" in caplog.text
