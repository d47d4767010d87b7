"""Whole processes: the memory of `serve` with 10,000 agents, and how fast `--help` starts."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.benchmarks.chunk_server import agent_ids
from tests.benchmarks.polling import AGENTS, CHUNK, CONCURRENCY, chunk_server

POLLS = 12


def peak_memory_mb() -> tuple[float, float]:
    """(peak of the resident memory, CPU seconds per poll) of `serve`: 10,000 agents, polls each 2 s, scraped each."""
    with chunk_server() as url, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        agents = directory / "agents.csv"
        agents.write_text("id,name,team\n" + "".join(f"{i},Agent {i},Team {int(i) % 20}\n" for i in agent_ids(AGENTS)))
        command = [
            *(sys.executable, "-m", "exporter", "serve", f"--api.url={url}", f"--api.accounts-url={url}"),
            *(f"--agents.file={agents}", f"--db={directory / 'zohovoice.db'}", "--web.listen-address=127.0.0.1:0"),
            *("--poll.interval=2s", "--api.max-requests-per-minute=100000", f"--api.agents-per-request={CHUNK}"),
            *(f"--api.concurrency={CONCURRENCY}", "--metrics.names"),
        ]
        environment = os.environ | {"ZOHOVOICE_AUTH_ACCESS_TOKEN": "1000.bench"}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            address = next(
                found[1] for line in process.stderr if (found := re.search(r"addresses=\"?(\S+?)\"?$", line))
            )
            try:
                return _watch(process.pid, address)
            finally:
                process.terminate()


def _watch(pid: int, address: str) -> tuple[float, float]:
    accept = {"accept": "application/openmetrics-text;version=1.0.0"}
    with httpx.Client(trust_env=False, timeout=30) as http:
        polls, started_cpu = 0, 0.0
        while polls < POLLS:
            time.sleep(0.5)
            body = http.get(f"{address}/metrics", headers=accept).text
            found = re.search(r"^zohovoice_polls_total (\d+)", body, re.MULTILINE)
            polls = int(found[1]) if found else 0
            if polls == 2 and not started_cpu:
                started_cpu, first = _cpu_seconds(pid), polls
        per_poll = (_cpu_seconds(pid) - started_cpu) / (polls - first)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert peak is not None
    return int(peak[1]) / 1024, per_poll


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def help_start_up(rounds: int) -> tuple[float, float, float]:
    """Median milliseconds of `zohovoice-exporter --help`, of importing click alone, and the median of their ratios."""
    program = Path(sys.executable).with_name("zohovoice-exporter")
    commands = ([str(program), "--help"], [sys.executable, "-c", "import click"])
    pairs = []
    for _ in range(rounds + 1):
        pairs.append(tuple(_wall_ms(command) for command in commands))
    counted = pairs[1:]
    ours, plain = (statistics.median(pair[side] for pair in counted) for side in (0, 1))
    return ours, plain, statistics.median(mine / its for mine, its in counted)


def _wall_ms(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000
