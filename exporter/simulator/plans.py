"""What an agent means to do on a working day, before any call comes: shift, breaks, meetings, sudden log-outs."""

import random
from dataclasses import dataclass
from typing import Final

from exporter.model import BUSY, ON_BREAK
from exporter.simulator.randomness import seeded
from exporter.simulator.workdays import OPENING, Workday

MINUTE: Final = 60_000

# Three overlapping shifts, in wall minutes since opening: all of them are at work around the middle of the day.
_SHIFTS: Final = ((0, 480), (120, 600), (240, 720))
_LATE_SHARE, _SICK_SHARE, _MEETING_SHARE, _DROP_SHARE = 0.1, 0.04, 0.25, 0.1


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which the agent takes no call: begins at `at` (ms), or when the call then running is over."""

    at: int
    length: int
    word: str


@dataclass(frozen=True, slots=True)
class Drop:
    """A sudden log-out at `at` (ms), even out of a call, for `length` ms."""

    at: int
    length: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A day of one agent."""

    login: int
    logout: int
    pauses: tuple[Pause, ...]
    drops: tuple[Drop, ...]


def plan_of(seed: int, position: int, day: Workday) -> Plan | None:
    """The plan of the agent at `position` on that day, or None on a day off. Depends on nobody else's day."""
    rng = seeded("plan", seed, day.date.isoformat(), position)
    if _is_off(position, day) or rng.random() < _SICK_SHARE:
        return None
    week = day.date.toordinal() // 7
    first, last = _SHIFTS[(position + week) % len(_SHIFTS)]
    start, end = day.at(OPENING + first), day.at(OPENING + last)
    login = start + _between(rng, -6, 4)
    if rng.random() < _LATE_SHARE:
        login = start + _between(rng, 5, 45)
    logout = end + _between(rng, -3, 8)
    return Plan(login, logout, _pauses(rng, start), _drops(rng, login, logout))


def _is_off(position: int, day: Workday) -> bool:
    """Two days off a week, next to each other; most agents have the weekend, unless every day is alike."""
    weekday = day.date.weekday()
    if day.every_day_alike or position % 5 in (1, 3):
        return (weekday - position) % 7 < 2
    return weekday >= 5


def _pauses(rng: random.Random, start: int) -> tuple[Pause, ...]:
    pauses = [
        Pause(start + _between(rng, 70, 130), _between(rng, 4, 16), ON_BREAK.word),
        Pause(start + _between(rng, 180, 270), _between(rng, 25, 55), ON_BREAK.word),
        Pause(start + _between(rng, 330, 420), _between(rng, 4, 16), ON_BREAK.word),
    ]
    if rng.random() < _MEETING_SHARE:
        pauses.append(Pause(start + _between(rng, 30, 440), _between(rng, 10, 45), BUSY.word))
    return tuple(sorted(pauses, key=lambda pause: pause.at))


def _drops(rng: random.Random, login: int, logout: int) -> tuple[Drop, ...]:
    if rng.random() >= _DROP_SHARE:
        return ()
    return (Drop(round(rng.uniform(login, logout)), round(_between(rng, 0, 15) + 10_000)),)


def _between(rng: random.Random, least: float, most: float) -> int:
    """Milliseconds for a number of minutes between the two."""
    return round(rng.uniform(least, most) * MINUTE)
