"""What goes with every page: what the browser may load, and that nothing is kept."""

from collections.abc import Mapping
from typing import Final

from exporter.web.refusals import NO_STORE

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of all pages: nothing inline, nothing from elsewhere, in nobody's frame."""

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    **NO_STORE,
}
"""The headers of all pages. A filter in an address holds a team's name: no other site is told of it."""
