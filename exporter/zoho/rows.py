"""The rows of the answers, read strictly: a wrong type fails the whole answer, so that nothing is invented.

Pure. Ids are text always: some arrive as numbers above 2^53, which Python reads exactly; one that arrives as a float
has lost digits already and is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from exporter.model import ABSENT, ERROR, KNOWN_STATUSES, Kind, Status, reported, storable
from exporter.zoho.answers import wrong_schema
from exporter.zoho.endpoints import Endpoint

NOT_MENTIONED: Final = "Zoho's answer does not mention this agent"

_LONGEST_TEXT: Final = 200
_LONGEST_ID: Final = 32
"""As for ids that are named by flag or file; Zoho's have 14 to 17 digits."""
_LATEST: Final = 253_402_300_800_000
"""The year 10000, in ms UTC."""
_KNOWN: Final = {status.word: status for status in KNOWN_STATUSES}


@dataclass(frozen=True, slots=True)
class StatusRow:
    """What was answered about one agent.

    A reported status; or none and an `error`, Zoho's text; or none of both: the answer does not mention the agent.
    """

    agent_id: str
    status: Status | None
    error: str | None


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """What became of one agent's change: done when `error` is None."""

    agent_id: str
    error: str | None


@dataclass(frozen=True, slots=True)
class RosterRow:
    """An agent on the roster. `name`, `zuid` and `team` are "" where Zoho gives none; `team` is the department."""

    agent_id: str
    zuid: str
    name: str
    team: str
    status: Status | None
    last_active: int | None = None
    """Zoho's `lastActiveTime` (N-USERS), ms UTC; None if it is missing or makes no sense. No page says what it counts
    as being active."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """A row of the users endpoint: `agent` is None for a user that is no agent. `key` tells the same user again."""

    key: str
    agent: RosterRow | None


@dataclass(frozen=True, slots=True)
class UsersPage:
    """One page of the roster. `total` is that of all pages, None where Zoho does not say."""

    rows: tuple[UserRow, ...]
    total: int | None


def status_list(endpoint: Endpoint, body: dict[str, object]) -> list[object]:
    """The rows under `onlineStatus`: one endpoint documents an object, one a list, and samples mix up their paths."""
    rows = body.get("onlineStatus")
    if isinstance(rows, dict):
        return [rows]
    if not isinstance(rows, list):
        raise wrong_schema(endpoint, "`onlineStatus` is neither an object nor a list")
    return rows


def readings(endpoint: Endpoint, rows: Sequence[Any]) -> tuple[dict[str, Status], int]:
    """One reading for each agent that the rows mention, and how many agents had rows that contradict each other.

    Of two statuses for one agent the last counts; a status counts before an error row. Raises WrongSchema.
    """
    found: dict[str, Status] = {}
    for row in rows:
        # The plain case in few steps: this runs for every agent of every poll.
        try:
            agent_id, word = row["agentId"], row["onlineStatus"]
            status = _KNOWN[word]
        except (KeyError, TypeError, IndexError):
            agent_id, status = _reading(endpoint, row)
        else:
            if type(agent_id) is not str or "error" in row:
                agent_id, status = _reading(endpoint, row)
        found[agent_id] = status
    if len(found) == len(rows):
        return found, 0
    return _merged(endpoint, rows)


def _merged(endpoint: Endpoint, rows: Sequence[object]) -> tuple[dict[str, Status], int]:
    found: dict[str, Status] = {}
    contradicted = set()
    for row in rows:
        agent_id, status = _reading(endpoint, row)
        before = found.get(agent_id, status)
        if before != status:
            contradicted.add(agent_id)
        if status.kind is Kind.REPORTED or before.kind is not Kind.REPORTED:
            found[agent_id] = status
    return found, len(contradicted)


def _reading(endpoint: Endpoint, row: object) -> tuple[str, Status]:
    agent_id, word, error = _parts(endpoint, row)
    # A row that says both claims nothing; one that says neither is no more than an error.
    return agent_id, ERROR if error or not word or word.isspace() else reported(word)


def _parts(endpoint: Endpoint, row: object) -> tuple[str, str, str]:
    if not isinstance(row, dict):
        raise wrong_schema(endpoint, "a row is no object")
    return (
        text_id(endpoint, row.get("agentId"), "agentId"),
        _text(endpoint, row, "onlineStatus"),
        _text(endpoint, row, "error"),
    )


def status_rows(endpoint: Endpoint, rows: Sequence[object], asked: Sequence[str] | None) -> tuple[StatusRow, ...]:
    """The rows for people: those of `asked` in that order, or with None all in the order in which they came."""
    found, _ = readings(endpoint, rows)
    said = {agent_id: error for agent_id, _, error in (_parts(endpoint, row) for row in rows) if error}
    listed = found if asked is None else dict.fromkeys(asked)
    return tuple(_status_row(agent_id, found.get(agent_id, ABSENT), said.get(agent_id, "")) for agent_id in listed)


def _status_row(agent_id: str, status: Status, said: str) -> StatusRow:
    if status.kind is Kind.REPORTED:
        return StatusRow(agent_id, status, None)
    return StatusRow(
        agent_id, None, None if status is ABSENT else _shown(said) or "Zoho gives no status for this agent"
    )


def override_rows(endpoint: Endpoint, rows: object, asked: Sequence[str]) -> tuple[OverrideRow, ...]:
    """What became of each agent of `asked`, in that order; an error counts before a success. Raises WrongSchema."""
    found: dict[str, str | None] = {}
    for row in [rows] if isinstance(rows, dict) else rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            raise wrong_schema(endpoint, "a row is no object")
        agent_id = text_id(endpoint, row.get("agentId"), "agentId")
        found[agent_id] = found.get(agent_id) or _refusal(endpoint, row)
    return tuple(OverrideRow(agent_id, found.get(agent_id, NOT_MENTIONED)) for agent_id in dict.fromkeys(asked))


def _refusal(endpoint: Endpoint, row: dict[str, object]) -> str | None:
    status = _text(endpoint, row, "status")
    said = _shown(_text(endpoint, row, "error") or _text(endpoint, row, "message"))
    return None if status.upper() == "SUCCESS" else said or "Zoho refused without saying why"


def users_page(endpoint: Endpoint, body: dict[str, object]) -> UsersPage:
    """One page of users. Raises WrongSchema."""
    rows = body.get("users")
    if not isinstance(rows, list):
        raise wrong_schema(endpoint, "`users` is no list")
    meta = body.get("meta")
    return UsersPage(
        tuple(_user(endpoint, row) for row in rows), _count(meta.get("total")) if isinstance(meta, dict) else None
    )


def _user(endpoint: Endpoint, row: object) -> UserRow:
    if not isinstance(row, dict):
        raise wrong_schema(endpoint, "a row is no object")
    if row.get("error"):  # it would pass for somebody who has lost name and team
        raise wrong_schema(endpoint, "a row is an error")
    agent_id = _optional_id(endpoint, row, "agentId")
    user_id = _optional_id(endpoint, row, "userid")
    # A pending user may lack one id or the other; two of them must not pass for one.
    key = user_id or f"agent {agent_id or _optional_id(endpoint, row, 'zuid') or _text(endpoint, row, 'emailid')}"
    if not (agent_id.isascii() and agent_id.isdigit()):
        return UserRow(key, None)
    if len(agent_id) > _LONGEST_ID:  # it goes into the address of each poll, which has an end
        raise wrong_schema(endpoint, "an `agentId` is longer than any id")
    word = _text(endpoint, row, "onlineStatus")
    status = reported(word) if word and not word.isspace() else None
    name, team = _shown(_text(endpoint, row, "name")), _shown(_text(endpoint, row, "departmentName"))
    zuid, last_active = _optional_id(endpoint, row, "zuid"), _instant(row.get("lastActiveTime"))
    return UserRow(key, RosterRow(agent_id, zuid, name, team, status, last_active))


def _optional_id(endpoint: Endpoint, row: dict[str, object], key: str) -> str:
    value = row.get(key)
    return "" if value is None or value == "" else text_id(endpoint, value, key)


def text_id(endpoint: Endpoint, value: object, key: str) -> str:
    """An id as text. Raises WrongSchema for a float, which has lost digits, and for every other type."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise wrong_schema(endpoint, f"`{key}` is no id")


def _text(endpoint: Endpoint, row: dict[str, object], key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_schema(endpoint, f"`{key}` is no text")
    return value


def _shown(text: str) -> str:
    return storable(text.strip())[:_LONGEST_TEXT]


def _instant(value: object) -> int | None:
    found = _count(value)
    return found if found and found < _LATEST else None


def _count(value: object) -> int | None:
    # Numbers arrive as text and in exponent form elsewhere in this API.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
