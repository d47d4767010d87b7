"""What the Voice endpoints answer: from who asks and with which parameters to a reply. No HTTP in here.

As strict as the documentation allows. Where no page says which HTTP status or text a refusal has, it is 400 with an
error envelope that says what is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.model import KNOWN_STATUSES, SETTABLE_STATUSES
from exporter.simulator.kinds import FaultKind, Label
from exporter.simulator.oauth import Caller, User
from exporter.simulator.people import SimulatedAgent
from exporter.simulator.replies import Reply, Row, failure, success
from exporter.simulator.roster import RosterQuery, roster_order, row_of
from exporter.simulator.settings import ServerSettings, Unseen
from exporter.simulator.simulation import Simulation

Parameters = Sequence[tuple[str, str]]

_READ: Final = "ZohoVoice.agents.READ"
_UPDATE: Final = "ZohoVoice.agents.UPDATE"
SCOPES: Final[Mapping[Label, frozenset[str]]] = {
    Label.USERS: frozenset({_READ}),
    Label.OWN_STATUS: frozenset({_READ}),
    Label.STATUSES: frozenset({"ZohoVoice.sdk.READ", _READ}),
    Label.SET_STATUS: frozenset({_UPDATE}),
    Label.OVERRIDE_STATUSES: frozenset({_READ, _UPDATE}),
}
"""Any one of these is enough: where SEED and the newer page differ, both readings are taken."""

_INVALID: Final = "Invalid agent."
_FORBIDDEN: Final = "You don't have permission to change the status of this agent."


class _BadRequest(Exception):
    """A parameter is missing, unknown, given twice or has a wrong value."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to one of the Voice endpoints, authorised already."""

    label: Label
    caller: Caller
    parameters: Parameters
    """Of the query for GET, of the form for PUT."""
    fault: FaultKind | None = None
    """A fault of the roster's pages, which must be made where the pages are."""


class Voice:
    """The Voice service of one simulation."""

    def __init__(self, simulation: Simulation, settings: ServerSettings) -> None:
        self._simulation = simulation
        self._settings = settings

    def answer(self, asked: Asked) -> Reply:
        """The reply to an authorised request."""
        handlers = {
            Label.USERS: self._users,
            Label.OWN_STATUS: self._own_status,
            Label.STATUSES: self._statuses,
            Label.SET_STATUS: self._set_status,
            Label.OVERRIDE_STATUSES: self._override,
        }
        try:
            return handlers[asked.label](asked)
        except _BadRequest as error:
            return failure(str(error), http=400)

    def _own_status(self, asked: Asked) -> Reply:
        """N-GET1. The curl sample of N-GETM asks this path for many agents: it answers for the caller all the same."""
        _checked(asked.parameters, optional={"agentIds", "zuids"})
        agent = self._own_agent(asked.caller)
        if agent is None:
            return self._application_error(_INVALID)
        return success(onlineStatus=self._row(agent))

    def _statuses(self, asked: Asked) -> Reply:
        """N-GETM. One row for each id asked for, in that order, whatever becomes of it."""
        given = _checked(asked.parameters, optional={"agentIds", "zuids"})
        if len(given) != 1:
            raise _BadRequest("Give either agentIds or zuids.")
        [(name, text)] = given.items()
        find = self._simulation.find if name == "agentIds" else self._simulation.find_by_zuid
        rows: list[Row] = []
        for wanted in _ids(name, text):
            agent = find(wanted)
            if agent is not None and self._present(agent) and self._sees(asked.caller, agent):
                rows.append(self._row(agent))
            elif agent is None or not self._present(agent) or self._settings.unseen is Unseen.ERROR_ROW:
                rows.append({"agentId": agent.agent_id if agent else wanted, "error": _INVALID})
        return success(onlineStatus=rows)

    def _set_status(self, asked: Asked) -> Reply:
        """N-PUT1."""
        given = _checked(asked.parameters, required={"status"})
        word = _settable(given["status"])
        agent = self._own_agent(asked.caller)
        if agent is None:
            return self._application_error(_INVALID)
        self._simulation.set_status(agent.agent_id, word)
        return success(message="success")

    def _override(self, asked: Asked) -> Reply:
        """N-PUTM: each agent has a result of its own; those that are refused do not keep others from being set."""
        given = _checked(asked.parameters, required={"agentIds", "status"})
        word = _settable(given["status"])
        rows: list[Row] = []
        for wanted in _ids("agentIds", given["agentIds"]):
            agent = self._simulation.find(wanted)
            if agent is None or not self._present(agent):
                rows.append({"agentId": wanted, "status": "error", "message": _INVALID})
            elif not self._sees(asked.caller, agent):
                rows.append({"agentId": wanted, "status": "error", "message": _FORBIDDEN})
            else:
                self._simulation.set_status(wanted, word)
                rows.append({"agentId": wanted, "status": "success"})
        if self._settings.override_error_envelope and any(row["status"] == "error" for row in rows):
            envelope = {"code": "500", "status": "ERROR", "overrideOnlineStatus": rows}
            return Reply(self._settings.application_error_status, envelope)
        return success(overrideOnlineStatus=rows)

    def _users(self, asked: Asked) -> Reply:
        """N-USERS, KB-USERS."""
        given = _checked(asked.parameters, optional=RosterQuery.PARAMETERS)
        try:
            query = RosterQuery.parse(given)
        except ValueError as error:
            raise _BadRequest(str(error)) from error
        now = self._simulation.now_ms()
        agents = [
            agent for agent in self._simulation.agents if agent.present_at(now) and self._sees(asked.caller, agent)
        ]
        others = self._simulation.others if asked.caller.user is not User.SUPERVISOR else ()
        users = query.select(roster_order(agents, others), lambda user: row_of(self._simulation, user, now))
        start = 0 if asked.fault is FaultKind.SAME_PAGE else query.start
        if start and asked.fault is FaultKind.ROSTER_LEAVE:
            users = users[1:]
        elif start and asked.fault is FaultKind.ROSTER_JOIN:
            users = [*users[:1], *users]
        rows = [row_of(self._simulation, user, now) for user in users[start : start + query.size]]
        return success(meta={"total": len(users)}, users=rows)

    def _row(self, agent: SimulatedAgent) -> Row:
        word = self._simulation.status_at(agent.agent_id, self._simulation.now_ms())
        return {"agentId": agent.agent_id, "onlineStatus": word}

    def _own_agent(self, caller: Caller) -> SimulatedAgent | None:
        position = {User.ADMIN: 0, User.SUPERVISOR: 1}.get(caller.user)
        if position is None or position >= len(self._simulation.agents):
            return None
        agent = self._simulation.agents[position]
        return agent if self._present(agent) else None

    def _present(self, agent: SimulatedAgent) -> bool:
        return agent.present_at(self._simulation.now_ms())

    def _sees(self, caller: Caller, agent: SimulatedAgent) -> bool:
        return caller.user is not User.SUPERVISOR or agent.supervised

    def _application_error(self, message: str) -> Reply:
        return failure(message, http=self._settings.application_error_status)


def _checked(parameters: Parameters, *, required: set[str] | None = None,
             optional: set[str] | frozenset[str] | None = None) -> dict[str, str]:  # fmt: skip
    required, known = required or set(), (required or set()) | (optional or set())
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in known:
            raise _BadRequest(f"Unknown parameter: {name}.")
        if name in given:
            raise _BadRequest(f"Parameter given twice: {name}.")
        given[name] = value
    for name in sorted(required):
        if not given.get(name):
            raise _BadRequest(f"Missing parameter: {name}.")
    return given


def _ids(name: str, text: str) -> list[str]:
    """The ids of a comma list, each once. The maximum is documented nowhere: the length of a URL is the limit."""
    ids = text.split(",")
    for one in ids:
        if not (one.isascii() and one.isdecimal()):
            raise _BadRequest(f"{name} must be ids separated by commas.")
    return list(dict.fromkeys(ids))


def _settable(word: str) -> str:
    """The four words that may be set, in exactly this spelling (SEED, N-PUT1)."""
    if word not in {status.word for status in SETTABLE_STATUSES}:
        settable = "On Call cannot be set." if word in {s.word for s in KNOWN_STATUSES} else "Invalid status."
        raise _BadRequest(settable)
    return word
