"""From what somebody asked, as texts, to a question and its answer: the command line and the API both come this way.

Whoever calls knows the present and the machine's zone; here nothing looks at a clock. The sentences of errors name
options as the command line writes them.
"""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from exporter.durations import parse_duration_ms
from exporter.errors import UsageError
from exporter.history.algebra import EdgePolicy, Rules
from exporter.history.answers import answer
from exporter.history.buckets import parse_hours, parse_step, parse_weekdays
from exporter.history.classes import DEFAULT_CLASSES, Classes
from exporter.history.filters import Selection, Times
from exporter.history.parameters import TOTAL
from exporter.history.question import PER_AGENT, QUARTER_HOUR_MS, Group, Question
from exporter.history.reader import HistoryReader
from exporter.history.window import (
    DEFAULT_SINCE,
    DEFAULT_UNTIL,
    Window,
    instant_window,
    make_window,
    named_zone,
    parse_instant,
)
from exporter.model import Quality
from exporter.report.model import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of a report, as texts; what a report does not take keeps these defaults."""

    tz: str | None = None
    agents: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    time: str | None = None
    statuses: tuple[str, ...] = ()
    qualities: tuple[str, ...] = ()
    weekdays: tuple[str, ...] = ()
    hours: str | None = None
    edges: str = "seen"
    bridge: str = "0s"
    by: tuple[str, ...] = ()
    share_of: str = "known"
    stays: bool = False
    step: str | None = None
    fewer_than: int | None = None
    over: str | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the answer depends on beside what was asked."""

    now: int
    """Milliseconds UTC."""
    zone: ZoneInfo
    """The machine's, for who names none."""
    classes: Classes = field(default=DEFAULT_CLASSES)


@dataclass(frozen=True, slots=True)
class Understood:
    """What was asked, ready to be answered."""

    question: Question
    selection: Selection
    times: Times
    statuses: tuple[str, ...]
    """As they were written; only the history knows which there are."""

    def answer(self, reader: HistoryReader, name: str) -> Report:
        """The report `name`. Raises UsageError for agents, teams and statuses that the history does not know and for a
        question that contradicts itself, DatabaseError if the file cannot be read.
        """
        return answer(reader, name, self.question, self.selection, statuses=self.statuses, times=self.times)


def understood(asked: Asked, circumstances: Circumstances) -> Understood:
    """What the texts mean.

    Raises UsageError that names the option that is wrong. `edges`, `by`, `qualities` and `share_of` must be words of
    `exporter.history.parameters`.
    """
    return Understood(
        _question(asked, circumstances),
        Selection(asked.agents, asked.teams),
        _times(asked),
        asked.statuses,
    )


def _question(asked: Asked, circumstances: Circumstances) -> Question:
    zone = circumstances.zone if asked.tz is None else named_zone(asked.tz)
    return Question(
        window=_window(asked, zone, circumstances.now),
        zone=zone,
        now=circumstances.now,
        rules=Rules(EdgePolicy(asked.edges), _duration("--bridge", asked.bridge)),
        classes=circumstances.classes,
        groups=_groups(asked.by),
        qualities=frozenset(map(Quality, asked.qualities)) or None,
        share_of_window=asked.share_of == "window",
        with_stays=asked.stays,
        step_ms=parse_step(asked.step) if asked.step is not None else QUARTER_HOUR_MS,
        fewer_than=asked.fewer_than if asked.fewer_than is not None else 1,
        over_ms=_duration("--over", asked.over) if asked.over is not None else QUARTER_HOUR_MS,
    )


def _times(asked: Asked) -> Times:
    return Times(
        weekdays=parse_weekdays(asked.weekdays) if asked.weekdays else None,
        hours=parse_hours(asked.hours) if asked.hours is not None else None,
    )


def _window(asked: Asked, zone: ZoneInfo, now: int) -> Window:
    if asked.time is not None:
        return instant_window(parse_instant(asked.time, zone, now, flag="TIME"), now, zone)
    since = DEFAULT_SINCE if asked.since is None else asked.since
    return make_window(since, DEFAULT_UNTIL if asked.until is None else asked.until, zone, now)


def _groups(by: tuple[str, ...]) -> frozenset[Group]:
    if not by:
        return PER_AGENT
    if TOTAL in by:
        if set(by) != {TOTAL}:
            raise UsageError("--by total puts everything together and goes with no other --by: leave one of them out")
        return frozenset()
    return frozenset(map(Group, by))


def _duration(flag: str, text: str) -> int:
    try:
        return parse_duration_ms(text)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from error
