"""Quoting what a person or a file said in a sentence about it."""

from typing import Final

from exporter.model import storable

_LONGEST: Final = 60


def shown(text: str) -> str:
    """`text` in quotes for a message: short, and without what could steer a terminal."""
    cleaned = storable(text)
    return f"'{cleaned[:_LONGEST]}…'" if len(cleaned) > _LONGEST else f"'{cleaned}'"
