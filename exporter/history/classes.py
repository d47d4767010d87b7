"""What a status counts as: handling, available, not ready, offline. Applied when asked, never stored."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from exporter.errors import UsageError
from exporter.model import ABSENT, ERROR, UNKNOWN, Kind, Status, reported
from exporter.quoting import shown


class Class(Enum):
    """What a status counts as."""

    HANDLING = "handling"
    AVAILABLE = "available"
    NOT_READY = "not ready"
    OFFLINE = "offline"
    NOT_KNOWN = "not known"
    """Unknown, absent or an error: in no denominator."""


STAFFED: Final = frozenset({Class.HANDLING, Class.AVAILABLE, Class.NOT_READY})
"""The classes of someone who is logged in."""


@dataclass(frozen=True, slots=True)
class Classes:
    """Which of Zoho's words belong to which class; a word that is in none of them is not ready."""

    handling: frozenset[str] = frozenset({"On Call"})
    available: frozenset[str] = frozenset({"Available"})
    not_ready: frozenset[str] = frozenset({"Busy", "On Break"})
    offline: frozenset[str] = frozenset({"Offline"})

    def of(self, status: Status) -> Class:
        """The class of `status`."""
        if status.kind is not Kind.REPORTED:
            return Class.NOT_KNOWN
        if status.word in self.handling:
            return Class.HANDLING
        if status.word in self.available:
            return Class.AVAILABLE
        return Class.OFFLINE if status.word in self.offline else Class.NOT_READY


DEFAULT_CLASSES: Final = Classes()


_IN_NO_CLASS: Final = frozenset({UNKNOWN.word, ABSENT.word, ERROR.word})


def parse_words(text: str) -> frozenset[str]:
    """The statuses of a comma list, in the spelling of reports; the empty text names none.

    Raises UsageError for unknown, absent and error, which are no statuses of Zoho's and in no class.
    """
    words = frozenset(reported(word.strip()).word for word in text.split(",") if word.strip())
    for word in sorted(words & _IN_NO_CLASS):
        raise UsageError(
            f"{shown(word)} belongs to no class, because it says that the status is not known: leave it out"
        )
    return words


def make_classes(handling: str, available: str, not_ready: str, offline: str) -> Classes:
    """The classes of four comma lists. Raises UsageError if a status stands in two of them."""
    lists = {
        "--classes.handling": parse_words(handling),
        "--classes.available": parse_words(available),
        "--classes.not-ready": parse_words(not_ready),
        "--classes.offline": parse_words(offline),
    }
    seen: dict[str, str] = {}
    for flag, words in lists.items():
        for word in sorted(words):
            if word in seen:
                raise UsageError(f"{shown(word)} stands both in {seen[word]} and in {flag}: a status is in one class")
            seen[word] = flag
    return Classes(*lists.values())
