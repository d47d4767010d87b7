"""prometheus-client's own server with the same families and values as an exposition of ours.

Run as `python -m tests.benchmarks.web.clients_own FILE`; prints its port, and ends when its standard input does. What
it holds are plain numbers; the families are made of them at each scrape, as its documentation shows for exporters.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, disable_created_metrics, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

PROCESS = ("process_", "python_", "zohovoice_exporter_http_requests")
"""Families that differ from process to process, or from scrape to scrape."""


@dataclass(frozen=True, slots=True)
class Held:
    """A family: its kind, and its values as lists of label values and a number."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    values: list[tuple[list[str], float]]
    buckets: list[tuple[list[str], list[tuple[str, float]], float]]


def held(text: str) -> list[Held]:
    """The families of a body in text format, without those of the process."""
    return [_held(family) for family in text_string_to_metric_families(text) if not family.name.startswith(PROCESS)]


def _held(family: Metric) -> Held:
    first = family.samples[0]
    labels = tuple(label for label in first.labels if label != "le")
    if family.type != "histogram":
        values = [([sample.labels[label] for label in labels], sample.value) for sample in family.samples]
        return Held(family.name, family.type, family.documentation, labels, values, [])
    by_labels: dict[tuple[str, ...], tuple[list[tuple[str, float]], list[float]]] = {}
    for sample in family.samples:
        bounds, total = by_labels.setdefault(tuple(sample.labels[label] for label in labels), ([], []))
        if sample.name.endswith("_bucket"):
            bounds.append((sample.labels["le"], sample.value))
        elif sample.name.endswith("_sum"):
            total.append(sample.value)
    buckets = [(list(key), bounds, total[0]) for key, (bounds, total) in by_labels.items()]
    return Held(family.name, family.type, family.documentation, labels, [], buckets)


class Collector:
    """Makes the families anew at each scrape."""

    def __init__(self, families: Iterable[Held]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            yield _made(family)


def _made(family: Held) -> Metric:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, buckets, total in family.buckets:
            histogram.add_metric(labels, buckets, total)
        return histogram
    plain = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made = plain(family.name, family.help, labels=family.labels)
    for labels, value in family.values:
        made.add_metric(labels, value)
    return made


def main() -> None:
    """Serve until standard input ends."""
    disable_created_metrics()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(held(Path(sys.argv[1]).read_text())))  # type: ignore[arg-type] # it has collect()
    server, _ = start_http_server(0, "127.0.0.1", registry=registry)
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
