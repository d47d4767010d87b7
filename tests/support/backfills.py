"""Exports as OpenMetrics, read back with the strict parser of prometheus-client."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.history.reader import HistoryReader
from exporter.history.transfer.progress import SilentProgress
from exporter.openmetrics.export import Backfill, openmetrics

Labels = tuple[str, ...]
Series = dict[Labels, dict[int, float]]
"""By the values of its labels, without job and instance, the values by the second since 1970."""
TARGET = {"job": "zohovoice", "instance": "localhost:10042"}


def asked(until: int, *, since: int | None = None, step_ms: int = 60_000, **more: bool) -> Backfill:
    """An export whose `now` is its end."""
    return replace(Backfill(since, until, until, **TARGET, step_ms=step_ms), **more)  # type: ignore[arg-type] # flags


def text_of(path: Path, wanted: Backfill) -> str:
    with HistoryReader.open(path) as reader:
        return "".join(openmetrics(reader, wanted, SilentProgress()))


def read_back(text: str) -> dict[str, Series]:
    """By the name of the samples; each sample must have a time, and a series must not have two at one."""
    found: defaultdict[str, Series] = defaultdict(dict)
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call] # theirs
        for sample in family.samples:
            labels = dict(sample.labels)
            assert {name: labels.pop(name) for name in TARGET} == TARGET
            series = found[sample.name].setdefault(tuple(labels.values()), {})
            second = float(sample.timestamp)
            assert second.is_integer()
            assert second not in series
            series[int(second)] = sample.value
    return found


def exported(path: Path, wanted: Backfill) -> dict[str, Series]:
    return read_back(text_of(path, wanted))
