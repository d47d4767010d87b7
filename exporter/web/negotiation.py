"""Which format and coding a client wants: RFC 9110 (12.4, 12.5) and Prometheus' page "Content negotiation".

Pure; never raises, whatever the headers hold. Nothing acceptable is no error: Prometheus wants a body it can show.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from exporter.metrics.text import Format


@dataclass(frozen=True, slots=True)
class Answer:
    """How to write the body."""

    form: Format
    content_type: str
    gzip: bool


@dataclass(frozen=True, slots=True)
class _Offer:
    form: Format
    media_type: str
    version: str

    @property
    def content_type(self) -> str:
        return f"{self.media_type}; version={self.version}; charset=utf-8"


_TEXT: Final = _Offer(Format.TEXT, "text/plain", "0.0.4")
# The newest version first: it is taken by a client that names none. 2.0.0 is not final, so it is not answered to.
_OFFERS: Final = (
    _TEXT,
    _Offer(Format.OPENMETRICS, "application/openmetrics-text", "1.0.0"),
    _Offer(Format.OPENMETRICS, "application/openmetrics-text", "0.0.1"),
)

# A list's members, and a member's parameters: commas and semicolons inside quotes do not count.
_MEMBER: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|$))+')
_PARAMETER: Final = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*(?:"|$))+')
_LONGEST: Final = 1_000
"""What of a header is read; five times what Prometheus sends."""
_QVALUE: Final = re.compile(r"0(?:\.[0-9]*)?|1(?:\.0*)?|\.[0-9]+")


@dataclass(frozen=True, slots=True)
class _Wish:
    """A member of Accept or Accept-Encoding."""

    value: str
    parameters: Mapping[str, str]
    q: float


@lru_cache(maxsize=64)
def negotiate(accept: str | None, accept_encoding: str | None) -> Answer:
    """The answer to the two headers; None where there is none. Several fields of a name are joined with commas."""
    offer = _best_offer(tuple(_wishes(accept or "")))
    return Answer(offer.form, offer.content_type, _wants_gzip(accept_encoding))


def _best_offer(wishes: tuple[_Wish, ...]) -> _Offer:
    """The offer with the greatest q; among equals what is named most exactly, then what is named first, then text."""
    best, best_rank = _TEXT, (0.0, 0, 0)
    for offer in _OFFERS:
        fitting = [
            (exactness, -place, wish.q)
            for place, wish in enumerate(wishes)
            if (exactness := _exactness(wish, offer)) is not None
        ]
        if not fitting:
            continue
        # The most exact range decides about an offer, even if a vaguer one has a greater q (RFC 9110, 12.5.1).
        exactness, place, q = max(fitting)
        if q > 0 and (q, exactness, place) > best_rank:
            best, best_rank = offer, (q, exactness, place)
    return best


def _exactness(wish: _Wish, offer: _Offer) -> int | None:
    """How exactly a media range names an offer, None if it does not fit it."""
    if wish.value == "*/*":
        return 1
    if wish.value == offer.media_type.partition("/")[0] + "/*":
        return 2
    if wish.value != offer.media_type:
        return None
    version = wish.parameters.get("version")
    if version is None:
        return 3
    return 4 if version == offer.version else None


def _wants_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is acceptable and at least as welcome as no coding at all (RFC 9110, 12.5.3)."""
    q = {wish.value: wish.q for wish in reversed(tuple(_wishes(accept_encoding or "")))}
    gzip = q.get("gzip", q.get("x-gzip", q.get("*", 0.0)))
    return gzip > 0 and gzip >= q.get("identity", 0.0)


def _wishes(header: str) -> Iterator[_Wish]:
    """The members of a header; those whose q is no number from 0 to 1 are left out."""
    for member in _MEMBER.findall(header[:_LONGEST]):
        value, *rest = (part.strip() for part in _PARAMETER.findall(member) or [""])
        parameters = {}
        for text in rest:
            name, _, given = text.partition("=")
            parameters[name.strip().lower()] = _unquoted(given.strip())
        q = parameters.pop("q", "1")
        if _QVALUE.fullmatch(q):
            yield _Wish(value.lower(), parameters, float(q))


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
