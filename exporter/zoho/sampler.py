"""One complete sample of many agents: in chunks, some at a time, whole or not at all."""

import asyncio
import math
from collections.abc import Iterator, Sequence
from random import Random, SystemRandom
from typing import Final

from exporter.clock import Clock
from exporter.errors import ExporterError
from exporter.model import ABSENT, AgentId, Kind, Poll, Status
from exporter.steps import LIGHT, Steps, batches, taking_turns
from exporter.zoho.client import VoiceClient
from exporter.zoho.endpoints import Endpoint
from exporter.zoho.errors import NoStatus
from exporter.zoho.retries import with_retries

_FLOAT_ERROR_MS: Final = 0.001
"""The monotonic clock is a float."""


class Sampler:
    """Asks for the status of any number of agents."""

    def __init__(
        self,
        client: VoiceClient,
        clock: Clock,
        *,
        agents_per_request: int,
        concurrency: int,
        random: Random | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._agents_per_request = agents_per_request
        self._concurrency = concurrency
        self._random = random or SystemRandom()

    async def sample(self, agent_ids: Sequence[str], deadline: float) -> Poll:
        """The poll of `agent_ids` (a repeated id counts once); nobody to ask makes no request.

        A chunk that fails is tried again before `deadline` (monotonic); when one fails for good the others are
        cancelled and its ApiError is raised. Raises NoStatus when every chunk was answered but no row of any carries
        a status. May be cancelled at any time.
        """
        found = await taking_turns(_nobody_yet(agent_ids))
        ids = list(found)
        size = self._agents_per_request
        chunks = [ids[start : start + size] for start in range(0, len(ids), size)]
        # Wait before the poll and not in its middle: the readings of a poll should lie close together.
        await self._client.room(len(chunks), deadline)
        # In this order, and rounded up below: time may pass between two looks, and `received` must not be too early.
        began, sent = self._clock.monotonic(), self._clock.now_ms()
        await self._all(iter(chunks), found, deadline)
        # By the monotonic clock: a step of the wall clock must not put the answer before the question.
        received = sent + math.ceil((self._clock.monotonic() - began) * 1_000 - _FLOAT_ERROR_MS)
        if ids and all(status.kind is not Kind.REPORTED for status in found.values()):
            raise NoStatus(
                f"{Endpoint.STATUSES.purpose}: Zoho answered, but gave a status for none of {len(ids)} agents; check "
                "the agents' ids, and that the token's user is an administrator or supervises them",
                Endpoint.STATUSES,
            )
        return Poll(sent, received, found)

    async def _all(self, chunks: Iterator[list[str]], found: dict[AgentId, Status], deadline: float) -> None:
        errors: tuple[ExporterError | ExceptionGroup[ExporterError], ...] = ()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._work(chunks, found, deadline))
        except* ExporterError as failed:
            errors = failed.exceptions
        if errors:  # raised out here, for a group of errors is no one clear sentence
            raise errors[0]

    async def _work(self, chunks: Iterator[list[str]], found: dict[AgentId, Status], deadline: float) -> None:
        for chunk in chunks:

            async def ask(chunk: list[str] = chunk) -> dict[AgentId, Status]:
                return await self._client.readings(chunk, deadline)

            answered = await with_retries(ask, clock=self._clock, deadline=deadline, random=self._random)
            # Only whom this chunk asked for: an answer may mention others.
            for agent_id in chunk:
                found[agent_id] = answered.get(agent_id, ABSENT)


def _nobody_yet(agent_ids: Sequence[str]) -> Steps[dict[AgentId, Status]]:
    """Each of `agent_ids` once, as yet not answered for; for 50,000 of them it takes 10 ms."""
    found: dict[AgentId, Status] = {}
    for some in batches(agent_ids, 5 * LIGHT):
        found.update(dict.fromkeys(some, ABSENT))
        yield
    return found
