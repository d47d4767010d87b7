"""A text that must not be shown."""

import json
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "<secret>"

_SHORTEST: Final = 4
"""Shorter texts are not looked for: masking every `a` would make a text useless and hide nothing."""


class Secret:
    """Holds a secret so that printing, formatting, logging or comparing it by accident shows nothing.

    Only `reveal()` gives the text; call it where the text leaves the process and nowhere else.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled or copied")


def spellings(secret: Secret) -> frozenset[str]:
    """How `secret` is to be looked for: plain, and as it stands in a URL, a JSON text or a Python literal."""
    text = secret.reveal()
    if len(text) < _SHORTEST:
        return frozenset()
    forms = {text, quote(text, safe=""), quote(text), quote_plus(text), repr(text)[1:-1], repr(text.encode())[2:-1]}
    for _ in range(2):  # an error that quotes JSON stands in JSON itself
        forms |= {json.dumps(form)[1:-1] for form in forms}
    return frozenset(forms | {form.replace("/", "\\/") for form in forms})


def without_secret(text: str, secret: Secret) -> str:
    """`text` with `<secret>` in place of each spelling of `secret`."""
    for form in sorted(spellings(secret), key=len, reverse=True):
        text = text.replace(form, MASK)
    return text
