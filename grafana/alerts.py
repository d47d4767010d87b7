"""The alerts, as a table of values; `grafana.rules` writes them as a file for Prometheus.

Each says what is wrong for the person who has to act, and stays silent where nobody has to: at night, at a restart,
after one failed poll, when an agent leaves. Only families that are always exposed are asked, so switching the per-agent
families off silences no alert. Every alert stands on its own: none needs the recording rules.
"""

from dataclasses import dataclass
from typing import Final, Literal

JOB: Final = "zohovoice"
"""Prometheus' job of the exporters. Only `up` needs it: all other families are known by their own names."""
RUNBOOKS: Final = "docs/runbooks.md"
"""Where the runbooks are, relative to the repository; whoever publishes them puts that address here."""

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `expr` is PromQL, `hold` is Prometheus' `for`, texts are Prometheus' templates."""

    name: str
    expr: str
    hold: str
    severity: Severity
    summary: str
    description: str
    reason: str
    """Why the expression is as it is; a comment in the file."""

    def runbook(self, base: str = RUNBOOKS) -> str:
        """The address of its paragraph."""
        return f"{base}#{self.name.lower()}"


_WHO: Final = "Zoho Voice exporter {{ $labels.instance }}"
_ON: Final = "on (job, instance)"
_GOOD_READINGS: Final = (
    f"zohovoice_roster_refreshes_total - {_ON} sum by (job, instance) (zohovoice_roster_refresh_failures_total)"
)
# By the time of the sample: it may be older than three short intervals when it is looked at.
_AGE: Final = "timestamp(zohovoice_last_poll_success_timestamp_seconds) - zohovoice_last_poll_success_timestamp_seconds"
_OLD: Final = "3 * zohovoice_poll_interval_seconds"
_STARTED: Final = "zohovoice_exporter_config_last_reload_success_timestamp_seconds"
_AUTH_FAILURES: Final = 'sum by (job, instance) (increase(zohovoice_poll_failures_total{reason="auth"}[30m])) > 0'


def _many_fail(window: str, lately: str, step: str) -> str:
    """More than a quarter of the polls of a window, one of them lately, and not all in one outage.

    One in twenty polls must have failed outside of the longest time without a good one. That time goes on through
    restarts, and begins with the exporter where there was no good poll before.
    """
    failed = "sum by (job, instance) (increase(zohovoice_poll_failures_total[{}]))"
    polls = f"sum by (job, instance) (increase(zohovoice_polls_total[{window}]))"
    good = f"last_over_time(zohovoice_last_poll_success_timestamp_seconds[{window}])"
    longest = f"max_over_time((time() - ({good} or {_ON} min_over_time({_STARTED}[{window}])))[{window}:{step}])"
    return (
        f"{failed.format(window)}\n"
        f"    / {_ON} {polls} > 0.25\n"
        f"  and {_ON} {failed.format(window)} > 2.5\n"
        f"  and {_ON} {failed.format(lately)} > 0\n"
        f"  and {_ON} {failed.format(window)}\n"
        f"    - {_ON} {longest}\n"
        f"    / {_ON} zohovoice_poll_interval_seconds > {_ON} 0.05 * {polls}"
    )


ALERTS: Final = (
    Alert(
        "ZohoVoiceExporterDown",
        f'up{{job="{JOB}"}} == 0',
        "5m",
        "critical",
        f"{_WHO} cannot be scraped",
        "Prometheus could not scrape the exporter for 5 minutes: dashboards and alerts do not know what agents do. If "
        "its process is down, nothing is recorded either. Look whether its process runs and what it logged last, then "
        "at the network, TLS and login between the two.",
        "A restart or a reboot takes less than five minutes.",
    ),
    Alert(
        "ZohoVoiceExporterMissing",
        f'absent(up{{job="{JOB}"}})',
        "15m",
        "critical",
        "Prometheus has no Zoho Voice exporter to scrape",
        "No target belongs to the job {{ $labels.job }}. If none is scraped under another name either, no other alert "
        "about the exporter can fire: put the job back into Prometheus' configuration. If your job has another name, "
        "put that into both rule files.",
        "Without a target there is no `up` that could be 0.",
    ),
    Alert(
        "ZohoVoiceExporterRestarting",
        f"changes(process_start_time_seconds[30m]) > 3\nand {_ON} last_over_time(zohovoice_up[30m])",
        "0m",
        "warning",
        f"{_WHO} keeps restarting",
        "It was restarted {{ $value }} times within 30 minutes. Alerts that must hold for minutes may stay silent "
        "meanwhile. Read the last lines of its log before each start.",
        "The second term names our exporters without their job. Three restarts in half an hour are an upgrade.",
    ),
    Alert(
        "ZohoVoiceDataStale",
        f"{_AGE} > {_OLD}\n"
        f"or (zohovoice_up == 0 unless {_ON} zohovoice_last_poll_success_timestamp_seconds\n"
        f"  and {_ON} time() - {_STARTED} > {_OLD})",
        "5m",
        "critical",
        f"{_WHO} has no fresh data",
        "No poll of Zoho Voice was good {{ if gt $value 0.0 }}for {{ $value | humanizeDuration }}{{ else }}since the "
        "exporter started{{ end }}: what agents do is unknown, and the history has a gap. Look at the reasons of "
        "failed polls and at the log. Do not restart the exporter while Zoho throttles it.",
        "The second term is for an exporter whose polls never worked: before the first good one there is no time of "
        "it. Settings are read at the start: three intervals later more than one poll has failed, however far apart.",
    ),
    Alert(
        "ZohoVoicePollFailing",
        f"({_many_fail('30m', '5m', '15s')}\n"
        f"  and {_ON} zohovoice_poll_interval_seconds <= 60)\n"
        f"or ({_many_fail('3h', '1h', '1m')}\n"
        f"  and {_ON} zohovoice_poll_interval_seconds > 60)",
        "10m",
        "warning",
        f"Many polls of {_WHO} fail",
        "{{ $value | humanizePercentage }} of the polls of the last half hour failed (of three hours, where they are "
        "more than a minute apart). Short statuses are missed, and the history has a gap where two or more failed in "
        "a row. Look at the reasons of failed polls and at the log.",
        "At least three failed polls, for one alone is no news; and one lately, for what is over is none. Not all in "
        "one outage: that is told of by stale data, and this one would begin to fire when the outage is over. By "
        "counters: whoever scrapes less often than it polls may never see zohovoice_up at 0. Half an hour has too few "
        "polls that are far apart.",
    ),
    Alert(
        "ZohoVoiceTokenExpiring",
        "increase(zohovoice_oauth_token_refresh_failures_total[30m]) > 1.5\n"
        f"unless {_ON} (zohovoice_oauth_token_expiry_timestamp_seconds - time() > 120\n"
        f"  unless {_ON} ({_AUTH_FAILURES} and {_ON} zohovoice_up == 0))",
        "2m",
        "critical",
        f"{_WHO} gets no new access token",
        "Its access token has expired, is about to expire or was refused, and attempts to get a new one fail. No poll "
        "works without one. The log has Zoho's reason. If it is the credentials, make a new refresh token; if it is "
        "the network, mend that.",
        "Tokens are replaced two minutes before their end, by the exporter itself: only one that is closer to it "
        "while attempts fail is a fault. Also when there never was one, and when Zoho refuses one before its end, as "
        "it does when the refresh token is revoked.",
    ),
    Alert(
        "ZohoVoiceRateLimited",
        "(zohovoice_poll_backoff_seconds > zohovoice_poll_interval_seconds\n"
        f"  unless {_ON} increase(zohovoice_oauth_token_refresh_failures_total[30m]) > 0)\n"
        "or zohovoice_api_retry_after_timestamp_seconds - time() > 0\n"
        "or increase(zohovoice_api_rate_limited_total[1h]) > 2.5",
        "2m",
        "warning",
        f"Zoho throttles {_WHO}",
        "Zoho forbids requests for more than two minutes, or has forbidden them three times within an hour. The "
        "exporter waits and goes on by itself: do not restart it and make no requests by hand, each one may prolong "
        "the lock. If it comes again, poll less often or lower --api.max-requests-per-minute.",
        "The first term knows a lock from before a restart too, the second those of the roster and of tokens. The "
        "exporter's own limit of requests holds it up for less than two minutes, that of attempts to get a token for "
        "up to ten: then it is not Zoho who throttles.",
    ),
    Alert(
        "ZohoVoiceNoAgentsAvailable",
        'sum by (job, instance) (zohovoice_agents{status="Available"}) == 0\n'
        f"and {_ON} {_AGE} <= {_OLD}\n"
        f'and {_ON} sum by (job, instance) (zohovoice_agents{{status!~"Offline|unknown"}}) > 0',
        "10m",
        "warning",
        "No agent of {{ $labels.instance }} is available",
        "For 10 minutes nobody was available although agents are at work, in a status other than Available, "
        'Offline and unknown. Look at the dashboard "Agents now", or at the board where it is served, for who is in '
        "what since when.",
        "A bare sum() has no labels for `and` to match on and never fires; without the last term it fires every "
        "night; without the one before it fires on what nobody has seen. Three intervals, as for stale data: one "
        "failed poll must not make the ten minutes begin anew.",
    ),
    Alert(
        "ZohoVoiceUnknownStatus",
        'sum by (job, instance) (zohovoice_agents{status="unknown"}) > 0',
        "30m",
        "warning",
        "Zoho gives no status for agents of {{ $labels.instance }}",
        "For 30 minutes Zoho's answers have held an error or nothing for some tracked agents, {{ $value }} at the last "
        "look; they need not be the same ones throughout. Their time counts as unknown. Find out who they are; remove "
        "those who have left from --agents.ids or the agents file.",
        "An agent who leaves is unknown until the roster is read the next time, by default within 15 minutes.",
    ),
    Alert(
        "ZohoVoiceUnrecognisedStatus",
        "increase(zohovoice_unrecognised_status_total[1h]) > 0\n"
        f"unless {_ON} increase(zohovoice_unrecognised_status_total[7d] offset 1d) > 0",
        "0m",
        "info",
        "Zoho uses a status that {{ $labels.instance }} does not know",
        "Agents had a status that is none of Zoho's five documented words; the log names it. It is recorded and "
        "exposed as it is. Decide what it means in reports (--classes.not-ready and its like).",
        "News for a day: after that the word is known to whoever reads alerts, and this one stays silent.",
    ),
    Alert(
        "ZohoVoiceHistoryWriteFailing",
        "(increase(zohovoice_history_write_failures_total[5m]) > 0\n"
        f"  and {_ON} zohovoice_poll_interval_seconds <= 120)\n"
        "or (increase(zohovoice_history_write_failures_total[1h]) > 0\n"
        f"  unless {_ON} increase(zohovoice_history_write_duration_seconds_count[20m]) > 0\n"
        f"  and {_ON} zohovoice_poll_interval_seconds > 120)",
        "10m",
        "critical",
        f"{_WHO} cannot write its history",
        "Facts wait in memory and are written once the database can be: do not restart the exporter, that loses "
        "them. Look for a full disk, permissions, or another program that holds the database.",
        "Writing is tried again at least each 30 seconds. One failed attempt leaves the window before ten minutes "
        "are over. Counters move only when a poll ends: where polls are far apart the window would often "
        "be empty, and what counts is that none has worked.",
    ),
    Alert(
        "ZohoVoiceHistoryLost",
        "increase(zohovoice_history_lost_transitions_total[1h]) > 0",
        "0m",
        "warning",
        f"{_WHO} has lost part of its history",
        "Facts were given up, so the history has a gap: its time is unknown, never guessed. The log says from when "
        "to when, and why. If the database could not be written, mend that, or more will follow. If it refused facts "
        "that contradict it, run history check.",
        "The counter exists from the start, at 0, so that its first increase is seen.",
    ),
    Alert(
        "ZohoVoiceRosterNotRefreshed",
        "sum by (job, instance) (changes(zohovoice_roster_refresh_failures_total[2h])) >= 2\n"
        f"unless {_ON} changes(({_GOOD_READINGS})[2h:1m]) > 0\n"
        f"unless {_ON} (({_GOOD_READINGS}) > 0 and {_ON} resets(zohovoice_roster_refreshes_total[2h]) > 0)\n"
        f"unless {_ON} (({_GOOD_READINGS}) > 0 unless {_ON} zohovoice_roster_refreshes_total offset 2h)",
        "30m",
        "warning",
        f"{_WHO} cannot read the list of agents",
        "The list of agents was not read for two hours or since the start, and attempts fail: new agents are not "
        "tracked, and those who left count as unknown. Look at the reasons of failed readings and at the log.",
        "Good readings are all readings less the failed ones. One that came before the first scrape, or before the "
        "first after a restart, is good for two hours too. Who names all agents by id reads no list and has neither.",
    ),
    Alert(
        "ZohoVoiceConfigReloadFailed",
        "zohovoice_exporter_config_last_reload_successful == 0",
        "5m",
        "warning",
        f"{_WHO} refuses its new settings",
        "A mistake was found when settings and files were read anew; what was in force before stays so, and the next "
        "start may fail. The log names the mistake. Mend it and reload.",
        "Five minutes for whoever is editing the file.",
    ),
)
