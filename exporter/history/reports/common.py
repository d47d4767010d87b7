"""What all history reports share: the header that says how sure the answer is, and the order of agents. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.history.algebra import CoveredTime, totals
from exporter.history.facts import AgentFacts, HistoryFacts, Total
from exporter.history.question import Question
from exporter.history.window import Window
from exporter.model import KNOWN_STATUSES, Kind, Status
from exporter.report.model import ColumnKind

_ORDER: Final = {status: index for index, status in enumerate(KNOWN_STATUSES)}
_KIND_ORDER: Final = {Kind.REPORTED: 0, Kind.ABSENT: 1, Kind.ERROR: 2, Kind.UNKNOWN: 3}

META_KINDS: Final[Mapping[str, ColumnKind]] = {
    "at": ColumnKind.INSTANT,
    "since": ColumnKind.INSTANT,
    "asked_since": ColumnKind.INSTANT,
    "until": ColumnKind.INSTANT,
    "asked_until": ColumnKind.INSTANT,
    "water_mark": ColumnKind.INSTANT,
    "tracked_seconds": ColumnKind.DURATION,
    "covered_seconds": ColumnKind.DURATION,
    "known_seconds": ColumnKind.DURATION,
    "bridged_seconds": ColumnKind.DURATION,
    "bridge_limit_seconds": ColumnKind.DURATION,
    "unknown_seconds": ColumnKind.DURATION,
    "exact_seconds": ColumnKind.DURATION,
    "sampled_seconds": ColumnKind.DURATION,
    "absent_seconds": ColumnKind.DURATION,
    "error_seconds": ColumnKind.DURATION,
    "step_seconds": ColumnKind.DURATION,
    "over_limit_seconds": ColumnKind.DURATION,
    "exact_share": ColumnKind.SHARE,
    "sampled_share": ColumnKind.SHARE,
    "bridged_share": ColumnKind.SHARE,
    "unknown_share": ColumnKind.SHARE,
}
"""The kinds of whatever instants, durations and shares a header may hold."""


@dataclass(slots=True)
class Tally:
    """Milliseconds of agents' time in a window. Conservation: tracked = covered + bridged + unknown."""

    agents: int = 0
    """Those with tracked time in the window."""
    tracked: int = 0
    covered: int = 0
    """In some status, absent and error among them."""
    known: int = 0
    """In a status that Zoho reported and a poll or a log told."""
    bridged: int = 0
    """In gaps that were bridged."""
    provisional: bool = False

    def add(self, by_status: Mapping[Status, Total]) -> None:
        """Count one agent's totals in."""
        time = sum(total.time for total in by_status.values())
        if not time:
            return
        self.agents += 1
        self.tracked += time
        for status, total in by_status.items():
            self.bridged += total.bridged
            if status.kind is not Kind.UNKNOWN:
                self.covered += total.time - total.bridged
            if status.kind is Kind.REPORTED:
                self.known += total.time - total.bridged
        self.provisional = self.provisional or any(total.provisional for total in by_status.values())


def tally(agents: Iterable[AgentFacts], covered: CoveredTime, window: Window) -> Tally:
    """The tally of all `agents` in `window`."""
    result = Tally()
    for agent in agents:
        result.add(totals(agent, covered, window))
    return result


def known_time(by_status: Mapping[Status, Total]) -> int:
    """Milliseconds in statuses that Zoho reported, bridged gaps between them included: the denominator of shares."""
    return sum(total.time for status, total in by_status.items() if status.kind is Kind.REPORTED)


def share(part: int, whole: int) -> float | None:
    """`part` of `whole`; None, never 0 or 1, where there is no whole to have a part of."""
    return part / whole if whole else None


def header(report: str, facts: HistoryFacts, question: Question, counted: Tally, formula: str) -> dict[str, object]:
    """The meta of a report; `META_KINDS` says what of it are instants and durations."""
    window = question.window
    meta: dict[str, object] = {
        "report": report,
        "since": window.since,
        "until": window.until,
        "timezone": question.zone.key,
        "agents": counted.agents,
        "tracked_seconds": counted.tracked,
        "covered_seconds": counted.covered,
        "known_seconds": counted.known,
        "bridged_seconds": counted.bridged,
        "unknown_seconds": counted.tracked - counted.covered - counted.bridged,
        "coverage": share(counted.known, counted.tracked),
        "provisional": counted.provisional,
        "edge_policy": question.rules.edges.value,
        "bridge_limit_seconds": question.rules.bridge_ms,
        "formula": formula,
        "water_mark": facts.water_mark,
    }
    if window.asked_since is not None:
        meta["asked_since"] = window.asked_since
    if window.asked_until is not None:
        meta["asked_until"] = window.asked_until
    return meta


def kinds_of(meta: Mapping[str, object]) -> dict[str, ColumnKind]:
    """The kinds of the instants, durations and shares that `meta` holds."""
    return {key: kind for key, kind in META_KINDS.items() if meta.get(key) is not None}


def in_order(agents: Iterable[AgentFacts], at: int) -> list[AgentFacts]:
    """By the name that they bear at `at`, case aside; the nameless, and namesakes, by id as a number."""
    return sorted(agents, key=lambda a: (a.description_at(at).name.casefold(), len(a.agent_id), a.agent_id))


def status_order(status: Status) -> tuple[int, int, str]:
    """Zoho's words in the order of its documentation, other words by alphabet, then absent, error and unknown."""
    return _KIND_ORDER[status.kind], _ORDER.get(status, len(_ORDER)), status.word
