"""Who works at the simulated contact centre: names, ids, teams and roles, all from the seed."""

import random
from dataclasses import dataclass
from typing import Final

from exporter.simulator.randomness import seeded
from exporter.simulator.settings import SimulationSettings

_FIRST: Final = (
    "Ann", "Zoë", "Łukasz", "Mehmet", "Aoife", "Jürgen", "Priya", "Søren", "Chloé", "Tomáš", "María José", "Ivan",
    "Fatima", "Björn", "Anne-Marie", "Kwame", "Nguyễn", "Олена", "Γιώργος", "娜", "Hiroko", "Siobhán", "Ahmed",
    "Paulo", "Ingrid", "Dragan", "Amélie", "Rahul", "Þóra", "Noor", "Miguel", "Sanne", "Kofi", "Leyla", "Eun-ji",
)  # fmt: skip
_LAST: Final = (
    "Smith", "O'Brien", "Müller", "Kowalski", "García Márquez", "van der Berg", "Nowak", "Şahin", "Dvořák", "Hansen",
    "D'Angelo", "Okafor", "Trần", "Шевченко", "Παπαδόπουλος", "李", "Sato", "Jönsson", "Lefèvre", "Patel", "Kim",
    "Schmidt-Weiß", "Novák", "Al-Rashid", "Sousa", "Åkesson", "MacDonald", "Rossi", "Iyer", "Guðmundsdóttir",
)  # fmt: skip
# Names that break careless CSV, label or HTML writing; real rosters hold such names.
_AWKWARD: Final = ('Robert "Bob" King', "Smith, Jane", "Ann <Team B>", "Back\\slash Jones")
_TEAMS: Final = (
    "Support",
    "Sales",
    "Rückfragen",
    "Billing",
    "Équipe Nord",
    "VIP & Partners",
    "Onboarding",
    "Night Desk",
)

ADMIN, SUPERVISOR, TELEPHONY_AGENT = 1, 3, 5
ROLE_NAMES: Final = {ADMIN: "ADMIN", SUPERVISOR: "SUPERVISOR", TELEPHONY_AGENT: "TELEPHONY_AGENT"}
"""N-USERS: the numbers of `zvtRole`; only ADMIN is seen spelled out there."""


@dataclass(frozen=True, slots=True)
class SimulatedAgent:
    """An agent. Ids have 17 digits, so they do not survive a float; `zuid` is a number in Zoho's bodies."""

    position: int
    """From 0, in the order of the roster."""
    agent_id: str
    user_id: str
    zuid: int
    name: str
    email: str
    team: str
    team_id: str
    role: int
    extension: int
    supervised: bool
    """Whether the supervisor's token sees this agent."""
    joins: int | None
    leaves: int | None

    def present_at(self, at_ms: int) -> bool:
        """Whether the agent is on the roster at this instant."""
        return (self.joins is None or self.joins <= at_ms) and (self.leaves is None or at_ms < self.leaves)


@dataclass(frozen=True, slots=True)
class OtherUser:
    """A row of the users endpoint that is no agent: without `agentId`, or with an empty one."""

    user_id: str
    zuid: int
    name: str
    email: str
    pending: bool
    """Invited, not yet active: `status` 3."""


@dataclass(frozen=True, slots=True)
class People:
    """Everyone whom the users endpoint may list. The agent at position 0 is the admin, the one at 1 the supervisor."""

    agents: tuple[SimulatedAgent, ...]
    others: tuple[OtherUser, ...]


class _Ids:
    """Numbers of 17 digits that rise in small steps, so that two neighbours are one and the same float."""

    def __init__(self, rng: random.Random, leading: int) -> None:
        self._rng = rng
        self._next = leading * 10**16 + rng.randrange(10**15)

    def take(self) -> int:
        self._next += self._rng.randint(1, 5)
        return self._next


def make_people(settings: SimulationSettings) -> People:
    """The people that follow from the settings' seed."""
    rng = seeded("people", settings.seed)
    agent_ids, user_ids, zuids, team_ids = (_Ids(rng, leading) for leading in (4, 5, 6, 7))
    teams = [(name, str(team_ids.take())) for name in _TEAMS[: max(1, min(len(_TEAMS), settings.agents // 8))]]
    presences = {presence.position: presence for presence in settings.presences}
    agents = []
    for position in range(settings.agents):
        team, team_id = teams[position // 2 % len(teams)]
        presence = presences.get(position)
        agents.append(
            SimulatedAgent(
                position=position,
                agent_id=str(agent_ids.take()),
                user_id=str(user_ids.take()),
                zuid=zuids.take(),
                name=_name(rng, position),
                email=f"agent.{position + 1}@example.test",
                team=team,
                team_id=team_id,
                role={0: ADMIN, 1: SUPERVISOR}.get(position, TELEPHONY_AGENT),
                extension=1000 + position,
                supervised=team == teams[0][0],
                joins=presence.joins if presence else None,
                leaves=presence.leaves if presence else None,
            )
        )
    others = tuple(
        OtherUser(str(user_ids.take()), zuids.take(), f"{rng.choice(_FIRST)} {rng.choice(_LAST)}",
                  f"user.{number + 1}@example.test", pending=number % 2 == 0)
        for number in range(settings.other_users)
    )  # fmt: skip
    return People(tuple(agents), others)


def _name(rng: random.Random, position: int) -> str:
    if position % 10 == 7 and position // 10 < len(_AWKWARD):
        return _AWKWARD[position // 10]
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
