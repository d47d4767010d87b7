"""`summary` in all its groups, and the lengths of stays: by hand on a night, and against every millisecond of polls."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.history.algebra import EdgePolicy, Rules, covered_time, totals
from exporter.history.classes import Classes
from exporter.history.facts import Description, HistoryFacts, Period, Total
from exporter.history.filters import Times, at_times
from exporter.history.question import Group, Question
from exporter.history.reports.grouping import grouped
from exporter.history.reports.lengths import mean, nearest_rank
from exporter.history.reports.summary import summary
from exporter.history.window import Window
from exporter.model import ABSENT, UNKNOWN
from exporter.report.model import Report
from tests.support.moments import KEYS, ZONE, Case, cases
from tests.support.night import ANN, BERLIN, BOB, FACTS, MINUTE, NOW, WINDOW, at

NIGHT = Question(WINDOW, BERLIN, NOW)


def groups(*names: str) -> frozenset[Group]:
    return frozenset(map(Group, names))


def asked(facts: HistoryFacts = FACTS, **question: Any) -> Report:
    return summary(facts, replace(NIGHT, **question))


def minutes(report: Report, *keys: str) -> dict[tuple[object, ...], float]:
    return {tuple(row[key] for key in keys): row["duration_seconds"] / MINUTE for row in report.rows}


# --- the night, by hand -----------------------------------------------------------------------------------------------


def test_the_default_has_the_columns_that_scripts_rely_on() -> None:
    assert [column.name for column in asked().columns] == [
        "agent_id", "name", "status", "duration_seconds", "min_seconds", "max_seconds", "share", "stays", "coverage",
        "provisional", "bridged_seconds", "tracked_seconds",
    ]  # fmt: skip
    assert minutes(asked(), "name", "status") == {
        ("Ann", "Available"): 75,
        ("Ann", "On Break"): 40,
        ("Ann", "On Call"): 55,
        ("Ann", "unknown"): 10,
        ("Bob", "Available"): 45,
        ("Bob", "On Call"): 50,
        ("Bob", "Offline"): 15,
        ("Bob", "unknown"): 10,
    }


def test_a_team_counts_the_time_that_its_agents_spent_in_it() -> None:
    # Sales is Ann until 00:50: Available 30 + 25, On Call 15, On Break 20 + 10 (00:40 to 00:50), unknown 10.
    # Support is Ann from 00:50 (On Break 10, Available 20, On Call 40) and Bob.
    report = asked(groups=groups("team"))
    assert [column.name for column in report.columns][:3] == ["team", "agents", "status"]
    assert minutes(report, "team", "agents", "status") == {
        ("Sales", 1, "Available"): 55,
        ("Sales", 1, "On Break"): 30,
        ("Sales", 1, "On Call"): 15,
        ("Sales", 1, "unknown"): 10,
        ("Support", 2, "Available"): 20 + 45,
        ("Support", 2, "On Break"): 10,
        ("Support", 2, "On Call"): 40 + 50,
        ("Support", 2, "Offline"): 15,
        ("Support", 2, "unknown"): 10,
    }
    # Ann is in two teams and counts in each; the header counts her once.
    assert report.meta["agents"] == 2
    assert report.meta["by"] == "team"
    # Sales: 100 of 110 minutes are known; Support: 180 of 190.
    coverage = {row["team"]: row["coverage"] for row in report.rows}
    assert coverage == {"Sales": 100 / 110, "Support": 180 / 190}


def test_the_total_counts_everybody_once() -> None:
    report = asked(groups=groups())
    assert minutes(report, "agents", "status") == {
        (2, "Available"): 120,
        (2, "On Break"): 40,
        (2, "On Call"): 105,
        (2, "Offline"): 15,
        (2, "unknown"): 20,
    }
    assert report.meta["by"] == "total"


def test_days_begin_at_local_midnight() -> None:
    # Until midnight only Ann is tracked: Available 30 + 15, On Call 15. After it she is Available 10 + 20.
    report = asked(groups=groups("agent", "day"))
    assert [column.name for column in report.columns][:4] == ["agent_id", "name", "day", "status"]
    assert minutes(report, "name", "day", "status") == {
        ("Ann", "2026-06-30", "Available"): 45,
        ("Ann", "2026-06-30", "On Call"): 15,
        ("Ann", "2026-07-01", "Available"): 30,
        ("Ann", "2026-07-01", "On Break"): 40,
        ("Ann", "2026-07-01", "On Call"): 40,
        ("Ann", "2026-07-01", "unknown"): 10,
        ("Bob", "2026-07-01", "Available"): 45,
        ("Bob", "2026-07-01", "On Call"): 50,
        ("Bob", "2026-07-01", "Offline"): 15,
        ("Bob", "2026-07-01", "unknown"): 10,
    }
    # The stay in Available that reaches over midnight began on the first day.
    stays = {(row["day"], row["status"]): row["stays"] for row in report.rows if row["name"] == "Ann"}
    assert stays["2026-06-30", "Available"] == 2
    assert stays["2026-07-01", "Available"] == 1


def test_groups_combine_and_months_and_weeks_have_their_labels() -> None:
    report = asked(groups=groups("team", "month", "week"))
    assert [column.name for column in report.columns][:4] == ["team", "month", "week", "agents"]
    found = sorted({(row["team"], row["month"], row["week"], row["agents"]) for row in report.rows})
    assert found == [
        ("Sales", "2026-06", "2026-W27", 1),
        ("Sales", "2026-07", "2026-W27", 1),
        ("Support", "2026-07", "2026-W27", 2),
    ]


def test_a_class_is_the_sum_over_its_statuses() -> None:
    classes = Classes(
        handling=frozenset({"On Call"}), available=frozenset(), not_ready=frozenset({"Available"}), offline=frozenset()
    )
    report = asked(groups=groups("agent", "class"), classes=classes)
    assert [column.name for column in report.columns][:3] == ["agent_id", "name", "class"]
    # On Break and Offline stand in no list: they are not ready.
    assert minutes(report, "name", "class") == {
        ("Ann", "handling"): 55,
        ("Ann", "not ready"): 75 + 40,
        ("Ann", "not known"): 10,
        ("Bob", "handling"): 50,
        ("Bob", "not ready"): 45 + 15,
        ("Bob", "not known"): 10,
    }
    shares = {(row["name"], row["class"]): row["share"] for row in report.rows}
    assert shares["Ann", "handling"] == 55 / 170
    assert shares["Ann", "not known"] is None
    # Ann's three stays in Available and two in On Break (it begins anew after the gap).
    assert {(row["name"], row["class"]): row["stays"] for row in report.rows}["Ann", "not ready"] == 5


def test_the_most_that_a_class_can_have_is_all_time_there_is() -> None:
    # Until 00:30 Ann changed three times, and each change may have been 31 s earlier: the statuses together can have
    # 90 minutes and 93 s.
    everything = Classes(frozenset(), frozenset(), frozenset(), frozenset())
    question = replace(NIGHT, window=Window(at("23:00"), at("00:30")), classes=everything)
    facts = replace(FACTS, agents=(ANN,))
    assert sum(row["max_seconds"] for row in summary(facts, question).rows) == 90 * MINUTE + 93_000
    (known,) = summary(facts, replace(question, groups=groups("class"))).rows
    assert (known["class"], known["max_seconds"]) == ("not ready", 90 * MINUTE)


def test_shares_may_be_of_the_whole_window() -> None:
    shares = {(row["name"], row["status"]): row["share"] for row in asked(share_of_window=True).rows}
    assert shares["Ann", "Available"] == 75 / 180
    assert shares["Ann", "unknown"] == 10 / 180
    shares = {(row["name"], row["status"]): row["share"] for row in asked().rows}
    assert shares["Ann", "Available"] == 75 / 170
    assert shares["Ann", "unknown"] is None


def test_bridged_time_counts_as_the_status_and_is_told_apart() -> None:
    # Ann is On Break on both sides of the gap of ten minutes, Bob is not in one status.
    report = asked(rules=Rules(bridge_ms=10 * MINUTE))
    found = {(row["name"], row["status"]): row for row in report.rows}
    assert found["Ann", "On Break"]["duration_seconds"] == 50 * MINUTE
    assert found["Ann", "On Break"]["bridged_seconds"] == 10 * MINUTE
    assert found["Ann", "On Break"]["stays"] == 1
    assert ("Ann", "unknown") not in found
    assert found["Ann", "On Break"]["coverage"] == 170 / 180
    assert found["Bob", "unknown"]["duration_seconds"] == 10 * MINUTE


def lengths(report: Report) -> dict[tuple[object, object], tuple[object, ...]]:
    def shown(value: object) -> object:
        return value / MINUTE if isinstance(value, int) else value

    columns = ("avg", "shortest", "longest", "p50", "p90")
    return {
        (row["name"], row["status"]): (*(shown(row[f"{name}_seconds"]) for name in columns), row["censored_stays"])
        for row in report.rows
    }


def test_whole_stays_that_began_in_the_window_have_lengths() -> None:
    # Ann. Available: 23:00 is where tracking begins, so that stay is censored; 25 minutes from 23:45, 20 from 01:00.
    #   On Call: 15 minutes from 23:30; the one from 01:20 was cut by the end of the recording.
    #   On Break: one was cut by the gap, the other begins after it.
    # Bob. Offline begins with tracking; Available was cut by the gap and the one from 01:30 by the end; On Call begins
    #   after the gap.
    report = asked(with_stays=True)
    assert lengths(report) == {
        ("Ann", "Available"): (22.5, 20, 25, 20, 25, 1),
        ("Ann", "On Call"): (15, 15, 15, 15, 15, 1),
        ("Ann", "On Break"): (None, None, None, None, None, 2),
        ("Ann", "unknown"): (None, None, None, None, None, 0),
        ("Bob", "Offline"): (None, None, None, None, None, 1),
        ("Bob", "Available"): (None, None, None, None, None, 2),
        ("Bob", "On Call"): (None, None, None, None, None, 1),
        ("Bob", "unknown"): (None, None, None, None, None, 0),
    }
    found = {(row["name"], row["status"]): (row["first_start"], row["last_end"]) for row in report.rows}
    assert found["Ann", "Available"] == (at("23:00"), at("01:20"))
    assert found["Bob", "Available"] == (at("00:15"), at("02:00"))
    assert found["Ann", "unknown"] == (None, None)


def test_stays_are_whole_beyond_the_window_and_belong_to_where_they_begin() -> None:
    # From 23:40 to 00:05 only the stay in Available from 23:45 to 00:10 begins: 25 minutes, 20 of them in the window.
    report = asked(window=Window(at("23:40"), at("00:05")), with_stays=True, groups=groups("day"))
    found = {(row["day"], row["status"]): (row["duration_seconds"], row["avg_seconds"]) for row in report.rows}
    assert found == {
        ("2026-06-30", "Available"): (15 * MINUTE, 25 * MINUTE),
        ("2026-06-30", "On Call"): (5 * MINUTE, None),
        ("2026-07-01", "Available"): (5 * MINUTE, None),
        ("2026-07-01", "Offline"): (5 * MINUTE, None),
    }


def test_a_bridge_makes_one_stay_of_two() -> None:
    # On Break from 00:10 to 01:00.
    report = asked(with_stays=True, rules=Rules(bridge_ms=10 * MINUTE))
    assert lengths(report)["Ann", "On Break"] == (50, 50, 50, 50, 50, 0)


def test_the_lengths_of_a_class_are_those_of_its_statuses() -> None:
    classes = Classes(not_ready=frozenset({"On Call"}), handling=frozenset(), available=frozenset())
    report = asked(groups=groups("class"), classes=classes, with_stays=True)
    found = {row["class"]: (row["avg_seconds"], row["censored_stays"]) for row in report.rows}
    # On Call 15, Available 25 and 20: 20 on average; censored are 1 + 2 (Ann) + 1 and 2 + 1 (Bob), and Offline apart.
    assert found["not ready"] == (20 * MINUTE, 7)
    assert found["offline"] == (None, 1)
    assert found["not known"] == (None, 0)


def test_a_stay_that_goes_on_has_no_end_yet() -> None:
    sources = (replace(FACTS.sources[0], stretches=(FACTS.stretches[0], replace(FACTS.stretches[1], ended=None))),)
    facts = replace(FACTS, run_open=True, sources=sources)
    question = replace(NIGHT, now=at("02:00:30"), window=Window(at("23:00"), at("02:00:30")), with_stays=True)
    found = {(row["name"], row["status"]): row for row in summary(facts, question).rows}
    assert found["Ann", "On Call"]["censored_stays"] == 1
    assert found["Ann", "On Call"]["last_end"] is None
    assert found["Ann", "On Call"]["provisional"] is True


@pytest.mark.parametrize(
    ("values", "half", "most"),
    [([], None, None), ([7], 7, 7), ([1, 2], 1, 2), ([1, 2, 3], 2, 3), (list(range(1, 11)), 5, 9)],
)
def test_percentiles_are_by_nearest_rank(values: list[int], half: int | None, most: int | None) -> None:
    # The smallest value that at least so many percent do not exceed: of ten values the fifth and the ninth.
    assert (nearest_rank(values, 50), nearest_rank(values, 90)) == (half, most)


@pytest.mark.parametrize(("values", "expected"), [([], None), ([3], 3), ([1, 2], 2), ([1, 1, 2], 1)])
def test_an_average_is_rounded_half_up(values: list[int], expected: int | None) -> None:
    assert mean(values) == expected


def test_hours_and_weekdays_leave_only_their_time() -> None:
    # 23:30 to 00:30 belongs to the Tuesday on which it begins; from Ann there is On Call 15, Available 25, On Break 20.
    times = Times(weekdays=frozenset({1}), hours=(time.fromisoformat("23:30"), time.fromisoformat("00:30")))
    report = summary(at_times(FACTS, times, WINDOW, BERLIN), NIGHT)
    assert minutes(report, "name", "status") == {
        ("Ann", "Available"): 25,
        ("Ann", "On Call"): 15,
        ("Ann", "On Break"): 20,
        ("Bob", "Offline"): 15,
        ("Bob", "Available"): 15,
    }
    assert report.meta["tracked_seconds"] == 90 * MINUTE
    wednesday = replace(times, weekdays=frozenset({2}))
    assert summary(at_times(FACTS, wednesday, WINDOW, BERLIN), NIGHT).rows == []


def test_hours_and_a_team_are_both_kept_to() -> None:
    ann = replace(ANN, selected=(Period(at("23:45"), at("00:05")), Period(at("01:30"), at("03:00"))))
    facts = at_times(
        replace(FACTS, agents=(ann,)),
        Times(hours=(time.fromisoformat("00:00"), time.fromisoformat("01:45"))),
        WINDOW,
        BERLIN,
    )
    assert minutes(summary(facts, NIGHT), "status") == {("Available",): 5, ("On Call",): 15}


def test_ready_totals_serve_what_does_not_divide_agents_and_nothing_else() -> None:
    ready = {ABSENT: Total(time=5, least=5, most=5)}
    facts = replace(FACTS, agents=(replace(ANN, totals=ready), BOB))
    assert minutes(summary(facts, NIGHT), "name", "status")["Ann", "absent"] == 5 / MINUTE
    with pytest.raises(ValueError, match="read the facts without them"):
        summary(facts, replace(NIGHT, groups=groups("day")))
    with pytest.raises(ValueError, match="read the facts without them"):
        at_times(facts, Times(weekdays=frozenset({1})), WINDOW, BERLIN)


def test_agents_without_a_name_or_a_team_have_rows_all_the_same() -> None:
    facts = replace(FACTS, agents=(replace(ANN, descriptions=()),))
    assert {(row["team"], row["name"]) for row in asked(facts, groups=groups("agent", "team")).rows} == {("", "")}


def test_a_name_is_the_one_borne_last_in_the_group() -> None:
    names = (Description(at("23:00"), "Anne", "Sales"), Description(at("23:30"), "Ann", "Sales"))
    married = (*names, Description(at("00:30"), "Ann Berg", "Sales"))
    facts = replace(FACTS, agents=(replace(ANN, descriptions=married),))
    found = {(row["day"], row["name"]) for row in asked(facts, groups=groups("agent", "day")).rows}
    assert found == {("2026-06-30", "Ann"), ("2026-07-01", "Ann Berg")}


# --- polls, millisecond by millisecond --------------------------------------------------------------------------------

some_groups = st.sets(st.sampled_from(tuple(KEYS))).map(sorted)


def key_of(row: Mapping[str, Any], names: list[str]) -> tuple[object, ...]:
    return tuple(row["agent_id" if name == "agent" else name] for name in names)


@given(cases(), some_groups)
def test_every_group_has_the_milliseconds_that_lie_in_it(case: Case, names: list[str]) -> None:
    found, least, most = Counter[Any](), Counter[Any](), Counter[Any]()
    agents: defaultdict[Any, set[str]] = defaultdict(set)
    for instant in case.instants():
        key = tuple(KEYS[name](case, instant) for name in names)
        agents[key].add(instant.agent_id)
        found[key, instant.status.word] += 1
        least[key, instant.status.word] += instant.sure
        for status in instant.possible:
            most[key, status.word] += 1
    report = summary(case.facts, Question(case.window, ZONE, case.window.until, groups=groups(*names)))
    rows = {(key_of(row, names), row["status"]): row for row in report.rows}
    assert len(rows) == len(report.rows)
    assert {key: row["max_seconds"] for key, row in rows.items()} == most
    assert {key: row["duration_seconds"] for key, row in rows.items() if row["duration_seconds"]} == found
    assert {key: row["min_seconds"] for key, row in rows.items() if row["min_seconds"]} == +least
    assert all(row["agents"] == len(agents[key]) for (key, _), row in rows.items())
    for (key, _), row in rows.items():
        whole = sum(count for (other, _), count in found.items() if other == key)
        known = sum(count for (other, word), count in found.items() if other == key and word not in NOT_REPORTED)
        assert row["coverage"] == known / whole
        expected = row["duration_seconds"] / known if known and row["status"] not in NOT_REPORTED else None
        assert row["share"] == expected
    assert report.meta["tracked_seconds"] == found.total()


NOT_REPORTED = ("absent", "error", "unknown")


@given(cases(), some_groups, st.sampled_from(EdgePolicy), st.sampled_from((0, 30, 100)))
def test_groups_add_up_to_the_whole_by_any_rule(case: Case, names: list[str], edges: EdgePolicy, bridge: int) -> None:
    question = Question(case.window, ZONE, case.window.until, rules=Rules(edges, bridge), groups=groups(*names))
    covered = covered_time(case.facts, question.now, question.rules)
    parts, counted = grouped(case.facts, covered, question)
    for agent in case.facts.agents:
        whole = totals(agent, covered, case.window)
        mine, _ = grouped(replace(case.facts, agents=(agent,)), covered, question)
        for status, total in whole.items():
            sums = [group.totals[status] for group in mine if status in group.totals]
            for name in ("time", "least", "most", "stays", "bridged"):
                assert sum(getattr(part, name) for part in sums) == getattr(total, name), (status, name)
    assert sum(group.tracked for group in parts) == counted.tracked


@given(cases(), some_groups)
def test_whole_stays_are_those_that_polls_saw_begin_and_end(case: Case, names: list[str]) -> None:
    whole: defaultdict[Any, list[int]] = defaultdict(list)
    censored, first = Counter[Any](), dict[Any, int]()
    wide = replace(case, window=Window(case.window.since - 500, case.window.until + 500))
    by_agent: defaultdict[str, dict[int, Any]] = defaultdict(dict)
    for instant in wide.instants():
        by_agent[instant.agent_id][instant.at] = instant
    changes = {(c.agent_id, c.seen) for c in case.changes() if not c.through_gap}
    for agent_id, instants in by_agent.items():
        for instant in instants.values():
            before = instants.get(instant.at - 1)
            begins = before is None or before.status != instant.status
            if not begins or instant.status == UNKNOWN or not case.window.since <= instant.at < case.window.until:
                continue
            end = instant.at
            while end in instants and instants[end].status == instant.status:
                end += 1
            key = tuple(KEYS[name](case, instant) for name in names), instant.status.word
            first[key] = min(instant.at, first.get(key, instant.at))
            if (agent_id, instant.at) in changes and (agent_id, end) in changes:
                whole[key].append(end - instant.at)
            else:
                censored[key] += 1
    question = Question(case.window, ZONE, case.window.until, groups=groups(*names), with_stays=True)
    rows = {(key_of(row, names), row["status"]): row for row in summary(case.facts, question).rows}
    assert {key: row["censored_stays"] for key, row in rows.items() if row["censored_stays"]} == censored
    assert {key: row["longest_seconds"] for key, row in rows.items() if row["longest_seconds"]} == {
        key: max(lengths) for key, lengths in whole.items()
    }
    assert {key: row["avg_seconds"] for key, row in rows.items() if row["avg_seconds"]} == {
        key: int(sum(lengths) / len(lengths) + 0.5) for key, lengths in whole.items()
    }
    assert {key: row["first_start"] for key, row in rows.items() if row["first_start"]} == first
    for key, row in rows.items():
        if key[1] != "unknown":
            assert row["stays"] == row["censored_stays"] + len(whole[key])
