"""`history export --format openmetrics`: the history as samples with timestamps, for a Prometheus not there then."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import UsageError
from exporter.history.algebra import covered_time, intervals, totals
from exporter.history.checkpoints import rebuild_derived
from exporter.history.facts import HistoryFacts
from exporter.history.reader import HistoryReader
from exporter.history.window import Window
from exporter.metrics.families import FAMILY
from exporter.model import BUSY, Kind, Poll, Status, reported
from exporter.openmetrics.export import checked_step
from exporter.openmetrics.families import EXPORTED, Labels
from exporter.tracker import Pace
from tests.support.backfills import Series, asked, exported, text_of
from tests.support.care import PEOPLE, START, record
from tests.support.cli import run
from tests.support.histories import brute_force
from tests.support.two_sources import Case, add_source, cases, write

SECOND = 1_000
SLOWER = 1_000
"""Polls of the random histories are some 10 ms apart: here some 10 s."""
PACE = Pace(interval_ms=10 * SLOWER, gap_limit_ms=25 * SLOWER)
NOW = START // SECOND
FAR = START + 720 * SECOND


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`care.MORNING`: two stretches, at 0.2 to 90.2 s and at 600.2 to 660.2 s; Cleo is there until 30.2 s."""
    return record(tmp_path_factory.mktemp("morning") / "history.db")


def by_second(series: dict[int, float], *seconds: int) -> list[float | None]:
    """Values at seconds after `START`; None: no sample."""
    return [series.get(NOW + second) for second in seconds]


# --- one morning ------------------------------------------------------------------------------------------------------


def test_a_counter_counts_while_the_status_lasts_and_stands_still_after_it(morning: Path) -> None:
    seconds = exported(morning, asked(FAR, step_ms=10 * SECOND))["zohovoice_agent_status_seconds_total"]
    # On Call from the poll received at 30.2 s to the last one before the gap, received at 90.2 s.
    assert by_second(seconds["1001", "On Call"], 0, 30, 40, 50, 90, 100, 600) == [0, 0, 9.8, 19.8, 59.8, 60, 60]
    # Available before that for 30 s, and again from 600.2 to 660.2 s.
    assert by_second(seconds["1001", "Available"], 0, 10, 30, 40, 600, 610, 710) == [0, 9.8, 29.8, 30, 30, 39.8, 90]


def test_time_that_nobody_looked_at_is_credited_to_unknown(morning: Path) -> None:
    seconds = exported(morning, asked(FAR, step_ms=10 * SECOND))["zohovoice_agent_status_seconds_total"]
    # The gap from 90.2 to 600.2 s, and the time after the last poll at 660.2 s.
    assert by_second(seconds["1002", "unknown"], 90, 100, 600, 610, 660, 670) == [0, 9.8, 509.8, 510, 510, 519.8]


def test_a_counter_reaches_from_the_instant_before_an_agent_comes_to_the_one_after_it_left(morning: Path) -> None:
    seconds = exported(morning, asked(FAR, step_ms=10 * SECOND))["zohovoice_agent_status_seconds_total"]
    assert by_second(seconds["1003", "Offline"], -10, 0, 30, 40, 50) == [None, 0, 29.8, 30, None]


def test_gauges_say_who_was_in_what_and_that_nothing_was_known(morning: Path) -> None:
    found = exported(morning, asked(FAR, step_ms=10 * SECOND))
    agents = found["zohovoice_agents"]
    assert by_second(agents[("Available",)], 0, 10, 30, 40, 100, 610, 670) == [0, 1, 1, 0, 0, 1, 0]
    assert by_second(agents[("unknown",)], 0, 90, 100, 600, 610, 660, 670) == [0, 0, 2, 2, 0, 0, 2]
    assert by_second(agents[("Offline",)], 10, 30, 40, 70, 100) == [1, 1, 0, 1, 0]
    assert by_second(found["zohovoice_up"][()], 0, 10, 90, 100, 600, 610, 660, 670) == [0, 1, 1, 0, 0, 1, 1, 0]


def test_every_documented_status_and_unknown_are_always_there(morning: Path) -> None:
    found = exported(morning, asked(FAR))
    words = {"Available", "Busy", "On Break", "On Call", "Offline", "unknown"}
    assert {status for (status,) in found["zohovoice_agents"]} == words
    assert set(found["zohovoice_team_agents"]) == {(team, word) for team in ("Sales", "Support") for word in words}
    every = {len(series) for name in ("zohovoice_agents", "zohovoice_team_agents") for series in found[name].values()}
    assert every == {13}  # from the minute before START, which is 40 s into one, to the last one before 12 minutes on


def test_names_are_there_only_if_they_are_asked_for(morning: Path) -> None:
    assert "zohovoice_agent_info" not in exported(morning, asked(FAR))
    infos = exported(morning, asked(FAR, step_ms=10 * SECOND, names=True))["zohovoice_agent_info"]
    assert set(infos) == {(agent.agent_id, agent.name, agent.team) for agent in PEOPLE.values()}
    assert by_second(infos["1003", "Cleo Silva", "Sales"], 0, 10, 30, 40) == [None, 1, 1, None]


def test_agents_can_be_left_out(morning: Path) -> None:
    assert set(exported(morning, asked(FAR, per_agent=False))) == {
        "zohovoice_agents",
        "zohovoice_team_agents",
        "zohovoice_up",
    }


def test_a_new_name_begins_when_the_old_one_reads_on_no_longer(tmp_path: Path) -> None:
    path, polls = tmp_path / "history.db", [Poll(at, at, {"1": BUSY}) for at in range(0, 1_200_000, 10_000)]
    write(path, polls, PACE, names={0: "Old", 600_000: "New"})
    infos = exported(path, asked(1_200_000, step_ms=10 * SECOND, names=True))["zohovoice_agent_info"]
    # Prometheus takes the sample at 590 s for present until 890 s.
    assert max(infos["1", "Old 1", "Old"]) == 590
    assert min(infos["1", "New 1", "New"]) == 900
    later = exported(path, asked(1_200_000, since=700_000, step_ms=10 * SECOND, names=True))["zohovoice_agent_info"]
    assert min(later["1", "New 1", "New"]) == 900


def test_a_history_without_a_poll_is_an_empty_exposition(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    write(path, [])
    assert text_of(path, asked(START)) == "# EOF\n"
    done = run("history", "export", "--db", str(path), "--format", "openmetrics")
    assert (done.code, done.out) == (0, "# EOF\n")
    assert done.err == "there is no sample: the history holds nothing of this window, or it is less than --step\n"


def test_words_beyond_the_twentieth_are_other_and_words_like_ours_are_not_ours() -> None:
    labels = Labels([*(f"Word {number:02}" for number in range(22)), "Busy", "unknown", "other", ""])
    assert labels.all[-2:] == ("Word 19", "other")
    assert [labels.of(reported(word)) for word in ("Word 19", "Word 20", "other", "Busy")] == [
        "Word 19",
        "other",
        "other",
        "Busy",
    ]
    assert {labels.of(Status(kind, "x")) for kind in Kind if kind is not Kind.REPORTED} == {"unknown"}


def test_families_are_those_that_serve_exposes_with_the_same_labels() -> None:
    for family in EXPORTED:
        assert replace(family, help="") == replace(FAMILY[family.name], help="")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_it_to_a_file_with_the_labels_that_were_given(morning: Path, tmp_path: Path) -> None:
    file = tmp_path / "history.om"
    done = run(
        *("history", "export", "--db", str(morning), "--format", "openmetrics", "--output", str(file)),
        *("--since", "2025-11-22T08:30:00Z", "--until", "2025-11-22T08:32:00Z", "--step", "30s"),
        *("--job", "voice", "--instance", 'a"b:1', "--no-per-agent"),
    )
    assert (done.code, done.out, done.err) == (0, "", "")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("zohovoice_up")] == [
        f'zohovoice_up{{job="voice",instance="a\\"b:1"}} 0 {second}' for second in range(1763800200, 1763800320, 30)
    ]
    assert lines[-1] == "# EOF"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "7d"], "--since is for --format openmetrics only: an export as NDJSON is of every fact"),
        (["--no-per-agent"], "--no-per-agent is for --format openmetrics only: an export as NDJSON is of every fact"),
        (["--format", "openmetrics", "--job", ""], "--job is empty: give the value that the label job has"),
        (["--format", "openmetrics", "--step", "7s"], "--step 7s cannot be used: give whole seconds that divide a day"),
        (["--format", "openmetrics", "--step", "10m"], "--step 10m cannot be used: give whole seconds"),
        (["--format", "openmetrics", "--step", "soon"], "--step: "),
        (["--format", "openmetrics", "--since", "2h", "--until", "3h"], "is after --until"),
        (["--format", "openmetrics", "--step", "1s"], "527,040 are the most: export it in parts"),
    ],
)
def test_what_cannot_be_is_refused(morning: Path, arguments: list[str], message: str) -> None:
    done = run("history", "export", "--db", str(morning), *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_step_divides_a_day_and_is_no_longer_than_prometheus_looks_back() -> None:
    assert [checked_step(step, "") for step in (1_000, 15_000, 300_000)] == [1_000, 15_000, 300_000]
    for step in (0, 500, 1_500, 7_000, 360_000):
        with pytest.raises(UsageError):
            checked_step(step, "x")


# --- any history ------------------------------------------------------------------------------------------------------


def slower(polls: list[Poll]) -> list[Poll]:
    return [replace(poll, sent=poll.sent * SLOWER, received=poll.received * SLOWER) for poll in polls]


@contextmanager
def recorded(case: Case) -> Iterator[Path]:
    """A database of the case, slowed down; everyone changes teams at every third poll."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "history.db"
        write(path, case.polls, PACE, names={poll.received: f"N{i // 3}" for i, poll in enumerate(case.polls)})
        if case.others:
            with closing(sqlite3.connect(path)) as connection:
                add_source(connection, case.others, exact=case.exact, pace=PACE)
                rebuild_derived(connection, after=lambda _: 3)
                connection.commit()
        yield path


slow_cases = cases().map(lambda case: replace(case, polls=slower(list(case.polls)), others=slower(list(case.others))))
steps = st.sampled_from((5, 30)).map(lambda seconds: seconds * SECOND)


def all_facts(path: Path, until: int) -> HistoryFacts:
    with HistoryReader.open(path) as reader:
        return reader.facts(Window(0, until))


@settings(max_examples=15)
@given(slow_cases, steps, st.integers(0, 60))
def test_counters_are_what_the_reports_add_up_and_all_of_them_the_tracked_time(
    case: Case, step: int, later: int
) -> None:
    until = case.end + later * SECOND
    with recorded(case) as path:
        seconds = exported(path, asked(until, step_ms=step)).get("zohovoice_agent_status_seconds_total", {})
        facts = all_facts(path, until)
    covered, labels = covered_time(facts, until), Labels(facts.words)
    agents = {agent.agent_id: agent for agent in facts.agents}
    for series in seconds.values():
        values = [series[second] for second in sorted(series)]
        assert values == sorted(values), "a counter fell"
    for agent_id in {agent_id for agent_id, _ in seconds}:
        mine = {label: series for (of, label), series in seconds.items() if of == agent_id}
        for second in {second for series in mine.values() for second in series}:
            wanted: Counter[str] = Counter()
            window = Window(0, second * SECOND)
            for status, total in totals(agents[agent_id], covered, window).items():
                wanted[labels.of(status)] += total.time
            assert {label: round(s[second] * 1000) for label, s in mine.items() if s[second]} == +wanted
            tracked = sum(end - start for start, end in agents[agent_id].scope(window))
            assert round(sum(series[second] for series in mine.values()) * 1000) == tracked


@settings(max_examples=15)
@given(slow_cases, steps, st.integers(0, 60))
def test_gauges_are_the_agents_of_the_instant_by_status_and_by_team(case: Case, step: int, later: int) -> None:
    until = case.end + later * SECOND
    with recorded(case) as path:
        found = exported(path, asked(until, step_ms=step))
        facts = all_facts(path, until)
    covered, labels = covered_time(facts, until), Labels(facts.words)
    wanted: Counter[tuple[str, str, int]] = Counter()
    for agent in facts.agents:
        for interval, _ in intervals(agent, covered, facts.window):
            first = -(-interval.start // step) * step
            for at in range(first, interval.end, step):
                wanted[agent.description_at(at).team, labels.of(interval.status), at // SECOND] += 1
    assert _counted(found.get("zohovoice_team_agents", {})) == wanted
    by_status = Counter[tuple[str, int]]()
    for (_, label, second), number in wanted.items():
        by_status[label, second] += number
    assert _counted(found.get("zohovoice_agents", {})) == by_status


def _counted(found: Series) -> Counter[tuple[str | int, ...]]:
    return Counter({(*labels, second): int(v) for labels, series in found.items() for second, v in series.items() if v})


@settings(max_examples=15)
@given(slow_cases, steps)
def test_a_gauge_is_what_the_polls_around_the_instant_say(case: Case, step: int) -> None:
    polls = list(case.polls)
    with recorded(replace(case, others=())) as path:
        end = polls[-1].received + 1 if polls else 0
        agents = exported(path, asked(end, step_ms=step)).get("zohovoice_agents", {})
    for second in {second for series in agents.values() for second in series}:
        moments = [brute_force(polls, agent_id, second * SECOND, PACE.gap_limit_ms) for agent_id in ("1", "2")]
        wanted = Counter(
            moment.status.word if moment.status is not None and moment.status.kind is Kind.REPORTED else "unknown"
            for moment in moments
            # The last poll proves no time, but who was there is tracked on.
            if moment is not None
        )
        assert Counter({label: int(s[second]) for (label,), s in agents.items() if s[second]}) == wanted


@settings(max_examples=10)
@given(slow_cases, steps, st.integers(0, 400))
def test_exports_of_adjoining_windows_are_the_export_of_both(case: Case, step: int, cut: int) -> None:
    until = case.end + 20 * SECOND
    middle = max(0, until - cut * SECOND)
    with recorded(case) as path:
        whole = exported(path, asked(until, step_ms=step))
        parts = [
            exported(path, replace(asked(until, step_ms=step), until=middle)),
            exported(path, asked(until, since=middle, step_ms=step)),
        ]
    joined: dict[str, Series] = {}
    for part in parts:
        for name, found in part.items():
            for labels, series in found.items():
                so_far = joined.setdefault(name, {}).setdefault(labels, {})
                assert not so_far.keys() & series.keys()
                so_far |= series
    # A status or a team that nobody has in one part has no zeros there.
    assert _values(joined) == _values(whole)


def _values(found: dict[str, Series]) -> dict[tuple[str, tuple[str, ...], int], float]:
    return {
        (name, labels, second): value
        for name, all_series in found.items()
        for labels, series in all_series.items()
        for second, value in series.items()
        if value
    }
