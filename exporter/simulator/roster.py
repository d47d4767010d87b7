"""The rows of the users endpoint, and which of them a query asks for (N-USERS, KB-USERS)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from exporter.model import AVAILABLE, BUSY, OFFLINE, ON_BREAK, ON_CALL
from exporter.simulator.people import ROLE_NAMES, OtherUser, SimulatedAgent
from exporter.simulator.replies import Row
from exporter.simulator.simulation import Simulation

LARGEST_PAGE: Final = 50
_OTHERS_EVERY: Final = 7
"""Users that are no agents stand among the agents, one after so many."""
_DAY_MS: Final = 86_400_000
_AGENT_STATUS: Final[Mapping[str, str]] = {
    "0": AVAILABLE.word, "2": ON_BREAK.word, "3": OFFLINE.word, "4": ON_CALL.word, "5": BUSY.word,
}  # fmt: skip
_SORT: Final[Mapping[str, str]] = {
    "NAME": "name", "EMAILID": "emailid", "ROLE_ID": "zvtRole", "DEPARTMENT_ID": "departmentId",
    "CREATED_TIME": "userid", "ONLINE_STATUS": "onlineStatus", "STATUS": "status",
}  # fmt: skip


User = SimulatedAgent | OtherUser


def roster_order(agents: Sequence[SimulatedAgent], others: Iterable[OtherUser]) -> list[User]:
    """All users in the order of the roster: agents, with users that are no agents among them."""
    waiting = list(others)
    users: list[User] = []
    for number, agent in enumerate(agents, 1):
        users.append(agent)
        if waiting and number % _OTHERS_EVERY == 0:
            users.append(waiting.pop(0))
    return users + waiting


def row_of(simulation: Simulation, user: User, now_ms: int) -> Row:
    """The row of a user: an agent's with its status, another's without `agentId` or with an empty one."""
    return _agent_row(simulation, user, now_ms) if isinstance(user, SimulatedAgent) else _other_row(user)


def _agent_row(simulation: Simulation, agent: SimulatedAgent, now_ms: int) -> Row:
    return {
        "userid": agent.user_id,
        "agentId": agent.agent_id,
        "zuid": agent.zuid,
        "name": agent.name,
        "emailid": agent.email,
        "onlineStatus": simulation.status_at(agent.agent_id, now_ms),
        "status": 1,
        "zvtRole": agent.role,
        "zvtRoleName": ROLE_NAMES[agent.role],
        "departmentId": agent.team_id,
        "departmentName": agent.team,
        "extension": agent.extension,
        "agentNumber": f"6333_{agent.agent_id}",
        "timezone": "GMT",
        "lang": "en",
        "countryCode": 49,
        "lastActiveTime": _last_active(simulation, agent.agent_id, now_ms),
        "commServerStatus": "Completed",
        "reportTime": "17:35",
    }


def _last_active(simulation: Simulation, agent_id: str, now_ms: int) -> int:
    """Now, or when who is offline went so; a day ago if that was earlier. What Zoho counts is documented nowhere."""
    if simulation.status_at(agent_id, now_ms) != OFFLINE.word:
        return now_ms
    changes = simulation.changes(agent_id, now_ms - _DAY_MS, now_ms + 1)
    return changes[-1].at if changes else now_ms - _DAY_MS


def _other_row(other: OtherUser) -> Row:
    row: Row = {"userid": other.user_id, "zuid": other.zuid, "name": other.name, "emailid": other.email,
                "status": 3 if other.pending else 1, "zvtRole": 2, "zvtRoleName": "TECHNICIAN"}  # fmt: skip
    if not other.pending:
        row["agentId"] = ""
    return row


@dataclass(frozen=True, slots=True)
class RosterQuery:
    """A page of the roster. The index counts from 0 (unsettled in the documentation; working code does so)."""

    PARAMETERS: ClassVar[frozenset[str]] = frozenset(
        {"from", "offset", "userid", "agentId", "searchKey", "sortBy", "status", "agentStatus", "role"}
    )
    given: Mapping[str, str]
    start: int
    size: int

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "RosterQuery":
        """Raises ValueError that says which parameter is wrong. `offset` is the size of the page, at most 50."""
        query = cls(given, _whole(given, "from", 0), _whole(given, "offset", LARGEST_PAGE))
        if not 1 <= query.size <= LARGEST_PAGE:
            raise ValueError(f"offset must be 1 to {LARGEST_PAGE}.")
        if given.get("sortBy", "NAME") not in _SORT:
            raise ValueError("sortBy has an unknown value.")
        if given.get("agentStatus", "0") not in _AGENT_STATUS:
            raise ValueError("agentStatus has an unknown value.")
        for name in ("status", "role", "userid", "agentId"):
            _whole(given, name, 0)
        return query

    def select(self, users: list[User], row: Callable[[User], Row]) -> list[User]:
        """The users that match every filter, in the order asked for; rows are made only if they are needed for that."""
        tests = self._tests()
        if not tests and "sortBy" not in self.given:
            return users
        rows = [(user, row(user)) for user in users]
        chosen = [(user, made) for user, made in rows if all(test(made) for test in tests)]
        if "sortBy" in self.given:
            key = _SORT[self.given["sortBy"]]
            chosen.sort(key=lambda pair: str(pair[1].get(key, "")))
        return [user for user, _ in chosen]

    def _tests(self) -> list[Callable[[Row], bool]]:
        given = self.given
        tests: list[Callable[[Row], bool]] = [
            _equals(key, given[name])
            for name, key in (("userid", "userid"), ("agentId", "agentId"), ("status", "status"), ("role", "zvtRole"))
            if name in given
        ]
        if "agentStatus" in given:
            tests.append(lambda row: row.get("onlineStatus") == _AGENT_STATUS[given["agentStatus"]])
        if "searchKey" in given:
            wanted = given["searchKey"].casefold()
            tests.append(lambda row: any(wanted in str(row.get(key, "")).casefold()
                                         for key in ("name", "emailid", "departmentName")))  # fmt: skip
        return tests


def _equals(key: str, wanted: str) -> Callable[[Row], bool]:
    return lambda row: str(row.get(key)) == wanted


def _whole(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{name} must be a whole number.")
    return int(text)
