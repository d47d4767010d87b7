"""The small part of a body that is made at each scrape: the process, Python, and the requests answered here."""

from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector

from exporter.metrics.families import FAMILIES, Family, Part, Type
from exporter.metrics.text import Format, header, series_lines
from exporter.metrics.values import LabelValues, Number, Values

_REQUESTS: Final = "zohovoice_exporter_http_requests_total"


class ScrapePart:
    """Counts HTTP requests and renders the part; with `enabled` false it renders nothing."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._values = Values(family for family in FAMILIES if family.part is Part.SCRAPE)
        self._registry = CollectorRegistry(auto_describe=False)
        if enabled:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
            GCCollector(registry=self._registry)

    def expect(self, *handlers: str) -> None:
        """Start the counters of these handlers at 0."""
        for handler in handlers:
            self._values.start(_REQUESTS, handler, "200")

    def answered(self, handler: str, code: int) -> None:
        """Count a request that `handler` answered with the status code `code`."""
        self._values.add(_REQUESTS, handler, str(code))

    def render(self, form: Format) -> bytes:
        """The part, in one of the formats, without what ends a body."""
        if not self._enabled:
            return b""
        lines: list[str] = []
        for metric in self._registry.collect():
            family, series = _own_terms(metric)
            lines.append(header(family, form))
            lines.extend(series_lines(family, series))
        for family in (family for family in FAMILIES if family.part is Part.SCRAPE):
            lines.append(header(family, form))
            lines.extend(series_lines(family, self._values.freeze()[family.name]))
        return "".join(lines).encode()


def _own_terms(metric: Metric) -> tuple[Family, dict[LabelValues, Number]]:
    """A gauge or counter of prometheus-client's collectors in the terms of our own renderer."""
    kind = Type(metric.type)
    name = f"{metric.name}_total" if kind is Type.COUNTER else metric.name
    samples = [sample for sample in metric.samples if sample.name == name]
    labels = tuple(samples[0].labels) if samples else ()
    family = Family(name, kind, metric.documentation, labels)
    return family, {tuple(sample.labels.values()): _plain(sample.value) for sample in samples}


def _plain(value: float) -> Number:
    return int(value) if float(value).is_integer() else value
