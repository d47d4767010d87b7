"""The four online-status endpoints and the users endpoint, as typed calls. One method, one request (two when the
access token had to be replaced)."""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal
from urllib.parse import urlencode

from exporter.clock import Clock
from exporter.errors import UsageError
from exporter.model import SETTABLE_STATUSES, Status
from exporter.secret import Secret
from exporter.zoho import rows
from exporter.zoho.answers import Answer, Throttled, TokenRefused, judged, wrong_schema
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import AuthFailed
from exporter.zoho.gate import Gate
from exporter.zoho.oauth import TokenSource
from exporter.zoho.rows import OverrideRow, StatusRow, UsersPage
from exporter.zoho.transport import Transport

PAGE_SIZE: Final = 50
"""The most users on a page (N-USERS, `offset`)."""

_IDS: Final = re.compile(r"[0-9]+(?:,[0-9]+)*")
_OVERRIDES: Final = "overrideOnlineStatus"

__all__ = ["PAGE_SIZE", "OverrideRow", "StatusRow", "UsersPage", "VoiceClient"]

_log = logging.getLogger(__name__)


class VoiceClient:
    """Zoho Voice, as far as online status goes. Every `deadline` is a value of `clock.monotonic()`.

    Every method raises an ApiError when it brings nothing usable. None is repeated, but for a refused token.
    """

    def __init__(self, transport: Transport, tokens: TokenSource, gate: Gate, clock: Clock) -> None:
        self._transport = transport
        self._tokens = tokens
        self._gate = gate
        self._clock = clock

    async def own_status(self, deadline: float) -> StatusRow:
        """The status of the agent whose token it is (N-GET1)."""
        endpoint = Endpoint.OWN_STATUS
        found = rows.status_list(endpoint, await self._call(endpoint, deadline))
        if len(found) != 1:
            raise wrong_schema(endpoint, f"the own status has {len(found)} rows")
        return rows.status_rows(endpoint, found, None)[0]

    async def readings(self, agent_ids: Sequence[str], deadline: float) -> dict[str, Status]:
        """Status by agent id, for the sampler: reported or `ERROR`; whom the answer leaves out is not in it.

        It may hold agents that were not asked for.
        """
        endpoint = Endpoint.STATUSES
        body = await self._call(endpoint, deadline, query=f"agentIds={_joined(agent_ids)}")
        found, contradicted = rows.readings(endpoint, rows.status_list(endpoint, body))
        if contradicted:
            _log.debug("rows contradict each other, the last counts", extra={"fields": {"agents": contradicted}})
        return found

    async def statuses(
        self, ids: Sequence[str], deadline: float, *, by: Literal["agentIds", "zuids"] = "agentIds"
    ) -> tuple[StatusRow, ...]:
        """The status of agents (N-GETM), in one request: the caller makes the chunks.

        By `agentIds`: one row for each id, in that order, with no status where the answer has none. By `zuids`: the
        rows as they came, because answers carry agent ids only. Raises UsageError for an id that is not digits.
        """
        endpoint = Endpoint.STATUSES
        if not ids:
            return ()
        found = rows.status_list(endpoint, await self._call(endpoint, deadline, query=f"{by}={_joined(ids)}"))
        return rows.status_rows(endpoint, found, ids if by == "agentIds" else None)

    async def set_own_status(self, status: Status, deadline: float) -> None:
        """Set the status of the agent whose token it is (N-PUT1). Raises UsageError for one that cannot be set."""
        await self._call(Endpoint.SET_STATUS, deadline, form={"status": _settable(status)})

    async def override_statuses(
        self, agent_ids: Sequence[str], status: Status, deadline: float
    ) -> tuple[OverrideRow, ...]:
        """Set the status of agents (N-PUTM), in one request: the caller makes the chunks. One row for each id.

        The rows are read whatever the envelope says; an agent that the answer does not mention has an error that says
        so. Raises UsageError for a status that cannot be set and for an id that is not decimal digits.
        """
        endpoint = Endpoint.OVERRIDE_STATUSES
        form = {"agentIds": _joined(agent_ids), "status": _settable(status)}
        body = await self._call(endpoint, deadline, form=form, rows_key=_OVERRIDES)
        return rows.override_rows(endpoint, body.get(_OVERRIDES), agent_ids)

    async def users_page(self, start: int, size: int, deadline: float) -> UsersPage:
        """Users from index `start`, at most `size` (Zoho: 50) of them (N-USERS)."""
        query = urlencode({"from": start, "offset": size})
        return rows.users_page(Endpoint.USERS, await self._call(Endpoint.USERS, deadline, query=query))

    async def room(self, requests: int, deadline: float) -> None:
        """Wait until so many requests for statuses can follow each other within --api.max-requests-per-minute.

        Raises RateLimited at once when that is not before `deadline`, or while Zoho throttles.
        """
        await self._gate.room(Endpoint.STATUSES, requests, deadline)

    async def _call(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        query: str = "",
        form: dict[str, str] | None = None,
        rows_key: str = "",
    ) -> dict[str, object]:
        self._gate.check(endpoint)
        token = await self._tokens.token(deadline)
        for _ in range(2):
            async with self._gate.request(endpoint, deadline):
                answer = await self._transport.send(endpoint, deadline, query=query, form=form, token=token)
            body = self._judged(endpoint, answer, token, rows_key)
            if body is not None:
                self._tokens.accepted(token, endpoint)
                return body
            await self._tokens.rejected(token, endpoint)
            refused, token = token, await self._tokens.token(deadline)
            if token == refused:
                break
        raise AuthFailed(
            f"{endpoint.purpose}: Zoho does not accept the access token; check that --api.url and --api.accounts-url "
            "belong to the same data centre, and that the token was made for Zoho Voice",
            endpoint,
        )

    def _judged(self, endpoint: Endpoint, answer: Answer, token: Secret, rows_key: str) -> dict[str, object] | None:
        """The body, or None when the token was refused."""
        verdict = judged(endpoint, answer, self._clock.now_ms(), (token,), rows_key=rows_key)
        if isinstance(verdict, Throttled):
            raise self._gate.shut(endpoint, verdict.seconds)
        return None if isinstance(verdict, TokenRefused) else verdict


def _joined(ids: Iterable[str]) -> str:
    joined = ",".join(ids)
    if _IDS.fullmatch(joined) is None:
        raise UsageError(
            "an agent's id is not written in decimal digits, or none is given: give Zoho's agentId (or zuid)"
        )
    return joined


def _settable(status: Status) -> str:
    if status not in SETTABLE_STATUSES:
        allowed = ", ".join(settable.word for settable in SETTABLE_STATUSES)
        raise UsageError(f"'{status.word}' cannot be set: Zoho Voice lets a caller set {allowed}")
    return status.word
