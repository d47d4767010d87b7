"""Which value of the label `status` a status has; the number of values is bounded, whatever Zoho sends."""

import logging
from typing import Final

from exporter.metrics.text import cleaned
from exporter.model import KNOWN_STATUSES, UNKNOWN, Kind, Status

log = logging.getLogger(__name__)

OTHER: Final = "other"
"""Stands for every word beyond the first `WORD_LIMIT` undocumented ones."""
WORD_LIMIT: Final = 20
CLOSED: Final = (*(status.word for status in KNOWN_STATUSES), UNKNOWN.word)
"""The labels that are always there."""


def is_unrecognised(status: Status) -> bool:
    """Whether Zoho said a word that is none of the five documented ones."""
    return status.kind is Kind.REPORTED and status not in KNOWN_STATUSES


class StatusLabels:
    """The labels in use, in the order of their appearance; one that has appeared stays until the process ends.

    A label that stays keeps its series going at 0, and a counter under it never starts anew.
    """

    def __init__(self) -> None:
        self._labels = list(CLOSED)
        self._index: dict[Status, int] = {status: place for place, status in enumerate(KNOWN_STATUSES)}
        self._words = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels so far; a label's place in it never changes."""
        return tuple(self._labels)

    def place(self, status: Status) -> int:
        """Where the label of `status` stands in `labels`, which may grow by it.

        Error rows, agents that were not answered for, and an empty word are all `unknown`.
        """
        place = self._index.get(status)
        if place is None:
            place = self._admit(self._label(status))
            # Words that no longer get a label of their own are not remembered: there is no end to them.
            if len(self._index) < 2 * WORD_LIMIT + len(CLOSED):
                self._index[status] = place
        return place

    def _label(self, status: Status) -> str:
        word = cleaned(status.word)
        if status.kind is not Kind.REPORTED or not word:
            return UNKNOWN.word
        if word in self._labels:
            return word
        if self._words == WORD_LIMIT or word == OTHER:
            return OTHER
        self._words += 1
        # The word is no personal data, but it is foreign text: the log's formatter escapes it.
        log.warning("Zoho sent a status that is not documented", extra={"fields": {"status": word}})
        return word

    def _admit(self, label: str) -> int:
        if label not in self._labels:
            self._labels.append(label)
        return self._labels.index(label)
