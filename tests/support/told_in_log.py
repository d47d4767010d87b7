"""What a line of the log says beside its message."""

import logging
from typing import Any


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record, as `exporter.logs` writes them after the message; none if it has none."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields
