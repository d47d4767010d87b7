"""The landing page: what this is, where things are, and how the polls go; no personal data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exporter.clock import utc_text
from exporter.durations import format_duration_ms
from exporter.metrics.polling import Failure, Polling
from exporter.web.api.agents import AGENTS_PATH
from exporter.web.operations import CONFIG_PATH, HEALTHY_PATH, READY_PATH
from exporter.web.pages.board import BOARD_PATH
from exporter.web.pages.policy import PAGE_HEADERS
from exporter.web.pages.render import render
from exporter.web.pages.words import reason_words
from exporter.web.routing import Served
from exporter.web.state import WebState

_WHAT: Final = {
    "poll": "A poll",
    "roster": "Reading the list of agents",
    "token refresh": "Getting an access token",
    "history": "Writing to the history",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A link of the page, relative to it: a proxy may put all of this under a path of its own."""

    address: str
    name: str
    what: str


def landing(state: WebState, telemetry_path: str) -> Served:
    """The route of the page."""
    places = places_of(telemetry_path)

    async def show(_: Request) -> Response:
        page = landing_page(
            state.version,
            state.instruments.polling,
            state.clock.now_ms(),
            fresh=state.instruments.fresh,
            places=places,
            why_not=state.access().why_not,
        )
        return HTMLResponse(page, headers=dict(PAGE_HEADERS))

    return Served("/", "landing", show)


def places_of(telemetry_path: str) -> tuple[Place, ...]:
    """Everything that can be asked for with a browser."""
    found = (
        (telemetry_path, "Metrics", "for Prometheus"),
        (BOARD_PATH, "Board", "who is in which status now"),
        ("/timeline", "Timeline", "who was in which status when"),
        (AGENTS_PATH, "Agents as JSON", "the same as on the board, for programs"),
        (CONFIG_PATH, "Configuration", "what is in force, without secrets"),
        (HEALTHY_PATH, HEALTHY_PATH, "whether the program works, for probes"),
        (READY_PATH, READY_PATH, "whether a poll has been complete, for probes"),
    )
    return tuple(Place(path.removeprefix("/"), name, what) for path, name, what in found)


def landing_page(
    version: str, polling: Polling, now_ms: int, *, fresh: bool, places: Sequence[Place], why_not: str
) -> str:
    """The page at `now_ms`; `fresh` tells whether the last good poll is still shown, `why_not` see `Access`."""
    return render(
        "landing.html",
        version=version,
        state=_state(polling, fresh=fresh),
        good=polling.up and fresh,
        facts=_facts(polling, now_ms),
        places=places,
        why_not=why_not,
        failures=[_failure(failure) for failure in polling.failures],
        now=utc_text(now_ms),
    )


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "what": _WHAT.get(failure.what, failure.what),
        "words": reason_words(failure.reason),
        "reason": failure.reason,
        "times": failure.times,
        "first": utc_text(failure.first),
        "last": utc_text(failure.last),
    }


def _state(polling: Polling, *, fresh: bool) -> str:
    if polling.last is None:
        return "No poll has ended yet."
    if polling.up:
        return "The last poll worked." if fresh else "The last poll worked, but it is too old to be shown."
    if polling.last_success is None:
        return "No poll has worked yet."
    if fresh:
        return "The last poll failed; the one before that worked is still shown."
    return "Polls fail; the agents' metrics are withheld until one works."


def _facts(polling: Polling, now_ms: int) -> list[tuple[str, str, str]]:
    """Name, machine-readable instant ("" if none) and text of what is known."""
    facts = []
    for name, instant in (("Last poll ended", polling.last), ("Last good poll", polling.last_success)):
        if instant is not None:
            facts.append((name, utc_text(instant), f"{utc_text(instant)} ({_ago(now_ms - instant)})"))
    if polling.agents is not None:
        facts.append(("Agents tracked", "", str(polling.agents)))
    return facts


def _ago(age_ms: int) -> str:
    return f"{format_duration_ms(max(0, age_ms) // 1000 * 1000)} ago"
