"""The landing page: what this is, where things are, and how the polls go; no personal data."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exporter.clock import utc_text
from exporter.durations import format_duration_ms
from exporter.metrics.polling import Polling
from exporter.web.operations import HEALTHY_PATH, READY_PATH
from exporter.web.routing import Served
from exporter.web.state import WebState

_WHAT: Final = {
    "poll": "A poll",
    "roster": "Reading the list of agents",
    "token refresh": "Getting an access token",
    "history": "Writing to the history",
}


def landing(state: WebState, telemetry_path: str) -> Served:
    """The route of the page."""
    page = LandingPage(state.version, telemetry_path, (HEALTHY_PATH, READY_PATH))

    async def show(_: Request) -> Response:
        body = page.render(state.instruments.polling, state.clock.now_ms(), fresh=state.instruments.fresh)
        return HTMLResponse(body, headers={"content-security-policy": page.policy, "cache-control": "no-store"})

    return Served("/", "landing", show)


class LandingPage:
    """Renders the page; its style is the only thing beside the text that the browser is allowed to use."""

    def __init__(self, version: str, telemetry_path: str, probes: Sequence[str]) -> None:
        pages = Environment(
            loader=PackageLoader("exporter.web.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        style = pages.get_template("style.css").render()
        self._template = pages.get_template("landing.html")
        self._fixed = {"version": version, "telemetry_path": telemetry_path, "probes": probes, "style": style}
        fingerprint = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.policy = (
            f"default-src 'none'; style-src 'sha256-{fingerprint}'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        """The Content-Security-Policy that goes with the page."""

    def render(self, polling: Polling, now_ms: int, *, fresh: bool) -> str:
        """The page at `now_ms`; `fresh` tells whether the last good poll is still shown."""
        return self._template.render(
            **self._fixed,
            state=_state(polling, fresh=fresh),
            good=polling.up,
            facts=_facts(polling, now_ms),
            failures=[
                {
                    "what": _WHAT.get(failure.what, failure.what),
                    "reason": failure.reason,
                    "times": failure.times,
                    "first": utc_text(failure.first),
                    "last": utc_text(failure.last),
                }
                for failure in polling.failures
            ],
            now=utc_text(now_ms),
        )


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
