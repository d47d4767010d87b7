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
    escaping: str = ""
    """What the names of metrics have gone through; "" in versions that do not tell it."""

    @property
    def content_type(self) -> str:
        told = f"; escaping={self.escaping}" if self.escaping else ""
        return f"{self.media_type}; version={self.version}; charset=utf-8{told}"


_OPENMETRICS: Final = "application/openmetrics-text"
# Our names hold nothing that needs escaping, so they are what both of these schemes make of them. Of the others `dots`
# would double underscores; who asks for one of those gets `underscores`, which the page names as the default.
_ESCAPINGS: Final = ("underscores", "allow-utf-8")
_TEXT: Final = _Offer(Format.TEXT, "text/plain", "0.0.4")
# Of those that a client likes equally the first is taken. OpenMetrics 2.0.0 is not final, so it is not answered to.
_OFFERS: Final = (
    _TEXT,
    *(_Offer(Format.OPENMETRICS, _OPENMETRICS, "1.0.0", escaping) for escaping in _ESCAPINGS),
    _Offer(Format.OPENMETRICS, _OPENMETRICS, "0.0.1"),
    # Differs from 0.0.4 in how names outside of letters, digits and underscores are written; there are none here.
    *(_Offer(Format.TEXT, "text/plain", "1.0.0", escaping) for escaping in _ESCAPINGS),
)

# A list's members, and a member's parameters: commas and semicolons inside quotes do not count. What begins with a
# quote always fits, if need be to the end: tried anew at each quote, a header of 1,000 bytes took 50 ms.
_MEMBER: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+', re.DOTALL)
_PARAMETER: Final = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+', re.DOTALL)
_LONGEST: Final = 1_000
"""What of a header is read; five times what Prometheus sends."""
# More digits than the three of RFC 9110 are taken for what they say; a number beyond 1 is none.
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
    return Answer(offer.form, offer.content_type, wants_gzip(accept_encoding))


def _best_offer(wishes: tuple[_Wish, ...]) -> _Offer:
    """The offer with the greatest q; among equals what is named most exactly, then what is named first, then text.

    Without any that is acceptable, text 0.0.4: Prometheus' page calls it the last resort.
    """
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
    asked = dict(wish.parameters)
    if asked.get("escaping") not in _ESCAPINGS or not offer.escaping:
        asked.pop("escaping", None)
    told = {"version": offer.version, "charset": "utf-8", "escaping": offer.escaping}
    # Parameters that nobody knows are passed over: `escaping` was one of them when the first servers met it.
    matches = [asked[name].lower() == value for name, value in told.items() if name in asked]
    return 3 + len(matches) if all(matches) else None


@lru_cache(maxsize=64)
def preferred(accept: str, media_types: tuple[str, ...]) -> str:
    """Which of `media_types` an Accept header prefers; the first one if it has no preference, or wants none of them."""
    wishes = tuple(_wishes(accept))

    def rank(media_type: str) -> tuple[float, int]:
        ranges = {"*/*": 1, media_type.partition("/")[0] + "/*": 2, media_type: 3}
        fitting = [(ranges[wish.value], wish.q) for wish in wishes if wish.value in ranges]
        exactness, q = max(fitting, default=(0, 0.0))
        return q, exactness

    return max(media_types, key=rank)


@lru_cache(maxsize=64)
def wants_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is acceptable and at least as welcome as no coding at all (RFC 9110, 12.5.3).

    Who refuses to have no coding, and says nothing of gzip, gets gzip: that is the one of the two not refused.
    """
    q = {wish.value: wish.q for wish in reversed(tuple(_wishes(accept_encoding or "")))}
    gzip = q.get("gzip", q.get("x-gzip", q.get("*")))
    identity = q.get("identity", q.get("*"))
    if gzip is None:
        return identity == 0
    return gzip > 0 and gzip >= (identity or 0)


def _wishes(header: str) -> Iterator[_Wish]:
    """The members of a header; those whose q is no number from 0 to 1 are left out."""
    if len(header) > _LONGEST:
        header = header[:_LONGEST].rpartition(",")[0]  # half a member can say the opposite: gzip;q=0
    for member in _MEMBER.findall(header):
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
