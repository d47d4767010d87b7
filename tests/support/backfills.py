"""Exports as OpenMetrics: read back with the strict parser of prometheus-client, and made into blocks by promtool."""

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.history.reader import HistoryReader
from exporter.history.transfer.progress import SilentProgress
from exporter.openmetrics.export import Backfill, openmetrics
from tests.support.programs import promtool

Labels = tuple[str, ...]
Series = dict[Labels, dict[int, float]]
"""By the values of its labels, without job and instance, the values by the second since 1970."""
TARGET = {"job": "zohovoice", "instance": "localhost:10042"}


LONG_AFTER = 86_400_000
"""So long after its end an export is made if nothing else is said: no poll can add to its window any more."""


def asked(
    until: int, *, since: int | None = None, now: int | None = None, step_ms: int = 60_000, **more: bool
) -> Backfill:
    wanted = Backfill(since, until, until + LONG_AFTER if now is None else now, **TARGET, step_ms=step_ms)
    return replace(wanted, **more)  # type: ignore[arg-type] # flags


def text_of(path: Path, wanted: Backfill) -> str:
    with HistoryReader.open(path) as reader:
        return "".join(pieces(reader, wanted))


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


def pieces(reader: HistoryReader, wanted: Backfill) -> Iterator[str]:
    return openmetrics(reader, wanted, SilentProgress())


def exported(path: Path, wanted: Backfill) -> dict[str, Series]:
    return read_back(text_of(path, wanted))


def make_blocks(text: str, directory: Path) -> None:
    """Have promtool make blocks of an export in `directory`/tsdb, beside those that are there."""
    file = directory / "history.om"
    file.write_text(text, encoding="utf-8")
    # Its own option for longer blocks saves reading the file again for every two hours.
    command = [promtool(), "tsdb", "create-blocks-from", "--max-block-duration=24h", "openmetrics"]
    done = subprocess.run([*command, file, directory / "tsdb"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
