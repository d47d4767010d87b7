"""Reloads of the whole program: all or nothing, whatever Zoho and the files do meanwhile."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from exporter.cli.build import settings_from
from exporter.history.care.check import check_file
from exporter.history.care.findings import Result
from exporter.reloading import Reloader
from exporter.settings import Settings
from exporter.simulator.faults import Fault, FaultKind
from tests.support.running import value
from tests.support.site import AT, GOOD, INTERVAL, POLLS, UP, Site, on_site, polls, reload, tracked
from tests.support.told_in_log import fields_of


def test_a_shorter_interval_ends_the_sleep_and_is_shown(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        site.write_config(poll__interval="1h", poll__max_age=None)
        async with site.running() as exporter:
            before = await exporter.samples()
            assert (value(before, INTERVAL), value(before, POLLS), value(before, GOOD)) == (3600, 1, 1)
            site.write_config(poll__interval="100ms")
            answer = await reload(exporter)
            assert (answer.status_code, answer.text) == (200, "Reloaded.\n")
            after = await exporter.samples()
            assert (value(after, INTERVAL), value(after, GOOD)) == (0.1, 1), "it is shown at once, not by the next poll"
            assert (value(after, AT) or 0) > (value(before, AT) or 0)
            await exporter.until(polls(4))

    on_site(tmp_path, scene)


def test_agents_join_and_leave_as_the_file_says(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        async with site.running() as exporter:
            assert tracked(await exporter.samples()) == set(site.ids[:3])
            site.write_agents(site.ids[0], site.ids[4])
            assert (await reload(exporter)).status_code == 200
            await exporter.until(lambda now: tracked(now) == {site.ids[0], site.ids[4]})
            site.write_config(agents__file=None, agents__ids=[site.ids[5]])
            assert (await reload(exporter)).status_code == 200
            await exporter.until(lambda now: tracked(now) == {site.ids[5]})
            site.write_config(agents__ids=None)
            assert (await reload(exporter)).status_code == 200
            await exporter.until(lambda now: tracked(now) == set(site.ids))

    on_site(tmp_path, scene)


BAD: dict[str, tuple[str, str | None, str]] = {
    "a key that is not known": ("config", "poll:\n  intervall: 1s\n", "{config}, line 2: the key 'poll.intervall'"),
    "a value that is none": ("config", "poll.interval: soon\n", "{config}, line 1 (poll.interval): 'soon' is not a"),
    "no YAML": ("config", "poll: [\n", "{config}, line 2, column 1: this is not YAML"),
    "no UTF-8": ("config", "poll: \udcff\n", "{config}, line 1: this is not UTF-8"),
    "settings that exclude each other": (
        "config", "agents.discover: false\n", "{config}, line 1 (agents.discover): nobody is left to track",
    ),
    "no configuration file": ("config", None, "--config.file: cannot read the file {config}: No such file"),
    "an agent twice": ("agents", "id\n7001\n7001\n", "{agents}, line 3, column 'id': the id 7001 stands here again"),
    "nobody": ("agents", "id\n", "{agents}, line 1: the file names no agent"),
    "no agents file": ("agents", None, "--agents.file: cannot read the file {agents}: No such file"),
    "a key of the web configuration that is not known": ("web", "basic_auth_user: {}\n", "{web}, line 1"),
    "a hash that is none": ("web", "basic_auth_users: {ann: hunter2hunter2}\n", "{web}, line 1"),
    "TLS turned on": ("web", "tls_server_config: {cert_file: none.crt, key_file: none.key}\n", "none.crt"),
    "no web configuration file": ("web", None, "--web.config.file: cannot read the file {web}: No such file"),
}  # fmt: skip


def test_one_bad_file_leaves_everything_as_it_was_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(site: Site) -> None:
        site.write_config(poll__interval="300ms")
        async with site.running() as exporter:
            before = await exporter.samples()
            in_force = await exporter.text("/config")
            for what, (name, content, sentence) in BAD.items():
                # What is good about the others must not come into force either.
                site.write_config(poll__interval="400ms")
                site.write_agents(site.ids[7])
                site.web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
                path: Path = getattr(site, name)
                path.unlink()
                if content is not None:
                    path.write_bytes(content.encode("utf-8", "surrogateescape"))
                caplog.clear()
                answer = await reload(exporter)
                said = sentence.format(config=site.config, agents=site.agents, web=site.web)
                assert answer.status_code == 500, what
                assert answer.text.startswith("Nothing was reloaded: "), what
                assert said in answer.text, what
                assert "hunter2" not in answer.text + caplog.text
                (record,) = [one for one in caplog.records if one.name == "exporter.reloading"]
                assert record.levelno == logging.ERROR
                assert said in fields_of(record)["error"], what
                now = await exporter.samples()
                assert (value(now, GOOD), value(now, AT)) == (0, value(before, AT)), what
                assert value(now, INTERVAL) == 0.3, what
                assert await exporter.text("/config") == in_force, what
                if name != "web":
                    # (A web configuration that is good by itself may come into force by itself, within a second.)
                    site.web.write_text("")
            polled = value(await exporter.samples(), POLLS) or 0
            after = await exporter.until(polls(polled + 1))
            assert tracked(after) == set(site.ids[:3])
            site.write_config(poll__interval="400ms")
            site.write_agents(site.ids[7])
            site.web.write_text("")
            assert (await reload(exporter)).status_code == 200
            mended = await exporter.samples()
            assert (value(mended, GOOD), value(mended, INTERVAL)) == (1, 0.4)
            assert (value(mended, AT) or 0) > (value(before, AT) or 0)

    on_site(tmp_path, scene)


def test_what_takes_a_restart_is_named_and_no_value_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter")

    async def scene(site: Site) -> None:
        async with site.running() as exporter:
            site.secret.write_text("1000.of-somebody-else")
            site.write_config(
                db=str(tmp_path / "other.db"), poll__interval="200ms", metrics__names="true",
                web__telemetry_path="/elsewhere", log__level="debug",
            )  # fmt: skip
            assert (await reload(exporter)).status_code == 200
            fields = {one.getMessage(): fields_of(one) for one in caplog.records if one.name == "exporter.reloading"}
            assert fields["the configuration was reloaded"] == {"changed": "poll.interval"}
            warned = fields["these settings have changed too, and a restart puts them in force"]
            names = "auth.refresh-token-file,db,metrics.names,web.telemetry-path,log.level"
            assert warned == {"settings": names}
            document = yaml.safe_load(await exporter.text("/config"))
            assert document["poll"]["interval"] == "200ms"
            assert document["db"] == str(tmp_path / "zohovoice.db")
            assert document["metrics"]["names"] is False
            assert value(await exporter.samples(), GOOD) == 1

    on_site(tmp_path, scene)
    assert "of-somebody-else" not in caplog.text


def test_without_the_flag_nothing_is_read_and_the_answer_says_why(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        site.write_config(web__enable_lifecycle=None)
        async with site.running() as exporter:
            site.write_config(poll__interval="5s")
            answer = await reload(exporter)
            assert answer.status_code == 403
            assert "--web.enable-lifecycle" in answer.text
            assert value(await exporter.samples(), INTERVAL) == 0.15
            assert (await exporter.http.get(exporter.url + "/-/reload")).status_code == 405
            site.asked.set()  # as SIGHUP does
            await exporter.until(lambda now: value(now, INTERVAL) == 5)
            assert not site.asked.is_set()

    on_site(tmp_path, scene)


def test_who_comes_before_the_waiting_reload_has_begun_joins_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, made, asked = 0, 0, 0, 0
    lock, go_on = threading.Lock(), threading.Event()

    def held(reread: Callable[[], Settings]) -> Callable[[], Settings]:
        def read() -> Settings:
            nonlocal under_way, most, made
            with lock:
                under_way += 1
                most, made = max(most, under_way), made + 1
            settings = reread()
            assert go_on.wait(10)
            with lock:
                under_way -= 1
            return settings

        return read

    asking = Reloader.reload

    async def counted(reloader: Reloader) -> None:
        nonlocal asked
        asked += 1
        await asking(reloader)

    monkeypatch.setattr(Reloader, "reload", counted)

    async def asked_for(number: int) -> None:
        async with asyncio.timeout(5):
            while asked < number:
                await asyncio.sleep(0.01)

    async def scene(site: Site) -> None:
        async with site.running(held) as exporter:
            first = asyncio.ensure_future(reload(exporter))
            async with asyncio.timeout(5):
                while not made:
                    await asyncio.sleep(0.01)
            # The first has read its files by now: what is written after that is for the second.
            site.write_config(poll__interval="200ms")
            others = [asyncio.ensure_future(reload(exporter)) for _ in range(9)]
            await asked_for(10)
            assert made == 1
            go_on.set()
            answers = await asyncio.gather(first, *others)
            assert [answer.status_code for answer in answers] == [200] * 10
            assert (most, made) == (1, 2)
            assert value(await exporter.samples(), INTERVAL) == 0.2
            # And the next one is a reload of its own.
            site.write_config(poll__interval="250ms")
            assert (await reload(exporter)).status_code == 200
            assert (made, value(await exporter.samples(), INTERVAL)) == (3, 0.25)

    on_site(tmp_path, scene)


def test_all_who_wait_for_one_reload_are_told_that_it_went_wrong(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        async with site.running() as exporter:
            site.write_config(poll__interval="never")
            answers = await asyncio.gather(*(reload(exporter) for _ in range(5)))
            assert {answer.status_code for answer in answers} == {500}
            assert all("'never' is not a" in answer.text for answer in answers)

    on_site(tmp_path, scene)


def test_who_asks_and_goes_away_leaves_a_whole_reload_behind(tmp_path: Path) -> None:
    go_on = threading.Event()

    def held(reread: Callable[[], Settings]) -> Callable[[], Settings]:
        def read() -> Settings:
            go_on.wait(10)
            return reread()

        return read

    async def scene(site: Site) -> None:
        async with site.running(held) as exporter:
            site.write_config(poll__interval="200ms")
            with pytest.raises(httpx.ReadTimeout):
                await exporter.http.post(exporter.url + "/-/reload", timeout=0.2)
            polled = value(await exporter.samples(), POLLS) or 0
            await exporter.until(polls(polled + 1))  # files that take long to read hold nobody up
            go_on.set()
            await exporter.until(lambda now: value(now, INTERVAL) == 0.2)

    on_site(tmp_path, scene)


def test_what_nobody_foresaw_is_an_error_like_any_other(tmp_path: Path) -> None:
    def broken(reread: Callable[[], Settings]) -> Callable[[], Settings]:
        return lambda: settings_from(None)  # type: ignore[arg-type]  # a mistake in the program

    async def scene(site: Site) -> None:
        async with site.running(broken) as exporter:
            assert (await reload(exporter)).status_code == 500
            assert value(await exporter.samples(), GOOD) == 0
            site.asked.set()
            await exporter.until(lambda now: not site.asked.is_set())
            polled = value(await exporter.samples(), POLLS) or 0
            await exporter.until(polls(polled + 1))

    on_site(tmp_path, scene)


def test_a_reload_does_not_wait_for_a_poll_that_hangs_and_does_not_cut_it(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        site.write_config(api__timeout="3s", poll__interval="3s")
        async with site.running() as exporter:
            site.simulator.switchboard.add("statuses", Fault(FaultKind.SLOW, seconds=1.0), 1)
            asked = site.simulator.received.total("statuses")
            site.write_config(poll__interval="100ms")
            assert (await reload(exporter)).status_code == 200  # the next poll is due at once
            while site.simulator.received.total("statuses") == asked:
                await asyncio.sleep(0.01)
            before = value(await exporter.samples(), POLLS)
            site.write_agents(site.ids[0])
            site.write_config(poll__interval="150ms")
            began = time.monotonic()
            assert (await reload(exporter)).status_code == 200
            assert time.monotonic() - began < 0.8
            samples = await exporter.samples()
            assert (value(samples, INTERVAL), value(samples, POLLS)) == (0.15, before)
            samples = await exporter.until(polls(before or 0))
            assert tracked(samples) == set(site.ids[:3]), "it asked for those who were tracked when it began"
            assert sum(count for (name, _), count in samples.items() if name == "zohovoice_poll_failures_total") == 0
            await exporter.until(lambda now: tracked(now) == {site.ids[0]})

    on_site(tmp_path, scene)


def test_a_reload_works_while_zoho_is_down(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        site.write_config(agents__zuids=[str(site.simulator.simulation.agents[5].zuid)], agents__refresh_interval="1h")
        async with site.running() as exporter:
            assert tracked(await exporter.samples()) == {*site.ids[:3], site.ids[5]}
            site.simulator.switchboard.add("*", Fault(FaultKind.SERVER_ERROR))
            await exporter.until(lambda now: value(now, UP) == 0)
            site.write_agents(site.ids[1])
            site.write_config(poll__interval="100ms")
            assert (await reload(exporter)).status_code == 200
            samples = await exporter.samples()
            assert (value(samples, GOOD), value(samples, INTERVAL), value(samples, UP)) == (1, 0.1, 0)
            site.simulator.switchboard.clear()
            samples = await exporter.until(lambda now: value(now, UP) == 1)
            assert tracked(samples) == {site.ids[1], site.ids[5]}

    on_site(tmp_path, scene)


def test_the_history_tells_of_each_change_and_stays_whole_and_counters_never_fall(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        site.write_config(poll__interval="500ms")
        async with site.running() as exporter:
            before = await exporter.samples()
            for number in range(4):
                site.write_config(poll__interval=f"{400 + 50 * (number % 3)}ms")
                site.write_agents(site.ids[0], site.ids[1 + number % 3])
                assert (await reload(exporter)).status_code == 200
                polled = value(await exporter.samples(), POLLS) or 0
                after = await exporter.until(polls(polled + 1))
                for (name, labels), count in before.items():
                    agent_id = dict(labels).get("agent_id")
                    if name.endswith("_total") and agent_id in (None, site.ids[0]):
                        assert after[name, labels] >= count, (name, labels)
                before = after

    on_site(tmp_path, scene)
    db = tmp_path / "zohovoice.db"
    with sqlite3.connect(db) as connection:
        ended = connection.execute("SELECT interval_ms, end_reason FROM coverage ORDER BY started").fetchall()
    connection.close()
    # Long enough for a slow machine: a gap of 2.5 intervals would be another reason.
    assert ended == [
        (500, "reconfigured"),
        (400, "reconfigured"),
        (450, "reconfigured"),
        (500, "reconfigured"),
        (400, "shutdown"),
    ]
    findings = check_file(db, now_ms=time.time_ns() // 1_000_000)
    assert [one for one in findings if one.result is Result.FAILED] == []
