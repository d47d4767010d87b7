"""The section `web` of `make bench`: prints its tables; needs wrk, nginx and prometheus for the whole of it."""

import base64
import functools
import gzip
import statistics
import tempfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import bcrypt
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from tests.benchmarks import rendering
from tests.benchmarks.measure import once
from tests.benchmarks.verdicts import Verdicts
from tests.benchmarks.web import lag, prometheus
from tests.benchmarks.web.clients_own import PROCESS
from tests.benchmarks.web.load import Load, load
from tests.benchmarks.web.servers import OPENMETRICS, TEXT, Server, clients_own, exporter, missing, nginx

SIZES: Final = (100, 1_000, 10_000, 50_000)
_KINDS: Final = tuple(
    (name, accept, packed)
    for name, accept in (("text", TEXT), ("OpenMetrics", OPENMETRICS))
    for packed in (False, True)
)
_ROUNDS: Final = 2
"""Each load lasts a second, in turn with the others, so that a noisy machine is noisy to all."""


def run(verdicts: Verdicts) -> None:
    """Everything, in less than five minutes."""
    lacking = missing("wrk", "nginx", "prometheus")
    if lacking:
        print(f"\nScrapes: {lacking} is missing, so what needs it is left out (apt-get install wrk nginx prometheus)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _servers(folder, verdicts)
        _login(folder / "login")
        _polls()
        _event_loop(verdicts)
        if not missing("nginx", "prometheus"):
            _as_prometheus_sees_it(folder / "prometheus", verdicts)


# Throughput and CPU, against nginx and against prometheus-client


def _servers(folder: Path, verdicts: Verdicts) -> None:
    print(f"\n{'scrapes of ours':<34} {'a second':>9} {'CPU us':>8} {'body kB':>9}   nginx, same bytes in a file")
    for agents in SIZES:
        with exporter(agents, folder / str(agents) / "serve") as ours:
            _against_nginx(agents, ours, folder / str(agents), verdicts)
            if agents in (1_000, 10_000):
                _against_the_client(agents, ours, folder / str(agents), verdicts)
            print(f"  {agents:,} agents: {ours.memory_mb:.0f} MB resident, {ours.peak_memory_mb:.0f} MB at most")


def _against_nginx(agents: int, ours: Server, folder: Path, verdicts: Verdicts) -> None:
    plain = {name: ours.get(accept) for name, accept, packed in _KINDS if packed}
    if missing("nginx"):
        for name, accept, packed in _KINDS:
            _print_load(_what(agents, name, packed), load(ours, accept, gzip=packed, seconds=1), "")
        return
    with nginx({name: (body, gzip.compress(body, 6)) for name, body in plain.items()}, folder / "nginx") as static:
        for name, accept, packed in _KINDS:
            pairs = [
                (load(ours, accept, gzip=packed, seconds=1), load(static[name], accept, gzip=packed, seconds=1))
                for _ in range(_ROUNDS)
            ]
            mine, its = _middle(pair[0] for pair in pairs), _middle(pair[1] for pair in pairs)
            ratio = statistics.median(pair[0].per_second / pair[1].per_second for pair in pairs)
            verdict = f"{its.per_second:9,.0f} {its.cpu_us:8,.0f}   ratio {ratio:.2f}, "
            what = _what(agents, name, packed)
            verdict += verdicts.goal(ratio >= 0.25, "at least a quarter of its throughput", f"{what}, nginx")
            _print_load(what, mine, verdict)


def _what(agents: int, name: str, packed: bool) -> str:
    return f"{agents:,} agents, {name}, {'gzip' if packed else 'plain'}"


def _print_load(what: str, mine: Load, rest: str) -> None:
    print(f"{what:<34} {mine.per_second:9,.0f} {mine.cpu_us:8,.0f} {mine.body_kb:9,.0f}   {rest}")


def _middle(loads: Iterable[Load]) -> Load:
    ordered = sorted(loads, key=lambda some: some.per_second)
    return ordered[len(ordered) // 2]


def _against_the_client(agents: int, ours: Server, folder: Path, verdicts: Verdicts) -> None:
    """Throughput at 1,000 agents and CPU at 10,000, gzip, as Prometheus asks; plain beside it, without a goal."""
    body = folder / "body"
    body.write_bytes(ours.get(TEXT))
    with clients_own(body) as its:
        for name, accept, packed in _KINDS:
            what = f"prometheus-client, {_what(agents, name, packed)}"
            mine = load(ours, accept, gzip=packed, seconds=1)
            theirs = load(its, accept, gzip=packed, seconds=4, connections=4 if agents <= 1_000 else 1)
            faster, cheaper = mine.per_second / theirs.per_second, theirs.cpu_us / mine.cpu_us
            print(f"  {what:<52} {theirs.per_second:8,.1f} a second, {theirs.cpu_us / 1000:,.0f} ms CPU each", end="; ")
            if packed:
                same = _samples(ours.get(accept), accept) == _samples(its.get(accept), accept)
                print(verdicts.equal(same, "bodies parsed back"), end="; ")
            print(f"{its.peak_memory_mb:.0f} MB at most")
            said = f"ours {faster:,.0f} times its throughput, {cheaper:,.0f} times less CPU"
            if not packed:
                print(f"    {said}")
            elif agents == 1_000:
                print(f"    {verdicts.goal(faster >= 100, f'{said} (100 times its throughput)', what)}")
            else:
                print(f"    {verdicts.goal(cheaper >= 1_000, f'{said} (1,000 times less CPU)', what)}")


def _samples(body: bytes, accept: str) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
    """All samples but those that differ from process to process."""
    families = text_families if accept == TEXT else openmetrics_families
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in families(body.decode())
        for sample in family.samples
        if not sample.name.startswith(PROCESS)
    }


# Login


def _login(folder: Path) -> None:
    """What basic auth costs once a login was right: the hash is not compared again."""
    folder.mkdir()
    config = folder / "web.yml"
    hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(10)).decode()
    config.write_text(f"basic_auth_users:\n  scraper: {hashed}\n")
    right = "Basic " + base64.b64encode(b"scraper:correct horse").decode()
    with (
        exporter(1_000, folder / "open") as free,
        exporter(1_000, folder / "closed", flags=(f"--web.config.file={config}",), login=right) as closed,
    ):
        pairs = [
            (load(closed, gzip=True, seconds=1, login=right), load(free, gzip=True, seconds=1)) for _ in range(_ROUNDS)
        ]
    extra = statistics.median(mine.cpu_us - its.cpu_us for mine, its in pairs)
    print(f"\nbasic auth, remembered login: {extra:+.0f} us CPU for each scrape (bcrypt itself: {_bcrypt_ms():.0f} ms)")


def _bcrypt_ms() -> float:
    hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(10))
    return once(lambda: bcrypt.checkpw(b"correct horse", hashed)).cpu * 1000


# Polls


def _polls() -> None:
    """Render and compress when a poll ends, and what isal saves."""
    print()
    for agents in SIZES:
        instruments, _ = rendering.instruments_with_agents(agents)
        publish = functools.partial(instruments.publish, rendering.START + 30_000)
        costs = [once(publish) for _ in range(3)]
        print(
            f"render and compress at the end of a poll, {agents:6,} agents: {min(c.cpu for c in costs) * 1e3:6.1f} ms"
        )
    instruments, _ = rendering.instruments_with_agents(10_000)
    instruments.publish(rendering.START + 30_000)
    body = rendering.text_body(instruments)
    results = {"isal 1": _isal(body)} | {f"zlib {level}": _zlib(body, level) for level in (1, 6)}
    print(f"compress the text of 10,000 agents, {len(body) / 1e6:.1f} MB:", end="")
    print(";".join(f" {name} {ms:.0f} ms, {size / 1e3:,.0f} kB" for name, (ms, size) in results.items() if size))


def _isal(body: bytes) -> tuple[float, int]:
    try:
        from isal import isal_zlib
    except ImportError:
        return 0, 0
    started = time.process_time()
    size = len(isal_zlib.compress(body, 1))
    return (time.process_time() - started) * 1000, size


def _zlib(body: bytes, level: int) -> tuple[float, int]:
    started = time.process_time()
    size = len(zlib.compress(body, level))
    return (time.process_time() - started) * 1000, size


# The event loop


def _event_loop(verdicts: Verdicts) -> None:
    """Lag while the whole program polls, commits, renders and is scraped each second."""
    print()
    for agents, interval_s, seconds in ((10_000, 5.0, 15.0), (50_000, 10.0, 20.0)):
        found, idle = lag.measured(agents, interval_s, seconds)
        what = f"event-loop lag from the second poll on, {agents:,} agents polled each {interval_s:.0f} s"
        numbers = f"{_lags(found)} (an idle loop beside it {_lags(idle)})"
        goals = [verdicts.goal(found.p99_ms < 5, "p99 under 5 ms", what)]
        if agents == 10_000:
            # The scheduler of a shared machine keeps even an idle loop for longer than that, now and then.
            longest_ms = max(5.0, idle.longest_ms)
            goals.append(verdicts.goal(found.longest_ms < longest_ms, "longest under 5 ms or the idle loop's", what))
        print(f"{what} (the first finds everybody new, and is left out): {numbers}; {'; '.join(goals)}")


def _lags(found: lag.Lag) -> str:
    return f"p50 {found.median_ms:.2f}, p99 {found.p99_ms:.2f}, longest {found.longest_ms:.1f} ms"


# As Prometheus sees it


def _as_prometheus_sees_it(folder: Path, verdicts: Verdicts) -> None:
    """The median scrape of ours, polling every 2 s, against the same bytes in files of nginx."""
    print()
    for agents, interval_s, seconds in ((1_000, 1, 10), (10_000, 2, 20)):
        here = folder / str(agents)
        with exporter(agents, here / "serve", interval="2s") as ours:
            body = ours.get(OPENMETRICS)
            files = {"OpenMetrics": (body, gzip.compress(body, 6))}
            kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
            with nginx(files, here / "nginx", content_type=kind) as static:
                targets = {"ours": ours, "memory": static["OpenMetrics"]}
                seen = prometheus.watched(targets, here / "prometheus", seconds=seconds, interval_s=interval_s)
        mine, its = seen["ours"], seen["memory"]
        ratio = mine.median_s / its.median_s
        what = f"scrape_duration_seconds, {agents:,} agents ({mine.samples:,} samples), median of {mine.scrapes}"
        numbers = f"{mine.median_s * 1000:.1f} ms, of the same bytes from memory {its.median_s * 1000:.1f} ms"
        print(f"{what}: {numbers}; {verdicts.goal(ratio <= 1.25, f'ratio {ratio:.2f}, at most 1.25', what)}")
