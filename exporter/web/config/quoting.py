"""What of the web configuration file may be quoted: the text of a key in a wrong line must not be found in a log."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from exporter.quoting import shown
from exporter.secret import MASK

_HASH: Final = re.compile(r"\$2[a-z]?\$[0-9]{2}\$[./A-Za-z0-9]*")
_PEM: Final = re.compile(r"-----BEGIN [^-']*-----[^']+")
_LONGEST: Final = 20


def without_secrets(sentence: str) -> str:
    """A sentence without what looks like a hash or a key in PEM: one that stands in the place of a name is quoted as
    names are.
    """
    return _PEM.sub(MASK, _HASH.sub(MASK, sentence))


def value_shown(text: str, known: Iterable[str] = ()) -> str:
    """A value for a message: in quotes if it is short or much like one of `known`, else only how long it is."""
    if get_close_matches(text, known, n=1, cutoff=0.8):
        return shown(text)
    if len(text) > _LONGEST or "-----" in text or "$2" in text:
        return f"a text of {len(text)} characters"
    return shown(text)
