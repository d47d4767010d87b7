"""A simulator on loopback with a client that has a token; time stands still unless a test moves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from exporter.clock import Clock
from exporter.secret import Secret
from exporter.simulator.faults import Switchboard
from exporter.simulator.server import RunningSimulator, run_simulator
from exporter.simulator.settings import DEFAULT_SERVER, ServerSettings, SimulationSettings
from exporter.simulator.simulation import Simulation
from tests.support.clock import FakeClock

BASE = "/rest/json/zv/api"
OWN = f"{BASE}/agents/onlineStatus"
MANY = f"{BASE}/v2/agents/onlineStatus"
OVERRIDE = f"{BASE}/agents/overrideOnlineStatus"
USERS = f"{BASE}/users"
TOKEN = "/oauth/v2/token"
NOON = 1_760_000_400_000
"""2025-10-09 11:00 in Berlin, a Thursday."""


def simulation(clock: Clock | None = None, **settings: Any) -> Simulation:
    """A simulation that begins at NOON unless the clock says otherwise."""
    return Simulation(SimulationSettings(**settings), clock or FakeClock(NOON))


@dataclass
class Simulated:
    """A running simulator and an HTTP client that speaks to it; the client stores nothing and follows no redirect."""

    running: RunningSimulator
    http: httpx.AsyncClient

    @property
    def simulation(self) -> Simulation:
        return self.running.simulation

    def ids(self, count: int) -> str:
        """The first agents' ids as a comma list."""
        return ",".join(agent.agent_id for agent in self.simulation.agents[:count])

    async def refresh(self, refresh_token: Secret, **changed: str) -> httpx.Response:
        credentials = self.running.credentials
        form = {
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret.reveal(),
            "refresh_token": refresh_token.reveal(),
            "grant_type": "refresh_token",
        }
        return await self.http.post(TOKEN, data=form | changed)

    async def log_in(self, refresh_token: Secret | None = None) -> None:
        """Use a fresh access token from now on: the administrator's unless told otherwise."""
        answer = await self.refresh(refresh_token or self.running.credentials.admin)
        self.http.headers["Authorization"] = f"Zoho-oauthtoken {answer.json()['access_token']}"

    async def log_in_with(self, *scopes: str) -> None:
        """Use an access token that has these scopes only."""
        credentials = self.running.credentials
        form = {
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret.reveal(),
            "grant_type": "authorization_code",
            "code": self.running.new_code(scopes=scopes),
        }
        answer = await self.http.post(TOKEN, data=form)
        self.http.headers["Authorization"] = f"Zoho-oauthtoken {answer.json()['access_token']}"


@asynccontextmanager
async def simulated(
    simulation: Simulation, switchboard: Switchboard | None = None, settings: ServerSettings = DEFAULT_SERVER
) -> AsyncIterator[Simulated]:
    """The simulator over real HTTP, the client logged in as the administrator."""
    async with (
        run_simulator(simulation, switchboard or Switchboard(), settings=settings) as running,
        httpx.AsyncClient(base_url=running.url, headers={"Accept": "application/json"}, trust_env=False) as http,
    ):
        one = Simulated(running, http)
        await one.log_in()
        running.received.forget()
        yield one
