"""What an export holds: families that the exporter itself exposes, under the same names, and how they differ there."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from exporter.metrics.families import FAMILY
from exporter.metrics.family import Family
from exporter.metrics.statuses import CLOSED, OTHER, WORD_LIMIT
from exporter.metrics.text import cleaned
from exporter.model import UNKNOWN, Kind, Status

_FROM: Final = "From the recorded history."


def _family(name: str, words: str) -> Family:
    return replace(FAMILY[name], help=f"{words} {_FROM}")


AGENTS: Final = _family(
    "zohovoice_agents",
    "Tracked agents by status; `unknown` are those of whom nothing was known, because Zoho gave no status or because "
    "nobody was looking.",
)
TEAM_AGENTS: Final = _family("zohovoice_team_agents", "Tracked agents by team and status, as zohovoice_agents.")
UP: Final = _family("zohovoice_up", "1 while polls or an imported file tell what was so, 0 while nobody was looking.")
SECONDS: Final = _family(
    "zohovoice_agent_status_seconds_total",
    "Time that the agent was in the status, in seconds, since the history begins; `unknown` is the rest of the time "
    "in which the agent was tracked.",
)
INFO: Final = _family("zohovoice_agent_info", "Name and team of the agent: personal data. Always 1.")
EXPORTED: Final = (AGENTS, TEAM_AGENTS, UP, SECONDS, INFO)


class Labels:
    """Which value of the label `status` a status has: the rules are those of the live metrics.

    Only which words count as `other` may differ: here it is those last in the alphabet, there the latest ones.
    """

    def __init__(self, words: Iterable[str]) -> None:
        """`words` are all that were ever recorded."""
        found = sorted({cleaned(word) for word in words} - {"", OTHER, *CLOSED})
        self.all: tuple[str, ...] = (*CLOSED, *found[:WORD_LIMIT], OTHER)
        """Every value there can be, in the order in which they are written."""
        self._own = frozenset(self.all)

    def of(self, status: Status) -> str:
        """Error rows, agents without an answer, and time that nobody looked at are all `unknown`."""
        word = cleaned(status.word)
        if status.kind is not Kind.REPORTED or not word:
            return UNKNOWN.word
        return word if word in self._own else OTHER
