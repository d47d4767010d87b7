"""The simulator's own endpoints under /-/simulator/, by which another process asks for the truth and sets faults."""

import dataclasses
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.errors import UsageError
from exporter.simulator.api import Desk
from exporter.simulator.faults import Label, PlacedFault, parse_fault
from exporter.simulator.oauth import SCOPES, User
from exporter.simulator.simulation import Simulation

PREFIX: Final = "/-/simulator"
_Handler = Callable[[Request], Awaitable[Response]]


def control_routes(simulation: Simulation, desk: Desk) -> list[BaseRoute]:
    """The routes; every refusal is a 400 with `{"error": sentence}`."""
    control = _Control(simulation, desk)
    table: list[tuple[str, str, _Handler]] = [
        ("/faults", "GET", control.faults),
        ("/faults", "PUT", control.put_faults),
        ("/faults", "DELETE", control.delete_faults),
        ("/agents", "GET", control.agents),
        ("/agents/{agent_id}/changes", "GET", control.changes),
        ("/statuses", "GET", control.statuses),
        ("/now", "GET", control.now),
        ("/requests", "GET", control.requests),
        ("/requests", "DELETE", control.forget_requests),
        ("/codes", "POST", control.new_code),
    ]
    return [Route(PREFIX + path, _refusing(handler), methods=[method]) for path, method, handler in table]


def _refusing(handler: _Handler) -> _Handler:
    async def refusing(request: Request) -> Response:
        try:
            return await handler(request)
        except UsageError as error:
            return JSONResponse({"error": str(error)}, 400)

    return refusing


class _Control:
    def __init__(self, simulation: Simulation, desk: Desk) -> None:
        self._simulation = simulation
        self._desk = desk

    async def faults(self, _: Request) -> Response:
        """What is on, in order: `{"faults": [{"where", "times", "kind", …}]}`."""
        return JSONResponse({"faults": [_described(placed) for placed in self._desk.switchboard.active()]})

    async def put_faults(self, request: Request) -> Response:
        """Sets faults: one specification a line, as on the command line; a second for an endpoint waits behind it."""
        body = (await request.body()).decode("utf-8", "replace")
        placed = [parse_fault(line.strip()) for line in body.splitlines() if line.strip()]
        seen: set[str] = set()
        for one in placed:
            place = self._desk.switchboard.add if one.where in seen else self._desk.switchboard.set
            place(one.where, one.fault, one.times)
            seen.add(one.where)
        return await self.faults(request)

    async def delete_faults(self, request: Request) -> Response:
        """Clears the faults of `?endpoint=`, or all."""
        self._desk.switchboard.clear(request.query_params.get("endpoint"))
        return await self.faults(request)

    async def agents(self, _: Request) -> Response:
        """Everyone who is ever on the roster."""
        return JSONResponse({"agents": [dataclasses.asdict(agent) for agent in self._simulation.agents]})

    async def changes(self, request: Request) -> Response:
        """An agent's changes in [since, until), both in ms."""
        since, until = _instant(request, "since"), _instant(request, "until")
        changes = self._simulation.changes(request.path_params["agent_id"], since, until)
        return JSONResponse({"changes": [dataclasses.asdict(change) for change in changes]})

    async def statuses(self, request: Request) -> Response:
        """Everyone's status at each instant of `?at=` (ms, a comma list; default: now), who is on the roster then."""
        text = request.query_params.get("at") or str(self._simulation.now_ms())
        instants = [_whole("at", part) for part in text.split(",")]
        return JSONResponse({"statuses": {str(at): self._simulation.statuses_at(at) for at in instants}})

    async def now(self, _: Request) -> Response:
        """The simulated instant."""
        return JSONResponse({"now": self._simulation.now_ms(), "speed": self._simulation.settings.speed})

    async def requests(self, _: Request) -> Response:
        """For each endpoint the number of requests and the particulars of the latest ones."""
        received = self._desk.received
        return JSONResponse(
            {
                label.value: {
                    "total": received.total(label),
                    "latest": [
                        {"at": one.at, "monotonic": one.monotonic, "fault": one.fault.value if one.fault else None}
                        for one in received.requests(label)
                    ],
                }
                for label in Label
            }
        )

    async def forget_requests(self, request: Request) -> Response:
        """Counts from zero again."""
        self._desk.received.forget()
        return await self.requests(request)

    async def new_code(self, request: Request) -> Response:
        """A grant code for `?user=` (admin, supervisor, outsider) and `?scope=` (a comma list)."""
        try:
            user = User(request.query_params.get("user", User.ADMIN.value))
        except ValueError as error:
            raise UsageError("there is no such user: give admin, supervisor or outsider") from error
        scopes = tuple(request.query_params.get("scope", ",".join(SCOPES)).split(","))
        return JSONResponse({"code": self._desk.tokens.new_code(user, scopes)})


def _described(placed: PlacedFault) -> dict[str, object]:
    particulars = {
        name: value.value if isinstance(value, Enum) else value
        for name, value in dataclasses.asdict(placed.fault).items()
        if value not in (0, "")
    }
    return {"where": placed.where, "times": placed.times, **particulars}


def _instant(request: Request, name: str) -> int:
    text = request.query_params.get(name)
    if text is None:
        raise UsageError(f"the parameter '{name}' is missing: give milliseconds since 1970")
    return _whole(name, text)


def _whole(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 14:
        raise UsageError(f"{name}={text} is no instant: give milliseconds since 1970")
    return int(text)
