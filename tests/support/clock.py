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


class HeldClock(FakeClock):
    """The same, but who sleeps waits until somebody else lets that much time pass: sleeping moves nothing."""

    def __init__(self, now_ms: int = 1_700_000_000_000, monotonic: float = 1_000.0) -> None:
        super().__init__(now_ms, monotonic)
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.monotonic() + seconds, woken))
        self._wake()
        await woken

    def pass_time(self, seconds: float) -> None:
        super().pass_time(seconds)
        self._wake()

    def _wake(self) -> None:
        for until, woken in self._sleeping:
            if until <= self.monotonic() and not woken.done():
                woken.set_result(None)
        self._sleeping = [(until, woken) for until, woken in self._sleeping if not woken.done()]


async def settle() -> None:
    """Let everything go on that need not wait for time to pass."""
    for _ in range(50):
        await asyncio.sleep(0)
