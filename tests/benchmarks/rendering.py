"""Rendering the exposition of 10,000 agents against prometheus-client's collector with the same agent samples."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter.clock import SystemClock
from exporter.metrics.instruments import Instruments
from exporter.metrics.text import Format
from exporter.model import KNOWN_STATUSES, Agent, Poll, TrackerState
from exporter.settings import MetricsSettings, PollSettings
from exporter.tracker import NOTHING_TRACKED, Pace, advance
from tests.benchmarks.chunk_server import agent_ids, status_word
from tests.benchmarks.measure import Comparison, side_by_side

AGENTS = 10_000
START = 1_700_000_000_000


class PlainCollector:
    """What an exporter on prometheus-client alone would do: make the families at each scrape."""

    def __init__(self, state: TrackerState) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        status = GaugeMetricFamily("zohovoice_agent_status", "Status.", labels=["agent_id", "status"])
        since = GaugeMetricFamily("zohovoice_agent_status_since_timestamp_seconds", "Since.", labels=["agent_id"])
        seconds = CounterMetricFamily("zohovoice_agent_status_seconds", "Seconds.", labels=["agent_id", "status"])
        changes = CounterMetricFamily("zohovoice_agent_status_changes", "Changes.", labels=["agent_id"])
        words = [known.word for known in KNOWN_STATUSES] + ["unknown"]
        for agent_id, tracked in self._state.agents.items():
            for word in words:
                status.add_metric([agent_id, word], float(tracked.status.word == word))
                seconds.add_metric([agent_id, word], 0.0)
            since.add_metric([agent_id], tracked.since / 1000)
            changes.add_metric([agent_id], 1.0)
        yield from (status, since, seconds, changes)


def instruments_with_agents(number: int = AGENTS) -> tuple[Instruments, TrackerState]:
    """Instruments that have seen two polls of so many agents."""
    instruments = Instruments(MetricsSettings(), PollSettings(), "0", "", clock=SystemClock())
    agents = {agent_id: Agent(agent_id) for agent_id in agent_ids(number)}
    words = {status.word: status for status in KNOWN_STATUSES}
    state = NOTHING_TRACKED
    for turn in range(2):
        sent = START + turn * 15_000
        readings = {agent_id: words[status_word(place, turn)] for place, agent_id in enumerate(agents)}
        poll = Poll(sent, sent + 200, readings)
        state, facts = advance(state, poll, agents, Pace.of_interval(15_000))
        instruments.poll_succeeded(poll, facts, state, 0.2)
    return instruments, state


def text_body(instruments: Instruments) -> bytes:
    """What has been published, in the text format, whatever its age."""
    return instruments.exposition.body(Format.TEXT, gzip=False).whole


def run(rounds: int) -> tuple[Comparison, Comparison]:
    """(render both formats and compress at the end of a poll, one scrape with gzip), each against the plain way."""
    instruments, state = instruments_with_agents()
    registry = CollectorRegistry()
    registry.register(PlainCollector(state))  # type: ignore[arg-type] # a collector is whatever has collect()

    def plain() -> None:
        generate_latest(registry)

    def publish() -> None:
        instruments.publish(START + 30_000)

    def hundred_scrapes() -> None:
        for _ in range(100):
            instruments.scrape(Format.TEXT, gzip=True)

    return side_by_side(publish, plain, rounds=rounds), side_by_side(hundred_scrapes, plain, rounds=rounds)
