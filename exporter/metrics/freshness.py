"""Until when the last good poll may be shown (--poll.max-age), by a clock that never steps."""

from exporter.clock import Clock


class Freshness:
    """Of the last good poll."""

    def __init__(self, clock: Clock, max_age_s: float) -> None:
        self._clock = clock
        self._max_age_s = max_age_s
        self._good_at: float | None = None
        self.until: float | None = None
        """In seconds of the monotonic clock; None: there was no good poll."""

    def renew(self) -> None:
        """A poll was good."""
        self._good_at = self._clock.monotonic()
        self.until = self._good_at + self._max_age_s

    def allow(self, max_age_s: float) -> None:
        """Let good polls be that old.

        What is shown now goes by the new age, but one that is shorter counts from now on: else the agents would go away
        for the moment until the next poll ends.
        """
        if self._good_at is not None and self.until is not None:
            # From the poll itself: counted from what the change before left, each change to and fro would add time.
            by_age = self._good_at + max_age_s
            self.until = max(by_age, min(self.until, self._clock.monotonic() + max_age_s))
        self._max_age_s = max_age_s
