"""How many requests Zoho says are left, by the headers of an answer.

No page about Zoho Voice names such a header. Zoho CRM counts credits and tells what is left of them; the other pair is
what most APIs use that tell at all. So it is read where it stands, and nothing is made of an answer without it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = re.compile("[0-9]{1,12}")
_REMAINING: Final = ("x-api-credits-remaining", "x-ratelimit-remaining")
_LIMIT: Final = ("x-api-credits-limit", "x-ratelimit-limit")


@dataclass(frozen=True, slots=True)
class Credits:
    """What an answer told; None for what it did not."""

    remaining: int | None = None
    limit: int | None = None


def credits_told(headers: Mapping[str, str]) -> Credits:
    """What the headers tell; `headers` are looked up without regard to case. What is no number tells nothing."""
    return Credits(_first(headers, _REMAINING), _first(headers, _LIMIT))


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        text = headers.get(name, "").strip()
        if _NUMBER.fullmatch(text):
            return int(text)
    return None
