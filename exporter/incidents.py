"""What happened to the recording, noted in the history beside the facts: clock steps, refused polls, lost facts."""

import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from exporter.clock import utc_text
from exporter.history.connection import UNUSABLE
from exporter.waiting import Lost

log: Final = logging.getLogger(__name__)

_MOST: Final = 1_000


class _Incident(NamedTuple):
    at: int
    kind: str
    detail: str


class Incidents:
    """Those that are not written yet, in order. Facts do not wait for them; of too many the oldest are forgotten."""

    def __init__(self, write: Callable[[int, str, str], Awaitable[None]]) -> None:
        """`write` puts one into the history: the instant (ms UTC), the kind, a sentence."""
        self._write = write
        self._waiting: deque[_Incident] = deque(maxlen=_MOST)
        self._lost: Lost | None = None

    def note(self, at: int, kind: str, detail: str) -> None:
        """Queue an incident at the instant `at`, ms UTC."""
        self._waiting.append(_Incident(at, kind, detail))

    def lose(self, lost: Lost) -> None:
        """Facts were given up. All that are until `note_what_was_lost` make one incident."""
        self._lost = lost if self._lost is None else self._lost.plus(lost)

    def note_what_was_lost(self) -> None:
        """Nothing more is being lost, for now."""
        lost, self._lost = self._lost, None
        if lost is not None:
            span = f"received from {utc_text(lost.first)} to {utc_text(lost.last)}"
            self.note(lost.first, "not written", f"{lost.polls} polls {span} and their transitions are lost")

    async def write(self) -> None:
        """Write what is queued, as far as that works; the rest stays queued."""
        while self._waiting:
            incident = self._waiting[0]
            try:
                await self._write(*incident)
            except sqlite3.IntegrityError as error:
                _log_not_noted(incident, str(error))  # it would fail again
            except UNUSABLE:
                return
            # While it was written it may itself have become one of too many.
            if self._waiting[0] is incident:
                self._waiting.popleft()

    def give_up(self, why: str) -> None:
        """No more can be written: say in the log what is not in the history."""
        for incident in self._waiting:
            _log_not_noted(incident, why)


def _log_not_noted(incident: _Incident, why: str) -> None:
    fields = {"kind": incident.kind, "detail": incident.detail, "error": why}
    log.warning("an incident was not noted", extra={"fields": fields})
