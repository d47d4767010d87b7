"""Which lane of an agent takes imported spells of tracking. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from exporter.history.transfer.periods import TrackedSpell
from exporter.model import AgentId

RECORDERS_LANE = 0


class Lanes:
    """The lanes of all agents, and the spells in them."""

    def __init__(self, spells: Iterable[TrackedSpell], recorded_until: int | None) -> None:
        """`recorded_until`: when the recorder's latest poll was received, ms; None before its first."""
        self._spells: defaultdict[tuple[AgentId, int], list[TrackedSpell]] = defaultdict(list)
        self._recorded_until = recorded_until
        for spell in spells:
            self._spells[spell.agent_id, spell.lane].append(spell)

    def take(self, agent_id: AgentId, spells: Sequence[TrackedSpell]) -> int:
        """Put the spells of one track into the lowest lane whose spells they neither overlap nor touch; returns it.

        The recorder's lane takes only what ends before the recorder's latest poll. It writes nothing at or before
        that instant, whatever the clock does, so it can never write into what was imported.
        """
        lane = RECORDERS_LANE
        while not self._is_free(agent_id, lane, spells):
            lane += 1
        self._spells[agent_id, lane] += spells
        return lane

    def _is_free(self, agent_id: AgentId, lane: int, spells: Sequence[TrackedSpell]) -> bool:
        if lane == RECORDERS_LANE:
            recorded_until = self._recorded_until
            if recorded_until is None or any(spell.until >= recorded_until for spell in spells):
                return False
        together = sorted((*self._spells.get((agent_id, lane), ()), *spells), key=lambda spell: spell.start)
        return all(before.until < after.start for before, after in pairwise(together))
