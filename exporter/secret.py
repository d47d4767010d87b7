"""A text that must not be shown."""

from typing import Final

MASK: Final = "<secret>"


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
