"""What is made at a scrape: the small part that tells of the process and of the requests answered here, and the body.

Both are kept for a while, so that a scrape costs next to nothing however many there are.
"""

import logging
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector

from exporter.clock import Clock
from exporter.metrics.exposition import Body, Exposition
from exporter.metrics.families import FAMILIES
from exporter.metrics.family import Family, Part, Type
from exporter.metrics.text import Format, header, series_lines
from exporter.metrics.values import LabelValues, Number, Values

log: Final = logging.getLogger(__name__)

_REQUESTS: Final = "zohovoice_exporter_http_requests_total"
_KEPT_S: Final = 1.0
"""How long the part is kept: to read /proc takes longer than all else that a scrape does."""


class ScrapePart:
    """Counts HTTP requests and renders the part, at most once a second; with `enabled` false it renders nothing."""

    def __init__(self, clock: Clock, *, enabled: bool = True) -> None:
        self._clock = clock
        self._enabled = enabled
        self._values = Values(family for family in FAMILIES if family.part is Part.SCRAPE)
        self._rendered: dict[Format, tuple[float, bytes]] = {}
        """When (monotonic), and what."""
        # Each in a registry of its own: one that fails must not take the others along.
        self._registries = tuple(CollectorRegistry(auto_describe=False) for _ in range(3 * enabled))
        self._failed: set[CollectorRegistry] = set()
        for make, registry in zip((ProcessCollector, PlatformCollector, GCCollector), self._registries, strict=False):
            make(registry=registry)

    def expect(self, *handlers: str) -> None:
        """Start the counters of these handlers at 0."""
        for handler in handlers:
            self._values.start(_REQUESTS, handler, "200")

    def answered(self, handler: str, code: int) -> None:
        """Count a request that `handler` answered with the status code `code`."""
        self._values.add(_REQUESTS, handler, str(code))

    def render(self, form: Format) -> bytes:
        """The part as it is, or was less than a second ago, in one of the formats; without what ends a body."""
        now = self._clock.monotonic()
        made, part = self._rendered.get(form, (-_KEPT_S, b""))
        if now - made >= _KEPT_S:
            part = self._render(form) if self._enabled else b""
            self._rendered[form] = now, part
        return part

    def _render(self, form: Format) -> bytes:
        lines: list[str] = []
        for registry in self._registries:
            lines += self._collected(registry, form)
        values = self._values.freeze()
        for family in (family for family in FAMILIES if family.part is Part.SCRAPE):
            lines.append(header(family, form))
            lines.extend(series_lines(family, values[family.name]))
        return "".join(lines).encode()

    def _collected(self, registry: CollectorRegistry, form: Format) -> list[str]:
        """The lines of one of prometheus-client's collectors; none if it fails, which is logged once."""
        lines: list[str] = []
        try:
            for metric in registry.collect():
                family, series = _own_terms(metric)
                lines.append(header(family, form))
                lines.extend(series_lines(family, series))
        except Exception:
            if registry not in self._failed:
                self._failed.add(registry)
                log.exception("a part of the process' metrics could not be made, and is left out")
            return []
        return lines


class Bodies:
    """The bodies of scrapes. The packed ones are kept for as long as nothing in them changes."""

    def __init__(self, part: ScrapePart) -> None:
        self._part = part
        self._packed: dict[Format, tuple[bytes, bool, Body]] = {}

    def forget(self) -> None:
        """Another exposition will be asked for."""
        self._packed.clear()

    def body(self, exposition: Exposition, form: Format, *, gzip: bool, with_agents: bool) -> Body:
        """The body of a scrape; `exposition` is the same each time until `forget` is called."""
        part = self._part.render(form)
        if not gzip:
            return exposition.body(form, gzip=False, scrape_part=part, with_agents=with_agents)
        packed = self._packed.get(form)
        if packed is not None and packed[0] is part and packed[1] is with_agents:
            return packed[2]
        body = exposition.body(form, gzip=True, scrape_part=part, with_agents=with_agents)
        self._packed[form] = part, with_agents, body
        return body


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
