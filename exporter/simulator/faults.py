"""The switchboard: which fault is on at which endpoint and for how many requests more; and faults written as text."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from exporter.errors import UsageError
from exporter.simulator.kinds import ALWAYS, EVERYWHERE, RULES, Fault, FaultKind, Label, check_fault

__all__ = ["EVERYWHERE", "Fault", "FaultKind", "Label", "PlacedFault", "Switchboard", "parse_fault"]


@dataclass(frozen=True, slots=True)
class PlacedFault:
    """A fault, where it is, and for how many requests more (None: until it is cleared)."""

    where: str
    fault: Fault
    times: int | None = None


def parse_fault(spec: str) -> PlacedFault:
    """A fault from text: `statuses:throttle-429,retry_after=20,times=3`; `*` stands for every endpoint.

    Raises UsageError that names the wrong part and says what it can be.
    """
    where, colon, rest = spec.partition(":")
    name, *settings = rest.split(",")
    if not colon or not name:
        raise UsageError(f"'{spec}' is no fault: write ENDPOINT:FAULT[,NAME=VALUE…], such as statuses:slow,seconds=5")
    if where != EVERYWHERE and where not in {label.value for label in Label}:
        known = ", ".join(label.value for label in Label)
        raise UsageError(f"'{where}' in the fault '{spec}' is no endpoint: give {known} or *")
    try:
        kind = FaultKind(name.strip())
    except ValueError as error:
        known = ", ".join(kind.value for kind in FaultKind)
        raise UsageError(f"'{name}' in '{spec}' is no fault: the faults are {known}") from error
    particulars = _particulars(spec, kind, settings)
    times = particulars.pop("times", None)
    placed = PlacedFault(where, Fault(kind, **particulars), times)  # type: ignore[arg-type]  # checked by _particulars
    check_fault(where, placed.fault)
    return placed


_NUMBERS: Final = {"times": int, "retry_after": int, "status": int, "count": int, "delta": int, "megabytes": int,
                   "seconds": float, "factor": float}  # fmt: skip


def _particulars(spec: str, kind: FaultKind, settings: list[str]) -> dict[str, int | float | str]:
    allowed = RULES[kind].particulars | ALWAYS
    found: dict[str, int | float | str] = {}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or name not in allowed:
            raise UsageError(f"'{setting}' in the fault '{spec}' is not understood: {kind.value} takes "
                             f"{', '.join(sorted(allowed))}")  # fmt: skip
        if name in found:
            raise UsageError(f"'{name}' is given twice in the fault '{spec}'")
        found[name] = _value(spec, name, value)
    return found


def _value(spec: str, name: str, value: str) -> int | float | str:
    number = _NUMBERS.get(name)
    if number is None:
        return value
    try:
        return int(value) if number is int else float(value)
    except ValueError as error:
        kind = "a whole number" if number is int else "a number"
        raise UsageError(f"{name}={value} in the fault '{spec}' is not {kind}") from error


@dataclass(slots=True)
class _Placed:
    fault: Fault
    times: int | None
    seen: int = 0
    """Requests that the fault was considered for, whether it hit them or not."""


def _always(_: Fault) -> bool:
    return True


class Switchboard:
    """At most one fault at an endpoint at a time; others may wait behind it. Safe to use from several threads."""

    def __init__(self, placed: Iterable[PlacedFault] = ()) -> None:
        self._placed: dict[Label, list[_Placed]] = {label: [] for label in Label}
        self._generation = dict.fromkeys(Label, 0)
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        for one in placed:
            self.add(one.where, one.fault, one.times)

    def set(self, where: str, fault: Fault, times: int | None = None) -> None:
        """Put a fault at an endpoint (or `*`), in place of what was there, for the next `times` requests or for good.

        Raises UsageError for a fault that makes no sense there.
        """
        self._put(where, fault, times, replace_others=True)

    def add(self, where: str, fault: Fault, times: int | None = None) -> None:
        """Put a fault behind those already there: it begins when their times are used up."""
        self._put(where, fault, times, replace_others=False)

    def clear(self, where: str | None = None) -> None:
        """Take away the faults of an endpoint, or all of them; what hangs because of them is answered."""
        labels = list(Label) if where in (None, EVERYWHERE) else [label for label in Label if label.value == where]
        if not labels:
            raise UsageError(f"'{where}' is no endpoint: give {', '.join(label.value for label in Label)}")
        with self._lock:
            for label in labels:
                self._placed[label].clear()
                self._generation[label] += 1
        self._tell()

    def take(self, label: Label, applies: Callable[[Fault], bool] = _always) -> Fault | None:
        """The fault that hits a request now arriving, if any; counts it. One that does not apply is left as it is."""
        with self._lock:
            placed = self._placed[label]
            if not placed or not applies(placed[0].fault):
                return None
            first = placed[0]
            first.seen += 1
            factor = first.fault.factor
            if int(first.seen * factor) == int((first.seen - 1) * factor):
                return None
            if first.times is not None:
                first.times -= 1
                if first.times == 0:
                    placed.pop(0)
            return first.fault

    def generation(self, label: Label) -> int:
        """A number that changes whenever the endpoint's faults are set or cleared."""
        return self._generation[label]

    def active(self) -> tuple[PlacedFault, ...]:
        """What is on, in order, with the requests that each is still on for."""
        with self._lock:
            return tuple(
                PlacedFault(label.value, placed.fault, placed.times)
                for label in Label
                for placed in self._placed[label]
            )

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each change, in the changing thread; the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _put(self, where: str, fault: Fault, times: int | None, *, replace_others: bool) -> None:
        labels = check_fault(where, fault)
        if times is not None and times < 1:
            raise UsageError(f"the fault {fault.kind.value} cannot be on for {times} requests: give 1 or more")
        with self._lock:
            for label in labels:
                if replace_others:
                    self._placed[label].clear()
                    self._generation[label] += 1
                self._placed[label].append(_Placed(fault, times))
        if replace_others:
            self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()
