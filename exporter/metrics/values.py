"""Values of counters, gauges and histograms by label values; plain numbers, because one event loop does the counting.

prometheus-client's instruments are not used for these: each of their counters brings a `_created` series along, which
only global state turns off, and a gauge without labels cannot be absent until its value is known.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.metrics.family import Family, Type

LabelValues = tuple[str, ...]
Number = int | float


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram has seen. `counts` has one entry for each bucket and a last one for +Inf, not yet summed up."""

    counts: tuple[int, ...]
    sum: float

    def with_value(self, value: float, buckets: tuple[float, ...]) -> "Distribution":
        """This and one more value; a value equal to a bucket's bound belongs to that bucket."""
        counts = list(self.counts)
        counts[bisect_left(buckets, value)] += 1
        return Distribution(tuple(counts), self.sum + value)


Value = Number | Distribution
Frozen = Mapping[str, Mapping[LabelValues, Value]]
"""Family name to label values to value; never changes once made."""


class Values:
    """The values of a set of families. A series exists from the moment it is first counted or set."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = {family.name: family for family in families}
        self._values: dict[str, dict[LabelValues, Value]] = {name: {} for name in self._families}
        for family in self._families.values():
            if not family.labels and family.type in (Type.COUNTER, Type.HISTOGRAM):
                self.start(family.name)

    def start(self, name: str, *labels: str) -> None:
        """Make a counter or histogram exist at 0, so that `rate()` does not miss its first step."""
        family = self._families[name]
        empty: Value = Distribution((0,) * (len(family.buckets) + 1), 0.0) if family.type is Type.HISTOGRAM else 0
        self._values[name].setdefault(labels, empty)

    def add(self, name: str, *labels: str, amount: Number = 1) -> None:
        """Count `amount` (not negative) on a counter."""
        before = self._values[name].get(labels, 0)
        assert not isinstance(before, Distribution), f"{name} is a histogram"
        self._values[name][labels] = before + amount

    def set(self, name: str, *labels: str, value: Number) -> None:
        """Set a gauge."""
        self._values[name][labels] = value

    def forget(self, name: str) -> None:
        """Make a gauge's series absent until it is set again."""
        self._values[name].clear()

    def observe(self, name: str, *labels: str, value: float) -> None:
        """Add a value to a histogram."""
        self.start(name, *labels)
        before = self._values[name][labels]
        assert isinstance(before, Distribution), f"{name} is no histogram"
        self._values[name][labels] = before.with_value(value, self._families[name].buckets)

    def get(self, name: str, *labels: str) -> Value | None:
        """The present value of a series, None if it does not exist."""
        return self._values[name].get(labels)

    def freeze(self) -> Frozen:
        """All values as they are now."""
        return MappingProxyType({name: MappingProxyType(dict(series)) for name, series in self._values.items()})
