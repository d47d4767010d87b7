"""A clock that tests move."""

import asyncio


class FakeClock:
    """Time that passes only when somebody sleeps or `pass_time` is called; both clocks move together unless stepped."""

    def __init__(self, now_ms: int = 1_700_000_000_000, monotonic: float = 1_000.0) -> None:
        self._now_ms = float(now_ms)
        self._monotonic = monotonic
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return round(self._now_ms)

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_time(max(0.0, seconds))
        await asyncio.sleep(0)

    def pass_time(self, seconds: float) -> None:
        self._now_ms += seconds * 1000
        self._monotonic += seconds

    def step(self, milliseconds: int) -> None:
        """Set the wall clock forward (or back) without time passing."""
        self._now_ms += milliseconds
