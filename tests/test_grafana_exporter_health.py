"""What the queries of the dashboard "Exporter health" answer, by Prometheus' own promtool on series written by hand."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.panels import target, targets
from tests.support.promql import TARGET, Case, evaluate

NAME = "exporter-health"
OTHER = 'job="node",instance="exporter:9100"'


def _series(name: str, values: str, target: str = TARGET, **labels: str) -> dict[str, str]:
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return {f"{name}{{{target}{more}}}": values}


def _histogram(name: str, upto: Mapping[str, str], **labels: str) -> dict[str, str]:
    found = {}
    for le, values in upto.items():
        found |= _series(f"{name}_bucket", values, **labels, le=le)
    return found


# A sample each 30 seconds for 20 minutes, and a poll with each. From 600 s on polls fail and the history cannot be
# written; from 300 s to 900 s Zoho forbids requests. Half of all requests take up to 0.1 s, the others up to 0.25 s;
# each poll takes 1 to 2.5 ms to write. Another program is scraped too.
WORLD = (
    _series("up", "1x40")
    | _series("up", "0x40", OTHER)
    | _series("zohovoice_up", "1x19 0x20")
    | _series("ALERTS", "_x30 1x10", alertname="ZohoVoiceDataStale", alertstate="firing", severity="critical")
    | _series("ALERTS", "_x20 1x20", alertname="ZohoVoicePollFailing", alertstate="pending", severity="warning")
    | _series("ALERTS", "1x40", alertname="DiskFull", alertstate="firing")
    | _series("zohovoice_last_poll_success_timestamp_seconds", "0+30x19 570x20")
    | _series("zohovoice_poll_interval_seconds", "30x40")
    | _series("zohovoice_last_poll_duration_seconds", "0.5x40")
    | _series("zohovoice_polls_total", "0+1x40")
    | _series("zohovoice_polls_skipped_total", "0x40")
    | _series("zohovoice_poll_failures_total", "0x19 1+1x20", reason="timeout")
    | _series("zohovoice_poll_failures_total", "0x40", reason="auth")
    | _series("zohovoice_api_requests_total", "0+2x40", endpoint="statuses", code="200")
    | _series("zohovoice_api_requests_total", "0x40", endpoint="users", code="200")
    | _series("zohovoice_api_request_errors_total", "0x19 1+1x20", endpoint="statuses", reason="timeout")
    | _series("zohovoice_api_request_errors_total", "0x40", endpoint="statuses", reason="tls")
    | _histogram(
        "zohovoice_api_request_duration_seconds",
        {"0.05": "0x40", "0.1": "0+1x40", "0.25": "0+2x40", "+Inf": "0+2x40"},
        endpoint="statuses",
    )
    | _histogram("zohovoice_api_request_duration_seconds", {"0.05": "0x40", "+Inf": "0x40"}, endpoint="users")
    | _series("zohovoice_api_rate_limited_total", "0x9 1x30")
    | _series("zohovoice_api_retry_after_timestamp_seconds", "_x10 900x30")
    | _series("zohovoice_poll_backoff_seconds", "0x9 600-30x19 0x10")
    | _series("zohovoice_oauth_token_expiry_timestamp_seconds", "3600x40")
    | _series("zohovoice_oauth_token_refresh_failures_total", "0x19 1+1x20")
    | _series("zohovoice_roster_refreshes_total", "0+1x40")
    | _series("zohovoice_roster_refresh_failures_total", "0x19 1+1x20", reason="incomplete")
    | _series("zohovoice_history_database_bytes", "4096x40", file="main")
    | _series("zohovoice_history_database_bytes", "512x40", file="wal")
    | _histogram("zohovoice_history_write_duration_seconds", {"0.001": "0x40", "0.0025": "0+1x40", "+Inf": "0+1x40"})
    | _series("zohovoice_history_transitions_written_total", "0+3x40")
    | _series("zohovoice_history_pending_transitions", "0x19 7x20")
    | _series("zohovoice_history_write_failures_total", "0x19 1+1x20")
    | _series("zohovoice_history_lost_transitions_total", "0x19 1+1x20")
    | _series("zohovoice_history_transitions", "1000+3x40")
    | _series("zohovoice_history_gaps_total", "0x19 1x20")
    | _series("zohovoice_exporter_config_last_reload_successful", "1x19 0x20")
    | _series("zohovoice_exporter_config_last_reload_success_timestamp_seconds", "5x40")
    | _series("zohovoice_exporter_build_info", "1x40", version="1.2.0", revision="abc", python_version="3.12.4")
    | _series("zohovoice_exporter_http_requests_total", "0+1x40", handler="/metrics", code="200")
    | _series("zohovoice_exporter_http_requests_total", "0x40", handler="/board", code="403")
    | _series("scrape_duration_seconds", "0.05x40")
    | _series("scrape_duration_seconds", "3x40", OTHER)
    | _series("scrape_samples_scraped", "700x40")
    | _series("scrape_samples_scraped", "9x40", OTHER)
    | _series("process_resident_memory_bytes", "60000000x40")
    | _series("process_resident_memory_bytes", "1x40", OTHER)
    | _series("process_cpu_seconds_total", "0+0.3x40")
    | _series("process_cpu_seconds_total", "0+9x40", OTHER)
)
# From 600 s on Prometheus cannot reach the exporter.
DOWN = {
    **{series: values for series, values in WORLD.items() if OTHER in series},
    **_series("up", "1x19 0x20"),
    **_series("zohovoice_up", "1x19 stale"),
    **_series("zohovoice_last_poll_success_timestamp_seconds", "0+30x19 stale"),
    **_series("scrape_duration_seconds", "0.05x40"),
}
ALL = f"{{{TARGET}}}"

ANSWERS: Mapping[tuple[str, str], list[tuple[str, list[tuple[str, float]]]]] = {
    ("Last poll", "A"): [("9m30s", [("{}", 1)]), ("10m", [("{}", 0)])],
    ("Alerts", "A"): [("10m", []), ("15m", [("{}", 1)])],
    ("Age of the data", "A"): [("9m30s", [("{}", 0)]), ("15m", [("{}", 330)])],
    ("Settings", "A"): [("9m30s", [("{}", 1)]), ("10m", [("{}", 0)])],
    ("Settings read", "A"): [("10m", [("{}", 5000)])],
    ("Version", "A"): [("10m", [('{version="1.2.0",python_version="3.12.4"}', 1)])],
    ("Polls and failures", "A"): [("9m", [("{}", 2)]), ("15m", [("{}", 2)])],
    ("Polls and failures", "B"): [("9m", []), ("15m", [('{reason="timeout"}', 2)])],
    ("Polls and failures", "C"): [("15m", [("{}", 0)])],
    ("Age of the data and duration of polls", "A"): [("15m", [(ALL, 330)])],
    ("Age of the data and duration of polls", "B"): [("15m", [(ALL, 90)])],
    ("Age of the data and duration of polls", "C"): [("15m", [(ALL, 0.5)])],
    ("Requests to Zoho", "A"): [("10m", [('{endpoint="statuses",code="200"}', 4)])],
    ("Requests without an answer", "A"): [
        ("9m", []),
        ("15m", [('{endpoint="statuses",reason="timeout"}', 2)]),
    ],
    # Of 8 requests in 2 minutes 4 took up to 0.1 s and 4 up to 0.25 s: the 4th, the 7.6th and the 7.92nd.
    ("Latency of Zoho", "A"): [("10m", [('{endpoint="statuses"}', 0.1)])],
    ("Latency of Zoho", "B"): [("10m", [('{endpoint="statuses"}', 0.235)])],
    ("Latency of Zoho", "C"): [("10m", [('{endpoint="statuses"}', 0.247)])],
    ("Throttling", "A"): [("4m30s", [(ALL, 0)]), ("10m", [(ALL, 300)]), ("16m", [(ALL, 0)])],
    ("Throttling", "B"): [("4m30s", []), ("5m30s", [("{}", 0.5)]), ("10m", [])],
    ("Access token", "A"): [("10m", [(ALL, 3000)])],
    ("Access token", "B"): [("9m", []), ("15m", [("{}", 2)])],
    ("List of agents", "A"): [("10m", [("{}", 2)])],
    ("List of agents", "B"): [("9m", []), ("15m", [('{reason="incomplete"}', 2)])],
    ("Size of the history", "A"): [("10m", [('{file="main"}', 4096), ('{file="wal"}', 512)])],
    ("Time to write a poll", "A"): [("10m", [("{}", 0.00175)])],
    ("Time to write a poll", "B"): [("10m", [("{}", 0.002425)])],
    ("Time to write a poll", "C"): [("10m", [("{}", 0.002485)])],
    ("Transitions written and waiting", "A"): [("10m", [("{}", 6)])],
    ("Transitions written and waiting", "B"): [("9m", [("{}", 0)]), ("10m", [("{}", 7)])],
    ("Transitions written and waiting", "C"): [("9m", []), ("15m", [("{}", 2)])],
    ("Transitions written and waiting", "D"): [("9m", []), ("15m", [("{}", 2)])],
    ("Transitions held and gaps", "A"): [("10m", [("{}", 1060)])],
    ("Transitions held and gaps", "B"): [("9m", []), ("10m30s", [("{}", 0.5)])],
    ("Duration of scrapes", "A"): [("10m", [(ALL, 0.05)])],
    ("Samples of a scrape", "A"): [("10m", [(ALL, 700)])],
    ("Memory and processor", "A"): [("10m", [(ALL, 60_000_000)])],
    ("Memory and processor", "B"): [("10m", [(ALL, 0.01)])],
    ("Requests answered", "A"): [("10m", [('{handler="/metrics",code="200"}', 2)])],
}


def _asked(panel: str, ref: str, **chosen: str) -> str:
    return f"round({target(NAME, panel, ref).by_hand(**chosen)}, 0.000001)"


def test_every_query_has_an_answer_by_hand() -> None:
    assert {(each.title, each.ref) for each in targets(NAME)} == set(ANSWERS)


def test_the_queries_answer_as_worked_out_by_hand(tmp_path: Path) -> None:
    cases: list[Case] = [
        (_asked(panel, ref), at, samples) for (panel, ref), answers in ANSWERS.items() for at, samples in answers
    ]
    evaluate(tmp_path, WORLD, cases)


def test_an_exporter_that_is_not_chosen_is_not_shown(tmp_path: Path) -> None:
    evaluate(tmp_path, WORLD, [(_asked(*each, instance="another:10042"), "10m", []) for each in ANSWERS])


@pytest.mark.parametrize("panel", ["Age of the data and duration of polls", "Duration of scrapes"])
def test_what_nobody_can_tell_of_an_exporter_that_is_away_is_a_hole(tmp_path: Path, panel: str) -> None:
    evaluate(tmp_path, DOWN, [(_asked(panel, "A"), "15m", [])])


def test_an_exporter_that_is_away_counts_as_failed_and_another_target_that_is_away_does_not(tmp_path: Path) -> None:
    evaluate(tmp_path, DOWN, [(_asked("Last poll", "A"), at, [("{}", 0)]) for at in ("10m", "15m")])
    evaluate(tmp_path, DOWN, [(_asked("Age of the data", "A"), "15m", [("{}", 900 - 570)])])
    good = WORLD | _series("zohovoice_up", "1x40")
    evaluate(tmp_path, good, [(_asked("Last poll", "A"), "15m", [("{}", 1)])])


def test_a_lock_of_another_address_than_that_of_polls_is_shown_too(tmp_path: Path) -> None:
    roster_locked = WORLD | _series("zohovoice_poll_backoff_seconds", "0x40")
    evaluate(tmp_path, roster_locked, [(_asked("Throttling", "A"), "10m", [(ALL, 300)])])
    since_before_a_restart = {series: values for series, values in WORLD.items() if "retry_after" not in series}
    evaluate(tmp_path, since_before_a_restart, [(_asked("Throttling", "A"), "10m", [(ALL, 300)])])
