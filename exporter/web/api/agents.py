"""`GET /api/v1/agents`: everyone's status now. It says the same as the metrics do at the same moment.

The whole answer is made once for all who ask, when the first of them does so after a poll; a choice of agents is made
for each request. Both are made in steps, between which the event loop does other things.
"""

import asyncio
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from exporter.clock import utc_text
from exporter.errors import UsageError
from exporter.metrics.agents import Row
from exporter.metrics.compress import crc32, flushed, gzip_member, new_deflater
from exporter.metrics.text import cleaned
from exporter.model import reported
from exporter.quoting import shown as quoted
from exporter.report.formats import json_text
from exporter.steps import LIGHT, Steps, batches, taking_turns
from exporter.web.api.query import Parameters, check_names, link, page_of, parameters
from exporter.web.api.shown import Showing, Shown
from exporter.web.fields import entity_tag, has, takes_gzip
from exporter.web.refusals import refusal
from exporter.web.routing import Endpoint

AGENTS_PATH: Final = "/api/v1/agents"

_PIECE: Final = 100
"""Agents rendered in one go: about a millisecond."""
_LONGEST_PATTERN: Final = 100
_MOST_PATTERNS: Final = 20
"""Of each parameter. To understand one takes up to a millisecond, and to compare it with one name a microsecond."""
_FILTERS: Final = ("team", "status", "agent")
_END: Final = b"\n]}\n"


@dataclass(frozen=True, slots=True)
class Document:
    """An answer, plain and as one gzip member."""

    plain: bytes
    gzip: bytes
    tag: str
    """What tells it from every other answer; goes into ETag."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which agents are asked for. Nothing given: all of them."""

    asked: Parameters
    limit: int | None
    offset: int

    @classmethod
    def of(cls, asked: Parameters) -> "Page":
        """Raises UsageError that names the parameter that is wrong."""
        check_names(asked, _FILTERS, ("limit", "offset"))
        for name in _FILTERS:
            texts = asked.get(name, ())
            if len(texts) > _MOST_PATTERNS:
                raise UsageError(f"{name} stands there {len(texts)} times, and {_MOST_PATTERNS} times is the most")
            for text in texts:
                if len(text) > _LONGEST_PATTERN:
                    raise UsageError(f"{name} {quoted(text)} is longer than {_LONGEST_PATTERN} characters")
        return cls(asked, *page_of(asked))


def agents(showing: Showing) -> Endpoint:
    """What answers at `AGENTS_PATH`."""
    everyone = _Everyone(showing)

    async def answer(request: Request) -> Response:
        try:
            page = Page.of(parameters(request.scope["query_string"]))
        except UsageError as error:
            return refusal(request.scope["path"], 400, str(error))
        document = await (taking_turns(_rendered(showing.now(), page)) if page.asked else everyone.document())
        return _response(request, document)

    return answer


class _Everyone:
    """The answer for who asks for all agents, made once for each version."""

    def __init__(self, showing: Showing) -> None:
        self._showing = showing
        self._making = asyncio.Lock()
        self._made: tuple[Shown, Document] | None = None

    async def document(self) -> Document:
        """The answer at this moment; who comes while it is being made waits for it."""
        async with self._making:
            shown = self._showing.now()
            if self._made is None or self._made[0] is not shown:
                self._made = shown, await taking_turns(_rendered(shown, Page({}, None, 0)))
            return self._made[1]


def _response(request: Request, document: Document) -> Response:
    gzip = takes_gzip(request)
    headers = {
        "content-type": "application/json",
        "vary": "Accept-Encoding",
        "etag": entity_tag(document.tag, gzip=gzip),
    }
    if has(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    if gzip:
        headers["content-encoding"] = "gzip"
    return Response(document.gzip if gzip else document.plain, headers=headers)


def _rendered(shown: Shown, page: Page) -> Steps[Document]:
    """The answer as the generator's return value."""
    matching = yield from _matching(shown.rows, page.asked)
    counts = dict.fromkeys(range(len(shown.labels)), 0)
    for some in batches(matching, LIGHT):
        for row in some:
            counts[row.place] += 1
        yield
    end = len(matching) if page.limit is None else min(len(matching), page.offset + page.limit)
    rows = matching[page.offset : end]
    more = page.limit is not None and page.offset < end < len(matching)
    meta = shown.meta() | {
        "total": len(matching),
        "limit": page.limit,
        "offset": page.offset,
        "next": link(AGENTS_PATH, page.asked, offset=end) if more else None,
    }
    statuses = [{"status": shown.labels[place], "agents": agents} for place, agents in counts.items()]
    yield
    before = {"meta": meta, "statuses": statuses, "teams": shown.teams}
    head = ",\n".join(f'"{name}": {json_text(value)}' for name, value in before.items())
    return (yield from _packed(f'{{{head},\n"rows": ['.encode(), rows))


def _packed(head: bytes, rows: Sequence[Row]) -> Steps[Document]:
    deflater, digest, crc = new_deflater(), hashlib.blake2b(digest_size=12), 0
    plain: list[bytes] = []
    deflated: list[bytes] = []
    for piece in itertools.chain((head,), _row_pieces(rows)):
        plain.append(piece)
        deflated.append(deflater.compress(piece))
        digest.update(piece)
        crc = crc32(piece, crc)
        yield
    deflated.append(flushed(deflater))
    gzip = gzip_member(b"".join(deflated), crc, sum(map(len, plain)), _END)
    yield
    return Document(b"".join((*plain, _END)), gzip, digest.hexdigest())


def _row_pieces(rows: Sequence[Row]) -> Iterator[bytes]:
    before = "\n"
    for some in batches(rows, _PIECE):
        yield (before + ",\n".join(map(_row_text, some))).encode()
        before = ",\n"


def _row_text(row: Row) -> str:
    tracked = row.tracked
    return json_text(
        {
            "agent_id": cleaned(tracked.agent.agent_id),
            "name": cleaned(tracked.agent.name),
            "team": row.team,
            "status": tracked.status.word,
            "since": utc_text(tracked.since),
        }
    )


def _matching(rows: tuple[Row, ...], asked: Parameters) -> Steps[Sequence[Row]]:
    """The rows that every filter lets through; a filter with several texts lets through what any of them fits."""
    if not any(name in asked for name in _FILTERS):
        return rows
    patterns: dict[str, list[_Pattern]] = {}
    for name in ("team", "agent"):
        patterns[name] = []
        for text in asked.get(name, ()):
            patterns[name].append(_Pattern(text))
            yield
    words = {reported(text.strip()).word.casefold() for text in asked.get("status", ())}
    found: list[Row] = []
    for some in batches(rows, _PIECE // (1 + len(patterns["team"]) + len(patterns["agent"]))):
        for row in some:
            agent = row.tracked.agent
            if (
                (not words or row.tracked.status.word.casefold() in words)
                and _fits(patterns["team"], (row.team,))
                and _fits(patterns["agent"], (agent.agent_id, agent.name))
            ):
                found.append(row)
        yield
    return found


class _Pattern:
    """A shell glob, whatever the case; the empty one matches what is empty."""

    def __init__(self, text: str) -> None:
        self._folded = text.casefold()
        self._matches = re.compile(translate(self._folded)).match

    def fits(self, text: str) -> bool:
        folded = text.casefold()
        return folded == self._folded or (bool(text) and self._matches(folded) is not None)


def _fits(patterns: Sequence[_Pattern], texts: Iterable[str]) -> bool:
    return not patterns or any(pattern.fits(text) for pattern in patterns for text in texts)
