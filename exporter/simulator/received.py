"""What the simulator was asked, when, and what it answered: so that tests can state request rates."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from exporter.simulator.kinds import FaultKind, Label

_KEPT: Final = 20_000
"""Requests per endpoint whose particulars are remembered."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that came in. `monotonic` is in seconds, `at` in wall milliseconds."""

    at: int
    monotonic: float
    fault: FaultKind | None


class Received:
    """Counts requests per endpoint, and remembers the latest 20,000 of each."""

    def __init__(self) -> None:
        self._totals = dict.fromkeys(Label, 0)
        self._latest: dict[Label, deque[ReceivedRequest]] = {label: deque(maxlen=_KEPT) for label in Label}

    def note(self, label: Label, request: ReceivedRequest) -> None:
        """A request has come in."""
        self._totals[label] += 1
        self._latest[label].append(request)

    def total(self, label: Label | str) -> int:
        """How many requests an endpoint received since the start, or since `forget`."""
        return self._totals[Label(label)]

    def requests(self, label: Label | str) -> tuple[ReceivedRequest, ...]:
        """The latest requests to an endpoint, oldest first."""
        return tuple(self._latest[Label(label)])

    def forget(self) -> None:
        """Count from zero again."""
        for label in Label:
            self._totals[label] = 0
            self._latest[label].clear()
