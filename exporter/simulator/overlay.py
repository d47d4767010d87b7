"""Statuses that were written through the API: each holds until the agent's own next planned change."""

from bisect import bisect_right

from exporter.simulator.planned import PlannedDays

_MOST_PER_AGENT = 10_000


class _Write:
    """One write. `ends` is when the agent's own day overtook it: None until that is known, looked for up to `known`."""

    __slots__ = ("at", "ends", "known", "word")

    def __init__(self, at: int, word: str) -> None:
        self.at = at
        self.word = word
        self.ends: int | None = None
        self.known = at + 1


class Overlay:
    """The writes of all agents over their planned days. The oldest writes of an agent are forgotten beyond 10,000."""

    def __init__(self, planned: PlannedDays) -> None:
        self._planned = planned
        self._instants: dict[int, list[int]] = {}
        self._writes: dict[int, list[_Write]] = {}

    def write(self, position: int, at_ms: int, word: str) -> None:
        """From this instant the agent is in that status; a second write in the same millisecond replaces the first."""
        instants = self._instants.setdefault(position, [])
        writes = self._writes.setdefault(position, [])
        index = bisect_right(instants, at_ms)
        if index and instants[index - 1] == at_ms:
            writes[index - 1] = _Write(at_ms, word)
            return
        instants.insert(index, at_ms)
        writes.insert(index, _Write(at_ms, word))
        if len(writes) > _MOST_PER_AGENT:
            del instants[0], writes[0]

    def word_at(self, position: int, at_ms: int) -> str | None:
        """The written status in force at the instant, or None when the agent's own day is."""
        instants = self._instants.get(position)
        if not instants:
            return None
        index = bisect_right(instants, at_ms)
        if not index:
            return None
        write = self._writes[position][index - 1]
        return write.word if self._holds(position, write, at_ms) else None

    def instants(self, position: int, since_ms: int, until_ms: int) -> list[int]:
        """When the agent was written to in [since, until)."""
        return [at for at in self._instants.get(position, ()) if since_ms <= at < until_ms]

    def _holds(self, position: int, write: _Write, at_ms: int) -> bool:
        if write.ends is None and write.known <= at_ms:
            write.ends = self._planned.first_change(position, write.known, at_ms + 1)
            write.known = at_ms + 1
        return write.ends is None or at_ms < write.ends
