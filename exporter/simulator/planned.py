"""The planned days of everyone, simulated when first asked for and kept while there is room."""

import threading
from collections import OrderedDict

from exporter.simulator.days import Day, simulate_day
from exporter.simulator.settings import SimulationSettings
from exporter.simulator.workdays import Workday, Workdays

_AGENT_DAYS_KEPT = 60_000
"""At some 150 changes an agent and day, 9 bytes each: about 80 MB."""
_RECENT = 3


class PlannedDays:
    """What every agent does of itself, at any instant. Safe to ask from several threads."""

    def __init__(self, settings: SimulationSettings) -> None:
        self._settings = settings
        self._workdays = Workdays(settings.timezone, settings.shifts_around)
        self._most = max(3, min(400, _AGENT_DAYS_KEPT // settings.agents))
        self._kept: OrderedDict[int, Day] = OrderedDict()
        self._recent: tuple[Day, ...] = ()
        self._lock = threading.Lock()

    def day(self, at_ms: int) -> Day:
        """The working day that holds the instant; the first question about a day may take seconds."""
        # Without the lock, so that who asks about today does not wait for who has tomorrow simulated.
        for day in self._recent:
            if day.start <= at_ms < day.end:
                return day
        with self._lock:
            workday = self._workdays.day_at(at_ms)
            found = self._kept.get(workday.start) or self._simulated(workday)
            self._kept.move_to_end(workday.start)
            self._recent = (found, *(day for day in self._recent if day is not found))[:_RECENT]
        return found

    def _simulated(self, workday: Workday) -> Day:
        settings = self._settings
        day = simulate_day(settings.seed, settings.agents, settings.calls_per_agent_hour, workday)
        self._kept[workday.start] = day
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return day

    def word_at(self, position: int, at_ms: int) -> str:
        """The status that the agent has of itself."""
        return self.day(at_ms).word_at(position, at_ms)

    def changes(self, position: int, since_ms: int, until_ms: int) -> list[tuple[int, str]]:
        """Instant and new status of each planned change in [since, until), across days."""
        changes: list[tuple[int, str]] = []
        at = since_ms
        while at < until_ms:
            day = self.day(at)
            changes += day.changes(position, at, min(until_ms, day.end))
            at = day.end
        return changes

    def first_change(self, position: int, since_ms: int, until_ms: int) -> int | None:
        """When the first planned change in [since, until) happens, if there is one."""
        at = since_ms
        while at < until_ms:
            day = self.day(at)
            changes = day.changes(position, at, min(until_ms, day.end))
            if changes:
                return changes[0][0]
            at = day.end
        return None
