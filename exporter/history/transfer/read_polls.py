"""A log of polls as NDJSON, one poll a line:

    {"sent": …, "received": …, "complete": true, "readings": {"1001": "Available", "1002": {"error": "…"}}}

A reading is a status word, `{"error": "what Zoho said"}` for an error row, or `{"absent": true}` if the poll asked for
the agent and no row came. An agent without a reading, or with null, was not asked for. Other keys are not looked at.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Never
from zoneinfo import ZoneInfo

from exporter.errors import UsageError
from exporter.history.transfer.incoming import IncomingFile, Line
from exporter.history.transfer.times import parse_time
from exporter.history.transfer.words import agent_id_of, status_of
from exporter.model import ABSENT, ERROR, AgentId, Poll, Status
from exporter.quoting import shown

_READING: Final = 'a status word, {"error": "..."}, {"absent": true} or null'


class PollLine(NamedTuple):
    """What a line says; `poll` is None if the poll was not complete, which proves nothing."""

    line: int
    poll: Poll | None


@dataclass(frozen=True, slots=True)
class PollsSeen:
    """What a first look at the polls has found."""

    complete: int
    incomplete: int
    median_pause_ms: int | None
    """Between the receipts of two complete polls; None if there are no two."""


def read_polls(
    file: IncomingFile, zone: ZoneInfo, now: int, advance: Callable[[int], None] = lambda _: None
) -> Iterator[PollLine]:
    """The polls, complete ones in the order of their receipt; a line that repeats the poll before it is left out.

    Raises UsageError, naming the line, for what is no poll or comes too late; polls before it were yielded then.
    """
    before: Poll | None = None
    for line in file.lines(advance):
        if not line.text.strip():
            continue
        try:
            poll = _poll(line, zone, now)
            if poll is not None and before is not None and poll.received <= before.received:
                if poll == before:
                    continue
                raise UsageError(
                    "the poll was received no later than the one before it: sort the file by 'received', "
                    "and import the polls of two recorders as two files"
                )
            if poll is not None and before is not None and poll.sent < before.received:
                raise UsageError(
                    "the poll was sent before the one before it was received: nobody can tell which saw the later "
                    "status; import the polls of two recorders as two files"
                )
        except UsageError as error:
            raise UsageError(f"{file.at(line.number)}: {error}") from error
        before = poll or before
        yield PollLine(line.number, poll)


def look_at(file: IncomingFile, zone: ZoneInfo, now: int, advance: Callable[[int], None]) -> PollsSeen:
    """Read all polls once, which finds every mistake in the file. Raises UsageError for one, or without any poll."""
    pauses: Counter[int] = Counter()
    complete = incomplete = 0
    before: int | None = None
    for _, poll in read_polls(file, zone, now, advance):
        if poll is None:
            incomplete += 1
            continue
        complete += 1
        if before is not None:
            pauses[poll.received - before] += 1
        before = poll.received
    if not complete:
        raise UsageError(f"cannot import {file.path}: no poll in it is complete, and others prove nothing")
    return PollsSeen(complete, incomplete, _median(pauses))


def _median(counts: Mapping[int, int]) -> int | None:
    """The middle one, of two the lesser; None without any."""
    rest = (sum(counts.values()) + 1) // 2
    for value in sorted(counts):
        rest -= counts[value]
        if rest <= 0:
            return value
    return None


def _poll(line: Line, zone: ZoneInfo, now: int) -> Poll | None:
    said = decoded(line.text)
    complete = said.get("complete")
    if not isinstance(complete, bool):
        raise UsageError("'complete' must be true or false")
    if not complete:
        return None
    sent, received = (_time(said, key, zone, now) for key in ("sent", "received"))
    if sent > received:
        raise UsageError("'sent' is later than 'received'")
    readings = said.get("readings")
    if not isinstance(readings, dict):
        raise UsageError("'readings' must be an object: a reading for each agent, by the agent's id")
    return Poll(sent, received, _readings(readings))


def _time(said: Mapping[str, object], key: str, zone: ZoneInfo, now: int) -> int:
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UsageError(f"'{key}' must be a time: ISO 8601, or milliseconds since 1970")
    try:
        return parse_time(value, zone, now)
    except UsageError as error:
        raise UsageError(f"'{key}': {error}") from error


def _readings(said: Mapping[str, object]) -> dict[AgentId, Status]:
    readings: dict[AgentId, Status] = {}
    for raw, value in said.items():
        agent_id = agent_id_of(raw)
        if agent_id in readings:
            raise UsageError(f"there are two readings for {shown(agent_id)}")
        if value is not None:
            readings[agent_id] = _status(agent_id, value)
    return readings


def _status(agent_id: AgentId, value: object) -> Status:
    match value:
        case str():
            try:
                return status_of(value)
            except UsageError as error:
                raise UsageError(f"the reading for {shown(agent_id)}: {error}") from error
        case {"error": str(), **rest} if not rest:
            return ERROR
        case {"absent": True, **rest} if not rest:
            return ABSENT
    raise UsageError(f"the reading for {shown(agent_id)} must be {_READING}")


def decoded(text: str) -> dict[str, object]:
    """The JSON object that a line holds. Raises UsageError for anything else, also if a key stands in it twice."""
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise UsageError(f"this is not JSON: {reason}") from error
    if not isinstance(found, dict):
        raise UsageError("this is JSON, but no object")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return found


def _no_number(text: str) -> Never:
    raise ValueError(f"{text} is no number")
