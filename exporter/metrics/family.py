"""What a metric family is, before any of them is named."""

from dataclasses import dataclass
from enum import Enum


class Type(Enum):
    """The type of a family. An info is a gauge in the text format, which has no such type."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


class Part(Enum):
    """When a family is rendered."""

    SNAPSHOT = "snapshot"
    """When a poll ends; every scrape until the next poll gets the same bytes."""
    SCRAPE = "scrape"
    """At a scrape, but at most once a second: those in between get the same bytes."""


class Shown(Enum):
    """What has to be so for a family to be exposed. The values are what the documentation says."""

    ALWAYS = "always"
    KNOWN = "once its value is known"
    FRESH = "while the last good poll is not older than --poll.max-age"
    PER_AGENT = "like the agents' families, with --metrics.per-agent"
    AGENT_SECONDS = "like the agents' families, with --metrics.per-agent and --metrics.agent-seconds"
    NAMES = "like the agents' families, with --metrics.per-agent and --metrics.names"
    LAST_SEEN = "like the agents' families, with --metrics.per-agent and --metrics.last-seen, once the value is known"
    EXPORTER = "unless --web.disable-exporter-metrics"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family. `name` is the one of the text format: a counter's ends in `_total`, an info's in `_info`."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    shown: Shown = Shown.ALWAYS
    part: Part = Part.SNAPSHOT
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets in seconds, without +Inf."""

    @property
    def openmetrics_name(self) -> str:
        """The family's name in OpenMetrics, where a suffix that its type adds to the samples is no part of it."""
        suffix = {Type.COUNTER: "_total", Type.INFO: "_info"}.get(self.type, "")
        return self.name.removesuffix(suffix)

    @property
    def unit(self) -> str:
        """The base unit that OpenMetrics' UNIT line states, "" if there is none."""
        if self.type is Type.INFO:
            return ""
        last = self.openmetrics_name.rpartition("_")[2]
        return last if last in ("seconds", "bytes") else ""
