"""The dashboards' queries on a back-filled Prometheus: what they show of a past that nobody scraped.

Four agents, three hours, and half an hour in which nobody was looking. There is no `up` of that time, and no gauge of
single agents.
"""

import asyncio
from collections.abc import Iterator

import pytest

from exporter.backfill import Past
from exporter.simulator.simulation import SimulationSettings
from tests.support.loaded import load_past
from tests.support.panels import Looking, Series, Target, read, targets
from tests.support.prometheus import Prometheus, running_prometheus

MINUTE_MS = 60_000
START_MS = 1_741_082_400_000
"""2025-03-04, 10:00 UTC."""
END_MS = START_MS + 180 * MINUTE_MS
OFF_MS = (START_MS + 60 * MINUTE_MS, START_MS + 90 * MINUTE_MS)
AGENTS = 4
STATUSES = ("Available", "On Call", "Busy", "On Break", "Offline", "other", "unknown")


class Asked:
    """Answers to queries by dashboard, panel and letter, over the three hours."""

    def __init__(self, runner: asyncio.Runner, prometheus: Prometheus) -> None:
        self._runner = runner
        self._prometheus = prometheus
        self._targets = {each.name: each for each in targets()}

    def target(self, name: str) -> Target:
        return self._targets[name]

    def series(self, name: str, *, range_s: int = 10_800) -> list[Series]:
        request = self._targets[name].request(Looking(END_MS / 1000, range_s=range_s, scrape_s=60))
        return read(self._runner.run(self._prometheus.asked(request.path, request.parameters)))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("past")
    people = SimulationSettings(agents=AGENTS, shifts_around=START_MS)
    past = Past(START_MS, END_MS, MINUTE_MS // 2, off=(OFF_MS,))
    load_past(people, past, folder / "zohovoice.db", folder, instance="exporter:10042")
    with asyncio.Runner() as runner:
        running = running_prometheus("{}", folder, "--storage.tsdb.retention.time=100y")
        prometheus = runner.run(running.__aenter__())
        try:
            runner.run(prometheus.until("vector(1)", {"": 1.0}))
            yield Asked(runner, prometheus)
        finally:
            runner.run(running.__aexit__(None, None, None))


def in_the_gap(second: float) -> bool:
    return OFF_MS[0] / 1000 + 60 < second < OFF_MS[1] / 1000 - 60


def outside_the_gap(second: float) -> bool:
    return not OFF_MS[0] / 1000 - 60 < second < OFF_MS[1] / 1000 + 60


def test_agents_are_unknown_while_nobody_looked_and_known_at_all_other_times(asked: Asked) -> None:
    known = {at for series in asked.series("agents-over-time: Agents by status A") for at, _ in series.points}
    (unknown,) = asked.series("agents-over-time: Agents by status B")
    told = dict(unknown.points)
    assert {number for at, number in told.items() if in_the_gap(at)} == {AGENTS}
    assert not any(in_the_gap(at) for at in known)
    seconds = range(START_MS // 1000 + 60, END_MS // 1000, 60)
    assert known >= {second for second in seconds if outside_the_gap(second)}
    assert {told[at] for at in known if outside_the_gap(at)} == {0}


def test_the_gap_is_time_in_which_nobody_was_looking(asked: Asked) -> None:
    (share,) = asked.series("agents-over-time: Time in which nobody was looking A")
    assert share.labels["instance"] == "exporter:10042"
    assert all(0 <= value <= 1 for _, value in share.points)
    # Each point tells of the five minutes before it. The history begins at the first of them.
    points = [(at, value) for at, value in share.points if at > START_MS / 1000 + 600]
    assert {value for at, value in points if in_the_gap(at) and in_the_gap(at - 300)} == {1}
    assert {value for at, value in points if outside_the_gap(at) and outside_the_gap(at - 300)} == {0}


def test_the_time_of_each_agent_adds_up_to_the_whole_with_the_gap_as_unknown(asked: Asked) -> None:
    columns = {
        word: {
            each.labels["agent_id"]: each.points[0][1]
            for each in asked.series(f"agents-over-time: Time in status by agent {ref}")
        }
        for ref, word in zip("ABCDEFG", STATUSES, strict=True)
    }
    assert len(columns["unknown"]) == AGENTS
    for agent, unknown_s in columns["unknown"].items():
        assert unknown_s == pytest.approx(1_800, abs=180)
        assert sum(column.get(agent, 0) for column in columns.values()) == pytest.approx(10_800, abs=60)
