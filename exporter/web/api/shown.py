"""What is known now, as the metrics say it at the same moment: one value until something changes."""

from dataclasses import dataclass
from typing import Final

from exporter.clock import utc_text
from exporter.metrics.agents import Row
from exporter.metrics.exposition import Exposition
from exporter.web.state import WebState

_POLL: Final = "poll"
"""What a failure of a poll is called in `Polling.failures`."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An exposition, and whether its agents may still be shown."""

    exposition: Exposition
    version: int
    """How many times something was published."""
    fresh: bool
    fresh_until: int | None
    """By the wall clock, milliseconds UTC; None if there was no good poll yet."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The agents, ordered by id; nobody if there is no good poll that may still be shown."""
        view = self.exposition.view
        return view.rows if self.fresh and view is not None else ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The statuses that zohovoice_agents has a series of."""
        view = self.exposition.view
        return view.labels if self.fresh and view is not None else ()

    @property
    def teams(self) -> list[str]:
        """The names of the teams that somebody is in."""
        view = self.exposition.view
        counts = view.counts if self.fresh and view is not None else {}
        return sorted({team for team, _ in counts if team})

    def meta(self) -> dict[str, object]:
        """What there is to say beside the agents, ready for JSON."""
        polling = self.exposition.polling
        failure = None if polling.up else next((f.reason for f in polling.failures if f.what == _POLL), None)
        return {
            "report": "agents",
            "version": self.version,
            "at": _text(polling.last_success),
            # As zohovoice_up: a good poll that is too old to be shown is no reason to say that all is well.
            "up": polling.up and self.fresh,
            "stale": not self.fresh,
            "fresh_until": _text(self.fresh_until),
            "last_poll": _text(polling.last),
            "failing_since": _text(polling.failing_since),
            "failure": failure,
            "poll_interval_seconds": polling.interval_s,
        }


class Showing:
    """Gives what is shown at the moment; the same object as long as nothing has changed."""

    def __init__(self, state: WebState) -> None:
        self._state = state
        self._last: Shown | None = None

    def now(self) -> Shown:
        """What a scrape at this moment tells of."""
        instruments, last = self._state.instruments, self._last
        exposition, version, fresh = instruments.exposition, self._state.updates.number, instruments.fresh
        if last is None or last.exposition is not exposition or last.version != version:
            last = Shown(exposition, version, fresh, self._fresh_until(exposition))
        elif last.fresh != fresh:
            last = Shown(exposition, version, fresh, last.fresh_until)
        self._last = last
        return last

    def seconds_left(self, shown: Shown) -> float | None:
        """How long the agents of `shown` may still be shown; None if they may not, or if there are none."""
        until = shown.exposition.fresh_until
        return until - self._state.clock.monotonic() if shown.fresh and until is not None else None

    def _fresh_until(self, exposition: Exposition) -> int | None:
        if exposition.fresh_until is None:
            return None
        clock = self._state.clock
        return clock.now_ms() + round((exposition.fresh_until - clock.monotonic()) * 1000)


def _text(instant: int | None) -> str | None:
    return utc_text(instant) if instant is not None else None
