"""Blocks that promtool makes of an export, in a real Prometheus: what it answers is what the reports say."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.history.answers import answer
from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.window import Window
from exporter.history.writer import HistoryWriter
from exporter.model import KNOWN_STATUSES, UNKNOWN, Agent, EndReason, Poll
from exporter.openmetrics.families import Labels
from exporter.tracker import Pace, advance
from tests.support.backfills import asked, make_blocks, text_of
from tests.support.care import RUN, START, UTC
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.transfer import bring, write_log

HOUR = 3_600
BUCKET = 900
HOURS = 26
NOW = START + 40 * HOUR * 1_000
"""When everything is exported: long after the last poll."""
SINCE = START // 1_000 // HOUR * HOUR - 2 * HOUR
UNTIL = SINCE + 32 * HOUR
GAP = range(6 * HOUR, 7 * HOUR + 1_800)
"""Seconds after `START` in which nobody looks; an import tells of one agent from the fifth to the eighth hour."""
SECONDS = "zohovoice_agent_status_seconds_total"


def test_prometheus_answers_what_history_intervals_says(past: "Past") -> None:
    async def ask(prometheus: Prometheus) -> None:
        # The last sample of who left stays what it was: a counter that ended has not fallen.
        total = f"sum by (status) (last_over_time({SECONDS}[3d]))"
        edges = range(SINCE, UNTIL + 1, BUCKET)
        course = by_status(await prometheus.course(total, edges[0], edges[-1], BUCKET))
        for start in edges[:-1]:
            for label in past.labels:
                counted = course[label].get(start + BUCKET, 0.0) - course[label].get(start, 0.0)
                area_ms, mean = past.intervals[start].get(label, (0, 0.0))
                assert round(counted * 1000) == area_ms, (start, label)
                assert counted / BUCKET == pytest.approx(mean)

    past.ask(ask)


def test_each_agent_was_as_long_in_each_status_as_history_summary_says(past: "Past") -> None:
    async def ask(prometheus: Prometheus) -> None:
        for hour in (1, 4, 8, 19, 21, 30):
            at = SINCE + hour * HOUR
            found = await prometheus.query(f"last_over_time({SECONDS}[3d])", at=at)
            seen = {
                (row["metric"]["agent_id"], row["metric"]["status"]): round(float(row["value"][1]) * 1000)
                for row in found
            }
            assert {key: ms for key, ms in seen.items() if ms} == past.summary(at)

    past.ask(ask)


def test_the_gauge_is_the_number_of_agents_at_each_minute(past: "Past") -> None:
    async def ask(prometheus: Prometheus) -> None:
        course = by_status(await prometheus.course("zohovoice_agents", SINCE + 3 * HOUR, UNTIL - 60, 60))
        in_teams = by_status(
            await prometheus.course("sum by (status) (zohovoice_team_agents)", SINCE + 3 * HOUR, UNTIL - 60, 60)
        )
        assert course == in_teams
        for hour in range(3, 32):
            at = SINCE + hour * HOUR
            assert {label: course[label][at] for label in past.labels} == past.at(at)

    past.ask(ask)


def test_what_nobody_knew_is_a_series_of_its_own_and_no_status_reads_on_into_the_gap(past: "Past") -> None:
    async def ask(prometheus: Prometheus) -> None:
        # Five hours after the start an import looks at one agent; everybody else is polled until the gap begins.
        inside = START // 1_000 + GAP[0] + 90
        found = by_status(await prometheus.course("zohovoice_agents", inside, inside, 60))
        assert {label: values[inside] for label, values in found.items() if values[inside]} == {
            "unknown": 3.0,  # Cleo has left, Dan has come
            "Busy": 1.0,  # the imported one
        }
        assert [row["value"][1] for row in await prometheus.query("zohovoice_up", at=inside)] == ["1"]
        after = START // 1_000 + (HOURS + 1) * HOUR
        assert [row["value"][1] for row in await prometheus.query("zohovoice_up", at=after)] == ["0"]
        known = 'sum(zohovoice_agents{status!="unknown"}) or vector(-1)'
        assert (await prometheus.query(known, at=after))[0]["value"][1] == "0"
        masked = 'zohovoice_agents{status!="unknown"} and on (job, instance) zohovoice_up == 1'
        assert await prometheus.query(masked, at=after) == []

    past.ask(ask)


def test_at_the_end_of_the_blocks_a_gauge_reads_on_for_five_minutes(past: "Past") -> None:
    # Blocks carry no stale markers: nothing tells Prometheus that a series has ended.
    async def ask(prometheus: Prometheus) -> None:
        for expression in ("zohovoice_agents", "zohovoice_up", "zohovoice_team_agents"):
            assert await prometheus.query(expression, at=UNTIL + 299)
            assert await prometheus.query(expression, at=UNTIL + 301) == []

    past.ask(ask)


def test_a_live_counter_that_begins_at_0_is_a_reset_that_increase_handles(past: "Past") -> None:
    async def ask(prometheus: Prometheus) -> None:
        series = f'{SECONDS}{{agent_id="1001",status="unknown"}}'
        at = UNTIL + 660
        assert [row["value"][1] for row in await prometheus.query(f"resets({series}[1h])", at=at)] == ["1"]
        (row,) = await prometheus.query(f"increase({series}[20m])", at=at)
        # Ten minutes before the seam and ten after it, in all of which the status was unknown; the minute of the reset
        # itself is lost.
        assert float(row["value"][1]) == pytest.approx(1_200, abs=61)

    past.ask(ask)


# --- the past that is asked for ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """A history, and a folder with the blocks that were made of it."""

    database: Path
    directory: Path
    labels: tuple[str, ...]
    intervals: dict[int, dict[str, tuple[int, float]]]
    """By the second at which a bucket begins and label: milliseconds of all agents, and their mean number."""

    def ask(self, question: Callable[[Prometheus], Awaitable[None]]) -> None:
        async def run() -> None:
            async with running_prometheus(
                "global: {}\n", self.directory, "--storage.tsdb.retention.time=20y"
            ) as prometheus:
                await prometheus.until("vector(1)", {"": 1.0})
                await question(prometheus)

        asyncio.run(run())

    def summary(self, until: int) -> dict[tuple[str, str], int]:
        """Milliseconds by agent and label from the beginning until that second."""
        found: Counter[tuple[str, str]] = Counter()
        for row in _report(self.database, "summary", SINCE, until):
            found[row["agent_id"], _label(row["status"])] += row["duration_seconds"]
        return {key: ms for key, ms in found.items() if ms}

    def at(self, second: int) -> dict[str, float]:
        """Agents by label at that second, by `history intervals` of the minute that it begins."""
        found = dict.fromkeys(self.labels, 0.0)
        with HistoryReader.open(self.database) as reader:
            window = Window(second * 1_000, second * 1_000 + 1)
            for row in answer(reader, "intervals", Question(window, UTC, NOW, step_ms=60_000)).rows:
                found[_label(str(row["status"]))] += float(str(row["agent_seconds"]))
        return found


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    directory = tmp_path_factory.mktemp("backfill")
    database = write_history(directory)
    text = text_of(database, asked((UNTIL + 60) * 1_000, since=SINCE * 1_000))
    make_blocks(text, directory)
    make_blocks(live(range(UNTIL + 60, UNTIL + 661, 60)), directory)
    buckets: defaultdict[int, dict[str, tuple[int, float]]] = defaultdict(dict)
    for row in _report(database, "intervals", SINCE, UNTIL):
        start, label = row["start"] // 1_000, _label(row["status"])
        area, mean = buckets[start].get(label, (0, 0.0))
        buckets[start][label] = (area + row["agent_seconds"], mean + (row["mean_agents"] or 0.0))
    with HistoryReader.open(database) as reader:
        words = Labels(reader.facts(Window(NOW, NOW)).words).all
    return Past(database, directory, tuple(word for word in words if f'status="{word}"' in text), dict(buckets))


def write_history(directory: Path) -> Path:
    """Some 26 hours of polls a minute apart, a log of one agent that reaches into a gap, and its import.

    Ann changes teams, Cleo leaves and comes back, Dan comes later.
    """
    path = directory / "history.db"
    writer = HistoryWriter.open(path, RUN)
    state = writer.resumed
    for number, (second, latency_ms) in enumerate(_polls()):
        agents = {agent.agent_id: agent for agent in _people(second)}
        sent = START + second * 1_000
        readings = {key: KNOWN_STATUSES[number * (int(key) % 7 + 2) // 11 % 5] for key in agents}
        poll = Poll(sent, sent + latency_ms, readings)
        state, facts = advance(state, poll, agents, Pace.of_interval(60_000))
        writer.append(facts)
    writer.close(START + HOURS * HOUR * 1_000, EndReason.SHUTDOWN)
    log = [(5 * HOUR + 0.123, "2001", "Available"), (5.5 * HOUR, "2001", "Busy"), (8 * HOUR, "2001", "Offline")]
    bring(path, write_log(directory / "log.csv", *log), zone=UTC)
    return path


def _polls() -> Iterator[tuple[int, int]]:
    """Seconds after `START`, and how long the poll took in ms."""
    return ((second, second // 60 * 37 % 900) for second in range(0, HOURS * HOUR, 60) if second not in GAP)


def _people(second: int) -> Iterator[Agent]:
    yield Agent("1001", "Ann", "Sales" if second < 3 * HOUR else "Support")
    yield Agent("1002", "Ben")
    if not 4 * HOUR <= second < 20 * HOUR:
        yield Agent("1003", "Cleo", "Sales")
    if second >= 2 * HOUR:
        yield Agent("1004", "Dan", "Support")


def live(seconds: range) -> str:
    """What a scrape of an exporter that started at the first of these seconds would have brought."""
    head = f'{SECONDS}{{job="zohovoice",instance="localhost:10042",agent_id="1001",status="unknown"}}'
    lines = "".join(f"{head} {second - seconds[0]} {second}\n" for second in seconds)
    return f"# TYPE {SECONDS.removesuffix('_total')} counter\n{lines}# EOF\n"


def _report(database: Path, name: str, since: int, until: int) -> list[dict[str, Any]]:
    with HistoryReader.open(database) as reader:
        question = Question(Window(since * 1_000, until * 1_000), UTC, NOW, step_ms=BUCKET * 1_000)
        return [dict(row) for row in answer(reader, name, question).rows]


def _label(status: str) -> str:
    return UNKNOWN.word if status in ("absent", "error") else status


def by_status(matrix: list[dict[str, Any]]) -> defaultdict[str, dict[int, float]]:
    found: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for row in matrix:
        found[row["metric"]["status"]] = {int(second): float(value) for second, value in row["values"]}
    return found
