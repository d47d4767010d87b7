"""How long work tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Who wants to know."""

    def begin(self, what: str, total: int) -> None:
        """A step of the work begins: `what` as people read it, and how much there is to do in it."""
        ...

    def advance(self, amount: int) -> None:
        """So much more of the step is done."""
        ...


class SilentProgress:
    """Nobody wants to know."""

    def begin(self, what: str, total: int) -> None:
        """Nothing is shown."""

    def advance(self, amount: int) -> None:
        """Nothing is shown."""
