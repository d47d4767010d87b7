"""What is counted, when it is shown, and what goes away."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.families import FAMILIES
from exporter.metrics.family import Part, Shown, Type
from exporter.metrics.instruments import Instruments
from exporter.metrics.polling import Failure
from exporter.metrics.text import Format
from exporter.model import (
    ABSENT,
    AVAILABLE,
    BUSY,
    ERROR,
    KNOWN_STATUSES,
    OFFLINE,
    ON_BREAK,
    ON_CALL,
    Agent,
    EndReason,
    Kind,
    Poll,
    Roster,
    Status,
)
from exporter.settings import MetricsSettings, PollSettings
from exporter.tracker import Pace, advance
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import REASONS
from exporter.zoho.observer import ApiObserver
from tests.support.metrics import START, Polled, Statistics, everything, read

SECONDS = "zohovoice_agent_status_seconds_total"
CHANGES = "zohovoice_agent_status_changes_total"
MOVES = "zohovoice_agent_status_transitions_total"


def word(text: str) -> Status:
    return Status(Kind.REPORTED, text)


def test_the_instruments_are_what_the_client_talks_to() -> None:
    observer: ApiObserver = Polled().instruments
    observer.request_done(Endpoint.USERS, 200, 0.1)


def test_all_families_of_the_table_are_exposed_and_no_others() -> None:
    polled = Polled(MetricsSettings(names=True, last_seen=True))
    everything(polled.instruments)
    polled.poll({"1": AVAILABLE})
    body = polled.instruments.scrape(Format.TEXT, gzip=False).whole.decode()
    typed = [line.split()[2] for line in body.splitlines() if line.startswith("# TYPE")]
    own = [name for name in typed if name.startswith("zohovoice_")]
    assert sorted(own) == sorted(family.name for family in FAMILIES)
    assert {name.partition("_")[0] for name in typed} == {"zohovoice", "process", "python"}
    assert len(typed) == len(set(typed))


def test_before_the_first_poll_counters_stand_at_0_and_nothing_is_said_of_agents() -> None:
    polled = Polled()
    names = {name for name, _ in polled.series}
    assert polled.value("zohovoice_up") == 0
    assert polled.value("zohovoice_poll_interval_seconds") == 30
    always = {family.name for family in FAMILIES if family.shown is Shown.ALWAYS and family.type is not Type.HISTOGRAM}
    assert always <= names
    hidden = {family.name for family in FAMILIES if family.shown not in (Shown.ALWAYS, Shown.EXPORTER)}
    assert not hidden & names
    assert dict.fromkeys(REASONS, 0.0) == polled.by("reason", "zohovoice_poll_failures_total")
    assert len([name for name, _ in polled.series if name == MOVES]) == 30
    durations = polled.by("endpoint", "zohovoice_api_request_duration_seconds_count")
    assert durations == {endpoint.value: 0.0 for endpoint in Endpoint}


def test_a_poll_tells_who_is_in_which_status_and_error_and_absent_are_unknown() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE, "2": AVAILABLE, "3": ERROR, "4": ABSENT, "5": word("Training"), "6": OFFLINE})
    assert polled.by("status", "zohovoice_agents") == {
        "Available": 2,
        "Busy": 0,
        "On Break": 0,
        "On Call": 0,
        "Offline": 1,
        "unknown": 2,
        "Training": 1,
    }
    assert polled.by("status", "zohovoice_agent_status", agent_id="4") == {
        "Available": 0,
        "Busy": 0,
        "On Break": 0,
        "On Call": 0,
        "Offline": 0,
        "unknown": 1,
        "Training": 0,
    }
    assert polled.value("zohovoice_unrecognised_status_total") == 1
    assert polled.value("zohovoice_up") == 1
    assert polled.value("zohovoice_last_poll_success_timestamp_seconds") == START / 1000


def test_a_word_that_is_called_like_one_of_our_labels_shares_its_series() -> None:
    polled = Polled()
    polled.poll({"1": word("unknown"), "2": ERROR, "3": word("other"), "4": word("")})
    totals = polled.by("status", "zohovoice_agents")
    assert (totals["unknown"], totals["other"]) == (3, 1)
    assert polled.value("zohovoice_unrecognised_status_total") == 3


def test_beyond_twenty_odd_words_there_is_only_other_and_each_word_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    polled = Polled()
    crew = {str(number): word(f"Odd {number:02}") for number in range(30)}
    for _ in range(3):
        polled.poll(crew)
    totals = polled.by("status", "zohovoice_agents")
    assert len(totals) == 6 + 20 + 1
    assert totals["other"] == 10
    assert sum(totals.values()) == 30
    assert polled.value("zohovoice_unrecognised_status_total") == 90
    assert len(caplog.records) == 20
    polled.poll({str(number): AVAILABLE for number in range(30)})
    assert polled.by("status", "zohovoice_agents") == dict.fromkeys(totals, 0) | {"Available": 30}


def test_time_is_credited_to_the_status_held_until_the_poll() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    polled.poll({"1": ON_CALL})
    polled.poll({"1": ON_CALL})
    polled.poll({"1": ERROR})
    polled.poll({"1": ERROR})
    assert polled.by("status", SECONDS, agent_id="1") == {
        "Available": 30,
        "Busy": 0,
        "On Break": 0,
        "On Call": 60,
        "Offline": 0,
        "unknown": 30,
    }
    assert polled.value(CHANGES, agent_id="1") == 2
    moves = {key: value for key, value in polled.series.items() if key[0] == MOVES and value}
    assert moves == {
        (MOVES, (("from_status", "Available"), ("to_status", "On Call"))): 1,
        (MOVES, (("from_status", "On Call"), ("to_status", "unknown"))): 1,
    }


def test_a_gap_is_credited_to_no_status_but_a_change_over_it_counts() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    polled.poll({"1": AVAILABLE})
    polled.clock.pass_time(3_600)
    polled.poll({"1": BUSY})
    polled.poll({"1": BUSY})
    seconds = polled.by("status", SECONDS, agent_id="1")
    assert (seconds["Available"], seconds["Busy"]) == (30, 30)
    assert polled.value(CHANGES, agent_id="1") == 1
    assert polled.value("zohovoice_history_gaps_total") == 0, "whether it is in the history, the recorder tells"


def test_an_error_that_becomes_an_absence_is_no_change_here() -> None:
    polled = Polled()
    polled.poll({"1": ERROR})
    polled.poll({"1": ABSENT})
    assert polled.value(CHANGES, agent_id="1") == 0
    assert not any(value for (name, _), value in polled.series.items() if name == MOVES)


def test_an_agent_that_leaves_is_gone_at_once_and_starts_at_0_when_it_comes_back() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE, "2": AVAILABLE})
    polled.poll({"1": AVAILABLE, "2": BUSY})
    polled.poll({"1": AVAILABLE})
    assert polled.by("agent_id", CHANGES) == {"1": 0}
    assert not any(("agent_id", "2") in labels for _, labels in polled.series)
    assert sum(polled.by("status", "zohovoice_agents").values()) == 1
    polled.poll({"1": AVAILABLE, "2": BUSY})
    assert polled.by("agent_id", CHANGES) == {"1": 0, "2": 0}
    assert set(polled.by("status", SECONDS, agent_id="2").values()) == {0}
    assert polled.value(MOVES, from_status="Available", to_status="Busy") == 1


def test_a_failed_poll_shows_at_once_and_what_was_seen_before_stays_until_it_is_too_old() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    polled.poll({"1": BUSY})
    polled.fail("http_5xx")
    assert polled.value("zohovoice_up") == 0
    assert polled.value("zohovoice_agents", status="Busy") == 1
    assert polled.value("zohovoice_poll_failures_total", reason="http_5xx") == 1
    assert polled.value("zohovoice_polls_total") == 3
    # The last good poll was 60 s ago; --poll.max-age is 90 s.
    polled.clock.pass_time(29.9)
    assert polled.value("zohovoice_agents", status="Busy") == 1
    polled.clock.pass_time(0.1)
    before = polled.series
    away = {family.name for family in FAMILIES if family.shown not in (Shown.ALWAYS, Shown.KNOWN, Shown.EXPORTER)}
    assert not away & {name for name, _ in before}
    assert polled.value("zohovoice_up") == 0
    assert polled.value(MOVES, from_status="Available", to_status="Busy") == 1
    assert polled.value("zohovoice_last_poll_success_timestamp_seconds") == START / 1000 + 30
    polled.poll({"1": BUSY})
    assert polled.value("zohovoice_up") == 1
    assert polled.value(CHANGES, agent_id="1") == 1
    assert polled.by("status", SECONDS, agent_id="1")["Available"] == 30


def test_when_no_poll_ends_at_all_the_agents_go_away_and_up_falls_without_anybody_publishing() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    polled.clock.pass_time(60)
    assert polled.value("zohovoice_up") == 0
    assert polled.by("status", "zohovoice_agents") == {}


def test_where_the_interval_had_to_be_lengthened_polls_may_be_older_in_proportion() -> None:
    polled = Polled()
    polled.instruments.interval(120.0)  # four times --poll.interval, so four times --poll.max-age: 360 s
    polled.poll({"1": AVAILABLE})
    polled.clock.pass_time(329.9)
    assert polled.value("zohovoice_agents", status="Available") == 1
    polled.clock.pass_time(0.2)
    assert polled.by("status", "zohovoice_agents") == {}


def test_the_age_of_what_is_shown_does_not_depend_on_the_wall_clock() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    polled.clock.step(-86_400_000)
    assert polled.value("zohovoice_up") == 1
    polled.clock.step(10 * 86_400_000)
    assert polled.value("zohovoice_up") == 1


def test_a_wall_clock_that_is_set_back_makes_no_counter_fall() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    polled.poll({"1": AVAILABLE})
    now = polled.clock.now_ms() + 1
    state, facts = advance(
        polled.state, Poll(now - 1, now, {"1": BUSY}, clock_step_ms=-5_000), {"1": Agent("1")}, Pace.of_interval(30_000)
    )
    polled.instruments.poll_succeeded(facts.poll, facts, state, 0.1)
    polled.publish()
    assert facts.previous_ended is EndReason.CLOCK_STEP
    assert polled.by("status", SECONDS, agent_id="1")["Available"] == 30


def test_a_change_that_happened_while_the_process_was_away_counts_and_its_time_does_not() -> None:
    before = Polled()
    before.poll({"1": AVAILABLE, "2": BUSY})
    after = Polled()
    after.clock.pass_time(30)
    after.state = before.state
    after.poll({"1": ON_BREAK, "2": BUSY})
    assert after.by("agent_id", CHANGES) == {"1": 1, "2": 0}
    assert after.value(MOVES, from_status="Available", to_status="On Break") == 1
    assert set(after.by("status", SECONDS, agent_id="1").values()) == {0}
    since = after.by("agent_id", "zohovoice_agent_status_since_timestamp_seconds")
    assert since == {"1": START / 1000 + 30, "2": START / 1000}


def test_facts_that_repeat_what_was_seen_because_they_were_given_up_are_not_counted_twice() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    written = polled.state
    polled.poll({"1": BUSY})
    polled.state = written  # the history lost that poll, so the tracker goes on from before it
    polled.poll({"1": BUSY})
    assert polled.value(CHANGES, agent_id="1") == 1
    seconds = polled.by("status", SECONDS, agent_id="1")
    assert (seconds["Available"], seconds["Busy"]) == (30, 30)


def test_the_limit_keeps_the_first_agents_by_id_and_says_how_many_are_left_out() -> None:
    polled = Polled(MetricsSettings(agent_limit=2, names=True))
    polled.poll({"3": AVAILABLE, "1": BUSY, "2": BUSY})
    assert set(polled.by("agent_id", CHANGES)) == {"1", "2"}
    assert set(polled.by("agent_id", "zohovoice_agent_info")) == {"1", "2"}
    assert polled.value("zohovoice_agents_over_limit") == 1
    assert sum(polled.by("status", "zohovoice_agents").values()) == 3


@pytest.mark.parametrize(
    ("settings", "away"),
    [
        (MetricsSettings(names=True, last_seen=True), set()),
        (MetricsSettings(), {Shown.NAMES, Shown.LAST_SEEN}),
        (MetricsSettings(names=True, last_seen=True, agent_seconds=False), {Shown.AGENT_SECONDS}),
        (
            MetricsSettings(names=True, last_seen=True, per_agent=False),
            {Shown.NAMES, Shown.LAST_SEEN, Shown.AGENT_SECONDS, Shown.PER_AGENT},
        ),
    ],
    ids=["everything", "nothing personal", "no seconds", "not per agent"],
)
def test_what_is_switched_off_is_not_exposed(settings: MetricsSettings, away: set[Shown]) -> None:
    polled = Polled(settings)
    polled.instruments.roster_refreshed(Roster({}, START, last_active={"1": START - 60_000}))
    polled.poll({"1": AVAILABLE}, {"1": Agent("1", "Ann", "Sales")})
    exposed = {name for name, _ in polled.series}
    about_agents = {family for family in FAMILIES if family.shown not in (Shown.ALWAYS, Shown.KNOWN, Shown.EXPORTER)}
    assert {family.name for family in about_agents if family.shown not in away} == exposed & {
        family.name for family in about_agents
    }
    assert (b"Ann" in polled.instruments.scrape(Format.TEXT, gzip=False).whole) is (Shown.NAMES not in away)


def test_a_person_who_is_renamed_keeps_the_same_counters() -> None:
    polled = Polled(MetricsSettings(names=True))
    polled.poll({"1": AVAILABLE}, {"1": Agent("1", "Ann", "Sales")})
    polled.poll({"1": BUSY}, {"1": Agent("1", "Ann Lee", "Support")})
    assert polled.value("zohovoice_agent_info", agent_id="1", name="Ann Lee", team="Support") == 1
    assert polled.by("name", "zohovoice_agent_info") == {"Ann Lee": 1}
    assert polled.value(CHANGES, agent_id="1") == 1
    assert set(polled.by("team", "zohovoice_team_agents")) == {"Support"}


def test_every_other_observation_shows_under_its_name() -> None:
    polled = Polled()
    everything(polled.instruments)
    polled.publish()
    expected = {
        ("zohovoice_api_requests_total", "endpoint=statuses code=200"): 1,
        ("zohovoice_api_request_errors_total", "endpoint=users reason=timeout"): 1,
        ("zohovoice_api_request_duration_seconds_count", "endpoint=users"): 1,
        ("zohovoice_api_request_duration_seconds_bucket", "endpoint=statuses le=0.05"): 0,
        ("zohovoice_api_request_duration_seconds_bucket", "endpoint=statuses le=0.1"): 1,
        ("zohovoice_api_rate_limited_total", ""): 1,
        ("zohovoice_api_retry_after_timestamp_seconds", ""): START / 1000 + 600,
        ("zohovoice_oauth_token_expiry_timestamp_seconds", ""): START / 1000 + 3600,
        ("zohovoice_oauth_token_refreshes_total", ""): 2,
        ("zohovoice_oauth_token_refresh_failures_total", ""): 1,
        ("zohovoice_roster_refreshes_total", ""): 2,
        ("zohovoice_roster_refresh_failures_total", "reason=incomplete"): 1,
        ("zohovoice_roster_rows_ignored", ""): 2,
        ("zohovoice_polls_skipped_total", ""): 1,
        ("zohovoice_poll_backoff_seconds", ""): 600,
        ("zohovoice_poll_interval_seconds", ""): 45,
        ("zohovoice_history_transitions_written_total", ""): 7,
        ("zohovoice_history_write_failures_total", ""): 1,
        ("zohovoice_history_write_duration_seconds_sum", ""): 0.004,
        ("zohovoice_history_pending_transitions", ""): 3,
        ("zohovoice_history_lost_transitions_total", ""): 2,
        ("zohovoice_history_transitions", ""): 5,
        ("zohovoice_history_database_bytes", "file=main"): 4096,
        ("zohovoice_history_database_bytes", "file=wal"): 32,
        ("zohovoice_history_oldest_transition_timestamp_seconds", ""): START / 1000,
        ("zohovoice_history_newest_transition_timestamp_seconds", ""): START / 1000 + 60,
        ("zohovoice_exporter_http_requests_total", "handler=metrics code=200"): 1,
    }
    found = {
        (name, labels): polled.value(name, **dict(pair.split("=") for pair in labels.split()))
        for name, labels in expected
    }
    assert found == expected


def test_an_empty_history_has_no_oldest_transition() -> None:
    polled = Polled()
    polled.instruments.history_statistics(Statistics())
    polled.instruments.history_statistics(Statistics(transitions=0, oldest=None, newest=None))
    polled.publish()
    assert polled.value("zohovoice_history_transitions") == 0
    assert polled.value("zohovoice_history_oldest_transition_timestamp_seconds") is None


def test_of_several_locks_the_one_that_lasts_longest_is_shown() -> None:
    polled = Polled()
    polled.instruments.rate_limited(Endpoint.STATUSES, START + 600_000)
    polled.instruments.rate_limited(Endpoint.TOKEN, START + 60_000)
    polled.publish()
    assert polled.value("zohovoice_api_retry_after_timestamp_seconds") == START / 1000 + 600


def test_without_exporter_metrics_nothing_of_the_process_is_told_but_the_build_is() -> None:
    instruments = Instruments(MetricsSettings(), PollSettings(), "1.2.3", "abc", exporter_metrics=False)
    instruments.requests.answered("metrics", 200)
    names = {name for name, _ in read(instruments.scrape(Format.OPENMETRICS, gzip=False).whole, Format.OPENMETRICS)}
    assert {name.partition("_")[0] for name in names} == {"zohovoice"}
    assert "zohovoice_exporter_build_info" in names
    assert not any(family.name in names for family in FAMILIES if family.part is Part.SCRAPE)


def test_failures_for_people_take_one_place_as_long_as_they_repeat_themselves() -> None:
    polled = Polled()
    polled.fail("timeout")
    polled.fail("timeout")
    polled.instruments.roster_failed("tls")
    polled.fail("timeout")
    polling = polled.instruments.polling
    assert polling.failures == (
        Failure("poll", "timeout", START + 60_000, START + 60_000, 1),
        Failure("roster", "tls", START + 60_000, START + 60_000, 1),
        Failure("poll", "timeout", START, START + 30_000, 2),
    )
    assert (polling.last, polling.last_success, polling.up, polling.agents) == (START + 60_000, None, False, None)


CREWS = st.dictionaries(
    st.sampled_from("123456"), st.sampled_from([*KNOWN_STATUSES, ERROR, ABSENT, word("Odd")]), max_size=6
)


@given(st.lists(st.one_of(CREWS, st.sampled_from(["fail", "gap"])), max_size=12))
def test_whatever_polls_bring_the_laws_hold(story: list[dict[str, Status] | str]) -> None:
    polled = Polled()
    counters = tuple(family.name for family in FAMILIES if family.type is Type.COUNTER)
    before: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    present: set[str] = set()
    for step in story:
        if step == "fail":
            polled.fail()
        elif step == "gap":
            polled.clock.pass_time(1_000)
        elif isinstance(step, dict):
            polled.poll(step)
        series = polled.series
        now_present = set(step) if isinstance(step, dict) else present
        for key, value in series.items():
            # A counter never falls, but for one whose agent was away in between.
            agent_id = dict(key[1]).get("agent_id")
            if key[0] in counters and (agent_id is None or agent_id in present):
                assert value >= before.get(key, 0.0), key
        # Shown counters are remembered also while they are away, because the agents' families are stale.
        before = {
            key: value
            for key, value in (before | series).items()
            if dict(key[1]).get("agent_id") in (None, *now_present)
        }
        present = now_present
        if polled.instruments.fresh:
            assert sum(v for (name, _), v in series.items() if name == "zohovoice_agents") == len(present)
            assert sum(v for (name, _), v in series.items() if name == "zohovoice_agent_status") == len(present)
            assert sum(v for (name, _), v in series.items() if name == "zohovoice_team_agents") == len(present)
            for agent_id in present:
                credited = [
                    v for (name, labels), v in series.items() if name == SECONDS and ("agent_id", agent_id) in labels
                ]
                assert math.fsum(credited) % 30 == 0
        else:
            assert not any(name.startswith("zohovoice_agents") for name, _ in series)
