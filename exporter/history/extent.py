"""How far back a history goes, and which teams it knows: what a page offers before it is asked anything."""

from dataclasses import dataclass
from typing import Final

from exporter.history.reader import HistoryReader

MOST_TEAMS: Final = 200

_BEGINS: Final = "SELECT min(coalesce(begun, started)) FROM coverage"
_TEAMS: Final = "SELECT DISTINCT team FROM agent_version WHERE team <> '' ORDER BY team LIMIT :most"


@dataclass(frozen=True, slots=True)
class Extent:
    """What a history reaches over."""

    begins: int | None
    """When the first poll was received, or an import begins, in ms; None: nothing is recorded."""
    teams: tuple[str, ...]
    """In order, at most `MOST_TEAMS` of them."""


def extent(reader: HistoryReader) -> Extent:
    """Raises DatabaseError if the file cannot be read."""
    with reader.snapshot() as connection:
        (begins,) = connection.execute(_BEGINS).fetchone()
        teams = tuple(team for (team,) in connection.execute(_TEAMS, {"most": MOST_TEAMS}))
    return Extent(begins, teams)
