"""The routes of the API."""

from exporter.web.api.agents import AGENTS_PATH, agents
from exporter.web.api.events import EVENTS_PATH, events
from exporter.web.api.reports import report
from exporter.web.api.shown import Showing
from exporter.web.gate import personal
from exporter.web.reports.request import PATHS
from exporter.web.routing import Served
from exporter.web.state import WebState


def api(state: WebState) -> list[Served]:
    """All of them, behind the gate."""
    showing = Showing(state)
    return [
        Served(AGENTS_PATH, "api_agents", personal(state, agents(showing))),
        Served(EVENTS_PATH, "api_events", personal(state, events(state, showing))),
        *(Served(path, f"api_{name}", personal(state, report(state.reports, name))) for name, path in PATHS.items()),
    ]
