"""Everything that is counted, and the exposition that is made of it.

It listens to the API client, the poller, the roster's keeper and the recorder; each of them knows only the few methods
that it calls. All of them run on the event loop, and so does this: there are no locks. Nothing here raises.
"""

import asyncio
import logging
import platform
from collections.abc import Mapping
from typing import Final, Protocol

from exporter.clock import Clock, SystemClock
from exporter.metrics.agents import AgentSeries
from exporter.metrics.blocks import AgentsContent
from exporter.metrics.exposition import Body, Exposition, Snapshot, render, render_in_steps
from exporter.metrics.families import OWN_FAMILIES
from exporter.metrics.freshness import Freshness
from exporter.metrics.polling import Failures, Polling
from exporter.metrics.scrape import Bodies, ScrapePart
from exporter.metrics.statuses import CLOSED
from exporter.metrics.text import Format
from exporter.metrics.values import Values
from exporter.model import AgentId, Poll, PollFacts, Roster, TrackerState
from exporter.settings import MetricsSettings, PollSettings
from exporter.steps import Steps, at_once, letting_go, taking_turns
from exporter.zoho.credits import Credits
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import REASONS

log: Final = logging.getLogger(__name__)

_UNANSWERED: Final = ("timeout", "connect", "tls", "too_large")
"""Why a request brings no response; the other reasons are about what a response says."""


class HistoryStatistics(Protocol):
    """What the history says of itself; instants in milliseconds UTC, None if it holds no transition."""

    @property
    def transitions(self) -> int: ...
    @property
    def oldest(self) -> int | None: ...
    @property
    def newest(self) -> int | None: ...
    @property
    def main_bytes(self) -> int: ...
    @property
    def wal_bytes(self) -> int: ...


class Instruments:
    """The observer of all parts. `publish` makes what was counted visible; until then scrapes see what was before."""

    def __init__(
        self,
        settings: MetricsSettings,
        poll: PollSettings,
        version: str,
        revision: str,
        *,
        clock: Clock | None = None,
        exporter_metrics: bool = True,
    ) -> None:
        """`exporter_metrics` false leaves the process' own families out (--web.disable-exporter-metrics)."""
        self._settings = settings
        self._poll = poll
        self._clock: Clock = clock or SystemClock()
        self._freshness = Freshness(self._clock, poll.max_age_s)
        self._values = Values(OWN_FAMILIES)
        self._agents = AgentSeries()
        self._up = False
        self._last: int | None = None
        self._last_success: int | None = None
        self._failing_since: int | None = None
        self._interval_s = poll.interval_s
        self._tracked: int | None = None
        self._last_active: Mapping[AgentId, int] = {}
        self._failures = Failures()
        self._unfollowed: list[tuple[PollFacts, TrackerState]] = []
        """Good polls whose agents are still to be looked at; hardly ever more than one."""
        self._publishing = asyncio.Lock()
        self.requests = ScrapePart(self._clock, enabled=exporter_metrics)
        self._bodies = Bodies(self.requests)
        self._start(poll.interval_s, version, revision)
        self._exposition = render(self._snapshot(self._clock.now_ms()))

    # The API client

    def request_done(self, endpoint: Endpoint, code: int, seconds: float) -> None:
        """A response came whole, whatever it said."""
        self._values.add("zohovoice_api_requests_total", endpoint.value, str(code))
        self._values.observe("zohovoice_api_request_duration_seconds", endpoint.value, value=seconds)

    def request_failed(self, endpoint: Endpoint, reason: str, seconds: float) -> None:
        """No whole response came."""
        self._values.add("zohovoice_api_request_errors_total", endpoint.value, reason)
        self._values.observe("zohovoice_api_request_duration_seconds", endpoint.value, value=seconds)

    def credits_told(self, told: Credits) -> None:
        """A response told how many requests are left."""
        if told.remaining is not None:
            self._values.set("zohovoice_api_credits_remaining", value=told.remaining)
        if told.limit is not None:
            self._values.set("zohovoice_api_credits_limit", value=told.limit)

    def rate_limited(self, endpoint: Endpoint, until_ms: int) -> None:
        """Zoho throttled: `endpoint` is left alone until `until_ms` (UTC)."""
        self._values.add("zohovoice_api_rate_limited_total")
        name = "zohovoice_api_retry_after_timestamp_seconds"
        before = self._values.get(name)
        # Each address has a lock of its own; what matters to people is when all is over.
        latest = max(before, until_ms / 1000) if isinstance(before, (int, float)) else until_ms / 1000
        self._values.set(name, value=latest)

    def token_refreshed(self, expires_at_ms: int) -> None:
        """A new access token came; it expires at `expires_at_ms` (UTC)."""
        self._values.add("zohovoice_oauth_token_refreshes_total")
        self._values.set("zohovoice_oauth_token_expiry_timestamp_seconds", value=expires_at_ms / 1000)

    def token_known(self, expires_at_ms: int) -> None:
        """An access token from before this process is still good until then (UTC)."""
        self._values.set("zohovoice_oauth_token_expiry_timestamp_seconds", value=expires_at_ms / 1000)

    def token_refresh_failed(self, reason: str) -> None:
        """A refresh was tried and brought no token."""
        self._values.add("zohovoice_oauth_token_refreshes_total")
        self._values.add("zohovoice_oauth_token_refresh_failures_total")
        self._failures.note("token refresh", reason, self._clock.now_ms())

    # The poller

    def poll_succeeded(self, poll: Poll, facts: PollFacts, state: TrackerState, duration_s: float) -> None:
        """A poll was complete; `state` is what is known with it. Its agents are looked at when it is published."""
        self._up = True
        self._failing_since = None
        self._freshness.renew()
        self._last_success = poll.received
        self._tracked = len(state.agents)
        self._poll_ended(poll.received, duration_s)
        self._values.set("zohovoice_last_poll_success_timestamp_seconds", value=poll.received / 1000)
        self._unfollowed.append((facts, state))

    def poll_failed(self, reason: str, at_ms: int, duration_s: float) -> None:
        """A poll failed; nothing of it is kept. `at_ms` is UTC."""
        self._up = False
        if self._failing_since is None:
            self._failing_since = at_ms
        self._poll_ended(at_ms, duration_s)
        self._values.add("zohovoice_poll_failures_total", reason)
        self._failures.note("poll", reason, at_ms)

    def poll_skipped(self) -> None:
        """A poll was not made: the one before still ran, or a lock was in force."""
        self._values.add("zohovoice_polls_skipped_total")

    def backoff(self, seconds: float) -> None:
        """No poll will be made for so long; 0: polls go on."""
        self._values.set("zohovoice_poll_backoff_seconds", value=seconds)

    def interval(self, seconds: float) -> None:
        """Polls are made so far apart from now on.

        Where the API's limits make that longer than --poll.interval, the good polls may be older in proportion: else
        the agents would go away between any two of them.
        """
        self._freshness.allow(self._poll.max_age_s * max(1.0, seconds / self._poll.interval_s))
        self._interval_s = seconds
        self._values.set("zohovoice_poll_interval_seconds", value=seconds)

    # The reloader

    def use_poll(self, poll: PollSettings) -> None:
        """Go by these settings from the next call of `interval` on, which tells what comes of them."""
        self._poll = poll

    def config_loaded(self, *, successful: bool) -> None:
        """Settings and files were read anew; unless `successful`, those from before stay in force."""
        self._values.set("zohovoice_exporter_config_last_reload_successful", value=int(successful))
        if successful:
            now_s = self._clock.now_ms() / 1000
            self._values.set("zohovoice_exporter_config_last_reload_success_timestamp_seconds", value=now_s)

    # The roster's keeper

    def roster_refreshed(self, roster: Roster) -> None:
        """The list of agents was read."""
        self._last_active = roster.last_active
        self._values.add("zohovoice_roster_refreshes_total")
        self._values.set("zohovoice_roster_rows_ignored", value=roster.rows_ignored)

    def roster_failed(self, reason: str) -> None:
        """The list of agents could not be read; the one before stays in force."""
        self._values.add("zohovoice_roster_refreshes_total")
        self._values.add("zohovoice_roster_refresh_failures_total", reason)
        self._failures.note("roster", reason, self._clock.now_ms())

    # The recorder

    def history_written(self, transitions: int, seconds: float) -> None:
        """The facts of one poll are on disk."""
        self._values.add("zohovoice_history_transitions_written_total", amount=transitions)
        self._values.observe("zohovoice_history_write_duration_seconds", value=seconds)

    def history_write_failed(self) -> None:
        """An attempt to write failed; the facts wait."""
        self._values.add("zohovoice_history_write_failures_total")
        self._failures.note("history", "write", self._clock.now_ms())

    def history_pending(self, transitions: int) -> None:
        """So many transitions wait to be written."""
        self._values.set("zohovoice_history_pending_transitions", value=transitions)

    def history_lost(self, transitions: int) -> None:
        """So many transitions were given up."""
        self._values.add("zohovoice_history_lost_transitions_total", amount=transitions)

    def history_pruned(self, transitions: int) -> None:
        """Transitions were removed because they were too old."""
        self._values.add("zohovoice_history_pruned_transitions_total", amount=transitions)

    def history_gap(self) -> None:
        """A stretch of good polls has ended, and the first poll of the next one is on disk."""
        self._values.add("zohovoice_history_gaps_total")

    def history_statistics(self, statistics: HistoryStatistics) -> None:
        """What the history holds now."""
        self._values.set("zohovoice_history_transitions", value=statistics.transitions)
        self._values.set("zohovoice_history_database_bytes", "main", value=statistics.main_bytes)
        self._values.set("zohovoice_history_database_bytes", "wal", value=statistics.wal_bytes)
        for age, instant in (("oldest", statistics.oldest), ("newest", statistics.newest)):
            name = f"zohovoice_history_{age}_transition_timestamp_seconds"
            if instant is None:
                self._values.forget(name)
            else:
                self._values.set(name, value=instant / 1000)

    # What is shown

    @property
    def ready(self) -> bool:
        """Whether a first complete poll was had, and is shown."""
        return self._exposition.fresh_until is not None

    @property
    def polling(self) -> Polling:
        """How the polls go."""
        return Polling(
            last=self._last,
            last_success=self._last_success,
            up=self._up,
            failing_since=self._failing_since,
            interval_s=self._interval_s,
            agents=self._tracked,
            failures=self._failures.latest,
        )

    @property
    def exposition(self) -> Exposition:
        """What was published last."""
        return self._exposition

    @property
    def fresh(self) -> bool:
        """Whether the good poll that is shown is not older than --poll.max-age.

        By the monotonic clock, which never steps. While a new poll is being rendered the age of the one before counts,
        for that is what a scrape would get.
        """
        until = self._exposition.fresh_until
        return until is not None and self._clock.monotonic() < until

    def scrape(self, form: Format, *, gzip: bool) -> Body:
        """The body of a scrape at this moment."""
        return self._bodies.body(self._exposition, form, gzip=gzip, with_agents=self.fresh)

    def publish(self, now_ms: int) -> Exposition:
        """Show what was counted so far; blocks for about 5 microseconds an agent."""
        at_once(self._publish(now_ms))
        return self._exposition

    async def publish_in_steps(self, now_ms: int) -> Exposition:
        """The same in steps of about a millisecond, between which the event loop does other things.

        It shows what was counted when it was called, or when the one before it was done; not what is counted while it
        renders.
        """
        async with self._publishing:
            await taking_turns(self._publish(now_ms))
            return self._exposition

    def _publish(self, now_ms: int) -> Steps[None]:
        while self._unfollowed:
            yield from self._follow(*self._unfollowed[0])
            del self._unfollowed[0]
            yield from self._agents.let_go()
        exposition = yield from render_in_steps(self._snapshot(now_ms))
        yield
        held = self._exposition.held()
        self._exposition = exposition
        self._bodies.forget()
        for things, size in held:
            yield from letting_go(things, size)

    def _snapshot(self, now_ms: int) -> Snapshot:
        agents = None
        if self._last_success is not None:
            agents = AgentsContent(self._agents.view, self._settings, self._last_active)
        return Snapshot(now_ms, self.polling, agents, self._values.freeze(), self._freshness.until)

    def _follow(self, facts: PollFacts, state: TrackerState) -> Steps[None]:
        known = len(self._agents.labels.labels)
        moves = yield from self._agents.follow(facts, state)
        self._values.add("zohovoice_unrecognised_status_total", amount=self._agents.unrecognised)
        labels = self._agents.labels.labels
        self._start_transitions(labels, known)
        for (before, after), count in moves.items():
            self._values.add("zohovoice_agent_status_transitions_total", labels[before], labels[after], amount=count)

    def _poll_ended(self, at_ms: int, duration_s: float) -> None:
        self._last = at_ms
        self._values.add("zohovoice_polls_total")
        self._values.set("zohovoice_last_poll_timestamp_seconds", value=at_ms / 1000)
        self._values.set("zohovoice_last_poll_duration_seconds", value=duration_s)

    def _start(self, interval_s: float, version: str, revision: str) -> None:
        """Make all series of closed label sets exist from the first scrape on."""
        values = self._values
        values.set("zohovoice_exporter_build_info", version, revision, platform.python_version(), value=1)
        self.config_loaded(successful=True)
        values.set("zohovoice_poll_interval_seconds", value=interval_s)
        values.set("zohovoice_poll_backoff_seconds", value=0)
        values.set("zohovoice_history_pending_transitions", value=0)
        for reason in REASONS:
            values.start("zohovoice_poll_failures_total", reason)
            values.start("zohovoice_roster_refresh_failures_total", reason)
        for endpoint in Endpoint:
            values.start("zohovoice_api_requests_total", endpoint.value, "200")
            values.start("zohovoice_api_request_duration_seconds", endpoint.value)
            for reason in _UNANSWERED:
                values.start("zohovoice_api_request_errors_total", endpoint.value, reason)
        self._start_transitions(CLOSED, 0)

    def _start_transitions(self, labels: tuple[str, ...], started: int) -> None:
        """Make the pairs of labels exist at 0; the first `started` labels' pairs do already."""
        for place, label in enumerate(labels[started:], started):
            for other in labels[:place]:
                self._values.start("zohovoice_agent_status_transitions_total", label, other)
                self._values.start("zohovoice_agent_status_transitions_total", other, label)
