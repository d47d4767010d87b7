"""Ids and status words as files say them. Pure."""

from typing import Final

from exporter.errors import UsageError
from exporter.model import ABSENT, ERROR, UNKNOWN, AgentId, Status, reported, storable
from exporter.quoting import shown

_LONGEST_ID: Final = 100
_NOT_REPORTED: Final = {status.word: status for status in (ABSENT, ERROR)}


def agent_id_of(said: str) -> AgentId:
    """The id, blanks around it left out. Raises UsageError for none, and for what cannot be stored as it stands."""
    found = said.strip()
    if not found:
        raise UsageError("nothing stands where an agent's id is expected")
    if len(found) > _LONGEST_ID or storable(found) != found:
        raise UsageError(
            f"{shown(found)} is no agent's id: it is longer than {_LONGEST_ID} characters, or has odd ones"
        )
    return found


def status_of(said: str) -> Status:
    """The status that a word means, spelled as live polls spell it; `absent` and `error` are what reports call so.

    Raises UsageError if there is none, and for `unknown`: what nobody saw is not a status that somebody entered.
    """
    found = said.strip()
    if not found:
        raise UsageError("nothing stands where a status is expected")
    if found == UNKNOWN.word:
        raise UsageError("'unknown' is no status: time that nobody saw is left out of a file, not written into it")
    return _NOT_REPORTED.get(found) or reported(found)
