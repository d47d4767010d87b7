"""The words of the domain, as immutable values.

Every instant is an integer: milliseconds since 1970-01-01 UTC. Every id is text, always: Zoho sends some ids as
numbers above 2^53. An interval is half-open: its start belongs to it, its end does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final
from unicodedata import category

AgentId = str
"""Zoho's `agentId`: decimal digits, kept as text."""


class Kind(IntEnum):
    """What sort of answer a status is. The numbers are stored in the database: never change them."""

    REPORTED = 0
    """Zoho said a status word."""
    ERROR = 1
    """A complete poll brought an error row for the agent."""
    ABSENT = 2
    """A complete poll asked for the agent and brought no row."""
    UNKNOWN = 3
    """Nobody was looking: no complete poll. Never recorded, only derived."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of an agent at an instant: Zoho's word, or one of the three ways of not knowing.

    `word` is what people read. Only `kind` tells a reported word "error" from an error row.
    """

    kind: Kind
    word: str


AVAILABLE: Final = Status(Kind.REPORTED, "Available")
BUSY: Final = Status(Kind.REPORTED, "Busy")
ON_BREAK: Final = Status(Kind.REPORTED, "On Break")
ON_CALL: Final = Status(Kind.REPORTED, "On Call")
OFFLINE: Final = Status(Kind.REPORTED, "Offline")
KNOWN_STATUSES: Final = (AVAILABLE, BUSY, ON_BREAK, ON_CALL, OFFLINE)
SETTABLE_STATUSES: Final = (AVAILABLE, BUSY, ON_BREAK, OFFLINE)
"""What the API lets a caller set; `On Call` is not among them (SEED, "Update Agent current online status")."""

ERROR: Final = Status(Kind.ERROR, "error")
ABSENT: Final = Status(Kind.ABSENT, "absent")
UNKNOWN: Final = Status(Kind.UNKNOWN, "unknown")

_EXACT: Final = {status.word: status for status in KNOWN_STATUSES}
_FOLDED: Final = {"".join(status.word.casefold().split()): status for status in KNOWN_STATUSES}
_LONGEST_WORD: Final = 100
JOINERS: Final = "\u200c\u200d"
"""Characters of names that are seen only by what they do to those beside them."""


def reported(raw: str) -> Status:
    """The status that Zoho's text `raw` says.

    The five known words are folded to one spelling ("On break" and "Onbreak" are `On Break`); any other word is
    kept as it came, but storable: lone surrogates, control characters and over-length are replaced.
    """
    known = _EXACT.get(raw)
    if known is not None:
        return known
    known = _FOLDED.get("".join(raw.casefold().replace("_", " ").replace("-", " ").split()))
    return known if known is not None else Status(Kind.REPORTED, storable(raw)[:_LONGEST_WORD])


def storable(text: str) -> str:
    """`text` with what UTF-8, SQLite, XML or a line of a log or report cannot carry as U+FFFD.

    That is lone surrogates, control characters, ends of lines, marks that turn the direction of writing, and other
    invisible ones. Names need some that `str.isprintable` denies: the wide space of Japanese, the joiners of Persian
    and of emoji, and letters that are newer than this Python's tables.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or _is_of_a_name(c) else "\ufffd" for c in text)


def _is_of_a_name(character: str) -> bool:
    code = ord(character)
    is_never_a_character = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
    return character in JOINERS or (category(character) in ("Zs", "Cn") and not is_never_a_character)


@dataclass(frozen=True, slots=True)
class Agent:
    """Who an agent is: the id, and the name and team that the roster or the agents file tells ("" if it does not)."""

    agent_id: AgentId
    name: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class Roster:
    """The agents to be tracked, as they were at one instant."""

    agents: Mapping[AgentId, Agent]
    read_at: int
    rows_ignored: int = 0
    """Rows of the users endpoint that are no agents."""
    last_active: Mapping[AgentId, int] = field(default_factory=dict)
    """When Zoho says that agents were last active, ms UTC; of those only of whom it does, and of others too."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One complete sample of all tracked agents: every chunk was answered with a well-formed success envelope.

    Each reading was true at some instant in [sent, received]. `readings` has exactly one entry for each agent asked
    for; one that was not answered is `ABSENT`. A poll that is not complete is never a Poll: the sampler raises.
    """

    sent: int
    received: int
    readings: Mapping[AgentId, Status]
    clock_step_ms: int = 0
    """How far the wall clock had stepped against the monotonic one since the poll before; 0 within the tolerance."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of status between two polls: it happened after `not_before` and not after `seen`.

    Both are by the clock that read `seen`: one that was set back in between calls the poll before an earlier time.
    `from_status` and `not_before` are None for the first observation since the agent is tracked.
    """

    agent_id: AgentId
    from_status: Status | None
    to_status: Status
    not_before: int | None
    seen: int


class EndReason(Enum):
    """Why a stretch of coverage ended. The values are stored in the database: never change them."""

    SHUTDOWN = "shutdown"
    CRASH = "crash"
    POLL_FAILURE = "poll failure"
    CLOCK_STEP = "clock step"
    RECONFIGURED = "reconfigured"
    NOT_WRITTEN = "not written"
    """Polls were complete, but the database could not be written for longer than memory holds them."""
    NOT_IN_FILE = "not in the file"
    """The imported file tells nothing of the time that follows."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """An unbroken run of complete polls: each was received at most `gap_limit_ms` after the one before.

    Time is known in [started, last). Before and after it is unknown, whatever the status on both sides.
    """

    first_sent: int
    started: int
    """When its first poll was received."""
    last_sent: int
    last: int
    """When its last poll was received."""
    polls: int
    interval_ms: int
    gap_limit_ms: int


@dataclass(frozen=True, slots=True)
class Tracked:
    """What is known of an agent that is tracked now."""

    status: Status
    since: int
    """When the last change into `status` was first seen; a gap with the same status on both sides does not reset it."""
    agent: Agent


@dataclass(frozen=True, slots=True)
class TrackerState:
    """All that the next poll is compared with: who is tracked, and the latest stretch (which may be over)."""

    agents: Mapping[AgentId, Tracked]
    stretch: Stretch | None


@dataclass(frozen=True, slots=True)
class PollFacts:
    """What one complete poll adds to the history; written in one transaction or not at all."""

    poll: Poll
    stretch: Stretch
    """The stretch as it stands with this poll."""
    previous_ended: EndReason | None
    """None when this poll continues the stretch before it; else why that one ended (or None at the very first)."""
    begins_stretch: bool
    elapsed_ms: int
    """Known time since the poll before: 0 when this poll begins a stretch."""
    transitions: tuple[Transition, ...]
    joined: tuple[AgentId, ...]
    """Tracked from `poll.received`."""
    left: tuple[AgentId, ...]
    """No longer asked for: tracked until the last poll before was received."""
    left_before: Stretch | None
    """The stretch that ends with that last poll, if anybody left; else None."""
    described: tuple[Agent, ...]
    """Agents whose name or team is new or has changed."""


class Quality(Enum):
    """How an interval of time is known."""

    EXACT = "exact"
    """Imported from a log that tells exact times."""
    SAMPLED = "sampled"
    """The same status at each poll; an excursion shorter than the poll interval can hide."""
    BRIDGED = "bridged"
    """A gap between two equal statuses that the reader asked to be bridged."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Interval:
    """A stay of an agent in one status, or a time of not knowing: [start, end).

    `start_not_before` ≤ true start ≤ `start_not_after`, and the same for the end; the edge policy decides where in
    these bounds `start` and `end` are put.
    """

    agent_id: AgentId
    start: int
    end: int
    status: Status
    quality: Quality
    start_not_before: int
    start_not_after: int
    end_not_before: int
    end_not_after: int
