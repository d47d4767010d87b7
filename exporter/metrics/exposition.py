"""What a scrape is answered with, prepared when a poll ends: bytes for both formats, plain and deflated.

A body is the agents' families, the rest of the snapshot, and a small part that is made at the scrape. The agents' part
has a second form for when the last good poll is too old, so that a scrape can choose without rendering anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.metrics.agents import AgentsView
from exporter.metrics.blocks import AgentsContent, agent_sections
from exporter.metrics.compress import crc32, flushed, gzip_pieces, new_deflater, piece
from exporter.metrics.families import FAMILY, OWN_FAMILIES
from exporter.metrics.polling import Polling
from exporter.metrics.text import Format, header, series_lines
from exporter.metrics.values import Frozen
from exporter.steps import LIGHT, Steps, at_once, batches

_SHEET: Final = 256 * 1024
"""Bytes that a piece of a body has, more or less."""
_CHECKED: Final = 20
"""Pieces whose checksum is taken in one step: 5 MB, about half a millisecond."""
_END: Final = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """The bytes of one part of a body, in one format."""

    plain: tuple[bytes, ...]
    """Not joined: the pieces of the two formats share what they have in common."""
    deflated: tuple[bytes, ...]
    """Raw deflate, ended by a full flush; at least one piece."""
    crc: int
    length: int


@dataclass(frozen=True, slots=True)
class Body:
    """A whole body in pieces, which are never joined: at 50,000 agents that would be 60 MB for each reader."""

    pieces: tuple[bytes, ...]
    length: int
    """Of all of them, in bytes."""

    @property
    def whole(self) -> bytes:
        """The pieces joined, for who wants them so."""
        return b"".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Exposition:
    """An immutable snapshot; it is swapped by one assignment, so a scrape never sees half of two."""

    made_at: int
    """Wall clock in milliseconds."""
    fresh: Mapping[Format, Prepared]
    stale: Mapping[Format, Prepared]
    """Without the agents' families."""
    fresh_until: float | None
    """Until when the agents may be shown, by the monotonic clock; None if there are none to show."""
    polling: Polling
    view: AgentsView | None
    """The agents that the bytes of `fresh` tell of, so that JSON says the same; None before the first good poll."""

    def body(self, form: Format, *, gzip: bool, scrape_part: bytes = b"", with_agents: bool = True) -> Body:
        """A whole body; `scrape_part` is in the same format and holds none of the snapshot's families.

        `gzip` gives one gzip member, which decompresses to exactly the plain body.
        """
        prepared = (self.fresh if with_agents else self.stale)[form]
        last = scrape_part + _END[form]
        if gzip:
            pieces = gzip_pieces(prepared.deflated, prepared.crc, prepared.length, last)
            return Body(pieces, sum(map(len, pieces)))
        return Body((*prepared.plain, last), prepared.length + len(last))

    def held(self) -> tuple[tuple[list[object], int], ...]:
        """All that takes long to free, and how much of it takes a millisecond; see `letting_go`."""
        pieces = [piece for prepared in self.fresh.values() for piece in (*prepared.plain, *prepared.deflated)]
        return ([*pieces], _CHECKED), ([] if self.view is None else [*self.view.rows], LIGHT)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that an exposition is made of; nothing of it changes while it is rendered, so any thread may do that."""

    made_at: int
    polling: Polling
    agents: AgentsContent | None
    """None before the first good poll."""
    values: Frozen
    fresh_until: float | None
    """See `Exposition`; set whenever `agents` is."""


def render(snapshot: Snapshot) -> Exposition:
    """The exposition of a snapshot, at once."""
    return at_once(render_in_steps(snapshot))


def render_in_steps(snapshot: Snapshot) -> Steps[Exposition]:
    """The exposition of a snapshot, as the generator's return value."""
    rest = {form: _rest(snapshot.values, form) for form in Format}
    yield
    stale = {form: _prepared([_up(form, up=False), rest[form]]) for form in Format}
    yield
    if snapshot.agents is None:
        return Exposition(snapshot.made_at, stale, stale, None, snapshot.polling, None)
    sections = yield from _agents(snapshot.agents)
    fresh = {}
    for form in Format:
        fresh[form] = yield from _joined(sections, form, _up(form, up=snapshot.polling.up) + rest[form])
    return Exposition(snapshot.made_at, fresh, stale, snapshot.fresh_until, snapshot.polling, snapshot.agents.view)


def _rest(values: Frozen, form: Format) -> bytes:
    lines: list[str] = []
    for family in OWN_FAMILIES:
        series = values.get(family.name)
        if series:
            lines.append(header(family, form))
            lines.extend(series_lines(family, series))
    return "".join(lines).encode()


def _up(form: Format, *, up: bool) -> bytes:
    return f"{header(FAMILY['zohovoice_up'], form)}zohovoice_up {int(up)}\n".encode()


def _prepared(parts: list[bytes]) -> Prepared:
    whole = b"".join(parts)
    return Prepared((whole,), (piece(whole),), crc32(whole), len(whole))


class _Sheets:
    """Pieces joined into fewer ones as they come: each is a write of its own for everybody who reads the body.

    All joined at the end took 15 ms at 50,000 agents, in which the event loop stood still.
    """

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._begun: list[bytes] = []
        self._size = 0

    def add(self, some: bytes) -> None:
        """The next piece."""
        self._begun.append(some)
        self._size += len(some)
        if self._size >= _SHEET:
            self._end()

    def all(self) -> tuple[bytes, ...]:
        """What was added. Nothing is added after it."""
        if self._begun:
            self._end()
        return tuple(self._done)

    def _end(self) -> None:
        self._done.append(b"".join(self._begun))
        self._begun.clear()
        self._size = 0


@dataclass(frozen=True, slots=True)
class _Section:
    """A family's lines, the same in both formats, and deflated once for both."""

    headers: Mapping[Format, bytes]
    lines: tuple[bytes, ...]
    deflated: tuple[bytes, ...]


def _agents(content: AgentsContent) -> Steps[list[_Section]]:
    """The agents' families that have samples."""
    sections: list[_Section] = []
    for family, pieces in agent_sections(content):
        deflater, lines, deflated = new_deflater(), _Sheets(), _Sheets()
        for some in pieces:
            lines.add(some)
            deflated.add(deflater.compress(some))
            yield
        if sheets := lines.all():
            deflated.add(flushed(deflater))
            headers = {form: header(family, form).encode() for form in Format}
            sections.append(_Section(headers, sheets, deflated.all()))
            yield
    return sections


def _joined(sections: list[_Section], form: Format, tail: bytes) -> Steps[Prepared]:
    """The sections in one format, and `tail` after them."""
    plain: list[bytes] = []
    deflated = _Sheets()
    crc = length = 0
    for section in sections:
        head = section.headers[form]
        deflated.add(piece(head))
        for some_deflated in section.deflated:
            deflated.add(some_deflated)
            yield
        for some in batches((head, *section.lines), _CHECKED):
            for part in some:
                crc = crc32(part, crc)
                length += len(part)
            plain += some
            yield
    plain.append(tail)
    deflated.add(piece(tail))
    length += len(tail)
    # A body that is short anyway takes a single write; of a long one both formats share the lines of samples.
    pieces = (b"".join(plain),) if length <= _SHEET else tuple(plain)
    return Prepared(pieces, deflated.all(), crc32(tail, crc), length)
