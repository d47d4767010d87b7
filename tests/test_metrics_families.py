"""The table of metric families: names, types and labels are a contract with dashboards and alerts."""

import re

import pytest

from exporter.metrics.families import FAMILIES, FAMILY
from exporter.metrics.family import Family, Type
from exporter.metrics.text import Format, header, series_lines
from exporter.metrics.values import Distribution, Values

CONTRACT = {
    "zohovoice_agents": ("gauge", "status"),
    "zohovoice_agent_status": ("gauge", "agent_id status"),
    "zohovoice_team_agents": ("gauge", "team status"),
    "zohovoice_agent_info": ("info", "agent_id name team"),
    "zohovoice_agent_status_since_timestamp_seconds": ("gauge", "agent_id"),
    "zohovoice_agent_last_seen_timestamp_seconds": ("gauge", "agent_id"),
    "zohovoice_agent_status_transitions_total": ("counter", "from_status to_status"),
    "zohovoice_agent_status_changes_total": ("counter", "agent_id"),
    "zohovoice_agent_status_seconds_total": ("counter", "agent_id status"),
    "zohovoice_unrecognised_status_total": ("counter", ""),
    "zohovoice_up": ("gauge", ""),
    "zohovoice_last_poll_timestamp_seconds": ("gauge", ""),
    "zohovoice_last_poll_success_timestamp_seconds": ("gauge", ""),
    "zohovoice_poll_interval_seconds": ("gauge", ""),
    "zohovoice_last_poll_duration_seconds": ("gauge", ""),
    "zohovoice_polls_total": ("counter", ""),
    "zohovoice_poll_failures_total": ("counter", "reason"),
    "zohovoice_polls_skipped_total": ("counter", ""),
    "zohovoice_roster_refreshes_total": ("counter", ""),
    "zohovoice_roster_refresh_failures_total": ("counter", "reason"),
    "zohovoice_roster_rows_ignored": ("gauge", ""),
    "zohovoice_agents_over_limit": ("gauge", ""),
    "zohovoice_api_requests_total": ("counter", "endpoint code"),
    "zohovoice_api_request_errors_total": ("counter", "endpoint reason"),
    "zohovoice_api_request_duration_seconds": ("histogram", "endpoint"),
    "zohovoice_api_rate_limited_total": ("counter", ""),
    "zohovoice_api_retry_after_timestamp_seconds": ("gauge", ""),
    "zohovoice_api_credits_remaining": ("gauge", ""),
    "zohovoice_api_credits_limit": ("gauge", ""),
    "zohovoice_poll_backoff_seconds": ("gauge", ""),
    "zohovoice_oauth_token_expiry_timestamp_seconds": ("gauge", ""),
    "zohovoice_oauth_token_refreshes_total": ("counter", ""),
    "zohovoice_oauth_token_refresh_failures_total": ("counter", ""),
    "zohovoice_history_transitions_written_total": ("counter", ""),
    "zohovoice_history_write_failures_total": ("counter", ""),
    "zohovoice_history_write_duration_seconds": ("histogram", ""),
    "zohovoice_history_pending_transitions": ("gauge", ""),
    "zohovoice_history_lost_transitions_total": ("counter", ""),
    "zohovoice_history_pruned_transitions_total": ("counter", ""),
    "zohovoice_history_gaps_total": ("counter", ""),
    "zohovoice_history_database_bytes": ("gauge", "file"),
    "zohovoice_history_transitions": ("gauge", ""),
    "zohovoice_history_oldest_transition_timestamp_seconds": ("gauge", ""),
    "zohovoice_history_newest_transition_timestamp_seconds": ("gauge", ""),
    "zohovoice_exporter_build_info": ("info", "version revision python_version"),
    "zohovoice_exporter_config_last_reload_successful": ("gauge", ""),
    "zohovoice_exporter_config_last_reload_success_timestamp_seconds": ("gauge", ""),
    "zohovoice_exporter_http_requests_total": ("counter", "handler code"),
}


def test_the_table_is_the_one_that_dashboards_hold_on_to() -> None:
    assert {family.name: (family.type.value, " ".join(family.labels)) for family in FAMILIES} == CONTRACT
    assert len(FAMILIES) == len(FAMILY)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_says_its_type_and_a_help_text_is_prose(family: Family) -> None:
    assert re.fullmatch(r"zohovoice(_[a-z]+)+", family.name)
    assert family.name.endswith("_total") == (family.type is Type.COUNTER)
    assert family.name.endswith("_info") == (family.type is Type.INFO)
    assert bool(family.buckets) == (family.type is Type.HISTOGRAM)
    assert family.help.endswith(".")
    assert "\n" not in family.help
    if family.type in (Type.COUNTER, Type.HISTOGRAM):
        assert "since this process started" in family.help.replace("Counted", "counted")
    if family.name.endswith("_timestamp_seconds"):
        assert "Unix time" in family.help


def test_no_two_families_clash_under_the_suffixes_that_openmetrics_reserves() -> None:
    reserved = {
        Type.GAUGE: ("",),
        Type.COUNTER: ("", "_total", "_created"),
        Type.HISTOGRAM: ("", "_bucket", "_sum", "_count", "_created"),
        Type.INFO: ("", "_info"),
    }
    names = [family.openmetrics_name + suffix for family in FAMILIES for suffix in reserved[family.type]]
    assert len(names) == len(set(names))


def test_a_counter_and_an_info_lose_their_suffix_in_openmetrics_and_a_unit_is_stated() -> None:
    counter = Family("zohovoice_x_seconds_total", Type.COUNTER, 'Say "when".')
    assert header(counter, Format.TEXT) == (
        '# HELP zohovoice_x_seconds_total Say "when".\n# TYPE zohovoice_x_seconds_total counter\n'
    )
    assert header(counter, Format.OPENMETRICS) == (
        '# HELP zohovoice_x_seconds Say \\"when\\".\n'
        "# TYPE zohovoice_x_seconds counter\n# UNIT zohovoice_x_seconds seconds\n"
    )
    info = Family("zohovoice_x_info", Type.INFO, "Facts.")
    assert header(info, Format.TEXT).endswith("# TYPE zohovoice_x_info gauge\n")
    assert header(info, Format.OPENMETRICS).endswith("# TYPE zohovoice_x info\n")


def test_a_histogram_adds_up_its_buckets_and_a_value_on_a_bound_belongs_to_it() -> None:
    family = Family("zohovoice_x_seconds", Type.HISTOGRAM, "How long.", ("to",), buckets=(0.5, 1.0))
    values = Values([family])
    for value in (0.25, 0.5, 1.0, 7.0):
        values.observe(family.name, "a", value=value)
    assert values.get(family.name, "a") == Distribution((2, 1, 1), 8.75)
    assert list(series_lines(family, values.freeze()[family.name])) == [
        'zohovoice_x_seconds_bucket{to="a",le="0.5"} 2\n',
        'zohovoice_x_seconds_bucket{to="a",le="1.0"} 3\n',
        'zohovoice_x_seconds_bucket{to="a",le="+Inf"} 4\n',
        'zohovoice_x_seconds_sum{to="a"} 8.75\n',
        'zohovoice_x_seconds_count{to="a"} 4\n',
    ]


def test_what_is_frozen_does_not_change_when_counting_goes_on() -> None:
    family = Family("zohovoice_x_total", Type.COUNTER, "Things.")
    values = Values([family])
    frozen = values.freeze()
    values.add(family.name, amount=3)
    assert frozen == {"zohovoice_x_total": {(): 0}}
    assert values.get(family.name) == 3
