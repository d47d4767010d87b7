"""Everything that can be made to go wrong, as values: which fault, where it makes sense, and its particulars."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from exporter.errors import UsageError


class Label(Enum):
    """The endpoints of the simulator, by the names that the exporter's metrics use too."""

    TOKEN = "token"
    USERS = "users"
    OWN_STATUS = "own_status"
    STATUSES = "statuses"
    SET_STATUS = "set_status"
    OVERRIDE_STATUSES = "override_statuses"


EVERYWHERE: Final = "*"
"""In place of a label: every endpoint that the fault makes sense for."""


class FaultKind(Enum):
    """Everything that can be made to go wrong."""

    EXPIRED_TOKEN = "expired-token"
    """The access token presented is forgotten and refused; a fresh one works (unless the fault goes on)."""
    UNAUTHORIZED = "unauthorized"
    """401 whatever the token; `variant`: voice, crm, projects, mail, html."""
    SCOPE_MISSING = "scope-missing"
    """401 with OAUTH_SCOPE_MISMATCH."""
    REFUSED_REFRESH = "refused-refresh"
    """200 with `{"error": text}`; `text`: invalid_code, invalid_client, invalid_client_secret."""
    ACCESS_TOKEN_LIMIT = "access-token-limit"
    """"Access Denied" with `status` 200 or 400; `variant`: english, chinese."""
    THROTTLE_429 = "throttle-429"
    """429, with Retry-After when `retry_after` is given."""
    THROTTLE_400 = "throttle-400"
    """400 with URL_ROLLING_THROTTLES_LIMIT_EXCEEDED; the message states `retry_after`, in minutes, when given."""
    THROTTLE_200 = "throttle-200"
    """The same body with 200."""
    THROTTLE_CLIQ = "throttle-cliq"
    """400 with request_limit_exceeded, which states no time."""
    SERVER_ERROR = "server-error"
    """`status` 5xx with an HTML page."""
    CLIENT_ERROR = "client-error"
    """`status` 4xx with an error envelope."""
    ERROR_ENVELOPE = "error-envelope"
    """200 with an error envelope, whose message is `text`."""
    SLOW = "slow"
    """The answer is made at once but comes after `seconds`."""
    TRICKLE = "trickle"
    """The body comes in small pieces over `seconds`, so that something arrives all the time."""
    HANG = "hang"
    """No answer until the fault is cleared (then the one made at the beginning), or for `seconds` if given."""
    RESET = "reset"
    """The connection is reset (RST) without a byte of answer."""
    CLOSE = "close"
    """The connection is closed without a byte of answer."""
    TRUNCATED = "truncated"
    """Content-Length promises more than comes before the connection is closed."""
    NOT_JSON = "not-json"
    """200 with a body that is no JSON."""
    HTML = "html"
    """200 with an HTML page."""
    EMPTY = "empty"
    """200 with an empty body."""
    NO_CONTENT = "no-content"
    """204."""
    FALSE_GZIP = "false-gzip"
    """Content-Encoding says gzip, but the body is not."""
    HUGE_BODY = "huge-body"
    """A well-formed body of `megabytes` MB, streamed."""
    REDIRECT = "redirect"
    """`status` 3xx to `url`."""
    WRONG_TYPES = "wrong-types"
    """The right keys with values of other types; `variant`: payload, rows, fields, list (the whole body is a list)."""
    MISSING_ROWS = "missing-rows"
    """`count` rows, or the row of `agent`, are left out."""
    ERROR_ROWS = "error-rows"
    """`count` rows, or the row of `agent`, carry an error in place of a status."""
    DUPLICATE_ROWS = "duplicate-rows"
    """`count` rows, or the row of `agent`, come twice; `variant`: same, contradicting."""
    UNKNOWN_STATUS = "unknown-status"
    """`count` rows, or the row of `agent`, say `text`, or else one hostile word after another."""
    NUMERIC_IDS = "numeric-ids"
    """All ids are JSON numbers."""
    WRONG_TOTAL = "wrong-total"
    """`meta.total` is off by `delta`."""
    ROSTER_JOIN = "roster-join"
    """Between two pages a user appears at the beginning: the later page repeats a row."""
    ROSTER_LEAVE = "roster-leave"
    """Between two pages the first user vanishes: the later page skips a row."""
    SAME_PAGE = "same-page"
    """Every page is the first page."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault with its particulars; those that its kind does not use are ignored. 0 or "" mean: the kind's default."""

    kind: FaultKind
    factor: float = 1.0
    """The share of requests that it hits, evenly spread: 0.25 is every fourth, beginning with the fourth."""
    seconds: float = 0.0
    retry_after: int = 0
    """Seconds."""
    status: int = 0
    count: int = 0
    delta: int = 0
    megabytes: int = 0
    url: str = ""
    text: str = ""
    variant: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Where a kind of fault makes sense, and with which particulars; `variants` lists the default first."""

    labels: frozenset[Label]
    particulars: frozenset[str] = frozenset()
    required: str = ""
    statuses: range = range(0)
    variants: tuple[str, ...] = ()


_ALL: Final = frozenset(Label)
_API: Final = _ALL - {Label.TOKEN}
_TOKEN: Final = frozenset({Label.TOKEN})
_USERS: Final = frozenset({Label.USERS})
_STATUSES: Final = frozenset({Label.USERS, Label.OWN_STATUS, Label.STATUSES})
_ROWS: Final = _STATUSES | {Label.OVERRIDE_STATUSES}
_SOME: Final = frozenset({"count", "agent"})
_RETRY: Final = frozenset({"retry_after"})

RULES: Final[Mapping[FaultKind, _Rule]] = {
    FaultKind.EXPIRED_TOKEN: _Rule(_API),
    FaultKind.UNAUTHORIZED: _Rule(_API, frozenset({"variant"}), variants=("voice", "crm", "projects", "mail", "html")),
    FaultKind.SCOPE_MISSING: _Rule(_API),
    FaultKind.REFUSED_REFRESH: _Rule(_TOKEN, frozenset({"text"})),
    FaultKind.ACCESS_TOKEN_LIMIT: _Rule(
        _TOKEN, frozenset({"status", "variant"}), statuses=range(200, 500), variants=("english", "chinese")
    ),
    FaultKind.THROTTLE_429: _Rule(_ALL, _RETRY),
    FaultKind.THROTTLE_400: _Rule(_ALL, _RETRY),
    FaultKind.THROTTLE_200: _Rule(_ALL, _RETRY),
    FaultKind.THROTTLE_CLIQ: _Rule(_ALL),
    FaultKind.SERVER_ERROR: _Rule(_ALL, frozenset({"status", "retry_after"}), statuses=range(500, 600)),
    FaultKind.CLIENT_ERROR: _Rule(_ALL, frozenset({"status", "text"}), statuses=range(400, 500)),
    FaultKind.ERROR_ENVELOPE: _Rule(_API, frozenset({"text"})),
    FaultKind.SLOW: _Rule(_ALL, frozenset({"seconds"})),
    FaultKind.TRICKLE: _Rule(_ALL, frozenset({"seconds"})),
    FaultKind.HANG: _Rule(_ALL, frozenset({"seconds"})),
    FaultKind.RESET: _Rule(_ALL),
    FaultKind.CLOSE: _Rule(_ALL),
    FaultKind.TRUNCATED: _Rule(_ALL),
    FaultKind.NOT_JSON: _Rule(_ALL, frozenset({"text"})),
    FaultKind.HTML: _Rule(_ALL),
    FaultKind.EMPTY: _Rule(_ALL),
    FaultKind.NO_CONTENT: _Rule(_ALL),
    FaultKind.FALSE_GZIP: _Rule(_ALL),
    FaultKind.HUGE_BODY: _Rule(_ALL, frozenset({"megabytes"})),
    FaultKind.REDIRECT: _Rule(_ALL, frozenset({"url", "status"}), required="url", statuses=range(301, 309)),
    FaultKind.WRONG_TYPES: _Rule(_ALL, frozenset({"variant"}), variants=("payload", "rows", "fields", "list")),
    FaultKind.MISSING_ROWS: _Rule(_ROWS, _SOME),
    FaultKind.ERROR_ROWS: _Rule(_ROWS, _SOME),
    FaultKind.DUPLICATE_ROWS: _Rule(_ROWS, _SOME | {"variant"}, variants=("same", "contradicting")),
    FaultKind.UNKNOWN_STATUS: _Rule(_STATUSES, _SOME | {"text"}),
    FaultKind.NUMERIC_IDS: _Rule(_ROWS),
    FaultKind.WRONG_TOTAL: _Rule(_USERS, frozenset({"delta"})),
    FaultKind.ROSTER_JOIN: _Rule(_USERS),
    FaultKind.ROSTER_LEAVE: _Rule(_USERS),
    FaultKind.SAME_PAGE: _Rule(_USERS),
}
ALWAYS: Final = frozenset({"factor", "times"})
"""What every kind of fault takes."""


def check_fault(where: str, fault: Fault) -> frozenset[Label]:
    """The endpoints that a fault placed at a label (or `*`) hits. Raises UsageError where it makes no sense."""
    rule = RULES[fault.kind]
    labels = rule.labels if where == EVERYWHERE else frozenset(label for label in rule.labels if label.value == where)
    if not labels:
        known = ", ".join(label.value for label in Label if label in rule.labels)
        raise UsageError(f"the fault {fault.kind.value} cannot be at '{where}': it can be at {known}")
    if rule.required and not getattr(fault, rule.required):
        raise UsageError(f"the fault {fault.kind.value} needs {rule.required}=…")
    if fault.status and fault.status not in rule.statuses:
        wanted = f"{rule.statuses.start} to {rule.statuses.stop - 1}" if rule.statuses else "none"
        raise UsageError(f"the fault {fault.kind.value} cannot have status={fault.status}: it takes {wanted}")
    if fault.variant and fault.variant not in rule.variants:
        wanted = ", ".join(rule.variants) or "none"
        raise UsageError(f"the fault {fault.kind.value} has no variant '{fault.variant}': it has {wanted}")
    _check_numbers(fault)
    return labels


def _check_numbers(fault: Fault) -> None:
    for name, most in (("seconds", 86_400), ("retry_after", 86_400), ("count", 10_000), ("megabytes", 4_096)):
        if not 0 <= getattr(fault, name) <= most:
            raise UsageError(f"the fault {fault.kind.value} cannot have {name}={getattr(fault, name)}: "
                             f"give 0 to {most}")  # fmt: skip
    if not 0 < fault.factor <= 1:
        raise UsageError(
            f"the fault {fault.kind.value} cannot have factor={fault.factor:g}: give a share above 0, up to 1"
        )


def variant_of(fault: Fault) -> str:
    """The fault's variant, or its kind's default."""
    return fault.variant or RULES[fault.kind].variants[0]
