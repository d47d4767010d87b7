"""What all history reports share: the header that says how sure the answer is, and the order of agents. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from exporter.history.algebra import EDGE_POLICY, CoveredTime, Total, totals
from exporter.history.facts import AgentFacts, HistoryFacts
from exporter.history.window import Window
from exporter.model import KNOWN_STATUSES, Kind, Status
from exporter.report.model import ColumnKind

_ORDER: Final = {status: index for index, status in enumerate(KNOWN_STATUSES)}
_KIND_ORDER: Final = {Kind.REPORTED: 0, Kind.ABSENT: 1, Kind.ERROR: 2, Kind.UNKNOWN: 3}

META_KINDS: Final[Mapping[str, ColumnKind]] = {
    "at": ColumnKind.INSTANT,
    "since": ColumnKind.INSTANT,
    "until": ColumnKind.INSTANT,
    "asked_until": ColumnKind.INSTANT,
    "water_mark": ColumnKind.INSTANT,
    "tracked_seconds": ColumnKind.DURATION,
    "covered_seconds": ColumnKind.DURATION,
    "known_seconds": ColumnKind.DURATION,
    "unknown_seconds": ColumnKind.DURATION,
}
"""The kinds of whatever instants and durations a header may hold."""


@dataclass(slots=True)
class Tally:
    """Milliseconds of agents' time in a window. Conservation: tracked = covered + unknown."""

    agents: int = 0
    """Those with tracked time in the window."""
    tracked: int = 0
    covered: int = 0
    """In some status, absent and error among them."""
    known: int = 0
    """In a status that Zoho reported."""
    provisional: bool = False

    def add(self, by_status: Mapping[Status, Total]) -> None:
        """Count one agent's totals in."""
        time = sum(total.time for total in by_status.values())
        if not time:
            return
        self.agents += 1
        self.tracked += time
        self.covered += sum(total.time for status, total in by_status.items() if status.kind is not Kind.UNKNOWN)
        self.known += known_time(by_status)
        self.provisional = self.provisional or any(total.provisional for total in by_status.values())


def tally(agents: Iterable[AgentFacts], covered: CoveredTime, window: Window) -> Tally:
    """The tally of all `agents` in `window`."""
    result = Tally()
    for agent in agents:
        result.add(totals(agent, covered, window))
    return result


def known_time(by_status: Mapping[Status, Total]) -> int:
    """Milliseconds in statuses that Zoho reported: the denominator of shares."""
    return sum(total.time for status, total in by_status.items() if status.kind is Kind.REPORTED)


def share(part: int, whole: int) -> float | None:
    """`part` of `whole`; None, never 0 or 1, where there is no whole to have a part of."""
    return part / whole if whole else None


def header(
    report: str, facts: HistoryFacts, window: Window, zone: ZoneInfo, counted: Tally, formula: str
) -> dict[str, object]:
    """The meta of a report; `META_KINDS` says what of it are instants and durations."""
    meta: dict[str, object] = {
        "report": report,
        "since": window.since,
        "until": window.until,
        "timezone": zone.key,
        "agents": counted.agents,
        "tracked_seconds": counted.tracked,
        "covered_seconds": counted.covered,
        "known_seconds": counted.known,
        "unknown_seconds": counted.tracked - counted.covered,
        "coverage": share(counted.known, counted.tracked),
        "provisional": counted.provisional,
        "edge_policy": EDGE_POLICY,
        "formula": formula,
        "water_mark": facts.water_mark,
    }
    if window.asked_until is not None:
        meta["asked_until"] = window.asked_until
    return meta


def kinds_of(meta: Mapping[str, object]) -> dict[str, ColumnKind]:
    """The kinds of the instants and durations that `meta` holds."""
    return {key: kind for key, kind in META_KINDS.items() if meta.get(key) is not None}


def in_order(agents: Iterable[AgentFacts], at: int) -> list[AgentFacts]:
    """By the name that they bear at `at`, case aside; the nameless, and namesakes, by id as a number."""
    return sorted(agents, key=lambda a: (a.description_at(at).name.casefold(), len(a.agent_id), a.agent_id))


def status_order(status: Status) -> tuple[int, int, str]:
    """Zoho's words in the order of its documentation, other words by alphabet, then absent, error and unknown."""
    return _KIND_ORDER[status.kind], _ORDER.get(status, len(_ORDER)), status.word


def wanted(status: Status | None, statuses: frozenset[str] | None) -> bool:
    """Whether a row about `status` is asked for."""
    return statuses is None or (status is not None and status.word in statuses)
