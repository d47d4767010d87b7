"""One outage is told of once: by stale data while it lasts, and by nothing when it is over.

Polls and scrapes are as far apart as people set them; promtool plays what Prometheus would have scraped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.rule_cases import judge_alone

TARGET = '{job="zohovoice",instance="exporter:10042"}'
FAILURES = '{job="zohovoice",instance="exporter:10042",reason="timeout"}'
POLL_FAILING = "ZohoVoicePollFailing"
DATA_STALE = "ZohoVoiceDataStale"

FAMILIES = {
    "up": f"zohovoice_up{TARGET}",
    "polls": f"zohovoice_polls_total{TARGET}",
    "failures": f"zohovoice_poll_failures_total{FAILURES}",
    "latest": f"zohovoice_last_poll_success_timestamp_seconds{TARGET}",
    "interval": f"zohovoice_poll_interval_seconds{TARGET}",
    "start": f"zohovoice_exporter_config_last_reload_success_timestamp_seconds{TARGET}",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How far apart polls and scrapes are, in seconds."""

    poll_s: int
    scrape_s: int

    def __str__(self) -> str:
        return f"polls each {self.poll_s} s, scrapes each {self.scrape_s} s"


FAST = [Pace(5, 15), Pace(5, 60), Pace(30, 60), Pace(60, 15), Pace(60, 60)]
SLOW = Pace(600, 60)
NEW, OLD = "a new exporter", "an old exporter"


@dataclass(frozen=True, slots=True)
class Life:
    """Polls of an exporter, from its start on; the process is started anew before each number in `starts`."""

    pace: Pace
    good: Sequence[bool]
    starts: Sequence[int] = (0,)

    def scraped(self) -> list[dict[str, str]]:
        """What is scraped; an answer takes two seconds, and counters and times begin anew with each start."""
        columns: dict[str, list[str]] = {name: [] for name in FAMILIES}
        states = list(self._states())
        for at_s in range(0, len(self.good) * self.pace.poll_s, self.pace.scrape_s):
            # Before the first answer of a process its state is that of its start.
            ended = (at_s - 2) // self.pace.poll_s + 1
            begun = at_s // self.pace.poll_s
            state = states[ended] if begun not in self.starts or ended > begun else (0, 0, 0, begun * self.pace.poll_s)
            polls, failures, latest_s, started_s = state
            good = polls > 0 and latest_s == (ended - 1) * self.pace.poll_s + 2
            row = (int(good), polls, failures, latest_s or "_", self.pace.poll_s, started_s)
            for column, value in zip(columns.values(), row, strict=True):
                column.append(str(value))
        return [{"series": FAMILIES[name], "values": " ".join(values)} for name, values in columns.items()]

    def _states(self) -> Iterator[tuple[int, int, int, int]]:
        """Polls, failures, the time of the last good poll (0: none) and of the start, after so many polls."""
        polls, failures, latest_s, started_s = 0, 0, 0, 0
        yield polls, failures, latest_s, started_s
        for number, good in enumerate(self.good):
            at_s = number * self.pace.poll_s
            if number in self.starts:
                polls, failures, latest_s, started_s = 0, 0, 0, at_s
            polls, failures = polls + 1, failures + (not good)
            latest_s = at_s + 2 if good else latest_s
            yield polls, failures, latest_s, started_s

    @property
    def minutes(self) -> int:
        """How long it lasts."""
        return len(self.good) * self.pace.poll_s // 60


def _outage(pace: Pace, before_min: float, length_min: float, after_min: float, *, restart: bool = False) -> Life:
    """Good polls, failed ones, good ones; with a restart the process is started anew in the middle of the outage."""
    before, length, after = (round(minutes * 60 / pace.poll_s) for minutes in (before_min, length_min, after_min))
    good = [True] * before + [False] * length + [True] * after
    return Life(pace, good, (0, before + length // 2) if restart else (0,))


def _expect(
    alert: str, life: Life, name: str, firing: range = range(0), minutes: range | None = None
) -> dict[str, object]:
    """A case: at each of those minutes of a life, else all, the alert fires if it is one of `firing`."""
    checks = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": 1}] if minute in firing else [],
        }
        for minute in minutes or range(life.minutes)
    ]
    series = life.scraped()
    return {"name": name, "interval": f"{life.pace.scrape_s}s", "input_series": series, "promql_expr_test": checks}


def _play(alert: str, tests: Sequence[dict[str, object]], folder: Path) -> None:
    judged = judge_alone(alert, {"evaluation_interval": "1m", "tests": tests}, folder)
    assert judged.returncode == 0, judged.stdout + judged.stderr


# --- an outage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before_min", [3, 45], ids=[NEW, OLD])
@pytest.mark.parametrize("pace", FAST, ids=str)
def test_an_outage_is_not_many_failing_polls_while_it_lasts_and_afterwards(
    pace: Pace, before_min: int, tmp_path: Path
) -> None:
    lives = {f"{length} minutes": _outage(pace, before_min, length, 8) for length in (7, 9, 14, 25)}
    _play(POLL_FAILING, [_expect(POLL_FAILING, life, name) for name, life in lives.items()], tmp_path)


@pytest.mark.parametrize("before_min", [0, 30, 180], ids=["its start", NEW, OLD])
def test_an_outage_of_polls_that_are_far_apart_is_not_many_failing_polls(before_min: int, tmp_path: Path) -> None:
    lives = {f"{length} minutes": _outage(SLOW, before_min, length, 70) for length in (40, 120)}
    _play(POLL_FAILING, [_expect(POLL_FAILING, life, name) for name, life in lives.items()], tmp_path)


@pytest.mark.parametrize("pace", FAST, ids=str)
def test_an_outage_from_the_start_on_or_with_a_restart_in_it_is_one_too(pace: Pace, tmp_path: Path) -> None:
    lives = {f"restarted in {length} minutes": _outage(pace, 45, length, 8, restart=True) for length in (14, 25)}
    lives["from its start"] = _outage(pace, 0, 12, 15)
    _play(POLL_FAILING, [_expect(POLL_FAILING, life, name) for name, life in lives.items()], tmp_path)


@pytest.mark.parametrize(
    ("life", "firing"),
    [
        # Good for the last time at 29:57, 29:32 and 29:02; older than three intervals when it is looked at a minute or
        # three later; for five minutes. The first good answer comes at 42:02.
        (_outage(Pace(5, 15), 30, 12, 8), range(36, 43)),
        (_outage(Pace(30, 60), 30, 12, 8), range(37, 43)),
        (_outage(Pace(60, 60), 30, 12, 8), range(38, 43)),
        # Good at 20:02, older than half an hour at 51:00, good again at 90:02.
        (_outage(SLOW, 30, 60, 30), range(56, 91)),
    ],
    ids=lambda value: str(value.pace) if isinstance(value, Life) else "",
)
def test_an_outage_is_told_of_by_stale_data_until_it_is_over(life: Life, firing: range, tmp_path: Path) -> None:
    _play(DATA_STALE, [_expect(DATA_STALE, life, "an outage", firing)], tmp_path)


# --- polls of which many fail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [*FAST, SLOW], ids=str)
def test_polls_of_which_many_fail_fire_as_long_as_they_do(pace: Pace, tmp_path: Path) -> None:
    before, settled, end = (180, 340, 360) if pace is SLOW else (30, 60, 80)
    good, rest = (minutes * 60 // pace.poll_s for minutes in (before, end - before))
    tests = []
    for pattern in ("fg", "ffg", "fffggg", "f" * 9 + "g"):
        polls = [True] * good + [one == "g" for one in (pattern * rest)[:rest]]
        tests.append(_expect(POLL_FAILING, Life(pace, polls), pattern, range(end), range(settled, end)))
    _play(POLL_FAILING, tests, tmp_path)
