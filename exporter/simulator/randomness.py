"""Random numbers that are the same in every process and on every machine."""

import random


def seeded(*parts: object) -> random.Random:
    """A generator that depends on nothing but the parts (a text seed is hashed by SHA-512, not by `hash`)."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - the same numbers again are what is wanted
