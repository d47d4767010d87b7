"""What the database knows about a window of time, as values: what the reader hands to the pure parts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from exporter.history.window import Window
from exporter.model import AgentId, EndReason, Status, Stretch

FOREVER: Final = 2**62
"""The end of a period that has none yet; later than any instant that can be printed."""

RECORDER: Final = 0
"""The source that the recorder of this file is; imports have greater numbers."""


class Period(NamedTuple):
    """[start, end) in milliseconds since 1970-01-01 UTC; `end` is FOREVER while it goes on."""

    start: int
    end: int


class Change(NamedTuple):
    """A recorded transition of one agent (see `exporter.model.Transition`); there may be millions of them.

    It lies in (not_before, seen], or exactly at `seen` if both are equal: a log told it.
    """

    seen: int
    not_before: int | None
    from_status: Status | None
    to_status: Status


class Description(NamedTuple):
    """An agent's name and team from `since` until the next description; the first one holds before it too."""

    since: int
    name: str
    team: str


class Spell(NamedTuple):
    """A spell of tracking of one agent by one source: [start, end); one without length proves no time.

    What the agent did in it is known where the source's stretches cover it.
    """

    start: int
    end: int
    end_not_before: int
    """When the last poll that asked for the agent was sent; `end` if that is not stored or there is no such poll."""
    source: int
    changes: tuple[Change, ...]
    """In order of `seen`: those in the window; before them, if the window's start falls into the spell, the one that
    is carried in; behind them, those that may have happened inside the window though they were seen after it."""


@dataclass(slots=True)
class Total:
    """Time of an agent in one status inside a window, in milliseconds: least ≤ time ≤ most."""

    time: int = 0
    least: int = 0
    most: int = 0
    stays: int = 0
    """Stays whose start edge lies in the window; after a gap they begin anew."""
    bridged: int = 0
    """How much of `time` is gaps that were bridged."""
    provisional: bool = False
    """Whether it reaches beyond the latest poll."""
    possible_until: int = 0
    """Where the time counted in `most` ends. Where another status was seen by one poll only, the stays around it may
    possibly overlap: that time is counted once."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent as the history knows it."""

    agent_id: AgentId
    descriptions: tuple[Description, ...]
    """All of them, in order of time."""
    spells: tuple[Spell, ...]
    """The spells of tracking that meet the window, whole, in order of their start. Those of different sources may
    overlap, but no two of them are covered at the same time."""
    selected: tuple[Period, ...] | None = None
    """The only times that a report may speak of, in order of time; None: whenever the agent was tracked."""
    totals: Mapping[Status, Total] | None = None
    """The totals of exactly the window that was read, if the reader had them: then the spells bring no changes."""

    @property
    def tracked(self) -> tuple[Period, ...]:
        """When anybody tracked the agent: the union of the spells that have a length, in order of time."""
        if len(self.spells) == 1:
            start, end = self.spells[0][:2]
            return (Period(start, end),) if start < end else ()
        return union(Period(spell.start, spell.end) for spell in self.spells)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of all spells, in order of `seen`."""
        if len(self.spells) == 1:
            return self.spells[0].changes
        return tuple(sorted((c for spell in self.spells for c in spell.changes), key=lambda change: change.seen))

    def description_at(self, at: int) -> Description:
        """Name and team as they were known at `at`."""
        found = self.descriptions[0] if self.descriptions else Description(at, "", "")
        for description in self.descriptions:
            if description.since > at:
                break
            found = description
        return found

    def scope(self, window: Window) -> Iterator[Period]:
        """The times in `window` that a report may speak of, in order of time: tracked and selected."""
        tracked = self.tracked
        for start, end in self.selected if self.selected is not None else (Period(-FOREVER, FOREVER),):
            for period in tracked:
                clipped = Period(max(start, period.start, window.since), min(end, period.end, window.until))
                if clipped.start < clipped.end:
                    yield clipped


@dataclass(frozen=True, slots=True)
class RecordedStretch:
    """A stretch of coverage and why it ended; `ended` is None as long as nobody has found out that it did."""

    stretch: Stretch
    ended: EndReason | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where coverage comes from: the recorder, or a file that was imported."""

    id: int
    stretches: tuple[RecordedStretch, ...]
    """Those that meet the window and the latest one before it, in order of time."""
    exact: bool = False
    """A log that told every change with its time; its stretches count no polls."""
    file: str | None = None
    """Its name; None: the recorder."""


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """All that reports on `window` need, read in one transaction."""

    window: Window
    """What was asked of the database: reports on any part of it can be made from these facts."""
    agents: tuple[AgentFacts, ...]
    """Everyone who was asked for, most of them perhaps without tracked time in the window."""
    sources: tuple[Source, ...]
    """The recorder first, whether or not it has any stretch; then the imports."""
    run_open: bool
    """The latest run was not ended: its process is running, or died without a word."""
    water_mark: int | None
    """Facts before this instant were purged; None: none were."""
    words: frozenset[str] = field(default=frozenset())
    """Every status word ever recorded."""

    @property
    def stretches(self) -> tuple[RecordedStretch, ...]:
        """The recorder's."""
        return self.sources[0].stretches


def union(periods: Iterator[Period]) -> tuple[Period, ...]:
    """The instants that are in any of `periods`, as few periods as possible, in order of time."""
    result: list[Period] = []
    for start, end in sorted(period for period in periods if period.start < period.end):
        if result and start <= result[-1].end:
            result[-1] = Period(result[-1].start, max(end, result[-1].end))
        else:
            result.append(Period(start, end))
    return tuple(result)
