"""The table of metric families: what is exposed, made into text, documentation and tests from here and nowhere else.

Names, types and labels are those that dashboards and alerts hold on to (metrics-and-web, 2.1).
"""

from collections.abc import Mapping
from typing import Final

from exporter.metrics.family import Family, Part, Shown, Type

_PROCESS: Final = "Counted since this process started, so a restart begins at 0; as of the end of the last poll."
_AGENTS: Final = (
    "As of the last good poll (--poll.interval); goes away when that is older than --poll.max-age, and comes back."
)
_API_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WRITE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

_AGENT_FAMILIES: Final = (
    Family(
        "zohovoice_agents",
        Type.GAUGE,
        "Tracked agents by status, in Zoho's own words; the sum over the statuses is the number of tracked agents. "
        "`unknown`: Zoho's last complete answer gave no status for the agent; `other`: words beyond the first 20 that "
        f"are not documented. {_AGENTS}",
        ("status",),
        Shown.FRESH,
    ),
    Family(
        "zohovoice_team_agents",
        Type.GAUGE,
        f"Tracked agents by team and status; the team is empty for agents without one. {_AGENTS}",
        ("team", "status"),
        Shown.FRESH,
    ),
    Family(
        "zohovoice_agents_over_limit",
        Type.GAUGE,
        f"Tracked agents without series of their own because of --metrics.agent-limit. {_AGENTS}",
        (),
        Shown.PER_AGENT,
    ),
    Family(
        "zohovoice_agent_status",
        Type.GAUGE,
        f"1 for the status that the agent has, 0 for every other one: exactly one 1 for each agent. {_AGENTS}",
        ("agent_id", "status"),
        Shown.PER_AGENT,
    ),
    Family(
        "zohovoice_agent_status_since_timestamp_seconds",
        Type.GAUGE,
        "Unix time at which a poll first saw the agent in its present status: the true change is up to one poll "
        "earlier, or anywhere in the gap if none had been good for a while. From the history, so it survives restarts. "
        f"{_AGENTS}",
        ("agent_id",),
        Shown.PER_AGENT,
    ),
    Family(
        "zohovoice_agent_last_seen_timestamp_seconds",
        Type.GAUGE,
        "Unix time at which the agent was last active in Zoho Voice, as Zoho said when its list of users was last read "
        f"(--agents.refresh-interval): personal data. Absent for agents of whom Zoho did not say it. {_AGENTS}",
        ("agent_id",),
        Shown.LAST_SEEN,
    ),
    Family(
        "zohovoice_agent_status_changes_total",
        Type.COUNTER,
        "Changes of the agent's status between two good polls; that an agent is seen for the first time is no change. "
        f"{_PROCESS} Goes away with the agent, and starts at 0 if the agent comes back; also while the agents' "
        "families are away because the last good poll is too old, after which it goes on where it was.",
        ("agent_id",),
        Shown.PER_AGENT,
    ),
    Family(
        "zohovoice_agent_status_seconds_total",
        Type.COUNTER,
        "Time that the agent was in the status, in seconds. A good poll credits the time since the good poll before "
        "to the status held until then; time that nobody looked at is credited to no status. "
        f"{_PROCESS} Goes away with the agent, and starts at 0 if the agent comes back; also while the agents' "
        "families are away because the last good poll is too old, after which it goes on where it was.",
        ("agent_id", "status"),
        Shown.AGENT_SECONDS,
    ),
    Family(
        "zohovoice_agent_info",
        Type.INFO,
        f"Name and team of the agent: personal data. Always 1. {_AGENTS}",
        ("agent_id", "name", "team"),
        Shown.NAMES,
    ),
    Family(
        "zohovoice_up",
        Type.GAUGE,
        "1 if the whole of the last poll worked; 0 if any of it failed, before the first poll has ended, and when "
        "no poll has worked for --poll.max-age.",
    ),
)
"""Rendered together, because they change together when the last good poll gets too old."""

_STATUS_FAMILIES: Final = (
    Family(
        "zohovoice_agent_status_transitions_total",
        Type.COUNTER,
        "Changes of agents' status between two good polls, over all agents; that an agent is seen for the first time "
        f"is no change. {_PROCESS}",
        ("from_status", "to_status"),
    ),
    Family(
        "zohovoice_unrecognised_status_total",
        Type.COUNTER,
        f"Readings whose status word is none of the five that are documented; the log names the word. {_PROCESS}",
    ),
)

_POLL_FAMILIES: Final = (
    Family(
        "zohovoice_last_poll_timestamp_seconds",
        Type.GAUGE,
        "Unix time at which the last poll ended, whether it worked or not.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_last_poll_success_timestamp_seconds",
        Type.GAUGE,
        "Unix time at which the last good poll was received.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_last_poll_duration_seconds",
        Type.GAUGE,
        "How long the last poll took, in seconds, whether it worked or not.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_poll_interval_seconds",
        Type.GAUGE,
        "Seconds from the start of a poll to the start of the next: --poll.interval, or longer if the API's limits "
        "do not allow that for so many agents.",
    ),
    Family(
        "zohovoice_polls_total",
        Type.COUNTER,
        f"Polls that ended, those that failed included. {_PROCESS}",
    ),
    Family(
        "zohovoice_poll_failures_total",
        Type.COUNTER,
        f"Polls that failed, by the reason of the failure. {_PROCESS}",
        ("reason",),
    ),
    Family(
        "zohovoice_polls_skipped_total",
        Type.COUNTER,
        f"Polls that were not made because the one before still ran or the API forbade them for a while. {_PROCESS}",
    ),
    Family(
        "zohovoice_poll_backoff_seconds",
        Type.GAUGE,
        "For how many seconds, as of the last poll, no poll will be made because the API forbade it; 0 when polls go "
        "on at their interval.",
    ),
    Family(
        "zohovoice_roster_refreshes_total",
        Type.COUNTER,
        f"Readings of the list of agents, those that failed included. {_PROCESS}",
    ),
    Family(
        "zohovoice_roster_refresh_failures_total",
        Type.COUNTER,
        f"Readings of the list of agents that failed, by the reason of the failure. {_PROCESS}",
        ("reason",),
    ),
    Family(
        "zohovoice_roster_rows_ignored",
        Type.GAUGE,
        "Rows of the last list of users that are no agents.",
        (),
        Shown.KNOWN,
    ),
)

_API_FAMILIES: Final = (
    Family(
        "zohovoice_api_requests_total",
        Type.COUNTER,
        f"Requests to Zoho that were answered, by endpoint and HTTP status code. {_PROCESS}",
        ("endpoint", "code"),
    ),
    Family(
        "zohovoice_api_request_errors_total",
        Type.COUNTER,
        f"Requests to Zoho that brought no usable answer at all, by endpoint and reason. {_PROCESS}",
        ("endpoint", "reason"),
    ),
    Family(
        "zohovoice_api_request_duration_seconds",
        Type.HISTOGRAM,
        f"How long requests to Zoho took, in seconds, those without an answer included. {_PROCESS}",
        ("endpoint",),
        buckets=_API_BUCKETS,
    ),
    Family(
        "zohovoice_api_rate_limited_total",
        Type.COUNTER,
        f"Answers by which Zoho forbade further requests for a while. {_PROCESS}",
    ),
    Family(
        "zohovoice_api_retry_after_timestamp_seconds",
        Type.GAUGE,
        "Unix time until which Zoho last forbade requests; it may be past.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_api_credits_remaining",
        Type.GAUGE,
        "Requests that are left, by the last answer that told it; which Zoho Voice is not known to do.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_api_credits_limit",
        Type.GAUGE,
        "Requests that are granted, by the last answer that told it; which Zoho Voice is not known to do.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_oauth_token_expiry_timestamp_seconds",
        Type.GAUGE,
        "Unix time at which the access token in use expires.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_oauth_token_refreshes_total",
        Type.COUNTER,
        f"Attempts to get a new access token, those that failed included. {_PROCESS}",
    ),
    Family(
        "zohovoice_oauth_token_refresh_failures_total",
        Type.COUNTER,
        f"Attempts to get a new access token that failed. {_PROCESS}",
    ),
)

_HISTORY_FAMILIES: Final = (
    Family(
        "zohovoice_history_transitions_written_total",
        Type.COUNTER,
        f"Status transitions written to the history, first observations included. {_PROCESS}",
    ),
    Family(
        "zohovoice_history_write_failures_total",
        Type.COUNTER,
        f"Attempts to write to the history that failed. {_PROCESS}",
    ),
    Family(
        "zohovoice_history_write_duration_seconds",
        Type.HISTOGRAM,
        f"How long it took to write the facts of one poll to the history, in seconds. {_PROCESS}",
        buckets=_WRITE_BUCKETS,
    ),
    Family(
        "zohovoice_history_pending_transitions",
        Type.GAUGE,
        "Status transitions that wait in memory because the history cannot be written; as of the last poll.",
    ),
    Family(
        "zohovoice_history_lost_transitions_total",
        Type.COUNTER,
        "Status transitions given up because the history could not be written and the memory for waiting ones was "
        f"full. {_PROCESS}",
    ),
    Family(
        "zohovoice_history_pruned_transitions_total",
        Type.COUNTER,
        f"Status transitions removed because they were older than --history.retention. {_PROCESS}",
    ),
    Family(
        "zohovoice_history_gaps_total",
        Type.COUNTER,
        "Gaps in the history's knowledge: stretches of good polls that ended, counted when the first poll of the next "
        "one is written. "
        f"{_PROCESS}",
    ),
    Family(
        "zohovoice_history_database_bytes",
        Type.GAUGE,
        "Size of the history's files: the database itself (main) and its write-ahead log (wal).",
        ("file",),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_history_transitions",
        Type.GAUGE,
        "Status transitions that the history holds; falls when old ones are deleted.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_history_oldest_transition_timestamp_seconds",
        Type.GAUGE,
        "Unix time of the oldest status transition that the history holds.",
        (),
        Shown.KNOWN,
    ),
    Family(
        "zohovoice_history_newest_transition_timestamp_seconds",
        Type.GAUGE,
        "Unix time of the newest status transition that the history holds.",
        (),
        Shown.KNOWN,
    ),
)

_EXPORTER_FAMILIES: Final = (
    Family(
        "zohovoice_exporter_build_info",
        Type.INFO,
        "Version and source revision of this exporter, and the Python that runs it. Always 1.",
        ("version", "revision", "python_version"),
    ),
    Family(
        "zohovoice_exporter_config_last_reload_successful",
        Type.GAUGE,
        "1 if the settings and files were read without a mistake when they were last read: at the start, by SIGHUP, by "
        "POST to /-/reload, or because the web configuration changed; 0 if not, and then what was in force stays so.",
    ),
    Family(
        "zohovoice_exporter_config_last_reload_success_timestamp_seconds",
        Type.GAUGE,
        "Unix time at which the settings and files were last read without a mistake.",
    ),
    Family(
        "zohovoice_exporter_http_requests_total",
        Type.COUNTER,
        "HTTP requests that this exporter answered, by what answered them and status code. Counted since this process "
        "started, so a restart begins at 0; as of this scrape, or of one up to a second ago.",
        ("handler", "code"),
        Shown.EXPORTER,
        Part.SCRAPE,
    ),
)

FAMILIES: Final = (
    *_AGENT_FAMILIES,
    *_STATUS_FAMILIES,
    *_POLL_FAMILIES,
    *_API_FAMILIES,
    *_HISTORY_FAMILIES,
    *_EXPORTER_FAMILIES,
)
"""All families but those of the process and of Python, which prometheus-client's own collectors bring, in order."""

FAMILY: Final[Mapping[str, Family]] = {family.name: family for family in FAMILIES}
"""The table by name."""

AGENT_FAMILIES: Final = _AGENT_FAMILIES
"""Those that change when the last good poll gets too old."""

OWN_FAMILIES: Final = tuple(
    family for family in FAMILIES if family.part is Part.SNAPSHOT and family not in AGENT_FAMILIES
)
"""The rest of the snapshot."""
