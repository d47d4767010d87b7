"""The dashboard "Exporter health": do polls, requests, the history and scrapes work, and what do they cost.

It shows the machine, not the agents. Where nothing was measured there is a hole, and never a 0: an exporter that cannot
be scraped says nothing about its polls.
"""

from typing import Final

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.models import common, dashboard

from grafana.common import COLOURS, TARGETS, dressed, fixed_colour, graph, new_dashboard, now, over_time, painted, said
from grafana.queries import OLDEST, PER_TARGET, WORKING

GOOD: Final = COLOURS["Available"]
BAD: Final = COLOURS["unknown"]

_QUANTILES: Final = (("A", "0.5", "half"), ("B", "0.95", "95 %"), ("C", "0.99", "99 %"))
_OURS: Final = f"and {PER_TARGET} zohovoice_up{{{TARGETS}}}"

AGE: Final = f"time() - zohovoice_last_poll_success_timestamp_seconds{{{TARGETS}}}"
LOCK: Final = (
    f"clamp_min(zohovoice_api_retry_after_timestamp_seconds{{{TARGETS}}} - time(), 0)"
    f" > zohovoice_poll_backoff_seconds{{{TARGETS}}} or zohovoice_poll_backoff_seconds{{{TARGETS}}}"
)
TOKEN_LEFT: Final = f"zohovoice_oauth_token_expiry_timestamp_seconds{{{TARGETS}}} - time()"
ALERTS_FIRING: Final = f'count(ALERTS{{{TARGETS}, alertname=~"ZohoVoice.+", alertstate="firing"}})'


def _per_minute(family: str, by: str = "") -> str:
    return f"sum{by and f' by ({by})'} (rate({family}{{{TARGETS}}}[$__rate_interval])) * 60"


def _quantile(share: str, family: str, by: str = "") -> str:
    """Without the NaN that stand for nothing having happened."""
    labels = f"le, {by}" if by else "le"
    buckets = f"sum by ({labels}) (rate({family}_bucket{{{TARGETS}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets}) >= 0"


def _number(
    number: int, title: str, description: str, target: prometheus.Dataquery, *, unit: str, width: int
) -> stat.Panel:
    panel = dressed(stat.Panel(), number, title, description, unit=unit, width=width, height=4).with_target(target)
    panel.color_mode(common.BigValueColorMode.NONE).graph_mode(common.BigValueGraphMode.NONE)
    return panel.no_value("unknown")


def _good_or_bad(panel: stat.Panel, mappings: list[dashboard.ValueMapping]) -> stat.Panel:
    """Painted by its value. No value is no good news: Grafana would paint that green."""
    panel.color_mode(common.BigValueColorMode.BACKGROUND).mappings(mappings)
    return panel.color_scheme(painted(BAD))


def _numbers() -> list[stat.Panel]:
    """The first line: a glance tells whether all is well."""
    polls = _number(
        1,
        "Last poll",
        "Whether the whole of the last poll worked; of several exporters, the worst. Failed also stands for an "
        "exporter that cannot be scraped.",
        now("A", WORKING, "last poll"),
        unit="none",
        width=4,
    )
    alerts = _number(
        2,
        "Alerts",
        "Alerts of the exporters chosen above that fire at present. None also if Prometheus does not have the file "
        "grafana/prometheus/zohovoice-alerts.yml; and ZohoVoiceExporterMissing belongs to no exporter and is not "
        "counted.",
        now("A", ALERTS_FIRING, "firing"),
        unit="none",
        width=4,
    )
    alerts.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    steps = [dashboard.Threshold(value=None, color="text"), dashboard.Threshold(value=1, color=BAD)]
    alerts.thresholds(builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
    alerts.color_mode(common.BigValueColorMode.VALUE).no_value("none")
    age = _number(
        3,
        "Age of the data",
        "Time since the last good poll; of several exporters, the longest. Of one that cannot be scraped, the last "
        "that Prometheus knows of.",
        now("A", OLDEST, "age"),
        unit="s",
        width=4,
    )
    settings = _number(
        4,
        "Settings",
        "Whether settings and files were read without a mistake the last time; if not, those from before are in force.",
        now("A", f"min(zohovoice_exporter_config_last_reload_successful{{{TARGETS}}})", "settings"),
        unit="none",
        width=4,
    )
    read = _number(
        5,
        "Settings read",
        "When settings and files were last read without a mistake: at the start, or at a reload.",
        now("A", f"max(zohovoice_exporter_config_last_reload_success_timestamp_seconds{{{TARGETS}}}) * 1000", "read"),
        unit="dateTimeFromNow",
        width=4,
    )
    version = _number(
        6,
        "Version",
        "The exporter's version and the Python that runs it, and how many exporters there are of each.",
        now(
            "A",
            f"count by (version, python_version) (zohovoice_exporter_build_info{{{TARGETS}}})",
            "{{version}}, Python {{python_version}}",
        ),
        unit="none",
        width=4,
    ).text_mode(common.BigValueTextMode.NAME)
    return [
        _good_or_bad(polls, said({"0": ("failed", BAD), "1": ("good", GOOD)})),
        alerts,
        age.decimals(0),
        _good_or_bad(settings, said({"0": ("refused", BAD), "1": ("in force", GOOD)})),
        read,
        version,
    ]


def _bars(panel: timeseries.Panel, pattern: str) -> timeseries.Panel:
    """`panel` with the series whose names match drawn as bars: they are events."""
    properties = [
        dashboard.DynamicConfigValue("custom.drawStyle", "bars"),
        dashboard.DynamicConfigValue("custom.fillOpacity", 70),
    ]
    return panel.override_by_regexp(pattern, properties)


def _polls() -> list[timeseries.Panel]:
    polls = graph(
        7,
        "Polls and failures",
        "Polls a minute, and those of them that failed, by reason. Skipped are polls that were due while the one "
        "before still ran or Zoho had told the exporter to wait.",
        over_time("A", _per_minute("zohovoice_polls_total"), "polls"),
        over_time("B", f"{_per_minute('zohovoice_poll_failures_total', 'reason')} > 0", "failed: {{reason}}"),
        over_time("C", _per_minute("zohovoice_polls_skipped_total"), "skipped"),
        unit="cpm",
    )
    age = graph(
        8,
        "Age of the data and duration of polls",
        "Time since the last good poll, and how long the last poll took. The dashed line is three poll intervals: "
        "above it polls fail for good, and the alert ZohoVoiceDataStale is near.",
        over_time("A", AGE, "age, {{instance}}"),
        over_time("B", f"3 * zohovoice_poll_interval_seconds{{{TARGETS}}}", "three intervals, {{instance}}"),
        over_time("C", f"zohovoice_last_poll_duration_seconds{{{TARGETS}}}", "duration, {{instance}}"),
        unit="s",
    )
    dashed = dashboard.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})
    age.override_by_query("B", [dashed, fixed_colour(BAD)])
    return [_bars(polls, "/^failed/"), age]


def _api() -> list[timeseries.Panel]:
    answers = graph(
        9,
        "Requests to Zoho",
        "Requests a minute that were answered, by endpoint and HTTP status code.",
        over_time("A", f"{_per_minute('zohovoice_api_requests_total', 'endpoint, code')} > 0", "{{endpoint}} {{code}}"),
        unit="cpm",
    )
    errors = graph(
        10,
        "Requests without an answer",
        "Requests a minute that brought no usable answer, by endpoint and reason: the network, or Zoho being down.",
        over_time(
            "A",
            f"{_per_minute('zohovoice_api_request_errors_total', 'endpoint, reason')} > 0",
            "{{endpoint}}: {{reason}}",
        ),
        unit="cpm",
    )
    family = "zohovoice_api_request_duration_seconds"
    latency = graph(
        11,
        "Latency of Zoho",
        "How long requests took, those without an answer included: half, 95 % and 99 % took no longer, by endpoint. "
        "Estimated within the buckets of a histogram.",
        *(
            over_time(ref, _quantile(share, family, "endpoint"), f"{{{{endpoint}}}}, {word}")
            for ref, share, word in _QUANTILES
        ),
        unit="s",
    )
    throttling = graph(
        12,
        "Throttling",
        "How much longer Zoho forbids requests: no poll is made before that. The bars are answers by which it did.",
        over_time("A", LOCK, "time left, {{instance}}"),
        over_time("B", f"{_per_minute('zohovoice_api_rate_limited_total')} > 0", "throttled a minute"),
        unit="s",
    )
    per_minute = dashboard.DynamicConfigValue("unit", "cpm")
    throttling.override_by_query("B", [per_minute, dashboard.DynamicConfigValue("custom.axisPlacement", "right")])
    return [_bars(answers, "/ [45]..$/"), _bars(errors, "/./"), latency, _bars(throttling, "/^throttled/")]


def _token_and_roster() -> list[timeseries.Panel]:
    token = graph(
        13,
        "Access token",
        "How long the access token is still valid; it is replaced two minutes before its end. The bars are attempts a "
        "minute to get one that failed.",
        over_time("A", TOKEN_LEFT, "valid for, {{instance}}"),
        over_time("B", f"{_per_minute('zohovoice_oauth_token_refresh_failures_total')} > 0", "failed attempts"),
        unit="s",
    )
    per_minute = dashboard.DynamicConfigValue("unit", "cpm")
    token.override_by_query("B", [per_minute, dashboard.DynamicConfigValue("custom.axisPlacement", "right")])
    roster = graph(
        14,
        "List of agents",
        "Readings of the list of agents, and those of them that failed, by reason.",
        over_time("A", _per_minute("zohovoice_roster_refreshes_total"), "readings"),
        over_time("B", f"{_per_minute('zohovoice_roster_refresh_failures_total', 'reason')} > 0", "failed: {{reason}}"),
        unit="cpm",
    )
    return [_bars(token, "/^failed/"), _bars(roster, "/^failed/")]


def _history() -> list[timeseries.Panel]:
    size = graph(
        15,
        "Size of the history",
        "The database and its write-ahead log. The log shrinks when it has been worked into the database.",
        over_time("A", f"sum by (file) (zohovoice_history_database_bytes{{{TARGETS}}})", "{{file}}"),
        unit="bytes",
    )
    size.stacking(parts.StackingConfig().mode(common.StackingMode.NORMAL).group("A")).fill_opacity(40)
    family = "zohovoice_history_write_duration_seconds"
    writing = graph(
        16,
        "Time to write a poll",
        "How long it took to write the facts of one poll: half, 95 % and 99 % took no longer.",
        *(over_time(ref, _quantile(share, family), word) for ref, share, word in _QUANTILES),
        unit="s",
    )
    facts = graph(
        17,
        "Transitions written and waiting",
        "Status transitions written a minute, and how many wait in memory because the history cannot be written. The "
        "bars are failed attempts to write and transitions that were given up, a minute.",
        over_time("A", _per_minute("zohovoice_history_transitions_written_total"), "written"),
        over_time("B", f"sum(zohovoice_history_pending_transitions{{{TARGETS}}})", "waiting"),
        over_time("C", f"{_per_minute('zohovoice_history_write_failures_total')} > 0", "failed attempts"),
        over_time("D", f"{_per_minute('zohovoice_history_lost_transitions_total')} > 0", "given up"),
        unit="cpm",
    )
    facts.override_by_query("B", [dashboard.DynamicConfigValue("unit", "none")])
    held = graph(
        18,
        "Transitions held and gaps",
        "Status transitions that the history holds; it falls when old ones are deleted. The bars are gaps in what the "
        "history knows, a minute.",
        over_time("A", f"sum(zohovoice_history_transitions{{{TARGETS}}})", "held"),
        over_time("B", f"{_per_minute('zohovoice_history_gaps_total')} > 0", "gaps"),
        unit="none",
    )
    right = dashboard.DynamicConfigValue("custom.axisPlacement", "right")
    held.override_by_query("B", [dashboard.DynamicConfigValue("unit", "cpm"), right])
    return [size, writing, _bars(facts, "/^(failed|given)/"), _bars(held, "/^gaps/")]


def _scrapes() -> list[timeseries.Panel]:
    duration = graph(
        19,
        "Duration of scrapes",
        "How long Prometheus took to scrape the exporter, as Prometheus measured it.",
        over_time("A", f"scrape_duration_seconds{{{TARGETS}}} {_OURS}", "{{instance}}"),
        unit="s",
    )
    samples = graph(
        20,
        "Samples of a scrape",
        "Samples that one scrape brings. Most of them are of single agents; when polls fail for longer than "
        "--poll.max-age those go away.",
        over_time("A", f"scrape_samples_scraped{{{TARGETS}}} {_OURS}", "{{instance}}"),
        unit="none",
    )
    process = graph(
        21,
        "Memory and processor",
        "Memory of the exporter's process, and the share of one processor that it uses. Needs the process' own "
        "families, which --web.disable-exporter-metrics leaves out.",
        over_time("A", f"process_resident_memory_bytes{{{TARGETS}}} {_OURS}", "memory, {{instance}}"),
        over_time(
            "B",
            f"rate(process_cpu_seconds_total{{{TARGETS}}}[$__rate_interval]) {_OURS}",
            "processor, {{instance}}",
        ),
        unit="bytes",
    )
    right = dashboard.DynamicConfigValue("custom.axisPlacement", "right")
    process.override_by_query("B", [dashboard.DynamicConfigValue("unit", "percentunit"), right])
    answered = graph(
        22,
        "Requests answered",
        "HTTP requests a minute that the exporter answered, by what answered them and status code. "
        "--web.disable-exporter-metrics leaves them out.",
        over_time(
            "A",
            f"{_per_minute('zohovoice_exporter_http_requests_total', 'handler, code')} > 0",
            "{{handler}} {{code}}",
        ),
        unit="cpm",
    )
    return [duration, samples, process, answered]


def build() -> dashboard.Dashboard:
    """The whole dashboard."""
    board = new_dashboard(
        "zohovoice-exporter-health",
        "Zoho Voice / Exporter health",
        "Whether polls, requests to Zoho, the history and scrapes work, and what they cost.",
        agents=False,
    )
    for panel in (*_numbers(), *_polls(), *_api(), *_token_and_roster(), *_history(), *_scrapes()):
        board.with_panel(panel)
    return board.build()
