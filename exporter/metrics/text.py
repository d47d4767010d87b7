"""The two text formats of Prometheus, line by line: escaping, numbers, headers, series.

Text 0.0.4: Prometheus' page "Exposition formats". OpenMetrics: the text format of its 1.0 specification. The lines of
samples are the same in both, so they are made once; only what stands before them differs.
"""

from collections.abc import Iterator, Mapping
from enum import Enum

from exporter.metrics.family import Family, Type
from exporter.metrics.values import Distribution, LabelValues, Value


class Format(Enum):
    """How a body is written. OpenMetrics 0.0.1 and 1.0.0 differ in nothing that is used here."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"


_UNPRINTABLE_IN_UTF8 = range(0xD800, 0xE000)
_REPLACEMENTS = {0x00: "\ufffd", 0x0D: " "} | dict.fromkeys(_UNPRINTABLE_IN_UTF8, "\ufffd")


def cleaned(text: str) -> str:
    """`text` with what a label's value must not hold replaced.

    Lone surrogates cannot be encoded, NUL cuts strings short in C programs, and a CR ends lines for naive parsers.
    """
    if text.isprintable():  # the rule; neither surrogates nor control characters are printable
        return text
    return text.translate(_REPLACEMENTS)


def escaped(cleaned_text: str) -> str:
    """A label's value as it stands between its quotes."""
    return cleaned_text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """A sample's value. Integers are written without a fraction, exactly."""
    return str(value) if isinstance(value, int) else repr(value)


def header(family: Family, form: Format) -> str:
    """The HELP and TYPE lines of a family, and its UNIT line in OpenMetrics."""
    words = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    if form is Format.TEXT:
        kind = Type.GAUGE if family.type is Type.INFO else family.type
        return f"# HELP {family.name} {words}\n# TYPE {family.name} {kind.value}\n"
    name = family.openmetrics_name
    unit = f"# UNIT {name} {family.unit}\n" if family.unit else ""
    words = words.replace('"', '\\"')
    return f"# HELP {name} {words}\n# TYPE {name} {family.type.value}\n{unit}"


def series_lines(family: Family, series: Mapping[LabelValues, Value]) -> Iterator[str]:
    """The lines of a family's samples, in the order of the series."""
    for labels, value in series.items():
        pairs = ",".join(f'{name}="{escaped(cleaned(text))}"' for name, text in zip(family.labels, labels, strict=True))
        if isinstance(value, Distribution):
            yield from _distribution_lines(family, pairs, value)
        elif pairs:
            yield f"{family.name}{{{pairs}}} {number(value)}\n"
        else:
            yield f"{family.name} {number(value)}\n"


def _distribution_lines(family: Family, pairs: str, value: Distribution) -> Iterator[str]:
    """The buckets, each with all that the ones before it hold, the sum and the count."""
    before = f"{pairs}," if pairs else ""
    braces = f"{{{pairs}}}" if pairs else ""
    total = 0
    for bound, count in zip((*map(repr, family.buckets), "+Inf"), value.counts, strict=True):
        total += count
        yield f'{family.name}_bucket{{{before}le="{bound}"}} {total}\n'
    yield f"{family.name}_sum{braces} {number(value.sum)}\n"
    yield f"{family.name}_count{braces} {total}\n"
