"""What the tests of metrics and of the web side share: polls through the real tracker, and a reader of bodies."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.metrics.instruments import Instruments
from exporter.metrics.text import Format
from exporter.model import Agent, Poll, Roster, Status
from exporter.settings import MetricsSettings, PollSettings
from exporter.tracker import NOTHING_TRACKED, Pace, advance
from exporter.zoho.credits import Credits
from exporter.zoho.endpoints import Endpoint
from tests.support.clock import HeldClock

START = 1_700_000_000_000
"""When the tests' first poll is received: 2023-11-14T22:13:20Z."""
INTERVAL_MS = 30_000

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Sample name and sorted labels to value."""


class Polled:
    """Instruments that are fed with polls through the real tracker."""

    def __init__(self, settings: MetricsSettings | None = None, *, clock: HeldClock | None = None) -> None:
        self.clock = clock or HeldClock(START)
        self.instruments = Instruments(
            settings or MetricsSettings(), PollSettings(), "1.2.3", "abcdef0", clock=self.clock
        )
        self.state = NOTHING_TRACKED

    def poll(
        self, statuses: Mapping[str, Status], agents: Mapping[str, Agent] | None = None, *, publish: bool = True
    ) -> None:
        """A good poll now, then 30 s pass; published if not said otherwise."""
        now = self.clock.now_ms()
        described = {agent_id: (agents or {}).get(agent_id, Agent(agent_id)) for agent_id in statuses}
        self.state, facts = advance(
            self.state, Poll(now - 200, now, statuses), described, Pace.of_interval(INTERVAL_MS)
        )
        self.instruments.poll_succeeded(facts.poll, facts, self.state, 0.2)
        if publish:
            self.instruments.publish(now)
        self.clock.pass_time(INTERVAL_MS / 1000)

    def fail(self, reason: str = "timeout") -> None:
        """A failed poll now, then 30 s pass; published."""
        self.instruments.poll_failed(reason, self.clock.now_ms(), 10.0)
        self.instruments.publish(self.clock.now_ms())
        self.clock.pass_time(INTERVAL_MS / 1000)

    def publish(self) -> None:
        """Show what was counted."""
        self.instruments.publish(self.clock.now_ms())

    @property
    def series(self) -> Series:
        """What a scrape brings now."""
        return read(self.instruments.scrape(Format.TEXT, gzip=False).whole, Format.TEXT)

    def value(self, name: str, /, **labels: str) -> float | None:
        """The value of one series, None if it is not there."""
        return self.series.get((name, tuple(sorted(labels.items()))))

    def by(self, label: str, name: str, /, **labels: str) -> dict[str, float]:
        """The values of a family's series that carry `labels`, by the value of `label`."""
        return {
            dict(found)[label]: value
            for (sample, found), value in self.series.items()
            if sample == name and labels.items() <= dict(found).items()
        }


def read(body: bytes, form: Format) -> Series:
    """A body as prometheus-client's parsers read it; a series that is there twice is an error."""
    families = text_families if form is Format.TEXT else openmetrics_families
    series: Series = {}
    for family in families(body.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in series, f"{key} is exposed twice"
            series[key] = sample.value
    return series


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a history says of itself."""

    transitions: int = 5
    oldest: int | None = START
    newest: int | None = START + 60_000
    main_bytes: int = 4096
    wal_bytes: int = 32


def everything(instruments: Instruments) -> None:
    """Tell the instruments of everything but polls, once."""
    instruments.request_done(Endpoint.STATUSES, 200, 0.1)
    instruments.request_failed(Endpoint.USERS, "timeout", 10.0)
    instruments.credits_told(Credits(remaining=1200, limit=5000))
    instruments.rate_limited(Endpoint.STATUSES, START + 600_000)
    instruments.token_refreshed(START + 3_600_000)
    instruments.token_refresh_failed("auth")
    instruments.roster_refreshed(Roster({}, START, rows_ignored=2, last_active={"1": START - 60_000}))
    instruments.roster_failed("incomplete")
    instruments.poll_skipped()
    instruments.backoff(600.0)
    instruments.interval(45.0)
    instruments.history_written(7, 0.004)
    instruments.history_write_failed()
    instruments.history_pending(3)
    instruments.history_lost(2)
    instruments.history_gap()
    instruments.history_statistics(Statistics())
    instruments.requests.answered("metrics", 200)
