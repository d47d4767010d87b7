"""One time for everybody, which passes whenever somebody looks at it.

Zoho's clock (the simulator's) is right. The exporter's wall clock may be set; its monotonic clock never is.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

_GRAINS_US: Final = (0, 0, 1, 7, 300, 999, 1_400, 20_000)
"""How long it may be between two looks at a clock."""
LONGEST_LOOK_MS: Final = 700


class Segment(NamedTuple):
    """From a true instant on the exporter's wall clock is ahead of the truth by so much."""

    since_us: int
    ahead_ms: int


class World:
    """True time, in microseconds since 1970."""

    def __init__(self, start_ms: int, chance: Random) -> None:
        self.us = self._start_us = start_ms * 1_000
        self.segments = [Segment(0, 0)]
        self.on_look: Callable[[], None] = lambda: None
        """Called at each look: what happens meanwhile."""
        self._chance = chance
        self._countdowns: list[tuple[int, Callable[[], object]]] = []
        self._looking = False
        self._sleepers: list[tuple[int, asyncio.Event]] = []

    @property
    def ahead_ms(self) -> int:
        """How far the exporter's wall clock is ahead now."""
        return self.segments[-1].ahead_ms

    @property
    def sleepers(self) -> int:
        """How many sleep until time has passed of itself."""
        return len(self._sleepers)

    def step(self, by_ms: int) -> None:
        """Set the exporter's wall clock."""
        self.segments.append(Segment(self.us, self.ahead_ms + by_ms))

    def pass_us(self, microseconds: int) -> None:
        self.us += microseconds
        for sleeper in [sleeper for sleeper in self._sleepers if sleeper[0] <= self.us]:
            self._sleepers.remove(sleeper)
            sleeper[1].set()

    def let_pass(self, milliseconds: int) -> None:
        """Let time pass; in it others go on with what they do."""
        for _ in range(8):
            self.pass_us(milliseconds * 125)
            self.look()

    def look(self) -> float:
        """Somebody looks at a clock, and that takes time; the monotonic time in seconds."""
        grain = LONGEST_LOOK_MS * 1_000 if self._chance.random() < 0.004 else self._chance.choice(_GRAINS_US)
        self.pass_us(grain)
        if not self._looking:
            self._looking = True
            try:
                self._count_down()
                self.on_look()
            finally:
                self._looking = False
        return (self.us - self._start_us) / 1e6

    def after_looks(self, number: int, action: Callable[[], object]) -> None:
        """Do something at the so-manieth look from now: in the middle of whatever will be going on."""
        self._countdowns.append((number, action))

    def forget_countdowns(self) -> None:
        self._countdowns.clear()

    async def sleep_until(self, us: int) -> None:
        """Wait until others have made it that late."""
        sleeper = us, asyncio.Event()
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def true_ms(self, wall_ms: int, since_us: int, until_us: int) -> int:
        """The true instant in [since, until] at which the exporter's wall clock has shown `wall_ms`."""
        for segment, after in zip(self.segments, [*self.segments[1:], Segment(until_us + 1, 0)], strict=True):
            true = wall_ms - segment.ahead_ms
            if max(segment.since_us, since_us) // 1_000 <= true <= min(after.since_us, until_us) // 1_000:
                return true
        raise AssertionError(f"the exporter's clock has not shown {wall_ms} between {since_us} and {until_us} us")

    def _count_down(self) -> None:
        due = [action for left, action in self._countdowns if left <= 1]
        self._countdowns = [(left - 1, action) for left, action in self._countdowns if left > 1]
        for action in due:
            action()


class ZohoClock:
    """The simulator's clock. Each look at its wall is a millisecond of its own, so that the order of things is sure."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        self._world.look()
        self._world.pass_us(1_000 - self._world.us % 1_000)
        return self._world.us // 1_000

    def monotonic(self) -> float:
        return self._world.look()

    async def sleep(self, seconds: float) -> None:
        self._world.pass_us(round(max(0.0, seconds) * 1e6))
        await asyncio.sleep(0)


class ExporterClock:
    """The exporter's clocks. Who sleeps makes time pass."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        self._world.look()
        return self._world.us // 1_000 + self._world.ahead_ms

    def monotonic(self) -> float:
        return self._world.look()

    async def sleep(self, seconds: float) -> None:
        self._world.pass_us(round(max(0.0, seconds) * 1e6))
        await asyncio.sleep(0)


class PatientClock:
    """For what runs in the background: looking takes no time, and who sleeps waits until others have made time pass."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        return self._world.us // 1_000 + self._world.ahead_ms

    def monotonic(self) -> float:
        return self._world.us / 1e6

    async def sleep(self, seconds: float) -> None:
        await self._world.sleep_until(self._world.us + round(max(0.0, seconds) * 1e6))
