"""A real Datasette opens the history while it is written: each canned query answers, and the writer notices nothing."""

import asyncio
import shlex
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from exporter.clock import SystemClock
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.window import Window, iso_text
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import EndReason, Poll
from exporter.report.model import Cell, Report
from exporter.tracker import Pace, advance
from tests.support.children import child, serve_arguments
from tests.support.cli import environment
from tests.support.datasette import METADATA, canned
from tests.support.documents import ROOT, commands, fences, read
from tests.support.running import read_samples, simulated, value
from tests.support.sample_history import write_sample_history

ZONE = ZoneInfo("UTC")
PATIENCE_S = 30.0
(COMMAND,) = (
    line.replace(METADATA.relative_to(ROOT).as_posix(), str(METADATA))
    for fence in fences(read(ROOT / "docs" / "datasette.md"), "sh")
    for line in commands(fence.body)
    if line.startswith("datasette ")
)


@dataclass(frozen=True, slots=True)
class Datasette:
    """One that serves the database at `/zohovoice`."""

    http: httpx.AsyncClient

    async def rows(self, name: str, **parameters: str) -> list[dict[str, Any]]:
        """What a canned query says."""
        answer = await self.http.get(f"/zohovoice/{name}.json", params={"_shape": "objects", **parameters})
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["ok"] is True
        assert said["truncated"] is False
        found: list[dict[str, Any]] = said["rows"]
        return found

    async def sql(self, query: str) -> list[dict[str, Any]]:
        """What any query says."""
        answer = await self.http.get("/zohovoice.json", params={"_shape": "array", "sql": query})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    async def page(self, path: str) -> str:
        """A page, as a browser gets it."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def until(self, wanted: set[tuple[str, str]], name: str, **parameters: str) -> None:
        """Ask until the answer names these agents with these statuses."""
        async with asyncio.timeout(PATIENCE_S):
            while {(row["agent_id"], row["status"]) for row in await self.rows(name, **parameters)} != wanted:
                await asyncio.sleep(0.1)

    async def window_of_quiet_end(self) -> Window:
        """From the first poll to the latest, as soon as that has seen no change."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                (found,) = await self.sql(
                    "SELECT min(started) AS started, max(last) AS last, (SELECT max(seen) FROM transition) AS seen"
                    " FROM coverage"
                )
                if found["last"] > found["seen"]:
                    return Window(found["started"], found["last"])
                await asyncio.sleep(0.1)


@asynccontextmanager
async def datasette(database: Path) -> AsyncIterator[Datasette]:
    """The command of docs/datasette.md, but for its port, which is one that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    program, *arguments = shlex.split(COMMAND)
    assert (program, database.name) == ("datasette", "zohovoice.db")
    with (database.parent / "datasette.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", program, *arguments, "--port", port],
            cwd=database.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=PATIENCE_S) as http:
                async with asyncio.timeout(PATIENCE_S):
                    while True:
                        try:
                            await http.get("/-/versions.json")
                            break
                        except httpx.TransportError:
                            assert process.poll() is None, (database.parent / "datasette.log").read_text()
                            await asyncio.sleep(0.1)
                yield Datasette(http)
        finally:
            process.terminate()
            process.wait(10)


def iso(instant: int) -> str:
    return iso_text(instant, ZONE)


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def report(database: Path, name: str, window: Window) -> Report:
    with HistoryReader.open(database) as reader:
        facts = reader.facts(window)
    return REPORTS[name](facts, Question(window, ZONE, SystemClock().now_ms(), step_ms=86_400_000))


def seconds(cell: Cell) -> float:
    """Milliseconds of a report as seconds."""
    assert isinstance(cell, int)
    return cell / 1000


async def check_against_reports(tool: Datasette, database: Path, window: Window) -> None:
    """Three answers on a window in the past are those of the reports."""
    edges = {"since": iso(window.since), "until": iso(window.until)}
    spent = await tool.rows("time_in_status", **edges)
    assert sorted((row["agent_id"], row["name"], row["status"], row["duration_seconds"]) for row in spent) == sorted(
        (row["agent_id"], row["name"], row["status"], seconds(row["duration_seconds"]))
        for row in report(database, "summary", window).rows
        if row["duration_seconds"]
    )
    at = await tool.rows("on_break_at", at=iso(window.until - 1), status="%")
    assert sorted((row["agent_id"], row["status"], row["since"] and instant(row["since"])) for row in at) == sorted(
        (row["agent_id"], row["status"], row["since"])
        for row in report(database, "at", Window(window.until - 1, window.until)).rows
    )
    available = [row for row in report(database, "intervals", window).rows if row["status"] == "Available"]
    answers = await tool.rows("anybody_available", **edges)
    assert round(sum(row["duration_seconds"] for row in answers if row["answer"].startswith("nobody")), 3) == sum(
        seconds(row["fewer_possible_seconds"]) for row in available
    )
    agent_id = str(spent[0]["agent_id"])
    changes = await tool.rows("changes_of_an_agent", agent=agent_id, **edges)
    assert [(row["from_status"], row["to_status"], instant(row["seen"])) for row in changes] == [
        (row["from_status"], row["to_status"], row["seen"])
        for row in report(database, "transitions", window).rows
        if row["agent_id"] == agent_id
    ]


def test_every_canned_query_answers_while_serve_writes_and_the_writer_is_unharmed(tmp_path: Path) -> None:
    async def run() -> None:
        database = tmp_path / "zohovoice.db"
        async with simulated() as simulator:
            truth = simulator.simulation
            serve = serve_arguments(tmp_path, interval="400ms")
            async with child(*serve, env=environment(simulator)) as exporter:
                await exporter.until_logged("first good poll")
                async with datasette(database) as tool:
                    for status in ("Busy", "On Break"):
                        for agent in truth.agents:
                            truth.set_status(agent.agent_id, status)
                        everyone = {(agent.agent_id, status) for agent in truth.agents}
                        await tool.until(everyone, "on_break_now", status=status)

                    window = await tool.window_of_quiet_end()
                    parameters = {
                        "agent": truth.agents[0].agent_id,
                        "at": iso(window.until - 1),
                        "since": iso(window.since),
                        "until": iso(window.until),
                        "status": "",
                    }
                    for name, query in canned().items():
                        rows = await tool.rows(name, **{k: v for k, v in parameters.items() if f":{k}" in query.sql})
                        assert rows or name in {"purged_and_imported", "gaps"}, name
                        assert query.title.replace("'", "&#39;") in await tool.page(f"/zohovoice/{name}")
                    await check_against_reports(tool, database, window)
                    await tool.page("/zohovoice")
                    for view in ("timeline", "now", "seconds_by_day", "transitions", "timeline_ms"):
                        await tool.page(f"/zohovoice/{view}")

                    # It went on all the while.
                    (later,) = await tool.sql("SELECT max(last) AS last FROM coverage")
                    assert later["last"] > window.until
                async with httpx.AsyncClient(trust_env=False) as http:
                    samples = read_samples((await http.get(f"{await exporter.url()}/metrics")).text)
                assert value(samples, "zohovoice_history_write_failures_total") == 0
                assert value(samples, "zohovoice_history_pending_transitions") == 0
                assert value(samples, "zohovoice_history_lost_transitions_total") == 0
                code, _ = await exporter.stop()
                assert code == 0
                assert "level=error" not in exporter.log
                assert "level=warn" not in exporter.log
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT end_reason FROM run").fetchall() == [("shutdown",)]

    asyncio.run(run())


def test_a_history_at_rest_is_opened_and_a_writer_may_come_later(tmp_path: Path) -> None:
    async def run() -> None:
        database = write_sample_history(tmp_path)
        noon = instant("2025-03-04T12:00:00+01:00")
        async with datasette(database) as tool:
            await check_against_reports(tool, database, Window(noon - 3_600_000, noon))
            (before,) = await tool.sql("SELECT count(*) AS polls FROM coverage")
            writer = HistoryWriter.open(database, RunInfo("0.1.0", "host", "boot", 1, noon + 86_400_000))
            readings = {agent_id: tracked.status for agent_id, tracked in writer.resumed.agents.items()}
            agents = {agent_id: tracked.agent for agent_id, tracked in writer.resumed.agents.items()}
            poll = Poll(noon + 86_400_000, noon + 86_400_100, readings)
            writer.append(advance(writer.resumed, poll, agents, Pace.of_interval(30_000))[1])
            (after,) = await tool.sql("SELECT count(*) AS polls FROM coverage")
            writer.close(noon + 86_400_200, EndReason.SHUTDOWN)
        assert after["polls"] == before["polls"] + 1

    asyncio.run(run())
