"""Which statuses count as what, from the settings `classes.*`."""

from typing import Final

from exporter.cli.values import Values
from exporter.errors import UsageError
from exporter.history.classes import Classes, make_classes, parse_words

NAMES: Final = ("classes.handling", "classes.available", "classes.not-ready", "classes.offline")


def classes_from(values: Values) -> Classes:
    """The classes. Raises UsageError for a word that is no status of Zoho's, and for a status in two classes."""
    for name in NAMES:
        values.one(name, parse_words)
    texts = [values.one(name, str) for name in NAMES]
    try:
        return make_classes(*texts)
    except UsageError as error:
        places = [given.where for given in map(values.given, NAMES) if given is not None and given.rank in (1, 2)]
        raise UsageError(f"{', '.join(places)}: {error}" if places else str(error)) from error
