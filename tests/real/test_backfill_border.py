"""Where blocks of a back-fill meet what a real Prometheus has scraped itself."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from exporter.model import AVAILABLE
from exporter.openmetrics.export import Backfill
from tests.support.backfills import asked, make_blocks, text_of
from tests.support.care import START, record
from tests.support.prometheus import Prometheus, running_prometheus

SECOND = 1_000
SECONDS = "zohovoice_agent_status_seconds_total"
FOR_LONG = "--storage.tsdb.retention.time=20y"
BEGAN, SCRAPED, END = (START // SECOND + second for second in (660, 1_260, 1_860))
"""When the exporter was started, was first scraped, and the last time; in seconds since 1970."""


def test_a_live_counter_tells_of_the_time_since_the_exporter_was_started_not_since_the_first_scrape(
    tmp_path: Path,
) -> None:
    # Available all the time, from 0.2 s on.
    path = record(tmp_path / "history.db", {second: {"1001": AVAILABLE} for second in range(0, 1_890, 30)})
    everything = asked(SCRAPED * SECOND)
    since_began = replace(everything, since=BEGAN * SECOND)
    parts: dict[str, Sequence[Backfill]] = {
        "twice": [everything],
        "once": [replace(everything, until=BEGAN * SECOND), replace(since_began, per_agent=False)],
    }
    for instance, wanted in parts.items():
        for part in wanted:
            make_blocks(text_of(path, replace(part, instance=instance)), tmp_path)
        make_blocks(_live(instance), tmp_path)

    async def ask() -> None:
        async with running_prometheus("global: {}\n", tmp_path, FOR_LONG) as prometheus:
            await prometheus.until("vector(1)", {"": 1.0})
            found = await prometheus.query(f'increase({SECONDS}{{status="Available"}}[1h])', at=END)
            counted = {row["metric"]["instance"]: float(row["value"][1]) for row in found}
            # Ten minutes lie between the start of the exporter and the first scrape.
            assert counted == {
                "once": pytest.approx(1_860, abs=61),
                "twice": pytest.approx(2_460, abs=61),
            }
            levels = await prometheus.course('zohovoice_agents{status="Available"}', BEGAN, SCRAPED - 60, 60)
            assert [row["metric"]["instance"] for row in levels] == ["once", "twice"]
            assert {len(row["values"]) for row in levels} == {10}

    asyncio.run(ask())


def _live(instance: str) -> str:
    """What scrapes brought of an exporter that was started at `BEGAN`."""
    head = f'{SECONDS}{{job="zohovoice",instance="{instance}",agent_id="1001",status="Available"}}'
    lines = "".join(f"{head} {second - BEGAN} {second}\n" for second in range(SCRAPED, END + 1, 60))
    return f"# TYPE {SECONDS.removesuffix('_total')} counter\n{lines}# EOF\n"


def test_on_its_start_prometheus_forgets_what_it_scraped_before_the_end_of_a_block(tmp_path: Path) -> None:
    # Found out by trying. Nothing in its log says so, and it is so for every job.
    seen, not_in_a_block_since = asyncio.run(_run(tmp_path, scrapes=2))
    assert not_in_a_block_since == int(seen[0])
    make_blocks(_level(until=not_in_a_block_since), tmp_path)
    assert asyncio.run(_run(tmp_path))[0][:2] == seen[:2]
    make_blocks(_level(until=not_in_a_block_since + 300), tmp_path)
    assert asyncio.run(_run(tmp_path))[0] == []


async def _run(directory: Path, *, scrapes: int = 0) -> tuple[list[float], int]:
    """Start Prometheus until it has so many scrapes of something else: when they were, and since when what it holds is
    not in a block yet, in seconds.
    """
    target = "{job_name: other, static_configs: [{targets: ['127.0.0.1:1']}]}"
    config = f"global: {{scrape_interval: 1s}}\nscrape_configs: [{target}]\n"
    async with running_prometheus(config, directory, FOR_LONG) as prometheus:
        await prometheus.until("vector(1)", {"": 1.0})
        async with asyncio.timeout(30):
            while len(seen := await _scrapes(prometheus)) < scrapes:
                await asyncio.sleep(0.1)
        async with httpx.AsyncClient(trust_env=False) as http:
            told = (await http.get(f"{prometheus.address}/metrics")).text
    (since,) = re.findall(r"^prometheus_tsdb_head_min_time_seconds (\S+)$", told, re.MULTILINE)
    return seen, int(float(since))


async def _scrapes(prometheus: Prometheus) -> list[float]:
    return [float(second) for row in await prometheus.query('up{job="other"}[1h]') for second, _ in row["values"]]


def _level(until: int) -> str:
    """A gauge until that second."""
    lines = "".join(f"zohovoice_up 1 {second}\n" for second in range(until - 600, until + 1, 60))
    return f"# TYPE zohovoice_up gauge\n{lines}# EOF\n"
