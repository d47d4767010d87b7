"""The expressions about agents that dashboards share, with the variables of `new_dashboard` still in them.

One rule holds in all of them: time in which nobody was looking is unknown. While `zohovoice_up` is not 1 nobody knows
what agents do, even though the exporter goes on exposing the last good poll until `--poll.max-age` is over.

Expressions "in range" look back over the dashboard's time range from its end, and know an agent by the id alone: an
exporter that moves to another address has another `instance`, and its agents are still the same people. So are those
who move from one exporter to another.
"""

from typing import Final

from grafana.common import AGENTS, COLOURS, OTHER_WORDS, STATUSES, TARGETS, TEAMS, UNKNOWN_WORD
from grafana.rules import REMEMBERED

PER_AGENT: Final = "on (job, instance, agent_id)"
PER_TARGET: Final = "on (job, instance)"
# Prometheus ends the series of a target that it cannot reach, but not those that it scraped in a life before: they read
# on for five minutes. What was back-filled has no `up`.
LOOKING: Final = f"{PER_TARGET} (zohovoice_up{{{TARGETS}}} == 1 unless {PER_TARGET} up{{{TARGETS}}} == 0)"
NOT_LOOKING: Final = f"{PER_TARGET} (zohovoice_up{{{TARGETS}}} == 0)"
IN_STATUS: Final = f"(zohovoice_agent_status{{{AGENTS}}} == 1)"
CHOSEN: Final = f'{TEAMS}, agent_id=~"$agent"'
SINCE: Final = "zohovoice_agent_status_since_timestamp_seconds"

# ---- agents by status

KNOWN_AGENTS: Final = f'sum by (status) (zohovoice_team_agents{{{TEAMS}, status!="unknown"}} and {LOOKING})'

LAST_SEEN_AGENTS: Final = f"last_over_time(sum by (job, instance) (zohovoice_team_agents{{{TEAMS}}})[{REMEMBERED}:1m])"

# Agents of an exporter that is not looking, or cannot be scraped although it should be: as many as were last seen.
UNSEEN_AGENTS: Final = (
    f"{LAST_SEEN_AGENTS} unless {LOOKING} and {PER_TARGET} (up{{{TARGETS}}} or {PER_TARGET} zohovoice_up{{{TARGETS}}})"
)
UNKNOWN_AGENTS: Final = (
    f'sum((sum by (job, instance) (zohovoice_team_agents{{{TEAMS}, status="unknown"}}) and {LOOKING})'
    f" or ({UNSEEN_AGENTS}))"
)


def per_exporter(function: str, status: str, window: str) -> str:
    """`function` over `window` of each exporter's agents in `status`, leaving out the time in which it did not look."""
    agents = f'sum by (job, instance) (zohovoice_team_agents{{{TEAMS}, status="{status}"}}) and {LOOKING}'
    return f"{function}(({agents})[{window}:30s])"


def blind_share(window: str) -> str:
    """For each exporter the share of its scrapes within `window` that found it not looking, or not there at all."""
    scrapes, told = (f"count_over_time({family}{{{TARGETS}}}[{window}])" for family in ("up", "zohovoice_up"))
    # The larger of the two: an exporter that is down tells nothing, and what was back-filled was not scraped.
    scrapes = f"({scrapes} >= {PER_TARGET} {told} or {PER_TARGET} {told} or {PER_TARGET} {scrapes})"
    return (
        f"1 - (sum_over_time(zohovoice_up{{{TARGETS}}}[{window}]) or {PER_TARGET} {scrapes} * 0)"
        f" / {PER_TARGET} ({scrapes} and {PER_TARGET} (last_over_time(zohovoice_up{{{TARGETS}}}[{REMEMBERED}])))"
    )


# ---- the exporters now

# Prometheus has an `up` for every target; only those that were exporters within a week are meant.
WORKING: Final = (
    f"min(up{{{TARGETS}}} == 0 and {PER_TARGET} last_over_time(zohovoice_up{{{TARGETS}}}[{REMEMBERED}])"
    f" or {PER_TARGET} zohovoice_up{{{TARGETS}}})"
)
_LAST_GOOD: Final = f"zohovoice_last_poll_success_timestamp_seconds{{{TARGETS}}}"
OLDEST: Final = (
    f"max(time() - ({_LAST_GOOD} or {PER_TARGET} (last_over_time({_LAST_GOOD}[{REMEMBERED}])"
    f" and {PER_TARGET} (up{{{TARGETS}}} == 0 or {PER_TARGET} zohovoice_up{{{TARGETS}}} == 0))))"
)
"""The time since the last good poll, as far as Prometheus knows; of several exporters, the longest."""


# ---- each agent now

# The name and team of each agent. Without --metrics.names there are none, and the agents appear under all teams.
DESCRIPTION: Final = f"(zohovoice_agent_info{{{CHOSEN}}} or {PER_AGENT} (zohovoice_agent_status{{{CHOSEN}}} == 1))"

SECONDS_IN_STATUS: Final = (
    "max by (agent_id, name, team, status) (("
    f"(time() - {SINCE}{{{AGENTS}}})"
    f" * {PER_AGENT} group_left (status) ({IN_STATUS} and {LOOKING})"
    f' or label_replace({IN_STATUS} and {NOT_LOOKING}, "status", "unknown", "", "")'
    f" * {PER_TARGET} group_left () (time() - zohovoice_last_poll_success_timestamp_seconds{{{TARGETS}}})"
    f") * {PER_AGENT} group_left (name, team) {DESCRIPTION})"
)

# A state timeline wants one series for each agent, whose number says the status: its place in COLOURS, from 1.
_PLACES: Final = [f'="{word}"' for word in COLOURS] + [f'!~"{"|".join(COLOURS)}"']
_NUMBERED: Final = " or ".join(
    f"(zohovoice_agent_status{{{AGENTS}, status{which}}} == 1) * {number}"
    for number, which in enumerate(_PLACES, start=1)
)
_NAMED: Final = (
    f'label_replace(label_replace({DESCRIPTION}, "agent", "$1", "agent_id", "(.*)"), "agent", "$1", "name", "(.+)")'
)
STATUS_NUMBER: Final = (
    "max by (agent_id, agent) ("
    f"(max by (job, instance, agent_id) ({_NUMBERED}) and {LOOKING})"
    f" * {PER_AGENT} group_left (agent) {_NAMED})"
)

# ---- each agent in the dashboard's time range

_STEPS: Final = "[$__range:$__interval]"

# The name and team that each agent had last: who is renamed or changes team would else be there twice. time() and not
# timestamp(): until 2.44 Prometheus read each series from its start for every step of that, which took seconds.
_LATEST: Final = (
    "topk by (agent_id) (1, max by (agent_id, name, team) ("
    f"last_over_time((zohovoice_agent_info{{{AGENTS}}} * 0 + time()){_STEPS})))"
)
DESCRIPTION_IN_RANGE: Final = (
    "group by (agent_id, name, team) ("
    f"{_LATEST} and on (agent_id, name, team) last_over_time(zohovoice_agent_info{{{CHOSEN}}}[$__range])"
    f" or on (agent_id) last_over_time({SINCE}{{{CHOSEN}}}[$__range])"
    # Of who was back-filled without names there is nothing but this.
    f' or on (agent_id) increase(zohovoice_agent_status_seconds_total{{{CHOSEN}, status="unknown"}}[$__range]))'
)

# How many of the moments at which somebody looked found an agent that was not tracked: hired later, or gone.
# Of back-filled agents, whose exporter has no `up`, there is only the time; a step of 5m is the longest there is.
_TRACKED: Final = (
    f"({SINCE}{{{AGENTS}}} or {PER_AGENT}"
    f' (increase(zohovoice_agent_status_seconds_total{{{AGENTS}, status="unknown"}}[11m])'
    f" unless {PER_TARGET} up{{{TARGETS}}}))"
)
_EVER_TRACKED: Final = (
    f"(last_over_time({SINCE}{{{AGENTS}}}[$__range] @ end()) or {PER_AGENT}"
    f' increase(zohovoice_agent_status_seconds_total{{{AGENTS}, status="unknown"}}[$__range] @ end()))'
)


def _moments(agents: str) -> str:
    """How many of the moments had `agents`, by agent_id, with any exporter of theirs looking."""
    return f"count_over_time((group by (agent_id) ({agents} and {LOOKING})){_STEPS})"


_AWAY: Final = f"({_moments(_EVER_TRACKED)} - on (agent_id) {_moments(_TRACKED)})"
SECONDS_TRACKED: Final = f"(1 - {_AWAY} / on () group_left () count_over_time(vector(1){_STEPS})) * $__range_s"
"""By agent_id: the whole range, without the time in which somebody looked and the agent was not tracked."""


def seconds_known(matcher: str) -> str:
    """By agent_id: the time credited to statuses that match, in the range."""
    return f"sum by (agent_id) (increase(zohovoice_agent_status_seconds_total{{{AGENTS}, {matcher}}}[$__range]))"


# Time credited to the status `unknown` is time in which Zoho gave no status.
SECONDS_UNKNOWN: Final = f"""clamp_min({SECONDS_TRACKED} - on (agent_id) {seconds_known('status!="unknown"')}, 0)"""
"""By agent_id: what is left of the time tracked when all time credited to a status is taken away."""

SECONDS_BY_STATUS: Final = {
    **{word: seconds_known(f'status="{word}"') for word in STATUSES},
    OTHER_WORDS: seconds_known(f'status!~"{"|".join(COLOURS)}"'),
    UNKNOWN_WORD: SECONDS_UNKNOWN,
}
"""By agent_id: the time in each status in the range; `other` is words that Zoho added, and only there if there are."""


# Grafana puts an answer in which no series has the label into the rows of all teams.
NO_TEAM: Final = "–"


def named(by_agent: str) -> str:
    """`by_agent` with the name and team of each agent, for the chosen teams only."""
    return f"({by_agent}) * on (agent_id) group_left (name, team) {DESCRIPTION_IN_RANGE}"


def by_team(by_agent: str) -> str:
    """The sum of `by_agent` for each team, with `NO_TEAM` for agents without one."""
    return f'label_replace(sum by (team) ({named(by_agent)}), "team", "{NO_TEAM}", "team", "")'


def share(by_agent: str) -> str:
    """What part of the time tracked `by_agent` is."""
    return f"{by_agent} / on (agent_id) ({SECONDS_TRACKED})"


_BREAK: Final = f'(zohovoice_agent_status{{{AGENTS}, status="On Break"}} == 1)'
LONGEST_BREAKS: Final = (
    "topk(10, max by (agent_id) (max_over_time((("
    f"time() - {SINCE}{{{AGENTS}}}) and {PER_AGENT} {_BREAK} and {LOOKING}){_STEPS}))"
    f" * on (agent_id) group_left (name, team) {DESCRIPTION_IN_RANGE})"
)

CHANGES: Final = f"sum by (agent_id) (increase(zohovoice_agent_status_changes_total{{{AGENTS}}}[$__range]))"
