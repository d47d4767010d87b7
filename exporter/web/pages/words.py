"""What failed, in words for people."""

from collections.abc import Mapping
from typing import Final

REASON_WORDS: Final[Mapping[str, str]] = {
    "timeout": "Zoho did not answer in time",
    "connect": "Zoho cannot be reached",
    "tls": "no secure connection to Zoho could be made",
    "auth": "Zoho does not accept the exporter's credentials",
    "rate_limited": "Zoho forbids requests for a while",
    "http_4xx": "Zoho refuses the exporter's requests",
    "http_5xx": "Zoho answered with an error of its own",
    "redirect": "Zoho sent the exporter to another address",
    "too_large": "Zoho's answer was too large",
    "decode": "Zoho's answer could not be read",
    "schema": "Zoho's answer was not as documented",
    "api": "Zoho answered with an error",
    "incomplete": "Zoho's answer was not complete",
    "no_status": "Zoho's answer held no status",
    "write": "the database could not be written",
}
"""The values of the label `reason`, and what else Failure.reason can be. Each goes on where a colon ends."""


def reason_words(reason: str) -> str:
    """The words, or `reason` itself where there are none."""
    return REASON_WORDS.get(reason, reason)
