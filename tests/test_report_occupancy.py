"""`occupancy` and `availability`: by hand on a night, and against every millisecond of polls."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.history.algebra import Rules
from exporter.history.classes import Classes
from exporter.history.question import Group, Question
from exporter.history.reports import REPORTS
from exporter.history.window import Window
from exporter.report.model import Report
from tests.support.moments import KEYS, ZONE, Case, Instant, cases
from tests.support.night import BERLIN, FACTS, MINUTE, NOW, WINDOW, at

NIGHT = Question(WINDOW, BERLIN, NOW)


def asked(name: str, **question: Any) -> Report:
    return REPORTS[name](FACTS, replace(NIGHT, **question))


def rows(name: str, **question: Any) -> list[dict[str, object]]:
    """The rows with durations in minutes."""
    return [
        {key: value / MINUTE if key.endswith("_seconds") else value for key, value in row.items()}
        for row in asked(name, **question).rows
    ]


def test_occupancy_is_handling_of_handling_and_available_for_each_agent() -> None:
    # Ann: On Call 55, Available 75, On Break 40. Bob: On Call 50, Available 45, Offline 15, which is not staffed.
    report = asked("occupancy")
    assert [column.name for column in report.columns] == [
        "agent_id", "name", "handling_seconds", "available_seconds", "not_ready_seconds", "staffed_seconds",
        "occupancy", "occupancy_of_staffed", "coverage", "provisional",
    ]  # fmt: skip
    ann, bob = rows("occupancy")
    assert (ann["name"], bob["name"]) == ("Ann", "Bob")
    assert [ann[f"{name}_seconds"] for name in ("handling", "available", "not_ready", "staffed")] == [55, 75, 40, 170]
    assert (ann["occupancy"], ann["occupancy_of_staffed"], ann["coverage"]) == (55 / 130, 55 / 170, 170 / 180)
    assert [bob[f"{name}_seconds"] for name in ("handling", "available", "not_ready", "staffed")] == [50, 45, 0, 95]
    assert (bob["occupancy"], bob["occupancy_of_staffed"], bob["coverage"]) == (50 / 95, 50 / 95, 110 / 120)
    assert not any(row["provisional"] for row in report.rows)


def test_availability_is_of_the_staffed_time() -> None:
    report = asked("availability")
    assert [column.name for column in report.columns] == [
        "agent_id", "name", "handling_seconds", "available_seconds", "not_ready_seconds", "staffed_seconds",
        "availability", "ready", "coverage", "provisional",
    ]  # fmt: skip
    assert [(row["availability"], row["ready"]) for row in report.rows] == [(75 / 170, 130 / 170), (45 / 95, 1.0)]


def test_the_total_divides_the_sums_and_not_the_shares() -> None:
    # On Call 105, Available 120, On Break 40.
    (row,) = rows("occupancy", groups=frozenset())
    assert (row["agents"], row["occupancy"], row["occupancy_of_staffed"]) == (2, 105 / 225, 105 / 265)
    assert row["coverage"] == 280 / 300


def test_teams_are_as_of_the_time() -> None:
    # Sales is Ann until 00:50: On Call 15, Available 55. Support: On Call 40 + 50, Available 20 + 45.
    found = {row["team"]: row["occupancy"] for row in asked("occupancy", groups=frozenset({Group.TEAM})).rows}
    assert found == {"Sales": 15 / 70, "Support": 90 / 155}


def test_days_are_local() -> None:
    groups = frozenset({Group.AGENT, Group.DAY})
    found = {(row["name"], row["day"]): row["occupancy"] for row in asked("occupancy", groups=groups).rows}
    assert found == {("Ann", "2026-06-30"): 15 / 60, ("Ann", "2026-07-01"): 40 / 70, ("Bob", "2026-07-01"): 50 / 95}


def test_without_a_denominator_there_is_no_share() -> None:
    # From 00:00 to 00:15 Bob is Offline; from 00:31 to 00:39 nobody was looking; from 00:10 to 00:30 Ann is On Break.
    window = Window(at("00:00"), at("00:10"))
    assert [(row["occupancy"], row["occupancy_of_staffed"]) for row in asked("occupancy", window=window).rows] == [
        (0.0, 0.0),
        (None, None),
    ]
    unknown = Window(at("00:31"), at("00:39"))
    assert [row["occupancy"] for row in asked("occupancy", window=unknown).rows] == [None, None]
    assert [(row["availability"], row["ready"]) for row in asked("availability", window=unknown).rows] == [
        (None, None)
    ] * 2
    assert [row["coverage"] for row in asked("availability", window=unknown).rows] == [0.0, 0.0]
    break_ = Window(at("00:10"), at("00:12"))
    ann = asked("occupancy", window=break_).rows[0]
    assert (ann["occupancy"], ann["occupancy_of_staffed"]) == (None, 0.0)
    assert asked("occupancy", window=Window(at("21:00"), at("22:00"))).rows == []


def test_a_bridged_gap_counts_as_its_status_but_not_as_known() -> None:
    # Ann's gap is bridged as On Break.
    ann = rows("availability", rules=Rules(bridge_ms=10 * MINUTE))[0]
    assert (ann["not_ready_seconds"], ann["availability"], ann["coverage"]) == (50, 75 / 180, 170 / 180)


def test_classes_are_what_the_question_says_and_the_formula_says_so() -> None:
    classes = Classes(handling=frozenset({"On Call", "On Break"}), not_ready=frozenset({"Busy"}))
    report = asked("occupancy", classes=classes)
    assert report.rows[0]["handling_seconds"] == 95 * MINUTE
    formula = str(report.meta["formula"])
    assert formula.startswith("occupancy: handling / (handling + available); ")
    assert (
        "handling: On Break, On Call; available: Available; offline: Offline; not ready: Busy, every other" in formula
    )
    assert "Zoho shows no after-call work" in formula
    nothing = Classes(frozenset(), frozenset(), frozenset(), frozenset())
    assert "handling: no word" in str(asked("occupancy", classes=nothing).meta["formula"])


@pytest.mark.parametrize("name", ["occupancy", "availability"])
def test_the_header_is_that_of_the_summary(name: str) -> None:
    meta, of_summary = dict(asked(name).meta), dict(asked("summary").meta)
    for key in ("report", "formula"):
        del meta[key], of_summary[key]
    assert meta == of_summary


# --- polls, millisecond by millisecond --------------------------------------------------------------------------------


def class_of(instant: Instant) -> str:
    """By the default: On Call, Available, and any other word that Zoho says, for no test has Offline here."""
    if instant.status.word in ("absent", "error", "unknown"):
        return "nothing"
    return {"On Call": "handling", "Available": "available"}.get(instant.status.word, "not_ready")


@given(cases(), st.sets(st.sampled_from(tuple(KEYS))).map(sorted))
def test_the_shares_are_those_of_counted_milliseconds(case: Case, names: list[str]) -> None:
    counted = Counter[Any]()
    for instant in case.instants():
        counted[tuple(KEYS[name](case, instant) for name in names), class_of(instant)] += 1
    question = Question(case.window, ZONE, case.window.until, groups=frozenset(map(Group, names)))
    found = {}
    for row in REPORTS["occupancy"](case.facts, question).rows:
        found[tuple(row["agent_id" if name == "agent" else name] for name in names)] = row
    assert set(found) == {key for key, _ in counted}
    for row, other in zip(found.values(), REPORTS["availability"](case.facts, question).rows, strict=True):
        assert all(row[key] == other[key] for key in row if key not in ("occupancy", "occupancy_of_staffed"))
        key = tuple(row["agent_id" if name == "agent" else name] for name in names)
        handling, available = counted[key, "handling"], counted[key, "available"]
        staffed = handling + available + counted[key, "not_ready"]
        assert (row["handling_seconds"], row["available_seconds"], row["staffed_seconds"]) == (
            handling, available, staffed,
        )  # fmt: skip
        assert row["occupancy"] == (handling / (handling + available) if handling + available else None)
        assert row["occupancy_of_staffed"] == (handling / staffed if staffed else None)
        assert other["availability"] == (available / staffed if staffed else None)
        assert other["ready"] == ((available + handling) / staffed if staffed else None)
        assert row["coverage"] == staffed / (staffed + counted[key, "nothing"])
