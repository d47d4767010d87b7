"""What the database knows about a window of time, as values: what the reader hands to the pure parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from exporter.history.window import Window
from exporter.model import AgentId, EndReason, Status, Stretch

FOREVER: Final = 2**62
"""The end of a period that has none yet; later than any instant that can be printed."""


class Period(NamedTuple):
    """[start, end) in milliseconds since 1970-01-01 UTC; `end` is FOREVER while it goes on."""

    start: int
    end: int


class Change(NamedTuple):
    """A recorded transition of one agent (see `exporter.model.Transition`); there may be millions of them."""

    seen: int
    not_before: int | None
    from_status: Status | None
    to_status: Status


class Description(NamedTuple):
    """An agent's name and team from `since` until the next description; the first one holds before it too."""

    since: int
    name: str
    team: str


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent as the history knows it."""

    agent_id: AgentId
    descriptions: tuple[Description, ...]
    """All of them, in order of time."""
    tracked: tuple[Period, ...]
    """The tracking periods that meet the window, whole, in order of time; one without length proves no time."""
    changes: tuple[Change, ...]
    """In order of `seen`: those in the window; before them, of the period that the window's start falls into, the
    last one; behind them, those that may have happened inside the window though they were seen after it."""
    selected: tuple[Period, ...] | None = None
    """The only times that a report may speak of, in order of time; None: whenever the agent was tracked."""

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
        for start, end in self.selected if self.selected is not None else (Period(-FOREVER, FOREVER),):
            for period in self.tracked:
                clipped = Period(max(start, period.start, window.since), min(end, period.end, window.until))
                if clipped.start < clipped.end:
                    yield clipped


@dataclass(frozen=True, slots=True)
class RecordedStretch:
    """A stretch of coverage and why it ended; `ended` is None as long as nobody has found out that it did."""

    stretch: Stretch
    ended: EndReason | None


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """All that reports on `window` need, read in one transaction."""

    window: Window
    """What was asked of the database: reports on any part of it can be made from these facts."""
    agents: tuple[AgentFacts, ...]
    """Everyone ever recorded, so that a name can be told from a slip of the pen; most may have no tracked time."""
    stretches: tuple[RecordedStretch, ...]
    """Those that meet the window and the latest one before it, in order of time."""
    run_open: bool
    """The latest run was not ended: its process is running, or died without a word."""
    water_mark: int | None
    """Facts before this instant were purged; None: none were."""
    words: frozenset[str]
    """Every status word ever recorded."""
