"""Whether the event loop still turns: the one thing that a restart mends, so the one that liveness depends on."""

from collections.abc import Callable
from typing import Final

from exporter.clock import Clock

_EVERY_S: Final = 1.0
_LIMIT_S: Final = 10.0


class Heartbeat:
    """Beats each second as long as the event loop runs its tasks."""

    def __init__(self, clock: Clock, told: Callable[[], None] = lambda: None) -> None:
        """`told` hears of each beat."""
        self._clock = clock
        self._told = told
        self._last = clock.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the last beat, or since this was made."""
        return self._clock.monotonic() - self._last

    @property
    def fresh(self) -> bool:
        """Whether the last beat is younger than ten seconds."""
        return self.age_s < _LIMIT_S

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._last = self._clock.monotonic()
            self._told()
            await self._clock.sleep(_EVERY_S)
